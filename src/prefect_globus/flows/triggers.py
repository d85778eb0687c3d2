"""What Prefect knows of a tick: the flow run that it has made for it, its deployment, the ticks before and after."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from uuid import UUID

import httpx
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterCreatedBy,
    FlowRunFilterDeploymentId,
    FlowRunFilterExpectedStartTime,
    FlowRunFilterState,
    FlowRunFilterStateName,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.client.schemas.sorting import FlowRunSort
from prefect.context import FlowRunContext
from prefect.exceptions import Pause, PrefectException

from prefect_globus.tasks.global_limits import GlobalLimit, LimitError
from prefect_globus.tasks.prefect_client import has_server
from prefect_globus.transfers.model import Scheduled
from prefect_globus.transfers.records import Record, now

_log = logging.getLogger(__name__)

# A place of a limit is free again after 85 s at most (measured), unless Prefect's server has forgotten its lease.
_LONGEST_TURN = 120.0
_LOOK_SECONDS = 0.5
_SOONEST_AFTER = timedelta(microseconds=1)

_UNDECIDED = (StateType.SCHEDULED, StateType.PENDING, StateType.RUNNING)
_AWAITING_RETRY = "AwaitingRetry"  # the one state of type SCHEDULED of a flow run that had begun


class Trigger(Record):
    """A flow run that is a tick of a schedule.

    Args:
        flow_run_id: of the flow run.
        tick: when it was due; also after it has waited for a place, as Prefect keeps what was expected first.
        automatic: whether Prefect has made it by its schedule, and nobody has asked for it since.
        deployment_id: whose schedule it is; None for a flow that was just called.
        deployment: the name of the deployment.
        schedule_id: which of the deployment's schedules has made it; None if none has.
    """

    flow_run_id: UUID
    tick: datetime
    automatic: bool = False
    deployment_id: UUID | None = None
    deployment: str | None = None
    schedule_id: UUID | None = None

    @property
    def schedule(self) -> str | None:
        """The name of the schedule in the checkpoints; None for a flow that was just called."""
        return None if self.deployment is None else f"scheduled-transfer/{self.deployment}"

    def run(self, tick: datetime, number: int) -> Scheduled | None:
        """What a transfer says that is this schedule's run."""
        return None if self.schedule is None else Scheduled(schedule=self.schedule, tick=tick, run=number)

    @classmethod
    def of(cls, run: FlowRun) -> Trigger:
        """The tick that is this flow run."""
        made_by = run.created_by
        with get_client(sync_client=True) as client:
            # not Prefect's runtime, which would name the deployment of a flow that has called this one
            name = client.read_deployment(run.deployment_id).name if run.deployment_id is not None else None
        return cls(
            flow_run_id=run.id,
            tick=run.expected_start_time or now(),
            automatic=run.auto_scheduled and run.run_count <= 1,  # a retry is asked for
            deployment_id=run.deployment_id,
            deployment=name,
            schedule_id=made_by.id if made_by is not None and made_by.type == "SCHEDULE" else None,
        )


def this_flow_run() -> FlowRun:
    """The flow run that this is called in."""
    context = FlowRunContext.get()
    if context is None or context.flow_run is None:
        message = "scheduled_transfer runs as a Prefect flow only"
        raise RuntimeError(message)
    return context.flow_run


def next_tick(trigger: Trigger) -> datetime | None:
    """The tick after this one for which Prefect has made a flow run, if it has."""
    later = FlowRunFilterExpectedStartTime(after_=trigger.tick + _SOONEST_AFTER)
    found = _runs(trigger, FlowRunFilter(expected_start_time=later), limit=1)
    return found[0].expected_start_time if found else None


def newest_tick(trigger: Trigger) -> datetime | None:
    """The last tick after this one that is due already, if there is one."""
    due = FlowRunFilterExpectedStartTime(after_=trigger.tick + _SOONEST_AFTER, before_=now())
    found = _runs(trigger, FlowRunFilter(expected_start_time=due), FlowRunSort.EXPECTED_START_TIME_DESC, limit=1)
    return found[0].expected_start_time if found else None


def earlier_ticks(trigger: Trigger) -> list[datetime]:
    """The ticks before this one whose flow runs have not begun yet, or may still be deciding; the earliest first."""
    earlier = FlowRunFilterExpectedStartTime(before_=trigger.tick - _SOONEST_AFTER)
    found = _runs(trigger, FlowRunFilter(expected_start_time=earlier, state=_in_states(*_UNDECIDED)))
    return [run.expected_start_time for run in found if run.expected_start_time is not None and run.run_count <= 1]


