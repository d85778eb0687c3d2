"""What commands write: results to standard output, errors in a line each to standard error."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import click
from pydantic import BaseModel

from prefect_globus.cli import local, text
from prefect_globus.cli.colors import red
from prefect_globus.cli.state import State
from prefect_globus.cli.terminal import width
from prefect_globus.transfers.errors import TransferError, first_line
from prefect_globus.transfers.records import Record
from prefect_globus.transfers.result import TransferResult

if TYPE_CHECKING:
    from prefect_globus.cli.runs import Outcome

_NO_API = "Failed to reach API at"  # Prefect's words in a RuntimeError


def words(error: Exception) -> list[str]:
    """What to tell a person of an error, a line for each thing."""
    return [local.in_words(line) for line in _words(error)]


def complain(error: Exception) -> None:
    """Tell a person of an error."""
    for line in words(error):
        click.echo(f"{red('Error:')} {line}", err=True)


def say(record: BaseModel, state: State, *lines: str) -> None:
    """Write what a command has done or found: as JSON, or in ``lines`` for people."""
    # in ASCII, as a name may hold what is no text
    click.echo(json.dumps(record.model_dump(mode="json"), indent=2) if state.json else "\n".join(lines))


class Done(Record):
    """What a command has done that has no more to tell."""

    id: str
    done: str


def _words(error: Exception) -> list[str]:
    if isinstance(error, click.UsageError) and error.ctx is not None and "Did you mean" not in error.format_message():
        return [f"{error.format_message().rstrip('.')}. See: {error.ctx.command_path} --help"]
    if isinstance(error, click.ClickException):
        return [line.removeprefix("Error: ") for line in error.format_message().splitlines()]
    if isinstance(error, TransferError):
        line = first_line(error)
        return [line[:1].upper() + line[1:]]
    if str(error).startswith(_NO_API):
        return [f"{first_line(error)}. Look whether Prefect's server runs there, or correct PREFECT_API_URL."]
    return [f"{type(error).__name__}: {first_line(error)} (--debug shows more)"]


def report(outcomes: Sequence[Outcome], failures: Iterable[Exception], state: State, *, many: bool) -> None:
    """Write how runs ended; raise the last error."""
    errors = [*failures, *(each.error for each in outcomes if each.error is not None)]
    if state.json:
        results = [each.result for each in outcomes]
        click.echo(_json(results) if many else results[0].model_dump_json(indent=2))
    elif outcomes:
        click.echo("\n".join(text.summary(each.result, was_done=each.was_done) for each in outcomes))
    elif not errors:
        state.hint("There is nothing to resume.")
    for error in errors[:-1]:
        complain(error)
    if errors:
        raise errors[-1]


def show(results: Sequence[TransferResult], state: State, *, empty: str) -> None:
    """Write a table of transfers; that there are none is no part of it."""
    if state.json:
        click.echo(_json(results))
    elif results:
        click.echo("\n".join(text.table(results, width())))
    else:
        state.hint(empty)


def stream(records: Iterable[Record]) -> None:
    """Write a list of records as JSON, one a line, while they come: there may be millions."""
    joint = "["
    for record in records:
        # in ASCII, as a name may hold what is no text
        click.echo(f"{joint}\n{json.dumps(record.model_dump(mode='json'))}", nl=False)
        joint = ","
    click.echo("[]" if joint == "[" else "\n]")


def _json(results: Iterable[TransferResult]) -> str:
    return json.dumps([each.model_dump(mode="json") for each in results], indent=2)
