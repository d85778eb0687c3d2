"""Flow runs that died before their transfer was on record: no checkpoint knows of them, and Prefect leaves them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import (
    DeploymentFilter,
    DeploymentFilterId,
    FlowRunFilter,
    FlowRunFilterId,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.client.schemas.responses import SetStateStatus
from prefect.client.schemas.sorting import FlowRunSort
from prefect.logging import get_run_logger
from prefect.states import Scheduled

from prefect_globus.blocks import CheckpointStore
from prefect_globus.flows.blocks import find_checkpoints
from prefect_globus.flows.prefect_state import transfer_id_of
from prefect_globus.transfers.errors import TransferError, TransferNotFoundError
from prefect_globus.transfers.records import now
from prefect_globus.transfers.reports import Done, Swept

_PAGE = 100


def begin_again(deployment: str, store: CheckpointStore, after: float) -> Iterator[Swept]:
    """Schedule anew what a worker or a process has taken up, and not put on record; a worker finds it then.

    A run that has begun a task is left alone, as its transfer may be on record elsewhere. If one lives all the same, as
    it waits for its image or for Globus, it has a second process; the lease of the transfer lets one of the two do the
    work.

    Args:
        deployment: whose flow runs are looked at, as FLOW/DEPLOYMENT.
        store: where their transfers would be on record, but for those that name a store of their own.
        after: how long a flow run may take to begin, in seconds.
    """
    with get_client(sync_client=True) as client:
        for run in _begun(client, deployment):
            transfer_id = run.parameters.get("transfer_id") or transfer_id_of(run.id)
            if not _is_older(run, after) or _may_be_known(run, transfer_id, store) or _has_tasks(client, run):
                continue
            words = f"flow run {run.name} ({run.id}) of {deployment} had died before its transfer was on record"
            again: State[Any] = Scheduled(message="Begun again by resume-incomplete: nothing of it was on record")
            if client.set_flow_run_state(run.id, again).status is SetStateStatus.ACCEPT:
                yield Swept(transfer_id=transfer_id, done=Done.STARTED, words=words)


def _begun(client: SyncPrefectClient, deployment: str) -> list[FlowRun]:
    """The flow runs that somebody has taken up and not ended, the oldest first."""
    found = client.read_deployment_by_name(deployment)
    states = FlowRunFilterStateType(any_=[StateType.PENDING, StateType.RUNNING])
    return client.read_flow_runs(
        deployment_filter=DeploymentFilter(id=DeploymentFilterId(any_=[found.id])),
        flow_run_filter=FlowRunFilter(state=FlowRunFilterState(type=states)),
        sort=FlowRunSort.START_TIME_ASC,
        limit=_PAGE,
    )


def _is_older(run: FlowRun, seconds: float) -> bool:
    return run.state is not None and now() - run.state.timestamp > timedelta(seconds=seconds)


def _has_tasks(client: SyncPrefectClient, run: FlowRun) -> bool:
    chosen = FlowRunFilter(id=FlowRunFilterId(any_=[run.id]))
    return bool(client.read_task_runs(flow_run_filter=chosen, limit=1))


def _may_be_known(run: FlowRun, transfer_id: str, store: CheckpointStore) -> bool:
    name = run.parameters.get("checkpoints")
    try:
        (find_checkpoints(name) if isinstance(name, str) else store).load_transfer(transfer_id)
    except TransferNotFoundError:
        return False
    except TransferError as error:
        get_run_logger().error("Whether %s of %s is on record is not known: %s", transfer_id, run.name, error)
    return True
