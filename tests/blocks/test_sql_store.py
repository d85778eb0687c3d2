"""What only a store in SQL can get wrong."""

from __future__ import annotations

import functools
import logging
import multiprocessing
import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
import threading
import zlib
from pathlib import Path

import pytest
from prefect_sqlalchemy import ConnectionComponents, SqlAlchemyConnector, SyncDriver
from pydantic import SecretStr, ValidationError
from sqlalchemy import MetaData, create_engine, inspect, select

from prefect_globus.blocks import SqlCheckpointStore, sql_engine, sql_schema
from prefect_globus.blocks.sql_engine import DATABASE_URL_VARIABLE, dispose_engines, engine_for
from prefect_globus.blocks.sql_schema import TRANSFERS, UtcTime
from prefect_globus.transfers.batches import Batch
from prefect_globus.transfers.errors import (
    CorruptCheckpointError,
    InvalidInputError,
    StoreSchemaTooNewError,
    StoreUnavailableError,
)
from prefect_globus.transfers.items import Item, ItemType, Outcome, encode_manifest
from prefect_globus.transfers.model import Holder, Transfer
from prefect_globus.transfers.records import now
from prefect_globus.transfers.states import TransferStatus

UUID_1 = "11111111-1111-1111-1111-111111111111"


def sqlite_store(path: Path) -> SqlCheckpointStore:
    return SqlCheckpointStore(url=SecretStr(f"sqlite:///{path}"))


def transfer(transfer_id: str = "t") -> Transfer:
    return Transfer.model_validate({"id": transfer_id, "source": f"{UUID_1}:/a", "destination": f"{UUID_1}:/b"})


def with_a_batch(store: SqlCheckpointStore) -> None:
    store.create_transfer(transfer())
    lease = store.acquire_lease("t", Holder(description="me"), 60)
    items = [Item("a", 1, 2)]
    grown = transfer().evolve(status=TransferStatus.SCANNING, batches=1)
    store.append_batch(lease, grown, Batch.cut("t", 1, items), items)


# --- where


def test_the_default_is_a_file_in_the_data_folder(tmp_path: Path) -> None:
    SqlCheckpointStore().create_transfer(transfer())
    path = tmp_path / "home/data/prefect-globus/checkpoints.db"
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700


def test_the_environment_comes_before_the_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(DATABASE_URL_VARIABLE, f"sqlite:///{tmp_path}/mine/team.db")
    SqlCheckpointStore().create_transfer(transfer())
    assert sqlite_store(tmp_path / "mine/team.db").load_transfer("t") == transfer().evolve(
        created_at=SqlCheckpointStore().load_transfer("t").created_at,
        updated_at=SqlCheckpointStore().load_transfer("t").updated_at,
    )
    assert not (tmp_path / "home").exists()


def test_an_empty_url_of_a_form_is_the_default(tmp_path: Path) -> None:
    SqlCheckpointStore(url=SecretStr("")).create_transfer(transfer())
    assert (tmp_path / "home/data/prefect-globus/checkpoints.db").exists()


def test_a_relative_file_is_one_place_whatever_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    store = SqlCheckpointStore(url=SecretStr("sqlite:///here.db"))
    store.create_transfer(transfer())
    assert (tmp_path / "here.db").exists()
    assert str(tmp_path) in store.shown


def test_a_connector_by_components_works(tmp_path: Path) -> None:
    components = ConnectionComponents(driver=SyncDriver.SQLITE_PYSQLITE, database=str(tmp_path / "x.db"))
    SqlCheckpointStore(connector=SqlAlchemyConnector(connection_info=components)).create_transfer(transfer())
    assert sqlite_store(tmp_path / "x.db").load_transfer("t").id == "t"


