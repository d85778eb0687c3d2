"""What is told of a transfer besides its result: its items, its history, and what a sweep has done about it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Self

from pydantic import PlainSerializer

from prefect_globus.transfers.batches import SOURCE_CHANGED, Attempt, Batch, ItemFault
from prefect_globus.transfers.items import Item, ItemType, Outcome
from prefect_globus.transfers.records import Record
from prefect_globus.transfers.selecting import matches
from prefect_globus.transfers.states import BatchStatus

NamedOutcome = Annotated[Outcome, PlainSerializer(lambda outcome: outcome.name, return_type=str, when_used="json")]


class ItemReport(Record):
    """One item of a transfer, and what became of it.

    Args:
        path: relative to the source; empty when the source is itself one file.
        size: bytes, as scanned.
        mtime: seconds since 1970, as scanned.
        type: what it is.
        outcome: how it stands; by name in JSON.
        batch: the number of its batch.
        code: the fault that explains it; None where none does.
        attempt: which of the batch's attempts said so; 0 when none was needed to know.
        at: when it was noted.
    """

    path: str
    size: int
    mtime: int
    type: ItemType
    outcome: NamedOutcome
    batch: int
    code: str | None = None
    attempt: int | None = None
    at: datetime | None = None


class FaultReport(Record):
    """One thing that was noted of an item; see `ItemFault`. The outcome is a name in JSON."""

    path: str
    outcome: NamedOutcome
    code: str
    attempt: int
    at: datetime | None


class BatchHistory(Record):
    """All that was ever tried for one batch, and noted of its items; both oldest first.

    Args:
        number: the batch's.
        status: where it stands.
        items: how many it has.
        first_path: of its first item.
        last_path: of its last item.
        attempts: its Globus tasks, with times, counters and codes.
        faults: of its items.
    """

    number: int
    status: BatchStatus
    items: int
    first_path: str
    last_path: str
    attempts: tuple[Attempt, ...]
    faults: tuple[FaultReport, ...]

    @classmethod
    def of(cls, batch: Batch) -> Self:
        """The history of ``batch``."""
        return cls(
            number=batch.number,
            status=batch.status,
            items=batch.items,
            first_path=batch.first_path,
            last_path=batch.last_path,
            attempts=batch.attempts,
            faults=tuple(FaultReport(**dict(fault)) for fault in batch.faults),
        )


class Choice(Record):
    """Which items are meant.

    Args:
        outcomes: those that stand so; any when there are none.
        changed: also those that were transferred, but not as they were scanned.
        match: a pattern for their paths, as those of ``options.include``.
        code: of the fault that explains how they stand.
    """

    outcomes: frozenset[Outcome] = frozenset()
    changed: bool = False
    match: str | None = None
    code: str | None = None

    def may_be_in(self, batch: Batch) -> bool:
        """Whether the manifest of ``batch`` is worth reading."""
        if self.code is not None and all(fault.code != self.code for fault in batch.faults):
            return False
        return self._any or any(outcome in batch.outcomes for outcome in self.outcomes) or self._has_changed(batch)

    def takes(self, path: str, outcome: int, fault: ItemFault | None) -> bool:
        """Whether the item at ``path`` is meant, which stands at ``outcome``; ``fault`` explains that, if any does."""
        is_changed = self.changed and fault is not None and _is_change(fault)
        if not (self._any or outcome in self.outcomes or is_changed):
            return False
        if self.code is not None and (fault is None or fault.code != self.code):
            return False
        return self.match is None or matches(path, self.match)

    def items(self, batch: Batch, items: Sequence[Item]) -> Iterator[ItemReport]:
        """Those of the ``items`` of ``batch`` that are meant, in order."""
        latest = {fault.path: fault for fault in batch.faults}
        for item, outcome in zip(items, batch.outcomes, strict=True):
            fault = latest.get(item.path)
            if fault is not None and fault.outcome != outcome:  # it was tried again since
                fault = None
            if self.takes(item.path, outcome, fault):
                noted = {} if fault is None else {"code": fault.code, "attempt": fault.attempt, "at": fault.at}
                facts = item._asdict() | noted
                yield ItemReport.model_construct(**facts, outcome=Outcome(outcome), batch=batch.number)

    @property
    def _any(self) -> bool:
        return not self.outcomes and not self.changed

    def _has_changed(self, batch: Batch) -> bool:
        return self.changed and any(map(_is_change, batch.faults))


def _is_change(fault: ItemFault) -> bool:
    return fault.outcome is Outcome.TRANSFERRED and fault.code == SOURCE_CHANGED


class Done(StrEnum):
    """What a sweep has done about one transfer."""

    RESUMED = "resumed"  # and it has ended
    STARTED = "started"  # as a run of a deployment
    OBEYED = "obeyed"  # what somebody had asked of it while nobody drove it
    LEFT = "left alone"
    FAILED = "not completed"


class Swept(Record):
    """What a sweep has done about one transfer, and why, or how that ended."""

    transfer_id: str
    done: Done
    words: str


class Sweep(Record):
    """What a sweep has done about each transfer that is not final; `str` is for people."""

    swept: tuple[Swept, ...] = ()

    def of(self, done: Done) -> tuple[Swept, ...]:
        """Those about which it has done ``done``."""
        return tuple(each for each in self.swept if each.done is done)

    def __str__(self) -> str:
        counts = [f"{len(found)} {done}" for done in Done if (found := self.of(done))]
        lines = [f"{each.transfer_id} {_VERBS[each.done]}: {each.words}" for each in self.swept]
        return "\n".join([", ".join(counts) or "Nothing to resume", *lines])


_VERBS = {
    Done.RESUMED: "was resumed",
    Done.STARTED: "was started",
    Done.OBEYED: "was driven by nobody",
    Done.LEFT: "is left alone",
    Done.FAILED: "was not completed",
}
