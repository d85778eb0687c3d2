"""A plan agrees with what the transfer then does, and does nothing itself."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from random import Random
from typing import Any

import pytest
from prefect.client.orchestration import get_client

from prefect_globus import (
    DryRun,
    SyncLevel,
    TransferOptions,
    TransferPlan,
    TransferStatus,
    plan_transfer,
    resumable_transfer,
    transfer_status,
)
from prefect_globus.emulator import Answer, RequestFault
from prefect_globus.flows.planning import plan_without_prefect
from prefect_globus.transfers.errors import InvalidInputError, SourceNotFoundError
from support.world import QUICK, World, tree

MANY = 1000
FILES = ["a", "b/c", "b/d", "b-", "e/f/g", "e/f/h", "i", "j/k"]
NOON = 1_700_000_000

OPTIONS: list[dict[str, Any]] = [
    {"sync_level": SyncLevel.EXISTS},
    {"sync_level": SyncLevel.SIZE, "delete_destination_extra": True},
    {"sync_level": SyncLevel.MTIME, "symlinks": "follow"},
    {"idempotency": "mtime"},
    {"mode": "incremental"},
    {"mode": "incremental", "compare_with": "destination"},
    {"include": ("*b*", "g"), "max_size": 2, "after": "delete_source"},
]


def some_files(chance: Random, *extra: str) -> dict[str, tuple[int, int]]:
    """Paths with sizes, and modification times in whole seconds, as listings tell them."""
    paths = [path for path in sorted([*FILES, *extra]) if chance.random() < 0.6]
    return {path: (chance.randint(0, 3), NOON + chance.randint(0, 2)) for path in paths}


def fill(folder: Path, files: dict[str, tuple[int, int]]) -> None:
    """Have exactly these files in a folder, an empty directory and a link."""
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "empty").mkdir(parents=True)
    (folder / "link").symlink_to("empty")
    for path, (size, mtime) in files.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(b"x" * size)
        os.utime(target, (mtime, mtime))


def plan_of(world: World, path: str = "/", limit: int = MANY, compare: bool = True, **options: Any) -> TransferPlan:
    places = world.location("source", path), world.location("destination", path)
    blocks = world.credentials, world.store
    return plan_without_prefect(*places, TransferOptions(**(QUICK | options)), limit, compare, *blocks)


def test_a_plan_agrees_with_the_transfer(world: World) -> None:
    """In what is moved, left alone, skipped and deleted, and in how many batches and tasks; by whatever options."""
    for number, options in enumerate(OPTIONS):
        check_once(world, f"{number}", options, Random(number))


def check_once(world: World, name: str, options: dict[str, Any], chance: Random) -> None:
    """Plan and transfer a random tree, where something was before, or was transferred before and has changed since."""
    path, here, there = f"/{name}", world.source / name, world.destination / name
    wanted: dict[str, Any] = {"batch_size": chance.choice([1, 2, MANY]), "preserve_timestamp": True, **options}
    if "mode" in options or "idempotency" in options:
        fill(here, some_files(chance))
        world.run(f"before-{name}", source=path, destination=path, preserve_timestamp=True)
    else:
        fill(there, some_files(chance, "o/p", "q", "e/r"))
    fill(here, some_files(chance))
    trees, tasks, records = (tree(here), tree(there)), world.tasks(), list(world.store.list_transfers())
    plan = plan_of(world, path, **wanted)
    assert (tree(here), tree(there)) == trees
    assert (world.tasks(), list(world.store.list_transfers())) == (tasks, records)
    check_agreement(world, plan, f"after-{name}", path, wanted)


def check_agreement(world: World, plan: TransferPlan, transfer_id: str, path: str, options: dict[str, Any]) -> None:
    result = world.run(transfer_id, source=path, destination=path, **options)
    assert result.status is TransferStatus.COMPLETED
    assert (plan.total.items, plan.total.bytes) == (result.items_total, result.bytes_total)
    assert (plan.to_move.items, plan.to_move.bytes) == (result.items_transferred, result.bytes_transferred)
    assert sum(each.items for each in plan.left_alone.values()) == result.items_unchanged
    assert sum(plan.not_moved.values()) == result.items_skipped
    assert (plan.batches, plan.tasks) == (result.batches_total, len(result.tasks))
    assert (plan.since, plan.deleted) == (result.since, result.items_deleted)
    assert plan.problems == ()
    ours = {str(task.task_id) for task in result.tasks}
    moved = {name for name, by in world.moved().items() if ours & set(by)}
    assert {f"{path}/{each.path}" for each in plan.largest if each.type == "file"} == moved
    if plan.removal is not None:
        assert plan.removal.items_deleted == result.items_removed
        assert all(not (world.destination / path[1:] / each.path).exists() for each in plan.removal.deleted)
    elif plan.moved_away is not None:
        assert plan.moved_away.items >= result.items_removed
    else:
        assert result.items_removed == 0
    if plan.new is not None and plan.replacing is not None:
        assert plan.new.items + plan.replacing.items <= plan.to_move.items


def test_all_that_would_go_wrong_is_told_at_once(world: World) -> None:
    """Where the transfer would stop at the first; each with what to do, and the rest is planned all the same."""
    world.write({"fine": "1", "secret/x": "2", "hidden/y": "3", "z": "4", "new\nline": "5", "a\rb/c": "6"})
    (world.source / "dangling").symlink_to("nowhere")
    os.mkfifo(world.source / "pipe")
    for name in ("secret", "hidden"):
        denied = RequestFault(Answer(403, "EndpointPermissionDenied"), path="*/ls", file=f"/{name}")
        world.emulator.inject(denied)
    plan = plan_of(world, symlinks="follow")
    assert dict(plan.not_moved) == {
        "INVALID_PATH_NAME": 2,
        "INVALID_SYMLINK": 1,
        "PERMISSION_DENIED": 2,
        "NOT_A_FILE": 1,
    }
    assert {each.path for each in plan.first_not_moved} >= {"dangling", "hidden", "a\rb", "new\nline"}
    assert (plan.to_move.items, plan.tasks) == (2, 1)
    told = "; ".join(plan.problems)
    assert "2 directories of the source cannot be listed, the first being 'hidden'" in told
    assert "1 symbolic link would fail for good" in told
    assert "2 names would fail for good, with a line break in it" in told
    assert len(plan.problems) == 3
    assert len(plan_of(world, symlinks="follow", skip_source_errors=True).problems) == 2
    with pytest.raises(SourceNotFoundError):
        plan_of(world, "/no-such-folder")
    with pytest.raises(InvalidInputError, match="one file"):
        plan_of(world, "/fine", delete_destination_extra=True)


def test_how_long_it_may_take_is_known_by_past_runs(world: World) -> None:
    """And by nothing else; without a look at the destination nothing is said of it."""
    world.write({f"{n}": "x" * 100 for n in range(20)})
    first = plan_of(world, compare=False)
    assert first.estimate is None
    assert (first.new, first.replacing, first.compared) == (None, None, False)
    world.run("first", batch_size=5)
    plan = plan_of(world)
    assert plan.estimate is not None
    assert (plan.estimate.runs, plan.estimate.tasks, plan.estimate.alike) == (1, 4, True)
    took = [attempt for batch in world.store.list_batches("first") for attempt in batch.attempts]
    begin = min(attempt.submitted_at for attempt in took if attempt.submitted_at)
    end = max(attempt.ended_at for attempt in took if attempt.ended_at)
    assert 0 < plan.estimate.seconds <= (end - begin).total_seconds()
    assert plan.replacing is not None
    assert plan.replacing.items == 20
    assert plan_of(world, idempotency="mtime").does_nothing


def test_a_dry_run_and_the_flow_show_the_plan_in_prefect(world: World) -> None:
    """As an artifact; neither leaves anything on record, at Globus or at the destination."""
    world.write({"a": "1", "b/c": "22"})
    places = world.location("source"), world.location("destination", "/new")
    blocks = {"credentials": world.credentials, "checkpoints": world.store}
    result = resumable_transfer(*places, TransferOptions(batch_size=1), "nightly", **blocks, dry_run=True)
    assert isinstance(result, DryRun)
    assert (result.id, result.status, result.tasks) == ("nightly", TransferStatus.CREATED, ())
    assert (result.items_total, result.items_remaining, result.plan.tasks) == (2, 2, 2)
    plan = plan_transfer(*places, **blocks)
    assert (plan.to_move, plan.tasks) == (result.plan.to_move, 1)
    with get_client(sync_client=True) as client:
        shown = {key: _artifact(client, key) for key in ("plan-nightly", "transfer-plan")}
    assert shown["plan-nightly"].startswith("# Plan of nightly")
    assert "2 items, 3 B, nothing of which is at the destination" in shown["transfer-plan"]
    assert list(world.store.list_transfers()) == []
    assert world.tasks() == []
    assert tree(world.destination) == {}
    world.run("nightly")
    with pytest.raises(InvalidInputError, match="on record already"):
        resumable_transfer(*places, transfer_id="nightly", **blocks, dry_run=True)
    assert transfer_status("nightly", world.store).status is TransferStatus.COMPLETED


def _artifact(client: Any, key: str) -> str:
    answer = client.request("GET", "/artifacts/{key}/latest", path_params={"key": key})
    return str(answer.json()["data"])
