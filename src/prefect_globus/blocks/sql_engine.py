"""Engines of the SQL checkpoint store: which database, opened once in a process, tuned and migrated."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import Any
from weakref import WeakKeyDictionary

from platformdirs import user_data_path
from prefect_sqlalchemy import SqlAlchemyConnector  # type: ignore[import-untyped]
from sqlalchemy import URL, Connection, Dialect, Engine, create_engine, event, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import (
    ArgumentError,
    DatabaseError,
    DBAPIError,
    IntegrityError,
    NoSuchModuleError,
    ProgrammingError,
    SQLAlchemyError,
)

from prefect_globus.blocks.sql_schema import migrate
from prefect_globus.transfers.errors import (
    CorruptCheckpointError,
    InvalidInputError,
    StoreError,
    StoreUnavailableError,
    first_line,
)

DATABASE_URL_VARIABLE = "PREFECT_GLOBUS_DATABASE_URL"
_BUSY_SECONDS = 30
_CONNECT_SECONDS = 10
_LOCK_SECONDS = 10
_WRITES = "prefect_globus_writes"  # execution option: this transaction will write

# Blocks are copied and pickled by Prefect, engines cannot be: so they are kept here, by URL.
_engines: dict[str, Engine] = {}
_engines_lock = Lock()
_turns: WeakKeyDictionary[Engine, Lock] = WeakKeyDictionary()


def default_url() -> URL:
    """The database of those who name none: `PREFECT_GLOBUS_DATABASE_URL`, or a file in the user's data folder."""
    if given := os.environ.get(DATABASE_URL_VARIABLE):
        return checked_url(given)
    folder = user_data_path("prefect-globus")
    with _as_unavailable(str(folder)):
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return URL.create("sqlite", database=str(folder / "checkpoints.db"))


def checked_url(text: str) -> URL:
    """Read a database URL.

    Raises:
        InvalidInputError: it is malformed, of another database, of an asynchronous driver, or kept in memory only. The
            message never shows the URL, which may hold a password.
    """
    url, dialect = _parsed(text)
    if dialect.name not in ("sqlite", "postgresql"):
        raise InvalidInputError(reason=f"the database must be SQLite or PostgreSQL, not {dialect.name}")
    if dialect.is_async:
        raise InvalidInputError(
            reason=f"{url.drivername} is an asynchronous driver; leave it out, as in {dialect.name}://..."
        )
    if dialect.name == "sqlite":
        if url.database in (None, "", ":memory:"):
            raise InvalidInputError(
                reason="a checkpoint must outlive its process: name a file, as in sqlite:////path/to/file.db"
            )
        path = str(Path(str(url.database)).expanduser().absolute())
        return url if path == url.database else url.set(database=path)
    return url


@lru_cache
def _parsed(text: str) -> tuple[URL, type[Dialect]]:
    """The URL and the dialect of its database. Every call of a store asks for them, and they never change."""
    try:
        url = make_url(text)
        if url.drivername in ("postgresql", "postgres"):
            url = url.set(drivername="postgresql+psycopg")
        return url, url.get_dialect()
    except (ArgumentError, NoSuchModuleError, ValueError):
        raise InvalidInputError(
            reason="the database URL is malformed; write sqlite:////path or postgresql://..."
        ) from None


def url_of(connector: SqlAlchemyConnector) -> URL:
    """The URL that a nested block stands for, checked as any other."""
    info = connector.connection_info
    url = make_url(info) if isinstance(info, str) else info.create_url()
    return checked_url(url.render_as_string(hide_password=False))


@lru_cache
def shown(url: URL) -> str:
    """``url`` for people: without its password, and without options, which could hold one as well."""
    return url.set(query={}).render_as_string(hide_password=True)


def engine_for(url: URL, connector: SqlAlchemyConnector | None = None) -> Engine:
    """The one engine of this process for ``url``, its schema up to date.

    Args:
        url: as `checked_url` returned it.
        connector: makes the engine, when the store is configured by one.

    Raises:
        StoreUnavailableError: the database cannot be opened.
        StoreSchemaTooNewError: it was written by a newer prefect-globus.
    """
    key = _key(url, connector)
    with _engines_lock:
        if key not in _engines:
            _engines[key] = _open(url, connector)
        return _engines[key]


def _key(url: URL, connector: SqlAlchemyConnector | None = None) -> str:
    return f"{url.render_as_string(hide_password=False)} {connector.connect_args if connector else ''}"


def dispose_engines() -> None:
    """Close all idle connections of this process; stores open new ones when they are used again."""
    with _engines_lock:
        for engine in _engines.values():
            engine.dispose()
        _engines.clear()


def dispose_engine(url: URL) -> None:
    """Close the connections of this process to one database that it is done with, which no connector has configured."""
    with _engines_lock:
        if engine := _engines.pop(_key(url), None):
            engine.dispose()


