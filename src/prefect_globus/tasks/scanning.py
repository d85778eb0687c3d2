"""Scan: list the source in order and write it down batch by batch, with the cursor."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import closing
from typing import Protocol

from prefect import task
from prefect.cache_policies import NO_CACHE

from prefect_globus.tasks.driver import Driver, current_driver
from prefect_globus.tasks.incremental import choose_since, count_gone, incremental_judge
from prefect_globus.tasks.listing import source_items
from prefect_globus.tasks.logs import run_logger
from prefect_globus.tasks.recalling import earlier_deliveries
from prefect_globus.tasks.verifying import RepairScan
from prefect_globus.telemetry.spans import span
from prefect_globus.transfers.batches import ItemFault
from prefect_globus.transfers.batching import cut_batches
from prefect_globus.transfers.delivered import Judge, Recall
from prefect_globus.transfers.items import Item, ItemType
from prefect_globus.transfers.quantities import count, size
from prefect_globus.transfers.records import now
from prefect_globus.transfers.selecting import Selection
from prefect_globus.transfers.wholes import check_whole


@task(name="scan-source", task_run_name="scan", cache_policy=NO_CACHE)
def scan_source(transfer_id: str) -> int:
    """Complete the manifest, from the cursor on; return the number of items that were added.

    Raises:
        GlobusError: the source could not be listed.
        TransferStoppedError: the driver was told to stop; the cursor stays where it is.
    """
    driver = current_driver()
    added = 0
    if driver.options.mode == "incremental" and driver.transfer.repairs is None:
        choose_since(driver)
    ledger = driver.progress.ledger()
    scan: Scan = SourceScan(driver) if driver.transfer.repairs is None else RepairScan(driver, driver.transfer.repairs)
    with span("scan", {"transfer_id": transfer_id}), closing(scan.items()) as found:
        for items, outcomes in cut_batches(found, driver.options, ledger.items, ledger.bytes_total, scan.outcomes):
            driver.stop.check_new()
            driver.append(items, outcomes, scan.faults(items))
            added += len(items)
    driver.update(scan_complete=True, scanned_at=now(), deleted=count_gone(driver))
    known = driver.progress.ledger()
    facts = count(known.items, "file"), size(known.bytes_total), count(driver.transfer.batches, "batch"), f"{added:,}"
    run_logger().info("The scan is complete: %s, %s in %s; %s found by this run", *facts)
    return added


class Scan(Protocol):
    """Finds what is to be transferred."""

    def items(self) -> Generator[Item]:
        """The items, in scan order, from behind the cursor on."""

    def outcomes(self, items: Sequence[Item]) -> bytes:
        """What is known of ``items`` already, which were the next ones: one `Outcome` a byte."""

    def faults(self, items: Sequence[Item]) -> Sequence[ItemFault]:
        """What is to be noted of ``items``, which are the next batch."""


class SourceScan:
    """Finds what the source has, and leaves out what was delivered before if that is wanted."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        if driver.options.mode == "incremental":
            self._judge: Judge = incremental_judge(driver)
        else:
            earlier = earlier_deliveries(driver, driver.transfer) if driver.options.idempotency == "mtime" else ()
            self._judge = Recall(earlier)

    def items(self) -> Generator[Item]:
        """See `Scan.items`."""
        transfer, options = self._driver.transfer, self._driver.options
        selection = Selection(options, transfer.created_at.timestamp())
        return source_items(self._driver, transfer, selection, transfer.cursor)

    def outcomes(self, items: Sequence[Item]) -> bytes:
        """See `Scan.outcomes`."""
        return self._judge.outcomes(items)

    def faults(self, items: Sequence[Item]) -> Sequence[ItemFault]:
        """See `Scan.faults`: nothing, but a whole directory that the options do not allow is refused."""
        if items[0].type is ItemType.TREE:  # which is alone
            transfer, filtered = self._driver.transfer, self._driver.options.filter_callback is not None
            check_whole(transfer, items[0].path, filtered=filtered or transfer.filtered)
        return ()
