"""Recalling what transfers have delivered, from their checkpoints."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Protocol, TypeVar

from prefect_globus.blocks.checkpoints import CheckpointStore
from prefect_globus.transfers.batches import Batch
from prefect_globus.transfers.delivered import Delivery, deliveries_of, in_runs, merged, sound_items
from prefect_globus.transfers.items import Item, ItemType, is_in, scan_order
from prefect_globus.transfers.location import Location
from prefect_globus.transfers.model import Transfer

# Of each there is one batch in memory while a scan goes on.
MOST_EARLIER_TRANSFERS = 20

_T = TypeVar("_T")


class Reader(Protocol):
    """Reads the checkpoints: a driver with its patience, or somebody who only looks (`Looking`)."""

    @property
    def store(self) -> CheckpointStore:
        """Where they are."""

    def patiently(self, call: Callable[..., _T], *args: object) -> _T:
        """What ``call`` returns, which reads the store."""


class Looking:
    """Reads the checkpoints once; whoever looks had rather be told that they are out of reach. A `Reader`."""

    def __init__(self, store: CheckpointStore) -> None:
        self.store = store

    def patiently(self, call: Callable[..., _T], *args: object) -> _T:
        """See `Reader.patiently`."""
        return call(*args)


def earlier_deliveries(reader: Reader, own: Transfer) -> Iterator[Sequence[Item]]:
    """What transfers between the locations of ``own`` have delivered before, and still counts; in runs, in scan order.

    Those that were begun later do not count, so that a scan that was cut off decides as it would have.
    """
    same = reader.patiently(transfers_between, reader.store, own.source, own.destination)
    earlier = [each for each in same if each.id != own.id and each.created_at < own.created_at]
    if len(earlier) == 1:
        return (sound_items(batch, items) for batch, items in manifest_behind(reader, earlier[0], own.cursor))
    known = merged([deliveries(reader, each, own.cursor) for each in earlier[:MOST_EARLIER_TRANSFERS]])
    return in_runs(each.item for each in known if each.is_sound)


def transfers_between(store: CheckpointStore, source: Location, destination: Location) -> list[Transfer]:
    """All transfers between two locations, the newest first."""
    return [each for each in store.list_transfers() if each.source == source and each.destination == destination]


def deliveries(
    reader: Reader,
    transfer: Transfer,
    after: str | None = None,
    changed: Callable[[Batch], Mapping[str, int]] = lambda _: {},
) -> Iterator[Delivery]:
    """What ``transfer`` knows of its items, in scan order, with one batch in memory.

    Args:
        reader: reads the checkpoint.
        transfer: any one of the store.
        after: begin behind this path.
        changed: tells the sizes of what had changed when it was moved; see `deliveries_of`.
    """
    preserve = transfer.options.preserve_timestamp
    for batch, items in manifest_behind(reader, transfer, after):
        for delivery in deliveries_of(batch, items, changed(batch), preserve_timestamp=preserve):
            if speaks_behind(delivery.item, after):
                yield delivery


def speaks_behind(item: Item, after: str | None) -> bool:
    """Whether what is known of ``item``, or of what is in it, is of something behind the path ``after``."""
    if after is None or scan_order(item.path) > scan_order(after):
        return True
    return item.type is ItemType.TREE and is_in(after, item.path)


def manifest_behind(reader: Reader, transfer: Transfer, after: str | None) -> Iterator[tuple[Batch, list[Item]]]:
    """The batches of ``transfer`` that have something behind the path ``after``, with all their items, in order."""
    for batch in batches_behind(reader, transfer, after):
        yield batch, reader.patiently(reader.store.load_manifest, transfer.id, batch.number)


def batches_behind(reader: Reader, transfer: Transfer, after: str | None) -> Iterator[Batch]:
    """The batches of ``transfer`` that have something behind the path ``after``, in order, one in memory."""
    for number in range(1, transfer.batches + 1):
        batch = reader.patiently(reader.store.load_batch, transfer.id, number)
        # the last item of a batch may be a directory as a whole, which `after` is in
        if after is None or scan_order(batch.last_path) > scan_order(after) or is_in(after, batch.last_path):
            yield batch


def newest_batch_with(store: CheckpointStore, transfer: Transfer, path: str) -> tuple[Batch, int] | None:
    """The batch of ``transfer`` that has the item ``path``, and its position there; None when there is none."""
    key = scan_order(path)
    batches = (b for b in store.list_batches(transfer.id) if scan_order(b.first_path) <= key <= scan_order(b.last_path))
    for batch in islice(batches, 1):
        for position, item in enumerate(store.load_manifest(transfer.id, batch.number)):
            if item.path == path:
                return batch, position
    return None
