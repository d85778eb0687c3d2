"""The scan: an ordered, streaming walk of the source that can go on after any path."""

from __future__ import annotations

import logging
import posixpath
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from operator import attrgetter

from prefect_globus.globus.lookahead import LookAhead
from prefect_globus.globus.service import Entry
from prefect_globus.transfers.items import Item, ItemType, as_item, is_nameable
from prefect_globus.transfers.selecting import Selection

_log = logging.getLogger(__name__)
_path_of = attrgetter("path")

Listing = Callable[[str], Sequence[Entry] | ItemType]
"""Lists the directory with this path relative to the source (``""`` is the source itself).

Where it cannot be listed, and that is no error: as what sort of item the directory counts instead.
"""

Glance = Callable[[str, int], Sequence[Entry] | ItemType]
"""The same, but of the entries not more than this many."""


@dataclass(frozen=True)
class Ahead:
    """How directories are listed before the walk comes to them.

    Args:
        pool: whose threads list them.
        listing: asks once; where it raises, or finds as much as it may, the walk asks for itself when it comes there.
    """

    pool: Executor
    listing: Glance


@dataclass(frozen=True)
class _Folder:
    """What a directory holds, or as what it counts instead.

    Args:
        path: relative to the source.
        items: those not yet in the manifest, in order; the directories among them are the ones that are entered.
        directories: the positions of these.
        links: by path, where those lead that are symbolic links.
        is_empty: whether it holds nothing at all.
        instead: what it counts as where it cannot be listed.
    """

    path: str
    items: Sequence[Item] = ()
    directories: Sequence[int] = ()
    links: Mapping[str, str] = field(default_factory=dict)
    is_empty: bool = False
    instead: ItemType | None = None

    @property
    def width(self) -> int:
        return len(self.items)

    @property
    def ahead(self) -> list[str]:
        """Those that the walk is sure to enter: of links it depends on where it is by then."""
        paths = (self.items[position].path for position in self.directories)
        return [path for path in paths if path not in self.links and is_nameable(path)]

    def runs(self) -> Iterator[tuple[Sequence[Item], Item | None]]:
        """What comes before each of the directories, with that; at the end what is left, with None."""
        begin = 0
        for position in self.directories:
            yield self.items[begin:position], self.items[position]
            begin = position + 1
        yield self.items[begin:], None


@dataclass(frozen=True)
class _Level:
    """A directory that the walk is in.

    Args:
        folder: what it holds.
        real: its path on the collection, with symbolic links resolved, as far as the listing tells; finds loops.
        runs: what is left of it.
    """

    folder: _Folder
    real: str
    runs: Iterator[tuple[Sequence[Item], Item | None]]


@dataclass(frozen=True)
class Walk:
    """An ordered walk of a tree.

    Args:
        listing: lists one directory.
        selection: which items are wanted, and which directories are entered.
        root: the path of the source on its collection.
        follow: whether symbolic links are followed; otherwise they are left out.
        after: go on behind this path, without listing what lies before it.
        ahead: lists directories before the walk comes to them; None to list one after the other.
    """

    listing: Listing
    selection: Selection
    root: str = "/"
    follow: bool = False
    after: str | None = None
    ahead: Ahead | None = None

    def items(self) -> Iterator[Item]:
        """Yield the items, depth first, names in code point order.

        In memory are one listing for each level and what is listed ahead, which goes on until the iterator is closed.
        """
        with self._looking_ahead() as ahead:
            root = self._folder("", ahead)
            if root.instead is not None:
                yield Item("", 0, 0, root.instead)
                return
            stack = [_level(root, self.root)]
            while stack:
                run, directory = next(stack[-1].runs)
                yield from self.selection.chosen(run)
                if directory is None:
                    stack.pop()
                elif not _loops(directory, stack):
                    folder = self._folder(directory.path, ahead)
                    if folder.instead is not None:  # what it holds cannot be selected
                        yield directory._replace(size=0, type=folder.instead)
                    elif not folder.is_empty:
                        stack.append(_level(folder, _real(directory, stack[-1])))
                    elif self.after is None or not self.after.startswith(f"{directory.path}/"):
                        yield from self.selection.chosen([directory._replace(size=0)])
                    # else it was not empty when the cursor came through

    def _looking_ahead(self) -> LookAhead[_Folder]:
        return LookAhead(None if self.ahead is None else self.ahead.pool, self._glanced)

    def _glanced(self, path: str, most: int) -> _Folder | None:
        if self.ahead is None:
            return None
        listed = self.ahead.listing(path, most)
        if not isinstance(listed, ItemType) and len(listed) >= most:  # there may be more
            return None
        return self._opened(path, listed)

    def _folder(self, path: str, ahead: LookAhead[_Folder]) -> _Folder:
        if not is_nameable(path):
            return _Folder(path, instead=ItemType.UNLISTABLE)
        folder = ahead.take(path)
        if folder is None:
            folder = self._opened(path, self.listing(path))
            ahead.go_on(folder)
        return folder

    def _opened(self, path: str, listed: Sequence[Entry] | ItemType) -> _Folder:
        if isinstance(listed, ItemType):
            return _Folder(path, instead=listed)
        seen = listed if self.follow else [entry for entry in listed if entry.link_target is None]
        if not seen:
            return _Folder(path, is_empty=True)
        prefix = f"{path}/" if path else ""
        names, types, sizes, mtimes, targets = zip(*seen, strict=True)
        items = sorted(map(as_item, zip(map(prefix.__add__, names), sizes, mtimes, types, strict=True)), key=_path_of)
        if self.after is not None and self.after.startswith(prefix):
            items = _behind(items, prefix, self.after)
        if ItemType.DIRECTORY not in types:
            return _Folder(path, items)
        items = [item for item in items if item.type is not ItemType.DIRECTORY or self.selection.enters(item.path)]
        directories = [position for position, item in enumerate(items) if item.type is ItemType.DIRECTORY]
        links = {prefix + name: target for name, target in zip(names, targets, strict=True) if target is not None}
        return _Folder(path, items, directories, links)


def _behind(items: Sequence[Item], prefix: str, cursor: str) -> list[Item]:
    """The ``items`` of the directory in which the cursor lies that are not yet in the manifest."""
    name, slash, _ = cursor[len(prefix) :].partition("/")
    at = prefix + name  # behind it, or with it where it leads further down
    return [item for item in items if item.path > at or (item.path == at and slash and item.type is ItemType.DIRECTORY)]


def _level(folder: _Folder, real: str) -> _Level:
    return _Level(folder, real, folder.runs())


def _real(directory: Item, parent: _Level) -> str:
    there = parent.folder.links.get(directory.path, posixpath.basename(directory.path))
    return posixpath.normpath(posixpath.join(parent.real, there))


def _loops(directory: Item, stack: list[_Level]) -> bool:
    """Whether a link leads back to a directory that the walk is in."""
    target = stack[-1].folder.links.get(directory.path)
    if target is None:
        return False
    real = _real(directory, stack[-1])
    loops = any(f"{level.real}/".startswith(f"{real.rstrip('/')}/") for level in stack)
    if loops:
        _log.warning("The link %r leads back to %s and is not followed", directory.path, target)
    return loops
