"""The records of a transfer: what a checkpoint store keeps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Self
from uuid import UUID

from pydantic import Field

from prefect_globus.transfers.errors import InvalidTransitionError
from prefect_globus.transfers.items import Item, ItemType, Outcome
from prefect_globus.transfers.ledger import Ledger
from prefect_globus.transfers.location import Location
from prefect_globus.transfers.options import TransferOptions
from prefect_globus.transfers.records import Record, now
from prefect_globus.transfers.states import (
    ATTEMPT_TRANSITIONS,
    BATCH_TRANSITIONS,
    LIVE_ATTEMPT_STATUSES,
    AttemptStatus,
    BatchStatus,
    TransferStatus,
    check_transition,
)


class Request(StrEnum):
    """What a person asked of the driver of a transfer; it sees it at its next heartbeat."""

    CANCEL = "CANCEL"


class Transfer(Record):
    """One resumable transfer, as its checkpoint has it.

    Args:
        id: unique in its store.
        source: what is transferred.
        destination: where to.
        options: how; callbacks are not kept.
        status: where it stands.
        source_is_file: whether the source is one file rather than a directory; None until it was looked at.
        batches: how many batches the manifest has.
        cursor: the path of the last item in the manifest, where the scan goes on.
        scan_complete: whether the manifest is the whole source.
        filtered: whether a filter callback was used, so that a resumed scan needs it again.
        error: why it is FAILED.
        created_at: aware, UTC.
        updated_at: aware, UTC.
    """

    id: str
    source: Location
    destination: Location
    options: TransferOptions = TransferOptions()
    status: TransferStatus = TransferStatus.CREATED
    source_is_file: bool | None = None
    batches: int = 0
    cursor: str | None = None
    scan_complete: bool = False
    filtered: bool = False
    error: str | None = None
    created_at: datetime = Field(default_factory=now)
    updated_at: datetime = Field(default_factory=now)


class Holder(Record):
    """Who drives a transfer, in terms that a person understands and a machine can check.

    Args:
        description: for people: user, host, process id and, in a flow, the run's name.
        process: identifies the process on its machine, or None where that is not known.
    """

    description: str
    process: str | None = None


class Lease(Record):
    """The exclusive, expiring right to drive one transfer.

    Args:
        transfer_id: which.
        token: grows with each new lease of the transfer; a write with an older one is refused.
        holder: who has it.
        expires_at: by the store's clock; aware, UTC.
    """

    transfer_id: str
    token: int
    holder: Holder
    expires_at: datetime


class Attempt(Record):
    """One Globus task tried for one batch.

    Args:
        number: 1 for the first of its batch.
        submission_id: on record before the task is submitted.
        task_id: once Globus has accepted it.
        deadline: absolute, computed at intent, so that a repeated submission has the same body.
        error: the code that Globus gave for its failure.
        faults: error events that Globus counted.
    """

    number: int
    submission_id: UUID
    status: AttemptStatus = AttemptStatus.INTENDED
    task_id: UUID | None = None
    deadline: datetime | None = None
    intended_at: datetime = Field(default_factory=now)
    submitted_at: datetime | None = None
    ended_at: datetime | None = None
    files_transferred: int = 0
    bytes_transferred: int = 0
    faults: int = 0
    error: str | None = None

    @property
    def updated_at(self) -> datetime:
        """When it last changed."""
        return self.ended_at or self.submitted_at or self.intended_at

    @property
    def live(self) -> bool:
        """Whether its Globus task may still be doing something."""
        return self.status in LIVE_ATTEMPT_STATUSES


class ItemFault(Record):
    """An item that was skipped, or is dead, and why.

    Args:
        path: the item's.
        outcome: SKIPPED or DEAD.
        code: Globus' error code.
        attempt: the number of the attempt that said so; 0 when none was needed to know.
    """

    path: str
    outcome: Outcome
    code: str
    attempt: int


class Settlement(Record):
    """What an ended Globus task says of the items it was sent.

    Args:
        status: SUCCEEDED, FAILED, CANCELED or LOST.
        moved: the relative paths of the files that were moved; None when all were that are not named in ``skipped``.
        skipped: relative path and error code of what Globus skipped.
        error: the code of the fatal error.
        files_transferred: as the task counts them.
        bytes_transferred: as the task counts them.
        faults: as the task counts them.
    """

    status: AttemptStatus
    moved: frozenset[str] | None = frozenset()
    skipped: Mapping[str, str] = {}
    error: str | None = None
    files_transferred: int = 0
    bytes_transferred: int = 0
    faults: int = 0


class Batch(Record):
    """A contiguous run of the manifest, and how far it has come. Its items are kept apart, compressed.

    Args:
        transfer_id: whose.
        number: 1 for the first; batches are in scan order.
        items: how many.
        size: the sum of their sizes, in bytes.
        first_path: of its first item.
        last_path: of its last item.
        status: where it stands.
        outcomes: one `Outcome` a byte, one byte an item.
        bytes_transferred: the sizes of the items transferred.
        attempts: oldest first.
        faults: its skipped and dead items.
    """

    transfer_id: str
    number: int
    items: int
    size: int
    first_path: str
    last_path: str
    status: BatchStatus = BatchStatus.PENDING
    outcomes: bytes = b""
    bytes_transferred: int = 0
    attempts: tuple[Attempt, ...] = ()
    faults: tuple[ItemFault, ...] = ()

    @classmethod
    def cut(cls, transfer_id: str, number: int, items: Sequence[Item]) -> Self:
        """A new batch of ``items``."""
        return cls(
            transfer_id=transfer_id,
            number=number,
            items=len(items),
            size=sum(item.size for item in items),
            first_path=items[0].path,
            last_path=items[-1].path,
            outcomes=bytes(len(items)),
        )

    @property
    def attempt(self) -> Attempt | None:
        """The latest attempt."""
        return self.attempts[-1] if self.attempts else None

    @property
    def live(self) -> bool:
        """Whether its latest attempt may still be doing something."""
        return self.attempt is not None and self.attempt.live

    @property
    def remaining(self) -> int:
        """How many items still need work."""
        return self.outcomes.count(Outcome.REMAINING)

    @property
    def ledger(self) -> Ledger:
        """Its share of the transfer's ledger."""
        return Ledger(
            items=self.items,
            transferred=self.outcomes.count(Outcome.TRANSFERRED),
            unchanged=self.outcomes.count(Outcome.UNCHANGED),
            skipped=self.outcomes.count(Outcome.SKIPPED),
            dead=self.outcomes.count(Outcome.DEAD),
            remaining=self.remaining,
            bytes_total=self.size,
            bytes_transferred=self.bytes_transferred,
            batches=1,
            batches_done=int(self.status is BatchStatus.DONE),
        )

    def left(self, items: Sequence[Item]) -> list[Item]:
        """Those of its ``items`` that still need work, in manifest order."""
        return [item for item, done in zip(items, self.outcomes, strict=True) if done == Outcome.REMAINING]

    def intend(self, submission_id: UUID, deadline: datetime | None) -> Self:
        """The batch with one more attempt on record.

        Raises:
            InvalidTransitionError: an attempt is still live, or the batch is done.
        """
        self.check_becomes(BatchStatus.ACTIVE)
        if self.attempt is not None and self.live:
            raise InvalidTransitionError(what=self._name, before=self.attempt.status, after=AttemptStatus.INTENDED)
        attempt = Attempt(number=len(self.attempts) + 1, submission_id=submission_id, deadline=deadline)
        return self.evolve(status=BatchStatus.ACTIVE, attempts=(*self.attempts, attempt))

    def submitted(self, task_id: UUID) -> Self:
        """The batch with its latest attempt accepted by Globus as ``task_id``."""
        return self._with_attempt(status=AttemptStatus.SUBMITTED, task_id=task_id, submitted_at=now())

    def settle(self, items: Sequence[Item], settlement: Settlement) -> Batch:
        """The batch after its latest attempt has ended: each item sent is in the column where it belongs."""
        attempt_number = len(self.attempts)
        outcomes = bytearray(self.outcomes)
        moved_bytes = 0
        faults = list(self.faults)
        for index, item in enumerate(items):
            if outcomes[index] != Outcome.REMAINING:
                continue
            outcome = outcome_of(item, settlement)
            outcomes[index] = outcome
            if outcome is Outcome.TRANSFERRED:
                moved_bytes += item.size
            elif outcome is Outcome.SKIPPED:
                code = settlement.skipped[item.path]
                faults.append(ItemFault(path=item.path, outcome=outcome, code=code, attempt=attempt_number))
        settled = self._with_attempt(
            status=settlement.status,
            ended_at=now(),
            files_transferred=settlement.files_transferred,
            bytes_transferred=settlement.bytes_transferred,
            faults=settlement.faults,
            error=settlement.error,
        )
        return _rated(
            settled.evolve(
                outcomes=bytes(outcomes),
                bytes_transferred=self.bytes_transferred + moved_bytes,
                faults=tuple(faults),
            )
        )

    def set_aside(self, items: Sequence[Item], faults: Mapping[str, ItemFault]) -> Batch:
        """The batch with the items named in ``faults`` skipped or dead; for what needs no attempt to know."""
        outcomes = bytearray(self.outcomes)
        found = list(self.faults)
        for index, item in enumerate(items):
            if item.path in faults and outcomes[index] == Outcome.REMAINING:
                outcomes[index] = faults[item.path].outcome
                found.append(faults[item.path])
        return _rated(self.evolve(outcomes=bytes(outcomes), faults=tuple(found)))

    def redrive(self) -> Self:
        """The batch with its dead items to be tried again."""
        outcomes = self.outcomes.replace(bytes([Outcome.DEAD]), bytes([Outcome.REMAINING]))
        return self.evolve(outcomes=outcomes, faults=tuple(f for f in self.faults if f.outcome is not Outcome.DEAD))

    def give_up(self) -> Self:
        """The batch as PARTIAL, for this run of the transfer."""
        self.check_becomes(BatchStatus.PARTIAL)
        return self.evolve(status=BatchStatus.PARTIAL)

    @property
    def _name(self) -> str:
        return f"Batch {self.number} of transfer {self.transfer_id!r}"

    def check_becomes(self, status: BatchStatus) -> None:
        """Raise InvalidTransitionError unless the batch may become ``status``."""
        check_transition(BATCH_TRANSITIONS, self._name, self.status, status)

    def _with_attempt(self, **changes: object) -> Self:
        attempt = self.attempts[-1]
        status = AttemptStatus(str(changes["status"]))
        check_transition(ATTEMPT_TRANSITIONS, f"An attempt of {self._name.lower()}", attempt.status, status)
        return self.evolve(attempts=(*self.attempts[:-1], attempt.evolve(**changes)))


def _rated(batch: Batch) -> Batch:
    if batch.remaining:
        return batch
    status = BatchStatus.PARTIAL if Outcome.DEAD in batch.outcomes else BatchStatus.DONE
    batch.check_becomes(status)
    return batch.evolve(status=status)


def outcome_of(item: Item, settlement: Settlement) -> Outcome:
    """What became of one ``item`` of the task that ``settlement`` describes."""
    if item.path in settlement.skipped:
        return Outcome.SKIPPED
    if settlement.moved is not None and item.path in settlement.moved:
        return Outcome.TRANSFERRED
    if settlement.status is not AttemptStatus.SUCCEEDED:
        return Outcome.REMAINING
    # Globus lists the files it moved, never directories; a file that it did not list was in sync already
    listed = settlement.moved is not None and item.type is ItemType.FILE
    return Outcome.UNCHANGED if listed else Outcome.TRANSFERRED
