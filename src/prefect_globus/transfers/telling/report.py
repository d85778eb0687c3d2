"""The report of a transfer: what it did, found in its record in one pass, with a bounded number of examples."""

from __future__ import annotations

import heapq
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any, Self
from uuid import UUID

from prefect_globus.transfers.batches import SOURCE_CHANGED, Attempt, Batch, Whole
from prefect_globus.transfers.items import Outcome
from prefect_globus.transfers.ledger import Ledger
from prefect_globus.transfers.location import Location
from prefect_globus.transfers.model import Approval, Drive, PausedBy, Scheduled, Transfer
from prefect_globus.transfers.options import TransferOptions
from prefect_globus.transfers.records import Record
from prefect_globus.transfers.removals import Removal, RemovalKind
from prefect_globus.transfers.states import AttemptStatus, TransferStatus
from prefect_globus.transfers.telling.throughput import Tally, Throughput

EXAMPLES = 5  # paths of a code
GROUPS = 30  # codes that are told apart
LISTED = 10  # batches and tasks
OTHER_CODES = "OTHER_CODES"  # of those that are too many to be told apart
AT_REST = (TransferStatus.COMPLETED, TransferStatus.FAILED, TransferStatus.CANCELED, TransferStatus.PAUSED)


class Noted(StrEnum):
    """What is worth a word of an item."""

    DEAD = "dead"  # it failed for good
    SKIPPED = "skipped"
    CHANGED = "changed"  # it was transferred, but not as it was scanned


class Trouble(Record):
    """Items of which the same is to be said.

    Args:
        what: it.
        code: why; see `prefect_globus.transfers.codes`.
        items: how many.
        examples: the paths of the first of them.
    """

    what: Noted
    code: str
    items: int
    examples: tuple[str, ...]


class Phase(Record):
    """A stretch of the work. The scan and the Globus tasks overlap."""

    name: str
    began_at: datetime
    ended_at: datetime | None


class Waits(Record):
    """What the Globus tasks spent their time on, in seconds, added up over all of them.

    Args:
        submitting: from the intent to their acceptance, with the wait for another task with the same paths.
        queued: in Globus' queue, as far as that was seen.
        longest_queued: the longest of these.
        at_work: from then on.
    """

    submitting: float = 0.0
    queued: float = 0.0
    longest_queued: float = 0.0
    at_work: float = 0.0


class SlowBatch(Record):
    """One of the batches that took longest.

    Args:
        number: the batch's.
        seconds: from the first intent to the last end.
        items: how many it has.
        bytes_transferred: the sizes of those transferred, and what was moved of a directory as a whole.
        attempts: how many Globus tasks were tried.
        task_id: the last of them.
    """

    number: int
    seconds: float
    items: int
    bytes_transferred: int
    attempts: int
    task_id: UUID | None


class FailedTask(Record):
    """A Globus task that did not succeed; ``error`` is the code of the reason, if one is on record."""

    task_id: UUID | None
    batch: int
    attempt: int
    status: AttemptStatus
    error: str | None
    ended_at: datetime | None


class Removed(Record):
    """What was deleted, and what stays, by the code that says why; see `Removal`."""

    kind: RemovalKind
    complete: bool
    items_deleted: int
    bytes_deleted: int
    kept: Mapping[str, int]
    tasks: int

    @classmethod
    def of(cls, removal: Removal) -> Self:
        """What is told of ``removal``."""
        return cls(
            kind=removal.kind,
            complete=removal.complete,
            items_deleted=removal.deleted,
            bytes_deleted=removal.size,
            kept=removal.kept,
            tasks=len(removal.task_ids),
        )


