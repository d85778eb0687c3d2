"""Comparing what was delivered with what the destination has now, and with what the source has now."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from pydantic import Field

from prefect_globus.transfers.batches import SOURCE_CHANGED
from prefect_globus.transfers.delivered import Ahead, Delivery
from prefect_globus.transfers.items import TOO_LARGE_TO_LIST, Item, ItemType, is_in, scan_order
from prefect_globus.transfers.records import Record

# At the destination:
MISSING = "MISSING"  # there is nothing of that name
WRONG_TYPE = "WRONG_TYPE"  # a directory where a file should be, or the other way round
TRUNCATED = "TRUNCATED"  # it is smaller
OTHER_SIZE = "OTHER_SIZE"  # it is larger
ALTERED = "ALTERED"  # its modification time, or its checksum, says so
# At the source, and SOURCE_CHANGED:
SOURCE_VANISHED = "SOURCE_VANISHED"  # it is not there any more
SOURCE_NEW = "SOURCE_NEW"  # it was not there when the transfer scanned it
# Somewhere: the checksums differ, and Globus has no record of the first one any more.
DIFFERENT = "DIFFERENT"
# In a directory that was transferred as a whole, or a part of it is gone.
FEWER_FILES = "FEWER_FILES"

CODES = frozenset(
    {
        *(MISSING, WRONG_TYPE, TRUNCATED, OTHER_SIZE, ALTERED, FEWER_FILES),
        *(SOURCE_CHANGED, SOURCE_VANISHED, SOURCE_NEW, DIFFERENT),
    }
)

_DIRECTORIES = (ItemType.DIRECTORY, ItemType.TREE)


class Check(Record):
    """What a verification compares.

    Args:
        transfer_id: of the transfer that has delivered.
        source: whether the source is looked at, too.
        checksum: whether Globus compares the contents, and moves again what differs.
        mtime: whether modification times are compared.
        clock_skew: by how much the clock of the destination may be ahead of the driver's, in seconds.
    """

    transfer_id: str
    source: bool = False
    checksum: bool = False
    mtime: bool = True
    clock_skew: float = Field(default=60.0, ge=0)


class Finding(NamedTuple):
    """What is to be known, or done, about one item.

    Args:
        item: as the source has it, or as it was scanned where that was not looked at.
        codes: what differs; empty where nothing is known to, and the contents are still to be compared.
        seen: whether the destination tells; not where that has more entries than Globus lists.
    """

    item: Item
    codes: tuple[str, ...] = ()
    seen: bool = True

    @property
    def can_be_moved(self) -> bool:
        """Whether moving it again may mend it."""
        return self.codes != (SOURCE_VANISHED,)


Look = Callable[[str], Item | None]
"""What is at this relative path of the destination; called in scan order."""

Count = Callable[[str], int | None]
"""How many files are in this directory of the destination; None when nobody can tell."""


def compare(
    check: Check,
    record: Iterable[Delivery],
    look: Look,
    source: Iterable[Item] | None = None,
    wanted: Callable[[Item], bool] = lambda _: True,
    files_in: Count = lambda _: None,
) -> Iterator[Finding]:
    """What differs or cannot be seen, in scan order; with ``check.checksum`` also all files that do not seem to differ.

    What was not delivered, because it was skipped or failed, is no difference.

    Args:
        check: what is compared.
        record: what was delivered, in scan order.
        look: sees the destination.
        source: what the source has now, in scan order; None when it is not to be compared.
        wanted: whether the transfer would take a new item.
        files_in: counts what has come of a directory that was transferred as a whole.
    """
    deliveries = Ahead(record)
    whole: str | None = None
    present = None if source is None else _Present(source)
    while deliveries.head is not None or (present is not None and present.items.head is not None):
        if present is not None and present.is_before(None if deliveries.head is None else deliveries.head.item):
            item = present.take()
            is_known = whole is not None and is_in(item.path, whole)  # as far as it can be
            if not is_known and present.is_new(item, deliveries.head) and wanted(item):
                yield Finding(item, (SOURCE_NEW,))
            continue
        delivery = deliveries.take()
        whole = delivery.path if delivery.item.type is ItemType.TREE else whole
        now = None if present is None else present.take_same(delivery.item)
        if not delivery.is_delivered:
            continue
        at_destination = difference(delivery, look(delivery.item.path), check)
        seen = at_destination != TOO_LARGE_TO_LIST
        if not seen:
            at_destination = FEWER_FILES if _has_fewer(delivery, files_in) else None
        at_source = None if present is None else present.difference(delivery.item, now)
        codes = tuple(code for code in (at_destination, at_source) if code is not None)
        if codes or not seen or (check.checksum and delivery.item.type is ItemType.FILE):
            yield Finding(now or delivery.item, codes, seen)


def _has_fewer(delivery: Delivery, files_in: Count) -> bool:
    if not delivery.files:
        return False
    found = files_in(delivery.path)
    return found is not None and found < delivery.files


def difference(delivery: Delivery, found: Item | None, check: Check) -> str | None:
    """The code of how ``found``, which is at the destination, differs from what was delivered; or that nobody can tell.

    Modification times are whole seconds. Where the copy was not given that of the source, a time later than the end of
    the task that moved it says that the copy was altered since; as two clocks are compared, only one that is later by
    more than ``clock_skew``.
    """
    item = delivery.item
    if found is None:
        return MISSING
    if found.type is ItemType.TREE or (item.type is ItemType.TREE and found.type is ItemType.DIRECTORY):
        return TOO_LARGE_TO_LIST  # nobody can tell
    if found.type is not item.type:
        return WRONG_TYPE
    if item.type is not ItemType.FILE:
        return None
    if delivery.size is not None and found.size != delivery.size:
        return TRUNCATED if found.size < delivery.size else OTHER_SIZE
    return ALTERED if check.mtime and found.mtime and _is_altered(delivery, found.mtime, check.clock_skew) else None


def _is_altered(delivery: Delivery, mtime: int, clock_skew: float) -> bool:
    if delivery.keeps_mtime and delivery.item.mtime:
        return mtime != delivery.item.mtime
    return delivery.ended_at is not None and mtime > delivery.ended_at.timestamp() + clock_skew


def vanished(before: Iterable[Item], now: Iterable[Item]) -> Iterator[Item]:
    """Those items of ``before`` that are not among those of ``now``; all in scan order.

    An item of another type is among them. A directory that has got something in it is still there, and nobody knows
    what one holds that could not be listed.
    """
    present = _Present(now)
    for item in before:
        while present.is_before(item):
            present.take()
        same = present.take_same(item)
        if same is None and present.difference(item, None) == SOURCE_VANISHED:
            yield item


class _Present:
    """What the source has now, beside a record of what it had.

    Args:
        items: in scan order; a directory is one of them only while it is empty.
    """

    def __init__(self, items: Iterable[Item]) -> None:
        self.items = Ahead(items)
        self._unlistable: str | None = None

    def is_before(self, item: Item | None) -> bool:
        """Whether the next item comes before ``item`` in scan order."""
        head = self.items.head
        if head is None or item is None:
            return head is not None
        return scan_order(head.path) < scan_order(item.path)

    def take(self) -> Item:
        """The next item, which is then behind."""
        item = self.items.take()
        if item.type in (ItemType.UNLISTABLE, ItemType.TREE):
            self._unlistable = item.path
        return item

    def take_same(self, item: Item) -> Item | None:
        """The one of the same path as ``item``, if it comes next."""
        head = self.items.head
        return self.take() if head is not None and head.path == item.path else None

    def is_new(self, item: Item, following: Delivery | None) -> bool:
        """Whether ``item`` was not there before, if the record goes on with ``following``."""
        if item.type in _DIRECTORIES:  # if the record has something in it, it is only empty now, or grown too large
            return following is None or not is_in(following.item.path, item.path)
        return item.type is ItemType.FILE

    def difference(self, item: Item, now: Item | None) -> str | None:
        """The code of how ``now``, which is at the source, differs from the ``item`` that was scanned."""
        if self._unlistable is not None and (item.path == self._unlistable or is_in(item.path, self._unlistable)):
            return None  # nobody knows
        if now is None:
            head = self.items.head
            is_filled = item.type in _DIRECTORIES and head is not None and is_in(head.path, item.path)
            return None if is_filled else SOURCE_VANISHED
        if item.type is ItemType.DIRECTORY is now.type:
            return None
        return None if now == item else SOURCE_CHANGED