@pytest.mark.parametrize(
    ("url", "hint"),
    [
        ("not a url", "malformed"),
        ("sqlite://", "name a file"),
        ("sqlite:///:memory:", "name a file"),
        ("sqlite+aiosqlite:///x.db", "asynchronous"),
        ("postgresql+asyncpg://u:hunter2@h/d", "asynchronous"),
        ("mysql://u:hunter2@h/d", "SQLite or PostgreSQL"),
        ("nosuch://u:hunter2@h/d", "malformed"),
        ("postgresql://u:hunter2@h:port/d", "malformed"),
    ],
)
def test_a_wrong_url_is_refused_with_a_hint(url: str, hint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValidationError, match=hint) as caught:
        SqlCheckpointStore(url=SecretStr(url))
    assert "hunter2" not in str(caught.value)
    monkeypatch.setenv(DATABASE_URL_VARIABLE, url)
    with pytest.raises(InvalidInputError, match=hint) as refused:
        list(SqlCheckpointStore().list_transfers())
    assert "hunter2" not in str(refused.value)


def test_two_databases_are_refused(tmp_path: Path) -> None:
    connector = SqlAlchemyConnector(connection_info=f"sqlite:///{tmp_path}/x.db")
    with pytest.raises(ValidationError, match="not both") as caught:
        SqlCheckpointStore(connector=connector, url=SecretStr("postgresql://u:hunter2@h/d"))
    assert "hunter2" not in str(caught.value)


def test_a_bare_postgresql_url_means_psycopg() -> None:
    for scheme in ("postgresql", "postgres", "postgresql+psycopg"):
        store = SqlCheckpointStore(url=SecretStr(f"{scheme}://u:hunter2@h/d"))
        assert store.shown == "postgresql+psycopg://u:***@h/d"


# --- what cannot be opened or read


def test_a_database_that_is_not_there_is_unavailable(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    url = "postgresql://ann:hunter2@127.0.0.1:9/d?password=hunter2"
    store = SqlCheckpointStore(url=SecretStr(url))
    with pytest.raises(StoreUnavailableError) as caught:
        store.load_transfer("t")
    assert caught.value.retryable
    chain: BaseException | None = caught.value
    while chain is not None:
        assert "hunter2" not in f"{chain} {chain!r}"
        chain = chain.__cause__
    shown = f"{store} {store!r} {store.model_dump()} {store.model_dump_json()} {caplog.text}"
    assert "hunter2" not in shown


def test_a_connector_does_not_show_its_password_through_the_store() -> None:
    components = ConnectionComponents(
        driver=SyncDriver.POSTGRESQL_PSYCOPG2,
        username="ann",
        password=SecretStr("hunter2"),
        host="127.0.0.1",
        database="d",
    )
    store = SqlCheckpointStore(connector=SqlAlchemyConnector(connection_info=components))
    by_url = SqlCheckpointStore(connector=SqlAlchemyConnector(connection_info="postgresql://ann:hunter2@127.0.0.1:9/d"))
    assert "hunter2" not in f"{store!r} {store.model_dump_json()} {store.shown} {by_url!r} {by_url} {by_url.shown}"


def test_a_file_that_is_no_database_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "x.db").write_text("this is a letter to my aunt, not a database" * 50)
    with pytest.raises(StoreUnavailableError, match="not a database"):
        sqlite_store(tmp_path / "x.db").load_transfer("t")


def test_a_folder_that_cannot_be_made_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailableError, match="No such file"):
        sqlite_store(tmp_path / "no/such/x.db").load_transfer("t")
    (tmp_path / "file").touch()
    with pytest.raises(StoreUnavailableError):
        sqlite_store(tmp_path / "file/x.db").load_transfer("t")


def test_a_store_that_was_unavailable_is_used_when_it_is_there(tmp_path: Path) -> None:
    store = sqlite_store(tmp_path / "folder/sub/x.db")
    with pytest.raises(StoreUnavailableError):
        store.create_transfer(transfer())
    (tmp_path / "folder").mkdir()
    store.create_transfer(transfer())


def test_a_newer_schema_is_refused_and_left_alone(tmp_path: Path) -> None:
    store = sqlite_store(tmp_path / "x.db")
    store.create_transfer(transfer())
    dispose_engines()
    with sqlite3.connect(tmp_path / "x.db") as connection:
        connection.execute("INSERT INTO prefect_globus_schema VALUES (99, '')")
    connection.close()
    with pytest.raises(StoreSchemaTooNewError, match="99"):
        store.load_transfer("t")


