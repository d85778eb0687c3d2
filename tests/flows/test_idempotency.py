"""What an earlier transfer between the same locations has delivered is not delivered again, if that is wanted."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable

import pytest

from prefect_globus import TransferStatus
from prefect_globus.emulator import AlterFile, Delay, FailFile, RequestFault, TaskFault
from prefect_globus.flows.verify import forget_delivery
from prefect_globus.transfers.errors import (
    DifferentTransferError,
    InvalidInputError,
    LeaseHeldError,
    TransferFailedError,
    TransferNotFoundError,
)
from prefect_globus.transfers.model import Holder
from prefect_globus.transfers.states import BatchStatus
from support.world import World, tree

FILES = {f"{n % 4}/{n % 3}/file {n}": f"content {n}" for n in range(60)}


def age(world: World, path: str, seconds: float) -> None:
    moment = time.time() - seconds
    os.utime(world.source / path, (moment, moment))


def moved_by(world: World, transfer_id: str) -> set[str]:
    """What the tasks of one transfer have moved, by Globus' own record."""
    tasks = {str(attempt.task_id) for batch in world.store.list_batches(transfer_id) for attempt in batch.attempts}
    return {path for path, by in world.moved().items() if tasks & set(by)}


def first(world: World) -> None:
    world.write(FILES)
    for path in FILES:
        age(world, path, 86_400)
    (world.source / "empty").mkdir()
    world.run("first", batch_size=9)


def test_what_was_delivered_is_left_out(world: World) -> None:
    """By path, size and time, though the destination has lost it; all of it is accounted for."""
    first(world)
    shutil.rmtree(world.destination / "1")
    world.write({"0/new": "new", "2/2/file 2": "changed", "3/0/file 3": "CONTENT 3"})
    world.write({"4/also new": "x"})
    changed = {"/0/new", "/2/2/file 2", "/3/0/file 3", "/4/also new"}
    result = world.run("second", batch_size=7, idempotency="mtime")
    assert result.status is TransferStatus.COMPLETED
    assert moved_by(world, "second") == changed
    assert (result.items_transferred, result.items_unchanged) == (4, len(FILES) + 1 - 2)
    assert result.items_total == len(FILES) + 3
    assert not (world.destination / "1").exists()
    assert sum(len(batch.faults) for batch in world.store.list_batches("second")) == 0

    tasks = len(world.tasks())
    third = world.run("third", idempotency="mtime")
    assert (third.status, third.items_unchanged) == (TransferStatus.COMPLETED, result.items_total)
    assert len(world.tasks()) == tasks, "nothing was left to submit"
    assert [batch.status for batch in world.store.list_batches("third")] == [BatchStatus.DONE]


def test_another_pair_of_locations_is_another_matter(world: World) -> None:
    """And so is a transfer that does not ask for it."""
    first(world)
    assert world.run("elsewhere", destination="/elsewhere", idempotency="mtime").items_unchanged == 0
    assert world.run("everything").items_transferred == len(FILES) + 1
    with pytest.raises(DifferentTransferError, match="idempotency"):
        world.run("first", idempotency="mtime")


def test_what_failed_or_changed_on_its_way_was_not_delivered(world: World) -> None:
    """The newest transfer that knows a file decides, whatever an older one has delivered."""
    world.write({"a": "1", "b": "2", "c": "3"})
    world.run("oldest")
    alter = TaskFault(AlterFile("grow", when="found"), file="/a", times=1)
    fail = TaskFault(FailFile("INVALID_PATH_NAME"), file="/b")
    with world.emulator.fault(fail), world.emulator.fault(alter), pytest.raises(TransferFailedError):
        world.run("older", batch_size=1)
    assert world.run("next", idempotency="mtime").items_unchanged == 1
    assert moved_by(world, "next") == {"/a", "/b"}


def test_the_record_of_one_file_can_be_cleared(world: World) -> None:
    """Then it is transferred again, once."""
    first(world)
    world.run("second", idempotency="mtime")
    places = world.location("source"), world.location("destination")
    assert forget_delivery(*places, "1/1/file 1", checkpoints=world.store) == "second"
    third = world.run("third", idempotency="mtime")
    assert (third.items_transferred, moved_by(world, "third")) == (1, {"/1/1/file 1"})
    assert world.run("fourth", idempotency="mtime").items_transferred == 0
    with pytest.raises(InvalidInputError, match="has an item 'unknown'"):
        forget_delivery(*places, "unknown", checkpoints=world.store)
    with pytest.raises(InvalidInputError, match="No transfer from"):
        forget_delivery(*reversed(places), "1/1/file 1", checkpoints=world.store)
    lease = world.store.acquire_lease("fourth", Holder(description="somebody@elsewhere"), 60.0)
    with pytest.raises(LeaseHeldError, match="somebody@elsewhere"):
        forget_delivery(*places, "1/1/file 1", checkpoints=world.store)
    world.store.release_lease(lease)


def test_contents_decide_when_asked(world: World) -> None:
    """A new time alone is no reason to move a file; other contents are, and so is a file that was taken away."""
    first(world)
    age(world, "1/1/file 1", 0)
    stamp = (world.source / "2/2/file 2").stat()
    (world.source / "2/2/file 2").write_text("CONTENT 2")
    os.utime(world.source / "2/2/file 2", ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    (world.destination / "3/0/file 3").unlink()
    result = world.run("second", idempotency="checksum")
    assert moved_by(world, "second") == {"/2/2/file 2", "/3/0/file 3"}
    assert result.items_transferred == 2 + 1  # an empty directory is made, whether or not it is there
    assert tree(world.destination) == tree(world.source)


@pytest.mark.parametrize("folder", ["0/2", "1/1", "3/0"])
def test_a_scan_that_was_cut_off_decides_as_it_would_have(world: World, folder: str) -> None:
    """Killed while it lists a folder, with the record of several transfers to read, some of it behind the cursor."""
    first(world)
    world.write({"2/2/file 2": "changed", "0/new": "x"})
    world.run("second", idempotency="mtime", batch_size=11)
    world.write({"0/0/file 0": "changed", "3/new": "x", "z": "last"})
    hangs = RequestFault(Delay(60), path="*/ls", file=f"/{folder}*")
    with world.emulator.fault(hangs):
        driver = world.drive("third", idempotency="mtime", batch_size=4, max_concurrency=1)
        wait_for(lambda: bool(scanned(world)) and world.emulator.faults()[0].fired > 0)
        before = scanned(world)
        driver.kill()
        driver.communicate()
    result = world.run("third", idempotency="mtime", batch_size=4)
    assert result.items_total == len(FILES) + 4
    assert before < result.items_total
    assert moved_by(world, "third") == {"/0/0/file 0", "/3/new", "/z"}
    assert result.items_unchanged == result.items_total - 3


def scanned(world: World) -> int:
    try:
        return world.store.ledger("third").items
    except TransferNotFoundError:
        return 0


def wait_for(condition: Callable[[], bool], seconds: float = 120.0) -> None:
    give_up = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < give_up, "it never happened"
        time.sleep(0.05)


def test_a_transfer_that_died_before_its_first_attempt_goes_on(world: World) -> None:
    """It is TRANSFERRING from its first batch on, which may have needed no attempt."""
    world.write({"a": "1"})
    world.run("other")
    fresh = {"id": "test", "status": TransferStatus.TRANSFERRING, "batches": 0, "cursor": None, "scan_complete": False}
    world.store.create_transfer(world.store.load_transfer("other").evolve(**fresh))
    assert world.run().status is TransferStatus.COMPLETED
