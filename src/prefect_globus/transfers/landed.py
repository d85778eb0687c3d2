"""What has landed: the batches of a transfer that are done, with what they have delivered."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple, Self
from uuid import UUID

from prefect_globus.transfers.batches import SOURCE_CHANGED, Batch
from prefect_globus.transfers.items import Item, ItemType, Outcome
from prefect_globus.transfers.model import Transfer
from prefect_globus.transfers.records import Record
from prefect_globus.transfers.states import AttemptStatus

_DELIVERED = (Outcome.TRANSFERRED, Outcome.UNCHANGED)


class LandedItem(NamedTuple):
    """One item that is at the destination.

    Args:
        path: relative to the locations of the transfer; empty when the source is itself one file.
        source: its absolute path on the source collection.
        destination: its absolute path on the destination collection.
        size: bytes, as scanned.
        mtime: last modification, seconds since 1970, as scanned.
        type: what it is; a tree is a directory that was transferred as a whole, of unknown contents and size 0.
        moved: whether this transfer has moved it; otherwise it was there already.
        changed: whether it had another size by the time it was moved than when it was scanned.
        task_id: the Globus task that has moved it; None where none did, or where several tasks were tried for its
            batch and it is not on record which of them it was.
    """

    path: str
    source: str
    destination: str
    size: int
    mtime: int
    type: ItemType
    moved: bool
    changed: bool
    task_id: UUID | None


class LandedBatch(Record):
    """A batch that is done: each of its items is delivered, or was skipped as the options ask for.

    Args:
        transfer_id: whose.
        number: 1 for the first; batches are in scan order.
        items: those that are at the destination, in scan order.
    """

    transfer_id: str
    number: int
    items: tuple[LandedItem, ...]

    @classmethod
    def of(cls, transfer: Transfer, batch: Batch, manifest: Sequence[Item]) -> Self:
        """What ``batch`` of ``transfer``, whose ``manifest`` it is, has delivered."""
        return cls(transfer_id=transfer.id, number=batch.number, items=tuple(_landed(transfer, batch, manifest)))


def _landed(transfer: Transfer, batch: Batch, manifest: Sequence[Item]) -> Iterator[LandedItem]:
    changed = {fault.path for fault in batch.faults if fault.code == SOURCE_CHANGED}
    for position, (item, outcome) in enumerate(zip(manifest, batch.outcomes, strict=True)):
        if outcome in _DELIVERED:
            moved = outcome == Outcome.TRANSFERRED
            yield LandedItem(
                path=item.path,
                source=transfer.source.join(item.path),
                destination=transfer.destination.join(item.path),
                size=item.size,
                mtime=item.mtime,
                type=item.type,
                moved=moved,
                changed=moved and item.path in changed,
                task_id=_task_of(batch, position) if moved else None,
            )


def _task_of(batch: Batch, position: int) -> UUID | None:
    tasks = [
        attempt.task_id
        for attempt in batch.attempts
        if attempt.covers(position) and (attempt.status is AttemptStatus.SUCCEEDED or attempt.files_transferred)
    ]
    return tasks[0] if len(tasks) == 1 else None
