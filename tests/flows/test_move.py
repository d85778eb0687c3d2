"""The source is deleted when it was delivered: what is proven, and nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from prefect_globus import TransferStatus, cancel_transfer, delete_transfer, resume_transfer
from prefect_globus.emulator import FailFile, TaskFault
from prefect_globus.transfers.errors import (
    NotDeliveredError,
    RemovalFailedError,
    TransferActiveError,
    TransferCanceledError,
    TransferFailedError,
)
from support.background import running, status_of, wait_for
from support.deleting import FILES, deletions, from_source
from support.world import World, tree

SLOW = pytest.mark.parametrize("emulator_options", [{"file_delay": 0.1}], ids=["slow"])


def files(folder: Path) -> set[str]:
    """Their paths; a file may be deleted while they are looked at."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file() and not path.is_symlink()}


def test_a_move_leaves_no_file_and_every_directory(world: World) -> None:
    """All files have gone, by few tasks; emptied directories and empty ones stay, and so does a link."""
    world.write(FILES)
    (world.source / "empty").mkdir()
    (world.source / "link").symlink_to("top")
    result = world.run(after="delete_source", batch_size=7)
    assert result.status is TransferStatus.COMPLETED
    assert result.items_removed == len(FILES)
    assert files(world.destination) == set(FILES)
    left = tree(world.source)
    assert files(world.source) == set()
    assert {"0", "0/0", "z/z/z", "empty", "link"} <= set(left)
    assert [task["status"] for task in deletions(world)] == ["SUCCEEDED"] * 4
    (removal,) = world.store.load_transfer("test").removals
    assert removal.complete
    assert removal.kept == {"DIRECTORY": 1}
    assert {str(task_id) for task_id in removal.task_ids} == {task["task_id"] for task in deletions(world)}


def test_what_is_not_proven_stays(world: World) -> None:
    """What is wrong at the destination, and what is not at the source as it was scanned; a dry run says so before."""
    past = time.time() - 3600
    world.write(FILES | {"a": "one", "A": "two"})
    for path in FILES:
        os.utime(world.source / path, (past, past))
    world.run(verify_checksum=False)
    (world.destination / "0/0/file 0").write_text("cut")
    (world.destination / "0/0/file 6").unlink()
    (world.source / "top").write_text("HERE")  # of the same size
    (world.source / "0/0/new").write_text("new")
    (world.source / "1/1/file 1").unlink()
    kept = {"TRUNCATED": 1, "MISSING": 1, "SOURCE_CHANGED": 1, "SAME_NAME": 2}
    stays = {"0/0/file 0", "0/0/file 6", "top", "0/0/new", "a", "A"}

    before = tree(world.source)
    plan = from_source(world, limit=3)
    assert plan.dry_run
    assert (plan.items_deleted, plan.items_gone, dict(plan.kept)) == (len(FILES) - 4, 1, kept)
    assert [(each.path, each.code) for each in plan.stayed][1:] == [("0/0/file 6", "MISSING"), ("A", "SAME_NAME")]
    assert len(plan.deleted) == 3
    assert tree(world.source) == before
    assert deletions(world) == []

    done = from_source(world, dry_run=False)
    assert (done.items_deleted, done.kept, len(done.task_ids)) == (plan.items_deleted, kept, 1)
    assert files(world.source) == stays
    again = from_source(world, dry_run=False)
    assert (again.items_deleted, again.items_gone, again.kept) == (0, len(FILES) - 3, kept)
    assert len(deletions(world)) == 1
    assert world.store.load_transfer("test").status is TransferStatus.COMPLETED


def test_a_copy_that_was_taken_away_is_believed_in_on_request(world: World) -> None:
    """As Globus has compared its checksum when it arrived; but nothing is deleted behind a link."""
    world.write({"a": "1", "b": "2", "real/x": "3"})
    (world.source / "way").symlink_to("real")
    (world.source / "name").symlink_to("b")
    world.run(symlinks="follow")
    assert {"name", "way/x"} < files(world.destination)
    (world.destination / "a").unlink()
    assert dict(from_source(world).kept) == {"MISSING": 1, "SYMLINK": 2}
    done = from_source(world, dry_run=False, trust_checksums=True)
    assert (done.items_deleted, dict(done.kept)) == (3, {"SYMLINK": 2})
    assert files(world.source) == set()
    assert (world.source / "name").is_symlink()


