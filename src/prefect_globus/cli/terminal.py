"""Lines that fit the terminal. In a pipe they are as long as they are: whoever reads them there wants them whole."""

from __future__ import annotations

import shutil
import sys
import textwrap

_LEAST = 40  # narrower terminals have to wrap themselves


def width() -> int | None:
    """The columns of the terminal that standard output is; None if it is none."""
    return max(shutil.get_terminal_size().columns, _LEAST) if sys.stdout.isatty() else None


def elided(words: str, room: int | None) -> str:
    """Long words without their middle: the beginning and the end tell names apart."""
    if room is None or len(words) <= room:
        return words
    half = (room - 1) // 2
    return f"{words[: room - 1 - half]}…{words[len(words) - half :]}"


def wrapped(line: str, indent: int, room: int | None) -> str:
    """A line in as many as it takes, those after the first indented."""
    if room is None or len(line) <= room:
        return line
    return "\n".join(textwrap.wrap(line, room, subsequent_indent=" " * indent, break_on_hyphens=False))
