"""The resumable transfer as a Prefect flow."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

from prefect import flow, runtime
from prefect.context import FlowRunContext
from prefect.exceptions import Pause, TerminationSignal
from prefect.logging import get_run_logger
from prefect.serializers import JSONSerializer

from prefect_globus.blocks import CheckpointStore
from prefect_globus.flows.account import connected, slots_for
from prefect_globus.flows.approving import see_approved
from prefect_globus.flows.blocks import find_checkpoints, find_credentials, name_of
from prefect_globus.flows.dispatching import dispatch, removed, tell_progress
from prefect_globus.flows.events import Announcer
from prefect_globus.flows.obeying import answer_late_pause, obeyed
from prefect_globus.flows.parameters import (
    Checkpoints,
    Credentials,
    Destination,
    NewTransferId,
    Options,
    Source,
    titled,
)
from prefect_globus.flows.planning import dry_run_of
from prefect_globus.flows.prefect_state import cancel_what_is_left, heed, transfer_id_of, watching_prefect
from prefect_globus.flows.reporting import reported
from prefect_globus.flows.storytelling import storytelling
from prefect_globus.tasks.driver import Driver, driving
from prefect_globus.tasks.finishing import finish_transfer
from prefect_globus.tasks.opening import check_somebody_to_ask, find_or_create, open_transfer
from prefect_globus.tasks.standing import result_of
from prefect_globus.tasks.tracing import traced_transfer
from prefect_globus.transfers.errors import (
    EmptySourceError,
    LeaseLostError,
    NotApprovedError,
    StoreError,
    TransferFailedError,
    TransferPausedError,
    TransferRefusedError,
    TransferStoppedError,
    first_line,
)
from prefect_globus.transfers.location import Location
from prefect_globus.transfers.model import PausedBy, Transfer
from prefect_globus.transfers.naming import first_run_name
from prefect_globus.transfers.options import TransferOptions
from prefect_globus.transfers.removals import SOURCE_EMPTY, Plan, check_may_delete
from prefect_globus.transfers.result import TransferResult
from prefect_globus.transfers.states import TransferStatus

# What may interrupt the main thread: Prefect itself, a cancel or the end of its worker, Ctrl-C
_INTERRUPTS = (Pause, TerminationSignal, KeyboardInterrupt, SystemExit)


def _run_name() -> str:
    return first_run_name(runtime.flow_run.get_parameters())


@flow(name="resumable-transfer", flow_run_name=_run_name, on_cancellation=[cancel_what_is_left])
def resumable_transfer(
    source: Source,
    destination: Destination,
    options: Options = None,
    transfer_id: NewTransferId = None,
    credentials: Credentials = None,
    checkpoints: Checkpoints = None,
    dry_run: Annotated[bool, titled("Dry run")] = False,
) -> TransferResult:
    """Transfer a file or a directory tree with Globus, so that it can be killed at any moment and goes on.

    Call it again with the same id to resume: what is done is not done again, what runs is re-attached, and what was
    half submitted is submitted under the same submission id. A completed transfer returns its result.

    Args:
        source: What to transfer, a file or a directory, as COLLECTION_UUID:/path.
            For example: 6c54cade-bde5-45c1-bdea-f4bd71dba2cc:/home/share/godata
        destination: Where to, as COLLECTION_UUID:/path; what the source contains will be in this directory.
            For example: 31ce9ba0-176d-45a5-add3-f37d233ba47d:/~/backup
        options: How it is transferred. A transfer that is resumed without any keeps those that it has.
        transfer_id: Names the transfer. One that is on record under this name is resumed. When left out it is made from
            the flow run's id. For example: backup-20261122
        credentials: The login to Globus: a saved block or its name. When left out GLOBUS_CLIENT_ID and
            GLOBUS_CLIENT_SECRET where the run is, or else the login of prefect-globus login there.
            For example: globus-credentials/lab
        checkpoints: Where the transfer is kept on record: a saved block or its name. When left out the default
            database where the run is. For example: sql-checkpoint-store/team
        dry_run: Only make a plan: find out what would be moved, left alone and deleted. Nothing is submitted, and
            nothing goes on record.

    Returns:
        The counts, the Globus tasks and the status, which is COMPLETED; of a dry run a `DryRun`, which has the plan.

    Raises:
        InvalidInputError: the input will not do; nothing has moved.
        LeaseHeldError: another process drives this transfer.
        TransferFailedError: something is missing; resume it to try again.
        TransferCanceledError: it was canceled, now or before; `TransferRefusedError` where its plan was refused.
        TransferPausedError: somebody has asked for it, or a person has to mend something and has not done so within
            ``pause_limit``.
        GlobusError: Globus refused the credentials or the source, or was out of reach.
        StoreError: the checkpoint could not be read or written.
    """
    wanted = Transfer(
        id=transfer_id or transfer_id_of(runtime.flow_run.id),
        source=Location.parse(source),
        destination=Location.parse(destination),
        options=options or TransferOptions(),
        credentials=name_of(credentials),
    )
    store = find_checkpoints(checkpoints)
    login = find_credentials(credentials)
    if dry_run:
        return dry_run_of(store, login, wanted)
    with connected(login) as globus:
        transfer = find_or_create(store, globus, wanted, options)
        if transfer.status is TransferStatus.COMPLETED:
            get_run_logger().info("Transfer %s is complete already; nothing to do", transfer.id)
            return result_of(store, transfer.id)
        check_somebody_to_ask(options or transfer.options, is_approved=transfer.is_approved)
        driver = Driver(store, globus, transfer, options or transfer.options, slots_for(login, globus))
        driver.on_status = announcer = Announcer(driver)
        # the last word of the story comes when the lease is given back: nobody has to wait for that
        with (
            storytelling(driver, announcer),
            reported(driver),
            driving(driver),
            _results_in(store),
            watching_prefect(driver),
            traced_transfer(driver),
        ):
            return _drive(driver, wanted.credentials)


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


def _drive(driver: Driver, credentials: str | None) -> TransferResult:
    try:
        return _driven(driver, credentials)
    except (TransferStoppedError, *_INTERRUPTS) as error:
        raise _stopped(driver, error) from None


def _stopped(driver: Driver, error: BaseException) -> BaseException:
    """Do what ``error`` has stopped the flow for; what is to be raised then."""
    heed(driver, error)
    try:
        said = obeyed(driver)
    except (Pause, TerminationSignal) as another:  # such as a cancel while it was being paused
        return _stopped(driver, another)
    if isinstance(error, TransferStoppedError):
        return said
    get_run_logger().info("%s", said)
    return error  # Prefect knows what to make of it


def _driven(driver: Driver, credentials: str | None) -> TransferResult:
    transfer_id = driver.transfer.id
    open_transfer(transfer_id)
    if driver.transfer.status is TransferStatus.COMPLETED:  # by the process that we have waited for
        return driver.result()
    if credentials not in (None, driver.transfer.credentials):
        driver.update(credentials=credentials)
    try:
        see_approved(driver)
        dispatch(driver)
        _clear_up(driver)
        ledger = finish_transfer(transfer_id)
        answer_late_pause(driver)
    except (TransferStoppedError, LeaseLostError, TransferRefusedError, NotApprovedError):
        raise
    except TransferPausedError as error:
        driver.pause(PausedBy.FAULT, error.reason)
        raise
    except Exception as error:
        _record_failure(driver, error)
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


def _clear_up(driver: Driver) -> None:
    """Delete what the options say, once everything was delivered.

    Raises:
        EmptySourceError: that would leave nothing at the destination.
        TransferError: something could not be deleted; to be tried again by a resume.
    """
    transfer, ledger = driver.transfer, driver.ledger()
    plan = Plan.of(transfer.options)
    if plan is None or not transfer.scan_complete or not ledger.complete:
        return
    check_may_delete(transfer, plan.kind)
    report = removed(driver, plan)
    if not ledger.items and (extra := report.kept.get(SOURCE_EMPTY)):
        facts = {"source": transfer.source, "destination": transfer.destination, "items": extra}
        raise EmptySourceError(transfer_id=transfer.id, **facts)


def _record_failure(driver: Driver, error: Exception) -> None:
    try:
        driver.update(status=TransferStatus.FAILED, error=first_line(error))
        answer_late_pause(driver)
    except StoreError as also:
        # the transfer stays as it was written last, and is resumable from there
        get_run_logger().warning("That the transfer failed could not be recorded: %s", also)
