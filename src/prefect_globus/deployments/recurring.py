"""A transfer as a deployment that runs by itself: once at a moment, at a fixed interval, or by the clock."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable
from typing import Any, NamedTuple, cast
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import DeploymentScheduleCreate
from prefect.client.schemas.objects import (
    ConcurrencyLimitConfig,
    ConcurrencyLimitStrategy,
    State,
)
from prefect.client.schemas.schedules import CronSchedule
from prefect.deployments.runner import EntrypointType, RunnerDeployment  # type: ignore[attr-defined] # defined there, not listed
from prefect.exceptions import ObjectNotFound, ParameterTypeError
from prefect.schedules import Schedule
from prefect.states import Scheduled

from prefect_globus.blocks import CheckpointStore, GlobusCredentials
from prefect_globus.deployments.prefect_schedules import PrefectSchedule, from_prefect, prefect_words, to_prefect
from prefect_globus.deployments.server import prefect_server
from prefect_globus.flows.blocks import find_checkpoints, find_credentials, name_of
from prefect_globus.flows.scheduled_transfer import scheduled_transfer
from prefect_globus.transfers.errors import InvalidInputError, NoWorkPoolError, ScheduleOverError
from prefect_globus.transfers.options import TransferOptions
from prefect_globus.transfers.records import now
from prefect_globus.transfers.schedules import TransferSchedule
from prefect_globus.transfers.templates import check_templates
from prefect_globus.transfers.ticks import CatchUp, Overlap

# One run works, and another may look in and decide: a tick that is skipped is skipped by the flow, where it is counted
# as Globus Timers counts. A limit of 1 would keep the next run from canceling the one under way; and a place that is
# lost when Prefect's server restarts would stop a nightly backup for ever.
_CONCURRENCY = ConcurrencyLimitConfig(limit=2, collision_strategy=ConcurrencyLimitStrategy.ENQUEUE)

_SLUG = "transfer"
_NO_NAME = re.compile(r"[/%&><\s]*|.*[/%&><\x00-\x1f\x7f].*", re.DOTALL)


class _Plan(NamedTuple):
    """When it runs: by Prefect, and the same in the flow's own terms, where they fit."""

    prefect: PrefectSchedule
    schedule: TransferSchedule | None
    zone: str | None
    at_once: dt.datetime | None = None

    @property
    def words(self) -> str:
        return self.schedule.in_words() if self.schedule is not None else prefect_words(self.prefect)


def deploy_recurring_transfer(
    name: str,
    source: str,
    destination: str,
    schedule: TransferSchedule | PrefectSchedule | Schedule,
    *,
    work_pool: str = "globus",
    options: TransferOptions | None = None,
    transfer_id: str | None = None,
    overlap: Overlap = "skip",
    catch_up: CatchUp = "latest",
    timezone: str | None = None,
    credentials: GlobusCredentials | str | None = None,
    checkpoints: CheckpointStore | str | None = None,
    tags: Iterable[str] = (),
    description: str | None = None,
    active: bool = True,
) -> UUID:
    """Have a transfer run by a schedule: a deployment of `scheduled_transfer`, made or brought up to date.

    A schedule without a beginning begins now, and again with each call; give it a start to keep its ticks.

    Args:
        name: of the deployment, and of the schedule.
        source: as COLLECTION_UUID:/path; may be a template, as ``transfer_id``.
        destination: as COLLECTION_UUID:/path; may be a template, as ``transfer_id``.
        schedule: when; or a schedule of Prefect, such as ``Cron("0 2 * * *", timezone="Europe/Berlin")``.
        work_pool: whose workers run it.
        options: how; callbacks cannot be deployed and are left out.
        transfer_id: template of the transfers' ids, such as ``backup-{scheduled:%Y%m%d}``; a run whose id is on record
            resumes that transfer. By default the name with the time of the tick.
        overlap: what a tick does while the last run is under way: nothing (and it does not count), wait, or cancel it.
        catch_up: which of the ticks that were missed, while no worker was there, run after all.
        timezone: of the times in templates, such as ``Europe/Berlin``; by default that of Prefect's schedule, or UTC.
        credentials: a saved GlobusCredentials block or its name; the worker's environment when left out.
        checkpoints: a saved checkpoint store block or its name; the worker's default database when left out.
        tags: of the deployment and its runs, besides ``globus``.
        description: of the deployment; by default it says what is transferred and when.
        active: whether it runs yet; if not, `resume_schedule` has it run.

    Returns:
        The deployment's id.

    Raises:
        InvalidInputError: something in it would not do when it runs; nothing has changed.
        PrefectServerError: the server does not answer.
    """
    if _NO_NAME.fullmatch(name):
        raise InvalidInputError(reason=f"{name!r} cannot name a schedule: use letters and digits, without / % & > <")
    plan = _plan(schedule, timezone)
    template = transfer_id or f"{re.sub(r'[^A-Za-z0-9._-]+', '-', name)}-{{scheduled}}"
    repeats = plan.schedule is None or plan.schedule.count != 1
    check_templates(source, destination, template, plan.zone or "UTC", repeats=repeats)
    parameters: dict[str, Any] = {
        "source": source,
        "destination": destination,
        "options": options.model_dump(mode="json", exclude_unset=True) if options is not None else None,
        "transfer_id": template,
        "schedule": plan.schedule.model_dump(mode="json", exclude_none=True) if plan.schedule is not None else None,
        "overlap": overlap,
        "catch_up": catch_up,
        "timezone": plan.zone or "UTC",
        "credentials": _saved(credentials),
        "checkpoints": _saved(checkpoints),
    }
    given = {key: value for key, value in parameters.items() if value is not None}
    _check_parameters(given)
    with prefect_server() as client:
        _check_blocks(credentials, checkpoints)
        _check_work_pool(client, work_pool)
        deployment_id = _deploy(
            name,
            plan,
            given,
            work_pool=work_pool,
            tags=["globus", *tags],
            description=description or f"Transfer {source} to {destination}: {plan.words}.",
            active=active,
        )
        _begin(client, deployment_id, plan)
    return deployment_id


