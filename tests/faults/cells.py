"""One cell of the matrix as a test: a request meets a fault, and what becomes of the transfer."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from faults.lab import Lab
from faults.matrix import FAULTS, Endpoint, HttpFault, Kind, expected
from prefect_globus import TransferResult
from prefect_globus.transfers.errors import TransferError, TransferFailedError
from prefect_globus.transfers.items import Outcome
from prefect_globus.transfers.states import TransferStatus


def cells(endpoints: Iterable[Endpoint]) -> list[Any]:
    """A test for each fault of each of these."""
    return [
        pytest.param(endpoint, fault, id=f"{endpoint.name}: {fault.name}") for endpoint in endpoints for fault in FAULTS
    ]


def ends(lab: Lab, endpoint: Endpoint) -> TransferResult | TransferError:
    try:
        return lab.run(**endpoint.options)
    except TransferError as error:
        return error


def check_cell(lab: Lab, endpoint: Endpoint, fault: HttpFault) -> None:
    """A transfer of which one request meets a fault, and the one that takes it up when that is over."""
    cell = expected(endpoint, fault)
    match = {"method": endpoint.method, "path": endpoint.path, "after": endpoint.spared, "times": fault.times}
    with endpoint.situation(lab):
        with lab.fault(fault.effect, **match) as fault_id:
            ended = ends(lab, endpoint)
            met = lab.fired(fault_id)
            assert met == fault.times if cell.kind is Kind.PASSES and not fault.has_effect else 0 < met <= fault.times
        if cell.kind is Kind.REFUSED:
            assert type(ended) is cell.error
            assert not lab.recorded
        elif cell.kind is Kind.FINAL:
            assert type(ended) is cell.error
            assert lab.status is TransferStatus.FAILED
            assert lab.store.load_transfer(lab.name).error == str(ended)
        else:
            check_end(lab, endpoint, ended)
            assert bool([why for why in lab.store.pauses if "Globus task" not in why]) == (cell.kind is Kind.PERSON)
        if cell.kind in (Kind.REFUSED, Kind.FINAL):
            check_end(lab, endpoint, ends(lab, endpoint))
    lab.check()


def check_end(lab: Lab, endpoint: Endpoint, ended: TransferResult | TransferError) -> None:
    """All is done, but for what the situation has made impossible."""
    outcomes = list(lab.outcomes().values())
    assert outcomes.count(Outcome.DEAD) == endpoint.dead
    assert Outcome.REMAINING not in outcomes
    if endpoint.dead:
        assert isinstance(ended, TransferFailedError), ended
        assert lab.status is TransferStatus.FAILED
    else:
        assert isinstance(ended, TransferResult), ended
        assert lab.status is TransferStatus.COMPLETED
