"""What is extra at a destination: in neither the manifest nor the source."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import Protocol

from prefect_globus.transfers.comparing import WRONG_TYPE
from prefect_globus.transfers.delivered import Ahead
from prefect_globus.transfers.items import INVALID_PATH_NAME, TOO_LARGE_TO_LIST, Item, ItemType, is_nameable, scan_order
from prefect_globus.transfers.removals import (
    AT_SOURCE,
    NOT_A_FILE,
    NOT_UNICODE,
    OTHERS,
    SOURCE_EMPTY,
    SOURCE_UNKNOWN,
    SYMLINK,
    UNLISTABLE,
    Verdict,
)


class Listed(Protocol):
    """One line of a directory listing."""

    @property
    def name(self) -> str: ...  # noqa: D102

    @property
    def type(self) -> ItemType: ...  # noqa: D102

    @property
    def is_directory(self) -> bool: ...  # noqa: D102

    @property
    def size(self) -> int: ...  # noqa: D102

    @property
    def mtime(self) -> int: ...  # noqa: D102

    @property
    def link_target(self) -> str | None: ...  # noqa: D102


Listing = Callable[[str], Sequence[Listed] | None]
"""Lists the directory with this path relative to the location; None when it cannot, or at the source there is none."""


class _Level:
    """A directory of the destination whose entries are being judged.

    Args:
        path: relative to the destination.
        entries: of it.
        empty: whether it is empty at the source, by the manifest.
        source: lists the source; asked only when something seems to be extra.
    """

    def __init__(self, path: str, entries: Sequence[Listed], source: Listing, *, empty: bool) -> None:
        self.path = path
        self.empty = empty
        self.entries = iter(sorted(entries, key=lambda entry: entry.name))
        self._source = source
        self._asked = False
        self._names: frozenset[str] | None = None

    def known(self, name: str) -> bool | None:
        """Whether the source has ``name`` now, in whatever case; None when it cannot be listed."""
        if not self._asked:
            listed = self._source(self.path)
            self._names = None if listed is None else frozenset(folded(entry.name) for entry in listed)
            self._asked = True
        return None if self._names is None else folded(name) in self._names


def extras(
    manifest: Iterable[Item],
    destination: Listing,
    source: Listing,
    *,
    emptied: bool = False,
    others: Collection[str] = (),
) -> Iterator[Verdict]:
    """What the destination has and the manifest has not, in scan order.

    Extra is what is neither in the manifest nor at the source now; both are asked, as the manifest knows nothing of
    links that were ignored, and the source may have got something new.

    Args:
        manifest: all that the source had, in scan order.
        destination: lists the destination.
        source: lists the source.
        emptied: whether to delete also what is in directories that are empty at the source.
        others: relative paths that other transfers deliver to; what is there, and what they are in, stays.
    """
    expected = Ahead(manifest)
    if expected.head is not None and expected.head.type is ItemType.TREE and not expected.head.path:
        yield Verdict(expected.head, TOO_LARGE_TO_LIST)
        return
    if (listed := destination("")) is None:
        yield Verdict(Item("", 0, 0, ItemType.DIRECTORY), UNLISTABLE)
        return
    stack = [_Level("", listed, source, empty=expected.head is None)]
    while stack:
        level = stack[-1]
        entry = next(level.entries, None)
        if entry is None:
            stack.pop()
            continue
        path = f"{level.path}/{entry.name}" if level.path else entry.name
        head = _head_at(expected, path)
        if head is None:
            verdict = _judged(path, entry, level, destination, emptied=emptied)
            taken = verdict.code is None and any(_is_at(path, each) or _is_at(each, path) for each in others)
            yield Verdict(verdict.item, OTHERS) if taken else verdict
            continue
        found = _entered(path, entry, head, destination, source)
        if isinstance(found, _Level):
            stack.append(found)
        elif found is not None:
            yield Verdict(_item(path, entry), found)


def _entered(path: str, entry: Listed, head: Item, destination: Listing, source: Listing) -> _Level | str | None:
    """Of something at or above ``head`` of the manifest: a level to be judged, why it stays, or nothing."""
    is_directory = entry.is_directory and entry.link_target is None
    is_leaf = head.path == path
    if is_leaf and head.type not in (ItemType.FILE, ItemType.DIRECTORY, ItemType.TREE):
        return None  # what could not be read at the source is not known
    if is_directory is (is_leaf and head.type is ItemType.FILE):
        return WRONG_TYPE  # somebody has changed it since it was delivered
    if not is_directory:
        return None
    if is_leaf and head.type is ItemType.TREE:
        return TOO_LARGE_TO_LIST  # nobody knows what of it is extra
    listed = destination(path)
    return UNLISTABLE if listed is None else _Level(path, listed, source, empty=is_leaf)


def _is_at(path: str, other: str) -> bool:
    return path == other or path.startswith(f"{other}/")


def _head_at(expected: Ahead[Item], path: str) -> Item | None:
    """The next item of the manifest if it is at ``path`` or below; those before it are taken."""
    key = scan_order(path)
    while expected.head is not None and scan_order(expected.head.path) < key:
        expected.take()
    head = expected.head
    return head if head is not None and (head.path == path or head.path.startswith(f"{path}/")) else None


def _judged(path: str, entry: Listed, level: _Level, destination: Listing, *, emptied: bool) -> Verdict:
    item = _item(path, entry)
    known = level.known(entry.name)
    if known is not False:
        return Verdict(item, AT_SOURCE if known else SOURCE_UNKNOWN)
    if level.empty and not emptied:
        return Verdict(item, SOURCE_EMPTY)
    if entry.link_target is not None or item.type is ItemType.INVALID_SYMLINK:
        return Verdict(item, SYMLINK)
    if not (_is_unicode(path) and is_nameable(path)):
        return Verdict(item, INVALID_PATH_NAME if _is_unicode(path) else NOT_UNICODE)
    if entry.is_directory:
        return _whole(item, destination)
    return Verdict(item, None if item.type is ItemType.FILE else NOT_A_FILE)


def _whole(directory: Item, destination: Listing) -> Verdict:
    """The verdict on a directory: it goes with all that is in it, unless that has a link or cannot be listed."""
    size = 0
    waiting = [directory.path]
    while waiting:
        path = waiting.pop()
        listed = destination(path)
        if listed is None:
            return Verdict(directory, UNLISTABLE)
        for entry in listed:
            if entry.link_target is not None or entry.type is ItemType.INVALID_SYMLINK:
                return Verdict(directory, SYMLINK)
            if entry.is_directory:
                waiting.append(f"{path}/{entry.name}")
            else:
                size += entry.size
    return Verdict(directory._replace(size=size))


def _item(path: str, entry: Listed) -> Item:
    kind = ItemType.DIRECTORY if entry.is_directory else entry.type
    return Item(path, 0 if entry.is_directory else entry.size, entry.mtime, kind)


def _is_unicode(path: str) -> bool:
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True


def folded(name: str) -> str:
    """What is left of a name where neither case nor the form of accents tells names apart."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())
