"""Resume, pause, cancel and delete transfers, by their id."""

from __future__ import annotations

from prefect_globus.blocks import CheckpointStore, GlobusCredentials
from prefect_globus.flows.blocks import find_checkpoints
from prefect_globus.flows.resumable_transfer import resumable_transfer
from prefect_globus.flows.standing_in import ask
from prefect_globus.tasks.leases import take_lease
from prefect_globus.tasks.standing import result_of
from prefect_globus.transfers.errors import LeaseHeldError, NothingToPauseError, TransferActiveError
from prefect_globus.transfers.model import Request
from prefect_globus.transfers.options import TransferOptions
from prefect_globus.transfers.result import TransferResult
from prefect_globus.transfers.states import FINAL_TRANSFER_STATUSES, TransferStatus

_SHORT_SECONDS = 30.0


def resume_transfer(
    transfer_id: str,
    options: TransferOptions | None = None,
    credentials: GlobusCredentials | str | None = None,
    checkpoints: CheckpointStore | str | None = None,
) -> TransferResult:
    """Run the flow `resumable_transfer` for a transfer that is on record, paused or not.

    Args:
        transfer_id: which.
        options: how, from now on; what is transferred cannot change. The recorded ones when left out.
        credentials: a block or its name; when left out the block that the transfer was begun with, if that was saved,
            and else the environment's.
        checkpoints: a block or its name; the default database when left out.

    Raises:
        TransferNotFoundError: there is no such transfer.
        TransferError: as `resumable_transfer`.
    """
    store = find_checkpoints(checkpoints)
    transfer = store.load_transfer(transfer_id)
    withdraw_pause(store, transfer_id)
    result: TransferResult = resumable_transfer(
        source=str(transfer.source),
        destination=str(transfer.destination),
        options=options,
        transfer_id=transfer_id,
        credentials=credentials or transfer.credentials,
        checkpoints=checkpoints,
    )
    return result


def pause_transfer(
    transfer_id: str,
    now: bool = False,
    credentials: GlobusCredentials | str | None = None,
    checkpoints: CheckpointStore | str | None = None,
    wait: float = 120.0,
) -> TransferResult:
    """Pause a transfer until it is resumed; from any process, whether or not it is being driven.

    Args:
        transfer_id: which.
        now: cancel what it has running at Globus; otherwise that finishes first.
        credentials: as for `resume_transfer`; only used to cancel what a dead driver has left running.
        checkpoints: a block or its name; the default database when left out.
        wait: how long to wait for the process that drives the transfer to obey, in seconds.

    Returns:
        Where it stands: PAUSED; as before while its driver has not obeyed yet, which it will; or COMPLETED or FAILED,
        if there was nothing left to pause.

    Raises:
        TransferNotFoundError: there is no such transfer.
        NothingToPauseError: it has ended.
        GlobusError: what it has running could not be canceled; the request stays on record.
    """
    store = find_checkpoints(checkpoints)
    status = store.load_transfer(transfer_id).status
    if status in FINAL_TRANSFER_STATUSES or status is TransferStatus.FAILED:
        raise NothingToPauseError(transfer_id=transfer_id, status=status)
    try:
        return ask(store, transfer_id, Request.PAUSE_NOW if now else Request.PAUSE, credentials, wait)
    except LeaseHeldError:
        return result_of(store, transfer_id)


def cancel_transfer(
    transfer_id: str,
    credentials: GlobusCredentials | str | None = None,
    checkpoints: CheckpointStore | str | None = None,
    wait: float = 120.0,
) -> TransferResult:
    """Cancel a transfer, and what it has running at Globus; from any process, whether or not it is being driven.

    What was transferred stays at the destination. A transfer that is final already is left as it is, but for a deletion
    that was asked for since, which is canceled.

    Args:
        transfer_id: which.
        credentials: as for `resume_transfer`; only used to cancel what a dead driver has left running.
        checkpoints: a block or its name; the default database when left out.
        wait: how long the process that drives the transfer may take to obey, in seconds.

    Raises:
        TransferNotFoundError: there is no such transfer.
        LeaseHeldError: its driver has not obeyed yet; the request stays on record.
        GlobusError: its tasks could not be canceled; the transfer is as before, and the request stays on record.
        TransferPausedError: the same, until a person has mended something.
    """
    store = find_checkpoints(checkpoints)
    is_final = store.load_transfer(transfer_id).status in FINAL_TRANSFER_STATUSES
    if is_final and not has_live_removal(store, transfer_id):
        return result_of(store, transfer_id)
    return ask(store, transfer_id, Request.CANCEL, credentials, wait)


def delete_transfer(transfer_id: str, checkpoints: CheckpointStore | str | None = None, *, force: bool = False) -> None:
    """Forget a transfer and all that is recorded of it. What it has transferred stays where it is.

    Args:
        transfer_id: which.
        checkpoints: a block or its name; the default database when left out.
        force: forget also Globus tasks that may still be running, which nobody will find again.

    Raises:
        TransferNotFoundError: there is no such transfer.
        LeaseHeldError: a process drives it; cancel it first.
        TransferActiveError: Globus tasks of it may still be running; cancel it first.
    """
    store = find_checkpoints(checkpoints)
    lease = take_lease(store, transfer_id, _SHORT_SECONDS, wait=0.0)
    try:
        batches = store.list_batches(transfer_id)
        live = sum(batch.live for batch in batches) + has_live_removal(store, transfer_id)
        if live and not force:
            raise TransferActiveError(transfer_id=transfer_id, tasks=live)
    finally:
        store.release_lease(lease)
    store.delete_transfer(transfer_id)


def has_live_removal(store: CheckpointStore, transfer_id: str) -> bool:
    """Whether something of the transfer, or for it, may still be being deleted by Globus."""
    return any(removal.live for removal in store.load_transfer(transfer_id).removals)


def withdraw_pause(store: CheckpointStore, transfer_id: str) -> None:
    """Take a request to pause off record: who resumes a transfer does not want it any more."""
    for request in Request:
        if request.pauses:
            store.withdraw_request(transfer_id, request)
