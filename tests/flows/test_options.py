"""Every option takes effect."""

from __future__ import annotations

import os
import time
from typing import Any

import pytest

from prefect_globus import Item, TransferStatus
from prefect_globus.emulator import FailFile, TaskFault
from prefect_globus.transfers.errors import DifferentTransferError, FilterCallbackMissingError, TransferFailedError
from support.world import World, tree


def test_what_globus_is_asked_for(world: World) -> None:
    """The options of a Globus task arrive in its document."""
    world.write({"a": "1"})
    began = time.time()
    world.run(
        label="Nightly",
        sync_level="size",
        preserve_timestamp=True,
        verify_checksum=False,
        encrypt_data=True,
        deadline_seconds=3600,
        skip_source_errors=True,
        fail_on_quota_errors=True,
    )
    (task,) = world.tasks()
    expected = {
        "label": "Nightly, batch 1",
        "sync_level": 1,
        "preserve_timestamp": True,
        "verify_checksum": False,
        "encrypt_data": True,
        "skip_source_errors": True,
        "fail_on_quota_errors": True,
    }
    assert {name: task[name] for name in expected} == expected
    deadline = time.mktime(time.strptime(task["deadline"][:19], "%Y-%m-%dT%H:%M:%S")) - time.timezone
    assert began + 3500 < deadline < began + 3700


def test_what_globus_is_asked_for_by_default(world: World) -> None:
    """Checksums are verified, as globus-cli does; what cannot be read is named, not tried until the deadline."""
    world.write({"a": "1"})
    world.run("nightly-20261122")
    (task,) = world.tasks()
    assert task["label"] == "nightly-20261122, batch 1"
    assert task["verify_checksum"] is True
    assert task["skip_source_errors"] is True
    flags = ("preserve_timestamp", "encrypt_data", "fail_on_quota_errors", "sync_level")
    assert [task[flag] for flag in flags] == [False, False, False, None]


def test_sync_level_counts_what_was_there_as_unchanged(world: World) -> None:
    """With a sync level, what the destination has already is neither moved nor lost from the books."""
    world.write({"a": "1", "b": "2", "c/d": "3"})
    (world.destination / "a").write_text("1")
    result = world.run(sync_level=1)
    assert (result.items_transferred, result.items_unchanged) == (2, 1)
    assert result.status is TransferStatus.COMPLETED
    again = world.run("again", sync_level="checksum")
    assert (again.items_transferred, again.items_unchanged, again.bytes_transferred) == (0, 3, 0)
    without = world.run("without")
    assert (without.items_transferred, without.items_unchanged) == (3, 0)


def test_batch_size_and_batch_bytes(world: World) -> None:
    """A batch is full by count or by bytes; one large file is a batch of its own."""
    world.write({f"{n}": "x" * 10 for n in range(10)})
    assert world.run("by-count", batch_size=3).batches_total == 4
    assert world.run("by-bytes", batch_bytes=25).batches_total == 5
    assert world.run("small", batch_bytes=1).batches_total == 10


@pytest.mark.parametrize("emulator_options", [{"file_delay": 0.5}])
def test_max_concurrency(world: World) -> None:
    """No more Globus tasks at once than asked for."""
    world.write({f"{n}": "x" for n in range(8)})
    most = 0

    def look(*_: Any) -> None:
        nonlocal most
        most = max(most, sum(task["status"] == "ACTIVE" for task in world.tasks()))

    world.run(batch_size=1, max_concurrency=2, progress_callback=look)
    assert most == 2


def test_include_exclude_sizes_and_ages(world: World) -> None:
    """Patterns, sizes and ages say what is transferred."""
    world.write({"a.txt": "1", "b.bin": "22", "c/d.txt": "333", "c/e.bin": "4444", ".git/config": "55555"})
    cases: list[tuple[dict[str, Any], set[str]]] = [
        ({"include": ["*.txt"]}, {"a.txt", "c/d.txt"}),
        ({"exclude": ["*.txt", ".git"]}, {"b.bin", "c/e.bin"}),
        ({"include": ["c/*"]}, {"c/d.txt", "c/e.bin"}),
        ({"include": ["*.txt"], "exclude": ["c"]}, {"a.txt"}),
        ({"min_size": 2, "max_size": 4}, {"b.bin", "c/d.txt", "c/e.bin"}),
    ]
    for number, (options, expected) in enumerate(cases):
        world.run(f"case-{number}", destination=f"/{number}", **options)
        arrived = {path for path, what in tree(world.destination / str(number)).items() if what[0] == "file"}
        assert arrived == expected, options
    os.utime(world.source / "a.txt", (time.time() - 1000, time.time() - 1000))
    world.run("old", destination="/old", min_age_seconds=500)
    assert set(tree(world.destination / "old")) == {"a.txt"}
    world.run("new", destination="/new", max_age_seconds=500)
    assert "a.txt" not in tree(world.destination / "new")