def test_a_failed_migration_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(_connection: object) -> None:
        raise RuntimeError("power cut")

    store = sqlite_store(tmp_path / "x.db")
    with monkeypatch.context() as patch:
        patch.setattr(sql_schema, "MIGRATIONS", (*sql_schema.MIGRATIONS, fails))
        with pytest.raises(RuntimeError, match="power cut"):
            store.create_transfer(transfer())
    connection = sqlite3.connect(tmp_path / "x.db")
    assert connection.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,)
    connection.close()
    store.create_transfer(transfer())


@pytest.mark.parametrize(
    ("change", "read"),
    [
        ("UPDATE prefect_globus_transfers SET record = '{'", "load_transfer"),
        ("UPDATE prefect_globus_transfers SET status = 'LOST'", "load_transfer"),
        ("UPDATE prefect_globus_transfers SET created_at = 'yesterday'", "load_transfer"),
        ("UPDATE prefect_globus_transfers SET request = 'DANCE'", "pending_request"),
        ("UPDATE prefect_globus_transfers SET lease_holder = '[]'", "current_lease"),
        ("UPDATE prefect_globus_batches SET manifest = substr(manifest, 1, 20)", "load_manifest"),
        ("UPDATE prefect_globus_batches SET manifest = x'02'", "load_manifest"),
        ("UPDATE prefect_globus_batches SET outcomes = x'00'", "load_batch"),
        ("UPDATE prefect_globus_batches SET status = 'LOST'", "load_batch"),
    ],
)
def test_damage_is_corrupt(tmp_path: Path, change: str, read: str) -> None:
    store = sqlite_store(tmp_path / "x.db")
    with_a_batch(store)
    dispose_engines()
    with sqlite3.connect(tmp_path / "x.db") as connection:
        connection.execute(change)
    connection.close()
    arguments = ("t", 1) if read in ("load_manifest", "load_batch") else ("t",)
    with pytest.raises(CorruptCheckpointError, match="'t'"):
        getattr(store, read)(*arguments)


def test_a_damaged_transfer_hides_no_other(tmp_path: Path) -> None:
    store = sqlite_store(tmp_path / "x.db")
    for name in ("old", "t", "new"):
        store.create_transfer(transfer(name).evolve(created_at=now()))
    with sqlite3.connect(tmp_path / "x.db") as connection:
        connection.execute("UPDATE prefect_globus_transfers SET record = '{' WHERE id = 't'")
    connection.close()
    listed = store.list_transfers()
    assert [next(listed).id, next(listed).id] == ["new", "old"]
    with pytest.raises(CorruptCheckpointError, match="'t'"):
        next(listed)


def test_a_damaged_file_is_corrupt(tmp_path: Path) -> None:
    store = sqlite_store(tmp_path / "x.db")
    for n in range(50):
        store.write_result(str(n), os.urandom(4000))
    dispose_engines()
    size = (tmp_path / "x.db").stat().st_size
    with (tmp_path / "x.db").open("r+b") as file:
        for page in range(2 * 4096, size, 4096):
            file.seek(page)
            file.write(b"\xff" * 100)
    with pytest.raises(CorruptCheckpointError, match="malformed"):
        _ = [store.read_result(str(n)) for n in range(50)]


