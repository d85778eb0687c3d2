"""Colors, for those who want any. Where output is no terminal, `click.echo` leaves them out by itself."""

from __future__ import annotations

import os

import click

from prefect_globus.transfers.states import TransferStatus

_OF_STATUS = {
    TransferStatus.COMPLETED: "green",
    TransferStatus.FAILED: "red",
    TransferStatus.CANCELED: "magenta",
    TransferStatus.PAUSED: "yellow",
    TransferStatus.SCANNING: "cyan",
    TransferStatus.TRANSFERRING: "cyan",
}


def wanted() -> bool:
    """Whether the user's environment is one for colors; see https://no-color.org."""
    return not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def bold(words: str) -> str:
    """A heading."""
    return click.style(words, bold=True) if wanted() else words


def red(words: str) -> str:
    """What went wrong."""
    return click.style(words, fg="red") if wanted() else words


def of_status(status: TransferStatus, width: int = 0) -> str:
    """A status in its color, padded to ``width``: the escapes must not count."""
    words = f"{status:<{width}}"
    color = _OF_STATUS.get(status)
    return click.style(words, fg=color) if color is not None and wanted() else words
