"""The board: the Globus tasks of a transfer that are worth a look, however many there are."""

from __future__ import annotations

import heapq
from collections import Counter, deque
from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple, Self
from uuid import UUID

from prefect_globus.transfers.batches import Attempt, Batch
from prefect_globus.transfers.states import AttemptStatus
from prefect_globus.transfers.watching import TaskView

_MOST_FAILED, _MOST_SLOW, _MOST_LATE = 20, 10, 20


class TaskRow(NamedTuple):
    """One Globus task.

    Args:
        batch: the number of its batch.
        attempt: which of that batch's attempts it is.
        task_id: Globus' own.
        status: as the attempt has it, or for a running one as Globus describes it.
        files: moved.
        size: moved, in bytes.
        faults: error events that Globus counted.
        submitted_at: when it was submitted.
        ended_at: when it was seen to have ended; None while it has not.
        code: for which it failed.
    """

    batch: int
    attempt: int
    task_id: UUID
    status: str
    files: int
    size: int
    faults: int
    submitted_at: datetime
    ended_at: datetime | None
    code: str | None

    @classmethod
    def of(cls, batch: Batch, attempt: Attempt) -> Self | None:
        """The row of one of the attempts of ``batch``; None if it has no task."""
        if attempt.task_id is None:
            return None
        return cls(
            batch=batch.number,
            attempt=attempt.number,
            task_id=attempt.task_id,
            status=attempt.status.value,
            files=attempt.files_transferred,
            size=attempt.bytes_transferred,
            faults=attempt.faults,
            submitted_at=attempt.submitted_at or attempt.intended_at,
            ended_at=attempt.ended_at,
            code=attempt.error,
        )

    def seen(self, view: TaskView) -> Self:
        """The row with what the task looks like now."""
        return self._replace(
            status=view.nice_status or view.status,
            files=view.files_transferred,
            size=view.bytes_transferred,
            faults=view.faults,
        )

    def seconds(self, at: datetime) -> float:
        """How long it took, or has taken by then."""
        return max(0.0, ((self.ended_at or at) - self.submitted_at).total_seconds())


class Board:
    """Keeps the rows of what runs, of what has failed, of what was slow, and of what has ended last.

    Of each there are so many at most, so that it stays small for a transfer of any size. Not safe to use from several
    threads.
    """

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()  # all tasks that have ended, by status
        self._noted: dict[int, int] = {}  # how many attempts of a batch have been counted
        self._live: dict[int, TaskRow] = {}
        self._failed: deque[TaskRow] = deque(maxlen=_MOST_FAILED)
        self._slow: list[tuple[float, int, int, TaskRow]] = []
        self._late: deque[TaskRow] = deque(maxlen=_MOST_LATE)

    def note(self, batch: Batch) -> None:
        """Take in a batch as it was just written."""
        self._live.pop(batch.number, None)
        for attempt in batch.attempts[self._noted.get(batch.number, 0) :]:
            row = TaskRow.of(batch, attempt)
            if attempt.live:
                if row is not None:
                    self._live[batch.number] = row
                return
            self._noted[batch.number] = attempt.number
            if row is not None:
                self._keep(row)

    def rows(self, views: dict[int, TaskView]) -> list[TaskRow]:
        """What is worth a look: what runs, then what has failed, is slow, and has ended last; each once.

        As long as that is all there is, it is in the order of the batches.

        Args:
            views: what the running tasks look like, by the numbers of their batches.
        """
        live = [row.seen(views[number]) if number in views else row for number, row in sorted(self._live.items())]
        slow = [row for *_, row in sorted(self._slow, reverse=True)]
        rows = _once([*live, *reversed(self._failed), *slow, *reversed(self._late)])
        return sorted(rows) if len(rows) == self.total else rows

    @property
    def total(self) -> int:
        """How many tasks there are in all."""
        return self.counts.total() + len(self._live)

    def _keep(self, row: TaskRow) -> None:
        self.counts[row.status] += 1
        (self._late if row.status == AttemptStatus.SUCCEEDED else self._failed).append(row)
        heapq.heappush(self._slow, (row.seconds(row.submitted_at), row.batch, row.attempt, row))
        if len(self._slow) > _MOST_SLOW:
            heapq.heappop(self._slow)


def _once(rows: Iterable[TaskRow]) -> list[TaskRow]:
    return list({(row.batch, row.attempt): row for row in rows}.values())
