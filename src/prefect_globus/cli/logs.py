"""Logging in our process: warnings and errors, one line each, unless Prefect's own log is wanted."""

from __future__ import annotations

import logging

import click

# What these say of an exception, our own line says better; their tracebacks are in Prefect's record of the run.
_ENGINES = frozenset({"flow_engine", "task_engine"})


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
    # It warns of every item that is still to be sent when it is told to send them all.
    logging.getLogger("EventsWorker").setLevel(logging.ERROR)
