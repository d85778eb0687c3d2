"""The commands that steer a transfer: `pause`, `cancel` and `redrive`."""

from __future__ import annotations

from typing import Any

import click

from prefect_globus.cli import text
from prefect_globus.cli.flags import HOW_FIELDS, given, option_flags, options_of
from prefect_globus.cli.help import command
from prefect_globus.cli.ids import id_argument
from prefect_globus.cli.looking import code_option, match_option
from prefect_globus.cli.output import report, say
from prefect_globus.cli.sessions import reading, running
from prefect_globus.cli.state import State, credentials_option, output_options, run_options, store_options
from prefect_globus.transfers.options import TransferOptions
from prefect_globus.transfers.quantities import count
from prefect_globus.transfers.states import TransferStatus


@command(
    examples=[
        ("When what runs at Globus has finished", "prefect-globus pause nightly"),
        ("At once", "prefect-globus pause nightly --now"),
    ]
)
@id_argument
@click.option("--now", is_flag=True, help="Cancel its running Globus tasks, rather than let them finish.")
@store_options
@credentials_option
@output_options
@click.pass_obj
def pause(state: State, transfer_id: str, *, now: bool) -> None:
    """Pause the transfer ID until it is resumed. Nothing new is begun; what runs at Globus finishes."""
    with reading(state):
        from prefect_globus.cli.runs import pause as pause_run  # noqa: PLC0415

        result = pause_run(transfer_id, state, now=now)
    say(result, state, text.standing(result))
    if result.status is TransferStatus.PAUSED:
        state.hint(f"Resume it with: prefect-globus resume {result.id}")
    elif result.status in (TransferStatus.SCANNING, TransferStatus.TRANSFERRING):
        state.hint("It will be PAUSED as soon as what runs at Globus has ended; --now would cancel that.")


@command(examples=[("For good", "prefect-globus cancel nightly")])
@id_argument
@store_options
@credentials_option
@output_options
@click.pass_obj
def cancel(state: State, transfer_id: str) -> None:
    """Cancel the transfer ID, and its running Globus tasks. What was transferred stays."""
    with reading(state):
        from prefect_globus.cli.runs import cancel as cancel_run  # noqa: PLC0415

        result = cancel_run(transfer_id, state)
    say(result, state, text.standing(result))


@command(
    examples=[
        ("All of them, when what was in their way is mended", "prefect-globus redrive nightly"),
        ("Some of them", "prefect-globus redrive nightly --code PERMISSION_DENIED --match 'raw/*'"),
    ]
)
@id_argument
@match_option
@code_option
@option_flags(HOW_FIELDS)
@run_options
@click.pass_obj
def redrive(state: State, /, transfer_id: str, match: str | None, code: str | None, **flags: Any) -> None:  # noqa: ANN401
    """Try the dead letters of the transfer ID again.

    They are the items that failed for good: all are tried again, or those that are chosen, and what else remains of the
    transfer. To see them: prefect-globus items ID --failed
    """
    values = given(flags)
    options_of(TransferOptions(), values)
    with reading(state) as store:  # what cannot be tried again is refused before a server is started
        from prefect_globus.flows.redriving import mark_for_redrive  # noqa: PLC0415

        marked = mark_for_redrive(store, transfer_id, match, code)
    state.hint(f"{count(marked, 'dead letter')} will be tried again")
    with running(state) as runner:
        outcome = runner.resume(transfer_id, values)
    report([outcome], [], state, many=False)
