"""What commands work with: the checkpoint store, and Prefect around what runs transfers. It is imported late."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from prefect_globus.cli.ids import nearest_named
from prefect_globus.cli.interrupts import interruptible
from prefect_globus.cli.logs import quiet_logging
from prefect_globus.cli.server import prefect_api
from prefect_globus.cli.state import State
from prefect_globus.transfers.errors import InvalidInputError

if TYPE_CHECKING:
    from prefect_globus.blocks import CheckpointStore
    from prefect_globus.cli.runs import Runner


@contextmanager
def running(state: State, check: Callable[[CheckpointStore], object] | None = None) -> Iterator[Runner]:
    """What runs transfers, with Prefect around it.

    Args:
        state: the shared options.
        check: raises an error where the checkpoint store says that this cannot be; before a server is started, if one
            has to be.
    """
    _configure(state)
    if check is not None and not state.names_blocks:
        with _default_store() as store:
            check(store)
    with interruptible() as interruption, prefect_api(quiet=state.quiet) as ready:
        from prefect_globus.cli.runs import Runner  # noqa: PLC0415

        if not state.verbose:
            quiet_logging(quiet=state.quiet)
        runner = Runner(state, interruption, ready)
        with nearest_named(runner.store):
            if check is not None and state.names_blocks:
                check(runner.store)
            yield runner


@contextmanager
def reading(state: State, *, missing_ok: bool = False) -> Iterator[CheckpointStore]:
    """The checkpoint store; Prefect's API is only asked for it when it is a block.

    Args:
        state: the shared options.
        missing_ok: take a database that is not there for one that has nothing in it, and make it.
    """
    _configure(state)
    if state.names_blocks:
        with running(state) as runner:
            yield runner.store
        return
    with _default_store() as store:
        if not missing_ok:
            _check_file(state)
        yield store


def check_login(state: State) -> None:
    """Raise MissingCredentialsError if there is no login; whether Globus takes it is for Globus to say."""
    from prefect_globus.flows.blocks import find_credentials  # noqa: PLC0415

    if state.credentials is None:
        _ = find_credentials(None).account


def _check_file(state: State) -> None:
    """Tell a wrong name of a database from one that has nothing in it: to read it would make it.

    Raises:
        InvalidInputError: it is named on the command line, and not there.
    """
    if state.database is None:
        return
    from prefect_globus.blocks.sql_engine import checked_url  # noqa: PLC0415

    url = checked_url(state.database)
    if url.get_backend_name() != "sqlite" or Path(str(url.database)).exists():
        return
    source = click.get_current_context().get_parameter_source("database")
    if source is ParameterSource.COMMANDLINE:
        reason = f"there is no database {url.database}: correct --database. The first transfer that names it makes it"
        raise InvalidInputError(reason=reason)
    if "transfer_id" not in click.get_current_context().params:  # of which there is an error
        state.hint(f"There is no database {url.database} yet, which PREFECT_GLOBUS_DATABASE_URL names.")


@contextmanager
def _default_store() -> Iterator[CheckpointStore]:
    from prefect_globus.flows.blocks import find_checkpoints  # noqa: PLC0415

    quiet_logging()
    store = find_checkpoints(None)
    with nearest_named(store):
        yield store


@contextmanager
def loading(state: State, *, blocks: bool) -> Iterator[None]:
    """For what needs no checkpoint store; Prefect's API is only asked for when ``blocks`` are loaded or saved."""
    _configure(state)
    if not blocks:
        quiet_logging()
        yield
        return
    with prefect_api(quiet=state.quiet) as ready:
        quiet_logging()
        ready()
        yield


def _configure(state: State) -> None:
    """Set what must be set before Prefect is imported and children are started."""
    # A child that is started by `python -m` would import the user's grp.py or random.py from the current folder.
    os.environ.setdefault("PYTHONSAFEPATH", "1")
    os.environ.setdefault("DO_NOT_TRACK", "1")  # Prefect would explain its telemetry in the middle of a first run
    if not sys.warnoptions:
        warnings.simplefilter("ignore")
    if state.database is not None:
        os.environ["PREFECT_GLOBUS_DATABASE_URL"] = state.database
