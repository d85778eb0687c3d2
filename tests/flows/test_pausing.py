"""Pause as a request: what is in flight finishes or is canceled, nothing new is begun, and a resume goes on."""

from __future__ import annotations

from typing import Any

import pytest

from prefect_globus import TransferStatus, cancel_transfer
from prefect_globus.emulator import Answer, Delay, ExpireTask, RequestFault, TaskFault
from prefect_globus.transfers.errors import (
    GlobusTransientError,
    TransferCanceledError,
    TransferFailedError,
    TransferPausedError,
)
from prefect_globus.transfers.model import PausedBy, Request
from prefect_globus.transfers.states import BatchStatus
from support.background import batches_of, check_once, running, status_of, submitted, wait_for
from support.world import World, tree

SLOW = [{"file_delay": 0.2}]


def write_files(world: World, number: int) -> None:
    world.write({f"{n:03}": f"{n}" for n in range(number)})


def ends(world: World) -> set[str]:
    """How its attempts have ended."""
    return {attempt.status.value for batch in batches_of(world) for attempt in batch.attempts}


def check_paused(world: World) -> None:
    transfer = world.store.load_transfer("test")
    assert (transfer.status, transfer.paused_by) == (TransferStatus.PAUSED, PausedBy.REQUEST)
    assert world.store.pending_request("test") is None
    assert world.store.current_lease("test") is None
    assert world.store.ledger("test").balances


def resume(world: World, **options: Any) -> None:
    """It goes on where it was, and nothing is done twice."""
    assert world.run(**options).status is TransferStatus.COMPLETED
    assert tree(world.source) == tree(world.destination)
    check_once(world)


@pytest.mark.parametrize("emulator_options", SLOW)
def test_a_pause_lets_what_is_in_flight_finish(world: World) -> None:
    """And begins nothing new."""
    write_files(world, 80)
    with running(world, batch_size=10, max_concurrency=2) as run:
        wait_for(lambda: submitted(world) == 2, "two tasks")
        world.store.post_request("test", Request.PAUSE)
        assert isinstance(run.exception(), TransferPausedError)
    check_paused(world)
    assert ends(world) == {"SUCCEEDED"}
    done = [batch for batch in batches_of(world) if batch.status is BatchStatus.DONE]
    assert 2 <= len(done) < 8
    assert len(world.tasks()) == len(done)
    resume(world, batch_size=10)


@pytest.mark.parametrize("emulator_options", SLOW)
def test_a_pause_at_once_cancels_what_is_in_flight(world: World) -> None:
    """What it had moved is on record, and is not moved again."""
    write_files(world, 60)
    with running(world, batch_size=30, max_concurrency=2) as run:
        wait_for(lambda: (world.destination / "002").exists() and submitted(world) == 2, "a file")
        world.store.post_request("test", Request.PAUSE_NOW)
        assert isinstance(run.exception(), TransferPausedError)
    check_paused(world)
    assert ends(world) == {"CANCELED"}
    assert not any(task["status"] == "ACTIVE" for task in world.tasks())
    assert 0 < world.store.ledger("test").transferred < 60
    resume(world, batch_size=30)


@pytest.mark.parametrize("emulator_options", [{"latency": 200}])
def test_a_pause_during_the_scan(world: World) -> None:
    """The cursor stays where it is; a resume goes on behind it."""
    world.write({f"{n:03}/file": f"{n}" for n in range(60)})
    with running(world, batch_size=5) as run:
        wait_for(lambda: batches_of(world), "a batch")
        world.store.post_request("test", Request.PAUSE)
        assert isinstance(run.exception(), TransferPausedError)
    check_paused(world)
    assert not world.store.load_transfer("test").scan_complete
    before = [batch.first_path for batch in batches_of(world)]
    resume(world, batch_size=5)
    assert [batch.first_path for batch in batches_of(world)][: len(before)] == before


def test_a_pause_while_a_batch_waits_for_its_retry(world: World) -> None:
    """It need not wait any longer."""
    write_files(world, 10)
    with world.emulator.fault(TaskFault(ExpireTask(), times=1)), running(world, retry_delay=3600.0) as run:
        wait_for(lambda: ends(world) == {"FAILED"}, "the failure")
        world.store.post_request("test", Request.PAUSE)
        assert isinstance(run.exception(), TransferPausedError)
    check_paused(world)
    resume(world)


