"""A driver by hand: what the flow does about a transfer, step by step, without Prefect's wrapping of its tasks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from contextvars import copy_context
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from prefect_globus import CheckpointStore, GlobusCredentials, TransferStatus
from prefect_globus.emulator.process import Emulator
from prefect_globus.flows.obeying import answer_late_pause, obeyed
from prefect_globus.globus.service import GlobusService
from prefect_globus.tasks import leases
from prefect_globus.tasks.batches import drive_batch
from prefect_globus.tasks.driver import Driver, driving
from prefect_globus.tasks.finishing import finish_transfer
from prefect_globus.tasks.opening import find_or_create, open_transfer
from prefect_globus.tasks.scanning import scan_source
from prefect_globus.tasks.stopping import StopReason
from prefect_globus.transfers.errors import (
    BatchDeadLettersError,
    BatchIncompleteError,
    TransferError,
    TransferPausedError,
    TransferStoppedError,
)
from prefect_globus.transfers.model import PausedBy, Transfer
from prefect_globus.transfers.states import BatchStatus
from support.fuse import Crash, Fuse, FusedStore


@dataclass
class Ground:
    """Where transfers are driven by hand.

    Args:
        folder: with the folders ``source`` and ``destination``, and the emulator's state in ``globus.db``.
        emulator: that serves them.
        store: where the checkpoints are.
        credentials: of the login.
        counts: how often what has happened.
    """

    folder: Path
    emulator: Emulator
    store: CheckpointStore
    credentials: GlobusCredentials
    counts: Counter[str] = field(default_factory=Counter)

    def count(self, what: str) -> None:
        """Count one more."""
        self.counts[what] += 1


class Process:
    """What would be a process: a driver with its login, behind a fuse, in a context of its own.

    The context matters: a driver that is taken over ends after the one that follows it, and each has to find itself.

    Args:
        ground: where.
        wanted: the transfer, as it is begun.
    """

    def __init__(self, ground: Ground, wanted: Transfer) -> None:
        self.fuse = Fuse(ground.credentials)
        self.globus = GlobusService(self.fuse.get_transfer_client)
        self.driver: Driver | None = None
        self._count = ground.count
        self._store: Any = FusedStore(ground.store, self.fuse)
        self._wanted = wanted
        self._tried: set[int] = set()
        self._context = copy_context()
        self._resources = ExitStack()
        self._resources.callback(self.globus.close)

    def step(self, *, early: bool, last_try: bool) -> bool:
        """Do what is next; whether it goes on after that.

        Args:
            early: whether a batch is next where the scan could be, too.
            last_try: whether a batch that is incomplete after this is given up.

        Raises:
            Crash: the fuse has blown.
        """
        return self._context.run(self._step, early, last_try)

    def close(self) -> None:
        """End it."""
        with suppress(Crash):
            self._context.run(self._resources.close)

    def _step(self, early: bool, last_try: bool) -> bool:
        if self.driver is None:
            return self._open()
        try:
            return self._work(early, last_try)
        except TransferStoppedError:
            if self.driver.stop.reason is None:  # it drains, and nothing is in flight
                self.driver.stop.request(StopReason.PAUSED)
            self._count(f"driver stopped: {type(obeyed(self.driver)).__name__}")
        except TransferPausedError as error:
            self._count("paused by a fault")
            self.driver.pause(PausedBy.FAULT, error.reason)
        except TransferError as error:
            self._count(f"driver met {type(error).__name__}")
            self.driver.update(status=TransferStatus.FAILED, error=str(error))
            answer_late_pause(self.driver)
        return False

    def _open(self) -> bool:
        try:
            transfer = find_or_create(self._store, self.globus, self._wanted, self._wanted.options)
            if transfer.status is TransferStatus.COMPLETED:
                return False
            driver = Driver(self._store, self.globus, transfer, self._wanted.options)
            self._resources.enter_context(driving(driver))
            with presumed_dead():
                open_transfer.fn(self._wanted.id)
        except TransferError as error:
            self._count(f"open met {type(error).__name__}")
            return False
        self.driver = driver
        self._count("start" if transfer.status is TransferStatus.CREATED else "resume")
        return True

    def _work(self, early: bool, last_try: bool) -> bool:
        assert self.driver is not None
        transfer = self.driver.transfer
        waiting = set(range(1, transfer.batches + 1)) - self._tried
        if not transfer.scan_complete and not (early and waiting):
            scan_source.fn(transfer.id)
            self._count("scan")
        elif waiting:
            self._batch(min(waiting), last_try=last_try)
        else:
            for batch in self.driver.batches():
                if batch.status is BatchStatus.ACTIVE:
                    self._batch(batch.number, last_try=True)
            finish_transfer.fn(transfer.id)
            answer_late_pause(self.driver)
            self._count("finish")
            return False
        return True

    def _batch(self, number: int, *, last_try: bool) -> None:
        assert self.driver is not None
        self.driver.stop.check_new()
        if self.driver.transfer.status is TransferStatus.SCANNING:
            self.driver.update(status=TransferStatus.TRANSFERRING)
        try:
            drive_batch(self.driver, number)
        except (BatchIncompleteError, BatchDeadLettersError) as error:
            self._count(f"batch met {type(error).__name__}")
            if last_try:
                self.driver.save_batch(self.driver.load_batch(number).give_up())
        self._tried.add(number)
        self._count("batch")


@contextmanager
def presumed_dead() -> Iterator[None]:
    """Have the holder of the lease taken for a process that is gone: only the machine knows that it is."""
    known, leases.is_gone = leases.is_gone, lambda _: True
    try:
        yield
    finally:
        leases.is_gone = known
