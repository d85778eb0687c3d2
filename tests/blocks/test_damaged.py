"""Damaged checkpoints, by fuzz: a clear error or the record as it was, no traceback; and reading damages nothing."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from prefect_globus import CheckpointStore, FileCheckpointStore, SqlCheckpointStore
from prefect_globus.blocks import sql_engine
from prefect_globus.blocks.sql_engine import dispose_engines
from prefect_globus.tasks.standing import result_of
from prefect_globus.transfers.batches import Batch, Settlement
from prefect_globus.transfers.errors import StoreError
from prefect_globus.transfers.items import Item, Outcome
from prefect_globus.transfers.location import Location
from prefect_globus.transfers.model import Holder, Request, Transfer
from prefect_globus.transfers.states import AttemptStatus, TransferStatus

ITEMS = [Item(f"{number:02}", number, 1_700_000_000) for number in range(12)]
PLACE = Location(collection=UUID("7d2b1c84-2c5b-4c0e-9a52-0c6a3f1e0a01"), path="/")
EXAMPLES = settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.filter_too_much],
)


@pytest.fixture(autouse=True, scope="module")
def _impatient() -> Iterator[None]:
    """A damaged database may say that it is locked; SQLite would wait for half a minute each time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sql_engine, "_BUSY_SECONDS", 0)
        yield


def fill(store: CheckpointStore) -> None:
    """Leave a transfer in it that has one of everything."""
    transfer = Transfer(id="t", source=PLACE, destination=PLACE.child("out"), source_is_file=False)
    store.create_transfer(transfer)
    lease = store.acquire_lease("t", Holder(description="a test"), 3600.0)
    transfer = transfer.evolve(status=TransferStatus.SCANNING)
    store.save_transfer(lease, transfer)
    for number in (1, 2):
        batch = Batch.cut("t", number, ITEMS)
        transfer = transfer.evolve(batches=number, cursor=batch.last_path)
        store.append_batch(lease, transfer, batch, ITEMS)
        batch = batch.intend(uuid4(), None).submitted(uuid4())
        store.save_batch(lease, batch)
        skipped = {"03": "FILE_NOT_FOUND"}
        settled = batch.settle(
            ITEMS,
            Settlement(
                status=AttemptStatus.SUCCEEDED, moved=None, skipped=skipped, skipped_as=Outcome.DEAD, error=None
            ),
        )
        store.save_batch(lease, settled)
    store.post_request("t", Request.PAUSE)
    store.write_result("key", b"content")


def read(store: CheckpointStore) -> list[object]:
    """All that can be read of it; where that fails, the class of the error."""
    reads: list[Callable[[], object]] = [
        lambda: [each.id for each in store.list_transfers()],
        lambda: store.load_transfer("t"),
        lambda: list(store.list_batches("t")),
        lambda: [store.load_manifest("t", number) for number in (1, 2)],
        lambda: store.ledger("t"),
        lambda: store.pending_request("t"),
        lambda: store.current_lease("t"),
        lambda: result_of(store, "t").model_dump(exclude={"updated_at"}),
        lambda: list(store.iter_items("t")),
    ]
    return [_outcome(one) for one in reads]


def _outcome(call: Callable[[], object]) -> object:
    try:
        return call()
    except StoreError as error:
        return type(error)


def write(store: CheckpointStore) -> None:
    """What a driver would do next: it may be refused, in so many words."""

    def drive() -> None:
        lease = store.current_lease("t")
        if lease is not None:
            store.save_transfer(lease, store.load_transfer("t"))
            for batch in store.list_batches("t"):
                store.save_batch(lease, batch)

    _outcome(drive)


# --- files


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("files") / "store"
    fill(FileCheckpointStore(basepath=folder))
    return folder


def altered(content: bytes, data: st.DataObject) -> bytes:
    """Truncated, changed in places, or something else altogether."""
    how = data.draw(st.sampled_from(["cut", "flip", "insert", "replace", "other JSON"]))
    if how == "cut":
        return content[: data.draw(st.integers(0, max(0, len(content) - 1)))]
    if how == "flip" and content:
        place = data.draw(st.integers(0, len(content) - 1))
        return content[:place] + bytes([data.draw(st.integers(0, 255))]) + content[place + 1 :]
    if how == "insert":
        place = data.draw(st.integers(0, len(content)))
        return content[:place] + data.draw(st.binary(min_size=1, max_size=9)) + content[place:]
    if how == "other JSON":
        return data.draw(st.sampled_from([b"null", b"[]", b"{}", b"0", b'"x"', b"[[[[", b"1e999", b'{"batch": {}}']))
    return data.draw(st.binary(max_size=50))


