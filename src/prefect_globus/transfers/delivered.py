"""What was delivered, by the manifests of the transfers that have delivered it: there is no other record of it.

Manifests are in scan order, so those of many transfers are read side by side, with one batch of each in memory.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from heapq import merge
from itertools import groupby
from operator import itemgetter
from typing import Generic, NamedTuple, Protocol, TypeVar

from prefect_globus.transfers.batches import SOURCE_CHANGED, Batch
from prefect_globus.transfers.items import Item, ItemType, Outcome, scan_order

FORGOTTEN = "FORGOTTEN"  # ours: the record of its delivery was cleared

_DELIVERED = (Outcome.TRANSFERRED, Outcome.UNCHANGED)


class Record(Protocol):
    """What is known of one path, by one transfer or by several."""

    @property
    def path(self) -> str:
        """Relative to the locations."""

    def stands_for(self, item: Item) -> bool:
        """Whether ``item``, as it is at the source now, is what was delivered there."""


class Judge(Protocol):
    """Tells which items of a scan need not be moved."""

    def outcomes(self, items: Iterable[Item]) -> bytes:
        """One `Outcome` a byte for each of ``items``, which go on in scan order: UNCHANGED, or REMAINING."""


class _HasPath(Protocol):
    @property
    def path(self) -> str: ...


_T = TypeVar("_T")
_P = TypeVar("_P", bound=_HasPath)


class Delivery(NamedTuple):
    """What one transfer knows of one item.

    Args:
        item: as it was scanned.
        outcome: what became of it.
        codes: of what was noted of it as it stands.
        ended_at: when the last Globus task of its batch had ended, by the driver's clock; None where none was needed.
        size: bytes that were moved; None where they are not known.
        keeps_mtime: whether the copy was given the modification time of the item.
    """

    item: Item
    outcome: Outcome
    codes: frozenset[str] = frozenset()
    ended_at: datetime | None = None
    size: int | None = None
    keeps_mtime: bool = False

    @property
    def path(self) -> str:
        """The item's."""
        return self.item.path

    @property
    def is_delivered(self) -> bool:
        """Whether the destination has got it, from this transfer or before."""
        return self.outcome in _DELIVERED

    @property
    def is_sound(self) -> bool:
        """Whether the destination has got all of it, in a state that is known and still counts."""
        return self.is_delivered and not self.codes & {FORGOTTEN, SOURCE_CHANGED}

    def stands_for(self, item: Item) -> bool:
        """Whether ``item``, as it is at the source now, is what was delivered: the same size and modification time.

        What has changed while it was moved is not, as nobody knows which state was read.
        """
        if not self.is_sound:
            return False
        if item.type is ItemType.FILE:
            return item == self.item
        return item.type is self.item.type is ItemType.DIRECTORY  # an empty one: its time says nothing


def deliveries_of(
    batch: Batch, items: Sequence[Item], changed: Mapping[str, int], *, preserve_timestamp: bool
) -> Iterator[Delivery]:
    """What ``batch`` knows of its ``items``, in order.

    Args:
        batch: any.
        items: its manifest.
        changed: by path, the sizes of those that had changed when they were moved, as far as they are known.
        preserve_timestamp: the option of its transfer.
    """
    codes: dict[str, set[str]] = defaultdict(set)
    for fault in batch.faults:
        if fault.outcome is not Outcome.REMAINING:
            codes[fault.path].add(fault.code)
    ended_at = max((attempt.ended_at for attempt in batch.attempts if attempt.ended_at), default=None)
    for item, number in zip(items, batch.outcomes, strict=True):
        outcome, noted = Outcome(number), frozenset(codes.get(item.path, ()))
        keeps_mtime = preserve_timestamp and outcome is Outcome.TRANSFERRED and SOURCE_CHANGED not in noted
        size = changed.get(item.path) if SOURCE_CHANGED in noted else item.size
        yield Delivery(item, outcome, noted, ended_at, size, keeps_mtime)


def merged(records: Sequence[Iterable[Delivery]]) -> Iterator[Delivery]:
    """The deliveries of many transfers in one scan order.

    Of each path the first of ``records`` that has it decides, so the newest transfer comes first.
    """
    keyed = [_keyed(record, age) for age, record in enumerate(records)]
    for _, same in groupby(merge(*keyed), key=itemgetter(0)):
        yield next(same)[2]


def _keyed(record: Iterable[Delivery], age: int) -> Iterator[tuple[str, int, Delivery]]:
    for delivery in record:
        yield scan_order(delivery.item.path), age, delivery


class Ahead(Generic[_T]):
    """An iterator whose next element can be looked at.

    Args:
        elements: what is iterated over.
    """

    def __init__(self, elements: Iterable[_T]) -> None:
        self._elements = iter(elements)
        self.head: _T | None = next(self._elements, None)

    def take(self) -> _T:
        """The next element, which is then behind; IndexError if there is none."""
        if self.head is None:
            raise IndexError
        taken, self.head = self.head, next(self._elements, None)
        return taken


class Beside(Generic[_P]):
    """A record that is read beside a scan.

    Args:
        record: in scan order.
    """

    def __init__(self, record: Iterable[_P]) -> None:
        self._record = Ahead(record)

    def at(self, path: str) -> _P | None:
        """What the record has of ``path``, if anything; each path comes after the one before, in scan order."""
        key, record = scan_order(path), self._record
        while record.head is not None and scan_order(record.head.path) < key:
            record.take()
        return record.head if record.head is not None and record.head.path == path else None


class Recall:
    """Tells which items of a scan were delivered before, by what is on record; a `Judge`.

    Args:
        record: what is known, in scan order.
    """

    def __init__(self, record: Iterable[Record]) -> None:
        self._record = Beside(record)

    def outcomes(self, items: Iterable[Item]) -> bytes:
        """See `Judge.outcomes`."""
        return bytes(Outcome.UNCHANGED if self._knows(item) else Outcome.REMAINING for item in items)

    def _knows(self, item: Item) -> bool:
        known = self._record.at(item.path)
        return known is not None and known.stands_for(item)
