"""Each fault of HTTP on the renewal of a token in mid-run: nothing is lost, nothing is done twice."""

from __future__ import annotations

import pytest

from faults.cells import cells, check_cell
from faults.lab import Lab
from faults.matrix import ENDPOINTS, Endpoint, HttpFault


@pytest.fixture(scope="module")
def token_lifetime() -> int:
    """Our authorizer renews a token a minute before it expires: such a one at every request."""
    return 60


@pytest.mark.parametrize(("endpoint", "fault"), cells(one for one in ENDPOINTS if one.renews))
def test_a_fault_of_the_renewal_of_a_token(lab: Lab, endpoint: Endpoint, fault: HttpFault) -> None:
    """It passes, is waited for, or is told; and the transfer is resumable from there."""
    check_cell(lab, endpoint, fault)
