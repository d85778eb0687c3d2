"""Listing the source, and a destination, through the driver's patience."""

from __future__ import annotations

import posixpath
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial

from prefect_globus.globus.scan import Ahead, Walk
from prefect_globus.globus.service import Entry
from prefect_globus.tasks.driver import Driver
from prefect_globus.tasks.logs import run_logger
from prefect_globus.transfers.errors import (
    DirectoryTooLargeError,
    GlobusNotFoundError,
    GlobusRefusedPathError,
    InvalidInputError,
    SourceNotFoundError,
)
from prefect_globus.transfers.extras import folded
from prefect_globus.transfers.items import Item, ItemType
from prefect_globus.transfers.location import Location
from prefect_globus.transfers.model import Transfer
from prefect_globus.transfers.removals import Sight
from prefect_globus.transfers.selecting import Selection

# Codes that speak of the path alone: not of the whole collection, and not of a directory that is too large to list.
_SKIPPABLE = ("PermissionDenied", "ClientError.NotFound", "NotDirectory")


def source_items(driver: Driver, transfer: Transfer, selection: Selection, after: str | None) -> Generator[Item]:
    """What the source of ``transfer`` has, in scan order.

    Args:
        driver: who asks.
        transfer: whose source and options apply.
        selection: which items are wanted.
        after: begin behind this path.
    """
    if not transfer.source_is_file:
        if after == "":  # the whole source is one item
            return
        follow = transfer.options.symlinks == "follow"
        listing = partial(_listing, transfer, partial(_listed, driver, transfer.source))

        def at_once(path: str, most: int) -> Sequence[Entry] | ItemType:
            return _listing(transfer, partial(_listed_at_once, driver, transfer.source, most=most), path)

        ahead = Ahead(driver.listers, at_once)
        yield from Walk(listing, selection, transfer.source.path, follow, after, ahead).items()
    elif after is None:
        entry = driver.patiently(driver.globus.stat, transfer.source)
        if entry is None:
            raise SourceNotFoundError(location=transfer.source)
        if entry.is_directory:
            reason = (
                f"The source {transfer.source} was a file when transfer {transfer.id!r} began, and is a directory now"
            )
            raise InvalidInputError(reason=f"{reason}: choose another transfer id for it")
        item = Item(transfer.source.name, entry.size, entry.mtime, entry.type)
        if selection.takes(item):
            yield item._replace(path="")


def _listing(transfer: Transfer, listed: Callable[[str], Sequence[Entry]], path: str) -> Sequence[Entry] | ItemType:
    """A directory's entries; or a TREE where it has too many, or UNLISTABLE when it is to be skipped as unreadable.

    Without skip_source_errors that ends the scan: the cursor stays before the directory, so that a resume lists it
    when it is mended.
    """
    try:
        return listed(path)
    except DirectoryTooLargeError as error:
        run_logger().info("%s It is transferred as a whole.", error)
        return ItemType.TREE
    except (GlobusNotFoundError, GlobusRefusedPathError) as error:
        if not path or not transfer.options.skip_source_errors or not error.code.endswith(_SKIPPABLE):
            raise
        run_logger().warning("%s It is skipped.", error)
        return ItemType.UNLISTABLE


def _listed(driver: Driver, location: Location, path: str) -> Sequence[Entry]:
    driver.stop.check_new()
    return driver.patiently(driver.globus.list_directory, location.child(path))


def _listed_at_once(driver: Driver, location: Location, path: str, most: int) -> Sequence[Entry]:
    """The same without patience, and at most so many entries, for what is listed ahead."""
    driver.stop.check_new()
    return driver.globus.list_directory(location.child(path), most)


def items_there(driver: Driver, location: Location, selection: Selection) -> Iterator[Item]:
    """What the directory ``location`` has, in scan order; symbolic links are not among it.

    A directory in it that has too many entries to be listed is a TREE.
    """
    listing = partial(_listing_of_what_is_there, partial(_listed, driver, location))

    def at_once(path: str, most: int) -> Sequence[Entry] | ItemType:
        return _listing_of_what_is_there(partial(_listed_at_once, driver, location, most=most), path)

    walk = Walk(listing, selection, location.path, ahead=Ahead(driver.listers, at_once))
    return (each for each in walk.items() if each.type is not ItemType.UNLISTABLE)


