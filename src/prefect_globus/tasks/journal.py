"""The journal: what becomes of batches, in the log. A line for each while they are few; of many, the summary tells.

What has failed is told as what it is, no worse: the error that follows from it is raised, and Prefect shows that.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter, deque
from collections.abc import Mapping
from typing import TYPE_CHECKING
from uuid import UUID

from prefect_globus.tasks.logs import run_logger
from prefect_globus.transfers.batches import Attempt, Batch, ItemFault
from prefect_globus.transfers.ledger import Ledger
from prefect_globus.transfers.location import Location
from prefect_globus.transfers.naming import batch_name
from prefect_globus.transfers.options import TransferOptions
from prefect_globus.transfers.quantities import count, size, span
from prefect_globus.transfers.result import TASK_LINK
from prefect_globus.transfers.states import AttemptStatus
from prefect_globus.transfers.watching import TaskView

if TYPE_CHECKING:
    from prefect_globus.tasks.driver import Driver

_LINES_PER_MINUTE = 20
_MINUTE_SECONDS = 60.0


class Room:
    """How many lines about batches a log has room for: so many in any minute. Safe to use from several threads."""

    def __init__(self) -> None:
        self._said: deque[float] = deque()
        self._lock = threading.Lock()

    def level(self, wanted: int = logging.INFO) -> int:
        """The level of the next line: the one that is wanted while there is room; DEBUG for what would be too much."""
        at = time.monotonic()
        with self._lock:
            while self._said and at - self._said[0] > _MINUTE_SECONDS:
                self._said.popleft()
            if len(self._said) >= _LINES_PER_MINUTE:
                return logging.DEBUG
            self._said.append(at)
            return wanted


def tell_submitted(driver: Driver, batch: Batch, *, taken_up: bool) -> None:
    """Say that a Globus task of ``batch`` is on its way, and where to look at it.

    Args:
        driver: whose batch it is.
        batch: with a submitted attempt.
        taken_up: whether that was submitted by an earlier driver.
    """
    attempt = batch.attempts[-1]
    sent = count(batch.remaining, "file") if attempt.number > 1 else f"{count(batch.items, 'file')}, {size(batch.size)}"
    how = "is taken up again" if taken_up else "is on its way"
    again = f", try {attempt.number}" if attempt.number > 1 else ""
    run_logger().log(
        driver.room.level(), "%s %s: %s%s; %s", _name(driver, batch), how, sent, again, _task(driver, attempt.task_id)
    )


def tell_settled(driver: Driver, batch: Batch) -> None:
    """Say how the latest Globus task of ``batch`` has ended, and what became of its files."""
    attempt, ledger = batch.attempts[-1], batch.ledger
    counts = {"unchanged": ledger.unchanged, "skipped": ledger.skipped, "failed for good": ledger.dead}
    counts["still to be transferred"] = ledger.remaining
    words = ", ".join([_moved(attempt), *(f"{number:,} {what}" for what, number in counts.items() if number)])
    if attempt.status is AttemptStatus.SUCCEEDED:
        how = "is done" if not (ledger.remaining or ledger.dead) else "has come to an end"
        run_logger().log(driver.room.level(), "%s %s: %s", _name(driver, batch), how, words)
        return
    code = f" ({attempt.error})" if attempt.error else ""
    facts = attempt.status.value.lower(), code, words, _task(driver, attempt.task_id)
    run_logger().info("%s: its Globus task has %s%s; %s; %s", _name(driver, batch), *facts)


def tell_set_aside(driver: Driver, batch: Batch, faults: Mapping[str, ItemFault]) -> None:
    """Say what is not even tried."""
    codes = Counter(fault.code for fault in faults.values())
    first = min(faults)
    words = ", ".join(f"{number:,} {code}" for code, number in sorted(codes.items()))
    run_logger().info("%s: set aside are %s; the first is %r", _name(driver, batch), words, first)


def tell_trouble(driver: Driver, view: TaskView) -> None:
    """Say what Globus reports of a task that it goes on trying."""
    facts = view.nice_status, count(view.faults, "fault"), _task(driver, view.task_id)
    run_logger().log(driver.room.level(logging.WARNING), "Globus reports %s, after %s, and goes on trying; %s", *facts)


def tell_retry(driver: Driver, number: int, retry: int, seconds: float) -> None:
    """Say when a batch is tried again, and how often that will have been."""
    facts = number, span(seconds), retry + 1, driver.options.retry_limit + 1
    run_logger().info("Batch %s is tried again in %s: try %s of at most %s", *facts)


def tell_begin(driver: Driver) -> None:
    """Say what is transferred, from where to where, and how."""
    transfer, ledger = driver.transfer, driver.progress.ledger()
    ends = (_place(driver, place) for place in (transfer.source, transfer.destination))
    chosen = {name: getattr(transfer.options, name) for name in transfer.options.differences(TransferOptions())}
    how = ", ".join(name if value is True else f"{name} {value}" for name, value in chosen.items())
    run_logger().info("%s goes from %s to %s%s", transfer.id, *ends, f", with {how}" if how else "")
    if ledger.items:
        done = ledger.accounted - ledger.dead
        run_logger().info("It goes on where it was: %s of %s done", f"{done:,}", count(ledger.items, "file"))


def tell_end(driver: Driver, ledger: Ledger) -> None:
    """Say what became of everything, and what to do about what is missing."""
    transfer = driver.transfer
    seconds = (transfer.updated_at - transfer.created_at).total_seconds()
    counts = {"unchanged": ledger.unchanged, "skipped": ledger.skipped, "failed for good": ledger.dead}
    counts["still to be transferred"] = ledger.remaining
    moved = f"{count(ledger.transferred, 'file')} and {size(ledger.bytes_transferred)} moved"
    words = ", ".join([moved, *(f"{number:,} {what}" for what, number in counts.items() if number)])
    facts = transfer.id, transfer.status, words, count(ledger.items, "file"), span(seconds)
    run_logger().info("%s is %s: %s, of %s, in %s", *facts)
    if not ledger.complete:
        commands = f"prefect-globus items {transfer.id} --failed", f"prefect-globus resume {transfer.id}"
        run_logger().info("See what has failed: %s. When it is mended, try again: %s", *commands)


def _name(driver: Driver, batch: Batch) -> str:
    transfer = driver.transfer
    return batch_name(batch.number, transfer.batches if transfer.scan_complete else None, None).capitalize()


def _place(driver: Driver, place: Location) -> str:
    name = driver.globus.names.get(place.collection)  # only if it had to be looked at anyway
    return f"{name} ({place})" if name else str(place)


def _moved(attempt: Attempt) -> str:
    words = f"{count(attempt.files_transferred, 'file')} and {size(attempt.bytes_transferred)} moved"
    if attempt.submitted_at is None or attempt.ended_at is None:
        return words
    seconds = (attempt.ended_at - (attempt.began_at or attempt.submitted_at)).total_seconds()
    rate = f", {size(attempt.bytes_transferred / seconds)}/s" if seconds >= 1 and attempt.bytes_transferred else ""
    return f"{words} in {span(seconds)}{rate}"


def _task(driver: Driver, task_id: UUID | None) -> str:
    """Where to look at a Globus task, or what to look for."""
    return TASK_LINK.format(task_id=task_id) if driver.globus.is_at_globus else f"Globus task {task_id}"
