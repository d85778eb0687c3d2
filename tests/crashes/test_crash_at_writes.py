"""Kill the driver before and after each write of the checkpoint; resume; nothing is lost, nothing done twice."""

from __future__ import annotations

import pytest

from support.crash_test import TRANSFER, is_call, some_or_all, transfer_boundaries
from support.crashing import Matrix

pytestmark = pytest.mark.timeout(3000)  # many runs in one test, on a machine that may be busy


@some_or_all
def test_kill_9_before_and_after_every_write(matrix: Matrix, every: int) -> None:
    """Every one that the uninterrupted transfer makes, on SQLite."""
    crossed = [name for name in transfer_boundaries(matrix) if not is_call(name)]
    assert len(crossed) >= 70
    TRANSFER.kill_at(matrix, crossed[1::every])
