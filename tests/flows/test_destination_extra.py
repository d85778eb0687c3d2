"""What is extra at the destination is deleted when everything was delivered, and what may not be extra stays."""

from __future__ import annotations

from pathlib import Path

import pytest

from prefect_globus import TransferOptions, TransferStatus, resumable_transfer, resume_transfer
from prefect_globus.emulator import FailFile, TaskFault
from prefect_globus.transfers.errors import (
    EmptySourceError,
    InvalidInputError,
    TransferFailedError,
    TransferNotFoundError,
)
from support.deleting import FILES, deletions, extra
from support.verifying import verify
from support.world import World, tree


def put(folder: Path, *paths: str) -> None:
    for path in paths:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text("extra")


def test_a_mirror_has_what_the_source_has(world: World, tmp_path: Path) -> None:
    """Files and whole directories go, in bounded tasks; links, and what is in question, stay and are named."""
    world.write(FILES)
    (world.source / "empty").mkdir()
    (world.source / "link").symlink_to("top")
    put(world.destination, "0/0/file 00", "gone/a/b", "gone/c", "y", "TOP", "link/x", "empty/x", "odd/x")
    put(tmp_path, "outside/precious")
    (world.destination / "odd/out").symlink_to(tmp_path / "outside")
    kept = {"AT_SOURCE": 2, "SOURCE_EMPTY": 1, "SYMLINK": 1}
    result = world.run(delete_destination_extra=True, batch_size=3)
    assert (result.status, result.items_removed) == (TransferStatus.COMPLETED, 3)
    assert {"TOP", "link/x", "empty/x", "odd/x"} == set(tree(world.destination)) & {
        *("0/0/file 00", "gone", "y", "TOP", "link/x", "empty/x", "odd/x")
    }
    assert set(FILES) <= set(tree(world.destination))
    assert (tmp_path / "outside/precious").exists()
    assert world.store.load_transfer("test").removals[0].kept == kept
    assert len(deletions(world)) == 3, "at most three names are looked at for one task"

    put(world.destination, "late/x")
    before, tasks = tree(world.destination), len(deletions(world))
    plan = extra(world, emptied=True)
    assert [(each.path, each.type) for each in plan.deleted] == [("empty/x", "file"), ("late", "dir")]
    assert (plan.dry_run, plan.items_deleted, plan.kept) == (True, 2, {"AT_SOURCE": 2, "SYMLINK": 1})
    assert (tree(world.destination), len(deletions(world))) == (before, tasks)
    assert extra(world, emptied=True, dry_run=False).items_deleted == 2
    assert not {"empty/x", "late"} & set(tree(world.destination))


def test_an_empty_source_empties_nothing(world: World) -> None:
    """It looks like a disk that is not mounted; whoever insists can have it, and then the transfer completes."""
    put(world.destination, "a", "b/c")
    with pytest.raises(EmptySourceError, match=r"delete-extra test --emptied"):
        world.run(delete_destination_extra=True)
    assert set(tree(world.destination)) == {"a", "b", "b/c"}
    assert deletions(world) == []
    assert extra(world, dry_run=False, emptied=True).items_deleted == 2
    done = resume_transfer("test", credentials=world.credentials, checkpoints=world.store)
    assert done.status is TransferStatus.COMPLETED
    assert set(tree(world.destination)) == set()


def test_nothing_is_deleted_that_is_not_known(world: World) -> None:
    """By a transfer that misses something, or by its repair, which knows a part of the source only."""
    world.write({"a": "1", "b": "2"})
    put(world.destination, "c")
    with world.emulator.fault(TaskFault(FailFile("INVALID_PATH_NAME"), file="/b")), pytest.raises(TransferFailedError):
        world.run(delete_destination_extra=True)
    assert deletions(world) == []
    assert (world.destination / "c").exists()
    assert resume_transfer("test", credentials=world.credentials, checkpoints=world.store).items_removed == 1
    (world.destination / "a").unlink()
    put(world.destination, "c")
    assert verify(world, repair=True).ok
    assert (world.destination / "c").exists()
    with pytest.raises(InvalidInputError, match="left out"):
        extra(world, "test+repair-1", dry_run=False)
    assert len(deletions(world)) == 1


def test_what_can_only_go_wrong_is_refused_before_anything_has_moved(world: World) -> None:
    """One file has nothing beside it that would be extra, and a source below the destination would be."""
    world.write({"d/file": "1"})
    with pytest.raises(InvalidInputError, match="one file"):
        world.run(source="/d/file", destination="/file", delete_destination_extra=True)
    for options in ({"delete_destination_extra": True}, {"after": "delete_source"}):
        with pytest.raises(InvalidInputError, match="inside"):
            world_into_itself(world, **options)
    assert world.tasks() == []
    with pytest.raises(TransferNotFoundError):
        world.store.load_transfer("test")


def world_into_itself(world: World, **options: object) -> None:
    """Transfer a directory to the one that it lies in."""
    resumable_transfer(
        world.location("source", "/d"),
        world.location("source", "/"),
        TransferOptions.model_validate(options),
        "test",
        world.credentials,
        world.store,
    )
