"""Scan and transfer at once: a batch is on its way as soon as it is cut, at most ``max_concurrency`` of them."""

from __future__ import annotations

import math
import queue
import threading
import time
from collections import deque
from typing import Any, TypeVar

from prefect.exceptions import Pause, TerminationSignal
from prefect.futures import PrefectFuture
from prefect.logging import get_run_logger
from prefect.tasks import Task

from prefect_globus.flows.prefect_state import heed
from prefect_globus.tasks.batches import transfer_batch
from prefect_globus.tasks.driver import Driver
from prefect_globus.tasks.removing import remove
from prefect_globus.tasks.scanning import scan_source
from prefect_globus.tasks.stopping import StopReason
from prefect_globus.transfers.errors import (
    BatchDeadLettersError,
    BatchIncompleteError,
    TaskInTheWayError,
    TransferStoppedError,
)
from prefect_globus.transfers.ledger import Ledger
from prefect_globus.transfers.removals import Plan, RemovalReport
from prefect_globus.transfers.states import TransferStatus

_R = TypeVar("_R")

_TICK_SECONDS = 0.1
_SUSPENSION_SECONDS = 1.0  # between two looks at whether Prefect suspends the flow run
_INTERRUPT_SECONDS = 10.0

# After these the other batches go on; any other error would meet them, too.
_ERRORS_OF_ONE_BATCH = (BatchIncompleteError, BatchDeadLettersError, TaskInTheWayError)


def dispatch(driver: Driver) -> None:
    """Run the scan and every batch of the transfer; return when each batch has had its try.

    Raises:
        TransferStoppedError: the driver was told to stop.
        TransferError: an error that no batch can get around.
    """
    work = _Work(driver)
    try:
        work.run()
    except BaseException as error:
        # Prefect interrupts this thread only; the stop reaches the others
        heed(driver, error)
        raise
    finally:
        try:
            work.join()
        except (Pause, TerminationSignal) as error:  # a cancel, while a pause was being obeyed
            heed(driver, error)
            work.join()
            raise


def scanned(driver: Driver) -> None:
    """Complete the scan, as a task of Prefect; see `prefect_globus.tasks.scanning.scan_source`."""
    _seen_through(driver, scan_source.submit(driver.transfer.id))


def removed(driver: Driver, plan: Plan, limit: int = 0) -> RemovalReport:
    """Delete what ``plan`` says, as a task of Prefect; see `prefect_globus.tasks.removing.remove`."""
    return _seen_through(driver, remove.submit(driver.transfer.id, plan, limit))


def _seen_through(driver: Driver, future: PrefectFuture[_R]) -> _R:
    """The result of the one task that the driver has in flight."""
    ended = threading.Event()
    future.add_done_callback(lambda _: ended.set())
    try:
        while not ended.wait(_TICK_SECONDS):
            driver.stop.check()
            future.wait(0)  # raises Pause when the flow run was suspended, and does nothing else
            tell_progress(driver, done=False)
        result: _R = future.result()
    except BaseException as error:
        if isinstance(error, TransferStoppedError) and driver.stop.draining:
            driver.stop.request(StopReason.PAUSED)  # it would have begun something new; another reason comes first
        heed(driver, error)
        interrupted = driver.stop.reason is StopReason.INTERRUPTED
        ended.wait(_INTERRUPT_SECONDS if interrupted else None)
        raise
    return result


def tell_progress(driver: Driver, *, done: bool) -> None:
    """Call the user's progress callback, if there is one; an error in it is no reason to stop a transfer."""
    if driver.options.progress_callback is not None:
        try:
            driver.options.progress_callback(*driver.progress.counts(), done)
        except Exception:  # noqa: BLE001 - it is the user's own code
            get_run_logger().exception("The progress callback failed and is not called again")
            driver.options = driver.options.evolve(progress_callback=None)


