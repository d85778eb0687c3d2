"""What the options that all commands share were set to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import click

_F = TypeVar("_F", bound=Callable[..., Any])


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


def _shared(*names: str, **settings: Any) -> Callable[[_F], _F]:  # noqa: ANN401 - as click.option
    def keep(context: click.Context, parameter: click.Parameter, value: Any) -> None:  # noqa: ANN401
        setattr(context.find_object(State) or State(), str(parameter.name), value)

    return click.option(*names, expose_value=False, callback=keep, **settings)


def _all_of(*decorators: Callable[[_F], _F]) -> Callable[[_F], _F]:
    def decorate(command: _F) -> _F:
        for each in reversed(decorators):
            command = each(command)
        return command

    return decorate


debug_option = _shared("--debug", is_flag=True, is_eager=True, help="Show the traceback of an error.")

store_options = _all_of(
    _shared(
        "--database",
        metavar="URL",
        envvar="PREFECT_GLOBUS_DATABASE_URL",
        show_envvar=True,
        help="Database of the checkpoints: sqlite:////path or postgresql://... By default a file of the user's.",
    ),
    _shared(
        "--checkpoints",
        metavar="BLOCK",
        envvar="PREFECT_GLOBUS_CHECKPOINTS",
        show_envvar=True,
        help="Name of a Prefect block instead: the checkpoint store.",
    ),
    debug_option,
)

json_option = _shared("--json", is_flag=True, help="Write JSON to standard output.")

credentials_option = _shared(
    "--credentials",
    metavar="BLOCK",
    envvar="PREFECT_GLOBUS_CREDENTIALS",
    show_envvar=True,
    help="Name of a Prefect block: the login to Globus. By default GLOBUS_CLIENT_ID and GLOBUS_CLIENT_SECRET.",
)

run_options = _all_of(
    store_options,
    credentials_option,
    json_option,
    _shared("-q", "--quiet", is_flag=True, help="Show no progress."),
    _shared("-v", "--verbose", is_flag=True, help="Show Prefect's log on standard error."),
    # for demonstrations and tests: the emulator of a local transfer waits so long before each file
    _shared("--file-delay", type=click.FloatRange(min=0), default=0.0, hidden=True),
)
