"""Open: load or create the checkpoint, check the locations, take the lease."""

from __future__ import annotations

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.logging import get_run_logger

from prefect_globus.blocks.checkpoints import CheckpointStore
from prefect_globus.globus.service import GlobusService
from prefect_globus.tasks.driver import Driver, current_driver
from prefect_globus.transfers.errors import (
    DifferentTransferError,
    FilterCallbackMissingError,
    InvalidInputError,
    SourceNotFoundError,
    TransferCanceledError,
    TransferExistsError,
    TransferNotFoundError,
)
from prefect_globus.transfers.location import check_disjoint, check_transfer_id
from prefect_globus.transfers.model import Transfer
from prefect_globus.transfers.options import TransferOptions
from prefect_globus.transfers.states import TransferStatus


def find_or_create(
    store: CheckpointStore, globus: GlobusService, wanted: Transfer, options: TransferOptions | None
) -> Transfer:
    """The checkpoint of the transfer ``wanted``: the one on record, or a new one whose locations were checked.

    Raises:
        InvalidInputError: the id, a location or an option will not do; nothing was written.
        GlobusError: Globus refuses a location or the credentials, or cannot be reached; nothing was written.
    """
    check_transfer_id(wanted.id)
    check_disjoint(wanted.source, wanted.destination)
    try:
        return _matching(store.load_transfer(wanted.id), wanted, options)
    except TransferNotFoundError:
        pass
    checked = wanted.evolve(source_is_file=_preflight(globus, wanted))
    try:
        store.create_transfer(checked)
    except TransferExistsError:  # another process was faster
        return _matching(store.load_transfer(wanted.id), wanted, options)
    return checked


def _matching(recorded: Transfer, wanted: Transfer, options: TransferOptions | None) -> Transfer:
    """Refuse a transfer on record that is another one than ``wanted``."""
    changed = recorded.options.differences(options) if options is not None else []
    pairs = [("source", recorded.source, wanted.source), ("destination", recorded.destination, wanted.destination)]
    pairs += [(name, getattr(recorded.options, name), getattr(options, name)) for name in changed]
    for what, before, given in pairs:
        if before != given:
            raise DifferentTransferError(transfer_id=wanted.id, what=what, recorded=before, given=given)
    has_filter = options is not None and options.filter_callback is not None
    if recorded.filtered and not has_filter and not recorded.scan_complete:
        raise FilterCallbackMissingError(transfer_id=wanted.id)
    return recorded


def _preflight(globus: GlobusService, wanted: Transfer) -> bool:
    """Check both locations with Globus; return whether the source is one file."""
    for collection in dict.fromkeys((wanted.source.collection, wanted.destination.collection)):
        globus.check_collection(collection)
    source = globus.stat(wanted.source)
    if source is None:
        raise SourceNotFoundError(location=wanted.source)
    destination = globus.stat(wanted.destination)
    if destination is None:
        return not source.is_directory
    if source.is_directory and not destination.is_directory:
        reason = f"The source is a directory, but the destination {wanted.destination} is a file"
        raise InvalidInputError(reason=f"{reason}: name a directory, or a path that does not exist yet")
    if destination.is_directory and not source.is_directory:
        reason = f"The source is one file, but the destination {wanted.destination} is a directory"
        raise InvalidInputError(reason=f"{reason}: name the file, as in {wanted.destination.child(wanted.source.name)}")
    return not source.is_directory


def _redrive(driver: Driver) -> None:
    """Let what failed for good be tried again: a person who resumes a FAILED transfer has mended something.

    A batch with a live attempt is left as it is, because what that was sent may not change.
    """
    for batch in driver.store.list_batches(driver.transfer.id):
        if batch.ledger.dead and not batch.live:
            driver.save_batch(batch.redrive())


@task(name="open-transfer", task_run_name="open {transfer_id}", cache_policy=NO_CACHE)
def open_transfer(transfer_id: str) -> None:
    """Become the driver of the transfer and take up where the last one has left it.

    Raises:
        LeaseHeldError: another process drives it.
        TransferCanceledError: it was canceled, which is final.
    """
    driver = current_driver()
    wanted = driver.transfer
    driver.take_over()
    transfer = driver.transfer
    for what in ("source", "destination"):  # while this process waited, the id may have been deleted and used again
        before, now = getattr(wanted, what), getattr(transfer, what)
        if before != now:
            raise DifferentTransferError(transfer_id=transfer_id, what=what, recorded=now, given=before)
    if transfer.status is TransferStatus.CANCELED:
        ledger = driver.progress.ledger()
        raise TransferCanceledError(transfer_id=transfer_id, transferred=ledger.transferred, items=ledger.items)
    if transfer.status is TransferStatus.COMPLETED:
        return
    if transfer.status is TransferStatus.FAILED:
        _redrive(driver)
    status = TransferStatus.TRANSFERRING if transfer.batches else TransferStatus.SCANNING
    filtered = transfer.filtered or driver.options.filter_callback is not None
    driver.update(status=status, options=driver.options, filtered=filtered, error=None)
    accounted, items, _ = driver.progress.counts()
    get_run_logger().info(
        "%s -> %s: %s of %s items done so far", transfer.source, transfer.destination, accounted, items
    )
