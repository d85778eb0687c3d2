"""What Prefect wants of this flow run: that it goes on, ends, is suspended, or is canceled."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import copy_context
from typing import Any
from uuid import UUID

from prefect import runtime
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import FlowRun, State
from prefect.context import FlowRunContext
from prefect.exceptions import ParameterTypeError, Pause, TerminationSignal
from prefect.flows import Flow
from prefect.states import Cancelled

from prefect_globus.blocks import CheckpointStore
from prefect_globus.flows.blocks import find_checkpoints
from prefect_globus.flows.standing_in import Credentials, ask
from prefect_globus.tasks.driver import Driver
from prefect_globus.tasks.processes import is_gone
from prefect_globus.tasks.stopping import StopReason
from prefect_globus.transfers.errors import StoreError, TransferError, TransferNotFoundError, TransferStoppedError
from prefect_globus.transfers.model import Request
from prefect_globus.transfers.states import FINAL_TRANSFER_STATUSES

_log = logging.getLogger(__name__)

_LOOK_SECONDS = 5.0
_ANSWER_SECONDS = 5.0
_HOOK_SECONDS = 60.0


def heed(driver: Driver, error: BaseException) -> None:
    """Tell every thread of ``driver`` why ``error`` has interrupted the flow.

    Prefect sends the same signal to a run that is canceled and to one whose worker is shut down: its state tells. A
    cancel is put on record before anything else, so that it outlives this process.
    """
    if isinstance(error, Pause):
        driver.stop.request(StopReason.SUSPENDED)
    elif isinstance(error, TerminationSignal) and is_canceled(runtime.flow_run.id):
        _cancel(driver)
    elif not isinstance(error, TransferStoppedError):
        driver.stop.request(StopReason.FAILED if isinstance(error, Exception) else StopReason.INTERRUPTED)


@contextmanager
def watching_prefect(driver: Driver) -> Iterator[None]:
    """Have ``driver`` hear of a cancel in Prefect from the API, too, while the block lasts.

    For where no signal comes: Prefect sends it to the processes of its workers and runners only, to their main thread
    only, and not when a flow run is canceled that is part of another.
    """
    ended = threading.Event()
    context = copy_context()  # it has Prefect's settings
    look = threading.Thread(
        target=context.run, args=(_watch, driver, runtime.flow_run.id, ended), name="state in Prefect", daemon=True
    )
    look.start()
    try:
        yield
    finally:
        ended.set()


def is_canceled(run_id: str | UUID | None) -> bool:
    """Whether a flow run, or one that it is part of, is being canceled; False as long as Prefect cannot say."""
    try:
        with get_client(sync_client=True, httpx_settings={"timeout": _ANSWER_SECONDS}) as client:
            states = [run.state for run in _lineage(client, run_id)]
    except Exception as error:  # noqa: BLE001 - whatever it answers, it does not say so
        _log.debug("Prefect does not say whether flow run %s is canceled: %s", run_id, error)
        return False
    return any(state is not None and (state.is_cancelling() or state.is_cancelled()) for state in states)


def cancel_what_is_left(flow: Flow[..., Any], flow_run: FlowRun, state: State[Any]) -> None:  # noqa: ARG001 - by name
    """Hook for a canceled flow run: cancel the transfer that its process has left behind, if it could not itself.

    Prefect runs it in another process, which has nothing but the parameters of the run; or, where there is no worker,
    in the same one, and then nobody else says that the run is canceled.
    """
    try:
        parameters = parameters_of(flow, flow_run)
        transfer_id = parameters.get("transfer_id") or transfer_id_of(flow_run.id)
        if not parameters.get("dry_run"):  # it has begun nothing, though a transfer of its id may be on record by now
            cancel_if_left(parameters.get("checkpoints"), transfer_id, parameters.get("credentials"))
    except (ParameterTypeError, TransferError) as error:
        _log.warning("What flow run %s has left behind could not be canceled: %s", flow_run.id, error)
        return
    with get_client(sync_client=True) as client:
        client.set_flow_run_state(flow_run.id, Cancelled(), force=True)


def parameters_of(flow: Flow[..., Any], flow_run: FlowRun) -> dict[str, Any]:
    """Those that the flow was called with, where that can be known: Prefect's record leaves out secrets."""
    context = FlowRunContext.get()
    if context is not None and context.flow_run is not None and context.flow_run.id == flow_run.id:
        return context.parameters or {}
    return flow.validate_parameters(flow_run.parameters)


def cancel_if_left(checkpoints: CheckpointStore | str | None, transfer_id: str, credentials: Credentials) -> None:
    """Cancel a transfer that nobody drives, if it is there and not final."""
    store = find_checkpoints(checkpoints)
    try:
        transfer, lease = store.load_transfer(transfer_id), store.current_lease(transfer_id)
    except TransferNotFoundError:
        return
    driven = lease is not None and not is_gone(lease.holder)  # by another run, which nobody has canceled
    if transfer.status not in FINAL_TRANSFER_STATUSES and not driven:
        ask(store, transfer_id, Request.CANCEL, credentials, wait=_HOOK_SECONDS)


def transfer_id_of(run_id: str | UUID | None) -> str:
    """The id of a transfer that was given none: it is known from the flow run alone.

    It has the last twelve digits of the run's id, which are random in a UUID of version 4 as in one of version 7.
    """
    return f"transfer-{str(run_id)[-12:]}"


def _lineage(client: SyncPrefectClient, run_id: str | UUID | None) -> Iterator[FlowRun]:
    """The flow run, the one that it is a subflow of, and so on."""
    while run_id is not None:
        run = client.read_flow_run(UUID(str(run_id)))
        yield run
        parent = run.parent_task_run_id
        run_id = client.read_task_run(parent).flow_run_id if parent is not None else None


def _watch(driver: Driver, run_id: str | None, ended: threading.Event) -> None:
    while not ended.wait(_LOOK_SECONDS):
        if is_canceled(run_id) and not ended.is_set():
            _cancel(driver)
            return


def _cancel(driver: Driver) -> None:
    try:
        driver.cancel()
    except StoreError as error:
        _log.warning("That the transfer is canceled could not be put on record: %s", error)
