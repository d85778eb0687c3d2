"""What goes wrong half-way can be mended: nothing is a dead end, and nothing is lost on the way."""

from __future__ import annotations

import os
import signal
import time
from datetime import timedelta
from typing import Any

import pytest

from prefect_globus import GlobusCredentials, Item, TransferStatus, cancel_transfer, delete_transfer, resumable_transfer
from prefect_globus.globus.service import GlobusService
from prefect_globus.globus.submission import submission_body
from prefect_globus.tasks.stopping import Stop, StopReason
from prefect_globus.transfers.batches import Batch, ItemFault
from prefect_globus.transfers.errors import (
    DifferentTransferError,
    GlobusRefusedPathError,
    TaskNotVisibleError,
    TransferActiveError,
    TransferCanceledError,
    TransferFailedError,
    TransferNotFoundError,
    TransferStoppedError,
)
from prefect_globus.transfers.items import ItemType, Outcome
from prefect_globus.transfers.location import Location
from prefect_globus.transfers.model import Holder, Request, Transfer
from prefect_globus.transfers.records import now
from prefect_globus.transfers.states import AttemptStatus
from support.world import World, tree

HOLDER = Holder(description="a test")


def intend(world: World, *, deadline_seconds: float | None = None, dead_link: bool = False) -> Transfer:
    """A transfer that was cut off between the intent and the submission of its one batch."""
    world.write({"a": "1"})
    source, destination = (Location.parse(world.location(side)) for side in ("source", "destination"))
    transfer = Transfer(id="test", source=source, destination=destination, source_is_file=False)
    world.store.create_transfer(transfer)
    lease = world.store.acquire_lease("test", HOLDER, 60.0)
    transfer = transfer.evolve(status=TransferStatus.SCANNING)
    world.store.save_transfer(lease, transfer)
    items = [Item("a", 1, int((world.source / "a").stat().st_mtime), ItemType.FILE)]
    if dead_link:
        items.append(Item("link", 0, 0, ItemType.INVALID_SYMLINK))
    batch = Batch.cut("test", 1, items)
    transfer = transfer.evolve(batches=1, cursor=items[-1].path, status=TransferStatus.TRANSFERRING)
    world.store.append_batch(lease, transfer, batch, items)
    if dead_link:
        fault = ItemFault(path="link", outcome=Outcome.DEAD, code="INVALID_SYMLINK", attempt=0)
        batch = batch.set_aside(items, {"link": fault})
    deadline = None if deadline_seconds is None else now() + timedelta(seconds=deadline_seconds)
    submission_id = GlobusService(world.credentials.get_transfer_client).new_submission_id()
    world.store.save_batch(lease, batch.intend(submission_id, deadline))
    if dead_link:
        world.store.save_transfer(lease, transfer.evolve(status=TransferStatus.FAILED))
    world.store.release_lease(lease)
    return transfer


def test_an_intended_attempt_whose_deadline_has_passed_is_no_dead_end(world: World) -> None:
    """Globus refuses it for good; the next attempt has a deadline of its own, and no person is needed."""
    intend(world, deadline_seconds=-60)
    result = world.run()
    assert (result.status, len(world.tasks())) == (TransferStatus.COMPLETED, 1)
    refused, sent = world.store.load_batch("test", 1).attempts
    assert (refused.status, sent.status) == (AttemptStatus.FAILED, AttemptStatus.SUCCEEDED)


def test_an_intended_attempt_that_globus_refuses_can_be_canceled(world: World) -> None:
    """There is no task then, so there is nothing to cancel."""
    intend(world, deadline_seconds=-60)
    result = cancel_transfer("test", credentials=world.credentials, checkpoints=world.store)
    assert (result.status, world.tasks()) == (TransferStatus.CANCELED, [])


