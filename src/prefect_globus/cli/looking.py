"""The commands that look at transfers: `list`, `status`, `items` and `history`. Prefect is imported late."""

from __future__ import annotations

import os
from itertools import chain
from typing import Any

import click

from prefect_globus.cli import local, text
from prefect_globus.cli.help import command
from prefect_globus.cli.ids import id_argument
from prefect_globus.cli.output import say, show, stream
from prefect_globus.cli.sessions import reading
from prefect_globus.cli.state import State, output_options, store_options
from prefect_globus.cli.terminal import width
from prefect_globus.cli.watching import watch
from prefect_globus.transfers.states import TransferStatus

_OTHER_GLOBUS = "GLOBUS_SDK_SERVICE_URL_TRANSFER"  # whose tasks Globus' web app does not show

match_option = click.option(
    "--match",
    metavar="PATTERN",
    help="Only those whose path matches (* ? [] as in a shell; a pattern with a / is compared with the whole relative "
    "path, one without with the name).",
)
code_option = click.option("--code", metavar="CODE", help="Only those of this code, such as PERMISSION_DENIED.")


@command(
    "list",
    examples=[
        ("The last ten", "prefect-globus list --limit 10"),
        ("What waits for somebody", "prefect-globus list --status PAUSED --status FAILED"),
        ("The ids alone, for a script", "prefect-globus list --json | jq -r '.[].id'"),
    ],
)
@click.option(
    "--status",
    "statuses",
    multiple=True,
    type=click.Choice([each.value for each in TransferStatus], case_sensitive=False),
    help="Only transfers that stand so. May be repeated.",
)
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Only the newest so many.")
@store_options
@output_options
@click.pass_obj
def list_(state: State, statuses: tuple[str, ...], limit: int | None) -> None:
    """List all transfers, the newest first."""
    with reading(state) as store:
        from prefect_globus.flows.reading import list_transfers  # noqa: PLC0415

        results = list_transfers(store, [TransferStatus(each) for each in statuses] or None, limit)
    show(results, state, empty="There are no such transfers." if statuses else "There are no transfers.")


@command(
    examples=[
        ("Where it stands, who drives it, and what to do if nobody does", "prefect-globus status nightly"),
        ("Until it has ended; the exit status tells how", "prefect-globus status nightly --watch"),
    ]
)
@id_argument
@click.option(
    "-w",
    "--watch",
    "watches",
    is_flag=True,
    help="Go on until it has ended, with the exit status 0 if it is COMPLETED. In a pipe there is a line for each "
    "change, with --json one in JSON. Ctrl-C ends the watch, not the transfer.",
)
@store_options
@output_options
@click.pass_context
def status(context: click.Context, transfer_id: str, *, watches: bool) -> None:
    """Show where the transfer ID stands."""
    state: State = context.obj
    with reading(state) as store:
        from prefect_globus.flows.reading import transfer_status  # noqa: PLC0415

        local.remembered(transfer_id)  # so that its folders are shown
        has_links = not local.is_local(transfer_id) and _OTHER_GLOBUS not in os.environ

        def shown() -> tuple[Any, str]:
            result = transfer_status(transfer_id, store)
            lease = local.live_lease(store, transfer_id)
            return result, text.block(result, lease, has_links=has_links, width=width())

        if watches:
            context.exit(watch(shown, state))
        result, words = shown()
    say(result, state, words)


@command(
    examples=[
        ("What failed for good, and why", "prefect-globus items nightly --failed"),
        ("What was denied below a folder", "prefect-globus items nightly --code PERMISSION_DENIED --match 'raw/*'"),
        ("All, one JSON record a line", "prefect-globus items nightly --json"),
    ]
)
@id_argument
@click.option("--failed", is_flag=True, help="The dead letters: those that failed for good.")
@click.option("--skipped", is_flag=True, help="Those that were skipped.")
@click.option("--remaining", is_flag=True, help="Those that still need work.")
@click.option("--changed", is_flag=True, help="Those that were transferred, but had changed since they were scanned.")
@match_option
@code_option
@store_options
@output_options
@click.pass_obj
def items(state: State, /, transfer_id: str, **choice: Any) -> None:  # noqa: ANN401 - as the call takes them
    """List the items of the transfer ID, and what became of them.

    All of them, unless some are named.
    """
    with reading(state) as store:
        from prefect_globus.flows.reading import transfer_items  # noqa: PLC0415

        found = transfer_items(transfer_id, **choice, checkpoints=store)
        if state.json:
            stream(found)
            return
        first = next(found, None)
        if first is None:
            state.hint("There are no such items." if any(choice.values()) else "There are no items yet.")
            return
        room = width()
        for item in chain([first], found):
            click.echo(text.item_line(item, room))


@command(examples=[("What was tried, when, with what result", "prefect-globus history nightly")])
@id_argument
@store_options
@output_options
@click.pass_obj
def history(state: State, transfer_id: str) -> None:
    """Show every Globus task that the transfer ID has tried.

    With what became of it, and what was noted of the items.
    """
    with reading(state) as store:
        from prefect_globus.flows.reading import transfer_history  # noqa: PLC0415

        standing = store.load_transfer(transfer_id).status
        batches = transfer_history(transfer_id, store)
        if state.json:
            stream(batches)
            return
        room = width()
        for batch in batches:
            click.echo("\n".join(text.history_lines(batch, standing, room)))
