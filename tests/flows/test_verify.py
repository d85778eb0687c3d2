"""What a transfer has delivered is compared with what is there, and repaired on request."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

import pytest
from prefect.exceptions import ParameterTypeError

from prefect_globus import TransferStatus
from prefect_globus.emulator import AlterFile, FailFile, TaskFault
from prefect_globus.transfers.errors import (
    InvalidInputError,
    LeaseHeldError,
    TransferFailedError,
    TransferNotFoundError,
)
from prefect_globus.transfers.model import Holder
from support.verifying import FILES, codes, prepare, verify
from support.world import World, tree


def damage(world: World) -> dict[str, tuple[str, ...]]:
    """Spoil the destination in every way that a listing shows; path -> codes."""
    there = world.destination
    (there / "0/0/file 0").unlink()
    (there / "0/0/file 12").write_text("cut")
    (there / "0/1/file 15").write_text("a longer content")
    after = time.time() + 3600
    (there / "1/0/file 4").write_text("CONTENT 4")
    os.utime(there / "1/0/file 4", (after, after))
    shutil.rmtree(there / "2")
    shutil.rmtree(there / "empty")
    expected = {"0/0/file 0": "MISSING", "0/0/file 12": "TRUNCATED", "0/1/file 15": "OTHER_SIZE"}
    expected |= {"1/0/file 4": "ALTERED", "empty/inside": "MISSING"}
    expected |= {path: "MISSING" for path in FILES if path.startswith("2/")}
    return {path: (code,) for path, code in expected.items()}


def test_nothing_differs_after_a_transfer(world: World) -> None:
    """Nor is anything submitted to find that out, and a repair leaves no trace."""
    prepare(world)
    for arguments in ({}, {"source": True}, {"repair": True}, {"repair": True, "source": True}):
        verification = verify(world, **arguments)
        assert verification.ok
        assert (verification.items_delivered, verification.items_differing) == (len(FILES) + 1, 0)
        assert verification.repair is None
    assert [each.id for each in world.store.list_transfers()] == ["test"]
    assert len(world.tasks()) == len(list(world.store.list_batches("test")))


@pytest.mark.parametrize("preserve", [False, True])
def test_what_differs_is_named_and_repaired(world: World, *, preserve: bool) -> None:
    """Each kind of damage has its code; the repair moves that and no more, and then all is well."""
    prepare(world, preserve_timestamp=preserve)
    before = world.moved()
    expected = damage(world)
    found = verify(world)
    assert codes(found) == expected
    assert not found.ok
    assert found.codes == {"ALTERED": 1, "OTHER_SIZE": 1, "TRUNCATED": 1, "MISSING": len(expected) - 3}
    assert [each.path for each in found.differences] == sorted(expected, key=lambda path: path.split("/"))

    repaired = verify(world, repair=True)
    assert codes(repaired) == expected
    assert repaired.ok
    assert (repaired.items_differing, repaired.items_repaired) == (len(expected), len(expected))
    assert repaired.repair is not None
    assert (repaired.repair.id, repaired.repair.items_total) == ("test+repair-1", len(expected))
    assert tree(world.destination, mtime=preserve) == tree(world.source, mtime=preserve)
    again = {path for path, by in world.moved().items() if len(by) > len(before[path])}
    assert again == {f"/{path}" for path in expected if path != "empty/inside"}
    history = {fault.path for fault in world.store.load_batch("test+repair-1", 1).faults}
    assert history <= set(expected)
    assert verify(world, source=True).ok, "the repair's record is the newer one"
    assert world.store.load_transfer("test").status is TransferStatus.COMPLETED


def test_preserved_times_are_compared_to_the_second(world: World) -> None:
    """A file of the same size that was written a second later was altered; unless the times are not to be compared."""
    prepare(world, preserve_timestamp=True)
    path = world.destination / "top"
    then = int(path.stat().st_mtime)
    os.utime(path, (then + 1, then + 1))
    assert codes(verify(world)) == {"top": ("ALTERED",)}
    assert verify(world, mtime=False).ok


def test_clocks_may_differ(world: World) -> None:
    """Without preserved times only what is later than the transfer by more than the skew was altered."""
    prepare(world)
    after = time.time() + 30
    os.utime(world.destination / "top", (after, after))
    assert verify(world).ok
    assert codes(verify(world, clock_skew=0)) == {"top": ("ALTERED",)}
    with pytest.raises(ParameterTypeError, match="clock_skew"):
        verify(world, clock_skew=-1)


def test_the_source_is_listed_when_asked(world: World) -> None:
    """New, changed and vanished files are named; the patterns and sizes of the transfer say what is new."""
    prepare(world, exclude=["*.tmp"], max_size=100)
    world.write(
        {"0/new": "1", "0/new.tmp": "2", "top": "something else", "new/large": "x" * 101, "empty/inside/x": "y"}
    )
    (world.source / "z/z/z/z").unlink()
    assert verify(world).ok
    expected = {
        "0/new": ("SOURCE_NEW",),
        "empty/inside/x": ("SOURCE_NEW",),
        "top": ("SOURCE_CHANGED",),
        "z/z/z": ("SOURCE_NEW",),
        "z/z/z/z": ("SOURCE_VANISHED",),
    }
    expected.pop("z/z/z")  # it is at the destination already, with what was in it
    assert codes(verify(world, source=True)) == expected

    repaired = verify(world, source=True, repair=True)
    assert codes(repaired) == expected
    assert (repaired.items_differing, repaired.items_repaired) == (4, 3)
    assert (world.destination / "top").read_text() == "something else"
    assert (world.destination / "z/z/z/z").read_text() == "deep", "nothing is ever deleted"
    assert codes(verify(world, source=True)) == {"z/z/z/z": ("SOURCE_VANISHED",)}


def test_what_was_not_delivered_is_no_difference(world: World) -> None:
    """Dead letters and skipped items are the transfer's own report."""
    world.write({"a": "1", "b": "2", "c": "3"})
    world.emulator.inject(TaskFault(FailFile("INVALID_PATH_NAME"), file="/b"))
    with pytest.raises(TransferFailedError):
        world.run()
    verification = verify(world)
    assert verification.ok
    assert verification.items_delivered == 2