def test_a_failed_transfer_deletes_nothing(world: World) -> None:
    """Neither by itself nor on request; completed by a resume, it deletes."""
    world.write({"a": "1", "b": "2", "c": "3"})
    with world.emulator.fault(TaskFault(FailFile("INVALID_PATH_NAME"), file="/b")), pytest.raises(TransferFailedError):
        world.run(after="delete_source")
    with pytest.raises(NotDeliveredError):
        from_source(world, dry_run=False)
    assert (deletions(world), files(world.source)) == ([], {"a", "b", "c"})
    assert resume_transfer("test", credentials=world.credentials, checkpoints=world.store).items_removed == 3
    assert files(world.source) == set()


def test_what_cannot_be_deleted_makes_it_fail_and_is_tried_again(world: World) -> None:
    """Within seconds, not after 24 hours, and the others are gone already."""
    world.write({"a": "1", "b": "2", "c": "3"})
    fault = TaskFault(FailFile("PERMISSION_DENIED"), file="/b", label="test, delete source *")
    with (
        world.emulator.fault(fault),
        pytest.raises(RemovalFailedError, match=r"1 of what .* PERMISSION_DENIED.* resume test"),
    ):
        world.run(after="delete_source", fault_grace=0.2)
    assert status_of(world) is TransferStatus.FAILED
    assert files(world.source) == {"b"}
    assert files(world.destination) == {"a", "b", "c"}
    done = resume_transfer("test", credentials=world.credentials, checkpoints=world.store)
    assert (done.status, done.items_removed, len(deletions(world))) == (TransferStatus.COMPLETED, 3, 2)
    assert files(world.source) == set()


@SLOW
def test_a_cancel_ends_the_deletion(world: World) -> None:
    """What was not deleted by then stays, and nothing runs at Globus any more."""
    world.write({f"f{n}": "x" for n in range(30)})
    with running(world, after="delete_source") as run:
        wait_for(lambda: 0 < len(files(world.source)) < 30, "a deletion")
        cancel_transfer("test", world.credentials, world.store)
        with pytest.raises(TransferCanceledError):
            run.result()
    left = files(world.source)
    assert left
    assert status_of(world) is TransferStatus.CANCELED
    assert [task["fatal_error"]["code"] for task in deletions(world)] == ["CANCELED"]
    assert world.store.load_transfer("test").removals[0].deleted == 30 - len(left)


@SLOW
def test_a_deletion_for_a_complete_transfer_is_nobodys_orphan(world: World) -> None:
    """Its driver is killed: it is not forgotten, can be canceled, and goes on when it is asked for again."""
    world.write({f"f{n}": "x" for n in range(30)})
    world.run()
    call = "from prefect_globus import delete_source; delete_source('test', dry_run=False)"
    with subprocess.Popen([sys.executable, "-c", call], env=world.environment, cwd=world.folder) as driver:
        try:
            wait_for(lambda: 0 < len(files(world.source)) < 30, "a deletion")
        finally:
            driver.kill()
    with pytest.raises(TransferActiveError):
        delete_transfer("test", world.store)
    assert cancel_transfer("test", world.credentials, world.store).status is TransferStatus.COMPLETED
    assert [task["status"] for task in deletions(world)] == ["FAILED"]
    left = files(world.source)
    assert left
    assert world.store.pending_request("test") is None
    assert from_source(world, dry_run=False).items_deleted == len(left)
    assert files(world.source) == set()
    assert world.store.load_transfer("test").removals[0].deleted == 30
    delete_transfer("test", world.store)


@SLOW
def test_a_deletion_outlives_its_driver(world: World) -> None:
    """Killed in the middle, it goes on; the next driver waits for it, and each file was in one task."""
    world.write({f"f{n}": "x" for n in range(30)})
    driver = world.drive(after="delete_source", batch_size=15)
    wait_for(lambda: 0 < len(files(world.source)) < 30, "a deletion")
    driver.kill()
    driver.wait()
    (task,) = deletions(world)
    done = world.run(after="delete_source", batch_size=15)
    assert (done.status, done.items_removed) == (TransferStatus.COMPLETED, 30)
    assert files(world.source) == set()
    ended = deletions(world)
    assert [each["status"] for each in ended] == ["SUCCEEDED"] * 2
    assert sum(each["subtasks_total"] for each in ended) == 30
    assert task["task_id"] in {each["task_id"] for each in ended}
