"""The things that are moved: items, and the compact manifest that a batch keeps of them."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping, Sequence
from enum import IntEnum, StrEnum
from typing import NamedTuple

_FORMAT = b"\x01"


class ItemType(StrEnum):
    """What an item is, in the words of a Globus directory listing (contract, section 5)."""

    FILE = "file"
    DIRECTORY = "dir"  # an empty directory; others come to be with their contents
    INVALID_SYMLINK = "invalid_symlink"  # followed, but it leads nowhere
    UNLISTABLE = "unlistable"  # a directory that may not be listed, or vanished before it could be; to be skipped
    OTHER = "other"  # a device, a pipe or a socket: nothing that can be transferred


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


def scan_order(path: str) -> str:
    """The key that sorts relative paths as the scan does: depth first, names in code point order."""
    return path.replace("/", "\0")  # no name has a NUL, and every other character comes after it


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


def is_nameable(path: str) -> bool:
    """Whether Globus can be told of ``path``: no name may have a line break (contract, section 5)."""
    return "\n" not in path and "\r" not in path


def untransferable(item: Item) -> tuple[Outcome, str] | None:
    """What becomes of ``item`` and the code that says why, where Globus need not be asked to move it; else None."""
    if not is_nameable(item.path):
        return Outcome.DEAD, INVALID_PATH_NAME
    return UNTRANSFERABLE.get(item.type)


def encode_manifest(items: Sequence[Item]) -> bytes:
    """Pack ``items`` into some 13 bytes each."""
    kinds = list(ItemType)
    columns = {
        "paths": [item.path for item in items],
        "sizes": [item.size for item in items],
        "mtimes": [item.mtime for item in items],
        "types": "".join(str(kinds.index(item.type)) for item in items),
    }
    text = json.dumps(columns, ensure_ascii=False, separators=(",", ":"))
    # a name from a listing may hold lone surrogates; they must come back as they went in
    return _FORMAT + zlib.compress(text.encode("utf-8", "surrogatepass"))


def decode_manifest(blob: bytes) -> list[Item]:
    """Unpack what `encode_manifest` packed.

    Raises:
        ValueError: the bytes are truncated, altered, or of another format.
    """
    if blob[:1] != _FORMAT:
        raise ValueError(f"manifest format {blob[:1]!r} is not {_FORMAT!r}")
    try:
        columns = json.loads(zlib.decompress(blob[1:]).decode("utf-8", "surrogatepass"))
        kinds = [list(ItemType)[int(digit)] for digit in columns["types"]]
        rows = zip(columns["paths"], columns["sizes"], columns["mtimes"], kinds, strict=True)
        return [Item(*row) for row in rows]
    except (zlib.error, KeyError, IndexError, TypeError, UnicodeDecodeError) as error:
        raise ValueError(f"manifest is damaged: {error}") from error
