"""A directory with more entries than Globus lists is moved as a whole, and still accounted for."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from prefect_globus import TransferOptions, TransferStatus, preflight_transfer, redrive_transfer, resume_transfer
from prefect_globus.emulator import Answer, FailFile, RequestFault, TaskFault
from prefect_globus.flows.planning import plan_without_prefect
from prefect_globus.transfers.batches import Batch
from prefect_globus.transfers.codes import meaning
from prefect_globus.transfers.errors import (
    DirectoryGrownError,
    GlobusRefusedPathError,
    NotAsAWholeError,
    TransferFailedError,
)
from prefect_globus.transfers.items import TOO_LARGE_TO_LIST, ItemType, Outcome
from prefect_globus.transfers.quantities import size as in_units
from prefect_globus.transfers.telling.report import TransferReport
from prefect_globus.transfers.telling.story import headline
from support.background import batches_of, wait_for
from support.deleting import extra, from_source
from support.verifying import codes, verify
from support.world import QUICK, World, tree

LIMIT = 20
BIG = {f"m/big/{n:02}": f"content {n}" for n in range(LIMIT)} | {
    "m/big/sub/deep": "deep",
    "m/big/notes.tmp": "temporary",
}
FILES = BIG | {"a": "1", "m/b": "22", "z": "333"}
CHECKSUM = 3

SLOW = pytest.mark.parametrize("emulator_options", [{"listing_limit": LIMIT, "file_delay": 0.2}], ids=["slow"])


@pytest.fixture
def emulator_options() -> dict[str, Any]:
    return {"listing_limit": LIMIT}


def the_whole(world: World, transfer_id: str = "test") -> Batch:
    """The batch that is one directory."""
    (batch,) = [batch for batch in world.store.list_batches(transfer_id) if batch.is_whole]
    return batch


def size_of(files: dict[str, str]) -> int:
    return sum(map(len, files.values()))


def extra_files(folder: Path, number: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for n in range(number):
        (folder / f"extra {n}").write_text("extra")


def test_it_is_one_item_and_its_files_are_counted(world: World) -> None:
    """By the record of its task, which is sent nothing else; the plan has it as one item, too."""
    world.write(FILES)
    places = world.location("source"), world.location("destination")
    plan = plan_without_prefect(*places, TransferOptions(**QUICK), 9, True, world.credentials, world.store)
    assert (plan.total.items, plan.tasks, plan.wholes) == (4, 3, 1)
    assert [each.path for each in plan.first_wholes] == ["m/big"]
    result = world.run()
    assert result.status is TransferStatus.COMPLETED
    assert tree(world.destination) == tree(world.source)
    assert (result.items_total, result.items_transferred, result.bytes_transferred) == (4, 4, 6)
    assert (result.whole.directories, result.whole.files, result.whole.size) == (1, len(BIG), size_of(BIG))
    manifest = [item for batch in batches_of(world) for item in world.store.load_manifest("test", batch.number)]
    assert [(item.path, item.type) for item in manifest] == [
        *(("a", ItemType.FILE), ("m/b", ItemType.FILE), ("m/big", ItemType.TREE), ("z", ItemType.FILE)),
    ]
    report = TransferReport.of(world.store.load_transfer("test"), batches_of(world))
    assert f"and {len(BIG)} files, {size_of(BIG)} B, in 1 directory that is transferred as a whole" in headline(report)
    (slow,) = [each for each in report.slowest if each.number == the_whole(world).number]
    assert slow.bytes_transferred == size_of(BIG)
    assert report.seconds is not None
    assert f"({in_units((6 + size_of(BIG)) / report.seconds)}/s)" in headline(report)


def test_the_source_itself_may_be_such_a_directory(world: World) -> None:
    """It is the one item of its transfer; nothing is extra in it, as far as anybody knows."""
    world.write({path.removeprefix("m/big/"): content for path, content in BIG.items()})
    extra_files(world.destination, 1)
    blocks = {"credentials": world.credentials, "checkpoints": world.store}
    places = world.location("source"), world.location("destination")
    assert preflight_transfer(*places, **blocks).ok
    (refused,) = preflight_transfer(*places, options={"min_size": 1}, **blocks).problems
    assert refused.check == "source"
    assert "leave out of it: min_size." in refused.words
    assert refused.words.endswith("Begin a new transfer without these options.")
    result = world.run(delete_destination_extra=True)
    assert (result.status, result.items_total, result.whole.files) == (TransferStatus.COMPLETED, 1, len(BIG))
    assert set(tree(world.destination)) == {*tree(world.source), "extra 0"}
    assert world.store.load_transfer("test").removals[0].kept == {TOO_LARGE_TO_LIST: 1}
    assert resume_transfer("test", credentials=world.credentials, checkpoints=world.store) == result


def test_what_globus_cannot_leave_out_is_refused(world: World) -> None:
    """Before anything of it is moved, with the directory and the options; what comes before it has been moved."""
    world.write(FILES)
    options = {"include": ("*",), "min_size": 1, "max_age_seconds": 9e6, "exclude": ("m/b*/0?",)}
    named = "include, min_size, max_age_seconds, exclude with a pattern that has a /"
    with pytest.raises(NotAsAWholeError, match=f"/m/big has more entries .*: {named}. Nothing of it"):
        world.run(**options)
    assert world.store.load_transfer("test").status is TransferStatus.FAILED
    assert set(world.moved()) == {"/a", "/m/b"}


def test_what_globus_can_leave_out_is_left_out_by_globus(world: World) -> None:
    """Names of files and directories; a pattern that only speaks of another place is not in the way."""
    world.write(FILES)
    world.run(exclude=("*.tmp", "sub", "other/*"))
    assert set(tree(world.source)) - set(tree(world.destination)) == {"m/big/notes.tmp", "m/big/sub", "m/big/sub/deep"}
    (task,) = [task for task in world.tasks() if task["filter_rules"]]
    assert [(rule["method"], rule["name"]) for rule in task["filter_rules"]] == [
        ("exclude", "*.tmp"),
        ("exclude", "sub"),
    ]


def test_a_directory_that_grows_beyond_the_limit_while_its_scan_is_cut_off(world: World) -> None:
    """A part of it is in the manifest already, so that it cannot be sent as a whole: that is said."""
    world.write({"m/big/0": "0", "m/big/1/x": "1", "m/big/2": "2"})
    denied = RequestFault(Answer(403, "EndpointPermissionDenied"), path="*/ls", file="/m/big/1")
    with world.emulator.fault(denied), pytest.raises(GlobusRefusedPathError):
        world.run(batch_size=1)
    assert world.store.load_transfer("test").cursor == "m/big/0"
    world.write(FILES)
    with pytest.raises(DirectoryGrownError, match="Begin a new transfer"):
        resume_transfer("test", credentials=world.credentials, checkpoints=world.store)
    assert set(world.moved()) == {"/m/big/0"}


def test_what_is_skipped_in_it_is_noted_and_makes_it_dead(world: World) -> None:
    """The rest of it has arrived; when it is mended, what has arrived is not moved again."""
    world.write(FILES)
    with (
        world.emulator.fault(TaskFault(FailFile("PERMISSION_DENIED"), file="/m/big/0[34]")),
        pytest.raises(TransferFailedError),
    ):
        world.run()
    batch = the_whole(world)
    assert (batch.ledger.dead, batch.attempts[-1].skipped_errors, batch.whole.files) == (1, 2, len(BIG) - 2)
    assert {path: (fault.code, fault.outcome) for path, fault in batch.noted.items()} == dict.fromkeys(
        ["m/big", "m/big/03", "m/big/04"], ("PERMISSION_DENIED", Outcome.DEAD)
    )
    (trouble,) = TransferReport.of(world.store.load_transfer("test"), batches_of(world)).troubles
    assert (trouble.items, trouble.examples) == (1, ("m/big", "m/big/03", "m/big/04"))
    result = redrive_transfer("test", "m/big/03", credentials=world.credentials, checkpoints=world.store)
    assert (result.status, result.whole.files) == (TransferStatus.COMPLETED, len(BIG))
    assert tree(world.destination) == tree(world.source)
    assert the_whole(world).noted == {}
    assert set(map(len, world.moved().values())) == {1}


def test_what_is_skipped_in_it_on_request_makes_it_skipped(world: World) -> None:
    """A directory of which something is missing is not called transferred."""
    world.write(FILES)
    with world.emulator.fault(TaskFault(FailFile("PERMISSION_DENIED"), file="/m/big/03")):
        result = world.run(skip_source_errors=True)
    assert (result.status, result.items_skipped, result.whole.files) == (TransferStatus.COMPLETED, 1, len(BIG) - 1)
    assert the_whole(world).attempts[-1].skipped_errors == 1


@SLOW
def test_a_task_that_was_canceled_half_way_is_followed_by_one_that_compares(world: World) -> None:
    """Its driver is killed as well; what has arrived is not moved again, and the counts add up."""
    world.write(FILES)
    driver = world.drive()
    half = LIMIT // 2

    def is_half_done() -> bool:
        whole = [batch for batch in batches_of(world) if batch.is_whole and batch.attempt and batch.attempt.task_id]
        task = world.client.get_task(str(whole[0].attempts[0].task_id)) if whole else {"files_transferred": 0}
        return bool(task["files_transferred"] >= half)

    wait_for(is_half_done)
    driver.kill()
    driver.wait()
    world.client.cancel_task(str(the_whole(world).attempts[0].task_id))
    result = resume_transfer("test", credentials=world.credentials, checkpoints=world.store)
    assert (result.status, result.whole.files, result.whole.size) == (TransferStatus.COMPLETED, len(BIG), size_of(BIG))
    assert tree(world.destination) == tree(world.source)
    first, second = the_whole(world).attempts
    assert half <= first.files_transferred < len(BIG)
    assert second.files_transferred == len(BIG) - first.files_transferred
    levels = {task["task_id"]: task["sync_level"] for task in world.tasks()}
    assert (levels[str(first.task_id)], levels[str(second.task_id)]) == (None, CHECKSUM)
    assert set(map(len, world.moved().values())) == {1}


@SLOW
def test_a_driver_that_is_killed_meanwhile_finds_its_task_again(world: World) -> None:
    """Nothing is submitted a second time."""
    world.write(FILES)
    driver = world.drive()
    wait_for(lambda: any(batch.is_whole and batch.attempt and batch.attempt.task_id for batch in batches_of(world)))
    driver.kill()
    driver.wait()
    result = resume_transfer("test", credentials=world.credentials, checkpoints=world.store)
    assert (result.status, result.whole.files, len(world.tasks())) == (TransferStatus.COMPLETED, len(BIG), 3)


@pytest.mark.parametrize("options", [{"mode": "incremental"}, {"idempotency": "mtime"}], ids=["incremental", "mtime"])
def test_globus_itself_finds_out_what_has_changed_in_it(world: World, options: dict[str, Any]) -> None:
    """It is sent each time, and only what differs is moved; what else there is goes by what is on record."""
    world.write(FILES)
    world.run("sunday", **options)
    world.write({"m/big/03": "another content"})
    result = world.run("monday", **options)
    assert (result.items_unchanged, result.items_transferred, result.whole.files) == (3, 1, 1)
    (task,) = [task for task in world.tasks() if task["label"].startswith("monday")]
    assert task["sync_level"] == CHECKSUM
    assert tree(world.destination) == tree(world.source)
    assert result.items_deleted in (0, None)


def test_a_directory_that_has_grown_beyond_the_limit_is_not_taken_for_gone(world: World) -> None:
    """Nor are its files, when it was below the limit before, or is again."""
    world.write({path: FILES[path] for path in ("a", "m/big/00", "m/big/01")})
    world.run("sunday", mode="incremental")
    world.write(FILES)
    assert world.run("monday", mode="incremental").items_deleted == 0
    shutil.rmtree(world.source / "m/big/sub")
    for n in range(5):
        (world.source / f"m/big/{n:02}").unlink()
    result = world.run("tuesday", mode="incremental")
    assert (result.items_deleted, result.whole.directories) == (0, 0)


def test_nothing_in_it_is_ever_deleted(world: World) -> None:
    """Neither at the source nor at the destination, and it is said why."""
    world.write(FILES)
    extra_files(world.destination / "m/big", 1)
    extra_files(world.destination / "m", 1)
    result = world.run(delete_destination_extra=True)
    assert result.items_removed == 1
    assert set(tree(world.destination)) == {*tree(world.source), "m/big/extra 0"}
    assert extra(world).kept == {TOO_LARGE_TO_LIST: 1}
    report = from_source(world, dry_run=False)
    assert (report.items_deleted, report.kept) == (3, {TOO_LARGE_TO_LIST: 1})
    assert set(tree(world.source)) >= set(BIG)
    assert meaning(TOO_LARGE_TO_LIST)


def test_verify_says_what_it_cannot_see(world: World) -> None:
    """But where so much is gone that the rest can be listed, the count on record tells; a repair brings it back."""
    world.write(FILES)
    world.run()
    for arguments in ({}, {"source": True}):
        verification = verify(world, **arguments)
        assert (verification.ok, verification.items_unseen, verification.items_delivered) == (True, 1, 4)
    for n in range(5):
        (world.destination / f"m/big/{n:02}").unlink()
    assert codes(verify(world)) == {"m/big": ("FEWER_FILES",)}
    repaired = verify(world, repair=True)
    assert (repaired.ok, repaired.items_repaired) == (True, 1)
    assert repaired.repair is not None
    assert repaired.repair.whole.files == 5, "what is still there is not moved again"
    assert tree(world.destination) == tree(world.source)


def test_globus_compares_the_contents_of_what_verify_cannot_see(world: World) -> None:
    world.write(FILES)
    world.run()
    assert verify(world, repair=True, checksum=True).items_differing == 0
    (world.destination / "m/big/03").write_text("altered 3")
    verification = verify(world, repair=True, checksum=True)
    assert codes(verification) == {"m/big": ("DIFFERENT",)}
    assert verification.ok
    assert tree(world.destination) == tree(world.source)


def test_a_destination_beyond_the_limit_is_not_mistaken_for_an_empty_one(world: World) -> None:
    """What is in it is moved again, is not called missing, and stays."""
    world.write({"a": "1", "m/b": "22"})
    extra_files(world.destination / "m", LIMIT + 1)
    world.run("sunday")
    result = world.run("monday", mode="incremental", compare_with="destination")
    assert (result.items_unchanged, result.items_transferred) == (1, 1)
    verification = verify(world, "monday")
    assert (verification.ok, verification.items_unseen, verification.items_differing) == (True, 1, 0)
    report = extra(world, "monday", dry_run=False)
    assert (report.items_deleted, report.kept) == (0, {"UNLISTABLE": 1})
    moved = from_source(world, "monday", dry_run=False)
    assert (moved.items_deleted, moved.kept) == (1, {TOO_LARGE_TO_LIST: 1})
    assert len(tree(world.destination / "m")) == LIMIT + 2
