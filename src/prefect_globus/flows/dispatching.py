"""Scan and transfer at once: a batch is on its way as soon as it is cut, at most ``max_concurrency`` of them."""

from __future__ import annotations

import queue
import time
from typing import Any

from prefect.futures import PrefectFuture
from prefect.logging import get_run_logger

from prefect_globus.tasks.batches import transfer_batch
from prefect_globus.tasks.driver import Driver
from prefect_globus.tasks.scanning import scan_source
from prefect_globus.tasks.stopping import StopReason
from prefect_globus.transfers.errors import (
    BatchDeadLettersError,
    BatchIncompleteError,
    GlobusConflictError,
)
from prefect_globus.transfers.states import TransferStatus

_TICK_SECONDS = 0.1
_INTERRUPT_SECONDS = 10.0

# After these the other batches go on; any other error would meet them, too.
_ERRORS_OF_ONE_BATCH = (BatchIncompleteError, BatchDeadLettersError, GlobusConflictError)


def dispatch(driver: Driver) -> None:
    """Run the scan and every batch of the transfer; return when each batch has had its try.

    Raises:
        TransferStoppedError: the driver was told to stop.
        TransferError: an error that no batch can get around.
    """
    work = _Work(driver)
    try:
        work.run()
    except BaseException:
        # Prefect interrupts this thread only; the stop reaches the others
        driver.stop.request(StopReason.INTERRUPTED)
        raise
    finally:
        work.join()


def tell_progress(driver: Driver, *, done: bool) -> None:
    """Call the user's progress callback, if there is one; an error in it is no reason to stop a transfer."""
    if driver.options.progress_callback is not None:
        try:
            driver.options.progress_callback(*driver.progress.counts(), done)
        except Exception:
            get_run_logger().exception("The progress callback failed and is not called again")
            driver.options = driver.options.evolve(progress_callback=None)


class _Work:
    """The Prefect tasks in flight."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        self._ended: queue.SimpleQueue[PrefectFuture[Any]] = queue.SimpleQueue()
        self._batches: dict[PrefectFuture[Any], int] = {}
        self._scan: PrefectFuture[Any] | None = None
        self._scan_error: BaseException | None = None
        self._submitted = 0
        self._task = transfer_batch.with_options(retries=driver.options.retry_limit, retry_delay_seconds=0)

    def run(self) -> None:
        """Submit what there is to do and take in what has ended, until nothing is left."""
        driver = self._driver
        if not driver.transfer.scan_complete:
            self._scan = scan_source.submit(driver.transfer.id)
            self._scan.add_done_callback(self._ended.put)
        while self._scan is not None or self._batches or self._waiting:
            driver.stop.check()
            if self._waiting and len(self._batches) < driver.options.max_concurrency:
                self._submit()
                continue
            self._take_in()
            tell_progress(driver, done=False)
        if self._scan_error is not None:
            raise self._scan_error

    def join(self) -> None:
        """Wait for the tasks still in flight to end; for a process that is told to end, not for long."""
        interrupted = self._driver.stop.reason is StopReason.INTERRUPTED
        give_up = time.monotonic() + _INTERRUPT_SECONDS if interrupted else None
        for future in [*self._batches, *([self._scan] if self._scan is not None else [])]:
            future.wait(None if give_up is None else max(0.0, give_up - time.monotonic()))

    @property
    def _waiting(self) -> bool:
        return self._submitted < self._driver.transfer.batches

    def _submit(self) -> None:
        transfer = self._driver.transfer
        if transfer.status is TransferStatus.SCANNING:
            transfer = self._driver.update(status=TransferStatus.TRANSFERRING)
        self._submitted += 1
        future = self._task.submit(transfer.id, self._submitted)
        self._batches[future] = self._submitted
        future.add_done_callback(self._ended.put)

    def _take_in(self) -> None:
        try:
            future = self._ended.get(timeout=_TICK_SECONDS)
        except queue.Empty:
            return
        result = future.result(raise_on_failure=False)
        error = result if isinstance(result, BaseException) else None
        if future is self._scan:
            # what was scanned before can be transferred all the same
            self._scan, self._scan_error = None, error
            return
        number = self._batches.pop(future)
        if error is None:
            return
        if not isinstance(error, _ERRORS_OF_ONE_BATCH):
            raise error
        get_run_logger().error("%s", error)
        batch = self._driver.store.load_batch(self._driver.transfer.id, number)
        self._driver.save_batch(batch.give_up())
