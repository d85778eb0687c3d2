"""Files that vanish, change or appear between scan and transfer are reported, and nothing is silently wrong."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from prefect_globus import Item, TransferStatus
from prefect_globus.emulator import AlterFile, TaskFault
from prefect_globus.transfers.errors import TransferFailedError
from support.verifying import codes, verify
from support.world import World, tree

FAST = [{"time_scale": 1000}]


def when_scanned(world: World, actions: Mapping[str, Callable[[Path], Any]]) -> Callable[[Item], bool]:
    """A filter that takes everything, and does something to a file as soon as it was listed."""

    def act(item: Item) -> bool:
        if item.path in actions:
            actions[item.path](world.source / item.path)
        return True

    return act


def faults(world: World) -> dict[str, str]:
    return {fault.path: fault.code for batch in world.store.list_batches("test") for fault in batch.faults}


def repoint(link: Path) -> None:
    link.unlink()
    link.symlink_to("same")


@pytest.mark.parametrize("skip", [False, True])
def test_files_that_vanish_or_change_size_after_the_scan(world: World, *, skip: bool) -> None:
    """What vanished is a dead letter, or skipped; what changed arrives as it is now, and is counted and named."""
    names = ("grown", "shrunk", "emptied", "filled", "vanished", "same", "d/vanished", "d/same")
    world.write({name: "" if name == "filled" else f"content of {name}" for name in names})
    (world.source / "link").symlink_to("d/same")
    actions: dict[str, Callable[[Path], Any]] = {
        "grown": lambda path: path.write_text("a content that is longer than it was"),
        "shrunk": lambda path: path.write_text("short"),
        "emptied": lambda path: path.write_text(""),
        "filled": lambda path: path.write_text("not empty any more"),
        "link": repoint,
        "vanished": Path.unlink,
        "d/vanished": Path.unlink,
    }
    options = {"symlinks": "follow", "skip_source_errors": skip, "filter_callback": when_scanned(world, actions)}
    if skip:
        world.run(**options)
    else:
        with pytest.raises(TransferFailedError, match="2 items failed for good"):
            world.run(**options)
    ledger = world.store.ledger("test")
    assert (ledger.transferred, ledger.skipped, ledger.dead) == (7, 2 * skip, 2 * (not skip))
    changed = dict.fromkeys(("grown", "shrunk", "emptied", "filled", "link"), "SOURCE_CHANGED")
    assert faults(world) == changed | {"vanished": "FILE_NOT_FOUND", "d/vanished": "FILE_NOT_FOUND"}
    result = world.run(**options) if skip else None
    assert result is None or result.items_changed == 5
    moved = sum((world.source / name).stat().st_size for name in (*changed, "same", "d/same"))
    assert ledger.bytes_transferred == moved
    for name in (*changed, "same", "d/same"):
        assert (world.destination / name).read_bytes() == (world.source / name).read_bytes()
    assert verify(world).ok
    assert codes(verify(world, source=True)) == dict.fromkeys(changed, ("SOURCE_CHANGED",))


@pytest.mark.parametrize("emulator_options", FAST)
def test_what_becomes_of_another_type_after_the_scan(world: World) -> None:
    """A file that is now a folder, and a folder that is now a file, are dead letters; the rest goes on."""
    world.write({"a": "1", "file": "2", "z": "3"})
    (world.source / "empty").mkdir()
    (world.source / "gone").mkdir()

    def to_folder(path: Path) -> None:
        path.unlink()
        path.mkdir()

    def to_file(path: Path) -> None:
        path.rmdir()
        path.write_text("not a folder")

    actions = {"file": to_folder, "empty": to_file, "gone": Path.rmdir}
    with pytest.raises(TransferFailedError, match="3 items failed for good"):
        world.run(filter_callback=when_scanned(world, actions), fault_grace=0.5, retry_delay=0.1)
    found = faults(world)
    assert set(found) == {"file", "empty", "gone"}
    assert found["gone"] == "FILE_NOT_FOUND"
    files = {path: entry for path, entry in tree(world.destination).items() if entry[0] == "file"}
    assert files == {"a": ("file", b"1", None), "z": ("file", b"3", None)}


@pytest.mark.parametrize("emulator_options", FAST)
def test_files_that_change_while_they_are_moved(world: World) -> None:
    """Each is tried again by Globus until it stands still; what arrives is whole, and as the source is now."""
    cases = [(how, when) for how in ("change", "grow", "shrink") for when in ("found", "opened", "moving", "written")]
    world.write({f"{how} {when}": os.urandom(100_000) for how, when in cases})
    for how, when in cases:
        world.emulator.inject(TaskFault(AlterFile(how, when=when), file=f"/{how} {when}", times=1))
    result = world.run()
    assert result.status is TransferStatus.COMPLETED
    assert tree(world.source) == tree(world.destination)
    sized = {f"{how} {when}" for how, when in cases if how != "change"}
    assert faults(world) == dict.fromkeys(sized, "SOURCE_CHANGED")
    assert result.items_changed == len(sized)
    assert verify(world).ok
    # a change that keeps the size is only seen where it is looked for
    assert set(codes(verify(world, source=True))) >= sized


def test_what_appears_after_the_scan_is_left_for_the_next_transfer(world: World) -> None:
    """It is neither moved nor counted, and a look at the source names it."""
    world.write({"a": "1", "d/b": "2"})
    added = {
        "a": lambda path: (path.parent / "_before").write_text("x"),
        "d/b": lambda path: (path.parent / "new").write_text("y"),
    }
    result = world.run(filter_callback=when_scanned(world, added))
    assert (result.items_total, result.items_transferred, result.items_changed) == (2, 2, 0)
    assert set(tree(world.destination)) == {"a", "d", "d/b"}
    world.run("next")
    assert set(tree(world.destination)) == {"_before", "a", "d", "d/b", "d/new"}
    world.write({"latest": "z"})
    assert codes(verify(world, "next", source=True)) == {"latest": ("SOURCE_NEW",)}
    assert codes(verify(world, source=True)) == {}, "what a filter callback would take is not known"


def test_changes_that_the_sum_of_sizes_hides(world: World) -> None:
    """Globus counts bytes, and two changes may cancel out; a verification sees both."""
    world.write({"a": "12345", "b": "12345", "c": "1"})
    actions = {"a": lambda path: path.write_text("1234567"), "b": lambda path: path.write_text("123")}
    result = world.run(filter_callback=when_scanned(world, actions))
    assert result.status is TransferStatus.COMPLETED
    assert codes(verify(world)) == {"a": ("OTHER_SIZE",), "b": ("TRUNCATED",)}
    assert verify(world, repair=True).ok
    assert tree(world.destination) == tree(world.source)


def test_a_single_file_that_changes_or_vanishes(world: World) -> None:
    """As in a tree."""
    world.write({"log": "one line\n", "gone": "x"})
    grow = TaskFault(AlterFile("grow", when="found"), file="/log", times=1)
    with world.emulator.fault(grow):
        result = world.run(source="/log", destination="/copy")
    assert (result.items_transferred, result.items_changed) == (1, 1)
    assert (world.destination / "copy").read_bytes() == (world.source / "log").read_bytes()
    with (
        world.emulator.fault(TaskFault(AlterFile("vanish", when="found"), file="/gone", times=1)),
        pytest.raises(TransferFailedError, match="1 item failed for good"),
    ):
        world.run("second", source="/gone", destination="/gone")
    assert [fault.code for fault in world.store.load_batch("second", 1).faults] == ["FILE_NOT_FOUND"]
