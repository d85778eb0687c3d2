"""The things that are moved: items, and the compact manifest that a batch keeps of them."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import IntEnum, StrEnum
from functools import partial
from typing import Any, NamedTuple

from prefect_globus.transfers.json_text import parsed, text_of

_FORMAT = b"\x01"
_LEVEL = 3  # of zlib: a higher one takes three times as long for a few bytes in a hundred


class ItemType(StrEnum):
    """What an item is, in the words of a Globus directory listing (contract, section 5)."""

    FILE = "file"
    DIRECTORY = "dir"  # an empty directory; others come to be with their contents
    INVALID_SYMLINK = "invalid_symlink"  # followed, but it leads nowhere
    UNLISTABLE = "unlistable"  # a directory that may not be listed, or vanished before it could be; to be skipped
    OTHER = "other"  # a device, a pipe or a socket: nothing that can be transferred
    TREE = "tree"  # a directory with more entries than Globus lists: transferred as a whole, with all that is in it


class Item(NamedTuple):
    """One thing to move.

    Args:
        path: relative to the source location, ``/``-separated; empty when the source is itself one file.
        size: bytes; 0 for what is not a file.
        mtime: last modification, seconds since 1970 (Globus lists whole seconds).
        type: what it is.
    """

    path: str
    size: int
    mtime: int
    type: ItemType = ItemType.FILE


as_item: Callable[[tuple[str, int, int, ItemType]], Item] = partial(tuple.__new__, Item)
"""Makes an item of its fields, in a third of the time that ``Item(...)`` takes."""


def scan_order(path: str) -> str:
    """The key that sorts relative paths as the scan does: depth first, names in code point order."""
    return path.replace("/", "\0")  # no name has a NUL, and every other character comes after it


def is_in(path: str, directory: str) -> bool:
    """Whether ``path`` lies below ``directory``; both are relative to the same location."""
    return not directory or path.startswith(f"{directory}/")


class Outcome(IntEnum):
    """What became of one item; a batch keeps one byte of this for each of its items."""

    REMAINING = 0  # not delivered yet
    TRANSFERRED = 1  # moved by this transfer
    UNCHANGED = 2  # Globus left it alone, because the sync level found it at the destination
    SKIPPED = 3  # could not be read at the source, and skip_source_errors says to go on
    DEAD = 4  # failed for good


UNTRANSFERABLE: Mapping[ItemType, tuple[Outcome, str]] = {
    ItemType.INVALID_SYMLINK: (Outcome.DEAD, "INVALID_SYMLINK"),
    ItemType.UNLISTABLE: (Outcome.SKIPPED, "PERMISSION_DENIED"),
    ItemType.OTHER: (Outcome.SKIPPED, "NOT_A_FILE"),
}
"""What a listing already tells cannot be transferred: what becomes of it, and the code that says why."""

INVALID_PATH_NAME = "INVALID_PATH_NAME"
TOO_LARGE_TO_LIST = "TOO_LARGE_TO_LIST"  # ours: what is said of a TREE, and of what nobody can see because it is in one


def is_nameable(path: str) -> bool:
    """Whether Globus can be told of ``path``: no name may have a line break (contract, section 5)."""
    return "\n" not in path and "\r" not in path


def untransferable(item: Item) -> tuple[Outcome, str] | None:
    """What becomes of ``item`` and the code that says why, where Globus need not be asked to move it; else None."""
    if not is_nameable(item.path):
        return Outcome.DEAD, INVALID_PATH_NAME
    return UNTRANSFERABLE.get(item.type)


# In a manifest a type is the digit of its place in `ItemType`, so a new one comes last there.
_DIGITS = {kind: str(place) for place, kind in enumerate(ItemType)}
_TYPES = {digit: kind for kind, digit in _DIGITS.items()}


def encode_manifest(items: Sequence[Item]) -> bytes:
    """Pack ``items`` into some 13 bytes each."""
    paths, sizes, mtimes, types = zip(*items, strict=True) if items else ((),) * 4
    columns = {"paths": paths, "sizes": sizes, "mtimes": mtimes, "types": "".join(map(_DIGITS.__getitem__, types))}
    return _FORMAT + zlib.compress(text_of(columns), level=_LEVEL)


def decode_manifest(blob: bytes) -> list[Item]:
    """Unpack what `encode_manifest` packed.

    Raises:
        ValueError: the bytes are truncated, altered, or of another format.
    """
    with _unpacked(blob) as columns:
        types = map(_TYPES.__getitem__, columns["types"])
        return list(map(as_item, zip(columns["paths"], columns["sizes"], columns["mtimes"], types, strict=True)))


def decode_paths(blob: bytes) -> list[str]:
    """The same of the paths alone, in half the time."""
    with _unpacked(blob) as columns:
        return list(map(str, columns["paths"]))


@contextmanager
def _unpacked(blob: bytes) -> Iterator[dict[str, Any]]:
    """The columns of a manifest; what goes wrong with them is a ValueError."""
    if blob[:1] != _FORMAT:
        raise ValueError(f"manifest format {blob[:1]!r} is not {_FORMAT!r}")
    try:
        yield parsed(zlib.decompress(blob[1:]))
    except (zlib.error, KeyError, TypeError, UnicodeDecodeError) as error:
        raise ValueError(f"manifest is damaged: {error}") from error
