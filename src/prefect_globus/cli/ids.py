"""Ids of transfers on the command line: completed by the shell, checked early, and the nearest to a wrong one named."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote

import click
from click.shell_completion import CompletionItem
from platformdirs import user_data_path

from prefect_globus.cli.state import State
from prefect_globus.transfers.errors import StoreError, TransferNotFoundError

if TYPE_CHECKING:
    from prefect_globus.blocks import CheckpointStore

# As the store has them. It is not asked, because it is a Prefect block, which takes seconds to import.
_QUERY = "SELECT id, status FROM prefect_globus_transfers ORDER BY created_at DESC LIMIT 1000"
_SECONDS = 2
_LIKENESS, _TYPOS = 0.75, 3  # ids that were made for transfers are alike for the most part: they may differ by so few
_SQLITE = "sqlite:///"
_POSTGRESQL = ("postgres", "postgresql")


class UnknownTransferError(click.ClickException):
    """There is no such transfer, but one with nearly that id."""


def transfer_ids(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The ids on record that begin with ``incomplete``, the newest first, for the shell's completion."""
    state = context.find_object(State) or State()
    try:
        found = _on_record(state.database)
    except Exception:  # noqa: BLE001 - nobody wants to read an error in the middle of a line that is typed
        return []
    return [CompletionItem(name, help=status) for name, status in found if name.startswith(incomplete)]


id_argument = click.argument("transfer_id", metavar="ID", shell_complete=transfer_ids)


def is_id(transfer_id: str) -> Callable[[CheckpointStore], object]:
    """A check that there is a transfer of this id."""
    return lambda store: store.load_transfer(transfer_id)


@contextmanager
def nearest_named(store: CheckpointStore) -> Iterator[None]:
    """Add the nearest id that there is to the error that there is none of an id.

    Raises:
        UnknownTransferError: with both.
    """
    try:
        yield
    except TransferNotFoundError as error:
        try:
            known = [each.id for each in store.list_transfers()]
        except StoreError:
            raise error from None
        cutoff = max(_LIKENESS, 1 - _TYPOS / max(len(error.transfer_id), 1))
        near = get_close_matches(error.transfer_id, known, n=1, cutoff=cutoff)
        if not near or error.transfer_id in known:  # in which case it is a batch that is missing
            raise
        there = f"There is no transfer {error.transfer_id!r} in the checkpoint store {error.store}."
        raise UnknownTransferError(f"{there} Did you mean {near[0]!r}?") from error


def _on_record(database: str | None) -> list[tuple[str, str]]:
    scheme, _, rest = (database or "").partition("://")
    if scheme.partition("+")[0] in _POSTGRESQL:
        psycopg = import_module("psycopg")
        with psycopg.connect(f"postgresql://{rest}", connect_timeout=_SECONDS) as connection:
            return list(connection.execute(_QUERY).fetchall())
    path = default_file() if not database else Path(unquote(database.removeprefix(_SQLITE)).partition("?")[0])
    address = f"{path.expanduser().absolute().as_uri()}?mode=ro"
    with closing(sqlite3.connect(address, uri=True, timeout=_SECONDS)) as connection:
        return list(connection.execute(_QUERY))


def default_file() -> Path:
    """The database of those who name none."""
    return user_data_path("prefect-globus") / "checkpoints.db"
