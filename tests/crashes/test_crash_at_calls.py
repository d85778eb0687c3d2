"""Kill the driver before and after each HTTP call of a rich transfer; resume; nothing is lost, nothing done twice."""

from __future__ import annotations

import pytest

from support.crash_test import TRANSFER, is_call, some_or_all, transfer_boundaries
from support.crashing import Matrix

pytestmark = pytest.mark.timeout(3000)  # many runs in one test, on a machine that may be busy


@some_or_all
def test_kill_9_before_and_after_every_http_call(matrix: Matrix, every: int) -> None:
    """Every one that the uninterrupted transfer makes, on SQLite."""
    crossed = list(filter(is_call, transfer_boundaries(matrix)))
    assert len(crossed) >= 70
    TRANSFER.kill_at(matrix, crossed[::every])
