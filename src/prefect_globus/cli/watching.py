"""`status --watch`: look again and again, until a transfer has ended."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator

import click

from prefect_globus.cli import text
from prefect_globus.cli.state import State
from prefect_globus.transfers.result import TransferResult
from prefect_globus.transfers.states import FINAL_TRANSFER_STATUSES, TransferStatus

_LOOK_SECONDS = 1.0
_ENDS = FINAL_TRANSFER_STATUSES | {TransferStatus.FAILED}

Look = Callable[[], tuple[TransferResult, str]]
"""Where the transfer stands, and the same in words."""


def watch(look: Look, state: State) -> int:
    """Show where a transfer stands until it has ended; return the exit status that tells how.

    A terminal has one picture that changes, a pipe a line for each change. What is PAUSED may go on, and is waited for.
    """
    if state.json:
        result = _last(look, lambda result, _words: click.echo(result.model_dump_json()))
    elif not sys.stdout.isatty():
        result = _last(look, lambda result, _words: click.echo(text.watched(result)))
    else:
        result = _in_place(look)
    return 0 if result.status is TransferStatus.COMPLETED else 1


def _last(look: Look, show: Callable[[TransferResult, str], object]) -> TransferResult:
    """Show each change; the result that is the last."""
    before = None
    for result, words in _looks(look):
        if result != before:
            show(result, words)
        before = result
    assert before is not None  # noqa: S101 - there is always a first look
    return before


def _in_place(look: Look) -> TransferResult:
    from rich.console import Console  # noqa: PLC0415 - only a terminal needs it
    from rich.live import Live  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    with Live(console=Console(), auto_refresh=False) as live:
        return _last(look, lambda _result, words: live.update(Text.from_ansi(words), refresh=True))


def _looks(look: Look) -> Iterator[tuple[TransferResult, str]]:
    while True:
        result, words = look()
        yield result, words
        if result.status in _ENDS:
            return
        time.sleep(_LOOK_SECONDS)
