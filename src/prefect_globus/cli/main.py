"""The command `prefect-globus`: click, over the library's calls. Prefect is imported late, because it takes seconds."""

from __future__ import annotations

import io
import os
import sys
import traceback
from collections.abc import Sequence

import click

from prefect_globus.cli.completion import PROGRAM, completion
from prefect_globus.cli.deletions import deletions
from prefect_globus.cli.help import CONTEXT, Group
from prefect_globus.cli.interrupts import INTERRUPTED, InterruptedRunError
from prefect_globus.cli.login import login, logout, whoami
from prefect_globus.cli.looking import history, items, list_, status
from prefect_globus.cli.output import complain
from prefect_globus.cli.planning import plan
from prefect_globus.cli.preflight import preflight
from prefect_globus.cli.purging import delete, purge
from prefect_globus.cli.removing import delete_extra, delete_source
from prefect_globus.cli.reporting import report
from prefect_globus.cli.schedules import schedule
from prefect_globus.cli.state import State
from prefect_globus.cli.steering import cancel, pause, redrive
from prefect_globus.cli.timers import timers
from prefect_globus.cli.transferring import resume, transfer
from prefect_globus.cli.up import up
from prefect_globus.cli.verifying import forget, verify
from prefect_globus.transfers.errors import InvalidInputError

_BAD_INPUT = 2
EXIT_STATUSES = {
    "0": "It is done.",
    "1": "It failed, partly failed or is paused; or something differs or is in the way.",
    "2": "Bad usage: nothing was begun.",
    "130": "It was interrupted, by Ctrl-C or SIGTERM. A transfer can be resumed.",
}
ENVIRONMENT = {
    "PREFECT_API_URL": "Prefect's server. Without it, one is started for a run.",
    "NO_COLOR": "Show no colors, if it is set.",
}


class EmulatorGroup(Group):
    """The emulator's commands, imported when one is asked for: they bring a web server along."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Name the commands."""
        return ["serve"]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command ``cmd_name``."""
        if cmd_name not in self.list_commands(ctx):
            return None
        from prefect_globus.emulator.command import serve  # noqa: PLC0415

        return serve


@click.group(cls=Group, context_settings=CONTEXT, tables={"Exit status": EXIT_STATUSES, "Environment": ENVIRONMENT})
@click.version_option(package_name=PROGRAM)
def cli() -> None:
    """Transfer files with Globus and Prefect; kill it at any moment, and it goes on.

    Each command tells more by --help, with examples.
    """


@click.group(cls=EmulatorGroup)
def emulator() -> None:
    """Run a local Globus, to try things out and to test.

    It needs no account.
    """


cli.add_section("Transfers", preflight, plan, transfer, resume, redrive, verify)
cli.add_section("Look", list_, status, report, items, history, report, deletions)
cli.add_section("Steer", pause, cancel)
cli.add_section("Clean up", delete_source, delete_extra, delete, purge, forget)
cli.add_section("Schedules", schedule, timers)
cli.add_section("Account", login, whoami, logout)
cli.add_section("Playground", up, emulator)
cli.add_section("Shell", completion)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line, and end the process with its exit status."""
    state = State()
    _make_streams_usable()
    try:
        code = cli.main(arguments, prog_name=PROGRAM, obj=state, standalone_mode=False)
    except BrokenPipeError:  # whoever reads has seen enough, as in `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the interpreter would complain at its end
        code = 1
    except Exception as error:  # noqa: BLE001 - no error may reach a user as a traceback
        code = _explain(error, state)
    except KeyboardInterrupt:
        code = INTERRUPTED
    sys.exit(code if isinstance(code, int) else 0)


def _make_streams_usable() -> None:
    """Have what is written go nowhere where a stream is closed, and be escaped where it cannot be encoded."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115, PTH123 - open until the end
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _explain(error: Exception, state: State) -> int:
    """Say what went wrong; return the exit status."""
    if state.debug:
        traceback.print_exception(error)
    if isinstance(error, (InterruptedRunError, click.Abort)):
        return INTERRUPTED
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        error.show()
    else:
        complain(error)
    if isinstance(error, click.ClickException):
        return error.exit_code
    return _BAD_INPUT if isinstance(error, InvalidInputError) else 1
