"""From Globus Timers to deployments: the same transfers at the same times, by this package."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient
from prefect.exceptions import ObjectNotFound

from prefect_globus.blocks import CheckpointStore, GlobusCredentials
from prefect_globus.deployments.recurring import deploy_recurring_transfer
from prefect_globus.deployments.server import prefect_server
from prefect_globus.flows.scheduled_transfer import scheduled_transfer
from prefect_globus.flows.timers import pause_timer, show_timer
from prefect_globus.transfers.errors import (
    DeploymentExistsError,
    TimerNotImportableError,
    TimerNotPausedError,
    TransferError,
    first_line,
)
from prefect_globus.transfers.location import Location
from prefect_globus.transfers.records import Record, now
from prefect_globus.transfers.schedules import TransferSchedule
from prefect_globus.transfers.timers import Timer, as_id, deployment_name, importable


class ImportedTimer(Record):
    """A Globus Timer that was imported.

    Args:
        timer: as it is now.
        deployments: the names of the schedules that do the same, each with the id of its deployment.
        schedule: when they run.
        active: whether they do; those of a Timer that was inactive are paused.
    """

    timer: Timer
    deployments: dict[str, UUID]
    schedule: TransferSchedule
    active: bool


def import_timer(
    timer_id: UUID | str,
    *,
    name: str | None = None,
    work_pool: str = "globus",
    pause: bool = False,
    transfer_id: str | None = None,
    credentials: GlobusCredentials | str | None = None,
    checkpoints: CheckpointStore | str | None = None,
) -> ImportedTimer:
    """Have Prefect do what a Globus Timer does: a deployment with its locations, its options and the ticks to come.

    A Timer with several items becomes a deployment for each, named NAME-1, NAME-2 and so on. An inactive Timer becomes
    paused deployments. Nothing else is like it was: runs that the Timer has made are not runs of the deployment, so an
    end by count is at the number that was left.

    Args:
        timer_id: which.
        name: of the deployment; by default that of the Timer.
        work_pool: whose workers run it.
        pause: whether the Timer is paused then. Otherwise both run.
        transfer_id: template of the transfers' ids; by default NAME-{scheduled:%Y%m%dT%H%M%SZ}. With several items,
            -1, -2 and so on are added.
        credentials: a saved GlobusCredentials block or its name; that of the environment when left out.
        checkpoints: a saved checkpoint store block or its name; the worker's default database when left out.

    Raises:
        TimerNotImportableError: no deployment does the same, or nothing is left to do; nothing has changed.
        DeploymentExistsError: there is one of this name; nothing has changed.
        InvalidInputError: see `deploy_recurring_transfer`.
        TimerNotPausedError: the deployments are there, but the Timer could not be paused.
        GlobusError: the login has no such Timer, or Globus is out of reach.
    """
    with prefect_server() as client:  # first, because it may have the block of the credentials
        timer = show_timer(timer_id, credentials)
        transfers = importable(timer)
        name = name or deployment_name(timer)
        many = len(transfers) > 1
        names = [f"{name}-{number}" for number in range(1, len(transfers) + 1)] if many else [name]
        for each in names:
            _refuse_existing(client, each)
    schedule = remaining(timer, now())
    made, active = {}, not timer.is_inactive
    ids = transfer_id or f"{as_id(name) or 'timer'}-{{scheduled:%Y%m%dT%H%M%SZ}}"
    for number, (each, (source, destination, options)) in enumerate(zip(names, transfers, strict=True), 1):
        made[each] = deploy_recurring_transfer(
            each,
            _as_template(source),
            _as_template(destination),
            schedule,
            work_pool=work_pool,
            options=options,
            transfer_id=f"{ids}-{number}" if many else ids,
            credentials=credentials,
            checkpoints=checkpoints,
            tags=(f"timer:{timer.id}",),
            active=active,
        )
    if pause and active:
        try:
            timer = pause_timer(timer.id, credentials)
        except TransferError as error:
            raise TimerNotPausedError(timer=timer.id, names=", ".join(made), reason=first_line(error)) from error
    return ImportedTimer(timer=timer, deployments=made, schedule=schedule, active=active)


def remaining(timer: Timer, moment: datetime) -> TransferSchedule:
    """What is left of the schedule of ``timer`` after ``moment``: its ticks, and as many runs as it would still start.

    Raises:
        TimerNotImportableError: nothing is.
    """
    if timer.has_ended:
        raise TimerNotImportableError(timer=timer.id, reason=f"it has ended, and has run {timer.times}")
    if timer.schedule is None:
        raise TimerNotImportableError(timer=timer.id, reason="its schedule is of an unknown kind")
    schedule = timer.schedule.beginning(timer.submitted_at or moment)
    tick = schedule.tick_after(moment)
    left = schedule.count - timer.runs if schedule.count is not None else None
    if tick is None or (left is not None and left <= 0):
        reason = "no run of it is to come; one that it has missed, it makes when it is resumed"
        raise TimerNotImportableError(timer=timer.id, reason=reason)
    if schedule.interval is None:
        return TransferSchedule.once(tick)
    until = schedule.end.datetime if schedule.end is not None else None
    return TransferSchedule.every(schedule.interval, start=tick, until=until, count=left)


def _refuse_existing(client: SyncPrefectClient, name: str) -> None:
    try:
        client.read_deployment_by_name(f"{scheduled_transfer.name}/{name}")
    except ObjectNotFound:
        return
    raise DeploymentExistsError(name=name)


def _as_template(location: Location) -> str:
    """A location whose braces, if it has any, stand for themselves."""
    return str(location).replace("{", "{{").replace("}", "}}")