class _Work:
    """The Prefect tasks in flight."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        self._ended: queue.SimpleQueue[PrefectFuture[Any]] = queue.SimpleQueue()
        self._done: set[PrefectFuture[Any]] = set()
        self._batches: dict[PrefectFuture[Any], int] = {}
        self._scan: PrefectFuture[Any] | None = None
        self._scan_error: BaseException | None = None
        self._done_before = frozenset(driver.progress.done())
        self._to_show = deque(sorted(self._done_before))
        self._last = 0  # of the batches that need work, the last that was submitted
        self._cut_short = False
        self._next_suspension = 0.0
        self._show = transfer_batch.with_options(retries=driver.options.retry_limit, retry_delay_seconds=0)
        # what needs work is in no cache, and need not be looked for there
        self._task = self._show.with_options(refresh_cache=True)

    def run(self) -> None:
        """Submit what there is to do and take in what has ended, until nothing is left."""
        driver = self._driver
        if not driver.transfer.scan_complete:
            self._scan = scan_source.submit(driver.transfer.id)
            self._scan.add_done_callback(self._note_end)
        while self._in_flight or ((self._work_waits() or self._to_show) and not driver.stop.draining):
            driver.stop.check()
            if self._may_submit():
                self._submit_work()
            elif self._may_show():
                self._submit(self._show, self._to_show.popleft())
            else:
                self._take_in()
                tell_progress(driver, done=False)
        if driver.stop.draining and (self._work_waits() or not driver.transfer.scan_complete or self._cut_short):
            driver.stop.request(StopReason.PAUSED)
            driver.stop.check()
        if self._scan_error is not None:
            raise self._scan_error

    def join(self) -> None:
        """Wait for the tasks still in flight to end; for a process that is told to end, not for long."""
        interrupted = self._driver.stop.reason is StopReason.INTERRUPTED
        give_up = time.monotonic() + _INTERRUPT_SECONDS if interrupted else math.inf
        # not by their own wait: in a suspended flow run that raises Pause, though they have not ended
        while not self._done.issuperset(self._in_flight) and time.monotonic() < give_up:
            time.sleep(_TICK_SECONDS)

    @property
    def _in_flight(self) -> list[PrefectFuture[Any]]:
        return [*self._batches, *([self._scan] if self._scan is not None else [])]

    def _note_end(self, future: PrefectFuture[Any]) -> None:
        self._done.add(future)
        self._ended.put(future)

    def _work_waits(self) -> bool:
        """Whether there is a batch that needs work and was not submitted yet."""
        while self._last + 1 in self._done_before:
            self._last += 1
        return self._last < self._driver.transfer.batches

    def _may_submit(self) -> bool:
        driver = self._driver
        working = sum(number not in self._done_before for number in self._batches.values())
        return self._work_waits() and not driver.stop.draining and working < driver.options.max_concurrency

    def _may_show(self) -> bool:
        """Whether Prefect is to be shown one more batch that an earlier run has done: one at a time, beside the work.

        Each costs as much as the submission of one that needs work, which must not wait for it.
        """
        shown = any(number in self._done_before for number in self._batches.values())
        return bool(self._to_show) and not shown and not self._driver.stop.draining

    def _submit_work(self) -> None:
        if self._driver.transfer.status is TransferStatus.SCANNING:
            self._driver.update(status=TransferStatus.TRANSFERRING)
        self._last += 1
        self._submit(self._task, self._last)

    def _submit(self, task: Task[..., Ledger], number: int) -> None:
        future = task.submit(self._driver.transfer.id, number)
        self._batches[future] = number
        future.add_done_callback(self._note_end)

    def _heed_suspension(self) -> None:
        """Raise Pause when the flow run was suspended."""
        at = time.monotonic()
        if at >= self._next_suspension:
            self._next_suspension = at + _SUSPENSION_SECONDS
            self._in_flight[0].wait(0)  # does nothing else

    def _take_in(self) -> None:
        try:
            future = self._ended.get(timeout=_TICK_SECONDS)
        except queue.Empty:
            self._heed_suspension()
            return
        result = future.result(raise_on_failure=False)
        error = result if isinstance(result, BaseException) else None
        if isinstance(error, TransferStoppedError) and self._driver.stop.reason is None:
            # the driver drains: this one would have begun something new, the others go on
            error, self._cut_short = None, True
        if future is self._scan:
            # what was scanned before can be transferred all the same
            self._scan, self._scan_error = None, error
            return
        number = self._batches.pop(future)
        self._done.discard(future)  # not before: `join` waits for what is in flight and has not ended
        if error is None:
            return
        if not isinstance(error, _ERRORS_OF_ONE_BATCH):
            raise error
        get_run_logger().error("%s", error)
        self._driver.trouble = error
        self._driver.save_batch(self._driver.load_batch(number).give_up())
