"""Scan: list the source in order and write it down batch by batch, with the cursor."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.logging import get_run_logger

from prefect_globus.globus.scan import Walk
from prefect_globus.globus.service import Entry
from prefect_globus.tasks.driver import Driver, current_driver
from prefect_globus.transfers.batching import cut_batches
from prefect_globus.transfers.errors import GlobusNotFoundError, GlobusRefusedPathError, SourceNotFoundError
from prefect_globus.transfers.items import Item
from prefect_globus.transfers.options import Selection

# Codes that speak of the path alone: not of the whole collection, and not of a directory that is too large to list.
_SKIPPABLE = ("PermissionDenied", "ClientError.NotFound", "NotDirectory")


@task(name="scan-source", task_run_name="scan {transfer_id}", cache_policy=NO_CACHE)
def scan_source(transfer_id: str) -> int:
    """Complete the manifest, from the cursor on; return the number of items that were added.

    Raises:
        GlobusError: the source could not be listed.
        TransferStoppedError: the driver was told to stop; the cursor stays where it is.
    """
    driver = current_driver()
    added = 0
    ledger = driver.progress.ledger()
    for items in cut_batches(_items(driver), driver.options, ledger.items, ledger.bytes_total):
        driver.stop.check()
        driver.append(items)
        added += len(items)
    driver.update(scan_complete=True)
    get_run_logger().info("The scan of %s is complete: %s new items in %s", transfer_id, added, driver.transfer.source)
    return added


def _items(driver: Driver) -> Iterator[Item]:
    transfer = driver.transfer
    selection = Selection(driver.options, transfer.created_at.timestamp())
    if not transfer.source_is_file:
        follow = driver.options.symlinks == "follow"
        root = transfer.source.path
        yield from Walk(partial(_listing, driver), selection, root, follow, transfer.cursor).items()
    elif transfer.cursor is None:
        entry = driver.patiently(driver.globus.stat, transfer.source)
        if entry is None:
            raise SourceNotFoundError(location=transfer.source)
        item = Item(transfer.source.name, entry.size, entry.mtime, entry.type)
        if selection.takes(item):
            yield item._replace(path="")


def _listing(driver: Driver, path: str) -> Sequence[Entry] | None:
    """A directory's entries; None when it is to be skipped because it cannot be read.

    Without skip_source_errors that ends the scan: the cursor stays before the directory, so that a resume lists it
    when it is mended.
    """
    try:
        return driver.patiently(driver.globus.list_directory, driver.transfer.source.child(path))
    except (GlobusNotFoundError, GlobusRefusedPathError) as error:
        if not path or not driver.options.skip_source_errors or not error.code.endswith(_SKIPPABLE):
            raise
        get_run_logger().warning("%s It is skipped.", error)
        return None
