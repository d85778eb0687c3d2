"""The commands `verify` and `forget`. Prefect is imported late, because it takes seconds."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import click

from prefect_globus.cli import local
from prefect_globus.cli.help import command
from prefect_globus.cli.ids import id_argument, is_id
from prefect_globus.cli.output import say
from prefect_globus.cli.sessions import reading, running
from prefect_globus.cli.state import State, output_options, run_options, store_options
from prefect_globus.transfers.comparing import Check
from prefect_globus.transfers.quantities import count
from prefect_globus.transfers.states import TransferStatus
from prefect_globus.transfers.verification import Verification

if TYPE_CHECKING:
    from prefect_globus.cli.runs import Runner

_SKEW = Check.model_fields["clock_skew"].default


@command(
    examples=[
        ("Is all still there, and right?", "prefect-globus verify nightly"),
        ("Move again what is not", "prefect-globus verify nightly --repair"),
    ]
)
@id_argument
@click.option("--repair", is_flag=True, help="Move again what differs. Nothing is ever deleted.")
@click.option("--source", is_flag=True, help="Look at the source, too: what is new, has changed or vanished there?")
@click.option(
    "--checksum", is_flag=True, help="Have Globus compare the contents; it only can while it repairs (--repair)."
)
@click.option("--mtime/--no-mtime", default=True, help="Compare modification times.  [default: on]")
@click.option(
    "--clock-skew",
    type=click.FloatRange(min=0),
    default=_SKEW,
    help=f"How many seconds the destination's clock may be ahead of ours.  [default: {_SKEW:g}]",
)
@click.option(
    "--limit", type=click.IntRange(min=0), default=1000, help="How many differences to name.  [default: 1000]"
)
@run_options
@click.pass_context
def verify(context: click.Context, /, transfer_id: str, **flags: Any) -> None:  # noqa: ANN401 - as the call takes them
    """Look whether what the transfer ID has delivered is right.

    What is at the destination is compared with what was delivered there. The exit status is 1 when something differs
    and was not repaired.
    """
    state: State = context.obj
    with running(state, is_id(transfer_id)) as runner:
        verification = _verified(runner, transfer_id, state, flags)
    say(verification, state, *_lines(verification))
    if not verification.ok:
        context.exit(1)


@command(examples=[("Have one file delivered again", "prefect-globus forget $LAB:/raw $ARCHIVE:/raw run/0017.dat")])
@click.argument("source", metavar="SRC")
@click.argument("destination", metavar="DST")
@click.argument("path")
@store_options
@output_options
@click.pass_obj
def forget(state: State, source: str, destination: str, path: str) -> None:
    """Forget that PATH was delivered from SRC to DST.

    So --idempotency mtime lets it be transferred again.
    """
    places = local.Places.of(source, destination)
    if places is not None:
        source, destination = str(places.source.location), str(places.destination.location)
    with reading(state) as store:
        from prefect_globus.flows.verify import forget_delivery  # noqa: PLC0415

        transfer_id = forget_delivery(source, destination, path, store)
    click.echo(f'{{"id": "{transfer_id}"}}' if state.json else f"{path!r} is forgotten; {transfer_id} had it last")


def _verified(runner: Runner, transfer_id: str, state: State, flags: dict[str, Any]) -> Verification:
    from prefect_globus.flows.verify import verify_transfer  # noqa: PLC0415

    transfer = runner.store.load_transfer(transfer_id)
    specs = [] if local.is_local(transfer_id) else local.remembered(transfer_id)
    with ExitStack() as stack:
        if specs is not None:
            stack.enter_context(local.served(runner.store, transfer_id, specs, wait=0.0))
        runner.ready()
        verification: Verification = verify_transfer(
            transfer_id, **flags, credentials=state.credentials, checkpoints=state.checkpoints
        )
    if transfer.status is TransferStatus.COMPLETED:  # and so is a repair, or it has nothing at Globus any more
        local.forget(transfer_id)
    return verification


def _lines(verification: Verification) -> Iterator[str]:
    """What a person reads."""
    delivered = count(verification.items_delivered, "item")
    if verification.items_unseen:
        unseen = f"{count(verification.items_unseen, 'item')} could not be looked at"
        yield f"{verification.id}: {unseen}, for directories with more entries than Globus lists. To have Globus"
        yield f"compare the contents: prefect-globus verify {verification.id} --repair --checksum"
    if not verification.items_differing:
        yield f"{verification.id}: nothing differs, in {delivered}"
        return
    repaired = f", {verification.items_repaired} are repaired" if verification.items_repaired else ""
    yield f"{verification.id}: {verification.items_differing} differ{repaired}, in {delivered}"
    for each in verification.differences:
        codes = " ".join(each.codes)
        yield f"  {codes:<16} {each.path}{'  (repaired)' if each.repaired else ''}"
    if rest := verification.items_differing - len(verification.differences):
        yield f"  and {rest} more (--limit)"
    if not verification.ok:
        yield f"Repair with: prefect-globus verify {verification.id} --repair"
