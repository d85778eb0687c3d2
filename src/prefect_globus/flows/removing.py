"""Delete what a transfer has left over: its source, or what is extra at its destination. By default only in words."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

from prefect import flow
from prefect.exceptions import Pause, TerminationSignal

from prefect_globus.blocks import CheckpointStore, GlobusCredentials
from prefect_globus.flows.account import connected
from prefect_globus.flows.blocks import find_checkpoints, find_credentials
from prefect_globus.flows.dispatching import removed
from prefect_globus.flows.parameters import Checkpoints, Credentials, TransferId, titled
from prefect_globus.flows.prefect_state import heed, watching_prefect
from prefect_globus.flows.standing_in import cancel_removals
from prefect_globus.tasks.driver import Driver, driving
from prefect_globus.tasks.processes import is_gone
from prefect_globus.tasks.removing import verdicts_of
from prefect_globus.tasks.stopping import StopReason
from prefect_globus.transfers.errors import LeaseHeldError, NotDeliveredError, TransferStoppedError
from prefect_globus.transfers.model import Request, Transfer
from prefect_globus.transfers.removals import Plan, RemovalKind, RemovalReport, Tally, check_may_delete
from prefect_globus.transfers.states import TransferStatus

_ENDED = (TransferStatus.COMPLETED, TransferStatus.FAILED)


@flow(name="delete-source", flow_run_name="delete the source of {transfer_id}")
def delete_source(
    transfer_id: TransferId,
    dry_run: Annotated[bool, titled("Dry run")] = True,
    trust_checksums: Annotated[bool, titled("Trust checksums")] = False,
    limit: Annotated[int, titled("Most items named")] = 100,
    credentials: Credentials = None,
    checkpoints: Checkpoints = None,
) -> RemovalReport:
    """Delete at the source the files that a transfer has provably delivered; by default only say which.

    A file is deleted if the checkpoint says that it was delivered, the destination has a copy that is right by all that
    a listing shows, and it is at the source as it was scanned, by size and modification time. Everything else stays:
    what was skipped, has changed or is new, and all directories and symbolic links.

    It may be killed and called again. The option ``after: delete_source`` does the same at the end of a transfer.

    Args:
        transfer_id: Of a transfer that has delivered everything. For example: backup-20261122
        dry_run: Only say what would be deleted, and what would stay, and why.
        trust_checksums: Delete a file also without a copy at the destination now, if Globus has compared the checksums
            when it was delivered: for where somebody takes away what has arrived.
        limit: How many items of a sort the report names; it counts all of them. For example: 50
        credentials: The login to Globus: a saved block or its name. When left out the one that the transfer was begun
            with. For example: globus-credentials/lab
        checkpoints: Where the transfer is kept on record: a saved block or its name. When left out the default
            database where the run is. For example: sql-checkpoint-store/team

    Raises:
        InvalidInputError: the destination is above the source.
        TransferNotFoundError: there is no such transfer.
        NotDeliveredError: it has not ended, or something is missing; nothing was deleted.
        LeaseHeldError: it is being driven.
        RemovalFailedError: something could not be deleted.
        GlobusError: Globus refused, or was out of reach.
        TransferStoppedError: it was canceled.
    """
    plan = Plan(kind=RemovalKind.SOURCE, trusting=trust_checksums)
    return _carried_out(transfer_id, plan, credentials, checkpoints, dry_run=dry_run, limit=limit)


@flow(name="delete-extra", flow_run_name="delete what is extra at the destination of {transfer_id}")
def delete_extra(
    transfer_id: TransferId,
    dry_run: Annotated[bool, titled("Dry run")] = True,
    emptied: Annotated[bool, titled("Also what was emptied")] = False,
    limit: Annotated[int, titled("Most items named")] = 100,
    credentials: Credentials = None,
    checkpoints: Checkpoints = None,
) -> RemovalReport:
    """Delete at the destination of a transfer what was not at its source; by default only say what that is.

    Extra is what is neither in the manifest nor at the source now. Directories are deleted with all that is in them,
    but for those with a symbolic link in them. What somebody else has put at the destination is extra, too.

    It may be killed and called again. The option ``delete_destination_extra`` does the same at the end of a transfer.

    Args:
        transfer_id: Of a transfer of a directory, as a whole, that has delivered everything. For example:
            backup-20261122
        dry_run: Only say what would be deleted, and what would stay, and why.
        emptied: Delete also what is in directories that are empty at the source. They are spared otherwise, because so
            looks a disk that is not mounted.
        limit: How many items of a sort the report names; it counts all of them. For example: 50
        credentials: The login to Globus: a saved block or its name. When left out the one that the transfer was begun
            with. For example: globus-credentials/lab
        checkpoints: Where the transfer is kept on record: a saved block or its name. When left out the default
            database where the run is. For example: sql-checkpoint-store/team

    Raises:
        InvalidInputError: the transfer has left out a part of the source, or is of one file.
        TransferError: as `delete_source`.
    """
    plan = Plan(kind=RemovalKind.EXTRA, emptied=emptied)
    return _carried_out(transfer_id, plan, credentials, checkpoints, dry_run=dry_run, limit=limit)


def _carried_out(
    transfer_id: str,
    plan: Plan,
    credentials: GlobusCredentials | str | None,
    checkpoints: CheckpointStore | str | None,
    *,
    dry_run: bool,
    limit: int,
) -> RemovalReport:
    store = find_checkpoints(checkpoints)
    transfer = _delivered(store, transfer_id, plan)
    login = find_credentials(credentials if credentials is not None else transfer.credentials)
    with connected(login) as globus:
        driver = Driver(store, globus, transfer, transfer.options)
        if dry_run:
            return _foretold(driver, plan, limit)
        if not any(removal.live for removal in transfer.removals):
            store.withdraw_request(transfer_id, Request.CANCEL)  # it came too late for what it was meant for
        with driving(driver), watching_prefect(driver), _canceled_on_request(driver):
            driver.take_over()
            return removed(driver, plan, limit)


def _delivered(store: CheckpointStore, transfer_id: str, plan: Plan) -> Transfer:
    """The transfer, which has delivered everything and which nobody drives just now."""
    transfer = store.load_transfer(transfer_id)
    check_may_delete(transfer, plan.kind)
    lease = store.current_lease(transfer_id)
    if lease is not None and not is_gone(lease.holder):
        expires_at = lease.expires_at.isoformat(" ", "seconds")
        raise LeaseHeldError(transfer_id=transfer_id, holder=lease.holder.description, expires_at=expires_at)
    ledger = store.ledger(transfer_id)
    if transfer.status not in _ENDED or not transfer.scan_complete or not ledger.complete:
        missing = ledger.remaining + ledger.dead
        raise NotDeliveredError(transfer_id=transfer_id, status=transfer.status, missing=missing)
    return transfer


def _foretold(driver: Driver, plan: Plan, limit: int) -> RemovalReport:
    tally = Tally(limit)
    for verdicts in verdicts_of(driver, plan):
        for verdict in verdicts:
            tally.add(verdict)
    return tally.report(driver.transfer, plan.kind, dry_run=True)


@contextmanager
def _canceled_on_request(driver: Driver) -> Iterator[None]:
    """End what Globus is deleting if that is why the block was stopped; otherwise another call goes on with it."""
    try:
        yield
    except (TransferStoppedError, Pause, TerminationSignal, KeyboardInterrupt, SystemExit) as error:
        heed(driver, error)
        if driver.drives and driver.stop.why is StopReason.CANCELED:
            cancel_removals(driver)
        raise
