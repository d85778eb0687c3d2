"""Manifests in memory: read when they are needed, and let go while a Globus task does its work."""

from __future__ import annotations

from collections.abc import Sequence

from prefect_globus.tasks.driver import Driver
from prefect_globus.transfers.items import Item


class Manifest:
    """The items of one batch of ``driver``, as long as they are needed. For one thread."""

    def __init__(self, driver: Driver, number: int) -> None:
        self._driver = driver
        self._number = number
        self._items: Sequence[Item] | None = None

    @property
    def items(self) -> Sequence[Item]:
        """The items, in order."""
        if self._items is None:
            self._items = self._driver.load_manifest(self._number)
        return self._items

    def let_go(self) -> None:
        """Keep the items no longer; they can be read again."""
        self._items = None
