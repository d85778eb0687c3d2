"""Cutting the scan into batches: the unit of checkpoint, cache, retry and of one Globus task."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import accumulate, islice
from typing import NamedTuple

from prefect_globus.transfers.items import Item, ItemType, Outcome
from prefect_globus.transfers.options import TransferOptions

_MIN_ITEMS, _MAX_ITEMS = 100, 20_000
_MIN_BYTES, _MAX_BYTES = 10 * 2**30, 5 * 2**40
# A batch is this fraction of what came before it: growth by a twentieth makes 54 batches of ten thousand items, 159 of
# a million.
_SHARE = 20


class Cut(NamedTuple):
    """A batch as it is cut: its items, and one `Outcome` a byte of each."""

    items: list[Item]
    outcomes: bytes


def cut_batches(
    items: Iterable[Item],
    options: TransferOptions,
    items_before: int = 0,
    bytes_before: int = 0,
    outcomes_of: Callable[[Sequence[Item]], bytes] = lambda items: bytes(len(items)),
) -> Iterator[Cut]:
    """Cut ``items`` into contiguous batches, each yielded as soon as it is full.

    A batch is full at ``batch_size`` items or when the next item would carry it over ``batch_bytes``; a single item
    larger than that is a batch of its own, and so is a directory that is transferred as a whole. Without a given size
    the limits grow with what was cut before, so the same items are cut alike whether or not a crash lay between. They
    are then of what is to be moved: few changes in a large tree make few tasks.

    Args:
        items: in scan order.
        options: ``batch_size`` and ``batch_bytes``, or None to let them grow.
        items_before: items that are already in the manifest.
        bytes_before: bytes that are already in the manifest.
        outcomes_of: what is known already of items that are the next ones, one `Outcome` a byte.
    """
    waiting = iter(items)
    batch = _Batch(options, items_before, bytes_before)
    while run := list(islice(waiting, batch.room)):
        outcomes = outcomes_of(run)
        while run:
            taken = batch.take(run, outcomes)
            run, outcomes = run[taken:], outcomes[taken:]
            if run or not batch.room:
                yield Cut(batch.items, bytes(batch.outcomes))
                items_before += len(batch.items)
                bytes_before += sum(item.size for item in batch.items)
                batch = _Batch(options, items_before, bytes_before)
    if batch.items:
        yield Cut(batch.items, bytes(batch.outcomes))


class _Batch:
    """A batch that is being filled."""

    def __init__(self, options: TransferOptions, items_before: int, bytes_before: int) -> None:
        self.items: list[Item] = []
        self.outcomes = bytearray()
        self._given = options.batch_size
        self._most_items = _limit(options.batch_size, items_before, _MIN_ITEMS, _MAX_ITEMS)
        self._bytes_left = _limit(options.batch_bytes, bytes_before, _MIN_BYTES, _MAX_BYTES)

    @property
    def room(self) -> int:
        """How many items it can take in any case, as far as their number goes."""
        if self.items and self.items[-1].type is ItemType.TREE:
            return 0
        if self._given is not None:
            return self._given - len(self.items)
        remaining = self.outcomes.count(Outcome.REMAINING)
        return min(self._most_items - remaining, _MAX_ITEMS - len(self.items))

    def take(self, items: Sequence[Item], outcomes: bytes) -> int:
        """Take the first of ``items``, as many as fit; return how many."""
        pairs = zip(items, outcomes, strict=True)
        sums = list(accumulate(item.size if outcome == Outcome.REMAINING else 0 for item, outcome in pairs))
        before_whole = next((n for n, item in enumerate(items) if item.type is ItemType.TREE), len(items))
        taken = min(bisect_right(sums, self._bytes_left), before_whole)
        if not (taken or self.items):
            taken = 1
        self.items += items[:taken]
        self.outcomes += outcomes[:taken]
        self._bytes_left -= sums[taken - 1] if taken else 0
        return taken


def _limit(given: int | None, before: int, low: int, high: int) -> int:
    return given if given is not None else min(high, max(low, before // _SHARE))
