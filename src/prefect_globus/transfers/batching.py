"""Cutting the scan into batches: the unit of checkpoint, cache, retry and of one Globus task."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from prefect_globus.transfers.items import Item, ItemType
from prefect_globus.transfers.options import TransferOptions

_MIN_ITEMS, _MAX_ITEMS = 100, 20_000
_MIN_BYTES, _MAX_BYTES = 10 * 2**30, 5 * 2**40
# A batch is this fraction of what came before it: growth by a fiftieth makes some 85 batches of ten thousand items,
# some 320 of a million.
_SHARE = 50


def cut_batches(
    items: Iterable[Item], options: TransferOptions, items_before: int = 0, bytes_before: int = 0
) -> Iterator[list[Item]]:
    """Cut ``items`` into contiguous batches, each yielded as soon as it is full.

    A batch is full at ``batch_size`` items or when the next item would carry it over ``batch_bytes``; a single item
    larger than that is a batch of its own, and so is a directory that is transferred as a whole. Without a given size
    the limits grow with what was cut before, so the same items are cut alike whether or not a crash lay between.

    Args:
        items: in scan order.
        options: ``batch_size`` and ``batch_bytes``, or None to let them grow.
        items_before: items that are already in the manifest.
        bytes_before: bytes that are already in the manifest.
    """
    batch: list[Item] = []
    size = 0
    for item in items:
        is_whole = item.type is ItemType.TREE
        if batch and (is_whole or size + item.size > _limit(options.batch_bytes, bytes_before, _MIN_BYTES, _MAX_BYTES)):
            yield batch
            items_before, bytes_before, batch, size = items_before + len(batch), bytes_before + size, [], 0
        batch.append(item)
        size += item.size
        if is_whole or len(batch) >= _limit(options.batch_size, items_before, _MIN_ITEMS, _MAX_ITEMS):
            yield batch
            items_before, bytes_before, batch, size = items_before + len(batch), bytes_before + size, [], 0
    if batch:
        yield batch


def _limit(given: int | None, before: int, low: int, high: int) -> int:
    return given if given is not None else min(high, max(low, before // _SHARE))
