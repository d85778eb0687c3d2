"""The tables of the SQL checkpoint store, and the migrations that bring any older database up to them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Dialect,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    TypeDecorator,
    func,
    insert,
    select,
    text,
)

from prefect_globus.transfers.errors import StoreSchemaTooNewError

# The database may be one that a team uses for other things too.
_PREFIX = "prefect_globus_"
_ADVISORY_LOCK = 0x676C6F627573  # "globus": held on PostgreSQL while the schema is migrated


class UtcTime(TypeDecorator[datetime]):
    """An aware time as ISO text in UTC, which sorts by time and reads well on every database."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> str | None:  # noqa: ARG002, D102
        return None if value is None else value.astimezone(UTC).isoformat(timespec="microseconds")

    def process_result_value(self, value: str | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002, D102
        if value is None:
            return None
        time = datetime.fromisoformat(value)
        if time.tzinfo is None:
            raise ValueError(f"{value!r} is a time without a time zone")
        return time


class PathBytes(TypeDecorator[str]):
    """A path as bytes: any name survives, lone surrogates included, and bytes sort as Python sorts the paths."""

    impl = LargeBinary
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> bytes | None:  # noqa: ARG002, D102
        return None if value is None else value.encode("utf-8", "surrogatepass")

    def process_result_value(self, value: bytes | None, dialect: Dialect) -> str | None:  # noqa: ARG002, D102
        return None if value is None else bytes(value).decode("utf-8", "surrogatepass")


_METADATA = MetaData()

TRANSFERS = Table(
    f"{_PREFIX}transfers",
    _METADATA,
    Column("id", Text, primary_key=True),
    Column("status", Text, nullable=False),
    Column("batches", Integer, nullable=False),
    Column("created_at", UtcTime, nullable=False),
    Column("updated_at", UtcTime, nullable=False),
    Column("record", Text, nullable=False),
    Column("request", Text),
    Column("lease_token", BigInteger, nullable=False),
    Column("lease_holder", Text),
    Column("lease_expires_at", UtcTime),
)

BATCHES = Table(
    f"{_PREFIX}batches",
    _METADATA,
    Column("transfer_id", Text, primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("items", Integer, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("first_path", PathBytes, nullable=False),
    Column("last_path", PathBytes, nullable=False),
    Column("status", Text, nullable=False),
    Column("outcomes", LargeBinary, nullable=False),
    Column("transferred", Integer, nullable=False),
    Column("unchanged", Integer, nullable=False),
    Column("skipped", Integer, nullable=False),
    Column("dead", Integer, nullable=False),
    Column("remaining", Integer, nullable=False),
    Column("bytes_transferred", BigInteger, nullable=False),
    Column("manifest", LargeBinary, nullable=False),
)

ATTEMPTS = Table(
    f"{_PREFIX}attempts",
    _METADATA,
    Column("transfer_id", Text, primary_key=True),
    Column("batch", Integer, primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("submission_id", Text, nullable=False),
    Column("task_id", Text),
    Column("status", Text, nullable=False),
    Column("record", Text, nullable=False),
)

ITEM_FAULTS = Table(
    f"{_PREFIX}item_faults",
    _METADATA,
    Column("transfer_id", Text, primary_key=True),
    Column("batch", Integer, primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("path", PathBytes, nullable=False),
    Column("outcome", Integer, nullable=False),
    Column("code", Text, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("at", UtcTime),
)

RESULTS = Table(
    f"{_PREFIX}results",
    _METADATA,
    Column("key", Text, primary_key=True),
    Column("content", LargeBinary, nullable=False),
)

# Lease tokens are counted over the whole store: were they counted for each transfer, a driver of a deleted transfer
# could write to a new one of the same id.
COUNTERS = Table(
    f"{_PREFIX}counters",
    _METADATA,
    Column("name", Text, primary_key=True),
    Column("value", BigInteger, nullable=False),
)

_SCHEMA = Table(
    f"{_PREFIX}schema",
    _METADATA,
    Column("version", Integer, primary_key=True),
    Column("applied_at", UtcTime, nullable=False),
)

# --- migrations: written out, because the tables above will change and a migration never does

Migration = Callable[[Connection], None]


def _first_tables(connection: Connection) -> None:
    blob = "BYTEA" if connection.dialect.name == "postgresql" else "BLOB"
    for statement in _FIRST_TABLES:
        connection.execute(text(statement.format(prefix=_PREFIX, blob=blob)))


_FIRST_TABLES = (
    """
    CREATE TABLE {prefix}transfers (
        id TEXT PRIMARY KEY,
        status TEXT NOT NULL,
        batches INTEGER NOT NULL,
        created_at TEXT NOT NULL,
        updated_at TEXT NOT NULL,
        record TEXT NOT NULL,
        request TEXT,
        lease_token BIGINT NOT NULL,
        lease_holder TEXT,
        lease_expires_at TEXT
    )
    """,
    """
    CREATE TABLE {prefix}batches (
        transfer_id TEXT NOT NULL REFERENCES {prefix}transfers (id) ON DELETE CASCADE,
        number INTEGER NOT NULL,
        items INTEGER NOT NULL,
        size BIGINT NOT NULL,
        first_path {blob} NOT NULL,
        last_path {blob} NOT NULL,
        status TEXT NOT NULL,
        outcomes {blob} NOT NULL,
        transferred INTEGER NOT NULL,
        unchanged INTEGER NOT NULL,
        skipped INTEGER NOT NULL,
        dead INTEGER NOT NULL,
        remaining INTEGER NOT NULL,
        bytes_transferred BIGINT NOT NULL,
        manifest {blob} NOT NULL,
        PRIMARY KEY (transfer_id, number),
        CHECK (items = transferred + unchanged + skipped + dead + remaining)
    )
    """,
    """
    CREATE TABLE {prefix}attempts (
        transfer_id TEXT NOT NULL,
        batch INTEGER NOT NULL,
        number INTEGER NOT NULL,
        submission_id TEXT NOT NULL UNIQUE,
        task_id TEXT,
        status TEXT NOT NULL,
        record TEXT NOT NULL,
        PRIMARY KEY (transfer_id, batch, number),
        FOREIGN KEY (transfer_id, batch) REFERENCES {prefix}batches (transfer_id, number) ON DELETE CASCADE
    )
    """,
    """
    CREATE UNIQUE INDEX {prefix}one_live_attempt_a_batch ON {prefix}attempts (transfer_id, batch)
        WHERE status IN ('INTENDED', 'SUBMITTED')
    """,
    """
    CREATE TABLE {prefix}item_faults (
        transfer_id TEXT NOT NULL,
        batch INTEGER NOT NULL,
        position INTEGER NOT NULL,
        path {blob} NOT NULL,
        outcome INTEGER NOT NULL,
        code TEXT NOT NULL,
        attempt INTEGER NOT NULL,
        PRIMARY KEY (transfer_id, batch, position),
        FOREIGN KEY (transfer_id, batch) REFERENCES {prefix}batches (transfer_id, number) ON DELETE CASCADE
    )
    """,
    "CREATE TABLE {prefix}results (key TEXT PRIMARY KEY, content {blob} NOT NULL)",
    "CREATE TABLE {prefix}counters (name TEXT PRIMARY KEY, value BIGINT NOT NULL)",
    "INSERT INTO {prefix}counters (name, value) VALUES ('lease', 0)",
)


def _time_of_faults(connection: Connection) -> None:
    connection.execute(text(f"ALTER TABLE {_PREFIX}item_faults ADD COLUMN at TEXT"))


MIGRATIONS: Sequence[Migration] = (_first_tables, _time_of_faults)


def migrate(connection: Connection, store: str) -> None:
    """Bring the database up to date, in the transaction that ``connection`` is in.

    Args:
        connection: in a transaction that no other process can be in at the same time, or on PostgreSQL in any.
        store: what to call the store in an error.

    Raises:
        StoreSchemaTooNewError: a newer prefect-globus has migrated it further than this one knows.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_advisory_xact_lock(_ADVISORY_LOCK)))
    connection.execute(
        text(f"CREATE TABLE IF NOT EXISTS {_SCHEMA.name} (version INTEGER PRIMARY KEY, applied_at TEXT NOT NULL)")
    )
    found = connection.scalar(select(func.coalesce(func.max(_SCHEMA.c.version), 0))) or 0
    if found > len(MIGRATIONS):
        raise StoreSchemaTooNewError(store=store, found=found, known=len(MIGRATIONS))
    for version, migration in enumerate(MIGRATIONS[found:], start=found + 1):
        migration(connection)
        connection.execute(insert(_SCHEMA).values(version=version, applied_at=datetime.now(UTC)))
