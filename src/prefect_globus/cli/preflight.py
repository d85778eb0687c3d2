"""The command `preflight`. Prefect is imported late, because it takes seconds."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import click

from prefect_globus.cli.flags import FIELDS, given, option_flags
from prefect_globus.cli.help import command
from prefect_globus.cli.output import say
from prefect_globus.cli.sessions import loading
from prefect_globus.cli.state import State, credentials_option, output_options, store_options
from prefect_globus.transfers.errors import InvalidInputError
from prefect_globus.transfers.preflight import Level, Preflight


@command(
    examples=[
        ("Before the first night", "prefect-globus preflight $LAB:/raw $ARCHIVE:/raw"),
        ("And prove that the login may write", "prefect-globus preflight $LAB:/raw $ARCHIVE:/raw --probe-writes"),
    ]
)
@click.argument("source", metavar="SRC")
@click.argument("destination", metavar="DST")
@click.option("--id", "transfer_id", metavar="ID", help="The id that the transfer is to have.")
@click.option("--create", is_flag=True, help="Make the folder DST, which proves that the login may write.")
@click.option("--probe-writes", is_flag=True, help="Make a folder at DST and have Globus delete it again, to prove it.")
@option_flags(FIELDS)
@store_options
@credentials_option
@output_options
@click.pass_context
def preflight(
    context: click.Context,
    /,
    source: str,
    destination: str,
    transfer_id: str | None,
    *,
    create: bool,
    probe_writes: bool,
    **flags: Any,  # noqa: ANN401 - as the options take them
) -> None:
    """Look what is in the way of a transfer from SRC to DST.

    All of it is shown. Both are locations on Globus, as UUID:/path. Nothing is transferred. The exit status is 1 when
    there is a problem.
    """
    state: State = context.obj
    values = given(flags) or None
    _check_on_globus(source, destination)
    with loading(state, blocks=state.names_blocks):
        from prefect_globus.flows.preflight import preflight_transfer  # noqa: PLC0415

        found = preflight_transfer(
            source,
            destination,
            values,
            transfer_id,
            state.credentials,
            state.checkpoints,
            create=create,
            probe_writes=probe_writes,
        )
    say(found, state, *_lines(found))
    if not found.ok:
        context.exit(1)


def _check_on_globus(*places: str) -> None:
    """Say what this is for, to those who give it what `transfer` and `plan` take as well."""
    if plain := [each for each in places if ":" not in each]:
        reason = f"preflight looks at Globus collections, written UUID:/path, and {plain[0]!r} is none"
        raise InvalidInputError(reason=f"{reason}. Of plain files and folders prefect-globus plan tells")


def _lines(found: Preflight) -> Iterator[str]:
    """What a person reads."""
    for each in found.findings:
        yield f"{each.level:<8} {each.check:<12} {each.words}"
        if each.mend and each.level is not Level.OK:
            yield f"{'':<21} {each.mend}"
    problems = len(found.problems)
    yield (
        f"The transfer cannot begin: {problems} problem{'s' * (problems > 1)}"
        if problems
        else "The transfer can begin, as far as is known"
    )
