"""The command `prefect-globus`: click, over the library's calls. Prefect is imported late, because it takes seconds."""

from __future__ import annotations

import json
import os
import secrets
import sys
import traceback
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from prefect_globus.cli import local, text
from prefect_globus.cli.flags import FIELDS, HOW_FIELDS, given, option_flags, options_of
from prefect_globus.cli.interrupts import INTERRUPTED, InterruptedRunError, interruptible
from prefect_globus.cli.logs import quiet_logging
from prefect_globus.cli.server import prefect_api
from prefect_globus.cli.state import State, credentials_option, json_option, run_options, store_options
from prefect_globus.transfers.errors import InvalidInputError, TransferError, first_line
from prefect_globus.transfers.location import Location, check_disjoint, check_transfer_id
from prefect_globus.transfers.options import TransferOptions
from prefect_globus.transfers.result import TransferResult
from prefect_globus.transfers.states import FINAL_TRANSFER_STATUSES

if TYPE_CHECKING:
    from prefect_globus.blocks import CheckpointStore
    from prefect_globus.cli.runs import Outcome, Runner

_BAD_INPUT = 2
_ID = click.argument("transfer_id", metavar="ID")


class EmulatorGroup(click.Group):
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


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="prefect-globus")
def cli() -> None:
    """Transfer files with Globus and Prefect; kill it at any moment, and it goes on."""


@cli.command()
@click.argument("source", metavar="SRC")
@click.argument("destination", metavar="DST")
@click.option("--id", "transfer_id", metavar="ID", help="Name of the transfer. By default one is made.")
@option_flags(FIELDS)
@run_options
@click.pass_obj
def transfer(state: State, /, source: str, destination: str, transfer_id: str | None, **flags: Any) -> None:  # noqa: ANN401
    """Transfer SRC to DST, or resume that transfer if ID is known.

    Both are locations on Globus, as UUID:/path, or both are plain files or folders, which need no account and no
    configuration. What the folder SRC contains will be in the folder DST.
    """
    values = given(flags)
    options_of(TransferOptions(), values)
    transfer_id = check_transfer_id(transfer_id or _new_id())
    places = local.Places.of(source, destination)
    if places is None:
        check_disjoint(Location.parse(source), Location.parse(destination))
    with _running(state) as runner:
        outcome = runner.transfer(source, destination, places, transfer_id, values)
    _report([outcome], [], state, many=False)


@cli.command()
@click.argument("transfer_id", metavar="[ID]", required=False)
@click.option("--dry-run", is_flag=True, help="Show what would be resumed, and move nothing.")
@option_flags(HOW_FIELDS)
@run_options
@click.pass_obj
def resume(state: State, /, transfer_id: str | None, dry_run: bool, **flags: Any) -> None:  # noqa: ANN401
    """Resume the transfer ID, or all that are not final, the oldest first.

    The options of the transfer stay as they are, but for those that are given.
    """
    values = given(flags)
    options_of(TransferOptions(), values)
    if dry_run:
        with _reading(state) as store:
            results = [_status(store, each) for each in _to_resume(store, transfer_id)]
        _show(results, state, empty="There is nothing to resume.")
        return
    failures: list[Exception] = []
    with _running(state) as runner:
        if transfer_id is not None:
            outcomes = [runner.resume(transfer_id, values)]
        else:
            outcomes = list(_resume_all(runner, values, failures))
    _report(outcomes, failures, state, many=transfer_id is None)


@cli.command()
@_ID
@store_options
@json_option
@click.pass_obj
def status(state: State, transfer_id: str) -> None:
    """Show where the transfer ID stands."""
    with _reading(state) as store:
        result = _status(store, transfer_id)
        lease = local.live_lease(store, transfer_id)
    click.echo(result.model_dump_json(indent=2) if state.json else text.block(result, lease))


@cli.command("list")
@store_options
@json_option
@click.pass_obj
def list_(state: State) -> None:
    """List all transfers, the newest first."""
    with _reading(state) as store:
        from prefect_globus.flows.control import list_transfers  # noqa: PLC0415

        results = list_transfers(store)
    _show(results, state, empty="There are no transfers.")


@cli.command()
@_ID
@store_options
@credentials_option
@json_option
@click.pass_obj
def cancel(state: State, transfer_id: str) -> None:
    """Cancel the transfer ID, and its running Globus tasks. What was transferred stays."""
    with _reading(state):
        from prefect_globus.cli.runs import cancel as cancel_run  # noqa: PLC0415

        result = cancel_run(transfer_id, state)
    words = f"{result.id} is {result.status}: {result.items_transferred} of {result.items_total} items transferred"
    click.echo(result.model_dump_json(indent=2) if state.json else words)


@cli.command()
@_ID
@click.option("--force", is_flag=True, help="Forget also Globus tasks that may still be running.")
@store_options
@click.pass_obj
def delete(state: State, transfer_id: str, *, force: bool) -> None:
    """Forget the transfer ID. What was transferred stays where it is."""
    with _reading(state) as store:
        from prefect_globus.flows.control import delete_transfer  # noqa: PLC0415

        delete_transfer(transfer_id, store, force=force)
    local.forget(transfer_id)
    click.echo(f"{transfer_id} is deleted")


