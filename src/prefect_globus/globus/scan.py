"""The scan: an ordered, streaming walk of the source that can go on after any path."""

from __future__ import annotations

import logging
import posixpath
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from prefect_globus.globus.service import Entry
from prefect_globus.transfers.items import Item, ItemType, is_nameable
from prefect_globus.transfers.selecting import Selection

_log = logging.getLogger(__name__)

Listing = Callable[[str], Sequence[Entry] | None]
"""Lists the directory with this path relative to the source (``""`` is the source itself); None when it cannot."""


@dataclass(frozen=True)
class _Directory:
    """A directory whose entries are being walked.

    Args:
        path: relative to the source.
        real: on the collection, with symbolic links resolved, as far as the listing tells; finds loops.
        entries: those not yet walked, in order.
    """

    path: str
    real: str
    entries: Iterator[Entry]


@dataclass(frozen=True)
class Walk:
    """An ordered walk of a tree.

    Args:
        listing: lists one directory.
        selection: which items are wanted, and which directories are entered.
        root: the path of the source on its collection.
        follow: whether symbolic links are followed; otherwise they are left out.
        after: go on behind this path, without listing what lies before it.
    """

    listing: Listing
    selection: Selection
    root: str = "/"
    follow: bool = False
    after: str | None = None

    def items(self) -> Iterator[Item]:
        """Yield the items, depth first, names in code point order, with one listing in memory for each level."""
        stack = [_Directory("", self.root, self._in_order("", self.listing("") or ()))]
        while stack:
            parent = stack[-1]
            entry = next(parent.entries, None)
            if entry is None:
                stack.pop()
                continue
            path = f"{parent.path}/{entry.name}" if parent.path else entry.name
            item = Item(path, entry.size, entry.mtime, entry.type)
            if entry.is_directory:
                if not self.selection.enters(path) or _loops(path, entry, stack):
                    continue
                listed = self.listing(path) if is_nameable(path) else None
                if listed is None:
                    yield Item(path, 0, entry.mtime, ItemType.UNLISTABLE)  # what it holds cannot be selected
                    continue
                entries = [child for child in listed if self._sees(child)]
                if entries:
                    stack.append(_Directory(path, _real(entry, parent), self._in_order(path, entries)))
                    continue
                if self.after is not None and self.after.startswith(f"{path}/"):
                    continue  # it was not empty when the cursor came through
                item = Item(path, 0, entry.mtime, ItemType.DIRECTORY)
            if self.selection.takes(item):
                yield item

    def _sees(self, entry: Entry) -> bool:
        return self.follow or entry.link_target is None

    def _in_order(self, path: str, entries: Sequence[Entry]) -> Iterator[Entry]:
        """The entries of directory ``path`` that are not yet in the manifest, sorted."""
        ordered = sorted(filter(self._sees, entries), key=lambda entry: entry.name)
        prefix = f"{path}/" if path else ""
        if self.after is None or not self.after.startswith(prefix):
            return iter(ordered)
        # the cursor lies in this directory: go on behind its name, or with it where it leads further down
        name, slash, _ = self.after[len(prefix) :].partition("/")
        return (each for each in ordered if each.name > name or (each.name == name and slash and each.is_directory))


def _real(entry: Entry, parent: _Directory) -> str:
    return posixpath.normpath(posixpath.join(parent.real, entry.link_target or entry.name))


def _loops(path: str, entry: Entry, stack: list[_Directory]) -> bool:
    """Whether a link leads back to a directory that the walk is in."""
    if entry.link_target is None:
        return False
    real = _real(entry, stack[-1])
    loops = any(f"{directory.real}/".startswith(f"{real.rstrip('/')}/") for directory in stack)
    if loops:
        _log.warning("The link %r leads back to %s and is not followed", path, entry.link_target)
    return loops
