"""What an incremental transfer leaves out, by what earlier transfers know of the destination, and what is gone.

Several may know something of one path, and a later one may have failed in the middle of it. So each says from when to
when it may have written there, and only what is not contradicted since is believed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from heapq import merge
from itertools import accumulate, groupby
from operator import itemgetter
from typing import NamedTuple

from prefect_globus.transfers.batches import Batch
from prefect_globus.transfers.comparing import Look, vanished
from prefect_globus.transfers.delivered import FORGOTTEN, Beside, Delivery, deliveries_of, sound_items
from prefect_globus.transfers.items import Item, ItemType, Outcome, is_in, scan_order
from prefect_globus.transfers.model import Transfer
from prefect_globus.transfers.options import SyncLevel, TransferOptions
from prefect_globus.transfers.removals import RemovalKind
from prefect_globus.transfers.selecting import Selection

_EVER = datetime.min.replace(tzinfo=UTC)
_NEVER = datetime.max.replace(tzinfo=UTC)

# A file that Globus has left alone by one of these need not have the contents of the source.
_LAX = frozenset({SyncLevel.EXISTS, SyncLevel.SIZE, SyncLevel.MTIME})


class Claim(NamedTuple):
    """What one transfer says of one item.

    Args:
        delivery: what became of it.
        begun_at: before that the transfer has written nothing; by its driver's clock.
        wrote_until: after that it has not written to this item, or not yet; None if it never did.
    """

    delivery: Delivery
    begun_at: datetime
    wrote_until: datetime | None


class Account(NamedTuple):
    """What all transfers that are asked say of one path.

    Args:
        path: relative to the locations.
        claims: of those that have it in their manifests.
        missed_at: when the last of the others was done whose scan was complete, so that it was not there for it; what
            has come back since may have been deleted at the destination meanwhile. None when there is no such other.
        trusted_from: what was begun before that can only contradict, because not all are asked that came after it.
    """

    path: str
    claims: Sequence[Claim]
    missed_at: datetime | None = None
    trusted_from: datetime | None = None

    def stands_for(self, item: Item) -> bool:
        """Whether ``item``, as it is at the source now, was delivered, and nothing has come after that."""
        return self._last_word(lambda delivery: delivery.stands_for(item), self.missed_at) is True

    @property
    def is_doubtful(self) -> bool:
        """Whether somebody may have left half of a file there, and nobody has delivered a whole one since."""
        return self._last_word(lambda delivery: delivery.is_sound, None) is False

    def _last_word(self, is_right: Callable[[Delivery], bool], missed_at: datetime | None) -> bool | None:
        """Whether what was written last is right; None when nobody says anything.

        Where the times of two transfers overlap, the one that is wrong counts as the later.
        """
        trusted_from = self.trusted_from or _EVER
        right = [each.begun_at for each in self.claims if is_right(each.delivery) and each.begun_at >= trusted_from]
        ends = [each.wrote_until for each in self.claims if not is_right(each.delivery)]
        wrong = [end for end in (*ends, missed_at) if end is not None]
        if not right:
            return False if wrong else None
        return not wrong or max(right) > max(wrong)


def claims_of(transfer: Transfer, batch: Batch, items: Sequence[Item]) -> Iterator[Claim]:
    """What ``transfer`` says of the ``items`` of its ``batch``, in order."""
    wrote_until = _wrote_until(batch)
    forgotten = {fault.path: fault.at for fault in batch.faults if fault.code == FORGOTTEN}
    is_lax = transfer.options.sync_level in _LAX
    for delivery in deliveries_of(batch, items, {}, preserve_timestamp=transfer.options.preserve_timestamp):
        until = wrote_until
        is_whole = delivery.item.type is ItemType.TREE
        if is_lax and (delivery.outcome is Outcome.UNCHANGED or (is_whole and delivery.is_delivered)):
            delivery, until = delivery._replace(outcome=Outcome.REMAINING), None  # noqa: PLW2901 - it says nothing
        elif FORGOTTEN in delivery.codes:
            until = forgotten.get(delivery.item.path) or _NEVER
        yield Claim(delivery, transfer.created_at, until)


def standing(testimonies: Iterable[Account]) -> Iterator[Item]:
    """The items that were delivered, as they were then, and nothing has come after that; in scan order."""
    for account in testimonies:
        yield from dict.fromkeys(
            claim.delivery.item for claim in account.claims if account.stands_for(claim.delivery.item)
        )


def standing_alone(transfer: Transfer, batch: Batch, items: Sequence[Item]) -> Sequence[Item]:
    """The same of one batch, where nobody else is asked than its ``transfer``."""
    is_lax = transfer.options.sync_level in _LAX
    return sound_items(batch, items, {Outcome.TRANSFERRED} if is_lax else {Outcome.TRANSFERRED, Outcome.UNCHANGED})


def _wrote_until(batch: Batch) -> datetime | None:
    if batch.live:
        return _NEVER
    return max((attempt.updated_at for attempt in batch.attempts), default=None)


def accounts(
    testimonies: Sequence[tuple[Transfer, Iterable[Claim]]], trusted_from: datetime | None = None
) -> Iterator[Account]:
    """What many transfers say, in one scan order.

    What is said of a directory that was transferred as a whole is said of all that is in it.

    Args:
        testimonies: each transfer with its claims, in scan order.
        trusted_from: see `Account`.
    """
    # a repair has looked at what was delivered only, and an unfinished scan not at everything
    saw_all = {
        number: transfer.updated_at
        for number, (transfer, _) in enumerate(testimonies)
        if transfer.scan_complete and transfer.repairs is None
    }
    keyed = [_keyed(claims, number) for number, (_, claims) in enumerate(testimonies)]
    wholes: list[Claim] = []
    for _, same in groupby(merge(*keyed), key=itemgetter(0)):
        heard = {number: claim for _, number, claim in same}
        missed_at = max((moment for number, moment in saw_all.items() if number not in heard), default=None)
        claims = tuple(heard.values())
        path = claims[0].delivery.path
        wholes = [claim for claim in wholes if is_in(path, claim.delivery.path)]
        yield Account(path, (*claims, *wholes), missed_at, trusted_from)
        wholes += [claim for claim in claims if claim.delivery.item.type is ItemType.TREE]


def _keyed(claims: Iterable[Claim], number: int) -> Iterator[tuple[str, int, Claim]]:
    for claim in claims:
        yield scan_order(claim.delivery.item.path), number, claim


class Inspection:
    """Tells which items of a scan the destination has, by looking at it; a `Judge`.

    Args:
        record: what transfers say, in scan order: what they may have left half-written is not trusted.
        look: sees the destination.
        preserve_timestamp: whether copies have the modification times of the source.
    """

    def __init__(self, record: Iterable[Account], look: Look, *, preserve_timestamp: bool) -> None:
        self._wholes: list[Account] = []
        self._record = Beside(self._noticing(record))
        self._look = look
        self._preserve = preserve_timestamp

    def outcomes(self, items: Sequence[Item]) -> bytes:
        """See `Judge.outcomes`."""
        return bytes(Outcome.UNCHANGED if self._sees(item) else Outcome.REMAINING for item in items)

    def _sees(self, item: Item) -> bool:
        account = self._record.at(item.path)
        if account is None:
            account = next((each for each in reversed(self._wholes) if is_in(item.path, each.path)), None)
        if account is not None and account.is_doubtful:
            return False
        return looks_the_same(item, self._look(item.path), preserve_timestamp=self._preserve)

    def _noticing(self, record: Iterable[Account]) -> Iterator[Account]:
        for account in record:
            own = (claim.delivery.item for claim in account.claims if claim.delivery.path == account.path)
            if any(item.type is ItemType.TREE for item in own):
                self._wholes.append(account)
            yield account


def looks_the_same(item: Item, found: Item | None, *, preserve_timestamp: bool) -> bool:
    """Whether ``found``, which is at the destination, may be taken for a copy of ``item`` as it is now.

    That is a file of the same size that is not older, or with ``preserve_timestamp`` as old to the second. A time that
    a listing does not tell is 0.
    """
    if found is None or found.type is not item.type:
        return False
    if item.type is not ItemType.FILE:
        return item.type is ItemType.DIRECTORY
    if found.size != item.size or not found.mtime or not item.mtime:
        return False
    return found.mtime == item.mtime if preserve_timestamp else found.mtime >= item.mtime


# --- what is gone


_BY_STATE = ("min_size", "max_size", "min_age_seconds", "max_age_seconds")


def why_unknown(transfer: Transfer, before: Sequence[Transfer] = ()) -> str | None:
    """Why nobody can tell what is gone from the source of ``transfer``; None when one can.

    What is not in its manifest may have been left out rather than be gone. Patterns say by the path alone whether that
    is so; what else leaves files out goes by what they are now, which nobody has written down.

    Args:
        transfer: whose manifest says what there is.
        before: whose manifests say what there was.
    """
    options = transfer.options
    filters = " and ".join(name for name in _BY_STATE if getattr(options, name) is not None)
    moved = [each.id for each in before if any(removal.kind is RemovalKind.SOURCE for removal in each.removals)]
    followed = any(each.options.symlinks == "follow" for each in before)
    looks = options.compare_with == "destination"
    reasons = {
        f"{transfer.since}, which it was compared with, was deleted": bool(transfer.since) and not (before or looks),
        "it is a repair, which has only looked at what was delivered": transfer.repairs is not None,
        "its scan is not complete: resume it": not transfer.scan_complete,
        "it had a filter callback, and what that has left out is not on record": transfer.filtered,
        f"{filters} may have left out what is still there": bool(filters),
        f"{', '.join(moved)} has itself deleted at the source what it had delivered": bool(moved),
        "it has ignored symbolic links that were followed before": followed and options.symlinks == "ignore",
    }
    return next((reason for reason, holds in reasons.items() if holds), None)


def gone(options: TransferOptions, before: Iterable[Item], now: Iterable[Item]) -> Iterator[Item]:
    """Those items of ``before`` that are not among those of ``now``; in scan order, as both are.

    What the patterns of ``options`` leave out is not gone. While there are patterns nor is a directory, because what it
    may hold can be among that.

    Args:
        options: of the transfer whose manifest ``now`` is.
        before: what there was, or what the destination has.
        now: what the source has.
    """
    selection = Selection(options, 0)
    has_patterns = bool(options.include or options.exclude)
    for item in vanished(before, now):
        if not (has_patterns and item.type in (ItemType.DIRECTORY, ItemType.TREE)) and _is_selected(item, selection):
            yield item


def _is_selected(item: Item, selection: Selection) -> bool:
    folders = accumulate(item.path.split("/")[:-1], "{}/{}".format)
    return all(map(selection.enters, folders)) and selection.takes(item)
