"""The resumable transfer as a Prefect flow."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager

from prefect import flow, runtime
from prefect.context import FlowRunContext
from prefect.logging import get_run_logger
from prefect.serializers import JSONSerializer

from prefect_globus.blocks import CheckpointStore, GlobusCredentials
from prefect_globus.flows.blocks import find_checkpoints, find_credentials
from prefect_globus.flows.dispatching import dispatch, tell_progress
from prefect_globus.globus.service import GlobusService
from prefect_globus.tasks.driver import Driver, driving, result_of
from prefect_globus.tasks.finishing import cancel_attempts, finish_transfer
from prefect_globus.tasks.opening import find_or_create, open_transfer
from prefect_globus.tasks.stopping import StopReason
from prefect_globus.transfers.errors import (
    StoreError,
    TransferCanceledError,
    TransferFailedError,
    TransferStoppedError,
    first_line,
)
from prefect_globus.transfers.location import Location
from prefect_globus.transfers.model import Transfer
from prefect_globus.transfers.options import TransferOptions
from prefect_globus.transfers.result import TransferResult
from prefect_globus.transfers.states import TransferStatus


def _run_name() -> str:
    parameters = runtime.flow_run.get_parameters()
    return parameters.get("transfer_id") or f"{parameters['source']} to {parameters['destination']}"


@flow(name="resumable-transfer", flow_run_name=_run_name)
def resumable_transfer(
    source: str,
    destination: str,
    options: TransferOptions | None = None,
    transfer_id: str | None = None,
    credentials: GlobusCredentials | str | None = None,
    checkpoints: CheckpointStore | str | None = None,
) -> TransferResult:
    """Transfer a file or a directory tree with Globus, so that it can be killed at any moment and goes on.

    Call it again with the same id to resume: what is done is not done again, what runs is re-attached, and what was
    half submitted is submitted under the same submission id. A completed transfer returns its result.

    Args:
        source: what to transfer, as COLLECTION_UUID:/path.
        destination: where to, as COLLECTION_UUID:/path; what the source contains will be in this directory.
        options: how; the recorded ones when a transfer is resumed without any.
        transfer_id: names the transfer, such as ``backup-20261122``; made from the flow run's id when left out.
        credentials: a block or its name; GLOBUS_CLIENT_ID and GLOBUS_CLIENT_SECRET when left out.
        checkpoints: a block or its name; the default database when left out.

    Returns:
        The counts, the Globus tasks and the status, which is COMPLETED.

    Raises:
        InvalidInputError: the input will not do; nothing has moved.
        LeaseHeldError: another process drives this transfer.
        TransferFailedError: something is missing; resume it to try again.
        TransferCanceledError: it was canceled, now or before.
        GlobusError: Globus refused the credentials or the source, or was out of reach.
        StoreError: the checkpoint could not be read or written.
    """
    wanted = Transfer(
        id=transfer_id or f"transfer-{runtime.flow_run.id}",
        source=Location.parse(source),
        destination=Location.parse(destination),
        options=options or TransferOptions(),
    )
    store = find_checkpoints(checkpoints)
    with closing(GlobusService(find_credentials(credentials).get_transfer_client)) as globus:
        transfer = find_or_create(store, globus, wanted, options)
        if transfer.status is TransferStatus.COMPLETED:
            get_run_logger().info("Transfer %s is complete already; nothing to do", transfer.id)
            return result_of(store, transfer.id)
        driver = Driver(store, globus, transfer, options or transfer.options)
        with driving(driver), _results_in(store):
            return _drive(driver)


@contextmanager
def _results_in(store: CheckpointStore) -> Iterator[None]:
    """Make the checkpoint the result storage of the tasks, so that a batch it calls done is one Prefect calls Cached.

    The store is only known in the run, from a parameter, so it cannot be an argument of the decorator; and given to
    each task it would be loaded from Prefect's server for each of them.
    """
    context = FlowRunContext.get()
    if context is None:
        message = "resumable_transfer runs as a Prefect flow only"
        raise RuntimeError(message)
    results = context.result_store.model_copy(update={"result_storage": store, "serializer": JSONSerializer()})
    with context.model_copy(update={"result_store": results}):
        yield


def _drive(driver: Driver) -> TransferResult:
    transfer_id = driver.transfer.id
    open_transfer(transfer_id)
    if driver.transfer.status is TransferStatus.COMPLETED:  # by the process that we have waited for
        return driver.result()
    try:
        dispatch(driver)
        ledger = finish_transfer(transfer_id)
    except TransferStoppedError:
        if driver.stop.reason is not StopReason.CANCELED:
            raise
        cancel_attempts(driver)
        ledger = driver.store.ledger(transfer_id)
        raise TransferCanceledError(
            transfer_id=transfer_id, transferred=ledger.transferred, items=ledger.items
        ) from None
    except Exception as error:
        _record_failure(driver, error)
        raise
    except BaseException:
        get_run_logger().info("This run is interrupted. Resume it with: prefect-globus resume %s", transfer_id)
        raise
    tell_progress(driver, done=True)
    if not ledger.complete:
        raise TransferFailedError(
            transfer_id=transfer_id,
            transferred=ledger.transferred,
            items=ledger.items,
            missing=ledger.remaining + ledger.dead,
            reason=driver.transfer.error,
        )
    return driver.result()


def _record_failure(driver: Driver, error: Exception) -> None:
    try:
        driver.update(status=TransferStatus.FAILED, error=first_line(error))
    except StoreError as also:
        # the transfer stays as it was written last, and is resumable from there
        get_run_logger().warning("That the transfer failed could not be recorded: %s", also)
