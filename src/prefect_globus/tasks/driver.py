"""The driver: what the tasks of one run of a transfer share."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from typing import TypeVar

from prefect_globus.blocks.checkpoints import CheckpointStore
from prefect_globus.globus.service import GlobusService
from prefect_globus.tasks.leases import kept, take_lease
from prefect_globus.tasks.progress import Progress
from prefect_globus.tasks.stopping import Stop, StopReason
from prefect_globus.transfers.errors import GlobusTransientError
from prefect_globus.transfers.items import Item
from prefect_globus.transfers.model import Batch, Lease, Request, Transfer
from prefect_globus.transfers.options import TransferOptions
from prefect_globus.transfers.records import now
from prefect_globus.transfers.result import TransferResult

_log = logging.getLogger(__name__)
_T = TypeVar("_T")

_FIRST_WAIT, _LONGEST_WAIT = 0.5, 30.0


class Driver:
    """Drives one transfer, as the holder of its lease, from several threads.

    Args:
        store: where the checkpoint is.
        globus: Globus Transfer.
        transfer: as last written.
        options: how, callbacks included.
    """

    def __init__(
        self, store: CheckpointStore, globus: GlobusService, transfer: Transfer, options: TransferOptions
    ) -> None:
        self.store = store
        self.globus = globus
        self.options = options
        self.stop = Stop(transfer.id)
        self.progress = Progress()
        self._transfer = transfer
        self._lease: Lease | None = None
        self._lock = threading.Lock()
        self._resources = ExitStack()

    @property
    def transfer(self) -> Transfer:
        """The transfer as last written."""
        return self._transfer

    @property
    def lease(self) -> Lease:
        """The lease under which everything is written."""
        if self._lease is None:
            message = "the driver has not taken its lease"
            raise RuntimeError(message)
        return self._lease

    def take_over(self) -> None:
        """Become the one driver, and see what the last one has left.

        Raises:
            LeaseHeldError: somebody else is, and stays it for longer than ``max_lock_wait``.
        """
        seconds, transfer_id = self.options.lease_seconds, self._transfer.id
        self._lease = take_lease(self.store, transfer_id, seconds, self.options.max_lock_wait)
        self._resources.enter_context(kept(self.store, self._lease, seconds, self.stop))
        self._transfer = self.store.load_transfer(transfer_id)
        if self.store.pending_request(transfer_id) is Request.CANCEL:
            self.stop.request(StopReason.CANCELED)
        self.progress.begin(self.store.list_batches(transfer_id))

    def close(self) -> None:
        """Give the lease back, if it was taken."""
        self._resources.close()

    # --- what is written

    def update(self, **changes: object) -> Transfer:
        """Write the transfer with ``changes``."""
        with self._lock:
            changed = self._transfer.evolve(**changes, updated_at=now())
            self.store.save_transfer(self.lease, changed)
            self._transfer = changed
        return changed

    def append(self, items: Sequence[Item]) -> Batch:
        """Write the next batch of the manifest, and with it the cursor."""
        with self._lock:
            batch = Batch.cut(self._transfer.id, self._transfer.batches + 1, items)
            changed = self._transfer.evolve(batches=batch.number, cursor=batch.last_path, updated_at=now())
            self.store.append_batch(self.lease, changed, batch, items)
            self._transfer = changed
        self.progress.note(batch)
        return batch

    def save_batch(self, batch: Batch) -> Batch:
        """Write a changed batch."""
        self.store.save_batch(self.lease, batch)
        self.progress.note(batch)
        return batch

    # --- what is read

    def patiently(self, call: Callable[..., _T], *args: object) -> _T:
        """Call Globus, and again while it is out of reach, for as long as ``patience`` says.

        Raises:
            GlobusTransientError: patience is at its end.
            TransferStoppedError: the driver is told to stop.
        """
        give_up = time.monotonic() + self.options.patience
        wait = _FIRST_WAIT
        while True:
            self.stop.check()
            try:
                return call(*args)
            except GlobusTransientError as error:
                if time.monotonic() + wait > give_up:
                    raise
                _log.warning("%s Trying again in %.1f s.", error, wait)
            self.stop.wait(wait)
            wait = min(_LONGEST_WAIT, wait * 2)

    def result(self) -> TransferResult:
        """Where the transfer stands, by its checkpoint."""
        return result_of(self.store, self._transfer.id)


def result_of(store: CheckpointStore, transfer_id: str) -> TransferResult:
    """Where a transfer stands, by its checkpoint."""
    transfer = store.load_transfer(transfer_id)
    return TransferResult.of(transfer, store.ledger(transfer_id), store.list_batches(transfer_id))


# Prefect tasks take plain parameters, which it shows and records; what cannot be a parameter reaches them by context.
_current: ContextVar[Driver] = ContextVar("driver")


def current_driver() -> Driver:
    """The driver of the flow run that this task belongs to.

    Raises:
        RuntimeError: the task was not started by our flow, in its process.
    """
    try:
        return _current.get()
    except LookupError:
        message = "this task can only run inside the resumable_transfer flow, with a thread pool task runner"
        raise RuntimeError(message) from None


@contextmanager
def driving(driver: Driver) -> Iterator[Driver]:
    """Make ``driver`` the current one, for this thread and the tasks that it submits."""
    token = _current.set(driver)
    try:
        yield driver
    finally:
        _current.reset(token)
        driver.close()