class TransferReport(Record):
    """What a transfer did. Sizes are bytes, stretches of time seconds, moments are aware and in UTC.

    Args:
        ledger: the counts of items by what became of them.
        whole: directories with more entries than Globus lists, each of them one item, and what was moved of them.
        gone: of an incremental one, how many items the source has no more since ``since``; None if nobody can tell.
        options: those that are not the default.
        ended_at: when it came to rest; None while it is at work.
        drives: the processes that have driven it, the latest of them.
        troubles: what is worth a word of its items, grouped; dead letters first, most items first.
        tasks: the Globus tasks by how they went.
        retries: how many of these were a second try, or a later one, for their batch.
        reasons: why Globus tasks did not succeed: codes with how often.
        faults: what running Globus tasks have met: codes with how often, as far as they were read.
        failed_tasks: the latest of those that did not succeed.
        slowest: the batches that took longest.
        throughput: how much was moved when; None when nothing was.
        has_links: whether its tasks are known to Globus' web app.
    """

    id: str
    status: TransferStatus
    source: Location
    destination: Location
    label: str | None
    error: str | None
    paused_by: PausedBy | None
    ledger: Ledger
    whole: Whole = Whole()
    scan_complete: bool
    since: str | None
    gone: int | None
    repairs: str | None
    scheduled: Scheduled | None
    approval: Approval | None
    options: Mapping[str, Any]
    created_at: datetime
    ended_at: datetime | None
    phases: tuple[Phase, ...]
    drives: tuple[Drive, ...]
    troubles: tuple[Trouble, ...]
    tasks: Mapping[AttemptStatus, int]
    retries: int
    reasons: Mapping[str, int]
    faults: Mapping[str, int]
    waits: Waits
    failed_tasks: tuple[FailedTask, ...]
    slowest: tuple[SlowBatch, ...]
    removed: tuple[Removed, ...]
    throughput: Throughput | None
    has_links: bool = True

    @classmethod
    def of(cls, transfer: Transfer, batches: Iterable[Batch], *, has_links: bool = True) -> Self:
        """The report of ``transfer``, whose ``batches`` are read once, in order, and not kept."""
        seen = _Seen(transfer)
        for batch in batches:
            seen.take(batch)
        return cls(
            id=transfer.id,
            status=transfer.status,
            source=transfer.source,
            destination=transfer.destination,
            label=transfer.options.label,
            error=transfer.error,
            paused_by=transfer.paused_by,
            ledger=seen.ledger,
            whole=seen.whole,
            scan_complete=transfer.scan_complete,
            since=transfer.since,
            gone=transfer.deleted,
            repairs=transfer.repairs.transfer_id if transfer.repairs is not None else None,
            scheduled=transfer.scheduled,
            approval=transfer.approval,
            options=_chosen(transfer.options),
            created_at=transfer.created_at,
            ended_at=transfer.updated_at if transfer.status in AT_REST else None,
            phases=seen.phases,
            drives=transfer.drives,
            troubles=seen.troubles,
            tasks=dict(seen.tasks),
            retries=seen.retries,
            reasons=dict(_most(seen.reasons)),
            faults=dict(_most(seen.faults)),
            waits=seen.waits,
            failed_tasks=tuple(seen.failed),
            slowest=tuple(batch for _, _, batch in sorted(seen.slowest, reverse=True)),
            removed=tuple(map(Removed.of, transfer.removals)),
            throughput=seen.tally.throughput(),
            has_links=has_links,
        )

    @property
    def seconds(self) -> float | None:
        """From its creation until it came to rest; None while it is at work."""
        return None if self.ended_at is None else max(0.0, (self.ended_at - self.created_at).total_seconds())

    def to_json(self) -> str:
        """The report as JSON, in ASCII, as a path may hold what is no text."""
        return json.dumps(self.model_dump(mode="json"), indent=2)


