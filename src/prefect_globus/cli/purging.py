"""The commands `purge` and `delete`. Prefect is imported late, because it takes seconds."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import timedelta

import click

from prefect_globus.cli import local
from prefect_globus.cli.help import command
from prefect_globus.cli.ids import id_argument
from prefect_globus.cli.output import Done, say
from prefect_globus.cli.sessions import reading
from prefect_globus.cli.spans import Span
from prefect_globus.cli.state import State, output_options, store_options
from prefect_globus.transfers.purging import PURGEABLE_STATUSES, Purged
from prefect_globus.transfers.quantities import count, span
from prefect_globus.transfers.records import now
from prefect_globus.transfers.states import TransferStatus

_DEFAULT = (TransferStatus.COMPLETED, TransferStatus.CANCELED)


@command(
    examples=[
        ("Forget this one", "prefect-globus delete nightly"),
    ]
)
@id_argument
@click.option("--force", is_flag=True, help="Forget also Globus tasks that may still be running.")
@store_options
@output_options
@click.pass_obj
def delete(state: State, transfer_id: str, *, force: bool) -> None:
    """Forget the transfer ID. What was transferred stays where it is."""
    with reading(state) as store:
        from prefect_globus.flows.control import delete_transfer  # noqa: PLC0415

        delete_transfer(transfer_id, store, force=force)
    local.forget(transfer_id, specs=True)
    say(Done(id=transfer_id, done="deleted"), state, f"{transfer_id} is deleted")


@command(
    examples=[
        ("See what would be forgotten", "prefect-globus purge --older-than 90d --dry-run"),
        ("In a cron job", "prefect-globus purge --older-than 90d --yes --quiet"),
    ]
)
@click.option(
    "--older-than",
    type=Span(),
    default="30d",
    show_default=True,
    metavar="AGE",
    help="Only transfers that have not changed for so long, such as 30d or 12h.",
)
@click.option(
    "--status",
    "statuses",
    multiple=True,
    type=click.Choice(sorted(PURGEABLE_STATUSES), case_sensitive=False),
    help="Only transfers that have ended so; may be repeated.  [default: COMPLETED and CANCELED]",
)
@click.option("--dry-run", is_flag=True, help="Show what would be deleted, and delete nothing.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@store_options
@output_options
@click.pass_obj
def purge(state: State, *, older_than: timedelta, statuses: tuple[str, ...], dry_run: bool, yes: bool) -> None:
    """Forget the transfers that ended long ago. What was transferred stays where it is.

    Shows what it would delete, and asks. Kept is what somebody drives, and what the next transfer may need: the last
    complete one between two locations, and the one by which the runs of a schedule are counted.
    """
    if not (dry_run or yes or sys.stdin.isatty()):
        raise click.UsageError("Nobody is there to be asked: give --dry-run to see what would be deleted, or --yes")
    wanted = [TransferStatus(each) for each in statuses] or _DEFAULT
    asks = not (dry_run or yes)
    with reading(state) as store:
        from prefect_globus.flows.purging import purge as purge_store  # noqa: PLC0415

        purged = purge_store(store, older_than, wanted, dry_run=dry_run or asks)
        if asks and purged.transfers and _agreed(purged):
            purged = purge_store(store, older_than, wanted, dry_run=False, only=purged.ids)
    if not purged.dry_run:
        for transfer_id in purged.ids:
            local.forget(transfer_id, specs=True)
    say(purged, state, *_lines(purged))


def _agreed(purged: Purged) -> bool:
    click.echo("\n".join(_lines(purged)), err=True)
    return click.confirm(f"Delete {'it' if len(purged.transfers) == 1 else 'them'}?", err=True)


def _lines(purged: Purged) -> Iterator[str]:
    """What a person reads."""
    verb = "to delete" if purged.dry_run else "deleted"
    yield f"{count(len(purged.transfers), 'transfer')} {verb}, {len(purged.kept)} kept"
    for each in purged.transfers:
        yield f"  {each.transfer_id}, {each.status} for {span((now() - each.updated_at).total_seconds())}"
    for kept in purged.kept:
        yield f"  {kept.transfer_id} is kept: {kept.reason}"
