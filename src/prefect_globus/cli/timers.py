"""The commands `timers ...`: transfers that Globus itself runs by a schedule. Prefect is imported late."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

import click

from prefect_globus.cli.flags import FIELDS, given, option_flags, options_of
from prefect_globus.cli.help import Group
from prefect_globus.cli.output import say
from prefect_globus.cli.sessions import loading
from prefect_globus.cli.state import State, checkpoints_option, credentials_option, output_options
from prefect_globus.cli.terminal import elided
from prefect_globus.cli.when import schedule_of, when_flags
from prefect_globus.transfers.markdown import printable
from prefect_globus.transfers.options import SyncLevel, TransferOptions
from prefect_globus.transfers.quantities import count
from prefect_globus.transfers.schedules import moment_words
from prefect_globus.transfers.timers import AUTH_CAUSE, TIMER_OPTIONS, InactiveReason, TimedTransfer, Timer, TimerRun

if TYPE_CHECKING:
    from prefect_globus.deployments.timers import ImportedTimer

_ID = click.argument("timer_id", metavar="ID", type=click.UUID)
# where what a transfer of ours does is not what Globus does by itself
_WORDS = {
    "label": "Label of the Globus tasks. Globus adds the number of the run.",
    "sync_level": "Leave a file alone when the destination already has it, judged by: exists, size, mtime or checksum. "
    "By default every file is transferred. Only checksum notices a file that a failed run has left half-written.",
    "exclude": "Leave out files and whole directories whose name matches one of these patterns (* ? [] as in a shell).",
    "delete_destination_extra": "Delete from the destination what is not at the source. Only for a directory.",
}
_ROW = "{:<36} {:<9} {:>11}  {}"
_WIDTH = 80
_RECENT = 5
_ACTIVITIES = {"run_in_progress": "a run is under way", "retrying": "Globus tries again to start a run"}


@click.group(cls=Group)
def timers() -> None:
    """Have Globus itself run transfers by a schedule.

    Globus Timers run without Prefect, and without this program.
    """


@timers.command("list", examples=[("What Globus runs by itself", "prefect-globus timers list")])
@credentials_option
@output_options
@click.pass_obj
def list_(state: State) -> None:
    """List all Timers of the login, the oldest first. Times are in UTC."""
    with _session(state):
        from prefect_globus.flows.timers import list_timers  # noqa: PLC0415

        found = list_timers(state.credentials)
    if state.json:
        click.echo(json.dumps([each.model_dump(mode="json") for each in found], indent=2))
        return
    if found:
        click.echo("\n".join(_table(found)))
    else:
        state.hint("There are no Timers.")


@timers.command(examples=[("Why it stands still", "prefect-globus timers show $TIMER")])
@_ID
@credentials_option
@output_options
@click.pass_obj
def show(state: State, timer_id: UUID) -> None:
    """Show the Timer ID: what it transfers, when, and its last runs.

    And why it stands still, if it does.
    """
    with _session(state):
        from prefect_globus.flows.timers import show_timer  # noqa: PLC0415

        timer = show_timer(timer_id, state.credentials)
    say(timer, state, *_facts(timer))


@timers.command(
    examples=[
        (
            "Each hour, until a day",
            "prefect-globus timers create $LAB:/raw $ARCHIVE:/raw --every 1h --until 2099-11-25T00:00:00Z",
        ),
    ]
)
@click.argument("source", metavar="SRC")
@click.argument("destination", metavar="DST")
@click.option("--name", help="Of the Timer. By default it is made of SRC and DST.")
@when_flags
@option_flags([name for name in FIELDS if name in TIMER_OPTIONS], words=_WORDS)
@option_flags([name for name in FIELDS if name not in TIMER_OPTIONS], hidden=True)
@credentials_option
@output_options
@click.pass_obj
def create(state: State, /, source: str, destination: str, name: str | None, **values: Any) -> None:  # noqa: ANN401
    """Have Globus transfer SRC to DST by a schedule.

    Both are locations on Globus, as UUID:/path. The consent that Globus needs for their data is looked at now, rather
    than when the Timer runs.
    """
    schedule = schedule_of(**{key: values.pop(key) for key in ("every", "once", "start", "until", "count")})
    if schedule is None:
        raise click.UsageError("Say when it runs: give --every or --once")
    how = given(values)
    options_of(TransferOptions(), how)
    with _session(state):
        from prefect_globus.flows.timers import create_timer  # noqa: PLC0415

        options = TransferOptions.model_validate(how)
        made = create_timer(source, destination, schedule, name=name, options=options, credentials=state.credentials)
    say(made, state, *_facts(made))


@timers.command(
    "import",
    examples=[
        (
            "Have Prefect run what a Timer runs, and the Timer no more",
            "prefect-globus timers import $TIMER --pause-timer",
        ),
    ],
)
@_ID
@click.option("--name", help="Of the schedule. By default the Timer's own.")
@click.option("--work-pool", default="globus", show_default=True, help="Whose workers run it.")
@click.option(
    "--id",
    "transfer_id",
    metavar="TEMPLATE",
    help="Names each run's transfer.  [default: NAME-{scheduled:%Y%m%dT%H%M%SZ}]",
)
@click.option("--pause-timer", is_flag=True, help="Pause the Timer as soon as the schedule is there. Else both run.")
@checkpoints_option
@credentials_option
@output_options
@click.pass_obj
def import_(state: State, /, timer_id: UUID, *, pause_timer: bool, **values: Any) -> None:  # noqa: ANN401
    """Have Prefect run what the Timer ID runs.

    The same files at the same times, as a schedule of this package. It is made on the Prefect server that
    PREFECT_API_URL names. See: prefect-globus schedule show NAME
    """
    with loading(state, blocks=False):
        from prefect_globus.deployments.timers import import_timer  # noqa: PLC0415

        values |= {"credentials": state.credentials, "checkpoints": state.checkpoints}
        done = import_timer(timer_id, pause=pause_timer, **values)
    say(done, state, *_imported(done))


@timers.command(examples=[("During maintenance", "prefect-globus timers pause $TIMER")])
@_ID
@credentials_option
@output_options
@click.pass_obj
def pause(state: State, timer_id: UUID) -> None:
    """Start no more runs of the Timer ID until it is resumed. One that is under way goes on."""
    with _session(state):
        from prefect_globus.flows.timers import pause_timer  # noqa: PLC0415

        timer = pause_timer(timer_id, state.credentials)
    say(timer, state, f"{timer.id} is paused")
    state.hint(f"Resume it with: prefect-globus timers resume {timer.id}")


@timers.command(examples=[("After that, or with another login", "prefect-globus timers resume $TIMER")])
@_ID
@credentials_option
@output_options
@click.pass_obj
def resume(state: State, timer_id: UUID) -> None:
    """Go on with the Timer ID. If it has missed a run, Globus starts one at once.

    A Timer that has stopped because of its login runs with the login of this command from then on.
    """
    with _session(state):
        from prefect_globus.flows.timers import resume_timer  # noqa: PLC0415

        timer = resume_timer(timer_id, state.credentials)
    following = f"; its next run is due at {moment_words(timer.next_run)}" if timer.next_run is not None else ""
    say(timer, state, f"{timer.id} is {timer.status}{following}")


@timers.command(examples=[("For good", "prefect-globus timers delete $TIMER")])
@_ID
@credentials_option
@output_options
@click.pass_obj
def delete(state: State, timer_id: UUID) -> None:
    """Delete the Timer ID. A transfer that it has started goes on."""
    with _session(state):
        from prefect_globus.flows.timers import delete_timer  # noqa: PLC0415

        timer = delete_timer(timer_id, state.credentials)
    say(timer, state, f"{timer_id} is deleted")


def _session(state: State) -> Any:  # noqa: ANN401 - a context manager
    return loading(state, blocks=state.credentials is not None)


def _table(found: Iterable[Timer]) -> Iterator[str]:
    """Two lines for each Timer, in 80 columns."""
    yield _ROW.format("ID", "STATUS", "RUNS", "NEXT RUN (UTC)")
    for each in found:
        following = f"{each.next_run:%Y-%m-%d %H:%M}" if each.next_run is not None else "-"
        yield _ROW.format(str(each.id), elided(each.status, 9), _runs(each), following)
        yield elided(f"  {printable(each.name or 'no name')}: {_when(each)}", _WIDTH)


def _runs(timer: Timer) -> str:
    of = timer.schedule.count if timer.schedule is not None else None
    return str(timer.runs) if of is None else f"{timer.runs} of {of}"


def _when(timer: Timer) -> str:
    return timer.schedule.in_words() if timer.schedule is not None else "at times that only Globus knows"


def _facts(timer: Timer) -> Iterator[str]:
    """A line for each fact."""
    facts = {
        "Timer": str(timer.id),
        "Name": printable(timer.name) if timer.name else None,
        "Type": None if timer.type == "transfer" else timer.type,
        "Status": _status(timer),
        "When": _when(timer),
        "Next run": _moment(timer.next_run),
        "Last run": _moment(timer.last_ran_at),
        "Runs": _runs(timer) + (f", {timer.errors} failed to start" if timer.errors else ""),
    }
    if timer.transfer is not None:
        facts |= _transfer(timer.transfer)
    yield from (f"{name + ':':<14}{value}" for name, value in facts.items() if value)
    yield from map(_run, timer.results[:_RECENT])
    if timer.inactive is not None:
        yield from _what_to_do(timer, timer.inactive)


def _status(timer: Timer) -> str:
    activity = _ACTIVITIES.get(timer.activity or "")
    return f"{timer.status}, {activity}" if activity else timer.status


def _transfer(transfer: TimedTransfer) -> dict[str, str | None]:
    first, *others = transfer.items
    more = f", and {count(len(others), 'other item')}" if others else ""
    return {
        "Source": f"{transfer.source}:{printable(first.source)}{more}",
        "Destination": f"{transfer.destination}:{printable(first.destination)}",
        "Options": ", ".join(_options(transfer.settings)),
    }


def _options(settings: dict[str, Any]) -> Iterator[str]:
    """Those that are on, in the words of the Transfer API."""
    for name, value in sorted(settings.items()):
        if name == "sync_level":
            yield f"sync_level {list(SyncLevel)[value]}"
        elif name == "filter_rules":
            yield "filter_rules " + " ".join(f"{each.get('method', 'exclude')} {each.get('name')!r}" for each in value)
        elif name == "label":
            yield f"label {value!r}"
        elif value and name in FIELDS:
            yield name


def _run(run: TimerRun) -> str:
    what = run.task_id or run.error or ""
    return f"  run at {_moment(run.ran_at) or 'an unknown time'}: {run.status} {what}".rstrip()


def _what_to_do(timer: Timer, reason: InactiveReason) -> Iterator[str]:
    """Why it does not run, and how that is mended."""
    said = f" ({reason.message})" if reason.message else ""
    if reason.cause != AUTH_CAUSE:
        who = "Somebody has paused it" if reason.cause == "user" else f"Globus has paused it: {reason.cause}"
        yield f"{who}{said}. Resume it with: prefect-globus timers resume {timer.id}"
        return
    yield f"Globus cannot run it with the login that it has{said}."
    flags = "".join(f" --collection {each}" for each in reason.consents)
    yield f"As a user, log in: prefect-globus login{flags}"
    yield f"Then, or at once as a client with a secret: prefect-globus timers resume {timer.id}"


def _imported(done: ImportedTimer) -> Iterator[str]:
    words = done.schedule.in_words()
    for name in done.deployments:
        yield f"{name} runs what the Timer runs, {words}. See: prefect-globus schedule show {name}"
    if not done.timer.is_inactive:
        yield f"Both run now. Pause the Timer with: prefect-globus timers pause {done.timer.id}"
    elif done.active:
        yield f"The Timer is paused. Have it run again with: prefect-globus timers resume {done.timer.id}"
    else:
        name = next(iter(done.deployments))
        yield f"It is paused, as the Timer was inactive. Have it run with: prefect-globus schedule resume {name}"


def _moment(moment: datetime | None) -> str | None:
    return moment_words(moment) if moment is not None else None
