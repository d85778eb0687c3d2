"""The command `plan`, and the question at a terminal. Prefect is imported late, because it takes seconds."""

from __future__ import annotations

import sys
import termios
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import click

from prefect_globus.cli import local
from prefect_globus.cli.flags import FIELDS, given, option_flags, options_of
from prefect_globus.cli.help import Option, command
from prefect_globus.cli.interrupts import interruptible
from prefect_globus.cli.output import say
from prefect_globus.cli.sessions import reading
from prefect_globus.cli.state import State, credentials_option, output_options, store_options
from prefect_globus.cli.terminal import width, wrapped
from prefect_globus.transfers.location import Location, check_disjoint
from prefect_globus.transfers.options import ApprovalCallback, TransferOptions
from prefect_globus.transfers.plan_words import INDENT, lines
from prefect_globus.transfers.planning import TransferPlan

if TYPE_CHECKING:
    from prefect_globus.cli.local import Place, Places

_FEW = 10


@command(
    examples=[
        ("What would be moved between two folders", "prefect-globus plan ./data ./copy"),
        (
            "What a mirror would move and delete",
            "prefect-globus plan $LAB:/raw $ARCHIVE:/raw --delete-destination-extra",
        ),
        ("What is new since the last night", "prefect-globus plan $LAB:/raw $ARCHIVE:/raw --mode incremental --json"),
    ]
)
@click.argument("source", metavar="SRC")
@click.argument("destination", metavar="DST")
@click.option(
    "--limit",
    cls=Option,
    section="Plan",
    type=click.IntRange(min=0),
    default=_FEW,
    help=f"How many items of a sort to name; all are counted.  [default: {_FEW}]",
)
@click.option(
    "--compare/--no-compare",
    cls=Option,
    section="Plan",
    default=True,
    help="Look at the destination, by a request for each directory that both sides have.  [default: on]",
)
@option_flags(FIELDS)
@store_options
@credentials_option
@output_options
@click.pass_context
def plan(
    context: click.Context,
    /,
    source: str,
    destination: str,
    limit: int,
    *,
    compare: bool,
    **flags: Any,  # noqa: ANN401 - as the options take them
) -> None:
    """Show what a transfer from SRC to DST would do.

    Nothing is done. SRC, DST and the options are those of the command transfer. The source is scanned as that would
    scan it; nothing is submitted, and nothing goes on record. The exit status is 1 when something would go wrong.
    """
    foretell(source, destination, given(flags), context, limit, compare=compare)


def foretell(
    source: str,
    destination: str,
    values: dict[str, Any],
    context: click.Context,
    limit: int = _FEW,
    *,
    compare: bool = True,
) -> None:
    """Write what a transfer with these arguments would do; the exit status is 1 when something would go wrong."""
    state: State = context.obj
    found = _planned(source, destination, values, state, limit, compare=compare)
    say(found, state, *_lines(found))
    if found.problems:
        context.exit(1)


def _planned(
    source: str, destination: str, values: dict[str, Any], state: State, limit: int, *, compare: bool
) -> TransferPlan:
    options = options_of(TransferOptions(), values)
    places = local.Places.of(source, destination)
    if places is None:
        check_disjoint(Location.parse(source), Location.parse(destination))
    with ExitStack() as stack:
        if not state.names_blocks:  # else the session sees to it
            stack.enter_context(interruptible())
        store = stack.enter_context(reading(state, missing_ok=True))
        if places is not None:
            source, destination = map(str, places.locations)
            stack.enter_context(_served(places))
        from prefect_globus.flows.planning import plan_without_prefect  # noqa: PLC0415

        return plan_without_prefect(source, destination, options, limit, compare, state.credentials, store)


def asking(options: TransferOptions) -> ApprovalCallback | None:
    """What asks the person at the terminal, if there is one and the options want an approval."""
    return _asked if options.approval and sys.stdin.isatty() and sys.stderr.isatty() else None


def check_asking(options: TransferOptions) -> None:
    """Refuse, before a server is started for it, a transfer that wants an approval where nobody could give it.

    Raises:
        NobodyToAskError: so it is.
    """
    if options.approval and asking(options) is None:
        from prefect_globus.tasks.opening import check_somebody_to_ask  # noqa: PLC0415

        check_somebody_to_ask(options)


def _asked(found: TransferPlan) -> bool:
    """Whether the person at the terminal approves the plan."""
    click.echo("\n".join(_lines(found)), err=True)
    termios.tcflush(sys.stdin, termios.TCIFLUSH)  # what was typed before the plan was there is no answer to it
    try:
        return click.confirm("Transfer this?", default=False, err=True)
    except click.Abort:  # no answer, so the question stays open
        raise KeyboardInterrupt from None


def _lines(found: TransferPlan) -> Iterator[str]:
    for line in lines(found):
        yield wrapped(local.in_words(line), INDENT, width())


@contextmanager
def _served(places: Places) -> Iterator[None]:
    """Serve the folders for as long as the block lasts. A folder DST that is not there yet is not made for that."""
    with TemporaryDirectory(prefix="prefect-globus-plan-") as folder:
        empty = Path(folder) / "empty"
        empty.mkdir()
        there = places.destination.root.is_dir()
        specs = places.specs if there else [places.source.spec, _in_place_of(places.destination, empty)]
        with local.served_for_a_look(specs, Path(folder)):
            yield


def _in_place_of(place: Place, folder: Path) -> str:
    """What to tell the emulator to have it serve ``folder`` as the collection of ``place``."""
    return f"{place.spec.partition('=')[0]}={folder}"
