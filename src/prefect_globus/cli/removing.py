"""The commands `delete-source` and `delete-extra`. Prefect is imported late, because it takes seconds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.core import ParameterSource

from prefect_globus.cli import local
from prefect_globus.cli.help import command
from prefect_globus.cli.ids import id_argument, is_id
from prefect_globus.cli.output import say
from prefect_globus.cli.sessions import running
from prefect_globus.cli.state import State, run_options
from prefect_globus.transfers.items import ItemType
from prefect_globus.transfers.markdown import printable
from prefect_globus.transfers.quantities import count, size
from prefect_globus.transfers.removals import RemovalKind, RemovalReport
from prefect_globus.transfers.states import TransferStatus

if TYPE_CHECKING:
    from prefect_globus.cli.runs import Runner

_F = TypeVar("_F", bound=Callable[..., Any])
_Call = Callable[..., RemovalReport]


def _options(function: _F) -> _F:
    for option in (
        click.option("--limit", type=click.IntRange(min=0), default=20, help="How many to name.  [default: 20]"),
        click.option("-y", "--yes", is_flag=True, help="Delete without asking."),
        click.option("--dry-run", is_flag=True, help="Show what would be deleted and what would stay, and why."),
        id_argument,
    ):
        function = option(function)
    return run_options(function)


@command(
    "delete-source",
    examples=[
        ("What would be deleted, what would stay, and why", "prefect-globus delete-source nightly --dry-run"),
        ("Delete it", "prefect-globus delete-source nightly"),
    ],
)
@_options
@click.option(
    "--trust-checksums",
    is_flag=True,
    help="Delete also files whose copy is not at the destination any more, if Globus compared checksums when it came.",
)
@click.pass_obj
def delete_source(state: State, /, transfer_id: str, *, dry_run: bool, yes: bool, **flags: Any) -> None:  # noqa: ANN401
    """Delete at the source what the transfer ID has delivered.

    Only those files that are right at the destination, and that are at the source as they were scanned. Asks first.
    """
    _carry_out(state, RemovalKind.SOURCE, transfer_id, flags, dry_run=dry_run, yes=yes)


@command(
    "delete-extra",
    examples=[
        ("What is there that is not at the source", "prefect-globus delete-extra nightly --dry-run"),
        ("Delete it", "prefect-globus delete-extra nightly"),
    ],
)
@_options
@click.option("--emptied", is_flag=True, help="Delete also what is in directories that are empty at the source.")
@click.pass_obj
def delete_extra(state: State, /, transfer_id: str, *, dry_run: bool, yes: bool, **flags: Any) -> None:  # noqa: ANN401
    """Delete at the destination of ID what is not at its source.

    Asks first.
    """
    _carry_out(state, RemovalKind.EXTRA, transfer_id, flags, dry_run=dry_run, yes=yes)


def _carry_out(
    state: State, kind: RemovalKind, transfer_id: str, flags: dict[str, Any], *, dry_run: bool, yes: bool
) -> None:
    if yes and not dry_run and click.get_current_context().get_parameter_source("limit") is ParameterSource.COMMANDLINE:
        raise click.UsageError("--limit is of what is named, not of what is deleted: give it with --dry-run.")
    if state.json and not (dry_run or yes):
        raise click.UsageError("With --json nobody is asked: say --dry-run or --yes.")
    with running(state, is_id(transfer_id)) as runner, _deleting(runner, kind, transfer_id, state) as call:
        if dry_run or not yes:
            plan = call(dry_run=True, **flags)
            say(plan, state, *_lines(plan))
            if dry_run or not plan.items_deleted:
                return
            click.confirm(f"Delete {count(plan.items_deleted, 'item')} for good?", abort=True)
        report = call(dry_run=False, **flags)
        say(report, state, *_lines(report))


@contextmanager
def _deleting(runner: Runner, kind: RemovalKind, transfer_id: str, state: State) -> Iterator[_Call]:
    """The library's call; the folders of a local transfer are served for as long as the block lasts."""
    from prefect_globus.flows import removing  # noqa: PLC0415

    flow = removing.delete_source if kind is RemovalKind.SOURCE else removing.delete_extra

    def call(**arguments: Any) -> RemovalReport:  # noqa: ANN401 - as the flow takes them
        report: RemovalReport = flow(
            transfer_id, **arguments, credentials=state.credentials, checkpoints=state.checkpoints
        )
        return report

    transfer = runner.store.load_transfer(transfer_id)
    specs = [] if local.is_local(transfer_id) else local.remembered(transfer_id)
    with ExitStack() as stack:
        if specs is not None:
            stack.enter_context(local.served(runner.store, transfer_id, specs, wait=0.0))
        runner.ready()
        yield call
    if transfer.status is TransferStatus.COMPLETED:  # it was deleted to the end, and nothing is left to go on with
        local.forget(transfer_id)


def _lines(report: RemovalReport) -> Iterator[str]:
    """What a person reads."""
    done = "would be deleted" if report.dry_run else "deleted"
    what = "file" if report.kind is RemovalKind.SOURCE else "item"
    location = local.in_words(str(report.location))
    yield f"{count(report.items_deleted, what)}, {size(report.bytes_deleted)}, {done} from {location}"
    if report.dry_run:
        for each in report.deleted:
            yield f"  {printable(each.path)}{'/' if each.type is ItemType.DIRECTORY else ''}"
        yield from _rest(report.items_deleted - len(report.deleted))
    if report.items_gone:
        yield f"{report.items_gone} were gone already"
    if report.kept:
        codes = ", ".join(f"{number} {code}" for code, number in report.kept.items())
        yield f"{sum(report.kept.values())} stay: {codes}"
    for each in report.stayed:
        yield f"  {each.code:<16} {printable(each.path)}"
    yield from _rest(sum(report.kept.values()) - len(report.stayed))


def _rest(number: int) -> Iterator[str]:
    if number:
        yield f"  and {number} more (--limit)"
