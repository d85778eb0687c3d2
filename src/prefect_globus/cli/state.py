"""What the options that all commands share were set to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import click

from prefect_globus.cli.help import OUTPUT, Option

_F = TypeVar("_F", bound=Callable[..., Any])
_WHERE = "Login and checkpoint"


@dataclass
class State:
    """The shared options of one call of the command line."""

    database: str | None = None
    checkpoints: str | None = None
    credentials: str | None = None
    json: bool = False
    quiet: bool = False
    verbose: bool = False
    debug: bool = False
    file_delay: float = 0.0

    @property
    def names_blocks(self) -> bool:
        """Whether blocks are to be loaded, for which Prefect's API is needed."""
        return self.checkpoints is not None or self.credentials is not None

    def hint(self, words: str) -> None:
        """Tell a person something besides the result."""
        if not self.quiet:
            click.echo(words, err=True)


def _shared(*names: str, section: str, **settings: Any) -> Callable[[_F], _F]:  # noqa: ANN401 - as click.option
    def keep(context: click.Context, parameter: click.Parameter, value: Any) -> None:  # noqa: ANN401
        setattr(context.find_object(State) or State(), str(parameter.name), value)

    return click.option(*names, cls=Option, section=section, expose_value=False, callback=keep, **settings)


def _all_of(*decorators: Callable[[_F], _F]) -> Callable[[_F], _F]:
    def decorate(command: _F) -> _F:
        for each in reversed(decorators):
            command = each(command)
        return command

    return decorate


checkpoints_option = _shared(
    "--checkpoints",
    section=_WHERE,
    metavar="BLOCK",
    envvar="PREFECT_GLOBUS_CHECKPOINTS",
    show_envvar=True,
    help="Name of a Prefect block: the checkpoint store, instead of a database.",
)

store_options = _all_of(
    _shared(
        "--database",
        section=_WHERE,
        metavar="URL",
        envvar="PREFECT_GLOBUS_DATABASE_URL",
        show_envvar=True,
        help="Database of the checkpoints: sqlite:////path or postgresql://... By default a file of the user's.",
    ),
    checkpoints_option,
)

credentials_option = _shared(
    "--credentials",
    section=_WHERE,
    metavar="BLOCK",
    envvar="PREFECT_GLOBUS_CREDENTIALS",
    show_envvar=True,
    help="Name of a Prefect block: the login to Globus. By default GLOBUS_CLIENT_ID and GLOBUS_CLIENT_SECRET, "
    "or else that of prefect-globus login.",
)

output_options = _all_of(
    _shared("--json", section=OUTPUT, is_flag=True, help="Write JSON to standard output, and nothing else."),
    _shared("-q", "--quiet", section=OUTPUT, is_flag=True, help="Show the result alone: no progress, no hints."),
    _shared("--debug", section=OUTPUT, is_flag=True, is_eager=True, help="Show the traceback of an error."),
)

run_options = _all_of(
    store_options,
    credentials_option,
    output_options,
    _shared("-v", "--verbose", section=OUTPUT, is_flag=True, help="Show Prefect's log on standard error."),
    # for demonstrations and tests: the emulator of a local transfer waits so long before each file
    _shared("--file-delay", section=OUTPUT, type=click.FloatRange(min=0), default=0.0, hidden=True),
)
