"""Each code of an event, on one item of a batch: it becomes what the table says, and the others arrive."""

from __future__ import annotations

import pytest

from faults.ends import ITEM_CASES, PASSING, Fate, ItemCase
from faults.lab import Lab
from prefect_globus import TransferResult
from prefect_globus.emulator import FailFile
from prefect_globus.emulator.injection.model import FILE_ERRORS
from prefect_globus.transfers.errors import TaskFailedForGoodError, TransferError, TransferFailedError
from prefect_globus.transfers.items import Outcome
from prefect_globus.transfers.states import TransferStatus

OUTCOMES = {
    Fate.ARRIVES: Outcome.TRANSFERRED,
    Fate.ARRIVES_MENDED: Outcome.TRANSFERRED,
    Fate.DEAD: Outcome.DEAD,
    Fate.SKIPPED: Outcome.SKIPPED,
}
LASTING = (Fate.DEAD, Fate.SKIPPED)


def ends(lab: Lab, **options: object) -> TransferResult | TransferError:
    try:
        return lab.run(**options)
    except TransferError as error:
        return error


def test_every_code_that_the_emulator_knows_has_its_case() -> None:
    """Contract, section 4."""
    assert {case.code for case in ITEM_CASES} == FILE_ERRORS


@pytest.mark.parametrize(
    "case", ITEM_CASES, ids=lambda case: f"{case.code} at the {case.side}{', skipping' if case.skip else ''}"
)
def test_an_item_meets_a_fault(lab: Lab, case: ItemCase) -> None:
    """Where it lasts it is lifted afterwards, and what was dead arrives."""
    lab.write("a", "bad", "c")
    times = 1 if case.fate is Fate.ARRIVES else None
    fault = lab.fail(FailFile(case.code, side=case.side), "bad", times=times)
    with lab.person(lambda: lab.emulator.clear(fault)):
        ended = ends(lab, skip_source_errors=case.skip)
    outcomes = lab.outcomes()
    assert outcomes == {"a": Outcome.TRANSFERRED, "bad": OUTCOMES[case.fate], "c": Outcome.TRANSFERRED}
    assert lab.codes() == ({"bad": case.code} if case.fate in LASTING else {})
    assert bool(lab.store.pauses) == (case.fate is Fate.ARRIVES_MENDED)
    lab.check()
    if case.fate is Fate.DEAD:
        assert isinstance(ended, TransferFailedError)
        assert "1 item failed for good" in str(ended)
        lab.emulator.clear(fault)
        ended = ends(lab, skip_source_errors=case.skip)
        assert lab.outcomes()["bad"] is Outcome.TRANSFERRED
        lab.check()
    lab.emulator.clear(fault)
    assert isinstance(ended, TransferResult)
    assert lab.status is TransferStatus.COMPLETED


@pytest.mark.parametrize("code", sorted(set(PASSING) - {"QUOTA_EXCEEDED"}))
def test_a_passing_fault_that_lasts_fails_its_batch_after_patience(lab: Lab, code: str) -> None:
    """It is tried again, as often as retry_limit says, and then remains; no dead letter, as it may still work."""
    lab.write("a", "bad")
    fault = lab.fail(FailFile(code), "bad")
    ended = ends(lab, patience=0.5, retry_limit=1)
    assert isinstance(ended, TransferFailedError)
    assert "1 item remaining" in str(ended)
    assert [attempt.error for attempt in lab.attempts()] == [code, code]
    assert lab.outcomes() == {"a": Outcome.TRANSFERRED, "bad": Outcome.REMAINING}
    lab.check()
    lab.emulator.clear(fault)
    assert isinstance(ends(lab), TransferResult)
    lab.check()


@pytest.mark.parametrize("asked", [True, False])
def test_a_full_quota_ends_the_transfer(lab: Lab, *, asked: bool) -> None:
    """At once where that was asked for, else after patience: no other batch fares better. With room it goes on."""
    lab.write(*(f"{number}" for number in range(6)))
    fault = lab.fail(FailFile("QUOTA_EXCEEDED", side="destination"), "3")
    options = {"fail_on_quota_errors": asked, "batch_size": 2}
    ended = ends(lab, patience=3600.0 if asked else 0.5, **options)
    assert isinstance(ended, TaskFailedForGoodError)
    assert "room at the destination" in str(ended)
    assert lab.status is TransferStatus.FAILED
    assert len(lab.attempts()) == 2
    lab.check()
    lab.emulator.clear(fault)
    assert isinstance(ends(lab, **options), TransferResult)
    lab.check()
