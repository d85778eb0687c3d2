"""Resume, look at, list, cancel and delete transfers, by their id."""

from __future__ import annotations

import time
from collections.abc import Iterable
from contextlib import closing

from prefect_globus.blocks import CheckpointStore, GlobusCredentials
from prefect_globus.flows.blocks import find_checkpoints, find_credentials
from prefect_globus.flows.resumable_transfer import resumable_transfer
from prefect_globus.globus.service import GlobusService
from prefect_globus.tasks.driver import Driver, driving, result_of
from prefect_globus.tasks.finishing import cancel_attempts
from prefect_globus.tasks.leases import take_lease
from prefect_globus.transfers.errors import LeaseHeldError, TransferActiveError
from prefect_globus.transfers.model import Request, Transfer
from prefect_globus.transfers.options import TransferOptions
from prefect_globus.transfers.result import TransferResult
from prefect_globus.transfers.states import FINAL_TRANSFER_STATUSES, TransferStatus

_LOOK_SECONDS = 0.5
_SHORT_SECONDS = 30.0


def resume_transfer(
    transfer_id: str,
    options: TransferOptions | None = None,
    credentials: GlobusCredentials | str | None = None,
    checkpoints: CheckpointStore | str | None = None,
) -> TransferResult:
    """Run the flow `resumable_transfer` for a transfer that is on record.

    Args:
        transfer_id: which.
        options: how, from now on; what is transferred cannot change. The recorded ones when left out.
        credentials: a block or its name; the environment's when left out.
        checkpoints: a block or its name; the default database when left out.

    Raises:
        TransferNotFoundError: there is no such transfer.
        TransferError: as `resumable_transfer`.
    """
    store = find_checkpoints(checkpoints)
    transfer = store.load_transfer(transfer_id)
    result: TransferResult = resumable_transfer(
        source=str(transfer.source),
        destination=str(transfer.destination),
        options=options,
        transfer_id=transfer_id,
        credentials=credentials,
        checkpoints=checkpoints,
    )
    return result


def transfer_status(transfer_id: str, checkpoints: CheckpointStore | str | None = None) -> TransferResult:
    """Where a transfer stands, from its checkpoint alone; raise TransferNotFoundError if there is none."""
    return result_of(find_checkpoints(checkpoints), transfer_id)


def list_transfers(
    checkpoints: CheckpointStore | str | None = None, statuses: Iterable[TransferStatus] | None = None
) -> list[TransferResult]:
    """Where all transfers stand, or those with one of ``statuses``; the newest first."""
    store = find_checkpoints(checkpoints)
    wanted = None if statuses is None else frozenset(statuses)
    return [result_of(store, each.id) for each in store.list_transfers() if wanted is None or each.status in wanted]


def cancel_transfer(
    transfer_id: str,
    credentials: GlobusCredentials | str | None = None,
    checkpoints: CheckpointStore | str | None = None,
    wait: float = 120.0,
) -> TransferResult:
    """Cancel a transfer, and what it has running at Globus; from any process, whether or not it is being driven.

    What was transferred stays at the destination. A transfer that is final already is left as it is.

    Args:
        transfer_id: which.
        credentials: a block or its name; the environment's when left out.
        checkpoints: a block or its name; the default database when left out.
        wait: how long the process that drives the transfer may take to obey, in seconds.

    Raises:
        TransferNotFoundError: there is no such transfer.
        LeaseHeldError: its driver has not obeyed yet; the request stays on record.
        GlobusError: its tasks could not be canceled; the transfer is as before, and the request stays on record.
    """
    store = find_checkpoints(checkpoints)
    transfer = store.load_transfer(transfer_id)
    if transfer.status in FINAL_TRANSFER_STATUSES:
        return result_of(store, transfer_id)
    store.post_request(transfer_id, Request.CANCEL)
    give_up = time.monotonic() + wait
    with closing(GlobusService(find_credentials(credentials).get_transfer_client)) as globus:
        while (result := _cancel_if_free(store, globus, transfer)) is None:
            if time.monotonic() > give_up:
                lease = take_lease(store, transfer_id, _SHORT_SECONDS, wait=0.0)  # raises, saying who holds it
                store.release_lease(lease)
            time.sleep(_LOOK_SECONDS)
    return result


def _cancel_if_free(store: CheckpointStore, globus: GlobusService, transfer: Transfer) -> TransferResult | None:
    """Do what the driver would do; None while there is one, who will do it."""
    driver = Driver(store, globus, transfer, transfer.options.evolve(max_lock_wait=0.0))
    with driving(driver):
        try:
            driver.take_over()
        except LeaseHeldError:
            return None
        if driver.transfer.status not in FINAL_TRANSFER_STATUSES:
            cancel_attempts(driver)
        return driver.result()


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
        live = sum(batch.live for batch in batches)
        if live and not force:
            raise TransferActiveError(transfer_id=transfer_id, tasks=live)
    finally:
        store.release_lease(lease)
    store.delete_transfer(transfer_id)