@pytest.mark.parametrize("emulator_options", SLOW)
def test_a_pause_and_a_cancel_while_a_person_has_something_to_mend(world: World) -> None:
    """A request to pause takes the place of the fault; a cancel after it is for good."""
    write_files(world, 40)
    with running(world) as run:
        wait_for(lambda: submitted(world) == 1, "a task")
        world.emulator.inactivate_task(world.tasks()[0]["task_id"])
        wait_for(lambda: world.store.load_transfer("test").paused_by is PausedBy.FAULT, "the fault")
        world.store.post_request("test", Request.PAUSE)
        assert isinstance(run.exception(), TransferPausedError)
    check_paused(world)
    result = cancel_transfer("test", credentials=world.credentials, checkpoints=world.store)
    assert result.status is TransferStatus.CANCELED
    assert [task["status"] for task in world.tasks()] == ["FAILED"]
    assert ends(world) == {"CANCELED"}


@pytest.mark.parametrize("emulator_options", SLOW)
def test_a_cancel_after_a_pause(world: World) -> None:
    """It does not wait for what the pause lets finish."""
    write_files(world, 100)
    with running(world, batch_size=50) as run:
        wait_for(lambda: submitted(world) == 2, "both tasks")
        world.store.post_request("test", Request.PAUSE)
        world.store.post_request("test", Request.CANCEL)
        world.store.post_request("test", Request.PAUSE_NOW)  # too late
        assert isinstance(run.exception(), TransferCanceledError)
    assert status_of(world) is TransferStatus.CANCELED
    assert not any(task["status"] == "ACTIVE" for task in world.tasks())
    assert world.store.ledger("test").transferred < 100


@pytest.mark.parametrize("emulator_options", SLOW)
def test_a_cancel_while_it_is_paused_at_once(world: World) -> None:
    """Whatever comes first, in the end nothing runs."""
    write_files(world, 100)
    slow = RequestFault(Delay(3.0), path="/v0.10/task/*/cancel")
    with world.emulator.fault(slow), running(world, batch_size=50) as run:
        wait_for(lambda: submitted(world) == 2, "both tasks")
        world.store.post_request("test", Request.PAUSE_NOW)
        wait_for(lambda: any(task["status"] != "ACTIVE" for task in world.tasks()), "the end of a task")
        world.store.post_request("test", Request.CANCEL)
        assert isinstance(run.exception(), TransferCanceledError)
    assert status_of(world) is TransferStatus.CANCELED
    assert not any(task["status"] == "ACTIVE" for task in world.tasks())


@pytest.mark.parametrize("emulator_options", SLOW)
def test_a_pause_when_the_last_batches_are_in_flight(world: World) -> None:
    """There is nothing left to pause: it completes, and the request does not outlive it."""
    write_files(world, 30)
    with running(world, batch_size=15) as run:
        wait_for(lambda: submitted(world) == 2 and world.store.load_transfer("test").scan_complete, "both tasks")
        world.store.post_request("test", Request.PAUSE)
        assert run.result().status is TransferStatus.COMPLETED
    assert world.store.pending_request("test") is None


def test_a_pause_that_comes_as_a_run_fails_does_not_pause_the_next(world: World) -> None:
    """The failed one stands still already, and says so; whoever runs it again wants it to go on."""
    write_files(world, 10)
    failing = TaskFault(ExpireTask(), times=1)
    delay = RequestFault(Delay(3.0), path="/v0.10/task/*/skipped_errors")
    with world.emulator.fault(failing), world.emulator.fault(delay), running(world, retry_limit=0) as run:
        wait_for(lambda: submitted(world) == 1, "the task")
        world.store.post_request("test", Request.PAUSE)
        assert isinstance(run.exception(), TransferFailedError)
    assert world.store.pending_request("test") is None
    resume(world)


def test_a_pause_that_nobody_has_obeyed_is_obeyed_by_the_next_run(world: World) -> None:
    """Before it begins anything; the run after that goes on."""
    write_files(world, 10)
    down = RequestFault(Answer(503, "ServiceUnavailable"), method="POST", path="/v0.10/transfer")
    with world.emulator.fault(down), pytest.raises(GlobusTransientError):
        world.run(patience=0.1)
    assert ends(world) == {"INTENDED"}
    world.store.post_request("test", Request.PAUSE_NOW)
    with pytest.raises(TransferPausedError, match="prefect-globus resume test"):
        world.run()
    check_paused(world)
    assert ends(world) <= {"CANCELED", "SUCCEEDED"}
    assert world.run().status is TransferStatus.COMPLETED
    check_once(world)