def make_run(client: SyncPrefectClient, deployment_id: UUID, schedule_id: UUID, tick: dt.datetime) -> None:
    """Have the run of ``tick`` begin at once, unless there is one already: the key is that of Prefect's scheduler."""
    state: State[Any] = Scheduled(scheduled_time=tick)
    key = f"scheduled {deployment_id} {schedule_id} {tick}"
    client.create_flow_run_from_deployment(deployment_id, state=state, idempotency_key=key)


def plan_runs(client: SyncPrefectClient, deployment_id: UUID) -> None:
    """Have Prefect make the next runs now: its scheduler comes by once a minute, and skips what was due before."""
    client.request("POST", "/deployments/{id}/schedule", path_params={"id": deployment_id}, json={})


def _begin(client: SyncPrefectClient, deployment_id: UUID, plan: _Plan) -> None:
    for schedule in client.read_deployment_schedules(deployment_id):
        if schedule.slug != _SLUG:  # of an older deployment of this name
            client.delete_deployment_schedule(deployment_id, schedule.id)
        elif schedule.active:
            if plan.at_once is not None:
                make_run(client, deployment_id, schedule.id, plan.at_once)
            plan_runs(client, deployment_id)


def _plan(schedule: TransferSchedule | PrefectSchedule | Schedule, zone: str | None) -> _Plan:
    moment = now()
    if isinstance(schedule, Schedule):
        if schedule.parameters or not schedule.active:
            reason = "The schedule has parameters of its own, or is inactive: say that in the call itself"
            raise InvalidInputError(reason=reason)
        made = DeploymentScheduleCreate.from_schedule(schedule).schedule
        if not isinstance(made, PrefectSchedule):
            raise InvalidInputError(reason="The schedule has no cron, no interval and no rule: when shall it run?")
        schedule = made
    if not isinstance(schedule, TransferSchedule):
        if isinstance(schedule, CronSchedule) and schedule.timezone is None:
            schedule = schedule.model_copy(update={"timezone": zone or "UTC"})
        zone = zone or schedule.timezone
        try:
            own = from_prefect(schedule, moment)
        except InvalidInputError:  # Prefect alone knows its ticks
            return _Plan(schedule, None, zone)
        schedule = own
    end = schedule.end.datetime if schedule.end is not None else None
    if (end is not None and end < moment) or (schedule.first is not None and schedule.tick_after(moment) is None):
        raise ScheduleOverError(schedule=schedule.in_words())
    begun = schedule.beginning(moment)
    at_once = begun.first if schedule.first is None else None
    return _Plan(to_prefect(begun, moment), begun, zone, at_once)


def _saved(block: GlobusCredentials | CheckpointStore | str | None) -> str | None:
    name = name_of(block)
    if block is not None and name is None:
        raise InvalidInputError(reason="A block that workers are to load must be saved, with its save(NAME)")
    return name


def _check_parameters(parameters: dict[str, Any]) -> None:
    try:
        scheduled_transfer.validate_parameters(parameters)
    except ParameterTypeError as error:
        raise InvalidInputError(reason=str(error).rstrip(".")) from None


def _check_blocks(
    credentials: GlobusCredentials | CheckpointStore | str | None, checkpoints: CheckpointStore | str | None
) -> None:
    if isinstance(credentials, str):  # those of the environment are the worker's
        find_credentials(credentials)
    if isinstance(checkpoints, str):
        find_checkpoints(checkpoints)


def _check_work_pool(client: SyncPrefectClient, work_pool: str) -> None:
    try:
        client.read_work_pool(work_pool)
    except ObjectNotFound:
        raise NoWorkPoolError(work_pool=work_pool) from None


def _deploy(
    name: str,
    plan: _Plan,
    parameters: dict[str, Any],
    *,
    work_pool: str,
    tags: list[str],
    description: str,
    active: bool,
) -> UUID:
    deployment = scheduled_transfer.to_deployment(
        name,
        parameters=parameters,
        schedules=[DeploymentScheduleCreate(schedule=plan.prefect, active=active, slug=_SLUG)],
        concurrency_limit=_CONCURRENCY,
        tags=tags,
        description=description,
        # by the module's name, which a worker finds wherever the package is installed, not by a path of this machine
        entrypoint_type=EntrypointType.MODULE_PATH,
        _sync=True,  # type: ignore[call-arg] # Prefect's own switch for its sync form
    )
    made = cast("RunnerDeployment", deployment)
    return cast("UUID", made.apply(work_pool_name=work_pool, _sync=True))  # type: ignore[call-arg] # as above