def test_a_file_that_changed_on_its_way_is_compared_with_what_was_moved(world: World) -> None:
    """Its size in the manifest is not that of the copy, and Globus knows which one that is."""
    world.write({"a": "1", "log": "line\n" * 100})
    with world.emulator.fault(TaskFault(AlterFile("grow", when="found"), file="/log", times=1)):
        assert world.run().items_changed == 1
    assert verify(world).ok
    (world.destination / "log").write_text("line\n" * 100)
    assert codes(verify(world)) == {"log": ("TRUNCATED",)}


def test_a_single_file(world: World) -> None:
    """It is looked at where it was put."""
    world.write({"data/one": "1"})
    world.run(source="/data/one", destination="/copy/uno")
    assert verify(world, source=True).ok
    (world.destination / "copy/uno").unlink()
    repaired = verify(world, repair=True)
    assert (codes(repaired), repaired.ok) == ({"": ("MISSING",)}, True)
    assert (world.destination / "copy/uno").read_text() == "1"


def test_a_directory_where_a_file_should_be(world: World) -> None:
    """And the other way round: nothing below it is there."""
    prepare(world)
    (world.destination / "top").unlink()
    (world.destination / "top").mkdir()
    shutil.rmtree(world.destination / "z")
    (world.destination / "z").write_text("")
    assert codes(verify(world)) == {"top": ("WRONG_TYPE",), "z/z/z/z": ("MISSING",)}


def test_a_transfer_that_is_being_driven_is_refused(world: World) -> None:
    """So are an unknown one, and a repair itself."""
    prepare(world)
    lease = world.store.acquire_lease("test", Holder(description="somebody@elsewhere"), 60.0)
    with pytest.raises(LeaseHeldError, match="somebody@elsewhere"):
        verify(world)
    world.store.release_lease(lease)
    with pytest.raises(TransferNotFoundError, match="prefect-globus list"):
        verify(world, "unknown")
    (world.destination / "top").unlink()
    verify(world, repair=True)
    with pytest.raises(InvalidInputError, match="verify 'test'"):
        verify(world, "test+repair-1")


def test_followed_links_are_files_of_their_own(world: World) -> None:
    """What they point to is at the destination, and its size is what was listed."""
    outside = Path(world.source / "real")
    world.write({"real/file": "the content of a file", "real/empty": ""})
    (world.source / "link").symlink_to("real/file")
    (world.source / "folder").symlink_to("real")
    result = world.run(symlinks="follow")
    assert (result.items_total, result.items_changed) == (5, 0)
    assert outside.is_dir()
    assert verify(world, source=True).ok
