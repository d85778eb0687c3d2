"""The driver: what the tasks of one run of a transfer share."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from typing import TypeVar

from prefect_globus.blocks.checkpoints import CheckpointStore
from prefect_globus.globus.lookahead import MOST_AT_ONCE
from prefect_globus.globus.service import GlobusService
from prefect_globus.tasks.collecting import rare_collections
from prefect_globus.tasks.counting import Counting
from prefect_globus.tasks.holds import Hold, Holds
from prefect_globus.tasks.journal import Room
from prefect_globus.tasks.leases import Tenure, take_lease
from prefect_globus.tasks.patience import patiently
from prefect_globus.tasks.polling import Polling
from prefect_globus.tasks.processes import this_holder
from prefect_globus.tasks.progress import Progress
from prefect_globus.tasks.slots import Slots
from prefect_globus.tasks.standing import result_of
from prefect_globus.tasks.stopping import Stop, StopReason
from prefect_globus.transfers.batches import Batch, ItemFault, Settlement
from prefect_globus.transfers.errors import InvalidTransitionError, TransferError
from prefect_globus.transfers.items import Item
from prefect_globus.transfers.ledger import Ledger
from prefect_globus.transfers.model import Lease, PausedBy, Request, Transfer
from prefect_globus.transfers.options import TransferOptions
from prefect_globus.transfers.records import now
from prefect_globus.transfers.result import TransferResult
from prefect_globus.transfers.states import TransferStatus

_T = TypeVar("_T")

_AT_WORK = (TransferStatus.SCANNING, TransferStatus.TRANSFERRING)


class Driver:
    """Drives one transfer, as the holder of its lease, from several threads.

    Args:
        store: where the checkpoint is.
        globus: Globus Transfer.
        transfer: as last written.
        options: how, callbacks included.
        slots: the places among the tasks of the account; as many as wanted when left out.
    """

    def __init__(
        self,
        store: CheckpointStore,
        globus: GlobusService,
        transfer: Transfer,
        options: TransferOptions,
        slots: Slots | None = None,
    ) -> None:
        self.store = store
        self.globus = globus
        self.options = options
        self.slots = slots or Slots()
        self.stop = Stop(transfer.id)
        self.progress = Progress()
        self.counting = Counting()
        self.room = Room()
        self.on_status: Callable[[Transfer], None] = lambda _: None  # told of each status that was written
        self.trouble: TransferError | None = None  # what has kept a batch from its end, for the report
        self._transfer = transfer
        self._tenure: Tenure | None = None
        self._lock = threading.RLock()
        self._holds = Holds(self.stop, self._write_hold)
        self.polling = Polling(self.stop, lambda task_ids: self.patiently(globus.tasks, task_ids))
        self._resources = ExitStack()
        self.listers = ThreadPoolExecutor(MOST_AT_ONCE, "lister")  # no thread begins before it is needed
        self._resources.callback(self.listers.shutdown, wait=False, cancel_futures=True)
        self._resources.callback(self.slots.close)
        self._resources.callback(self.counting.end)

    @property
    def transfer(self) -> Transfer:
        """The transfer as last written."""
        return self._transfer

    @property
    def lease(self) -> Lease:
        """The lease under which everything is written."""
        return self._held_tenure.lease

    @property
    def drives(self) -> bool:
        """Whether it has taken the lease, though that may be lost by now."""
        return self._tenure is not None

    @property
    def _held_tenure(self) -> Tenure:
        if self._tenure is None:
            message = "the driver has not taken its lease"
            raise RuntimeError(message)
        return self._tenure

    def take_over(self) -> None:
        """Become the one driver, and see what the last one has left.

        Raises:
            LeaseHeldError: somebody else is, and stays it for longer than ``max_lock_wait``.
        """
        seconds, transfer_id = self.options.lock_stale_after, self._transfer.id
        # the same holder in each try, so that a lease whose answer was lost is known as our own
        wait, holder = self.options.max_lock_wait, this_holder()
        lease = self._stored(take_lease, self.store, transfer_id, seconds, wait, holder)
        self._tenure = self._resources.enter_context(Tenure(self.store, lease, seconds, self.stop))
        self._transfer = self._stored(self.store.load_transfer, transfer_id)
        self.counting.begin()
        self._stored(self._take_stock)
        self.stop.ask(self.pending_request())

    def _take_stock(self) -> None:
        """Take in the batches as they were left, with one of them in memory at a time; harmless to do again."""
        for batch in self.store.list_batches(self._transfer.id):
            self.progress.note(batch)
            self.counting.know(batch)
            if batch.live:
                self.slots.keep(batch.attempts[-1].slot)

    def close(self) -> None:
        """Give the lease back, if it was taken."""
        self._resources.close()

    # --- what is written

    def update(self, **changes: object) -> Transfer:
        """Write the transfer with ``changes``."""
        with self._lock:
            changed = self._transfer.evolve(**changes, updated_at=now())
            self._stored(self.store.save_transfer, self.lease, changed)
            self._transfer = changed
        if "status" in changes:
            self.counting.note_status(changed.status)
            self.on_status(changed)
        return changed

    def append(self, items: Sequence[Item], outcomes: bytes | None = None, faults: Sequence[ItemFault] = ()) -> Batch:
        """Write the next batch of the manifest, and with it the cursor; see `Batch.cut`."""
        with self._lock:
            batch = Batch.cut(self._transfer.id, self._transfer.batches + 1, items, outcomes, faults)
            changed = self._transfer.evolve(batches=batch.number, cursor=batch.last_path, updated_at=now())
            self._stored(self._append, changed, batch, items)
            self.progress.note(batch)  # before anybody sees that there is one more
            self.counting.note(batch)
            self._transfer = changed
        return batch

    def save_batch(self, batch: Batch) -> Batch:
        """Write a changed batch."""
        self._stored(self.store.save_batch, self.lease, batch)
        self.progress.note(batch)
        self.counting.note(batch)
        return batch

    def fail_attempt(self, batch: Batch, items: Sequence[Item], settlement: Settlement) -> None:
        """Write that the latest attempt of ``batch`` has come to nothing."""
        self.save_batch(batch.settle(items, settlement))
        self.slots.free(batch.attempts[-1].slot)

    def pause(self, paused_by: PausedBy, reason: str) -> None:
        """Write that the transfer is PAUSED, if it was at work, and that the request to pause is obeyed."""
        if self._transfer.status in (*_AT_WORK, TransferStatus.PAUSED):
            self.update(status=TransferStatus.PAUSED, paused_by=paused_by, error=reason)
        self.withdraw_pause()

    def withdraw_pause(self) -> None:
        """Write that nobody asks for a pause any more."""
        for request in (Request.PAUSE, Request.PAUSE_NOW):
            self._stored(self.store.withdraw_request, self._transfer.id, request)

    def cancel(self) -> None:
        """Have the transfer canceled: by this driver if it can, and else by whoever finds the request on record."""
        self.stop.ask(Request.CANCEL)
        if self.drives or self._stored(self.store.current_lease, self._transfer.id) is None:
            self._stored(self.store.post_request, self._transfer.id, Request.CANCEL)

    def _append(self, transfer: Transfer, batch: Batch, items: Sequence[Item]) -> None:
        try:
            self.store.append_batch(self.lease, transfer, batch, items)
        except InvalidTransitionError:
            # a store that was out of reach when it should have said so may have written it all the same
            if self.store.load_transfer(transfer.id) != transfer:
                raise

    def _stored(self, call: Callable[..., _T], *args: object) -> _T:
        """Read or write the checkpoint, which is quick, and is done although the driver is told to stop."""
        return patiently(self.options, self.stop, call, *args, although_stopping=True)

    # --- what is read

    def batches(self) -> Iterator[Batch]:
        """All batches, in order."""
        return iter(self._stored(lambda: list(self.store.list_batches(self._transfer.id))))

    def pending_request(self) -> Request | None:
        """What somebody asks of the driver."""
        return self._stored(self.store.pending_request, self._transfer.id)

    def load_batch(self, number: int) -> Batch:
        """One batch, as last written."""
        return self._stored(self.store.load_batch, self._transfer.id, number)

    def load_manifest(self, number: int) -> list[Item]:
        """The items of one batch."""
        return self._stored(self.store.load_manifest, self._transfer.id, number)

    def ledger(self) -> Ledger:
        """The sums over all batches, as last written."""
        return self._stored(self.store.ledger, self._transfer.id)

    def patiently(self, call: Callable[..., _T], *args: object) -> _T:
        """Call Globus or the store, and again while it is out of reach, for as long as ``patience`` says.

        What a person has to mend pauses the transfer meanwhile, for as long as ``pause_limit`` says.

        Raises:
            TransferError: patience is at its end, or it would not help.
            TransferPausedError: nobody has mended it.
            TransferStoppedError: the driver is told to stop.
        """
        while True:
            try:
                return patiently(self.options, self.stop, call, *args)
            except TransferError as error:
                if not error.needs_person or not self.drives:
                    raise
                failure = error
            with self.held(str(failure)) as hold:
                while failure.needs_person:
                    hold.wait()
                    try:
                        return patiently(self.options, self.stop, call, *args)
                    except TransferError as error:
                        failure = error
                raise failure

    def act(self, call: Callable[..., _T], *args: object) -> _T:
        """The same for what changes something at Globus: only while the lease is certain to be ours.

        Raises:
            LeaseLostError: another process drives the transfer now; nothing was done.
        """

        def act() -> _T:
            self._held_tenure.ensure()
            return call(*args)

        return self.patiently(act)

    # --- what a person has to mend

    def held(self, reason: str) -> Hold:
        """Have the transfer PAUSED for ``reason`` while the block lasts."""
        return self._holds.hold(reason, self.options)

    def wait_while_held(self) -> None:
        """Wait until nothing new is in the way of a new Globus task.

        Raises:
            TransferStoppedError: nothing new is to be begun.
        """
        self._holds.wait_until_free()

    def _write_hold(self, reason: str | None) -> None:
        with self._lock:
            if reason is not None and self._transfer.status in (*_AT_WORK, TransferStatus.PAUSED):
                self.update(status=TransferStatus.PAUSED, paused_by=PausedBy.FAULT, error=reason)
            elif reason is None and self._transfer.status is TransferStatus.PAUSED:
                self.update(status=self.status_at_work(), paused_by=None, error=None)

    def status_at_work(self) -> TransferStatus:
        """SCANNING as long as nothing was submitted, and TRANSFERRING from then on.

        A transfer that is TRANSFERRING stays it: it becomes so before its first attempt, which may never have come, or
        never been needed.
        """
        begun = self._transfer.status is TransferStatus.TRANSFERRING or any(batch.attempts for batch in self.batches())
        return TransferStatus.TRANSFERRING if begun else TransferStatus.SCANNING

    def result(self) -> TransferResult:
        """Where the transfer stands, by its checkpoint."""
        return self._stored(result_of, self.store, self._transfer.id)


# Prefect tasks take plain parameters, which it shows and records; what cannot be a parameter reaches them by context.
_current: ContextVar[Driver] = ContextVar("driver")
_all: set[Driver] = set()


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
    _all.add(driver)
    try:
        with rare_collections():
            yield driver
    finally:
        _all.discard(driver)
        _current.reset(token)
        driver.close()


def drivers_of(transfer_id: str) -> list[Driver]:
    """Those of this process that drive the transfer, or are about to."""
    return [driver for driver in tuple(_all) if driver.transfer.id == transfer_id]


def interrupt_drivers() -> None:
    """Tell every driver of this process that it is to end; their transfers stay resumable."""
    for driver in tuple(_all):
        driver.stop.request(StopReason.INTERRUPTED)