def has_due(trigger: Trigger) -> bool:
    """Whether the schedule has ticks that are due and whose flow runs have not begun yet; before or after this one."""
    before = FlowRunFilterExpectedStartTime(before_=now())
    due = FlowRunFilter(expected_start_time=before, state=_in_states(StateType.SCHEDULED))
    return any(run.run_count == 0 for run in _runs(trigger.evolve(automatic=True), due))


def _in_states(*types: StateType) -> FlowRunFilterState:
    return FlowRunFilterState(
        type=FlowRunFilterStateType(any_=list(types)), name=FlowRunFilterStateName(not_any_=[_AWAITING_RETRY])
    )


def _runs(
    trigger: Trigger,
    chosen: FlowRunFilter,
    sort: FlowRunSort = FlowRunSort.EXPECTED_START_TIME_ASC,
    limit: int | None = None,
) -> list[FlowRun]:
    """The schedule's own flow runs that are chosen; none for a flow run that somebody has asked for."""
    if trigger.deployment_id is None or not trigger.automatic:
        return []
    chosen.deployment_id = FlowRunFilterDeploymentId(any_=[trigger.deployment_id])
    chosen.created_by = FlowRunFilterCreatedBy(type_=["SCHEDULE"])
    with get_client(sync_client=True) as client:
        return client.read_flow_runs(flow_run_filter=chosen, sort=sort, limit=limit)


def name_flow_run(trigger: Trigger, name: str) -> None:
    """Give the flow run another name, which says more."""
    try:
        with get_client(sync_client=True) as client:
            client.update_flow_run(trigger.flow_run_id, name=name)
    except (httpx.HTTPError, PrefectException) as error:
        _log.debug("The flow run keeps its name: %s", error)


def end_schedule(trigger: Trigger) -> bool:
    """Make the schedule that has made this flow run inactive; return whether it was active."""
    if trigger.deployment_id is None:
        return False
    with get_client(sync_client=True) as client:
        schedules = client.read_deployment_schedules(trigger.deployment_id)
        of_this = [each for each in schedules if each.id == trigger.schedule_id]
        # one that somebody has asked for, and there is only one schedule that it can be a run of
        ended = of_this or (schedules if len(schedules) == 1 and trigger.schedule_id is None else [])
        active = [each for each in ended if each.active]
        for each in active:
            client.update_deployment_schedule(trigger.deployment_id, each.id, active=False)
    return bool(active)


def heed_suspension(trigger: Trigger) -> None:
    """Raise Prefect's Pause if the flow run was suspended: nothing else says so to a flow that waits."""
    try:
        with get_client(sync_client=True) as client:
            state = client.read_flow_run(trigger.flow_run_id).state
    except (httpx.HTTPError, PrefectException) as error:
        _log.debug("Prefect does not say whether the flow run is suspended: %s", error)
        return
    if state is not None and state.is_paused():
        raise Pause(state=state)


@contextmanager
def one_at_a_time(trigger: Trigger) -> Iterator[None]:
    """Let no other flow run of the deployment read the record and add to it while the block lasts.

    Without a Prefect server there are no schedules; with one that is out of reach it goes on, and says so.
    """
    if trigger.deployment_id is None or not has_server():
        yield
        return
    limit = GlobalLimit(f"globus-schedule-{trigger.deployment_id}", 1)
    lease = None
    try:
        try:
            lease = _wait_for_turn(limit)
        except LimitError as error:
            _log.warning("Prefect's server does not say whether another run of the schedule is deciding: %s", error)
        yield
    finally:
        if lease is not None:
            _give_back(limit, lease)
        limit.close()


def _wait_for_turn(limit: GlobalLimit) -> UUID:
    give_up = time.monotonic() + _LONGEST_TURN
    while True:
        try:
            limit.room()  # which makes the limit
            if (lease := limit.lease()) is not None:
                return lease
            if time.monotonic() > give_up:
                # nobody keeps it for seconds, and a dead process not for minutes: the server has forgotten its lease
                _log.warning("The place of a run of this schedule was never given back, and is taken to be free")
                limit.correct(0)
                give_up = time.monotonic() + _LONGEST_TURN
        except LimitError:
            if time.monotonic() > give_up:  # a server on SQLite answers 503 for a minute while its database is locked
                raise
        time.sleep(_LOOK_SECONDS)


def _give_back(limit: GlobalLimit, lease: UUID) -> None:
    try:
        limit.release(lease)
    except LimitError as error:
        _log.warning("The next run of the schedule has to wait for a minute: %s", error)
