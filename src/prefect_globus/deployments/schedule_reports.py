"""Schedules as they stand: when they run next, and what became of the runs before."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from enum import StrEnum
from typing import Any

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import (
    FlowFilter,
    FlowFilterName,
    FlowRunFilter,
    FlowRunFilterDeploymentId,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import TERMINAL_STATES, DeploymentSchedule, WorkPoolStatus
from prefect.client.schemas.responses import DeploymentResponse
from prefect.client.schemas.sorting import DeploymentSort, FlowRunSort
from prefect.exceptions import ObjectNotFound

from prefect_globus.blocks import CheckpointStore
from prefect_globus.deployments.prefect_schedules import last_tick, next_tick, prefect_words
from prefect_globus.deployments.server import prefect_server
from prefect_globus.flows.blocks import find_checkpoints
from prefect_globus.flows.scheduled_transfer import scheduled_transfer
from prefect_globus.transfers.errors import NoScheduleError, TransferError
from prefect_globus.transfers.model import Transfer
from prefect_globus.transfers.records import Record, now
from prefect_globus.transfers.schedules import TransferSchedule, moment_words
from prefect_globus.transfers.states import TransferStatus
from prefect_globus.transfers.ticks import Run, counted, ended

_PAGE = 200
_RAISED = "Flow run encountered an exception: "  # Prefect's words before ours
_SHOWN = ("source", "destination", "transfer_id", "overlap", "catch_up", "timezone", "credentials", "checkpoints")


class ScheduleStatus(StrEnum):
    """Where a schedule stands."""

    ACTIVE = "active"
    PAUSED = "paused"  # until it is resumed
    ENDED = "ended"  # it has no more runs


class ScheduledRun(Record):
    """A run of a schedule that was started.

    Args:
        run: its number, 1 for the first.
        tick: when it was due; aware, UTC.
        transfer_id: of the transfer that it is.
        status: of that transfer.
    """

    run: int
    tick: dt.datetime
    transfer_id: str
    status: TransferStatus


class ScheduleReport(Record):
    """A schedule, and how far it is.

    Args:
        name: of the deployment.
        status: whether it runs.
        reason: why it has ended.
        words: when it runs, for people.
        schedule: when it runs; None for what only Prefect knows, such as a cron schedule.
        next_run: the next tick, if it is active; aware, UTC.
        count: how many runs were started; None where the checkpoint store cannot be read.
        runs: those on record, the newest first, also from before the schedule was made anew; None as ``count``.
        source: template of the location.
        destination: template of the location.
        transfer_id: template of the transfers' ids.
        overlap: what a tick does while the last run is under way.
        catch_up: which missed ticks run after all.
        timezone: of the times in templates.
        credentials: name of a block.
        checkpoints: name of a block.
        work_pool: whose workers run it.
        work_pool_status: READY, NOT_READY if no worker is there, or PAUSED; None if there is no such pool.
        last_flow_run: how the flow run that ended last has ended, in words; None if none has.
        last_failed: whether it has failed.
        description: as Prefect shows it.
    """

    name: str
    status: ScheduleStatus
    reason: str | None = None
    words: str
    schedule: TransferSchedule | None = None
    next_run: dt.datetime | None = None
    count: int | None = None
    runs: tuple[ScheduledRun, ...] | None = None
    source: str | None = None
    destination: str | None = None
    transfer_id: str | None = None
    overlap: str = "skip"
    catch_up: str = "latest"
    timezone: str = "UTC"
    credentials: str | None = None
    checkpoints: str | None = None
    work_pool: str | None = None
    work_pool_status: WorkPoolStatus | None = None
    last_flow_run: str | None = None
    last_failed: bool = False
    description: str | None = None


def list_schedules(checkpoints: CheckpointStore | str | None = None) -> list[ScheduleReport]:
    """All schedules of transfers on the Prefect server, by name.

    Args:
        checkpoints: store of those that name none; the default one when left out.

    Raises:
        NoPrefectServerError: none is configured.
        PrefectServerError: the server does not answer.
    """
    stores = Stores(checkpoints)
    with prefect_server() as client:
        pools = {pool.name: pool.status for pool in client.read_work_pools(limit=_PAGE)}
        found = [(each, _last_flow_run(client, each)) for each in _deployments(client)]
    return [
        report_of(each, stores).evolve(work_pool_status=pools.get(each.work_pool_name or ""), **last)
        for each, last in found
    ]


def show_schedule(name: str, checkpoints: CheckpointStore | str | None = None) -> ScheduleReport:
    """One schedule, with what may keep it from running; see `list_schedules`.

    Raises:
        NoScheduleError: there is none of this name.
    """
    with prefect_server() as client:
        deployment = find(client, name)
        status = _work_pool_status(client, deployment.work_pool_name)
        last = _last_flow_run(client, deployment)
    return report_of(deployment, Stores(checkpoints)).evolve(work_pool_status=status, **last)


def _work_pool_status(client: SyncPrefectClient, name: str | None) -> WorkPoolStatus | None:
    """None also for a pool that is gone, which takes its name from the deployment."""
    return client.read_work_pool(name).status if name is not None else None


def _last_flow_run(client: SyncPrefectClient, deployment: DeploymentResponse) -> dict[str, Any]:
    """What has failed before its transfer began is on record here only."""
    found = client.read_flow_runs(
        flow_run_filter=FlowRunFilter(
            deployment_id=FlowRunFilterDeploymentId(any_=[deployment.id]),
            state=FlowRunFilterState(type=FlowRunFilterStateType(any_=sorted(TERMINAL_STATES))),
        ),
        sort=FlowRunSort.END_TIME_DESC,
        limit=1,
    )
    state = found[0].state if found else None
    if state is None:
        return {}
    said = (state.message or "").removeprefix(_RAISED)
    words = f"{state.name} at {moment_words(state.timestamp)}{': ' + said if said else ''}"
    return {"last_flow_run": words, "last_failed": state.is_failed() or state.is_crashed()}


class Stores:
    """The runs of each schedule, by its name; each store is read once."""

    def __init__(self, default: CheckpointStore | str | None) -> None:
        self._default = default
        self._runs: dict[str | None, dict[str, list[Transfer]] | None] = {}

    def runs(self, checkpoints: str | None, schedule: str) -> list[Transfer] | None:
        """The transfers of ``schedule``, the newest tick first; None where its store cannot be read."""
        if checkpoints not in self._runs:
            self._runs[checkpoints] = self._read(checkpoints)
        found = self._runs[checkpoints]
        return None if found is None else found.get(schedule, [])

    def _read(self, checkpoints: str | None) -> dict[str, list[Transfer]] | None:
        by_schedule: dict[str, list[Transfer]] = {}
        try:
            transfers = find_checkpoints(checkpoints or self._default).list_transfers()
        except TransferError:
            return None
        for transfer in transfers:
            if transfer.scheduled is not None:
                by_schedule.setdefault(transfer.scheduled.schedule, []).append(transfer)
        for runs in by_schedule.values():
            runs.sort(key=_tick, reverse=True)
        return by_schedule


def _tick(transfer: Transfer) -> dt.datetime:
    assert transfer.scheduled is not None  # noqa: S101 - it was chosen by that
    return transfer.scheduled.tick


def _deployments(client: SyncPrefectClient) -> Iterator[DeploymentResponse]:
    of_ours = FlowFilter(name=FlowFilterName(any_=[scheduled_transfer.name]))
    offset = 0
    while page := client.read_deployments(
        flow_filter=of_ours, limit=_PAGE, offset=offset, sort=DeploymentSort.NAME_ASC
    ):
        yield from page
        offset += len(page)


def _full_name(name: str) -> str:
    return f"{scheduled_transfer.name}/{name}"


def find(client: SyncPrefectClient, name: str) -> DeploymentResponse:
    """The deployment that is the schedule ``name``.

    Raises:
        NoScheduleError: there is none.
    """
    name = name.removeprefix(f"{scheduled_transfer.name}/")
    try:
        return client.read_deployment_by_name(_full_name(name))
    except (ObjectNotFound, ValueError):  # which Prefect raises for a name with a slash
        raise NoScheduleError(name=name) from None


def report_of(deployment: DeploymentResponse, stores: Stores) -> ScheduleReport:
    """The schedule that ``deployment`` is, as it stands."""
    parameters = deployment.parameters
    transfers = stores.runs(parameters.get("checkpoints"), _full_name(deployment.name))
    runs = [Run.of(each, driven=False) for each in transfers or []]
    schedule = _schedule(parameters, runs)
    active = not deployment.paused and any(each.active for each in deployment.schedules)
    reason = _ended(schedule, runs, deployment.schedules, active=active)
    status = ScheduleStatus.ACTIVE if active else ScheduleStatus.PAUSED
    return ScheduleReport(
        name=deployment.name,
        status=ScheduleStatus.ENDED if reason is not None else status,
        reason=reason,
        words=schedule.in_words() if schedule is not None else _words(deployment),
        schedule=schedule,
        next_run=_next_tick(schedule, deployment.schedules) if active and reason is None else None,
        count=None if transfers is None else counted(schedule, runs),
        runs=None if transfers is None else tuple(_run(each) for each in transfers),
        work_pool=deployment.work_pool_name,
        description=deployment.description,
        **{key: parameters[key] for key in _SHOWN if parameters.get(key) is not None},
    )


def _words(deployment: DeploymentResponse) -> str:
    return " and ".join(prefect_words(each.schedule) for each in deployment.schedules) or "never"


def _schedule(parameters: dict[str, Any], runs: Sequence[Run]) -> TransferSchedule | None:
    """The schedule; one that says no beginning has begun with its first run on record, as the flow sees it."""
    given = parameters.get("schedule")
    if given is None:
        return None
    schedule = TransferSchedule.model_validate(given)
    return schedule.beginning(min(_tick(run.transfer) for run in runs)) if runs else schedule


def _run(transfer: Transfer) -> ScheduledRun:
    scheduled = transfer.scheduled
    assert scheduled is not None  # noqa: S101 - it was chosen by that
    return ScheduledRun(run=scheduled.run, tick=scheduled.tick, transfer_id=transfer.id, status=transfer.status)


def _ended(
    schedule: TransferSchedule | None,
    runs: Sequence[Run],
    schedules: Sequence[DeploymentSchedule],
    *,
    active: bool,
) -> str | None:
    """Why a schedule has ended; None if it has not.

    The last run may still be due: one that is late, or one that was missed during a pause.
    """
    if schedule is None or schedule.first is None:
        return None
    reason = ended(schedule, runs, now())
    over = schedule.count is not None and counted(schedule, runs) >= schedule.count
    return reason if over or not (active or missed(schedule, schedules)) else None


def missed(schedule: TransferSchedule | None, schedules: Sequence[DeploymentSchedule]) -> dt.datetime | None:
    """The last tick since the schedule was paused, which is when it was changed last; None if there was none."""
    ticks = [_last_tick(schedule, own) for own in schedules if not own.active]
    return max((tick for tick in ticks if tick is not None), default=None)


def _last_tick(schedule: TransferSchedule | None, own: DeploymentSchedule) -> dt.datetime | None:
    since = own.updated
    assert since is not None  # noqa: S101 - the server sets it
    if schedule is None:
        return last_tick(own.schedule, since, now())
    tick = schedule.tick_at_or_before(now()) if schedule.first is not None else None
    return tick if tick is not None and tick > since else None


def _next_tick(schedule: TransferSchedule | None, schedules: Sequence[DeploymentSchedule]) -> dt.datetime | None:
    if schedule is not None and schedule.first is not None:
        return schedule.tick_after(now())
    ticks = [next_tick(own.schedule, now()) for own in schedules if own.active]
    return min((tick for tick in ticks if tick is not None), default=None)
