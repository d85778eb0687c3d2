"""The commands `schedule ...`: transfers that a Prefect server runs by itself. Prefect is imported late."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Any, get_args

import click
from pydantic import ValidationError

from prefect_globus.cli.colors import of_status
from prefect_globus.cli.flags import FIELDS, given, option_flags, options_of
from prefect_globus.cli.help import Group
from prefect_globus.cli.output import Done, say
from prefect_globus.cli.sessions import loading
from prefect_globus.cli.state import State, checkpoints_option, credentials_option, output_options, store_options
from prefect_globus.cli.terminal import elided, wrapped
from prefect_globus.cli.when import schedule_of, when_flags
from prefect_globus.transfers.options import TransferOptions
from prefect_globus.transfers.schedules import moment_words
from prefect_globus.transfers.ticks import CatchUp, Overlap

if TYPE_CHECKING:
    from prefect.client.schemas.schedules import CronSchedule

    from prefect_globus.deployments.schedule_reports import ScheduledRun, ScheduleReport

_NAME = click.argument("name", metavar="NAME")
_ROW = "{:<26} {:<7} {:<17} {:>9} {}"
_NAME_WIDTH, _WHEN_WIDTH, _WIDTH = 26, 17, 80
_RECENT = 5


@click.group(cls=Group)
def schedule() -> None:
    """Have transfers run by themselves, on a Prefect server.

    Once at a moment, at a fixed interval, or by the clock. They are deployments on the Prefect server that
    PREFECT_API_URL names, and a worker runs them.
    """


_NIGHTLY = (
    "prefect-globus schedule create $LAB:/raw $ARCHIVE:/raw --name nightly --cron '0 2 * * *' --timezone Europe/Berlin "
    "--id 'backup-{scheduled:%Y%m%d}'"
)
_HOURLY = (
    "prefect-globus schedule create $LAB:/raw $ARCHIVE:/raw --name raw --every 1h --count 72 --sync-level checksum"
)


@schedule.command(
    examples=[("Each night at 2 o'clock", _NIGHTLY), ("Each hour for three days, only what has changed", _HOURLY)]
)
@click.argument("source", metavar="SRC")
@click.argument("destination", metavar="DST")
@click.option("--name", required=True, help="Of the schedule, and of the deployment that it is.")
@when_flags
@click.option("--cron", metavar="CRON", help="Or by the clock on the wall: '0 2 * * *' is each night at 2 o'clock.")
@click.option(
    "--timezone", metavar="ZONE", help="Of --cron and of the times in templates: Europe/Berlin.  [default: UTC]"
)
@click.option(
    "--id",
    "transfer_id",
    metavar="TEMPLATE",
    help="Names each run's transfer, as in 'backup-{scheduled:%Y%m%d}'. SRC and DST may be such templates, too. "
    "[default: NAME-{scheduled}]",
)
@click.option(
    "--overlap",
    type=click.Choice(get_args(Overlap)),
    default="skip",
    show_default=True,
    help="What a run does that is due while another is under way: it is left out, it waits, or it cancels the other.",
)
@click.option(
    "--catch-up",
    type=click.Choice(get_args(CatchUp)),
    default="latest",
    show_default=True,
    help="Which runs are made up for that were missed while no worker was there.",
)
@click.option("--work-pool", default="globus", show_default=True, help="Whose workers run it.")
@click.option("--paused", is_flag=True, help="Make it, and do not run it until it is resumed.")
@option_flags(FIELDS)
@checkpoints_option
@credentials_option
@output_options
@click.pass_obj
def create(state: State, /, source: str, destination: str, name: str, **values: Any) -> None:  # noqa: ANN401
    """Transfer SRC to DST by a schedule, or change that schedule.

    Both are locations on Globus, as UUID:/path.
    """
    how = {key: values.pop(key) for key in FIELDS}
    options_of(TransferOptions(), given(how))
    cron, paused = values.pop("cron"), values.pop("paused")
    own = schedule_of(**{key: values.pop(key) for key in ("every", "once", "start", "until", "count")})
    if (own is None) == (cron is None):
        raise click.UsageError("Say when it runs: give one of --every, --once and --cron")
    with loading(state, blocks=False):
        from prefect_globus.deployments.recurring import deploy_recurring_transfer  # noqa: PLC0415
        from prefect_globus.deployments.schedule_reports import show_schedule  # noqa: PLC0415

        deploy_recurring_transfer(
            name,
            source,
            destination,
            own or _cron(cron, values["timezone"]),
            options=TransferOptions.model_validate(given(how)) if given(how) else None,
            credentials=state.credentials,
            checkpoints=state.checkpoints,
            active=not paused,
            **values,
        )
        report = show_schedule(name)
    say(report, state, *_facts(report))
    state.hint("Globus was not asked. To find what is in the way: prefect-globus preflight SRC DST")


@schedule.command(
    "list", examples=[("What runs by itself, and what keeps it from running", "prefect-globus schedule list")]
)
@store_options
@output_options
@click.pass_obj
def list_(state: State) -> None:
    """List all schedules, and what became of their runs.

    How many were started, when the next is due, and how the last has ended.
    """
    with loading(state, blocks=False):
        from prefect_globus.deployments.schedule_reports import list_schedules  # noqa: PLC0415

        reports = list_schedules(state.checkpoints)
    if state.json:
        click.echo(json.dumps([each.model_dump(mode="json") for each in reports], indent=2))
        return
    if reports:
        click.echo("\n".join(_table(reports)))
    else:
        state.hint("There are no schedules.")


@schedule.command(examples=[("When it runs next, and what became of its runs", "prefect-globus schedule show nightly")])
@_NAME
@store_options
@output_options
@click.pass_obj
def show(state: State, name: str) -> None:
    """Show the schedule NAME."""
    with loading(state, blocks=False):
        from prefect_globus.deployments.schedule_reports import show_schedule  # noqa: PLC0415

        report = show_schedule(name, state.checkpoints)
    say(report, state, *_facts(report))


@schedule.command(examples=[("During maintenance", "prefect-globus schedule pause nightly")])
@_NAME
@store_options
@output_options
@click.pass_obj
def pause(state: State, name: str) -> None:
    """Start no more runs of the schedule NAME until it is resumed. One that is under way goes on."""
    with loading(state, blocks=False):
        from prefect_globus.deployments.managing import pause_schedule  # noqa: PLC0415

        report = pause_schedule(name, state.checkpoints)
    say(report, state, f"{name} is paused")
    state.hint(f"Resume it with: prefect-globus schedule resume {name}")


@schedule.command(examples=[("After that", "prefect-globus schedule resume nightly")])
@_NAME
@store_options
@output_options
@click.pass_obj
def resume(state: State, name: str) -> None:
    """Go on with the schedule NAME. If runs were missed since it was paused, one is started at once."""
    with loading(state, blocks=False):
        from prefect_globus.deployments.managing import resume_schedule  # noqa: PLC0415

        report = resume_schedule(name, state.checkpoints)
    following = f"; its next run is due at {moment_words(report.next_run)}" if report.next_run is not None else ""
    say(report, state, f"{name} is {report.status}{following}")


@schedule.command(examples=[("For good", "prefect-globus schedule delete nightly")])
@_NAME
@output_options
@click.pass_obj
def delete(state: State, name: str) -> None:
    """Delete the schedule NAME. Its transfers stay on record; one that is under way goes on."""
    with loading(state, blocks=False):
        from prefect_globus.deployments.managing import delete_schedule  # noqa: PLC0415

        delete_schedule(name)
    say(Done(id=name, done="deleted"), state, f"{name} is deleted")


def _cron(cron: str, zone: str | None) -> CronSchedule:
    from prefect.client.schemas.schedules import CronSchedule  # noqa: PLC0415

    try:
        return CronSchedule(cron=cron, timezone=zone)
    except ValidationError as error:
        first = error.errors()[0]
        flag = f"--timezone {zone!r}" if first["loc"] == ("timezone",) else f"--cron {cron!r}"
        raise click.UsageError(f"{flag}: {first['msg'].removeprefix('Value error, ')}") from None


def _table(reports: Iterable[ScheduleReport]) -> Iterator[str]:
    """Two lines for each schedule, in 80 columns."""
    yield _ROW.format("NAME", "STATUS", "WHEN", "RUNS", "NEXT (UTC)")
    for each in reports:
        following = f"{each.next_run:%Y-%m-%d %H:%M}" if each.next_run is not None else "-"
        when = each.schedule.rhythm if each.schedule is not None else each.words.partition(" (")[0]
        cells = elided(each.name, _NAME_WIDTH), each.status, elided(when, _WHEN_WIDTH)
        yield _ROW.format(*cells, _runs(each).replace(" of ", "/"), following)
        if each.runs:
            last = each.runs[0]
            yield f"  last: {elided(last.transfer_id, _WIDTH - 21)} {of_status(last.status)}"
        yield from (wrapped(f"  ! {trouble}", 4, _WIDTH) for trouble in _troubles(each))


def _troubles(report: ScheduleReport) -> Iterator[str]:
    """What keeps a schedule from running; one that is not active is not meant to."""
    if report.status == "active" and report.work_pool_status not in ("READY", None):
        yield f"work pool {_work_pool(report)}"
    if report.last_failed:
        yield f"the last flow run: {report.last_flow_run}"


def _runs(report: ScheduleReport) -> str:
    if report.count is None:
        return "?"
    of = report.schedule.count if report.schedule is not None else None
    return str(report.count) if of is None else f"{report.count} of {of}"


def _facts(report: ScheduleReport) -> Iterator[str]:
    """A line for each fact."""
    facts = {
        "Schedule": report.name,
        "Status": f"{report.status}, {report.reason}" if report.reason else str(report.status),
        "When": report.words,
        "Next run": _moment(report.next_run),
        "Runs": _runs(report) if report.runs is not None else "its checkpoint store cannot be read from here",
        "Source": report.source,
        "Destination": report.destination,
        "Transfer id": report.transfer_id,
        "Time zone": report.timezone,
        "Overlap": report.overlap,
        "Catch-up": report.catch_up,
        "Credentials": report.credentials,
        "Checkpoints": report.checkpoints,
        "Work pool": _work_pool(report),
        "Last tick": report.last_flow_run,
    }
    yield from (f"{name + ':':<14}{value}" for name, value in facts.items() if value)
    yield from map(_run, (report.runs or ())[:_RECENT])


def _work_pool(report: ScheduleReport) -> str | None:
    """The pool, and what to do if nobody works on it."""
    pool, status = report.work_pool, report.work_pool_status
    if status == "NOT_READY":
        return f"{pool}, which has no worker. Start one with: prefect worker start --pool {pool}"
    if status == "PAUSED":
        return f"{pool}, which is paused. Have it work with: prefect work-pool resume {pool}"
    return pool


def _run(run: ScheduledRun) -> str:
    return f"  run {run.run}, {moment_words(run.tick)}: {run.transfer_id} {run.status}"


def _moment(moment: datetime | None) -> str | None:
    return moment_words(moment) if moment is not None else None
