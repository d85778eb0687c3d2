"""Transfer, validate, and load a catalogue of what has arrived."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest
from prefect_sqlalchemy import SqlAlchemyConnector
from sqlalchemy import Engine, create_engine, text

from prefect_globus import TransferOptions, TransferStatus, transfer_and_catalogue, transfer_items
from prefect_globus.flows.catalogue import Catalogued
from prefect_globus.transfers.errors import (
    CatalogueError,
    DeliveryDiffersError,
    InvalidInputError,
    TransferNotFoundError,
)
from support.world import QUICK, World

COLUMNS = "path, location, type, size, batch, position, moved, task_id"


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, world: World) -> str:
    """A database of the user's own."""
    if request.param == "sqlite":
        return f"sqlite:///{world.folder / 'etl.db'}"
    return str(request.getfixturevalue("postgresql_url")).replace("postgresql://", "postgresql+psycopg://")


def saved(url: str) -> str:
    """The name of a block for the database."""
    name = f"etl-{uuid4().hex}"
    SqlAlchemyConnector(connection_info=url).save(name)
    return name


def run(world: World, database: str, transfer_id: str = "test", **options: Any) -> Catalogued:
    places = world.location("source"), world.location("destination", "/in")
    wanted = TransferOptions(**QUICK, preserve_timestamp=True, **options)
    result: Catalogued = transfer_and_catalogue(
        *places, database, "files", wanted, transfer_id, credentials=world.credentials, checkpoints=world.store
    )
    return result


def rows(engine: Engine, transfer_id: str) -> list[Any]:
    query = text(f"SELECT {COLUMNS} FROM files WHERE transfer_id = :id ORDER BY batch, position")
    with engine.connect() as connection:
        return list(connection.execute(query, {"id": transfer_id}))


def test_the_catalogue_has_a_row_for_each_item_that_was_delivered_and_none_twice(world: World, url: str) -> None:
    """Also when it is loaded again, and when another transfer shares the table."""
    world.write({f"{n:02}.dat": "x" * n for n in range(23)})
    (world.source / "nothing").mkdir()
    database = saved(url)
    result = run(world, database, batch_size=5)
    assert (result.transfer.status, result.rows, result.table) == (TransferStatus.COMPLETED, 24, "files")
    assert run(world, database, batch_size=5) == result
    other = run(world, database, "other", idempotency="mtime")
    assert (other.rows, other.transfer.items_unchanged) == (24, 24)

    engine = create_engine(url)
    found = rows(engine, "test")
    items = list(transfer_items("test", checkpoints=world.store))
    tasks = {task.batch: str(task.task_id) for task in result.transfer.tasks}
    expected = [
        (each.path, f"/in/{each.path}", each.type, each.size, each.batch, place % 5, True, tasks[each.batch])
        for place, each in enumerate(items)
    ]
    assert [(*row[:6], bool(row[6]), row[7]) for row in found] == expected
    assert [(row.path, bool(row.moved), row.task_id) for row in rows(engine, "other")] == [
        (each.path, False, None) for each in items
    ]
    engine.dispose()


def test_nothing_is_loaded_when_the_destination_is_not_as_it_was_delivered(world: World) -> None:
    """Somebody has taken a file away; the table is there, and empty."""
    world.write({"a": "1", "b": "2"})
    url = f"sqlite:///{world.folder / 'etl.db'}"
    database = saved(url)
    world.run(destination="/in", preserve_timestamp=True)
    (world.destination / "in" / "b").unlink()
    with pytest.raises(DeliveryDiffersError, match=r"1 of the 2 items .* the first being 'b'"):
        run(world, database)
    engine = create_engine(url)
    assert rows(engine, "test") == []
    engine.dispose()


def test_bad_input_is_refused_before_anything_moves(world: World) -> None:
    """An unknown block, a table of somebody else's, a name that is none, a database that is out of reach."""
    world.write({"a": "1"})
    url = f"sqlite:///{world.folder / 'etl.db'}"
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE files (path TEXT)"))
    engine.dispose()
    places = world.location("source"), world.location("destination")
    blocks = {"transfer_id": "test", "credentials": world.credentials, "checkpoints": world.store}
    with pytest.raises(InvalidInputError, match="no SqlAlchemyConnector block named 'nonsense'"):
        transfer_and_catalogue(*places, "nonsense", **blocks)
    with pytest.raises(InvalidInputError, match="another table files in the database: it has no column transfer_id"):
        run(world, saved(url))
    with pytest.raises(InvalidInputError, match="cannot be the name of a table"):
        transfer_and_catalogue(*places, saved(url), "files; DROP TABLE files", **blocks)
    with pytest.raises(CatalogueError, match="unable to open database file"):
        run(world, saved(f"sqlite:///{world.folder}/nowhere/etl.db"))
    with pytest.raises(TransferNotFoundError):
        world.store.load_transfer("test")
