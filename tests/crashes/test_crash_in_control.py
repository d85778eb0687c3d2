"""Kill whoever cancels, pauses or redrives a transfer whose driver was killed before."""

from __future__ import annotations

import pytest

from support.crash_test import CANCEL, PAUSE, REDRIVE, some_or_all
from support.crashing import Matrix

pytestmark = pytest.mark.timeout(3000)  # many runs in one test, on a machine that may be busy

_SAMPLE = 10


@some_or_all
def test_kill_9_at_every_boundary_of_a_cancel(matrix: Matrix, every: int) -> None:
    """In the end the transfer is CANCELED, and nothing that it has started runs at Globus."""
    crossed = CANCEL.uninterrupted(matrix)
    assert any("/cancel" in name for name in crossed)
    CANCEL.kill_at(matrix, crossed[::every])


@some_or_all
def test_kill_9_at_every_boundary_of_a_pause(matrix: Matrix, every: int) -> None:
    """In the end it is PAUSED, nothing runs at Globus, and a resume goes on to where it would have come."""
    crossed = PAUSE.uninterrupted(matrix)
    assert any("/cancel" in name for name in crossed)
    PAUSE.kill_at(matrix, crossed[1::every])


def test_kill_9_at_a_sample_of_the_boundaries_of_a_redrive(matrix: Matrix) -> None:
    """A resume goes on with it, and the dead letters arrive."""
    crossed = REDRIVE.uninterrupted(matrix)
    REDRIVE.kill_at(matrix, crossed[::_SAMPLE])
