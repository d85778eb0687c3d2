"""Verify: find out what differs from what a transfer has delivered, and what a repair is to move again.

A repair is a transfer of its own, whose scan is the comparison. So it is leased, resumed and accounted for as any
other, and what is final stays final.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import TypeVar
from uuid import UUID

from prefect_globus.tasks.driver import Driver
from prefect_globus.tasks.listing import DestinationView, items_there, source_items
from prefect_globus.tasks.recalling import batches_behind, deliveries
from prefect_globus.transfers.batches import SOURCE_CHANGED, Batch, ItemFault
from prefect_globus.transfers.comparing import (
    ALTERED,
    CODES,
    DIFFERENT,
    Check,
    Finding,
    compare,
)
from prefect_globus.transfers.delivered import Delivery, merged
from prefect_globus.transfers.errors import DirectoryTooLargeError, GlobusNotFoundError
from prefect_globus.transfers.items import Item, ItemType, Outcome, scan_order
from prefect_globus.transfers.location import Location
from prefect_globus.transfers.model import Transfer
from prefect_globus.transfers.options import TransferOptions
from prefect_globus.transfers.selecting import Selection
from prefect_globus.transfers.verification import Difference

_T = TypeVar("_T")


def findings(driver: Driver, check: Check, after: str | None = None) -> Iterator[Finding]:
    """What differs, in scan order; see `compare`.

    Args:
        driver: who asks; of the transfer itself or of its repair.
        check: what is compared.
        after: begin behind this path.
    """
    verified = driver.patiently(driver.store.load_transfer, check.transfer_id)
    record = _record(driver, verified, after)
    began, options = verified.created_at.timestamp(), verified.options
    selection = Selection(options, began)
    source = None
    if check.source:
        # size and age decide on what is new only: what was delivered may have grown, and is younger since
        anything = {"min_size": None, "max_size": None, "min_age_seconds": None, "max_age_seconds": None}
        source = source_items(driver, verified, Selection(options.evolve(**anything), began), after)
    view = DestinationView(driver, verified)
    # what a filter callback would say of a new item is not known: it is not on record
    wanted = (lambda _: False) if verified.filtered else selection.takes
    return compare(check, record, view.look, source, wanted, partial(_files_in, driver, verified.destination))


def _files_in(driver: Driver, destination: Location, path: str) -> int | None:
    """How many files are in the directory ``path``; None where it, or one in it, has too many entries to be listed."""
    files = 0
    try:
        for item in items_there(driver, destination.child(path), Selection(TransferOptions(), 0)):
            if item.type is ItemType.TREE:
                return None
            files += item.type is ItemType.FILE
    except DirectoryTooLargeError:
        return None
    return files


def repairs_of(driver: Driver, transfer_id: str) -> list[Transfer]:
    """The repairs of a transfer so far, the newest first."""
    return [
        each for each in driver.patiently(lambda: list(driver.store.list_transfers())) if _repairs(each, transfer_id)
    ]


def _repairs(transfer: Transfer, transfer_id: str) -> bool:
    return transfer.repairs is not None and transfer.repairs.transfer_id == transfer_id


def _record(driver: Driver, verified: Transfer, after: str | None) -> Iterator[Delivery]:
    """What was delivered last: by the transfer, or by a repair of it. A repair that failed for an item counts not."""
    repairs = [each for each in repairs_of(driver, verified.id) if each.id != driver.transfer.id]
    records: list[Iterable[Delivery]] = [
        (each for each in _deliveries(driver, repair, after) if each.is_delivered) for repair in repairs
    ]
    return merged([*records, _deliveries(driver, verified, after)])


def _deliveries(driver: Driver, transfer: Transfer, after: str | None) -> Iterator[Delivery]:
    return deliveries(driver, transfer, after, partial(_changed_sizes, driver, transfer))


def _changed_sizes(driver: Driver, transfer: Transfer, batch: Batch) -> dict[str, int]:
    """The sizes of what had changed when it was moved: only Globus has them on record, for 30 days."""
    moved_by = {
        fault.path: fault.attempt
        for fault in batch.faults
        if fault.code == SOURCE_CHANGED and fault.outcome is Outcome.TRANSFERRED
    }
    sizes: dict[str, int] = {}
    for number in sorted(set(moved_by.values())):
        moved = _recorded(driver, transfer, driver.globus.moved_paths, batch.attempts[number - 1].task_id)
        sizes |= {path: size for path, size in moved.items() if moved_by.get(path) == number}
    return sizes


def _recorded(
    driver: Driver, transfer: Transfer, read: Callable[[UUID], Mapping[str, _T]], task_id: UUID | None
) -> dict[str, _T]:
    """What Globus has on record of the files that a task has moved, by relative path; nothing when that is gone."""
    if task_id is None:
        return {}
    try:
        return {transfer.source.relative(path): value for path, value in driver.patiently(read, task_id).items()}
    except GlobusNotFoundError:
        return {}


class RepairScan:
    """Finds what differs, which is the manifest of a repair. See `prefect_globus.tasks.scanning.Scan`."""

    def __init__(self, driver: Driver, check: Check) -> None:
        self._driver = driver
        self._check = check
        self._found: dict[str, Finding] = {}

    def items(self) -> Generator[Item]:
        """See `Scan.items`."""
        for finding in findings(self._driver, self._check, self._driver.transfer.cursor):
            if not finding.codes and not self._check.checksum:
                continue  # it cannot be seen
            self._found[finding.item.path] = finding
            yield finding.item

    def outcomes(self, items: Sequence[Item]) -> bytes:
        """See `Scan.outcomes`: what has vanished at the source cannot be moved again."""
        return bytes(_outcome(self._found[item.path]) for item in items)

    def faults(self, items: Sequence[Item]) -> Sequence[ItemFault]:
        """See `Scan.faults`: what differs is noted."""
        found = [self._found.pop(item.path) for item in items]
        return [
            ItemFault(path=each.item.path, outcome=_outcome(each), code=code, attempt=0)
            for each in found
            for code in each.codes
        ]


def _outcome(finding: Finding) -> Outcome:
    return Outcome.REMAINING if finding.can_be_moved else Outcome.SKIPPED


def differences(driver: Driver, repair: Transfer, check: Check) -> Iterator[Difference]:
    """What a repair has found, and what it could do about it; in scan order."""
    for batch in batches_behind(driver, repair, None):
        items = driver.patiently(driver.store.load_manifest, repair.id, batch.number)
        codes = defaultdict(list)
        for fault in batch.faults:
            if fault.attempt == 0 and fault.code in CODES:
                codes[fault.path].append(fault.code)
        if check.checksum:
            moved = [item.path for item, done in zip(items, batch.outcomes, strict=True) if done == Outcome.TRANSFERRED]
            if batch.is_whole and not batch.whole.files:
                moved = []
            codes |= _explained(driver, repair, batch, [path for path in moved if path not in codes])
        for item, done in zip(items, batch.outcomes, strict=True):
            if item.path in codes:
                repaired = done in (Outcome.TRANSFERRED, Outcome.UNCHANGED)
                yield Difference(path=item.path, codes=tuple(codes[item.path]), repaired=repaired)


def _explained(driver: Driver, repair: Transfer, batch: Batch, paths: Sequence[str]) -> dict[str, list[str]]:
    """Why the contents of files differed that ``batch`` has moved again, by what Globus has recorded both times."""
    if not paths:
        return {}
    now = _checksums(driver, repair, batch)
    before = _checksums_before(driver, repair, paths)
    return {path: [_explanation(before.get(path), now.get(path))] for path in paths}


def _explanation(before: str | None, now: str | None) -> str:
    if before is None or now is None:
        return DIFFERENT
    return ALTERED if before == now else SOURCE_CHANGED


def _checksums_before(driver: Driver, repair: Transfer, paths: Sequence[str]) -> dict[str, str]:
    """The checksums of files as they were delivered before ``repair``, as far as Globus knows."""
    if repair.repairs is None:
        return {}
    verified = driver.patiently(driver.store.load_transfer, repair.repairs.transfer_id)
    before = [each for each in repairs_of(driver, verified.id) if each.created_at < repair.created_at]
    found: dict[str, str] = {}
    missing = set(paths)
    for transfer in (*before, verified):
        for batch in batches_behind(driver, transfer, None):
            if missing and _overlaps(batch, paths):
                found |= {path: value for path, value in _checksums(driver, transfer, batch).items() if path in missing}
        missing -= set(found)
    return found


def _overlaps(batch: Batch, paths: Sequence[str]) -> bool:
    first, last = scan_order(batch.first_path), scan_order(batch.last_path)
    return scan_order(paths[0]) <= last and first <= scan_order(paths[-1])


def _checksums(driver: Driver, transfer: Transfer, batch: Batch) -> dict[str, str]:
    found: dict[str, str] = {}
    for attempt in batch.attempts:
        found |= _recorded(driver, transfer, driver.globus.checksums, attempt.task_id)
    return found
