"""Items of a submission that the task has not come to yet, a thousand to a row.

A row of its own for each of a million items would cost more than all that is done with it. So full bundles of plain
items are kept as they came. When the task comes to one, either all of it passes at once and is on record as a whole, or
it is broken up into pieces of work. Each function is part of a transaction of the caller.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import orjson

from prefect_globus.emulator.tasks.model import Item, Kind

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator, Sequence

SIZE = 1000
PLAIN = (None, None)  # the checksum and its algorithm of an item that has none
NEXT = """SELECT first FROM bundles WHERE task = ? AND first > ? AND NOT EXISTS
    (SELECT * FROM moved_bundles AS moved WHERE moved.task = bundles.task AND moved.first = bundles.first)
    ORDER BY first LIMIT 1"""
MOVED = """SELECT first, items, algorithm, files FROM moved_bundles JOIN bundles USING (task, first)
    WHERE task = ? AND first > ? ORDER BY first LIMIT ?"""


class Bundle(NamedTuple):
    """Items of a task, numbered from `first` on: of each its source path, its destination path, and `recursive`."""

    first: int
    items: list[tuple[str, str, bool | None]]

    @property
    def last(self) -> int:
        """The number of the last item."""
        return self.first + len(self.items) - 1

    def numbered(self) -> Iterator[tuple[int, Item]]:
        """Yield the items with their numbers."""
        for seq, (source, destination, recursive) in enumerate(self.items, self.first):
            yield seq, Item(Kind.ITEM, source, destination, recursive)


class MovedBundle(NamedTuple):
    """A bundle of which every item was a file and was moved: of each its size, and its checksum if one was taken."""

    first: int
    algorithm: str | None
    files: Sequence[tuple[int, str | None]]


class MovedItem(NamedTuple):
    """A file that was moved, and between which paths."""

    seq: int
    source_path: str
    destination_path: str
    size: int
    checksum: str | None
    algorithm: str | None


def add(connection: sqlite3.Connection, task: int, items: Sequence[Item]) -> list[tuple[int, Item]]:
    """Keep the bundles that items of a new task fill; return the items that are left, with their numbers from 1 on."""
    left: list[tuple[int, Item]] = []
    for start in range(0, len(items), SIZE):
        some = items[start : start + SIZE]
        if len(some) < SIZE or not all(_is_plain(item) for item in some):
            left += enumerate(some, start + 1)
            continue
        text = orjson.dumps([item[1:4] for item in some])
        connection.execute("INSERT INTO bundles (task, first, items) VALUES (?, ?, ?)", (task, start + 1, text))
    return left


def _is_plain(item: Item) -> bool:
    return item.kind is Kind.ITEM and not item.recursive and item[4:] == PLAIN


def following(connection: sqlite3.Connection, task: int, after: int) -> Bundle | None:
    """Return the first bundle that follows the piece of work `after` and was not moved."""
    found = connection.execute(NEXT, (task, after)).fetchone()
    if found is None:
        return None
    query = "SELECT items FROM bundles WHERE task = ? AND first = ?"
    return Bundle(found[0], orjson.loads(connection.execute(query, (task, found[0])).fetchone()[0]))


def remove(connection: sqlite3.Connection, task: int, bundle: Bundle) -> None:
    """Remove a bundle that is broken up."""
    connection.execute("DELETE FROM bundles WHERE task = ? AND first = ?", (task, bundle.first))


def moved(connection: sqlite3.Connection, task: int, bundles: Sequence[MovedBundle]) -> None:
    """Note that bundles were moved."""
    connection.executemany(
        "INSERT INTO moved_bundles (task, first, algorithm, files) VALUES (?, ?, ?, ?)",
        [(task, first, algorithm, orjson.dumps([*map(tuple, files)])) for first, algorithm, files in bundles],
    )


def moved_items(connection: sqlite3.Connection, task: int, after: int, limit: int) -> list[MovedItem]:
    """Return files of moved bundles, in order, following the piece of work `after`: at least `limit`, or all."""
    rows = connection.execute(MOVED, (task, after - SIZE, limit // SIZE + 2)).fetchall()
    return [
        MovedItem(seq, source, destination, size, checksum, algorithm)
        for first, items, algorithm, files in rows
        for seq, ((source, destination, _), (size, checksum)) in enumerate(
            zip(orjson.loads(items), orjson.loads(files), strict=True), first
        )
        if seq > after
    ]
