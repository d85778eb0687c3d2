"""Logging in our process: warnings and errors, one line each, unless Prefect's own log is wanted."""

from __future__ import annotations

import logging

import click

from prefect_globus.cli.local import in_words

# What these say of an exception, our own line says better; their tracebacks are in Prefect's record of the run.
_ENGINES = frozenset({"flow_engine", "task_engine"})

# The one warns of what is still to be sent when it is told to send it all, the other of each request that it repeats.
_TALKATIVE = ("EventsWorker", "globus_sdk")


# Each batch says for itself what it waits for, though a person has to mend it once.
_HOLDS = "prefect_globus.tasks.holds"


# Why a batch has failed, which the result and its error say again.
_BATCHES = "dispatching"


class _OneLine(logging.Handler):
    def __init__(self, level: int, *, quiet: bool) -> None:
        super().__init__(level)
        self._quiet = quiet
        self._held: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        if record.module in _ENGINES or (self._quiet and _is_told_by_the_result(record)):
            return
        lines = record.getMessage().splitlines() or [""]
        if record.name == _HOLDS:
            if lines[0] in self._held:
                return
            self._held.add(lines[0])
        click.echo(f"{record.levelname.capitalize()}: {in_words(lines[0])}", err=True)


def _is_told_by_the_result(record: logging.LogRecord) -> bool:
    """Whether a person need not read it as it happens, as they must what a transfer waits for."""
    return record.name != _HOLDS and (record.module == _BATCHES or record.levelno < logging.ERROR)


def quiet_logging(*, quiet: bool = False) -> None:
    """Replace the console handlers that Prefect has set up when it was imported.

    Args:
        quiet: leave out warnings, but for what the transfer waits for, and what its result says again.
    """
    handler = _OneLine(logging.WARNING, quiet=quiet)
    for name in (None, "prefect._internal"):
        logging.getLogger(name).handlers = [handler]
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(logging.ERROR)
