"""The command `deletions`. Prefect is imported late, because it takes seconds."""

from __future__ import annotations

from contextlib import ExitStack

import click

from prefect_globus.cli import local
from prefect_globus.cli.help import command
from prefect_globus.cli.ids import id_argument
from prefect_globus.cli.output import stream
from prefect_globus.cli.sessions import reading
from prefect_globus.cli.state import State, credentials_option, output_options, store_options
from prefect_globus.transfers.items import Item, ItemType
from prefect_globus.transfers.markdown import printable
from prefect_globus.transfers.records import Record
from prefect_globus.transfers.states import TransferStatus


class _Deletion(Record):
    """An item in JSON."""

    path: str
    size: int
    mtime: int
    type: ItemType

    @classmethod
    def of(cls, item: Item) -> _Deletion:
        return cls(**item._asdict())


@command(examples=[("What a nightly run has not found any more", "prefect-globus deletions monday")])
@id_argument
@store_options
@credentials_option
@output_options
@click.pass_obj
def deletions(state: State, transfer_id: str) -> None:
    """List what the incremental transfer ID has found gone.

    Gone from the source, that is; nothing is deleted. It is what the transfers before have delivered, or what the
    destination has now if it was compared with that.
    """
    with reading(state) as store, ExitStack() as stack:
        from prefect_globus.flows.deletions import transfer_deletions  # noqa: PLC0415

        transfer = store.load_transfer(transfer_id)
        if transfer.options.compare_with == "destination":
            specs = [] if local.is_local(transfer_id) else local.remembered(transfer_id)
            if specs is not None:
                stack.enter_context(local.served(store, transfer_id, specs, wait=0.0))
                if transfer.status is TransferStatus.COMPLETED:
                    stack.callback(local.forget, transfer_id)
        found = transfer_deletions(transfer_id, credentials=state.credentials, checkpoints=store)
        if state.json:
            stream(map(_Deletion.of, found))
            return
        for item in found:
            click.echo(f"{printable(item.path)}{'/' if item.type is ItemType.DIRECTORY else ''}")
