"""Open: load or create the checkpoint, check the locations, take the lease."""

from __future__ import annotations

from uuid import UUID

from prefect import runtime, task
from prefect.cache_policies import NO_CACHE

from prefect_globus.blocks.checkpoints import CheckpointStore
from prefect_globus.globus.service import GlobusService
from prefect_globus.tasks.driver import Driver, current_driver
from prefect_globus.tasks.journal import tell_begin
from prefect_globus.tasks.patience import patiently
from prefect_globus.tasks.prefect_client import has_ui
from prefect_globus.tasks.stopping import Stop
from prefect_globus.transfers.errors import (
    DifferentTransferError,
    FilterCallbackMissingError,
    GlobusError,
    GlobusTransientError,
    GlobusUnreachableError,
    InvalidInputError,
    NobodyToAskError,
    SourceNotFoundError,
    TransferCanceledError,
    TransferExistsError,
    TransferNotFoundError,
)
from prefect_globus.transfers.location import Location, check_disjoint, check_transfer_id
from prefect_globus.transfers.model import Transfer
from prefect_globus.transfers.options import TransferOptions
from prefect_globus.transfers.removals import Plan, check_may_delete
from prefect_globus.transfers.states import TransferStatus

# Somebody is there to see a transfer begin, and would rather be told than wait; seconds.
_FIRST_PATIENCE = 60.0


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
        return matching(store.load_transfer(wanted.id), wanted, options)
    except TransferNotFoundError:
        pass
    check_somebody_to_ask(wanted.options)
    new = checked(globus, wanted)
    try:
        store.create_transfer(new)
    except TransferExistsError:  # another process was faster
        return matching(store.load_transfer(wanted.id), wanted, options)
    return new


def checked(globus: GlobusService, wanted: Transfer, patience: float = 0.0) -> Transfer:
    """The transfer ``wanted``, with everything checked that can be before it is created.

    Args:
        globus: Globus Transfer.
        wanted: a new transfer.
        patience: for how long to look again while Globus is out of reach, in seconds. By default for a minute where it
            answers that it cannot tell, and not at all where nothing answers.

    Raises:
        InvalidInputError: the id, a location or an option will not do.
        GlobusError: Globus refuses a location or the credentials, or cannot be reached.
    """
    check_transfer_id(wanted.id)
    check_disjoint(wanted.source, wanted.destination)
    new = wanted.evolve(source_is_file=_looked_at(globus, wanted, patience))
    if (plan := Plan.of(new.options)) is not None:
        check_may_delete(new, plan.kind)
    return new


def check_somebody_to_ask(options: TransferOptions, *, is_approved: bool = False) -> None:
    """Refuse a transfer that wants an approval where nobody could give it.

    Raises:
        NobodyToAskError: so it is.
    """
    if options.approval and not is_approved and options.approval_callback is None and not has_ui():
        raise NobodyToAskError


def matching(recorded: Transfer, wanted: Transfer, options: TransferOptions | None) -> Transfer:
    """The transfer ``recorded`` under the id of ``wanted``, if it is the same.

    Raises:
        DifferentTransferError: it is another one.
        FilterCallbackMissingError: it can only go on with its filter callback.
    """
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


def _looked_at(globus: GlobusService, wanted: Transfer, patience: float) -> bool:
    """As `check_locations`, and again for a while; where nothing answers, a person would rather know it at once."""
    try:
        return check_locations(globus, wanted.source, wanted.destination)
    except GlobusTransientError as error:
        if isinstance(error, GlobusUnreachableError) and not patience:
            raise
        options = wanted.options.evolve(patience=max(patience, min(wanted.options.patience, _FIRST_PATIENCE)))
        return patiently(options, Stop(wanted.id), check_locations, globus, wanted.source, wanted.destination)


def check_locations(globus: GlobusService, source: Location, destination: Location) -> bool:
    """Check both locations with Globus; return whether the source is one file.

    Raises:
        InvalidInputError: the source does not exist, or the destination is there and of another kind.
        GlobusError: Globus refuses a location or the credentials, or cannot be reached.
    """
    for collection in dict.fromkeys((source.collection, destination.collection)):
        globus.check_collection(collection)
    found = globus.stat(source)
    if found is None:
        raise SourceNotFoundError(location=source)
    present = globus.stat(destination)
    if present is None:
        return not found.is_directory
    if found.is_directory and not present.is_directory:
        reason = f"The source is a directory, but the destination {destination} is a file"
        raise InvalidInputError(reason=f"{reason}: name a directory, or a path that does not exist yet")
    if present.is_directory and not found.is_directory:
        reason = f"The source is one file, but the destination {destination} is a directory"
        raise InvalidInputError(reason=f"{reason}: name the file, as in {destination.child(source.name)}")
    return not found.is_directory


def _redrive(driver: Driver) -> None:
    """Let what failed for good be tried again: a person who resumes a FAILED transfer has mended something.

    A batch with a live attempt is left as it is, because what that was sent may not change.
    """
    for batch in driver.batches():
        if batch.ledger.dead and not batch.live:
            driver.save_batch(batch.redrive(driver.load_manifest(batch.number)))


def _check_access(driver: Driver) -> None:
    """Refuse at once what a person has to mend first; in the middle of a run it is waited for.

    Raises:
        GlobusError: the login or a consent is missing, or an administrator has paused a collection.
    """
    for location in (driver.transfer.source, driver.transfer.destination):
        try:
            patiently(driver.options, driver.stop, driver.globus.stat, location)
        except GlobusError as error:
            if error.needs_person:
                raise


@task(name="open-transfer", task_run_name="open", cache_policy=NO_CACHE)
def open_transfer(transfer_id: str) -> None:
    """Become the driver of the transfer and take up where the last one has left it.

    Raises:
        LeaseHeldError: another process drives it.
        TransferCanceledError: it was canceled, which is final.
        GlobusError: a person has to mend something first; the transfer is as before.
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
    if transfer.status is not TransferStatus.CREATED and not driver.stop.draining:
        _check_access(driver)
    if transfer.status is TransferStatus.FAILED:
        _redrive(driver)
    filtered = transfer.filtered or driver.options.filter_callback is not None
    at_work = {"status": driver.status_at_work(), "error": None, "paused_by": None}
    drives = transfer.driven_by(driver.lease.holder.description, _flow_run())
    driver.update(**at_work, options=driver.options, filtered=filtered, drives=drives)
    tell_begin(driver)


def _flow_run() -> UUID | None:
    """The flow run that this process works for; None for who drives by hand."""
    run_id = runtime.flow_run.id
    return UUID(run_id) if run_id else None
