"""What was delivered, by the manifests of the transfers that have delivered it: there is no other record of it.

Manifests are in scan order, so those of many transfers are read side by side, with one batch of each in memory.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from heapq import merge
from itertools import groupby, islice
from operator import attrgetter, itemgetter
from typing import Generic, NamedTuple, Protocol, TypeVar

from prefect_globus.transfers.batches import SOURCE_CHANGED, Batch
from prefect_globus.transfers.items import Item, ItemType, Outcome, is_in, scan_order

FORGOTTEN = "FORGOTTEN"  # ours: the record of its delivery was cleared

_DELIVERED = frozenset({Outcome.TRANSFERRED, Outcome.UNCHANGED})
_COMPARABLE = frozenset({ItemType.FILE, ItemType.DIRECTORY})
_BY_KNOWN = bytes([Outcome.REMAINING, Outcome.UNCHANGED]).ljust(256, b"\0")  # what becomes of an item that is known
_UNSOUND = frozenset({FORGOTTEN, SOURCE_CHANGED})
_RUN = 1000


class Judge(Protocol):
    """Tells which items of a scan need not be moved."""

    def outcomes(self, items: Sequence[Item]) -> bytes:
        """One `Outcome` a byte for each of ``items``, which go on in scan order: UNCHANGED, or REMAINING."""


class _HasPath(Protocol):
    @property
    def path(self) -> str: ...


_T = TypeVar("_T")
_K = TypeVar("_K", bound=Hashable)
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
        files: of a directory that was transferred as a whole, how many files must be in it at least.
    """

    item: Item
    outcome: Outcome
    codes: frozenset[str] = frozenset()
    ended_at: datetime | None = None
    size: int | None = None
    keeps_mtime: bool = False
    files: int | None = None

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
        return self.is_delivered and not self.codes & _UNSOUND

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
    # of several attempts two may have moved the same file, which had changed in between
    files = max((attempt.files_transferred for attempt in batch.attempts), default=0) if batch.is_whole else None
    for item, number in zip(items, batch.outcomes, strict=True):
        outcome, noted = Outcome(number), frozenset(codes.get(item.path, ()))
        keeps_mtime = preserve_timestamp and outcome is Outcome.TRANSFERRED and SOURCE_CHANGED not in noted
        size = changed.get(item.path) if SOURCE_CHANGED in noted else item.size
        yield Delivery(item, outcome, noted, ended_at, size, keeps_mtime, files)


def merged(records: Sequence[Iterable[Delivery]]) -> Iterator[Delivery]:
    """The deliveries of many transfers in one scan order.

    Of each path the first of ``records`` that has it decides, so the newest transfer comes first. What a newer one has
    sent as a part of a whole directory is not known to be delivered any more.
    """
    keyed = [_keyed(record, age) for age, record in enumerate(records)]
    wholes: list[tuple[str, int]] = []
    for _, same in groupby(merge(*keyed), key=itemgetter(0)):
        known = [(age, delivery) for _, age, delivery in same]
        age, delivery = known[0]
        wholes = [(whole, by) for whole, by in wholes if is_in(delivery.path, whole)]
        if any(by < age for _, by in wholes):
            delivery = delivery._replace(outcome=Outcome.REMAINING)
        yield delivery
        wholes += [(each.path, by) for by, each in known if each.item.type is ItemType.TREE]


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


class Window(Generic[_T, _K]):
    """The stretch of a record that lies beside a run of a scan.

    Args:
        runs: the record, in scan order.
        path_of: tells the path of an element of a run.
        keys: what is looked for of the elements of a run.
    """

    def __init__(
        self,
        runs: Iterable[Sequence[_T]],
        path_of: Callable[[_T], str],
        keys: Callable[[Sequence[_T]], set[_K]],
    ) -> None:
        self._runs = iter(runs)
        self._path_of = path_of
        self._keys = keys
        self._beside: list[tuple[str, set[_K]]] = []  # each with where it ends

    def beside(self, run: Sequence[_T]) -> set[_K]:
        """The keys of what the record has from the first element of ``run`` to the last, and of what is near.

        Each run comes after the one before, in scan order.
        """
        begin, end = scan_order(self._path_of(run[0])), scan_order(self._path_of(run[-1]))
        self._beside = [each for each in self._beside if each[0] >= begin]
        while not self._beside or self._beside[-1][0] < end:
            beside = next(self._runs, None)
            if beside is None:
                break
            if beside and (last := scan_order(self._path_of(beside[-1]))) >= begin:
                self._beside.append((last, self._keys(beside)))
        if len(self._beside) == 1:
            return self._beside[0][1]
        return set[_K]().union(*(keys for _, keys in self._beside))


class Recall:
    """Tells which items of a scan were delivered before, by what is on record; a `Judge`.

    Args:
        record: the items that were, as they were then; in runs, in scan order.
    """

    def __init__(self, record: Iterable[Sequence[Item]]) -> None:
        self._record = Window(record, attrgetter("path"), _comparable)

    def outcomes(self, items: Sequence[Item]) -> bytes:
        """See `Judge.outcomes`."""
        known = self._record.beside(items) if items else set[Item]()
        return bytes(map(known.__contains__, _bared(items))).translate(_BY_KNOWN)


def _comparable(items: Sequence[Item]) -> set[Item]:
    if _types(items) <= _COMPARABLE:
        return set(_bared(items))
    return set(_bared([item for item in items if item.type in _COMPARABLE]))


def _bared(items: Sequence[Item]) -> Sequence[Item]:
    """``items`` without what says nothing of whether they are the same: the times of empty directories."""
    if ItemType.DIRECTORY not in _types(items):
        return items
    return [Item(item.path, 0, 0, item.type) if item.type is ItemType.DIRECTORY else item for item in items]


def _types(items: Sequence[Item]) -> set[ItemType]:
    return set(map(attrgetter("type"), items))


def delivered_items(batch: Batch, items: Sequence[Item]) -> list[Item]:
    """Those ``items`` of ``batch`` that the destination has got, in order."""
    return [item for item, outcome in zip(items, batch.outcomes, strict=True) if outcome in _DELIVERED]


def delivered_paths(batch: Batch, paths: Sequence[str]) -> Sequence[str]:
    """The same of the ``paths`` of its items."""
    if not batch.outcomes.translate(None, bytes(_DELIVERED)):
        return paths
    return [path for path, outcome in zip(paths, batch.outcomes, strict=True) if outcome in _DELIVERED]


def sound_items(batch: Batch, items: Sequence[Item], outcomes: Collection[int] = _DELIVERED) -> Sequence[Item]:
    """Those ``items`` of ``batch`` that have one of ``outcomes`` and whose delivery still counts, in order."""
    lost = {fault.path for fault in batch.faults if fault.outcome is not Outcome.REMAINING and fault.code in _UNSOUND}
    if not lost and not batch.outcomes.translate(None, bytes(outcomes)):
        return items
    pairs = zip(items, batch.outcomes, strict=True)
    return [item for item, outcome in pairs if outcome in outcomes and item.path not in lost]


def in_runs(items: Iterable[_T]) -> Iterator[list[_T]]:
    """Cut ``items`` into runs for a `Window`."""
    elements = iter(items)
    while run := list(islice(elements, _RUN)):
        yield run
