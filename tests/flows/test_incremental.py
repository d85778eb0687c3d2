"""Incremental transfers move what is new or changed, and no more, though earlier ones have failed in many ways."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable

import pytest

from prefect_globus import TransferStatus, cancel_transfer, delete_transfer, transfer_deletions, verify_transfer
from prefect_globus.emulator import Delay, FailFile, RequestFault, TaskFault
from prefect_globus.transfers.errors import InvalidInputError, TransferFailedError, TransferNotFoundError
from prefect_globus.transfers.items import Outcome
from prefect_globus.transfers.states import BatchStatus
from support.world import World, tree

FILES = {f"{n % 4}/{n % 3}/file {n}": f"content {n}" for n in range(60)}
DAY = 86_400.0


def age(world: World, path: str, seconds: float) -> None:
    moment = time.time() - seconds
    os.utime(world.source / path, (moment, moment))


def moved_by(world: World, transfer_id: str) -> set[str]:
    """What the tasks of one transfer have moved, by Globus' own record."""
    tasks = {str(attempt.task_id) for batch in world.store.list_batches(transfer_id) for attempt in batch.attempts}
    return {path for path, by in world.moved().items() if tasks & set(by)}


def first(world: World, transfer_id: str = "first", **options: object) -> None:
    world.write(FILES)
    for path in FILES:
        age(world, path, DAY)
    (world.source / "empty").mkdir()
    (world.source / "emptied").mkdir()
    world.run(transfer_id, batch_size=9, **options)


def change(world: World) -> set[str]:
    """New, changed, deleted, renamed, restored and of another type; return what has to be moved for that."""
    source = world.source
    world.write({"0/new": "new", "9/also new": "x", "2/2/file 2": "changed", "empty/filled": "y"})
    age(world, "3/0/file 3", DAY / 2)  # a new time alone
    (source / "1/1/file 1").rename(source / "1/1/renamed")
    shutil.rmtree(source / "0/0")
    (source / "emptied").rmdir()
    return {"/0/new", "/9/also new", "/2/2/file 2", "/3/0/file 3", "/1/1/renamed", "/empty/filled"}


@pytest.mark.parametrize("compare_with", ["manifest", "destination"])
def test_a_chain(world: World, compare_with: str) -> None:
    """Only what is new or changed is moved, then nothing, by no task; and what is gone is told.

    By the manifest it is gone once, by the destination for as long as that has it.
    """
    how = {"mode": "incremental", "compare_with": compare_with, "preserve_timestamp": True}
    by_manifest = compare_with == "manifest"
    first(world, preserve_timestamp=True)
    moved = change(world)
    second = world.run("second", batch_size=7, **how)
    assert (second.status, second.since) == (TransferStatus.COMPLETED, "first")
    assert moved_by(world, "second") == moved
    assert (second.items_transferred, second.items_unchanged) == (len(moved), second.items_total - len(moved))
    assert second.items_deleted == (len(GONE) if by_manifest else None)
    assert gone(world, "second") == GONE
    at_source = {path: kind for path, kind in tree(world.source, mtime=True).items() if kind[0] == "file"}
    assert at_source.items() <= tree(world.destination, mtime=True).items()

    tasks = len(world.tasks())
    third = world.run("third", **how)
    assert (third.status, third.since) == (TransferStatus.COMPLETED, "second")
    assert (third.items_total, third.items_unchanged) == (second.items_total, second.items_total)
    assert len(world.tasks()) == tasks, "nothing was left to submit"
    assert [batch.status for batch in world.store.list_batches("third")] == [BatchStatus.DONE]
    assert list(world.store.iter_items("third")) == list(world.store.iter_items("second"))
    assert gone(world, "third") == ([] if by_manifest else GONE)


GONE = ["0/0/file 0", "0/0/file 12", "0/0/file 24", "0/0/file 36", "0/0/file 48", "1/1/file 1", "emptied"]


def gone(world: World, transfer_id: str) -> list[str]:
    return [item.path for item in transfer_deletions(transfer_id, world.credentials, world.store)]


