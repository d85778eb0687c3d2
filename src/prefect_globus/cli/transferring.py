"""The commands `transfer` and `resume`."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from prefect_globus.cli import local
from prefect_globus.cli.flags import FIELDS, HOW_FIELDS, given, option_flags, options_of
from prefect_globus.cli.help import command
from prefect_globus.cli.ids import is_id, transfer_ids
from prefect_globus.cli.output import report, show
from prefect_globus.cli.planning import check_asking, foretell
from prefect_globus.cli.sessions import check_login, reading, running
from prefect_globus.cli.state import State, run_options
from prefect_globus.transfers.errors import TransferNotFoundError
from prefect_globus.transfers.location import Location, check_disjoint, check_transfer_id
from prefect_globus.transfers.model import PausedBy, Transfer
from prefect_globus.transfers.options import TransferOptions
from prefect_globus.transfers.states import FINAL_TRANSFER_STATUSES, TransferStatus

if TYPE_CHECKING:
    from prefect_globus.blocks import CheckpointStore
    from prefect_globus.cli.runs import Outcome, Runner


@command(
    examples=[
        ("Between two folders; this needs no account and no configuration", "prefect-globus transfer ./data ./copy"),
        (
            "Between two collections, under a name by which it is resumed",
            "prefect-globus transfer $LAB:/raw $ARCHIVE:/raw --id backup-20261122",
        ),
        (
            "Only what has changed, judged by checksum, and without temporary files",
            "prefect-globus transfer $LAB:/raw $ARCHIVE:/raw --sync-level checksum --exclude '*.tmp'",
        ),
        (
            "Each night what is new since the last night",
            "prefect-globus transfer $LAB:/raw $ARCHIVE:/raw --mode incremental",
        ),
    ]
)
@click.argument("source", metavar="SRC")
@click.argument("destination", metavar="DST")
@click.option("--id", "transfer_id", metavar="ID", help="Name of the transfer. By default one is made.")
@click.option("--dry-run", is_flag=True, help="Show what would be done, as the command plan does, and do nothing.")
@option_flags(FIELDS)
@run_options
@click.pass_context
def transfer(
    context: click.Context,
    /,
    source: str,
    destination: str,
    transfer_id: str | None,
    *,
    dry_run: bool,
    **flags: Any,  # noqa: ANN401 - as the options take them
) -> None:
    """Transfer SRC to DST, or resume that transfer if ID is known.

    Both are locations on Globus, as UUID:/path, or both are plain files or folders, which need no account and no
    configuration. What the folder SRC contains will be in the folder DST.
    """
    state: State = context.obj
    values = given(flags)
    options = options_of(TransferOptions(), values)
    check_transfer_id(transfer_id or "new")
    if dry_run:
        foretell(source, destination, values, context)
        return
    check_asking(options)
    places = local.Places.of(source, destination)
    between = places.locations if places is not None else (Location.parse(source), Location.parse(destination))
    check_disjoint(*between)

    def check(store: CheckpointStore) -> None:
        if transfer_id is not None:
            local.remembered(transfer_id)  # so that an error names its folders
            _check_same(store, transfer_id, between, values)
        if places is None:
            check_login(state)

    begins_anew = places is not None and transfer_id is None  # when there is nothing to check
    with running(state, None if begins_anew else check) as runner:
        outcome = runner.transfer(source, destination, places, transfer_id or _new_id(), values)
    report([outcome], [], state, many=False)


@command(
    examples=[
        ("After a crash, a reboot, a Ctrl-C", "prefect-globus resume nightly"),
        ("All that was cut off", "prefect-globus resume"),
        ("With more patience from now on", "prefect-globus resume nightly --retry-limit 10"),
    ]
)
@click.argument("transfer_id", metavar="[ID]", required=False, shell_complete=transfer_ids)
@click.option("--dry-run", is_flag=True, help="Show what would be resumed, and move nothing.")
@option_flags(HOW_FIELDS)
@run_options
@click.pass_obj
def resume(state: State, /, transfer_id: str | None, dry_run: bool, **flags: Any) -> None:  # noqa: ANN401
    """Resume the transfer ID, or all that were cut off.

    Without an ID that is all that are not final, the oldest first, but for those that somebody has paused. The options
    of the transfer stay as they are, but for those that are given.
    """
    values = given(flags)
    options_of(TransferOptions(), values)
    if dry_run:
        with reading(state) as store:
            from prefect_globus.flows.reading import transfer_status  # noqa: PLC0415

            results = [transfer_status(each, store) for each in _to_resume(store, transfer_id)]
        show(results, state, empty="There is nothing to resume.")
        return
    failures: list[Exception] = []
    with running(state, is_id(transfer_id) if transfer_id is not None else None) as runner:
        if transfer_id is not None:
            outcomes = [runner.resume(transfer_id, values)]
        else:
            outcomes = list(_resume_all(runner, values, failures, state))
    report(outcomes, failures, state, many=transfer_id is None)


def _new_id() -> str:
    return f"transfer-{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"


def _check_same(
    store: CheckpointStore, transfer_id: str, between: tuple[Location, Location], values: dict[str, Any]
) -> None:
    """Raise DifferentTransferError if ``transfer_id`` is another transfer than is meant."""
    from prefect_globus.tasks.opening import matching  # noqa: PLC0415

    try:
        recorded = store.load_transfer(transfer_id)
    except TransferNotFoundError:
        return
    wanted = recorded.evolve(source=between[0], destination=between[1])
    matching(recorded, wanted, options_of(recorded.options, values))


def _to_resume(store: CheckpointStore, transfer_id: str | None) -> list[str]:
    if transfer_id is not None:
        return [transfer_id]
    return [each.id for each in _unfinished(store) if not _waits_for_somebody(each)]


def _unfinished(store: CheckpointStore) -> list[Transfer]:
    return [each for each in store.list_transfers() if each.status not in FINAL_TRANSFER_STATUSES][::-1]


def _waits_for_somebody(transfer: Transfer) -> bool:
    return transfer.status is TransferStatus.PAUSED and transfer.paused_by is not PausedBy.FAULT


def _resume_all(runner: Runner, values: dict[str, Any], failures: list[Exception], state: State) -> Iterator[Outcome]:
    """Resume what nobody drives; what cannot even begin goes to ``failures`` and hinders no other."""
    for transfer in filter(_waits_for_somebody, _unfinished(runner.store)):
        hint = f"Resume it with: prefect-globus resume {transfer.id}"
        state.hint(f"{transfer.id} is left alone: it is paused, {transfer.error}. {hint}")
    for each in _to_resume(runner.store, None):
        lease = local.live_lease(runner.store, each)
        if lease is not None:
            state.hint(f"{each} is left alone: {lease.holder.description} drives it")
            continue
        try:
            outcome = runner.resume(each, values, by_name=False)
        except Exception as error:
            if runner.interrupted:
                raise
            failures.append(error)
        else:
            yield outcome
