"""The ledger: every item of a transfer is in exactly one column, at every moment (invariant 5)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Self

from prefect_globus.transfers.records import Record


class Ledger(Record):
    """Counts of items by what became of them, and of bytes.

    ``items`` is counted on its own, from the manifest, so that `balances` can fail.
    """

    items: int = 0
    transferred: int = 0
    unchanged: int = 0
    skipped: int = 0
    dead: int = 0
    remaining: int = 0
    bytes_total: int = 0
    bytes_transferred: int = 0
    batches: int = 0
    batches_done: int = 0

    def __add__(self, other: Self) -> Self:
        return type(self)(**{name: getattr(self, name) + getattr(other, name) for name in type(self).model_fields})

    @classmethod
    def total(cls, ledgers: Iterable[Self]) -> Self:
        """The sum of many ledgers."""
        totals = dict.fromkeys(cls.model_fields, 0)
        for ledger in ledgers:
            for name in totals:
                totals[name] += getattr(ledger, name)
        return cls(**totals)

    @property
    def accounted(self) -> int:
        """Items that need no more work."""
        return self.transferred + self.unchanged + self.skipped + self.dead

    @property
    def balances(self) -> bool:
        """Whether the columns add up to the manifest."""
        return self.items == self.accounted + self.remaining

    @property
    def complete(self) -> bool:
        """Whether nothing is missing: the condition of COMPLETED."""
        return self.balances and self.remaining == 0 and self.dead == 0