def test_a_locked_database_is_unavailable_after_the_timeout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sql_engine, "_BUSY_SECONDS", 0)
    store = sqlite_store(tmp_path / "x.db")
    store.create_transfer(transfer())
    other = sqlite3.connect(tmp_path / "x.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreUnavailableError, match="locked") as caught:
        store.create_transfer(transfer("u"))
    assert caught.value.retryable
    assert store.load_transfer("t").id == "t"  # readers are not hindered
    other.close()
    store.create_transfer(transfer("u"))


# --- how


def test_sqlite_is_tuned_to_keep_what_it_has_committed(tmp_path: Path) -> None:
    store = sqlite_store(tmp_path / "x.db")
    store.create_transfer(transfer())
    with engine_for(store._url()).connect() as connection:
        found = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "busy_timeout", "foreign_keys")
        }
    assert found == {"journal_mode": "wal", "synchronous": 2, "busy_timeout": 30_000, "foreign_keys": 1}


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_the_migrations_make_the_tables_that_the_code_knows(
    database: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    url = f"sqlite:///{tmp_path}/x.db" if database == "sqlite" else request.getfixturevalue("postgresql_url")
    store = SqlCheckpointStore(url=SecretStr(url))
    list(store.list_transfers())
    inspector = inspect(engine_for(store._url()))
    metadata: MetaData = TRANSFERS.metadata
    assert {name for name in inspector.get_table_names() if name.startswith("prefect_globus_")} == set(metadata.tables)
    for name, table in metadata.tables.items():
        columns = {column["name"]: column["nullable"] for column in inspector.get_columns(name)}
        assert set(columns) == {column.name for column in table.columns}
        key = inspector.get_pk_constraint(name)["constrained_columns"]
        assert key == [column.name for column in table.primary_key]


VERSION_1 = """
INSERT INTO prefect_globus_transfers (id, status, batches, created_at, updated_at, record, lease_token) VALUES (
    't', 'FAILED', 1, '2026-11-22T12:00:00.000000+00:00', '2026-11-22T12:00:01.000000+00:00', '{
        "source": "11111111-1111-1111-1111-111111111111:/a", "destination": "11111111-1111-1111-1111-111111111111:/b",
        "options": {"label": "old", "max_concurrency": 6, "lease_seconds": 90.0, "max_lock_wait": 0.0},
        "source_is_file": false, "cursor": "b", "scan_complete": true, "filtered": false, "error": "1 item failed"
    }', 3
);
INSERT INTO prefect_globus_batches VALUES (
    't', 1, 2, 2, x'61', x'62', 'PARTIAL', {outcomes}, 1, 0, 0, 1, 0, 1, {manifest}
);
INSERT INTO prefect_globus_attempts VALUES (
    't', 1, 1, '00000000-0000-0000-0000-000000000007', '00000000-0000-0000-0000-000000000008', 'SUCCEEDED', '{
        "deadline": null, "intended_at": "2026-11-22T12:00:00Z", "submitted_at": "2026-11-22T12:00:00Z",
        "ended_at": "2026-11-22T12:00:01Z", "files_transferred": 1, "bytes_transferred": 1, "faults": 0, "error": null
    }'
);
INSERT INTO prefect_globus_item_faults VALUES ('t', 1, 0, x'62', 4, 'INVALID_SYMLINK', 0);
"""


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_a_database_of_version_1_is_brought_up_to_date_and_goes_on(
    database: str, tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"sqlite:///{tmp_path}/x.db" if database == "sqlite" else request.getfixturevalue("postgresql_url")
    store = SqlCheckpointStore(url=SecretStr(url))
    with monkeypatch.context() as older:
        older.setattr(sql_schema, "MIGRATIONS", sql_schema.MIGRATIONS[:1])
        engine = engine_for(store._url())  # as version 1 has made it
        items = [Item("a", 1, 2), Item("b", 1, 2, ItemType.INVALID_SYMLINK)]
        blob = "'\\x{}'" if database == "postgresql" else "x'{}'"
        values = {
            "{outcomes}": blob.format(zlib.compress(bytes([Outcome.TRANSFERRED, Outcome.DEAD])).hex()),
            "{manifest}": blob.format(encode_manifest(items).hex()),
            "x'61'": blob.format("61"),
            "x'62'": blob.format("62"),
        }
        with engine.begin() as connection:
            script = functools.reduce(lambda text, pair: text.replace(*pair), values.items(), VERSION_1)
            for statement in script.split(";\n")[:-1]:
                connection.exec_driver_sql(statement)
    dispose_engines()
    stored, batch = store.load_transfer("t"), store.load_batch("t", 1)
    assert (stored.options.label, stored.options.lock_stale_after) == ("old", 90.0)
    assert (stored.paused_by, stored.credentials) == (None, None)
    assert [fault.at for fault in batch.faults] == [None]
    assert (batch.attempts[0].span, batch.attempts[0].codes) == (None, {})
    lease = store.acquire_lease("t", Holder(description="me"), 60)
    batch = batch.redrive(items)
    store.save_batch(lease, batch)
    assert store.load_batch("t", 1) == batch
    assert [fault.at is None for fault in batch.faults] == [True, False]


def test_times_come_back_in_utc(tmp_path: Path) -> None:
    store = sqlite_store(tmp_path / "x.db")
    made = transfer()
    store.create_transfer(made)
    engine = create_engine(f"sqlite:///{tmp_path}/x.db")
    with engine.connect() as connection:
        assert connection.scalar(select(TRANSFERS.c.created_at)) == made.created_at
    engine.dispose()
    assert UtcTime().process_bind_param(made.created_at, engine.dialect).endswith("+00:00")


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_threads_that_open_a_new_database_at_once_agree(
    database: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    url = f"sqlite:///{tmp_path}/x.db" if database == "sqlite" else request.getfixturevalue("postgresql_url")
    failures: list[Exception] = []

    def create(index: int) -> None:
        try:
            SqlCheckpointStore(url=SecretStr(url)).create_transfer(transfer(f"t{index}"))
        except Exception as error:  # noqa: BLE001 - shown below
            failures.append(error)

    threads = [threading.Thread(target=create, args=(index,)) for index in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert len(list(SqlCheckpointStore(url=SecretStr(url)).list_transfers())) == 8


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_processes_that_open_a_new_database_at_once_agree(
    database: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    url = f"sqlite:///{tmp_path}/x.db" if database == "sqlite" else request.getfixturevalue("postgresql_url")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["prefect_globus.blocks"])  # type: ignore[attr-defined] # of this context only
    store = SqlCheckpointStore(url=SecretStr(url))
    processes = [context.Process(target=store.write_result, args=(str(n), b"x")) for n in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0, 0, 0, 0]
    for n in range(4):
        assert store.read_result(str(n)) == b"x"


def test_a_writer_killed_between_any_two_writes_leaves_a_readable_store(tmp_path: Path) -> None:
    program = textwrap.dedent("""
        import sys
        from pydantic import SecretStr
        from prefect_globus.blocks import SqlCheckpointStore
        from prefect_globus.transfers.items import Item
        from prefect_globus.transfers.batches import Batch
        from prefect_globus.transfers.model import Holder
        from prefect_globus.transfers.states import TransferStatus
        store = SqlCheckpointStore(url=SecretStr(sys.argv[1]))
        lease = store.acquire_lease("t", Holder(description="me"), 600)
        transfer = store.load_transfer("t")
        for number in range(1, 100_000):
            items = [Item(f"{number}/{n}", n, n) for n in range(50)]
            transfer = transfer.evolve(status=TransferStatus.SCANNING, batches=number, cursor=items[-1].path)
            store.append_batch(lease, transfer, Batch.cut("t", number, items), items)
            print(number, flush=True)
    """)
    path = tmp_path / "x.db"
    store = sqlite_store(path)
    store.create_transfer(transfer())
    process = subprocess.Popen([sys.executable, "-c", program, f"sqlite:///{path}"], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    with process.stdout as output:
        seen = [int(output.readline()) for _ in range(40)]
        process.send_signal(signal.SIGKILL)
        seen += [int(line) for line in output if line.endswith("\n")]
    process.wait()
    stored = store.load_transfer("t")
    # what was said to be written is there, and at most the one write after it
    assert stored.batches in (seen[-1], seen[-1] + 1)
    assert stored.cursor == f"{stored.batches}/49"
    assert len(list(store.iter_items("t"))) == 50 * stored.batches
    assert store.ledger("t").remaining == 50 * stored.batches