@pytest.mark.parametrize("compare_with", ["manifest", "destination"])
def test_what_a_canceled_transfer_has_cut_in_half_is_moved_again(world: World, compare_with: str) -> None:
    """Though it was delivered before and has not changed since, and though it looks whole by its size and time."""
    world.write({"a": "1", "b": "2" * 1000})
    for path in "ab":
        age(world, path, DAY)
    world.run("first")
    with world.emulator.fault(TaskFault(FailFile("CONNECT_FAILED"), file="/b")):
        driver = world.drive("full", batch_size=1)
        wait_for(lambda: outcomes(world, "full") == bytes([Outcome.TRANSFERRED, Outcome.REMAINING]))
        wait_for(lambda: world.store.load_batch("full", 2).live)
        cancel_transfer("full", world.credentials, world.store)
        driver.communicate()
    (world.destination / "b").write_text("x" * 1000)  # half of it, and room for the rest
    result = world.run("second", mode="incremental", compare_with=compare_with)
    assert (result.status, result.since) == (TransferStatus.COMPLETED, "first")
    assert moved_by(world, "second") == {"/b"}
    assert tree(world.destination) == tree(world.source)


def outcomes(world: World, transfer_id: str) -> bytes:
    try:
        return b"".join(batch.outcomes for batch in world.store.list_batches(transfer_id))
    except TransferNotFoundError:
        return b""


@pytest.mark.parametrize("is_deleted", [False, True], ids=["kept", "deleted"])
def test_a_scan_that_was_cut_off_decides_as_it_would_have(world: World, *, is_deleted: bool) -> None:
    """By the transfer on record before; where that was deleted meanwhile, what is left is new."""
    first(world)
    world.write({"0/new": "x", "3/new": "y"})
    hangs = RequestFault(Delay(60), path="*/ls", file="/2/1*")
    how = {"mode": "incremental", "batch_size": 4, "max_concurrency": 1}
    with world.emulator.fault(hangs):
        driver = world.drive("second", **how)
        # what is listed ahead may hang before what comes first is on record
        wait_for(lambda: world.emulator.faults()[0].fired > 0 and bool(outcomes(world, "second")))
        driver.kill()
        driver.communicate()
    before = outcomes(world, "second")
    if is_deleted:
        delete_transfer("first", world.store)
    result = world.run("second", **how | {"max_concurrency": 6})
    assert (result.status, result.since) == (TransferStatus.COMPLETED, "first")
    assert outcomes(world, "second").startswith(before[: before.find(Outcome.REMAINING)])
    assert result.items_total == len(FILES) + 4
    if is_deleted:
        assert result.items_unchanged == before.count(Outcome.UNCHANGED)
    else:
        assert (result.items_unchanged, moved_by(world, "second")) == (len(FILES) + 2, {"/0/new", "/3/new"})
    assert tree(world.destination) == tree(world.source)


def test_the_first_one_moves_everything(world: World) -> None:
    """Whatever failed before; and a repair is not a state of the whole source."""
    world.write({"a": "1", "b": "2"})
    with world.emulator.fault(TaskFault(FailFile("INVALID_PATH_NAME"), file="/b")), pytest.raises(TransferFailedError):
        world.run("failed", fault_grace=0.5, retry_limit=0)
    result = world.run("first", mode="incremental")
    assert (result.since, result.items_transferred, result.items_deleted) == (None, 2, None)
    (world.destination / "a").unlink()
    assert verify_transfer("first", repair=True, credentials=world.credentials, checkpoints=world.store).ok
    second = world.run("second", mode="incremental")
    assert (second.since, second.items_unchanged) == ("first", 2)
    with pytest.raises(InvalidInputError, match="not incremental"):
        transfer_deletions("failed", checkpoints=world.store)
    assert list(transfer_deletions("first", checkpoints=world.store)) == []


def wait_for(condition: Callable[[], bool], seconds: float = 120.0) -> None:
    give_up = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < give_up, "it never happened"
        time.sleep(0.05)
