"""Pause, resume and cancel by id: from any process, whether or not the transfer is being driven."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable

import pytest

from prefect_globus import (
    GlobusCredentials,
    TransferStatus,
    cancel_transfer,
    pause_transfer,
    resumable_transfer,
    resume_transfer,
)
from prefect_globus.emulator import Answer, RequestFault
from prefect_globus.transfers.errors import NothingToPauseError, TransferNotFoundError, TransferPausedError
from prefect_globus.transfers.location import Location
from prefect_globus.transfers.model import Holder, PausedBy, Request, Transfer
from support.world import World, tree

SLOW = [{"file_delay": 0.2}]
NO_LOGIN = GlobusCredentials(client_id="nobody", client_secret="x", transfer_url="http://127.0.0.1:9")


def wait_for(condition: Callable[[], object], seconds: float = 90.0) -> None:
    give_up = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < give_up, "it never happened"
        time.sleep(0.05)


def driven(world: World, files: int = 60) -> subprocess.Popen[str]:
    """A process that drives a transfer whose first tasks run."""
    world.write({f"{n:03}": f"{n}" for n in range(files)})
    driver = world.drive(batch_size=10, max_concurrency=2)
    wait_for(lambda: len(world.tasks()) >= 2)
    return driver


def abandoned(world: World, files: int = 60) -> None:
    """A transfer whose driver was killed while its tasks run."""
    driver = driven(world, files)
    driver.kill()
    driver.communicate()


def created(world: World) -> None:
    """A transfer that nobody has driven yet."""
    source, destination = (Location.parse(world.location(side)) for side in ("source", "destination"))
    world.store.create_transfer(Transfer(id="test", source=source, destination=destination, source_is_file=False))


def active(world: World) -> list[str]:
    return [task["task_id"] for task in world.tasks() if task["status"] == "ACTIVE"]


def check_complete(world: World) -> None:
    """Everything is there, and was moved once."""
    assert tree(world.source) == tree(world.destination)
    assert all(len(tasks) == 1 for tasks in world.moved().values())
    attempts = [attempt for batch in world.store.list_batches("test") for attempt in batch.attempts]
    assert len({attempt.submission_id for attempt in attempts}) == len(attempts) == len(world.tasks())


@pytest.mark.parametrize("emulator_options", SLOW)
@pytest.mark.parametrize("now", [False, True])
def test_a_driven_transfer_pauses_and_goes_on_when_it_is_resumed(world: World, *, now: bool) -> None:
    """Its driver obeys, without a login of whoever asks; what runs finishes, or is canceled."""
    driver = driven(world)
    result = pause_transfer("test", now, credentials=NO_LOGIN, checkpoints=world.store)
    driver.communicate(timeout=120)
    assert (result.status, result.paused_by) == (TransferStatus.PAUSED, PausedBy.REQUEST)
    assert (active(world), world.store.pending_request("test")) == ([], None)
    canceled = [task for task in world.tasks() if task["status"] == "FAILED"]
    assert bool(canceled) == now
    assert len(tree(world.destination)) < 60
    resumed = resume_transfer("test", credentials=world.credentials, checkpoints=world.store)
    assert (resumed.status, resumed.paused_by, resumed.error) == (TransferStatus.COMPLETED, None, None)
    check_complete(world)


@pytest.mark.parametrize("emulator_options", SLOW)
def test_a_transfer_that_nobody_drives_pauses_and_leaves_its_tasks_to_finish(world: World) -> None:
    """That needs no login, and no wait; when it is resumed, they are found as they are then."""
    abandoned(world)
    running = active(world)
    result = pause_transfer("test", credentials=NO_LOGIN, checkpoints=world.store, wait=30.0)
    assert result.status is TransferStatus.PAUSED
    assert running
    assert world.store.current_lease("test") is None
    assert resume_transfer("test", credentials=world.credentials, checkpoints=world.store).status == "COMPLETED"
    check_complete(world)


@pytest.mark.parametrize("emulator_options", SLOW)
def test_a_transfer_that_nobody_drives_pauses_now_and_its_tasks_are_canceled(world: World) -> None:
    """By whoever asks for it; what they had moved is counted."""
    abandoned(world)
    result = pause_transfer("test", now=True, credentials=world.credentials, checkpoints=world.store)
    assert (result.status, result.current_tasks, active(world)) == (TransferStatus.PAUSED, [], [])
    assert result.items_transferred == sum(len(tasks) for tasks in world.moved().values())
    assert resume_transfer("test", credentials=world.credentials, checkpoints=world.store).status == "COMPLETED"
    check_complete(world)


def test_a_transfer_that_has_not_begun_can_be_paused(world: World) -> None:
    """It is PAUSED before anything was listed."""
    world.write({"a": "1"})
    created(world)
    assert pause_transfer("test", checkpoints=world.store).status is TransferStatus.PAUSED
    assert resume_transfer("test", credentials=world.credentials, checkpoints=world.store).status == "COMPLETED"


def test_what_has_ended_cannot_be_paused(world: World) -> None:
    """It says how it has ended, and no request stays behind."""
    world.write({"a": "1"})
    with pytest.raises(TransferNotFoundError):
        pause_transfer("test", checkpoints=world.store)
    world.run()
    with pytest.raises(NothingToPauseError, match="COMPLETED"):
        pause_transfer("test", checkpoints=world.store)
    assert world.store.pending_request("test") is None


def test_a_pause_that_nobody_has_obeyed_is_obeyed_by_the_next_run_and_taken_back_by_a_resume(world: World) -> None:
    """A run that somebody has scheduled pauses; whoever resumes it explicitly wants it to go on."""
    world.write({"a": "1"})
    created(world)
    world.store.post_request("test", Request.PAUSE)
    with pytest.raises(TransferPausedError, match="prefect-globus resume test"):
        world.run()
    assert world.store.load_transfer("test").paused_by is PausedBy.REQUEST
    assert (world.store.pending_request("test"), world.tasks()) == (None, [])
    world.store.post_request("test", Request.PAUSE_NOW)
    assert resume_transfer("test", credentials=world.credentials, checkpoints=world.store).status == "COMPLETED"


def test_a_pause_waits_no_longer_than_it_is_told_and_stays_on_record(world: World) -> None:
    """The driver is elsewhere, and has not obeyed yet."""
    created(world)
    lease = world.store.acquire_lease("test", Holder(description="somebody@elsewhere"), 60.0)
    result = pause_transfer("test", checkpoints=world.store, wait=0.0)
    assert result.status is TransferStatus.CREATED
    assert world.store.pending_request("test") is Request.PAUSE
    world.store.release_lease(lease)


@pytest.mark.parametrize("emulator_options", SLOW)
def test_a_cancel_comes_before_a_pause(world: World) -> None:
    """Whichever was asked for first."""
    abandoned(world, files=20)
    world.store.post_request("test", Request.CANCEL)
    result = pause_transfer("test", credentials=world.credentials, checkpoints=world.store)
    assert (result.status, active(world)) == (TransferStatus.CANCELED, [])


def test_a_paused_transfer_can_be_canceled(world: World) -> None:
    """Without a login, where nothing runs."""
    created(world)
    pause_transfer("test", checkpoints=world.store)
    result = cancel_transfer("test", credentials=NO_LOGIN, checkpoints=world.store)
    assert (result.status, result.paused_by, result.error) == (TransferStatus.CANCELED, None, None)


@pytest.mark.parametrize("emulator_options", SLOW)
def test_a_cancel_that_globus_refuses_stays_on_record_until_a_person_has_mended_it(world: World) -> None:
    """Who asks is told at once; nothing is taken for canceled that is not."""
    abandoned(world, files=20)
    refused = RequestFault(Answer(403, "ConsentRequired"), method="POST", path="/v0.10/task/*/cancel")
    with world.emulator.fault(refused), pytest.raises(TransferPausedError, match="ConsentRequired"):
        cancel_transfer("test", credentials=world.credentials, checkpoints=world.store)
    stored = world.store.load_transfer("test")
    assert (stored.status, stored.paused_by) == (TransferStatus.PAUSED, PausedBy.FAULT)
    assert world.store.pending_request("test") is Request.CANCEL
    result = cancel_transfer("test", credentials=world.credentials, checkpoints=world.store)
    assert (result.status, active(world)) == (TransferStatus.CANCELED, [])


@pytest.mark.parametrize("by_name", [False, True])
def test_a_saved_login_is_found_again_by_its_name(world: World, *, by_name: bool) -> None:
    """Whoever resumes the transfer, or cancels it, needs not name it."""
    world.write({"a": "1"})
    world.credentials.save("test-control", overwrite=True)
    created(world)
    world.store.post_request("test", Request.PAUSE)
    with pytest.raises(TransferPausedError):
        resumable_transfer(
            world.location("source"),
            world.location("destination"),
            transfer_id="test",
            credentials="test-control" if by_name else GlobusCredentials.load("test-control"),
            checkpoints=world.store,
        )
    name = "test-control" if by_name else "globus-credentials/test-control"
    assert world.store.load_transfer("test").credentials == name
    assert resume_transfer("test", checkpoints=world.store).status is TransferStatus.COMPLETED
