"""The engine without Prefect, in front of a real emulator and a real store: quick enough for hundreds of faults."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from contextvars import copy_context
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import globus_sdk
from pydantic import PrivateAttr

from prefect_globus import GlobusCredentials, SqlCheckpointStore, TransferOptions, TransferResult
from prefect_globus.emulator import RequestFault, TaskFault
from prefect_globus.emulator.process import Emulator
from prefect_globus.globus.service import GlobusService
from prefect_globus.tasks.batches import drive_batch
from prefect_globus.tasks.driver import Driver, driving
from prefect_globus.tasks.finishing import finish_transfer
from prefect_globus.tasks.opening import find_or_create, open_transfer
from prefect_globus.tasks.scanning import scan_source
from prefect_globus.transfers.errors import (
    BatchDeadLettersError,
    BatchIncompleteError,
    StoreUnavailableError,
    TransferError,
    TransferFailedError,
    TransferPausedError,
    first_line,
)
from prefect_globus.transfers.items import Outcome
from prefect_globus.transfers.location import Location
from prefect_globus.transfers.model import PausedBy, Transfer
from prefect_globus.transfers.states import AttemptStatus, TransferStatus

QUICK = {
    "api_retry_delay": 0.02,
    "api_retry_max_delay": 0.1,
    "poll_interval": 0.1,
    "retry_delay": 0.02,
    "retry_max_delay": 0.1,
    "fault_grace": 0.2,
    "patience": 60.0,
    "max_concurrency": 1,
}
HTTP_TIMEOUT = 0.5


class WatchedStore(SqlCheckpointStore):
    """Remembers what was written of a transfer, so that a test sees what was on record only for a while."""

    _block_type_name = "Watched Store of the Tests"
    _block_type_slug = "watched-store-of-the-tests"
    _written: list[Transfer] = PrivateAttr(default_factory=list)

    def save_transfer(self, lease: Any, transfer: Transfer) -> None:
        super().save_transfer(lease, transfer)
        self._written.append(transfer)

    @property
    def pauses(self) -> list[str]:
        """Why the transfer was PAUSED, each time."""
        return [str(each.error) for each in self._written if each.status is TransferStatus.PAUSED]


@dataclass
class Lab:
    """One transfer of its own in an emulator that many share.

    Args:
        emulator: with the collections ``source`` and ``destination``.
        root: where their folders are.
        name: the transfer's id, and the name of its folder and of its client.
        store: for its checkpoint; a `WatchedStore` in SQLite when left out.
    """

    emulator: Emulator
    root: Path
    name: str
    store: Any = None

    def __post_init__(self) -> None:
        self.store = self.store or WatchedStore(url=f"sqlite:///{self.database}")
        self.source.mkdir(parents=True)

    @property
    def database(self) -> Path:
        return self.root / f"{self.name}.db"

    @property
    def source(self) -> Path:
        return self.root / "source" / self.name

    @property
    def destination(self) -> Path:
        return self.root / "destination" / self.name

    @property
    def credentials(self) -> GlobusCredentials:
        url = self.emulator.url
        return GlobusCredentials(client_id=self.name, client_secret="x", transfer_url=url, auth_url=url, timers_url=url)

    def connect(self) -> globus_sdk.TransferClient:
        client = self.credentials.get_transfer_client()
        client.retry_config.backoff = lambda _: 0.01
        client.transport.http_timeout = HTTP_TIMEOUT
        return client

    def write(self, *paths: str) -> None:
        for path in paths:
            target = self.source / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(path)

    @contextmanager
    def fault(self, effect: Any, **match: Any) -> Iterator[str]:
        """Have the requests of this transfer meet a fault."""
        with self.emulator.fault(RequestFault(effect, client=self.name, **match)) as fault_id:
            yield fault_id

    def fail(self, effect: Any, file: str = "*", **match: Any) -> str:
        """Have the tasks of this transfer meet a fault, from now on; ``file`` is relative to its folder."""
        return self.emulator.inject(TaskFault(effect, file=f"/{self.name}/{file}", **match))

    def fired(self, fault_id: str) -> int:
        return next(found.fired for found in self.emulator.faults() if found.id == fault_id)

    # --- the engine

    def run(self, **options: Any) -> TransferResult:
        """What the flow does, in this thread."""
        wanted = Transfer(
            id=self.name,
            source=Location.parse(f"{self.emulator.collections['source']}:/{self.name}"),
            destination=Location.parse(f"{self.emulator.collections['destination']}:/{self.name}"),
            options=TransferOptions(**(QUICK | options)),
        )
        with closing(GlobusService(self.connect)) as globus:
            transfer = find_or_create(self.store, globus, wanted, wanted.options)
            driver = Driver(self.store, globus, transfer, wanted.options)
            with driving(driver):
                try:
                    return self._drive(driver)
                except TransferPausedError as error:
                    driver.pause(PausedBy.FAULT, error.reason)
                    raise
                except TransferFailedError:
                    raise
                except TransferError as error:
                    with suppress(StoreUnavailableError, RuntimeError):  # or it has no lease yet
                        driver.update(status=TransferStatus.FAILED, error=first_line(error))
                    raise

    def _drive(self, driver: Driver) -> TransferResult:
        open_transfer.fn(self.name)
        if not driver.transfer.scan_complete:
            scan_source.fn(self.name)
        if driver.transfer.status is TransferStatus.SCANNING and driver.transfer.batches:
            driver.update(status=TransferStatus.TRANSFERRING)
        failed = threading.Event()  # after an error nothing else is begun

        def drive(number: int) -> None:
            if not failed.is_set():
                try:
                    self._batch(driver, number)
                except BaseException:
                    failed.set()
                    raise

        with ThreadPoolExecutor(driver.options.max_concurrency) as pool:
            numbers = range(1, driver.transfer.batches + 1)
            done = [pool.submit(copy_context().run, drive, number) for number in numbers]
        for each in done:
            each.result()
        ledger = finish_transfer.fn(self.name)
        if not ledger.complete:
            missing = {"missing": ledger.dead + ledger.remaining, "reason": driver.transfer.error}
            raise TransferFailedError(
                transfer_id=self.name, transferred=ledger.transferred, items=ledger.items, **missing
            )
        return driver.result()

    def _batch(self, driver: Driver, number: int) -> None:
        for retry in range(driver.options.retry_limit + 1):
            try:
                drive_batch(driver, number)
            except BatchIncompleteError:
                if retry < driver.options.retry_limit:
                    continue
            except BatchDeadLettersError:
                pass
            else:
                return
            driver.save_batch(driver.load_batch(number).give_up())
            return

    # --- what became of it

    @property
    def recorded(self) -> bool:
        return any(True for _ in self.store.list_transfers())

    @property
    def status(self) -> TransferStatus:
        return self.store.load_transfer(self.name).status

    def outcomes(self) -> dict[str, Outcome]:
        """What became of each item, by the checkpoint."""
        return {
            item.path: Outcome(outcome)
            for batch in self.store.list_batches(self.name)
            for item, outcome in zip(self.store.load_manifest(self.name, batch.number), batch.outcomes, strict=True)
        }

    def codes(self) -> dict[str, str]:
        """What is to know of the items now: the code of each."""
        return {path: fault.code for batch in self.store.list_batches(self.name) for path, fault in batch.noted.items()}

    def attempts(self) -> list[Any]:
        return [attempt for batch in self.store.list_batches(self.name) for attempt in batch.attempts]

    def tasks(self) -> list[dict[str, Any]]:
        """Every task that the emulator has accepted for it."""
        return list(self.connect().task_list(limit=1000, query_params={"filter": "type:TRANSFER"})["DATA"])

    def check(self) -> None:
        """Invariants 1, 4 and 5 against the emulator's own record, and what is at the destination."""
        assert self.store.ledger(self.name).balances
        attempts = self.attempts()
        assert len({attempt.submission_id for attempt in attempts}) == len(attempts)
        lost = AttemptStatus.LOST
        known = sorted(str(attempt.task_id) for attempt in attempts if attempt.task_id and attempt.status is not lost)
        assert known == sorted(task["task_id"] for task in self.tasks()), "a task that nobody knows, or one too many"
        moved = self._moved()
        assert len(set(moved)) == len(moved), "moved twice"
        outcomes = self.outcomes()
        recorded = {path for path, outcome in outcomes.items() if outcome is Outcome.TRANSFERRED}
        assert recorded == {path for path in moved if path in outcomes}
        for path in recorded:
            assert (self.destination / path).read_text() == (self.source / path).read_text()

    def _moved(self) -> list[str]:
        client = self.connect()
        return [
            row["source_path"].removeprefix(f"/{self.name}/")
            for task in self.tasks()
            if task["status"] not in ("ACTIVE", "INACTIVE")
            for row in client.paginated.task_successful_transfers(task["task_id"]).items()
        ]

    # --- a person

    @contextmanager
    def person(self, mend: Callable[[], None]) -> Iterator[None]:
        """Somebody who mends what is amiss as soon as the transfer says that it is PAUSED."""
        ended = threading.Event()
        failures: list[BaseException] = []

        def look() -> None:
            while not ended.wait(0.02):
                if self.store.pauses:
                    try:
                        mend()
                    except BaseException as error:  # noqa: BLE001 - it is raised in the test's own thread
                        failures.append(error)
                    return

        thread = threading.Thread(target=look)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()
        assert not failures, failures

    def running(self) -> str:
        """The task that has not ended."""
        give_up = time.monotonic() + 30
        while time.monotonic() < give_up:
            for task in self.tasks():
                if task["status"] in ("ACTIVE", "INACTIVE"):
                    return str(task["task_id"])
        raise AssertionError("no task is running")