class _Seen:
    """What was seen of the batches so far."""

    def __init__(self, transfer: Transfer) -> None:
        self._transfer = transfer
        self._ledgers = dict.fromkeys(Ledger.model_fields, 0)
        self._noted: Counter[tuple[Noted, str]] = Counter()
        self._examples: dict[tuple[Noted, str], list[str]] = {}
        self._waits = dict.fromkeys(Waits.model_fields, 0.0)
        self._began_at: datetime | None = None
        self._ended_at: datetime | None = None
        self._live = False
        self.tally = Tally(transfer.created_at)
        self.tasks: Counter[AttemptStatus] = Counter()
        self.reasons: Counter[str] = Counter()
        self.faults: Counter[str] = Counter()
        self.retries = 0
        self.whole = Whole()
        self.failed: list[FailedTask] = []
        self.slowest: list[tuple[float, int, SlowBatch]] = []

    def take(self, batch: Batch) -> None:
        """Take in one batch."""
        for name, value in batch.ledger:
            self._ledgers[name] += value
        if batch.faults:
            self._note(batch)
        if batch.is_whole:
            self.whole += batch.whole
        self.retries += max(0, len(batch.attempts) - 1)
        for attempt in batch.attempts:
            self._take_attempt(batch, attempt)
        if batch.attempts:
            self._rank(batch)

    @property
    def ledger(self) -> Ledger:
        """The sums."""
        return Ledger(**self._ledgers)

    @property
    def waits(self) -> Waits:
        """The sums."""
        return Waits(**self._waits)

    @property
    def phases(self) -> tuple[Phase, ...]:
        """The scan, and what Globus did."""
        transfer = self._transfer
        phases = []
        if transfer.scanned_at is not None or not transfer.scan_complete:  # else an older version has not said when
            phases.append(Phase(name="scan", began_at=transfer.created_at, ended_at=transfer.scanned_at))
        if self._began_at is not None:
            goes_on = self._live or transfer.status not in AT_REST  # for a moment there may be no task
            ended_at = None if goes_on else self._ended_at
            phases.append(Phase(name="Globus tasks", began_at=self._began_at, ended_at=ended_at))
        return tuple(phases)

    @property
    def troubles(self) -> tuple[Trouble, ...]:
        """Dead letters first, and of each sort those of most items first; codes that are too many become one."""
        groups: dict[tuple[Noted, str], Trouble] = {}
        ranked = sorted(self._noted.items(), key=lambda entry: (list(Noted).index(entry[0][0]), -entry[1], entry[0][1]))
        for (what, code), items in ranked:
            key = (what, code if len(groups) < GROUPS else OTHER_CODES)
            known = groups.get(key)
            groups[key] = Trouble(
                what=what,
                code=key[1],
                items=items + (known.items if known else 0),
                examples=((known.examples if known else ()) + tuple(self._examples[what, code]))[:EXAMPLES],
            )
        return tuple(groups.values())

    def _note(self, batch: Batch) -> None:
        noted = batch.noted
        for fault in noted.values():
            what = _NOTED.get(fault.outcome)
            if what is None or (what is Noted.CHANGED and fault.code != SOURCE_CHANGED):
                continue
            # what is in a directory that was transferred as a whole is an example of what that directory, one item, met
            about = noted.get(batch.first_path, fault) if batch.is_whole else fault
            self._noted[what, about.code] += about is fault
            examples = self._examples.setdefault((what, about.code), [])
            if len(examples) < EXAMPLES:
                examples.append(fault.path)

    def _take_attempt(self, batch: Batch, attempt: Attempt) -> None:
        self.tasks[attempt.status] += 1
        self.faults.update(attempt.codes)
        self._live = self._live or attempt.live
        self._began_at = min(filter(None, (self._began_at, attempt.intended_at)))
        if attempt.ended_at is None:
            return
        self._ended_at = max(filter(None, (self._ended_at, attempt.ended_at)))
        self._time(attempt, attempt.ended_at)
        if attempt.status is not AttemptStatus.SUCCEEDED:
            self.reasons[attempt.error or attempt.status.value] += 1
            facts = {name: getattr(attempt, name) for name in ("task_id", "status", "error", "ended_at")}
            self.failed.append(FailedTask(batch=batch.number, attempt=attempt.number, **facts))
            self.failed = sorted(self.failed, key=lambda task: (task.ended_at, task.batch), reverse=True)[:LISTED]

    def _time(self, attempt: Attempt, ended_at: datetime) -> None:
        accepted = attempt.submitted_at or ended_at
        began = attempt.began_at or accepted
        queued = _seconds(accepted, began)
        self._waits["submitting"] += _seconds(attempt.intended_at, accepted)
        self._waits["queued"] += queued
        self._waits["longest_queued"] = max(self._waits["longest_queued"], queued)
        self._waits["at_work"] += _seconds(began, ended_at)
        if attempt.files_transferred:
            self.tally.add(began, ended_at, files=attempt.files_transferred, size=attempt.bytes_transferred)

    def _rank(self, batch: Batch) -> None:
        first, last = batch.attempts[0], batch.attempts[-1]
        seconds = _seconds(first.intended_at, last.updated_at)
        slow = SlowBatch(
            number=batch.number,
            seconds=seconds,
            items=batch.items,
            bytes_transferred=batch.bytes_transferred + batch.whole.size,
            attempts=len(batch.attempts),
            task_id=last.task_id,
        )
        heapq.heappush(self.slowest, (seconds, -batch.number, slow))
        if len(self.slowest) > LISTED:
            heapq.heappop(self.slowest)


_NOTED = {Outcome.DEAD: Noted.DEAD, Outcome.SKIPPED: Noted.SKIPPED, Outcome.TRANSFERRED: Noted.CHANGED}


def _seconds(since: datetime, until: datetime) -> float:
    """From one moment to another; 0 where the clocks of two machines turn them round."""
    return max(0.0, (until - since).total_seconds())


def _most(counts: Counter[str]) -> list[tuple[str, int]]:
    """The most frequent of ``counts``, and the others as one."""
    most = counts.most_common(GROUPS)
    others = counts.total() - sum(times for _, times in most)
    return [*most, (OTHER_CODES, others)] if others else most


def _chosen(options: TransferOptions) -> dict[str, Any]:
    """The options that are not the default."""
    chosen: dict[str, Any] = options.model_dump(mode="json", exclude_defaults=True)
    chosen.pop("label", None)
    return chosen
