"""Which checkpoints may be deleted to make room, and which are still needed: a decision without any I/O."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from pydantic import AwareDatetime

from prefect_globus.transfers.location import Location
from prefect_globus.transfers.model import Transfer
from prefect_globus.transfers.records import Record
from prefect_globus.transfers.states import FINAL_TRANSFER_STATUSES, TransferStatus

# What has not ended is never purged: whoever does not want it any more cancels it.
PURGEABLE_STATUSES = FINAL_TRANSFER_STATUSES | {TransferStatus.FAILED}

_Pair = tuple[Location, Location]


class Ended(Record):
    """A transfer that is, or would be, deleted.

    Args:
        transfer_id: which.
        status: how it ended.
        updated_at: when it last changed; aware, UTC.
    """

    transfer_id: str
    status: TransferStatus
    updated_at: AwareDatetime


class Kept(Record):
    """A transfer that is old enough to be purged, and was not.

    Args:
        transfer_id: which.
        reason: why, for people.
    """

    transfer_id: str
    reason: str


class Purged(Record):
    """What a purge has deleted, or with ``dry_run`` would delete; `str` is for people.

    Args:
        dry_run: whether nothing was deleted.
        transfers: those that were, the oldest first.
        kept: those that are old enough, too, but are needed.
    """

    dry_run: bool
    transfers: tuple[Ended, ...] = ()
    kept: tuple[Kept, ...] = ()

    @property
    def ids(self) -> list[str]:
        """The ids of ``transfers``."""
        return [each.transfer_id for each in self.transfers]

    def __str__(self) -> str:
        number = len(self.transfers)
        verb = "would be" if self.dry_run else "was" if number == 1 else "were"
        lines = [f"{number} {'transfer' if number == 1 else 'transfers'} {verb} deleted, {len(self.kept)} kept"]
        lines += [f"  {each.transfer_id}, {each.status} since {each.updated_at:%Y-%m-%d}" for each in self.transfers]
        return "\n".join([*lines, *(f"  {each.transfer_id} is kept: {each.reason}" for each in self.kept)])


class Candidate(NamedTuple):
    """A transfer that is old enough and has one of the statuses, and what still needs it, if anything does."""

    transfer: Transfer
    needed: str | None


def candidates(
    transfers: Sequence[Transfer], statuses: Collection[TransferStatus], before: datetime
) -> Iterator[Candidate]:
    """The transfers that a purge is about, the oldest first.

    Args:
        transfers: all of a store.
        statuses: which are meant.
        before: those that have not changed since then.
    """
    last = _last_complete(transfers)
    needs = {**_doubts(transfers, last), **_compared_with(transfers), **_last_deliveries(last)}
    needs |= _counts_of_runs(transfers)
    meant = [each for each in transfers if each.status in statuses and each.updated_at < before]
    going = {each.id for each in meant if each.id not in needs}
    known = {each.id for each in transfers}
    for each in sorted(meant, key=lambda transfer: transfer.updated_at):
        yield Candidate(each, needs.get(each.id) or _as_repair(each, known - going))


def _compared_with(transfers: Sequence[Transfer]) -> dict[str, str]:
    """By id: the transfers that an incremental one, which has not ended, is compared with."""
    unended = (each for each in transfers if each.status not in FINAL_TRANSFER_STATUSES)
    return {each.since: f"{each.id} is compared with it" for each in unended if each.since is not None}


def _pair(transfer: Transfer) -> _Pair:
    return transfer.source, transfer.destination


def _last_complete(transfers: Sequence[Transfer]) -> dict[_Pair, Transfer]:
    """By their two locations: the last complete transfers."""
    last: dict[_Pair, Transfer] = {}
    for each in transfers:
        if each.status is TransferStatus.COMPLETED and each.repairs is None:
            pair = _pair(each)
            if pair not in last or last[pair].created_at < each.created_at:
                last[pair] = each
    return last


def _last_deliveries(last: Mapping[_Pair, Transfer]) -> dict[str, str]:
    """By id: the transfers that an incremental one, or one with ``idempotency``, is compared with."""
    return {each.id: "it is the last complete one between its two locations" for each in last.values()}


def _doubts(transfers: Sequence[Transfer], last: Mapping[_Pair, Transfer]) -> dict[str, str]:
    """By id: the transfers that may have spoiled what the last complete one had delivered; the next must know of it.

    That one may be the first that is incremental, or has ``idempotency``.
    """
    since = {pair: each.created_at for pair, each in last.items()}
    spoilers = (each for each in transfers if each.status is not TransferStatus.COMPLETED and _pair(each) in since)
    reason = "it has not ended well since the last complete one between its two locations"
    return {each.id: reason for each in spoilers if each.updated_at >= since[_pair(each)]}


def _counts_of_runs(transfers: Sequence[Transfer]) -> dict[str, str]:
    """By id: the transfers without which a schedule would count fewer runs than it has started.

    That count is the highest run among those since the schedule's start. So that it stays right whatever the start
    is, each run is needed that is higher than all that were due later.
    """
    runs: dict[str, list[tuple[datetime, int, str]]] = defaultdict(list)
    for each in transfers:
        if each.scheduled is not None:
            runs[each.scheduled.schedule].append((each.scheduled.tick, each.scheduled.run, each.id))
    needed: dict[str, str] = {}
    for schedule, its in runs.items():
        highest = 0
        for _, run, transfer_id in sorted(its, reverse=True):
            if run > highest:
                highest = run
                needed[transfer_id] = f"the runs of {schedule} are counted by it"
    return needed


def _as_repair(transfer: Transfer, staying: Collection[str]) -> str | None:
    """What needs ``transfer`` if it repairs another: what that has delivered cannot be verified without it."""
    if transfer.repairs is None or transfer.repairs.transfer_id not in staying:
        return None
    return f"it has repaired {transfer.repairs.transfer_id}, which is kept"