@EXAMPLES
@given(data=st.data())
def test_damaged_files(files: Path, data: st.DataObject) -> None:
    """Any one file of a store, altered in any way; when it is put back, all is as before."""
    store = FileCheckpointStore(basepath=files)
    before = read(store)
    paths = sorted(path for path in files.rglob("*") if path.is_file() and path.name != ".lock")
    path = data.draw(st.sampled_from(paths))
    content = path.read_bytes()
    try:
        path.write_bytes(altered(content, data))
        read(store)
    finally:
        path.write_bytes(content)
    assert read(store) == before


@EXAMPLES
@given(data=st.data())
def test_missing_files(files: Path, data: st.DataObject) -> None:
    """Any one file of a store, gone."""
    store = FileCheckpointStore(basepath=files)
    before = read(store)
    path = data.draw(st.sampled_from(sorted(path for path in files.rglob("*") if path.is_file())))
    content = path.read_bytes()
    path.unlink()
    try:
        read(store)
    finally:
        path.write_bytes(content)
    assert read(store) == before


@EXAMPLES
@given(data=st.data())
def test_writing_to_damaged_files(files: Path, data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    """It is refused, or what is written can be read."""
    copy = tmp_path_factory.mktemp("copy") / "store"
    shutil.copytree(files, copy)
    path = data.draw(st.sampled_from(sorted(path for path in copy.rglob("*") if path.is_file())))
    path.write_bytes(altered(path.read_bytes(), data))
    store = FileCheckpointStore(basepath=copy)
    write(store)
    read(store)
    shutil.rmtree(copy)


# --- SQLite


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    path = tmp_path_factory.mktemp("sqlite") / "checkpoints.db"
    fill(SqlCheckpointStore(url=f"sqlite:///{path}"))
    dispose_engines()
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.execute("PRAGMA journal_mode = DELETE")
    connection.close()
    yield path
    dispose_engines()


def columns(path: Path) -> list[tuple[str, str]]:
    with sqlite3.connect(path) as connection:
        tables = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        found = [(table, row[1]) for table in tables for row in connection.execute(f"PRAGMA table_info({table})")]
    connection.close()
    return [(table, column) for table, column in found if not table.startswith("sqlite_")]


values = st.one_of(
    st.none(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False),
    st.text(max_size=20).filter(lambda text: "\0" not in text and text.isprintable()),
    st.binary(max_size=40),
    st.sampled_from(
        ["{}", "[]", "null", "COMPLETED", "PENDING", b"\x01", "2026-11-22 00:00:00", "9999-12-31T23:59:59Z"]
    ),
)


@EXAMPLES
@given(data=st.data())
def test_altered_rows(database: Path, data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Any one column of a table, set to anything that SQLite takes."""
    copy = tmp_path_factory.mktemp("copy") / "checkpoints.db"
    shutil.copy(database, copy)
    table, column = data.draw(st.sampled_from(columns(database)))
    value = data.draw(values)
    connection = sqlite3.connect(copy)
    try:
        with connection:
            connection.execute(f"UPDATE {table} SET {column} = ?", (value,))
    except sqlite3.IntegrityError:
        return  # the database itself has refused it
    finally:
        connection.close()
    store = SqlCheckpointStore(url=f"sqlite:///{copy}")
    before = copy.read_bytes()
    read(store)
    write(store)
    dispose_engines()
    assert before[:16] == copy.read_bytes()[:16]


@EXAMPLES
@given(data=st.data())
def test_a_damaged_database(database: Path, data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Any bytes of its file altered, or cut off."""
    copy = tmp_path_factory.mktemp("copy") / "checkpoints.db"
    copy.write_bytes(altered(database.read_bytes(), data))
    store = SqlCheckpointStore(url=f"sqlite:///{copy}")
    read(store)
    write(store)
    dispose_engines()
