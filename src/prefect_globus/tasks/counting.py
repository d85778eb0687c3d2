"""Counting: what becomes of the batches of one transfer, as metrics of this process."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from prefect_globus.telemetry.metrics import Metrics, metrics
from prefect_globus.transfers.batches import Attempt, Batch
from prefect_globus.transfers.ledger import Ledger
from prefect_globus.transfers.states import AttemptStatus, TransferStatus

_OUTCOMES = ("transferred", "unchanged", "skipped", "dead")
_AT_REST = (TransferStatus.COMPLETED, TransferStatus.FAILED, TransferStatus.CANCELED, TransferStatus.PAUSED)


class Counting:
    """Compares each batch that is written with what it was; does nothing where nobody wants metrics."""

    def __init__(self) -> None:
        self._metrics: Metrics | None = metrics()
        self._known: dict[int, tuple[Ledger, Attempt | None]] = {}
        self._in_flight: set[int] = set()
        self._drives = False
        self._lock = threading.Lock()

    def begin(self) -> None:
        """A transfer is driven from now on."""
        if self._metrics is not None:
            self._drives = True
            self._metrics.transfers.inc()

    def know(self, batch: Batch) -> None:
        """Take in a batch that an earlier driver has left, which is not counted again."""
        if self._metrics is not None:
            self._known[batch.number] = batch.ledger, batch.attempt
            self._watch(self._metrics, batch)

    def end(self) -> None:
        """Nothing is driven any more."""
        if self._metrics is not None and self._drives:
            self._metrics.transfers.dec()
            self._metrics.tasks.dec(len(self._in_flight))

    def note(self, batch: Batch) -> None:
        """Count what is new in a batch that was just written."""
        if self._metrics is None:
            return
        with self._lock:
            ledger, before = self._known.get(batch.number, (Ledger(), None))
            self._known[batch.number] = batch.ledger, batch.attempt
            self._watch(self._metrics, batch)
        for outcome in _OUTCOMES:
            more = getattr(batch.ledger, outcome) - getattr(ledger, outcome)
            if more > 0:  # dead letters that are tried again count when they are settled
                self._metrics.items.labels(outcome).inc(more)
        if batch.attempt is not None and batch.attempt != before:
            is_same = before is not None and before.number == batch.attempt.number
            _count_attempt(self._metrics, batch.attempt, before if is_same else None)

    def note_status(self, status: TransferStatus) -> None:
        """Count a transfer that has come to rest."""
        if self._metrics is not None and status in _AT_REST:
            self._metrics.transfers_ended.labels(status.value).inc()

    @contextmanager
    def waiting_for_place(self) -> Iterator[None]:
        """Measure how long the block takes."""
        began = time.monotonic()
        yield
        if self._metrics is not None:
            self._metrics.place.observe(time.monotonic() - began)

    def _watch(self, metrics: Metrics, batch: Batch) -> None:
        """Keep the number of tasks that may be running."""
        runs = batch.attempt is not None and batch.attempt.status is AttemptStatus.SUBMITTED
        if runs != (batch.number in self._in_flight):
            self._in_flight ^= {batch.number}
            metrics.tasks.inc(1 if runs else -1)


def count_retry(error: Exception) -> None:
    """Count a call that failed with ``error`` and is made again."""
    if (found := metrics()) is not None:
        found.retried_calls.labels(type(error).__name__).inc()


def _count_attempt(metrics: Metrics, attempt: Attempt, before: Attempt | None) -> None:
    if attempt.submitted_at is not None and (before is None or before.submitted_at is None):
        metrics.tasks_submitted.inc()
        if attempt.number > 1:
            metrics.retried_tasks.inc()
    if attempt.ended_at is None or (before is not None and before.ended_at is not None):
        return
    metrics.tasks_ended.labels(attempt.status.value).inc()
    metrics.files.inc(attempt.files_transferred)
    metrics.bytes.inc(attempt.bytes_transferred)
    if attempt.submitted_at is not None:
        metrics.took.observe(max(0.0, (attempt.ended_at - attempt.submitted_at).total_seconds()))
        if attempt.began_at is not None:
            metrics.queued.observe(max(0.0, (attempt.began_at - attempt.submitted_at).total_seconds()))
