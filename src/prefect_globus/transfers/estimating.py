"""How long a transfer may take, by what past runs between the same collections took. Nothing is invented."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from statistics import median, quantiles
from typing import Self

from prefect_globus.transfers.batches import Batch
from prefect_globus.transfers.records import Record

# A run whose files are, on average, so many times larger or smaller says little about how long these take.
_ALIKE = 8.0


class PastRun(Record):
    """What the Globus tasks of one transfer have moved, and how long at least one of them was under way.

    Args:
        files: how many.
        bytes: their sizes.
        seconds: while a task was submitted and had not ended, waits in Globus' queue included; not between them.
        tasks: how many tasks.
    """

    files: int
    bytes: int
    seconds: float
    tasks: int

    @classmethod
    def of(cls, batches: Iterable[Batch]) -> Self | None:
        """What the attempts on record say; None when none has moved anything."""
        files = size = tasks = 0
        spans: list[tuple[datetime, datetime]] = []
        for batch in batches:
            for attempt in batch.attempts:
                if attempt.submitted_at is None or attempt.ended_at is None or not attempt.files_transferred:
                    continue
                tasks += 1
                files += attempt.files_transferred
                size += attempt.bytes_transferred
                spans.append((attempt.submitted_at, attempt.ended_at))
        seconds = _busy(spans).total_seconds()
        return cls(files=files, bytes=size, seconds=seconds, tasks=tasks) if seconds > 0 else None

    def seconds_for(self, files: int, size: int) -> float:
        """How long so much takes at its pace: by files or by bytes, whichever is slower."""
        return self.seconds * max(files / self.files, size / self.bytes if self.bytes else 0.0)

    @property
    def mean_size(self) -> float:
        """Of its files, in bytes."""
        return self.bytes / self.files


def _busy(spans: Sequence[tuple[datetime, datetime]]) -> timedelta:
    """How long at least one of the spans lasted."""
    total, until = timedelta(), None
    for begin, end in sorted(spans):
        start = begin if until is None else max(begin, until)
        if end > start:
            total += end - start
        until = end if until is None else max(until, end)
    return total


class Estimate(Record):
    """How long it may take, from the first Globus task to the end of the last.

    Args:
        seconds: by the median of the past runs.
        least: by the quicker quarter of them.
        most: by the slower quarter.
        bytes_per_second: their median.
        files_per_second: their median.
        runs: how many there are.
        tasks: how many Globus tasks they had.
        alike: whether their files were of about the same size, on average; otherwise it is a rough guess.
    """

    seconds: float
    least: float
    most: float
    bytes_per_second: float
    files_per_second: float
    runs: int
    tasks: int
    alike: bool

    @classmethod
    def of(cls, files: int, size: int, past: Sequence[PastRun]) -> Self | None:
        """How long so many files of so many bytes in all take; None when there is nothing to move or to go by."""
        if not files or not past:
            return None
        mean = size / files
        alike = [run for run in past if _are_alike(mean, run.mean_size)]
        runs = alike or past
        each = [run.seconds_for(files, size) for run in runs]
        least, _, most = quantiles(each, n=4, method="inclusive") if len(each) > 1 else each * 3
        return cls(
            seconds=median(each),
            least=least,
            most=most,
            bytes_per_second=median(run.bytes / run.seconds for run in runs),
            files_per_second=median(run.files / run.seconds for run in runs),
            runs=len(runs),
            tasks=sum(run.tasks for run in runs),
            alike=bool(alike),
        )


def _are_alike(mean: float, other: float) -> bool:
    # a byte for the empty ones
    return max(mean, other) + 1 <= _ALIKE * (min(mean, other) + 1)
