"""Which collections a state has served."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prefect_globus.emulator.collections.model import CollectionSpec

if TYPE_CHECKING:
    from collections.abc import Sequence

    from prefect_globus.emulator.database import Database


class CollectionRegistry:
    """The collections of a state file."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def all(self) -> list[CollectionSpec]:
        """Return the collections that this state has served, in their order."""
        found = self._database.rows("SELECT name, uuid, content, data_access FROM collections ORDER BY rowid")
        return [CollectionSpec(row["name"], row["uuid"], row["content"], bool(row["data_access"])) for row in found]

    def save(self, collections: Sequence[CollectionSpec]) -> None:
        """Make `collections` the ones that are served from now on."""
        with self._database.transaction() as connection:
            connection.execute("DELETE FROM collections")
            connection.executemany(
                "INSERT INTO collections (name, uuid, content, data_access) VALUES (?, ?, ?, ?)",
                [(one.name, one.uuid, one.content, one.data_access) for one in collections],
            )
