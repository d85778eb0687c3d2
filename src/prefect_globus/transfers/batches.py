"""A batch and its attempts: what Globus was asked to do for a run of the manifest, and what became of its items."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Self
from uuid import UUID

from pydantic import AwareDatetime, Field

from prefect_globus.transfers.errors import InvalidTransitionError
from prefect_globus.transfers.items import TOO_LARGE_TO_LIST, Item, ItemType, Outcome
from prefect_globus.transfers.ledger import Ledger
from prefect_globus.transfers.quantities import count
from prefect_globus.transfers.quantities import size as in_units
from prefect_globus.transfers.records import Record, now
from prefect_globus.transfers.states import (
    ATTEMPT_TRANSITIONS,
    BATCH_TRANSITIONS,
    LIVE_ATTEMPT_STATUSES,
    AttemptStatus,
    BatchStatus,
    check_transition,
)


class Attempt(Record):
    """One Globus task tried for one batch.

    Args:
        number: 1 for the first of its batch.
        submission_id: on record before the task is submitted.
        task_id: once Globus has accepted it.
        span: the positions in the manifest of the batch, half open, whose remaining items it is sent; None for all.
        deadline: absolute, computed at intent, so that a repeated submission has the same body.
        adopted: whether its task was found at Globus rather than submitted: it may have been sent other items.
        slot: the lease in Prefect of the place that it takes among the tasks of its account.
        began_at: when its task was first seen at work rather than in Globus' queue; None where nobody has seen that.
        skipped_errors: what Globus has skipped in a directory that it was sent as a whole.
        faults: error events that Globus counted.
        codes: the codes of those that were seen, with how often.
        error: the code for which it failed, or for which it is being ended; then it is on record before the cancel.
    """

    number: int
    submission_id: UUID
    status: AttemptStatus = AttemptStatus.INTENDED
    task_id: UUID | None = None
    span: tuple[int, int] | None = None
    deadline: AwareDatetime | None = None
    adopted: bool = False
    slot: UUID | None = None
    intended_at: AwareDatetime = Field(default_factory=now)
    submitted_at: AwareDatetime | None = None
    began_at: AwareDatetime | None = None
    ended_at: AwareDatetime | None = None
    files_transferred: int = 0
    bytes_transferred: int = 0
    skipped_errors: int = 0
    faults: int = 0
    codes: Mapping[str, int] = {}
    error: str | None = None

    @property
    def updated_at(self) -> datetime:
        """When it last changed."""
        return self.ended_at or self.submitted_at or self.intended_at

    @property
    def live(self) -> bool:
        """Whether its Globus task may still be doing something."""
        return self.status in LIVE_ATTEMPT_STATUSES

    def covers(self, position: int) -> bool:
        """Whether the item at ``position`` of the manifest is, or was, its business."""
        return self.span is None or self.span[0] <= position < self.span[1]


class ItemFault(Record):
    """Something to know of one item. The latest one of a path says how it stands, the others are its history.

    Args:
        path: the item's, or of something in an item that is a directory transferred as a whole.
        outcome: SKIPPED, DEAD; REMAINING for one that is tried again; TRANSFERRED for one that was not as scanned.
        code: Globus' error code, or one of ours: NOT_A_FILE, REDRIVEN, SOURCE_CHANGED, FORGOTTEN, TOO_LARGE_TO_LIST, or
            what a verification has found (`prefect_globus.transfers.comparing`).
        attempt: the number of the attempt that said so; 0 when none was needed to know.
        at: when it was noted; None where an older schema had no place for it.
    """

    path: str
    outcome: Outcome
    code: str
    attempt: int
    at: AwareDatetime | None = Field(default_factory=now)


REDRIVEN = "REDRIVEN"
SOURCE_CHANGED = "SOURCE_CHANGED"


class Settlement(Record):
    """What an ended Globus task says of the items it was sent.

    Args:
        status: SUCCEEDED, FAILED, CANCELED or LOST.
        moved: the relative paths of the files that were moved, with their sizes in bytes; None when all were that are
            not named in ``skipped``, as they were scanned.
        skipped: relative path and error code of what Globus skipped.
        skipped_as: what that makes of it: SKIPPED when it was asked for, else DEAD.
        inside: the same of what is in a directory that was sent as a whole: the first of it.
        exact: whether the task was sent these items and no others, so that what a SUCCEEDED one does not list was in
            sync already.
        error: the code of the fatal error.
        files_transferred: as the task counts them.
        bytes_transferred: as the task counts them.
        skipped_errors: how much Globus has skipped in a directory that was sent as a whole.
        faults: as the task counts them.
    """

    status: AttemptStatus
    moved: Mapping[str, int] | None = {}
    skipped: Mapping[str, str] = {}
    skipped_as: Outcome = Outcome.SKIPPED
    inside: Mapping[str, str] = {}
    exact: bool = True
    error: str | None = None
    files_transferred: int = 0
    bytes_transferred: int = 0
    skipped_errors: int = 0
    faults: int = 0


class Whole(Record):
    """Directories that were transferred as a whole, and the files that were moved for them; ``size`` in bytes."""

    directories: int = 0
    files: int = 0
    size: int = 0

    def __str__(self) -> str:
        directories = "1 directory that is" if self.directories == 1 else f"{self.directories:,} directories that are"
        return f"{count(self.files, 'file')}, {in_units(self.size)}, in {directories} transferred as a whole"

    def __add__(self, other: Whole) -> Whole:
        totals = self.directories + other.directories, self.files + other.files, self.size + other.size
        return Whole(directories=totals[0], files=totals[1], size=totals[2])


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
        faults: what is to know of its items, oldest first.
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
    def cut(
        cls,
        transfer_id: str,
        number: int,
        items: Sequence[Item],
        outcomes: bytes | None = None,
        faults: Sequence[ItemFault] = (),
    ) -> Batch:
        """A new batch of ``items``; ``outcomes`` and ``faults`` are what is known of them already.

        A directory that is transferred as a whole is alone in its batch, which says so.
        """
        wholes = [
            ItemFault(path=item.path, outcome=Outcome.REMAINING, code=TOO_LARGE_TO_LIST, attempt=0)
            for item in items[:1]
            if item.type is ItemType.TREE
        ]
        batch = cls(
            transfer_id=transfer_id,
            number=number,
            items=len(items),
            size=sum(item.size for item in items),
            first_path=items[0].path,
            last_path=items[-1].path,
            outcomes=bytes(len(items)) if outcomes is None else outcomes,
            faults=(*wholes, *faults),
        )
        return _rated(batch)

    @property
    def attempt(self) -> Attempt | None:
        """The latest attempt."""
        return self.attempts[-1] if self.attempts else None

    @property
    def live(self) -> bool:
        """Whether its latest attempt may still be doing something."""
        return self.attempt is not None and self.attempt.live

    @property
    def is_whole(self) -> bool:
        """Whether its one item is a directory with more entries than Globus lists, which is transferred as a whole."""
        return self.items == 1 and any(fault.code == TOO_LARGE_TO_LIST for fault in self.faults)

    @property
    def whole(self) -> Whole:
        """What has come of such a directory, by what Globus has on record of all its attempts."""
        if not self.is_whole:
            return Whole()
        files = sum(attempt.files_transferred for attempt in self.attempts)
        size = sum(attempt.bytes_transferred for attempt in self.attempts)
        return Whole(directories=1, files=files, size=size)

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
        return [item for item, done in zip(items, self.outcomes, strict=True) if not done]  # Outcome.REMAINING

    def positions_left(self, attempt: Attempt) -> list[int]:
        """The positions of the items that still need work and are the business of ``attempt``."""
        first, end = attempt.span or (0, self.items)
        return [
            position
            for position, done in enumerate(self.outcomes[first:end], first)
            if not done  # Outcome.REMAINING
        ]

    def sent(self, items: Sequence[Item]) -> list[Item]:
        """Those of its ``items`` that its latest attempt is sent; the same for as long as that is live."""
        return [items[position] for position in self.positions_left(self.attempts[-1])]

    @property
    def is_sent_all(self) -> bool:
        """Whether its latest attempt is sent every one of its items."""
        return self.attempts[-1].span is None and self.remaining == self.items

    @property
    def noted(self) -> dict[str, ItemFault]:
        """By path, what is to know of its items as they stand now."""
        latest = {fault.path: fault for fault in self.faults}
        return {path: fault for path, fault in latest.items() if fault.outcome is not Outcome.REMAINING}

    def intend(
        self,
        submission_id: UUID,
        deadline: datetime | None,
        span: tuple[int, int] | None = None,
        slot: UUID | None = None,
    ) -> Self:
        """The batch with one more attempt on record.

        Raises:
            InvalidTransitionError: an attempt is still live, or the batch is done.
        """
        self.check_becomes(BatchStatus.ACTIVE)
        if self.attempt is not None and self.live:
            raise InvalidTransitionError(what=self._name, before=self.attempt.status, after=AttemptStatus.INTENDED)
        number = len(self.attempts) + 1
        attempt = Attempt(number=number, submission_id=submission_id, deadline=deadline, span=span, slot=slot)
        return self.evolve(status=BatchStatus.ACTIVE, attempts=(*self.attempts, attempt))

    def submitted(self, task_id: UUID, *, adopted: bool = False) -> Self:
        """The batch with its latest attempt accepted by Globus as ``task_id``, or found there."""
        changes = {"task_id": task_id, "submitted_at": now(), "adopted": adopted}
        return self._with_attempt(status=AttemptStatus.SUBMITTED, **changes)

    def observed(self, began_at: datetime | None, codes: Mapping[str, int]) -> Self:
        """The batch with what was seen of the task of its latest attempt; to be written with what comes next."""
        attempt = self.attempts[-1]
        seen = {"began_at": began_at or attempt.began_at, "codes": codes or attempt.codes}
        return self._with_attempt(status=AttemptStatus.SUBMITTED, **seen)

    def ending(self, error: str, codes: Mapping[str, int]) -> Self:
        """The batch with its latest attempt to be ended for ``error``, which is on record before that happens."""
        return self._with_attempt(status=AttemptStatus.SUBMITTED, error=error, codes=codes)

    def settle(self, items: Sequence[Item], settlement: Settlement) -> Batch:
        """The batch after its latest attempt has ended: each item sent is in the column where it belongs."""
        attempt = self.attempts[-1]
        outcomes = bytearray(self.outcomes)
        moved_bytes = 0
        faults = list(self.faults)
        for position in self.positions_left(attempt):
            item = items[position]
            outcome = outcome_of(item, settlement)
            outcomes[position] = outcome
            code = None
            if outcome is Outcome.TRANSFERRED:
                size = item.size if settlement.moved is None else settlement.moved.get(item.path, item.size)
                moved_bytes += size
                code = SOURCE_CHANGED if size != item.size else None
            elif item.path in settlement.skipped:
                code = settlement.skipped[item.path]
            if code is not None:
                faults.append(ItemFault(path=item.path, outcome=outcome, code=code, attempt=attempt.number))
        faults += [
            ItemFault(path=path, outcome=settlement.skipped_as, code=code, attempt=attempt.number)
            for path, code in settlement.inside.items()
        ]
        return self._settled(settlement, bytes(outcomes), moved_bytes, faults)

    def settle_all(self, settlement: Settlement) -> Batch:
        """The same where every item was sent, and was moved as it was scanned: then none need be looked at."""
        return self._settled(settlement, bytes([Outcome.TRANSFERRED]) * self.items, self.size, self.faults)

    def _settled(self, settlement: Settlement, outcomes: bytes, moved_bytes: int, faults: Sequence[ItemFault]) -> Batch:
        settled = self._with_attempt(
            status=settlement.status,
            ended_at=now(),
            files_transferred=settlement.files_transferred,
            bytes_transferred=settlement.bytes_transferred,
            skipped_errors=settlement.skipped_errors,
            faults=settlement.faults,
            error=self.attempts[-1].error or settlement.error,
        )
        return _rated(
            settled.evolve(
                outcomes=outcomes,
                bytes_transferred=self.bytes_transferred + moved_bytes,
                faults=tuple(faults),
            )
        )

    def set_aside(self, items: Sequence[Item], faults: Mapping[str, ItemFault]) -> Batch:
        """The batch with the remaining items named in ``faults`` where those say."""
        outcomes = bytearray(self.outcomes)
        found = list(self.faults)
        for index, item in enumerate(items):
            if item.path in faults and outcomes[index] == Outcome.REMAINING:
                outcomes[index] = faults[item.path].outcome
                found.append(faults[item.path])
        return _rated(self.evolve(outcomes=bytes(outcomes), faults=tuple(found)))

    def redrive(self, items: Sequence[Item], chosen: Callable[[ItemFault], bool] = lambda _: True) -> Self:
        """The batch with those of its dead items to be tried again that are ``chosen``; what is known of them stays."""
        noted = self.noted
        outcomes = bytearray(self.outcomes)
        again: list[ItemFault] = []
        for index, item in enumerate(items):
            if outcomes[index] != Outcome.DEAD:
                continue
            # of a directory that is transferred as a whole, what is in it is noted, too
            found = list(noted.values()) if item.type is ItemType.TREE else [noted[item.path]]
            if any(map(chosen, found)):
                outcomes[index] = Outcome.REMAINING
                again += found
        redriven = [fault.evolve(outcome=Outcome.REMAINING, code=REDRIVEN, at=now()) for fault in again]
        return self.evolve(outcomes=bytes(outcomes), faults=(*self.faults, *redriven))

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
        return settlement.skipped_as
    if settlement.moved is not None and item.path in settlement.moved:
        return Outcome.TRANSFERRED
    if settlement.status is not AttemptStatus.SUCCEEDED or not settlement.exact:
        return Outcome.REMAINING
    # Globus lists the files it moved, never directories; a file that it did not list was in sync already
    listed = settlement.moved is not None and item.type is ItemType.FILE
    return Outcome.UNCHANGED if listed else Outcome.TRANSFERRED
