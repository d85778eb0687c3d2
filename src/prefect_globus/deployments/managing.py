"""Schedules, once they are there: pause, resume and delete them."""

from __future__ import annotations

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import DeploymentUpdate
from prefect.client.schemas.responses import DeploymentResponse

from prefect_globus.blocks import CheckpointStore
from prefect_globus.deployments.prefect_schedules import to_prefect
from prefect_globus.deployments.recurring import make_run, plan_runs
from prefect_globus.deployments.schedule_reports import (
    ScheduleReport,
    ScheduleStatus,
    Stores,
    find,
    missed,
    report_of,
)
from prefect_globus.deployments.server import prefect_server
from prefect_globus.transfers.errors import InvalidInputError, ScheduleEndedError
from prefect_globus.transfers.records import now
from prefect_globus.transfers.templates import check_templates


def pause_schedule(name: str, checkpoints: CheckpointStore | str | None = None) -> ScheduleReport:
    """Start no more runs of a schedule until it is resumed; one that is under way goes on.

    Raises:
        NoScheduleError: there is none of this name.
        ScheduleEndedError: it has no more runs anyway.
    """
    with prefect_server() as client:
        deployment = find(client, name)
        report = report_of(deployment, Stores(checkpoints))
        _refuse_ended(report)
        for schedule in deployment.schedules:
            if schedule.active:  # a pause that is there already keeps its beginning, from which misses are counted
                client.update_deployment_schedule(deployment.id, schedule.id, active=False)
    return report.evolve(status=ScheduleStatus.PAUSED, next_run=None)


def resume_schedule(name: str, checkpoints: CheckpointStore | str | None = None) -> ScheduleReport:
    """Go on with a schedule that was paused. If it has missed runs since, one is started at once, as Timers does.

    Raises:
        NoScheduleError: there is none of this name.
        ScheduleEndedError: it has no more runs.
        InvalidInputError: its locations or id would not do, such as those that nobody has filled in yet.
    """
    with prefect_server() as client:
        deployment = find(client, name)
        report = report_of(deployment, Stores(checkpoints))
        _refuse_ended(report)
        if report.status is ScheduleStatus.PAUSED:
            _check(report)
            _resume(client, deployment, report)
        return report_of(find(client, name), Stores(checkpoints))


def delete_schedule(name: str) -> None:
    """Forget a schedule; its transfers stay on record, and one that is under way goes on.

    Raises:
        NoScheduleError: there is none of this name.
    """
    with prefect_server() as client:
        client.delete_deployment(find(client, name).id)


def _refuse_ended(report: ScheduleReport) -> None:
    if report.status is ScheduleStatus.ENDED:
        raise ScheduleEndedError(name=report.name, reason=report.reason)


def _check(report: ScheduleReport) -> None:
    repeats = report.schedule is None or report.schedule.count != 1
    check_templates(
        report.source or "", report.destination or "", report.transfer_id or "", report.timezone, repeats=repeats
    )


def _resume(client: SyncPrefectClient, deployment: DeploymentResponse, report: ScheduleReport) -> None:
    if not deployment.schedules:
        reason = f"Somebody has deleted the schedule of the deployment {report.name!r} in Prefect: make it anew"
        raise InvalidInputError(reason=reason)
    moment, schedule = now(), report.schedule
    due = missed(schedule, deployment.schedules)
    if schedule is not None and schedule.first is None:  # it begins now
        schedule = schedule.beginning(moment)
        due = schedule.first
        parameters = deployment.parameters | {"schedule": schedule.model_dump(mode="json", exclude_none=True)}
        client.update_deployment(deployment.id, DeploymentUpdate(parameters=parameters))
    if due is not None:  # first, as then another call finishes what is cut off here
        make_run(client, deployment.id, deployment.schedules[0].id, due)
    again = None if schedule is None else to_prefect(schedule, moment)
    for own in deployment.schedules:
        client.update_deployment_schedule(deployment.id, own.id, active=True, schedule=again)
    if deployment.paused:
        client.resume_deployment(deployment.id)
    plan_runs(client, deployment.id)
