"""Each fault of HTTP on each request that is not about a task: nothing is lost, nothing is done twice."""

from __future__ import annotations

import pytest

from faults.cells import cells, check_cell
from faults.lab import Lab
from faults.matrix import ENDPOINTS, Endpoint, HttpFault


@pytest.mark.parametrize(
    ("endpoint", "fault"), cells(one for one in ENDPOINTS if not one.renews and not one.is_of_a_task)
)
def test_a_fault_of_a_request(lab: Lab, endpoint: Endpoint, fault: HttpFault) -> None:
    """It passes, is waited for, or is told; and the transfer is resumable from there."""
    check_cell(lab, endpoint, fault)