@pytest.mark.parametrize("emulator_options", [{"file_delay": 0.5}])
def test_a_cancel_that_takes_longer_than_a_heartbeat(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The request stays on record, and does not interrupt the very cancel that obeys it."""
    world.write({f"{n}": "" for n in range(24)})
    driver = world.drive(batch_size=4, max_concurrency=6)
    give_up = time.monotonic() + 60
    while len(world.tasks()) < 6 and time.monotonic() < give_up:
        time.sleep(0.1)
    driver.kill()
    driver.communicate()
    cancel = GlobusService.cancel

    def slowly(self: GlobusService, task_id: Any) -> None:
        time.sleep(0.7)
        cancel(self, task_id)

    monkeypatch.setattr(GlobusService, "cancel", slowly)
    result = cancel_transfer("test", credentials=world.credentials, checkpoints=world.store)
    assert result.status is TransferStatus.CANCELED
    assert "ACTIVE" not in {task["status"] for task in world.tasks()}


def test_a_stop_that_was_obeyed_is_not_heard_again() -> None:
    """Only another reason stops the clearing up."""
    stop = Stop("test")
    stop.request(StopReason.CANCELED)
    with pytest.raises(TransferStoppedError):
        stop.check()
    stop.obey(StopReason.CANCELED)
    stop.request(StopReason.CANCELED)
    stop.check()
    stop.request(StopReason.LEASE_LOST)
    with pytest.raises(TransferStoppedError):
        stop.check()
    assert stop.reason is StopReason.LEASE_LOST


def test_a_request_to_cancel_that_nobody_has_obeyed_is_obeyed_by_the_next_run(world: World) -> None:
    """Before it transfers anything."""
    intend(world)
    world.store.post_request("test", Request.CANCEL)
    with pytest.raises(TransferCanceledError):
        world.run()
    assert world.store.load_transfer("test").status is TransferStatus.CANCELED


def test_dead_letters_are_tried_again_on_resume(world: World) -> None:
    """Whoever resumes a failed transfer has mended something."""
    world.write({"good": "1"})
    (world.source / "link").symlink_to("later")
    with pytest.raises(TransferFailedError, match="1 item failed for good"):
        world.run(symlinks="follow")
    world.write({"later": "2"})
    result = world.run(symlinks="follow")
    assert (result.status, result.items_transferred) == (TransferStatus.COMPLETED, 2)
    assert (world.destination / "link").read_text() == "2"


def test_dead_letters_of_a_batch_under_way_wait_for_the_next_resume(world: World) -> None:
    """What its attempt was sent may not change, nor may they count as sent with it."""
    intend(world, dead_link=True)
    world.write({".hidden": "2"})  # lies before the cursor, so that the scan does not find it
    (world.source / "link").symlink_to(".hidden")
    with pytest.raises(TransferFailedError, match="1 item failed for good"):
        world.run()
    assert world.store.ledger("test").transferred == 1
    assert world.run().status is TransferStatus.COMPLETED
    assert (world.destination / "link").read_text() == "2"


def test_special_files_are_skipped_and_counted(world: World) -> None:
    """A pipe cannot be transferred by anybody, and does not keep the rest from being complete."""
    world.write({"good": "1"})
    os.mkfifo(world.source / "pipe")
    result = world.run()
    assert (result.status, result.items_transferred, result.items_skipped) == (TransferStatus.COMPLETED, 1, 1)
    (fault,) = world.store.load_batch("test", 1).faults
    assert (fault.path, fault.code) == ("pipe", "NOT_A_FILE")


@pytest.fixture
def locked(world: World, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Directories whose listing the collection refuses: no emulator that runs as root would."""
    names: list[str] = []
    real = GlobusService.list_directory

    def refuse(self: GlobusService, location: Location) -> Any:
        if location.name in names:
            facts = {"operation": f"the listing of {location}", "reason": "Permission denied", "status": 403}
            raise GlobusRefusedPathError(code="EndpointPermissionDenied", **facts)
        return real(self, location)

    monkeypatch.setattr(GlobusService, "list_directory", refuse)
    world.write({"a/1": "1", "locked/2.txt": "2", "z/3": "3"})
    return names


def test_a_directory_that_cannot_be_listed_ends_the_scan_where_it_can_go_on(world: World, locked: list[str]) -> None:
    """What was scanned before arrives; when it is mended, the rest does."""
    locked.append("locked")
    with pytest.raises(GlobusRefusedPathError, match="locked: Permission denied"):
        world.run(batch_size=1)
    assert set(tree(world.destination)) == {"a", "a/1"}
    assert world.store.load_transfer("test").status is TransferStatus.FAILED
    locked.clear()
    assert world.run(batch_size=1).status is TransferStatus.COMPLETED
    assert tree(world.source) == tree(world.destination)


def test_a_directory_that_cannot_be_listed_is_skipped_when_asked(world: World, locked: list[str]) -> None:
    """It is counted, whatever patterns there are."""
    locked.append("locked")
    result = world.run(skip_source_errors=True, include=["*3", "*.txt"])
    assert (result.items_transferred, result.items_skipped) == (1, 1)
    (fault,) = world.store.load_batch("test", 1).faults
    assert (fault.path, fault.code) == ("locked", "PERMISSION_DENIED")


def test_a_link_beside_the_source_is_followed(world: World) -> None:
    """It leads out of the source, and is no loop because a folder of that name is in it."""
    world.write({"project/d/x": "1", "d/outside": "2"})
    (world.source / "project/d/link").symlink_to("../../d")
    world.run(source="/project", symlinks="follow")
    assert (world.destination / "d/link/outside").read_text() == "2"


@pytest.mark.parametrize("emulator_options", [{"file_delay": 0.2}])
def test_another_login_does_not_take_a_running_task_for_lost(world: World) -> None:
    """It cannot see it; submitting it again would move the files twice."""
    world.write({f"{n}": "" for n in range(100)})
    driver = world.drive(batch_size=50)
    give_up = time.monotonic() + 60
    while not _submitted(world) and time.monotonic() < give_up:
        time.sleep(0.1)
    driver.kill()
    driver.communicate()
    url = world.emulator.url
    other = GlobusCredentials(client_id="somebody-else", client_secret="x", transfer_url=url, auth_url=url)
    with pytest.raises(TaskNotVisibleError, match="login that began"):
        resumable_transfer(
            world.location("source"),
            world.location("destination"),
            transfer_id="test",
            credentials=other,
            checkpoints=world.store,
        )
    before = len(world.tasks())
    assert world.run(batch_size=50).status is TransferStatus.COMPLETED
    assert before <= len(world.tasks()) == 2


@pytest.mark.parametrize("emulator_options", [{"file_delay": 0.2}])
def test_a_transfer_with_running_tasks_is_not_deleted(world: World) -> None:
    """Nobody would find them again; the lease of a dead driver is in nobody's way."""
    world.write({f"{n}": "" for n in range(100)})
    driver = world.drive(batch_size=50, lock_stale_after=3600)
    give_up = time.monotonic() + 60
    while not world.tasks() and time.monotonic() < give_up:
        time.sleep(0.1)
    driver.kill()
    driver.communicate()
    with pytest.raises(TransferActiveError, match="prefect-globus cancel test"):
        delete_transfer("test", checkpoints=world.store)
    cancel_transfer("test", credentials=world.credentials, checkpoints=world.store)
    delete_transfer("test", checkpoints=world.store)
    assert list(world.store.list_transfers()) == []


def test_errors_in_callbacks(world: World) -> None:
    """One in the progress callback is logged; one in the filter fails the transfer, and both say so."""
    world.write({"a": "1"})

    def broken(*_: Any) -> bool:
        message = "my own mistake"
        raise ValueError(message)

    assert world.run("progress", progress_callback=broken).status is TransferStatus.COMPLETED
    with pytest.raises(ValueError, match="my own mistake"):
        world.run("filter", filter_callback=broken)
    failed = world.store.load_transfer("filter")
    assert (failed.status, failed.error) == (TransferStatus.FAILED, "my own mistake")


def test_the_body_of_a_submission_does_not_change(world: World) -> None:
    """What it is made of cannot change on resume (invariant 1)."""
    intend(world)
    for change in ({"label": "another"}, {"fail_on_quota_errors": True}, {"verify_checksum": False}):
        with pytest.raises(DifferentTransferError, match=next(iter(change))):
            world.run(**change)
    transfer, batch = world.store.load_transfer("test"), world.store.load_batch("test", 1)
    items = world.store.load_manifest("test", 1)
    again = transfer.evolve(options=transfer.options.evolve(max_concurrency=1, retry_limit=9, deadline_seconds=5))
    assert submission_body(transfer, batch, items) == submission_body(again, batch, items)


def test_what_appears_in_an_empty_directory_is_left_alone(world: World) -> None:
    """It was neither selected nor counted."""
    (world.source / "empty").mkdir()
    world.write({"a": "1"})

    def fill(item: Item) -> bool:
        if item.path == "empty":
            (world.source / "empty" / "secret.key").write_text("x")
        return True

    result = world.run(filter_callback=fill, exclude=["*.key"])
    assert (result.items_total, set(tree(world.destination))) == (2, {"a", "empty"})


def test_the_patterns_hold_for_a_single_file(world: World) -> None:
    """One that is left out is left out."""
    world.write({"one.tmp": "1"})
    result = world.run(source="/one.tmp", destination="/one.tmp", exclude=["*.tmp"])
    assert result.items_total == 0


def test_the_time_of_the_last_change(world: World) -> None:
    """It moves on as the transfer does."""
    world.write({"a": "1"})
    result = world.run()
    assert result.updated_at > result.created_at + timedelta(milliseconds=20)


@pytest.mark.parametrize("emulator_options", [{"file_delay": 0.2}])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_process_that_is_told_to_end_gives_the_lease_back(world: World, number: signal.Signals) -> None:
    """And leaves a transfer that can be resumed."""
    world.write({f"{n}": "" for n in range(60)})
    driver = world.drive(batch_size=20, lock_stale_after=3600)
    give_up = time.monotonic() + 60
    while not world.tasks() and time.monotonic() < give_up:
        time.sleep(0.1)
    driver.send_signal(number)
    output, _ = driver.communicate(timeout=120)
    assert driver.returncode != 0
    assert "prefect-globus resume test" in output
    assert world.store.current_lease("test") is None
    assert world.run(batch_size=20).status is TransferStatus.COMPLETED


def _submitted(world: World) -> bool:
    """Whether both batches have a task on record."""
    try:
        attempts = [batch.attempt for batch in world.store.list_batches("test")]
    except TransferNotFoundError:
        return False
    return len(attempts) == 2 and all(attempt and attempt.task_id for attempt in attempts)
