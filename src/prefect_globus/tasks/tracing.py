"""Tracing: the spans of a transfer, its batches and its Globus tasks; the requests to Globus are below these."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from opentelemetry.trace import Status, StatusCode

from prefect_globus.tasks.driver import Driver
from prefect_globus.telemetry.spans import Attributes, describe, span
from prefect_globus.transfers.batches import Batch
from prefect_globus.transfers.states import AttemptStatus


@contextmanager
def traced_transfer(driver: Driver) -> Iterator[None]:
    """The span of one run of a transfer."""
    transfer = driver.transfer
    ends = {"source": str(transfer.source), "destination": str(transfer.destination)}
    with span("transfer", {"transfer_id": transfer.id, **ends}) as current:
        try:
            yield
        finally:
            ledger = driver.progress.ledger()
            counts = {"items": ledger.items, "bytes": ledger.bytes_transferred}
            describe(current, {"status": driver.transfer.status.value, **counts})


@contextmanager
def traced_batch(batch: Batch) -> Iterator[None]:
    """The span of one try of a batch."""
    counts = {"items": batch.items, "bytes": batch.size}
    with span("batch", {"transfer_id": batch.transfer_id, "batch": batch.number, **counts}):
        yield


@contextmanager
def traced_task(batch: Batch) -> Iterator[Callable[[Batch], None]]:
    """The span of the latest Globus task of ``batch``; to be called with the batch when that has ended."""
    with span("globus task", {"transfer_id": batch.transfer_id, "batch": batch.number}) as current:

        def ended(after: Batch) -> None:
            attempt = after.attempts[-1]
            facts: Attributes = {
                "task_id": str(attempt.task_id),
                "attempt": attempt.number,
                "status": attempt.status.value,
            }
            counts = {"files": attempt.files_transferred, "bytes": attempt.bytes_transferred, "faults": attempt.faults}
            describe(current, {**facts, **counts, "error": attempt.error})
            if attempt.status is not AttemptStatus.SUCCEEDED:
                current.set_status(Status(StatusCode.ERROR, attempt.error or attempt.status.value))

        yield ended
