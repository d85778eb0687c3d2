"""Both trees are identical afterwards, whatever the source holds."""

from __future__ import annotations

import os
import shutil
import unicodedata

import pytest

from prefect_globus import TransferStatus
from prefect_globus.transfers.errors import TransferFailedError
from support.world import World, tree

NAMES = [
    "plain.txt",
    "with space.txt",
    " leading and trailing ",
    "quote'single",
    'quote"double',
    "percent%20sign%",
    "hash#tag",
    "question?mark*star[brackets]",
    "back\\slash",
    "colon:and;semicolon&ampersand=equals+plus",
    "-leading-dash",
    "--help",
    ".hidden",
    "...",
    "tab\tin name",
    unicodedata.normalize("NFC", "café"),
    unicodedata.normalize("NFD", "café"),
    "日本語",
    "emoji 🚀",
    "x" * 255,
    "é" * 127,
]


def test_nested_and_equally_named_files(world: World) -> None:
    """A name may stand at every level, as a file and as a directory."""
    world.write({"a": "1", "b/a": "2", "b/b/a": "3", "b/b/b/a": "4", "b.txt": "5", "b-/a": "6", "c/a/a": "7"})
    result = world.run()
    assert result.status is TransferStatus.COMPLETED
    assert result.items_transferred == result.items_total == 7
    assert tree(world.source) == tree(world.destination)


def test_odd_names(world: World) -> None:
    """Every name that a file system allows and JSON can carry arrives as it was, as a file and as a directory."""
    world.write({name: name for name in NAMES})
    world.write({f"dirs/{name}/{name}": name for name in NAMES})
    (world.source / "empty").mkdir()
    for name in NAMES:
        (world.source / "empty" / name).mkdir()
    result = world.run(batch_size=10)
    assert result.items_transferred == 3 * len(NAMES)
    assert tree(world.source) == tree(world.destination)


def test_empty_files_and_empty_directories(world: World) -> None:
    """What is empty arrives, too."""
    world.write({"empty": "", "some/empty": ""})
    (world.source / "none" / "nothing").mkdir(parents=True)
    result = world.run()
    assert (result.items_total, result.bytes_total) == (3, 0)
    assert tree(world.source) == tree(world.destination)


def test_modification_times_when_asked(world: World) -> None:
    """preserve_timestamp gives files the time that they have at the source."""
    world.write({"old": "1", "deep/older": "2"})
    for number, path in enumerate(("old", "deep/older")):
        os.utime(world.source / path, (1_000_000_000 + number, 1_000_000_000 + number))
    world.run(preserve_timestamp=True)
    assert tree(world.source, mtime=True) == tree(world.destination, mtime=True)


def test_symlinks_are_ignored_by_default(world: World) -> None:
    """Links are left out; a directory with nothing but links arrives empty."""
    _make_links(world)
    world.run()
    shutil.rmtree(world.source / "linked")
    for name in ("file-link", "dir-link", "real/loop"):
        (world.source / name).unlink()
    (world.source / "linked").mkdir()
    assert tree(world.source) == tree(world.destination)


def test_symlinks_are_followed_when_asked(world: World) -> None:
    """What links point to arrives under their names; a link that leads back up does not go round for ever."""
    _make_links(world)
    world.run(symlinks="follow")
    (world.source / "real" / "loop").unlink()
    expected = world.folder / "expected"
    shutil.copytree(world.source, expected, symlinks=False)
    (world.source / "real" / "loop").symlink_to("..")
    assert tree(expected) == tree(world.destination)


def test_a_broken_symlink_that_should_be_followed_is_a_dead_letter(world: World) -> None:
    """The rest of the tree arrives, and the transfer does not claim to be complete."""
    world.write({"good": "1"})
    (world.source / "broken").symlink_to("nowhere")
    with pytest.raises(TransferFailedError, match="1 item failed for good"):
        world.run(symlinks="follow")
    result = world.store.ledger("test")
    assert (result.transferred, result.dead, result.remaining) == (1, 1, 0)
    assert tree(world.destination) == {"good": ("file", b"1", None)}


def _make_links(world: World) -> None:
    world.write({"real/file": "1"})
    (world.source / "linked").mkdir()
    (world.source / "file-link").symlink_to("real/file")
    (world.source / "dir-link").symlink_to("real")
    (world.source / "linked" / "one").symlink_to("../real/file")
    (world.source / "real" / "loop").symlink_to("..")


def test_a_single_file(world: World) -> None:
    """The destination is the file's new path."""
    world.write({"data/one.bin": os.urandom(100_000), "data/other": "x"})
    result = world.run(source="/data/one.bin", destination="/new/folder/renamed.bin")
    assert (result.items_total, result.bytes_transferred) == (1, 100_000)
    assert (world.destination / "new/folder/renamed.bin").read_bytes() == (world.source / "data/one.bin").read_bytes()
    assert len(tree(world.destination)) == 3


def test_an_empty_source(world: World) -> None:
    """It completes with no items, and its folder is there."""
    (world.source / "nothing").mkdir()
    result = world.run(source="/nothing", destination="/made/for/it")
    assert (result.status, result.items_total, list(result.tasks)) == (TransferStatus.COMPLETED, 0, [])
    assert tree(world.destination) == {"made": ("dir",), "made/for": ("dir",), "made/for/it": ("dir",)}


def test_a_folder_into_a_folder_of_another_name(world: World) -> None:
    """What the source folder contains is afterwards in the destination folder."""
    world.write({"in/a/x": "1", "in/y": "2", "outside": "3"})
    world.run(source="/in/", destination="/out")
    assert tree(world.source / "in") == tree(world.destination / "out")
    assert [path.name for path in world.destination.iterdir()] == ["out"]


def test_a_directory_of_twenty_thousand_files(world: World) -> None:
    """Nothing is lost over many batches of one directory."""
    folder = world.source / "wide"
    folder.mkdir()
    for number in range(20_000):
        (folder / f"{number}.txt").write_text(str(number))
    result = world.run()
    assert result.items_transferred == 20_000
    assert 50 <= result.batches_total <= 200
    assert tree(world.source) == tree(world.destination)


def test_a_depth_of_sixty(world: World) -> None:
    """Depth is no matter of recursion."""
    deep = "/".join(f"level{number}" for number in range(60))
    world.write({f"{deep}/bottom": "here", "level0/top": "there"})
    world.run()
    assert tree(world.source) == tree(world.destination)
