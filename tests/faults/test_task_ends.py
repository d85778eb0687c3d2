"""Each way for a Globus task to end, or to stand: nothing is lost, and nothing is done twice."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from faults.ends import TASK_ENDS
from faults.lab import Lab
from prefect_globus.emulator import Answer, ExpireTask, FailFile, InactivateTask, PauseTask
from prefect_globus.emulator.process import running_emulator
from prefect_globus.transfers.errors import (
    GlobusInvalidRequestError,
    TaskNotVisibleError,
    TransferFailedError,
    TransferPausedError,
)
from prefect_globus.transfers.items import Outcome
from prefect_globus.transfers.model import Holder, PausedBy
from prefect_globus.transfers.records import now
from prefect_globus.transfers.states import AttemptStatus, TransferStatus
from prefect_globus.transfers.watching import STALLED

SUCCEEDED, FAILED, CANCELED = AttemptStatus.SUCCEEDED, AttemptStatus.FAILED, AttemptStatus.CANCELED
LOST = AttemptStatus.LOST


def check_complete(lab: Lab, *attempts: AttemptStatus) -> None:
    """All is there, once, after attempts that went so."""
    assert lab.status is TransferStatus.COMPLETED
    assert set(lab.outcomes().values()) == {Outcome.TRANSFERRED}
    assert [attempt.status for attempt in lab.attempts()] == list(attempts)
    lab.check()


def succeeds(lab: Lab) -> None:
    lab.run()
    check_complete(lab, SUCCEEDED)
    assert lab.store.pauses == []


def is_canceled(lab: Lab) -> None:
    lab.fail(FailFile("TIMEOUT"), "c", times=4)
    somebody = threading.Thread(target=lambda: lab.connect().cancel_task(lab.running()))
    somebody.start()
    lab.run()
    somebody.join()
    check_complete(lab, CANCELED, SUCCEEDED)


def expires(lab: Lab) -> None:
    lab.fail(ExpireTask(files=1), times=1)
    lab.run()
    check_complete(lab, FAILED, SUCCEEDED)
    assert lab.attempts()[0].error == "EXPIRED"


def stalls(lab: Lab) -> None:
    """Its first file takes for ever, and nothing says why."""
    folders = {name: lab.root / name for name in ("source", "destination")}
    with running_emulator(folders, state=lab.root / f"{lab.name}.globus", file_delay=3.0) as slow:
        lab.emulator = slow
        with pytest.raises(TransferFailedError, match="3 items remaining"):
            lab.run(stall_seconds=0.4, retry_limit=1)
        assert [attempt.error for attempt in lab.attempts()] == [STALLED, STALLED]
        lab.check()
        lab.run(stall_seconds=3600)
        check_complete(lab, CANCELED, CANCELED, SUCCEEDED)


def is_forgotten(lab: Lab) -> None:
    _submitted(lab, days=31)
    lab.run()
    check_complete(lab, FAILED, LOST, SUCCEEDED)


def is_not_shown(lab: Lab) -> None:
    _submitted(lab, days=29)
    with pytest.raises(TaskNotVisibleError, match="may still be running"):
        lab.run()
    assert lab.status is TransferStatus.FAILED
    assert lab.tasks() == []
    assert lab.attempts()[-1].live


def _submitted(lab: Lab, days: float) -> None:
    """A transfer with an attempt whose task Globus does not know."""
    refused = lab.fault(Answer(400, "BadRequest"), method="POST", path="/v0.10/transfer")
    with refused, pytest.raises(GlobusInvalidRequestError):
        lab.run()
    lease = lab.store.acquire_lease(lab.name, Holder(description="a test"), 60.0)
    batch = lab.store.load_batch(lab.name, 1).intend(uuid4(), None)
    lab.store.save_batch(lease, batch)
    batch = batch.submitted(uuid4())
    old = batch.attempts[-1].evolve(submitted_at=now() - timedelta(days=days))
    lab.store.save_batch(lease, batch.evolve(attempts=(*batch.attempts[:-1], old)))
    lab.store.release_lease(lease)


def becomes_inactive(lab: Lab) -> None:
    lab.fail(InactivateTask(files=1), times=1)
    with lab.person(lambda: lab.emulator.reactivate_task(lab.running())):
        lab.run()
    assert any("is INACTIVE" in why for why in lab.store.pauses)
    check_complete(lab, SUCCEEDED)


def is_paused(lab: Lab) -> None:
    lab.fail(PauseTask(files=1, message="The storage is moved on Monday"), times=1)
    with lab.person(lambda: lab.emulator.resume_task(lab.running())):
        lab.run()
    assert any("is paused" in why and "The storage is moved on Monday" in why for why in lab.store.pauses)
    check_complete(lab, SUCCEEDED)


def stays_paused(lab: Lab) -> None:
    lab.fail(PauseTask(files=1), times=1)
    with pytest.raises(TransferPausedError, match="prefect-globus resume"):
        lab.run(pause_limit=0)
    transfer = lab.store.load_transfer(lab.name)
    assert (transfer.status, transfer.paused_by) == (TransferStatus.PAUSED, PausedBy.FAULT)
    assert "is paused" in str(transfer.error)
    lab.emulator.resume_task(lab.running())
    lab.run()
    check_complete(lab, SUCCEEDED)
    assert lab.store.load_transfer(lab.name).error is None


ENDS: dict[str, Callable[[Lab], Any]] = dict(
    zip(
        (end.name for end in TASK_ENDS),
        (
            *(succeeds, is_canceled, expires, stalls, is_forgotten, is_not_shown),
            *(becomes_inactive, is_paused, stays_paused),
        ),
        strict=True,
    )
)


@pytest.mark.parametrize("name", ENDS)
def test_an_end_of_a_task(lab: Lab, name: str) -> None:
    """It becomes of the transfer what the table says."""
    lab.write("a", "b", "c")
    ENDS[name](lab)
