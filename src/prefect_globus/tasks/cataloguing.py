"""A catalogue: one row in a table of a database for each item that a transfer has delivered."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect_sqlalchemy import SqlAlchemyConnector  # type: ignore[import-untyped]
from sqlalchemy import BigInteger, Boolean, Column, Engine, Integer, MetaData, String, Table, Text, inspect
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from prefect_globus.blocks.checkpoints import CheckpointStore
from prefect_globus.tasks.landing import Landing
from prefect_globus.tasks.logs import run_logger
from prefect_globus.transfers.errors import CatalogueError, InvalidInputError, first_line
from prefect_globus.transfers.landed import LandedBatch

_NAME = re.compile(r"([A-Za-z_]\w{0,62}\.)?[A-Za-z_]\w{0,62}", re.ASCII)
_UUID_LENGTH = 36
_ID_LENGTH = 128


class Catalogue:
    """A table of delivered items, made when it is not there yet.

    Args:
        database: the block that is configured for the database.
        name: of the block, for people.
        table: name of the table, or SCHEMA.TABLE.

    Raises:
        InvalidInputError: the table's name will not do, or there is another table of this name.
        CatalogueError: the database cannot be reached, or refuses to make the table.
    """

    def __init__(self, database: SqlAlchemyConnector, name: str, table: str) -> None:
        if not _NAME.fullmatch(table):
            raise InvalidInputError(reason=f"{table!r} cannot be the name of a table: use letters, digits and _")
        schema, _, alone = table.rpartition(".")
        self.table = _table(alone, schema or None)
        self._database = name
        # A copy makes the engine: a connector that holds one can no longer be copied, and Prefect copies it.
        self._engine: Engine = database.model_copy().get_engine(hide_parameters=True, pool_pre_ping=True)
        with self._errors():
            self.table.create(self._engine, checkfirst=True)
            found = {each["name"] for each in inspect(self._engine).get_columns(alone, schema or None)}
        if missing := [column.name for column in self.table.columns if column.name not in found]:
            reason = f"There is another table {table} in the database: it has no column {missing[0]}"
            raise InvalidInputError(reason=f"{reason}. Choose another name")

    def load(self, batch: LandedBatch) -> int:
        """Write the rows of ``batch`` in the place of those that it may have; return how many there are.

        Raises:
            CatalogueError: the database refuses them; it has none of them.
        """
        own = (self.table.c.transfer_id == batch.transfer_id) & (self.table.c.batch == batch.number)
        rows = list(_rows(batch))
        with self._errors(), self._engine.begin() as connection:
            connection.execute(self.table.delete().where(own))
            if rows:
                connection.execute(self.table.insert(), rows)
        return len(rows)

    def close(self) -> None:
        """Close the connections."""
        self._engine.dispose()

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except SQLAlchemyError as error:
            origin = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
            reason = first_line(origin)
            raise CatalogueError(table=self.table.fullname, database=self._database, reason=reason) from error


@task(
    name="load-catalogue",
    task_run_name="load {transfer_id}",
    cache_policy=NO_CACHE,
    retries=2,
    retry_delay_seconds=[2, 10],
)
def load_catalogue(transfer_id: str, catalogue: Catalogue, store: CheckpointStore) -> int:
    """Write what a transfer has delivered into ``catalogue``, a batch at a time; return the number of rows."""
    rows = sum(catalogue.load(batch) for batch in Landing(store, transfer_id).look())
    run_logger().info("%s rows of %s are in %s", rows, transfer_id, catalogue.table.fullname)
    return rows


def _table(name: str, schema: str | None) -> Table:
    return Table(
        name,
        MetaData(),
        # what makes a second load replace the first
        Column("transfer_id", String(_ID_LENGTH), primary_key=True),
        Column("batch", Integer, primary_key=True, autoincrement=False),
        Column("position", Integer, primary_key=True, autoincrement=False),
        Column("path", Text, nullable=False),
        Column("location", Text, nullable=False),
        Column("type", String(16), nullable=False),
        Column("size", BigInteger, nullable=False),
        Column("mtime", BigInteger, nullable=False),
        Column("moved", Boolean, nullable=False),
        Column("task_id", String(_UUID_LENGTH)),
        schema=schema,
    )


def _rows(batch: LandedBatch) -> Iterator[dict[str, Any]]:
    for position, item in enumerate(batch.items):
        yield {
            "transfer_id": batch.transfer_id,
            "batch": batch.number,
            "position": position,
            "path": _text(item.path),
            "location": _text(item.destination),
            "type": item.type.value,
            "size": item.size,
            "mtime": item.mtime,
            "moved": item.moved,
            "task_id": None if item.task_id is None else str(item.task_id),
        }


def _text(name: str) -> str:
    """``name`` as a database can hold it: where a listing had what is no text, it is escaped."""
    return name.encode("utf-8", "backslashreplace").decode("utf-8")
