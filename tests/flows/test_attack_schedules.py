"""What schedules and deletions must survive: each test is a way in which data or a night was lost once."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest

from prefect_globus import (
    SqlCheckpointStore,
    TransferOptions,
    TransferSchedule,
    TransferStatus,
    cancel_transfer,
    deploy_recurring_transfer,
    resumable_transfer,
)
from prefect_globus.emulator import FailFile, TaskFault
from prefect_globus.flows.purging import purge
from prefect_globus.globus.service import GlobusService
from prefect_globus.transfers.errors import (
    InvalidInputError,
    SameStorageError,
    StoreUnavailableError,
    TransferFailedError,
)
from prefect_globus.transfers.records import now
from support.deleting import deletions, from_source
from support.deployed import HOUR, deploy
from support.world import QUICK, World, tree


def test_a_deletion_that_was_never_submitted_is_decided_anew(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its driver died before the submission; what has changed at the source since, and what is lost there, stays."""
    world.write({"changed": "1", "lost": "2", "same": "3"})
    world.run()

    class Killed(BaseException):
        pass

    def killed(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(GlobusService, "delete", killed)
        with pytest.raises(Killed):
            from_source(world, dry_run=False)
    (removal,) = world.store.load_transfer("test").removals
    assert removal.live
    (world.source / "changed").write_text("of today")
    (world.destination / "lost").unlink()
    done = from_source(world, dry_run=False)
    assert {path: kind[1] for path, kind in tree(world.source).items()} == {"changed": b"of today", "lost": b"2"}
    assert (done.items_deleted, dict(done.kept)) == (1, {"SOURCE_CHANGED": 1, "MISSING": 1})
    assert len(deletions(world)) == 1


def test_the_last_ticks_are_not_lost_with_the_end_of_the_schedule(world: World) -> None:
    """Its end by time has passed while their flow runs were waiting: Prefect would delete them."""
    world.write({"a": "1"})
    start = now()
    end = start + timedelta(seconds=18)  # well after the deployment, on a slow machine too
    every = TransferSchedule.every(6, start=start, until=end)
    schedule = deploy(world, every, catch_up="all")
    late = schedule.schedule(start - timedelta(seconds=1), end)
    assert len(late) >= 2
    time.sleep(max((end - now()).total_seconds(), 0) + 1.1)
    assert schedule.execute(late[0]).is_completed()
    assert schedule.active
    assert [schedule.execute(run).name for run in late[1:]] == ["Completed"] * (len(late) - 1)
    assert not schedule.active
    assert [tick for _, tick in schedule.series] == [run.expected_start_time for run in late]


def test_a_store_out_of_reach_at_the_tick(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The database restarts just then: the night's run comes a little later, rather than never."""
    world.write({"a": "1"})
    tick = now().replace(microsecond=0)
    every = TransferSchedule.every(24 * HOUR, start=tick)
    schedule = deploy(world, every, options={"api_retry_delay": 0.1})
    (run,) = schedule.schedule(tick, tick)
    real, calls = SqlCheckpointStore.list_transfers, []

    def list_transfers(self: SqlCheckpointStore) -> Iterator[Any]:
        calls.append(1)
        if len(calls) < 3:
            raise StoreUnavailableError(store="the store", reason="it restarts")
        return real(self)

    monkeypatch.setattr(SqlCheckpointStore, "list_transfers", list_transfers)
    assert schedule.execute(run).is_completed()
    assert len(world.tasks()) == 1


def test_a_purge_leaves_what_has_spoiled_the_last_complete_transfer(world: World) -> None:
    """Also before there is an incremental one: the first would take the half of a file for delivered."""
    world.write({"a": "whole"})
    world.run("complete")
    (destination := world.destination / "a").unlink()
    with world.emulator.fault(TaskFault(FailFile("PERMISSION_DENIED"), file="/a")), pytest.raises(TransferFailedError):
        world.run("spoiler", fault_grace=0.2)
    destination.write_text("wh")
    cancel_transfer("spoiler", world.credentials, world.store)
    purged = purge(world.store, timedelta(0), (TransferStatus.COMPLETED, TransferStatus.CANCELED), dry_run=False)
    assert [each.transfer_id for each in purged.kept] == ["complete", "spoiler"]
    world.run("incremental", mode="incremental")
    assert destination.read_text() == "whole"


@pytest.mark.parametrize(
    "options", [{"sync_level": "checksum"}, {"mode": "incremental", "compare_with": "destination"}]
)
def test_a_source_that_is_its_own_copy_is_not_deleted(world: World, options: dict[str, str]) -> None:
    """Under another name: that is found out by the first file, and the others stay."""
    world.write({"real/a": "1", "real/b": "2", "real/c": "3"})
    (world.source / "alias").symlink_to("real")
    with pytest.raises(SameStorageError, match="the same storage"):
        resumable_transfer(
            world.location("source", "/real"),
            world.location("source", "/alias"),
            TransferOptions(**QUICK, **options, after="delete_source"),
            "test",
            world.credentials,
            world.store,
        )
    assert {"real/b", "real/c"} <= set(tree(world.source))
    assert world.store.load_transfer("test").status is TransferStatus.FAILED


def test_a_mirror_leaves_what_other_transfers_deliver_below_it(world: World) -> None:
    """Somebody else's destination is not extra, nor what it is in."""
    world.write({"x/a": "1", "y/b": "2"})
    (world.destination / "all/old").mkdir(parents=True)
    world.run("other", source="/y", destination="/all/deep/of-others")
    result = world.run("mirror", source="/x", destination="/all", delete_destination_extra=True)
    assert set(tree(world.destination / "all")) == {"a", "deep", "deep/of-others", "deep/of-others/b"}
    assert (result.items_removed, world.store.load_transfer("mirror").removals[0].kept) == (1, {"OTHERS": 1})


def test_a_mirror_leaves_what_was_moved_there(world: World) -> None:
    """An earlier transfer has deleted it at the source, so that what seems extra is the only copy."""
    world.write({"d/moved": "1"})
    world.run("move", after="delete_source")
    world.write({"d/new": "2"})
    with pytest.raises(InvalidInputError, match=r"'move' has moved 1 files .* the only copy"):
        world.run("mirror", delete_destination_extra=True)
    assert {"d/moved", "d/new"} <= set(tree(world.destination))


def test_times_at_the_end_of_the_calendar_are_refused() -> None:
    """And names of schedules that go over two lines."""
    for text in ("9999-12-31T23:59:59-12:00", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59Z"):
        with pytest.raises(ValueError, match="too far away"):
            TransferSchedule.every(60, start=datetime.fromisoformat(text))
    for name in ("a\nb", "a\n/b"):
        with pytest.raises(InvalidInputError, match="cannot name a schedule"):
            deploy_recurring_transfer(name, "", "", TransferSchedule.once())
