"""The state file: SQLite, locked while it is served."""

from __future__ import annotations

import fcntl
import os
import sqlite3
import threading
from contextlib import contextmanager
from importlib import resources
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

SCHEMA_VERSION = 3

SCHEMA = resources.files("prefect_globus.emulator").joinpath("schema.sql")


class StateError(Exception):
    """The state file cannot be used; the message says what to do."""


class Database:
    """One connection for all threads, behind one lock. What is committed survives a kill of the process."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._mutex = threading.RLock()
        self._lock_file = _lock(path)
        try:
            path.touch(mode=0o600)  # it holds the key that signs logins; SQLite gives its other files the same mode
            self._connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
            self._connection.row_factory = sqlite3.Row
            self._prepare()
        except (sqlite3.Error, OSError) as error:
            os.close(self._lock_file)
            raise StateError(f"{path} cannot be used as state: {error}. Name another file.") from error
        except BaseException:
            os.close(self._lock_file)
            raise

    def _prepare(self) -> None:
        self._connection.execute("PRAGMA journal_mode = WAL")
        # A commit is handed to the system, so it survives kill -9; only a crash of the machine could take it back.
        self._connection.execute("PRAGMA synchronous = NORMAL")
        # Room for the records of a large task, and 40 MB between two checkpoints, as each of them waits for the disk.
        self._connection.execute("PRAGMA cache_size = -65536")
        self._connection.execute("PRAGMA wal_autocheckpoint = 10000")
        version = self._connection.execute("PRAGMA user_version").fetchone()[0]
        if version not in (0, SCHEMA_VERSION):
            raise StateError(f"{self.path} was written by another version of the emulator. Name another file.")
        if version == 0:
            self._connection.executescript(
                f"BEGIN; {SCHEMA.read_text()} PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;"
            )

    def close(self) -> None:
        """Close the file and give up its lock."""
        with self._mutex:
            self._connection.close()
            os.close(self._lock_file)

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Hold the connection for one transaction; any exception takes it back."""
        with self._mutex:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:  # if the disk is full, SQLite has taken it back itself
                    self._connection.execute("ROLLBACK")
                raise

    def rows(self, query: str, parameters: Sequence[Any] = ()) -> list[sqlite3.Row]:
        """Return what a query finds."""
        with self._mutex:
            return self._connection.execute(query, parameters).fetchall()


def _lock(path: Path) -> int:
    """Take the lock of a state file, which ends with the process.

    It is a file beside: SQLite's own locks on the state file would end as soon as we closed a descriptor of it.
    """
    lock = path.with_name(path.name + ".lock")
    try:
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StateError(f"{path} cannot be used as state: {error.strerror}. Name another file.") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        holder = os.read(descriptor, 32).decode(errors="replace").strip() or "unknown"
        os.close(descriptor)
        message = f"{path} is served by another emulator, process {holder}. Stop it, or name another file."
        raise StateError(message) from error
    os.truncate(descriptor, 0)
    os.write(descriptor, f"{os.getpid()}\n".encode())
    return descriptor