@cli.group(cls=EmulatorGroup)
def emulator() -> None:
    """Run a local Globus, to try things out and to test without an account."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line, and end the process with its exit status."""
    state = State()
    try:
        code = cli.main(arguments, prog_name="prefect-globus", obj=state, standalone_mode=False)
    except Exception as error:  # noqa: BLE001 - no error may reach a user as a traceback
        code = _explain(error, state)
    except KeyboardInterrupt:
        code = INTERRUPTED
    sys.exit(code if isinstance(code, int) else 0)


def _explain(error: Exception, state: State) -> int:
    """Say what went wrong; return the exit status."""
    if state.debug:
        traceback.print_exception(error)
    if isinstance(error, (InterruptedRunError, click.Abort)):
        return INTERRUPTED
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        error.show()
    else:
        for line in _words(error):
            click.echo(f"Error: {line}", err=True)
    if isinstance(error, click.ClickException):
        return error.exit_code
    return _BAD_INPUT if isinstance(error, InvalidInputError) else 1


def _words(error: Exception) -> list[str]:
    if isinstance(error, click.ClickException):
        return [line.removeprefix("Error: ") for line in error.format_message().splitlines()]
    if isinstance(error, TransferError):
        return [first_line(error)]
    return [f"{type(error).__name__}: {first_line(error)} (--debug shows more)"]


@contextmanager
def _running(state: State) -> Iterator[Runner]:
    """What runs transfers, with Prefect around it."""
    _configure(state)
    with interruptible() as interruption, prefect_api(quiet=state.quiet) as ready:
        from prefect_globus.cli.runs import Runner  # noqa: PLC0415

        if not state.verbose:
            quiet_logging()
        yield Runner(state, interruption, ready)


@contextmanager
def _reading(state: State) -> Iterator[CheckpointStore]:
    """The checkpoint store; Prefect's API is only asked for it when it is a block."""
    _configure(state)
    if state.names_blocks:
        with _running(state) as runner:
            yield runner.store
        return
    from prefect_globus.flows.blocks import find_checkpoints  # noqa: PLC0415

    quiet_logging()
    yield find_checkpoints(None)


def _configure(state: State) -> None:
    """Set what must be set before Prefect is imported and children are started."""
    # A child that is started by `python -m` would import the user's grp.py or random.py from the current folder.
    os.environ.setdefault("PYTHONSAFEPATH", "1")
    os.environ.setdefault("DO_NOT_TRACK", "1")  # Prefect would explain its telemetry in the middle of a first run
    if not sys.warnoptions:
        warnings.simplefilter("ignore")
    if state.database is not None:
        os.environ["PREFECT_GLOBUS_DATABASE_URL"] = state.database


def _status(store: CheckpointStore, transfer_id: str) -> TransferResult:
    from prefect_globus.flows.control import transfer_status  # noqa: PLC0415

    return transfer_status(transfer_id, store)


def _to_resume(store: CheckpointStore, transfer_id: str | None) -> list[str]:
    if transfer_id is not None:
        return [transfer_id]
    newest_first = [each.id for each in store.list_transfers() if each.status not in FINAL_TRANSFER_STATUSES]
    return newest_first[::-1]


def _resume_all(runner: Runner, values: dict[str, Any], failures: list[Exception]) -> Iterator[Outcome]:
    """Resume what nobody drives; what cannot even begin goes to ``failures`` and hinders no other."""
    for each in _to_resume(runner.store, None):
        lease = local.live_lease(runner.store, each)
        if lease is not None:
            click.echo(f"{each} is left alone: {lease.holder.description} drives it", err=True)
            continue
        try:
            outcome = runner.resume(each, values)
        except Exception as error:
            if runner.interrupted:
                raise
            failures.append(error)
        else:
            yield outcome


def _report(outcomes: Sequence[Outcome], failures: Iterable[Exception], state: State, *, many: bool) -> None:
    """Write how runs ended to stdout; raise the last error."""
    errors = [*failures, *(each.error for each in outcomes if each.error is not None)]
    if state.json:
        results = [each.result for each in outcomes]
        click.echo(_json(results) if many else results[0].model_dump_json(indent=2))
    elif outcomes:
        click.echo("\n".join(text.summary(each.result, each.seconds) for each in outcomes))
    elif not errors:
        click.echo("There is nothing to resume.")
    for error in errors[:-1]:
        click.echo("\n".join(f"Error: {line}" for line in _words(error)), err=True)
    if errors:
        raise errors[-1]


def _show(results: Sequence[TransferResult], state: State, *, empty: str) -> None:
    shown = "\n".join(text.table(results)) if results else empty
    click.echo(_json(results) if state.json else shown)


def _json(results: Iterable[TransferResult]) -> str:
    return json.dumps([each.model_dump(mode="json") for each in results], indent=2)


def _new_id() -> str:
    return f"transfer-{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"
