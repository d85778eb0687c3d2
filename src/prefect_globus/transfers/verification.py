"""What a caller gets of a verification."""

from __future__ import annotations

from collections.abc import Mapping

from prefect_globus.transfers.location import Location
from prefect_globus.transfers.records import Record
from prefect_globus.transfers.result import TransferResult


class Difference(Record):
    """One item that is not as it was delivered.

    Args:
        path: relative to the locations.
        codes: how it differs; see `prefect_globus.transfers.comparing`.
        repaired: whether it was moved again, and is right now.
    """

    path: str
    codes: tuple[str, ...]
    repaired: bool = False


class Verification(Record):
    """How what a transfer has delivered compares with what is there.

    Args:
        id: the transfer's.
        source: where it came from.
        destination: where it should be.
        items_delivered: how many items were compared.
        items_differing: how many of these, and of the new ones at the source, differ.
        items_repaired: how many of those are right now.
        items_unseen: how many could not be compared, as they are, or are in, directories with more entries than Globus
            lists; None after a repair, which does not count them.
        codes: how often which difference was found; an item may have two.
        differences: the first of them, in scan order.
        repair: the transfer that has repaired them, if one was asked for and needed.
    """

    id: str
    source: Location
    destination: Location
    items_delivered: int
    items_differing: int
    items_repaired: int
    items_unseen: int | None = None
    codes: Mapping[str, int]
    differences: tuple[Difference, ...]
    repair: TransferResult | None = None

    @property
    def ok(self) -> bool:
        """Whether nothing differs any more."""
        return self.items_differing == self.items_repaired
