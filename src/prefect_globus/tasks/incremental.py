"""Incremental transfers: what they are compared with, and what is gone from the source since."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from prefect_globus.tasks.driver import Driver
from prefect_globus.tasks.listing import DestinationView, items_there
from prefect_globus.tasks.logs import run_logger
from prefect_globus.tasks.recalling import (
    Reader,
    batches_behind,
    deliveries,
    manifest_behind,
    speaks_behind,
    transfers_between,
)
from prefect_globus.transfers.batches import Batch
from prefect_globus.transfers.delivered import Judge, Recall, Window, delivered_items, delivered_paths, in_runs, merged
from prefect_globus.transfers.errors import TransferNotFoundError
from prefect_globus.transfers.incremental import (
    Account,
    Claim,
    Inspection,
    accounts,
    claims_of,
    gone,
    standing,
    standing_alone,
    why_unknown,
)
from prefect_globus.transfers.items import Item
from prefect_globus.transfers.model import Transfer
from prefect_globus.transfers.selecting import Selection
from prefect_globus.transfers.states import FINAL_TRANSFER_STATUSES, TransferStatus


def choose_since(driver: Driver) -> None:
    """Put on record what the transfer is compared with, before its scan begins."""
    own = driver.transfer
    if own.since is not None or own.cursor is not None:
        return
    last = last_completed(driver, own)
    if last is not None:
        driver.update(since=last.id)
        began = f"{last.created_at:%Y-%m-%d %H:%M} UTC"
        run_logger().info("%s moves what is new or changed since %s, which was begun %s", own.id, last.id, began)
    elif driver.options.compare_with == "manifest":
        what = "There is no completed transfer yet from %s to %s: everything is new"
        run_logger().info(what, own.source, own.destination)


def last_completed(reader: Reader, own: Transfer) -> Transfer | None:
    """The newest completed transfer between the locations of ``own``; a repair is none, as it is not of everything."""
    same = reader.patiently(transfers_between, reader.store, own.source, own.destination)
    complete = (each for each in same if each.status is TransferStatus.COMPLETED and each.repairs is None)
    return next((each for each in complete if each.id != own.id), None)


def incremental_judge(driver: Driver) -> Judge:
    """What tells which items of the scan are neither new nor changed."""
    own = driver.transfer
    if driver.options.compare_with == "manifest":
        return Recall(delivered_before(driver, own))
    view = DestinationView(driver, own)
    return Inspection(recalled(driver, own), view.look, preserve_timestamp=driver.options.preserve_timestamp)


def witnesses(reader: Reader, own: Transfer) -> list[Transfer]:
    """The transfers that know what the destination of ``own`` has: `Transfer.since`, and what was at work after that.

    None of them where there is nothing to compare with: everything is new then. Where the destination is looked at,
    there are also those that may have left something half-written before.
    """
    since = _since(reader, own)
    looks = own.options.compare_with == "destination"
    if since is None and not looks:
        return []
    same = reader.patiently(transfers_between, reader.store, own.source, own.destination)
    others = [each for each in same if each.id not in (own.id, own.since)]
    return [
        *([since] if since is not None else []),
        *(
            each
            for each in others
            if (looks and each.status is not TransferStatus.COMPLETED)
            or (since is not None and _was_at_work(reader, each, since.created_at))
        ),
    ]


def _since(reader: Reader, own: Transfer) -> Transfer | None:
    if own.since is None:
        return None
    try:
        since = reader.patiently(reader.store.load_transfer, own.since)
    except TransferNotFoundError:
        since = None
    if since is None or (since.source, since.destination) != (own.source, own.destination):
        run_logger().warning("%s is compared with %s, which was deleted: what is left is new", own.id, own.since)
        return None
    return since


def _was_at_work(reader: Reader, transfer: Transfer, moment: datetime) -> bool:
    """Whether a transfer may have written something after ``moment``."""
    if transfer.updated_at >= moment:
        return True
    if transfer.status in FINAL_TRANSFER_STATUSES:
        return False
    batches = reader.patiently(lambda: list(reader.store.list_batches(transfer.id)))
    return any(batch.live or (batch.attempts and batch.attempts[-1].updated_at >= moment) for batch in batches)


def delivered_before(reader: Reader, own: Transfer) -> Iterator[Sequence[Item]]:
    """What need not be moved again while it is as it was; in runs, in scan order, with a batch of each in memory."""
    asked = witnesses(reader, own)
    if [each.id for each in asked] != [own.since]:
        return in_runs(standing(_accounts(reader, own, asked)))
    since = asked[0]
    return (standing_alone(since, batch, items) for batch, items in _manifest(reader, since, own.cursor))


def recalled(reader: Reader, own: Transfer) -> Iterator[Account]:
    """What the `witnesses` of ``own`` say, in scan order from behind its cursor on; one batch of each is in memory."""
    return _accounts(reader, own, witnesses(reader, own))


def _accounts(reader: Reader, own: Transfer, asked: Sequence[Transfer]) -> Iterator[Account]:
    since = next((each.created_at for each in asked if each.id == own.since), None)
    return accounts([(each, _claims(reader, each, own.cursor)) for each in asked], since)


def _claims(reader: Reader, transfer: Transfer, after: str | None) -> Iterator[Claim]:
    """What ``transfer`` says of its items, in scan order."""
    for batch, items in _manifest(reader, transfer, after):
        for claim in claims_of(transfer, batch, items):
            if speaks_behind(claim.delivery.item, after):
                yield claim


def _manifest(reader: Reader, transfer: Transfer, after: str | None) -> Iterator[tuple[Batch, list[Item]]]:
    """See `manifest_behind`; no more once the transfer was deleted."""
    try:
        yield from manifest_behind(reader, transfer, after)
    except TransferNotFoundError:
        run_logger().warning("%s was deleted while it was read", transfer.id)


# --- what is gone


def items_gone(reader: Reader, own: Transfer) -> Iterator[Item]:
    """What those have delivered that ``own`` was compared with, and its source does not have any more.

    In scan order, with a batch of each in memory.
    """
    batches = batches_behind(reader, own, None)
    paths = (reader.patiently(reader.store.load_paths, own.id, batch.number) for batch in batches)
    absent = _missing(reader, earlier_witnesses(reader, own), Window(paths, str, set))
    return gone(own.options, absent, manifest_items(reader, own))


def _missing(reader: Reader, before: Sequence[Transfer], present: Window[str, str]) -> Iterator[Item]:
    """What any of ``before`` has delivered, whether or not that still counts, and is not ``present``; in scan order."""
    if len(before) == 1:
        yield from _missing_of_one(reader, before[0], present)
        return
    known = merged([(each for each in deliveries(reader, one) if each.is_delivered) for one in before])
    for run in in_runs(each.item for each in known):
        there = present.beside([item.path for item in run])
        yield from (item for item in run if item.path not in there)


def _missing_of_one(reader: Reader, one: Transfer, present: Window[str, str]) -> Iterator[Item]:
    for batch in batches_behind(reader, one, None):
        paths = delivered_paths(batch, reader.patiently(reader.store.load_paths, one.id, batch.number))
        there = present.beside(paths) if paths else set[str]()
        if not there.issuperset(paths):  # most batches lack nothing, and their items need not be made
            items = reader.patiently(reader.store.load_manifest, one.id, batch.number)
            yield from (item for item in delivered_items(batch, items) if item.path not in there)


def items_extra(driver: Driver, transfer: Transfer) -> Iterator[Item]:
    """What the destination of ``transfer`` has now, and its manifest has not; in scan order.

    Symbolic links at the destination are not among it.
    """
    if transfer.source_is_file:
        return
    there = items_there(driver, transfer.destination, Selection(transfer.options, 0))
    yield from gone(transfer.options, there, manifest_items(driver, transfer))


def earlier_witnesses(reader: Reader, own: Transfer) -> list[Transfer]:
    """Those `witnesses` that were begun before ``own``."""
    return [each for each in witnesses(reader, own) if each.created_at < own.created_at]


def manifest_items(reader: Reader, transfer: Transfer) -> Iterator[Item]:
    """All items of ``transfer`` in scan order, with one batch in memory."""
    for _, items in manifest_behind(reader, transfer, None):
        yield from items


def count_gone(driver: Driver) -> int | None:
    """How many items are gone since the transfer that this one is compared with; None where nobody can tell.

    To be called when the manifest is written, before the scan is called complete.
    """
    own = driver.transfer.evolve(scan_complete=True)
    if own.since is None or driver.options.compare_with != "manifest":
        return None
    if why_unknown(own, earlier_witnesses(driver, own)) is not None:
        return None
    count = sum(1 for _ in items_gone(driver, own))
    if count:
        what = "%s items that %s had are not at the source any more: prefect-globus deletions %s lists them"
        run_logger().info(what, count, own.since, own.id)
    return count