def test_filter_and_progress_callbacks(world: World) -> None:
    """Callables work for Python callers; the last progress call says done."""
    world.write({f"{n}": "x" * n for n in range(20)})
    calls: list[tuple[int, int, int, bool]] = []
    result = world.run(
        batch_size=5,
        filter_callback=lambda item: item.size % 2 == 0,
        progress_callback=lambda *call: calls.append(call),
    )
    assert result.items_total == 10
    assert calls[-1] == (10, 10, sum(range(0, 20, 2)), True)
    assert not any(done for *_, done in calls[:-1])
    assert [call[0] for call in calls] == sorted(call[0] for call in calls)


@pytest.mark.parametrize("emulator_options", [{"time_scale": 200.0}])
def test_a_batch_is_retried_and_what_remains_can_be_resumed(world: World) -> None:
    """retry_limit and retry_delay bound the tries; later tries send only what remains; a resume completes it."""
    world.write({f"{n}": f"{n}" for n in range(10)})
    with world.emulator.fault(TaskFault(FailFile("CONNECT_FAILED"), file="/7")):
        with pytest.raises(TransferFailedError, match="1 item remaining"):
            world.run(retry_limit=2, retry_delay=0.01, deadline_seconds=200)
        batch = world.store.load_batch("test", 1)
        assert len(batch.attempts) == 3
        assert [attempt.files_transferred for attempt in batch.attempts] == [9, 0, 0]
        assert world.store.load_transfer("test").status is TransferStatus.FAILED
    result = world.run(retry_limit=2, deadline_seconds=200)
    assert (result.status, result.items_transferred) == (TransferStatus.COMPLETED, 10)
    assert tree(world.source) == tree(world.destination)


@pytest.mark.parametrize("emulator_options", [{"time_scale": 200.0}])
def test_skip_source_errors_counts_what_was_skipped(world: World) -> None:
    """A file that cannot be read is skipped, counted and named, and the transfer is complete without it."""
    world.write({f"{n}": f"{n}" for n in range(10)})

    def lose_one(item: Item) -> bool:
        if item.path == "7":
            (world.source / "7").unlink()
        return True

    result = world.run(filter_callback=lose_one, skip_source_errors=True)
    assert (result.status, result.items_transferred, result.items_skipped) == (TransferStatus.COMPLETED, 9, 1)
    (fault,) = world.store.load_batch("test", 1).faults
    assert (fault.path, fault.code) == ("7", "FILE_NOT_FOUND")


@pytest.mark.parametrize("emulator_options", [{"time_scale": 200.0}])
def test_what_remains_after_a_failed_attempt_is_sent_with_checksums(world: World) -> None:
    """A half-written file can have the right size and time (invariant 8)."""
    world.write({"0": "0", "1": "1"})
    with (
        world.emulator.fault(TaskFault(FailFile("CONNECT_FAILED"), file="/1")),
        pytest.raises(TransferFailedError),
    ):
        world.run(retry_limit=1, retry_delay=0.01, deadline_seconds=200, sync_level="exists")
    assert sorted(task["sync_level"] for task in world.tasks()) == [0, 3]


@pytest.mark.parametrize("emulator_options", [{"time_scale": 200.0}])
def test_a_file_that_vanished_is_a_dead_letter_and_holds_nobody_up(world: World) -> None:
    """The others arrive with the same task; one that is back is transferred by a resume."""
    world.write({f"{n}": f"{n}" for n in range(10)})

    def lose_one(item: Item) -> bool:
        """After it was listed, a file vanishes."""
        if item.path == "7":
            (world.source / "7").rename(world.folder / "hidden")
        return True

    with pytest.raises(TransferFailedError, match="1 item failed for good"):
        world.run(filter_callback=lose_one)
    batch = world.store.load_batch("test", 1)
    assert [attempt.files_transferred for attempt in batch.attempts] == [9]
    assert {path: fault.code for path, fault in batch.noted.items()} == {"7": "FILE_NOT_FOUND"}
    (world.folder / "hidden").rename(world.source / "7")
    assert world.run().status is TransferStatus.COMPLETED
    assert tree(world.source) == tree(world.destination)
    again = world.store.load_batch("test", 1)
    assert [fault.code for fault in again.faults] == ["FILE_NOT_FOUND", "REDRIVEN"]
    assert again.noted == {}


def test_what_is_transferred_cannot_change_on_resume(world: World) -> None:
    """An id stands for one transfer; how it is done may change, what it does may not."""
    world.write({"a": "1"})
    world.run(sync_level="size")
    with pytest.raises(DifferentTransferError, match="sync_level"):
        world.run(sync_level="checksum")
    world.run(sync_level="size", max_concurrency=1)


def test_a_filtered_scan_needs_its_filter_again(world: World) -> None:
    """Without it a resumed scan would list what was left out."""
    world.write({f"{n}": "" for n in range(300)})

    def fail_late(item: Item) -> bool:
        if item.path == "95":
            message = "the filter is broken"
            raise ValueError(message)
        return True

    with pytest.raises(ValueError, match="the filter is broken"):
        world.run(filter_callback=fail_late, batch_size=100)
    with pytest.raises(FilterCallbackMissingError, match=r"options\.filter_callback"):
        world.run(batch_size=100)
    assert world.run(filter_callback=lambda _: True, batch_size=100).items_transferred == 300