def _listing_of_what_is_there(listed: Callable[[str], Sequence[Entry]], path: str) -> Sequence[Entry] | ItemType:
    try:
        return listed(path)
    except DirectoryTooLargeError as error:
        if not path:
            raise
        run_logger().warning("%s What is in it is not known.", error)
        return ItemType.TREE
    except GlobusNotFoundError:
        return ItemType.UNLISTABLE  # it has vanished meanwhile


class View:
    """What a location has, asked for in scan order: each directory is listed once.

    Args:
        driver: who asks.
        location: a file, or a directory.
        is_file: which of these the items are relative to.
    """

    def __init__(self, driver: Driver, location: Location, *, is_file: bool | None) -> None:
        self._driver = driver
        self._location = location
        self._is_file = is_file
        self._open: list[_Level] = []  # the directories from the root to the latest one

    def look(self, path: str) -> Item | None:
        """What is at ``path``, relative to the location; None when there is nothing.

        A TREE where nobody can tell, because the directory that it would be in has too many entries to be listed.
        """
        return _item(path, self._entry(path))

    def sight(self, path: str) -> Sight:
        """The same, and how certain it is that this is it."""
        entry = self._entry(path)
        if entry is None or self._is_file:
            return Sight(_item(path, entry), linked=entry is not None and entry.link_target is not None)
        ways = list(zip(self._open, path.split("/"), strict=True))
        if any(isinstance(listed.entries, _Anything) for listed, _ in ways):
            return Sight(Item(path, 0, 0, ItemType.TREE))
        linked = any(listed.entries[name].link_target is not None for listed, name in ways)
        return Sight(
            _item(path, entry), linked=linked, ambiguous=any(listed.is_ambiguous(name) for listed, name in ways)
        )

    def _entry(self, path: str) -> Entry | None:
        if self._is_file:
            return self._driver.patiently(self._driver.globus.stat, self._location)
        return self._entries(posixpath.dirname(path)).get(posixpath.basename(path))

    def _entries(self, directory: str) -> Mapping[str, Entry]:
        while self._open and not f"{directory}/".startswith(_prefix(self._open[-1].path)):
            self._open.pop()
        if not self._open:
            self._open.append(_Level("", self._listed("")))
        path, entries = self._open[-1].path, self._open[-1].entries
        for name in filter(None, directory[len(_prefix(path)) :].split("/")):
            found = entries.get(name)
            path = posixpath.join(path, name)
            entries = self._listed(path) if found is not None and found.is_directory else {}
            self._open.append(_Level(path, entries))
        return entries

    def _listed(self, path: str) -> Mapping[str, Entry]:
        try:
            listed = listing_if_there(self._driver, self._location, path)
        except DirectoryTooLargeError as error:
            return self._unseen(error)
        return {entry.name: entry for entry in listed or ()}

    def _unseen(self, error: DirectoryTooLargeError) -> Mapping[str, Entry]:
        run_logger().warning("%s What is in it is not known.", error)
        return _Anything()


class _Anything(Mapping[str, Entry]):
    """The entries of a directory that has more than Globus lists: whatever is asked for may be there."""

    def __getitem__(self, name: str) -> Entry:
        # a directory, as far as that: what it holds may be listed
        return Entry(name, ItemType.TREE, size=0, mtime=0, link_target=None)

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0


class DestinationView(View):
    """What the destination of ``transfer`` has."""

    def __init__(self, driver: Driver, transfer: Transfer) -> None:
        super().__init__(driver, transfer.destination, is_file=transfer.source_is_file)


@dataclass(frozen=True)
class _Level:
    """A directory that was listed."""

    path: str
    entries: Mapping[str, Entry]

    def is_ambiguous(self, name: str) -> bool:
        """Whether it has another name that some file systems could not tell from this one."""
        return self._names[folded(name)] > 1

    @cached_property
    def _names(self) -> Counter[str]:
        return Counter(map(folded, self.entries))


def listing_if_there(driver: Driver, location: Location, path: str) -> Sequence[Entry] | None:
    """The entries of a directory ``path`` of a location; None when there is none."""
    try:
        return _listed(driver, location, path)
    except GlobusNotFoundError:
        return None


def _item(path: str, entry: Entry | None) -> Item | None:
    return None if entry is None else Item(path, entry.size, entry.mtime, entry.type)


def _prefix(path: str) -> str:
    return f"{path}/" if path else ""
