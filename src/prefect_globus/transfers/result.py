"""What a caller gets: where a transfer stands, or how it ended."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Self
from uuid import UUID

from prefect_globus.transfers.batches import SOURCE_CHANGED, Batch, Whole
from prefect_globus.transfers.items import Outcome
from prefect_globus.transfers.ledger import Ledger
from prefect_globus.transfers.location import Location
from prefect_globus.transfers.model import PausedBy, Transfer
from prefect_globus.transfers.records import Record
from prefect_globus.transfers.states import AttemptStatus, TransferStatus

TASK_LINK = "https://app.globus.org/activity/{task_id}"


class GlobusTask(Record):
    """One Globus task that a transfer has started.

    Args:
        task_id: Globus' own.
        batch: the number of its batch.
        attempt: which of that batch's attempts it is.
        status: how it went.
    """

    task_id: UUID
    batch: int
    attempt: int
    status: AttemptStatus


class TransferResult(Record):
    """Where a transfer stands, or how it ended. Sizes are bytes, times are aware and in UTC."""

    id: str
    status: TransferStatus
    source: Location
    destination: Location
    label: str | None = None
    items_total: int
    items_transferred: int
    items_unchanged: int
    items_skipped: int
    items_failed: int
    items_remaining: int
    items_changed: int = 0  # of those transferred, how many had another size by then than at the scan
    bytes_total: int
    bytes_transferred: int
    batches_total: int
    batches_done: int
    scan_complete: bool
    since: str | None = None  # the transfer that an incremental one is compared with
    items_deleted: int | None = None  # of that one's items, how many the source has no more; None if nobody can tell
    whole: Whole = Whole()  # directories with more entries than Globus lists, each one item, and what was moved of them
    items_removed: int = 0  # files that were deleted at the source, or what was extra at the destination
    tasks: tuple[GlobusTask, ...]
    error: str | None
    paused_by: PausedBy | None = None
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, transfer: Transfer, ledger: Ledger, batches: Iterable[Batch]) -> Self:
        """The view of ``transfer`` whose ``batches`` add up to ``ledger``."""
        tasks: list[GlobusTask] = []
        changed = 0
        whole = Whole()
        updated_at = transfer.updated_at
        for batch in batches:
            tasks += _tasks_of(batch)
            changed += len(_changed(batch))
            if batch.is_whole:
                whole += batch.whole
            updated_at = max([updated_at, *(attempt.updated_at for attempt in batch.attempts)])
        return cls(
            id=transfer.id,
            status=transfer.status,
            source=transfer.source,
            destination=transfer.destination,
            label=transfer.options.label,
            items_total=ledger.items,
            items_transferred=ledger.transferred,
            items_unchanged=ledger.unchanged,
            items_skipped=ledger.skipped,
            items_failed=ledger.dead,
            items_remaining=ledger.remaining,
            items_changed=changed,
            bytes_total=ledger.bytes_total,
            bytes_transferred=ledger.bytes_transferred,
            batches_total=ledger.batches,
            batches_done=ledger.batches_done,
            scan_complete=transfer.scan_complete,
            since=transfer.since,
            items_deleted=transfer.deleted,
            whole=whole,
            items_removed=sum(removal.deleted for removal in transfer.removals),
            tasks=tuple(tasks),
            error=transfer.error,
            paused_by=transfer.paused_by,
            created_at=transfer.created_at,
            updated_at=updated_at,
        )

    @property
    def task_ids(self) -> list[UUID]:
        """All Globus tasks that it has started."""
        return [task.task_id for task in self.tasks]

    @property
    def current_tasks(self) -> list[UUID]:
        """Those that may still be running."""
        return self._with(AttemptStatus.SUBMITTED)

    @property
    def completed_tasks(self) -> list[UUID]:
        """Those that succeeded."""
        return self._with(AttemptStatus.SUCCEEDED)

    @property
    def failed_tasks(self) -> list[UUID]:
        """Those that ended in any other way."""
        return self._with(AttemptStatus.FAILED, AttemptStatus.CANCELED, AttemptStatus.LOST)

    def _with(self, *statuses: AttemptStatus) -> list[UUID]:
        return [task.task_id for task in self.tasks if task.status in statuses]


def _changed(batch: Batch) -> set[str]:
    """The paths of what had another size when it was moved than when it was scanned."""
    faults = (fault for fault in batch.faults if fault.code == SOURCE_CHANGED)
    return {fault.path for fault in faults if fault.outcome is Outcome.TRANSFERRED}


def _tasks_of(batch: Batch) -> list[GlobusTask]:
    return [
        GlobusTask(task_id=attempt.task_id, batch=batch.number, attempt=attempt.number, status=attempt.status)
        for attempt in batch.attempts
        if attempt.task_id is not None
    ]
