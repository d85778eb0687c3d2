"""The state file: SQLite, locked while it is served, and what it knows apart from tasks."""

from __future__ import annotations

import fcntl
import hashlib
import os
import sqlite3
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from prefect_globus.emulator.model import CollectionSpec

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

SCHEMA_VERSION = 1

SCHEMA = """
CREATE TABLE collections (
    uuid TEXT PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    folder TEXT NOT NULL
);
CREATE TABLE tokens (
    digest TEXT PRIMARY KEY,      -- SHA-256: the state file holds no token that could be used
    client_id TEXT NOT NULL,
    resource_server TEXT NOT NULL,
    expires_at REAL NOT NULL
) WITHOUT ROWID;
CREATE TABLE tasks (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    task_id TEXT NOT NULL UNIQUE,
    owner_id TEXT NOT NULL,
    submission_id TEXT NOT NULL,
    source_endpoint TEXT NOT NULL,
    destination_endpoint TEXT NOT NULL,
    label TEXT,
    status TEXT NOT NULL,         -- ACTIVE -> SUCCEEDED | FAILED, see model.TRANSITIONS
    options TEXT NOT NULL,        -- JSON
    request_time REAL NOT NULL,
    completion_time REAL,
    deadline REAL NOT NULL,       -- as documents show it
    expires_at REAL NOT NULL,     -- the same with the time scale applied
    deadline_fixed INTEGER NOT NULL,
    started INTEGER NOT NULL DEFAULT 0,
    cancel_requested INTEGER NOT NULL DEFAULT 0,
    ready_at REAL NOT NULL,
    error_code TEXT,
    error_time REAL,
    fatal_code TEXT,
    fatal_description TEXT,
    files INTEGER NOT NULL DEFAULT 0,
    directories INTEGER NOT NULL DEFAULT 0,
    symlinks INTEGER NOT NULL DEFAULT 0,
    files_skipped INTEGER NOT NULL DEFAULT 0,
    files_transferred INTEGER NOT NULL DEFAULT 0,
    bytes_transferred INTEGER NOT NULL DEFAULT 0,
    bytes_checksummed INTEGER NOT NULL DEFAULT 0,
    faults INTEGER NOT NULL DEFAULT 0,
    subtasks_total INTEGER NOT NULL DEFAULT 0,
    subtasks_succeeded INTEGER NOT NULL DEFAULT 0,
    subtasks_skipped_errors INTEGER NOT NULL DEFAULT 0,
    subtasks_canceled INTEGER NOT NULL DEFAULT 0,
    subtasks_expired INTEGER NOT NULL DEFAULT 0,
    subtasks_failed INTEGER NOT NULL DEFAULT 0,
    UNIQUE (owner_id, submission_id)
);
CREATE INDEX unfinished_tasks ON tasks (number) WHERE status = 'ACTIVE';
CREATE TABLE work (
    task INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    kind TEXT NOT NULL,           -- item -> file | directory, once it was looked at
    outcome TEXT NOT NULL,        -- pending -> moving -> done | unchanged | skipped
    source_path TEXT NOT NULL,
    destination_path TEXT NOT NULL,
    recursive INTEGER,
    external_checksum TEXT,
    checksum_algorithm TEXT,
    checksum TEXT,
    size INTEGER,
    error_code TEXT,
    error_details TEXT,
    error_time REAL,
    PRIMARY KEY (task, seq)
) WITHOUT ROWID;
CREATE TABLE claims (             -- the pairs of paths of unfinished tasks; its key is what makes a 409
    pair BLOB PRIMARY KEY,
    task INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX claims_of_task ON claims (task);
CREATE TABLE events (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    task INTEGER NOT NULL,
    time REAL NOT NULL,
    code TEXT NOT NULL,
    is_error INTEGER NOT NULL,
    details TEXT NOT NULL,
    backs_off INTEGER NOT NULL
);
CREATE INDEX events_of_task ON events (task, number);
"""


class StateError(Exception):
    """The state file cannot be used; the message says what to do."""


class TokenOwner(NamedTuple):
    """Whom a token was given to, and for which service."""

    client_id: str
    resource_server: str


class Database:
    """One connection for all threads, behind one lock. What is committed survives a kill of the process."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._mutex = threading.RLock()
        self._lock_file = _lock(path)
        try:
            self._connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
            self._connection.row_factory = sqlite3.Row
            self._prepare()
        except sqlite3.Error as error:
            os.close(self._lock_file)
            raise StateError(f"{path} cannot be used as state: {error}. Name another file.") from error
        except BaseException:
            os.close(self._lock_file)
            raise

    def _prepare(self) -> None:
        self._connection.execute("PRAGMA journal_mode = WAL")
        # A commit is handed to the system, so it survives kill -9; only a crash of the machine could take it back.
        self._connection.execute("PRAGMA synchronous = NORMAL")
        version = self._connection.execute("PRAGMA user_version").fetchone()[0]
        if version not in (0, SCHEMA_VERSION):
            raise StateError(f"{self.path} was written by another version of the emulator. Name another file.")
        if version == 0:
            self._connection.executescript(f"BEGIN; {SCHEMA} PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;")

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
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")

    def rows(self, query: str, parameters: Sequence[Any] = ()) -> list[sqlite3.Row]:
        """Return what a query finds."""
        with self._mutex:
            return self._connection.execute(query, parameters).fetchall()

    def collections(self) -> list[CollectionSpec]:
        """Return the collections that this state has served."""
        found = self.rows("SELECT name, uuid, folder FROM collections ORDER BY rowid")
        return [CollectionSpec(row["name"], row["uuid"], row["folder"]) for row in found]

    def save_collections(self, collections: Sequence[CollectionSpec]) -> None:
        """Make `collections` the ones that are served from now on."""
        with self.transaction() as connection:
            connection.execute("DELETE FROM collections")
            connection.executemany(
                "INSERT INTO collections (name, uuid, folder) VALUES (?, ?, ?)",
                [(one.name, one.uuid, one.folder) for one in collections],
            )

    def save_token(self, token: str, owner: TokenOwner, expires_at: float) -> None:
        """Keep a token until `expires_at`, in seconds since the epoch, and forget those that have expired."""
        with self.transaction() as connection:
            connection.execute("DELETE FROM tokens WHERE expires_at < ?", (time.time(),))
            connection.execute("INSERT INTO tokens VALUES (?, ?, ?, ?)", (_digest(token), *owner, expires_at))

    def token_owner(self, token: str) -> TokenOwner | None:
        """Return whose token this is, or None if it is unknown or has expired."""
        found = self.rows(
            "SELECT client_id, resource_server FROM tokens WHERE digest = ? AND expires_at > ?",
            (_digest(token), time.time()),
        )
        return TokenOwner(*found[0]) if found else None


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


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
