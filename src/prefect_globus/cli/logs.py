"""Logging in our process: warnings and errors, one line each, unless Prefect's own log is wanted."""

from __future__ import annotations

import logging

import click

# What these say of an exception, our own line says better; their tracebacks are in Prefect's record of the run.
_ENGINES = frozenset({"flow_engine", "task_engine"})

# The one warns of what is still to be sent when it is told to send it all, the other of each request that it repeats.
_TALKATIVE = ("EventsWorker", "globus_sdk")


class _OneLine(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        if record.module in _ENGINES:
            return
        lines = record.getMessage().splitlines() or [""]
        click.echo(f"{record.levelname.capitalize()}: {lines[0]}", err=True)


def quiet_logging() -> None:
    """Replace the console handlers that Prefect has set up when it was imported."""
    handler = _OneLine(logging.WARNING)
    for name in (None, "prefect._internal"):
        logging.getLogger(name).handlers = [handler]
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(logging.ERROR)