@contextmanager
def transaction(engine: Engine, store: str, *, writes: bool) -> Iterator[Connection]:
    """One transaction: committed at the end, rolled back on any error.

    Args:
        engine: from `engine_for`.
        store: what to call the store in an error.
        writes: whether it will write; readers see one moment and hinder nobody.

    Raises:
        StoreUnavailableError: the database cannot be reached, or is locked for longer than 30 s.
        CorruptCheckpointError: the database file is damaged.
        StoreError: the database refuses the statement.
    """
    options: dict[str, Any] = {_WRITES: writes}
    if engine.dialect.name == "postgresql" and not writes:
        options["isolation_level"] = "REPEATABLE READ"
    with (
        errors_of(store),
        _turn(engine, writes=writes),
        engine.connect() as connection,
        connection.execution_options(**options).begin(),
    ):
        yield connection


def _turn(engine: Engine, *, writes: bool) -> AbstractContextManager[object]:
    """Let the threads of this process write to SQLite in turn: its own waiting is a sleep of growing length."""
    if writes and engine.dialect.name == "sqlite":
        return _turns.setdefault(engine, Lock())
    return nullcontext()


@contextmanager
def errors_of(store: str) -> Iterator[None]:
    """Turn the database's errors into the package's own."""
    try:
        yield
    except SQLAlchemyError as error:
        origin = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
        raise _error_class(error)(store=store, reason=first_line(origin)) from error
    except UnicodeDecodeError as error:  # sqlite3 raises it as it is, where a damaged name is part of what went wrong
        raise CorruptCheckpointError(store=store, reason="its text is no UTF-8") from error


def _error_class(error: SQLAlchemyError) -> type[StoreError]:
    if isinstance(error, IntegrityError | ProgrammingError):
        return StoreError
    origin = error.orig if isinstance(error, DatabaseError) else None
    if isinstance(origin, sqlite3.Error) and getattr(origin, "sqlite_errorcode", None) == sqlite3.SQLITE_CORRUPT:
        return CorruptCheckpointError
    return StoreUnavailableError


def _open(url: URL, connector: SqlAlchemyConnector | None) -> Engine:
    store = shown(url)
    sqlite = url.get_backend_name() == "sqlite"
    if sqlite:
        _create_file(Path(str(url.database)), store)
    with errors_of(store):
        try:
            engine = _make_engine(url, connector)
        except ModuleNotFoundError as error:
            reason = f"{error}; install prefect-globus[postgresql]"
            raise StoreUnavailableError(store=store, reason=reason) from error
    if sqlite:
        event.listen(engine, "connect", _tune_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    else:
        event.listen(engine, "connect", _tune_postgresql)
    try:
        with transaction(engine, store, writes=True) as connection:
            migrate(connection, store)
    except BaseException:
        engine.dispose()
        raise
    return engine


def _make_engine(url: URL, connector: SqlAlchemyConnector | None) -> Engine:
    # Parameters are hidden, because an error goes into logs and a parameter may be a file's name.
    options: dict[str, Any] = {"pool_pre_ping": True, "hide_parameters": True, "max_overflow": 20}
    if connector is not None:
        # A copy makes it: a connector that holds an engine can no longer be copied, and Prefect copies it.
        engine: Engine = connector.model_copy().get_engine(**options)
        return engine
    if url.get_backend_name() == "postgresql" and "connect_timeout" not in url.query:
        options["connect_args"] = {"connect_timeout": _CONNECT_SECONDS}
    return create_engine(url, **options)


def _create_file(path: Path, store: str) -> None:
    """Create an empty database that only its owner can read, in a folder that only its owner can enter."""
    with _as_unavailable(store):
        path.parent.mkdir(exist_ok=True, mode=0o700)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))


@contextmanager
def _as_unavailable(store: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StoreUnavailableError(store=store, reason=str(error)) from error


def _tune_postgresql(connection: DBAPIConnection, _record: object) -> None:
    # A process that was suspended, or a machine that died, in the middle of a write must not hold up others for ever.
    cursor = connection.cursor()
    cursor.execute(f"SET lock_timeout = '{_LOCK_SECONDS}s'")
    cursor.execute(f"SET idle_in_transaction_session_timeout = '{_BUSY_SECONDS}s'")
    cursor.close()
    connection.commit()


def _tune_sqlite(connection: sqlite3.Connection, _record: object) -> None:
    # sqlite3 would begin transactions late, and only before writes; SQLAlchemy's "begin" event does it instead
    # (SQLAlchemy, pysqlite dialect, "Serializable isolation").
    connection.isolation_level = None
    connection.execute(f"PRAGMA busy_timeout = {_BUSY_SECONDS * 1000}")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")  # a committed intent must survive the loss of power
    connection.execute("PRAGMA foreign_keys = ON")


def _begin_sqlite(connection: Connection) -> None:
    # A transaction that begins as a reader and then writes fails at once when another has written in between.
    writes = connection.get_execution_options().get(_WRITES, True)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
