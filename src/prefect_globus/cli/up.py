"""The command `up`: a playground in which to see a transfer run, minutes after the installation."""

from __future__ import annotations

import os
import shlex
import signal
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import click

from prefect_globus.cli.help import command
from prefect_globus.cli.logs import quiet_logging
from prefect_globus.cli.playground.services import POOL, Playground, running_playground, running_worker

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@command(examples=[("See a transfer run in Prefect's UI", "prefect-globus up")])
@click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(".playground"),
    show_default=True,
    help="Keeps everything of the playground. Delete it to begin anew.",
)
@click.option("--port", type=click.IntRange(1, 65535), help="Of Prefect's UI. Default: 4200, or the next that is free.")
def up(folder: Path, port: int | None) -> None:
    """Start a playground: Prefect with its UI and a local Globus.

    There is a worker, too, and sample collections. No account and no configuration are needed. Ctrl-C ends all of it; a
    transfer that is under way then goes on with the next start.
    """
    began, here = time.monotonic(), Path.cwd()
    with _ended_by_signals(), running_playground(folder, port) as place:
        from prefect_globus.cli.playground.registering import register, wait_until_ready  # noqa: PLC0415 - Prefect

        quiet_logging()
        if not sys.warnoptions:
            warnings.simplefilter("ignore")
        first = register(place)
        with running_worker(POOL, place.folder / "logs" / "worker.log") as worker:
            wait_until_ready(first)
            page = f"{place.url}/v2/deployments/deployment/{first}"
            click.echo("\n".join(_lines(place, page, time.monotonic() - began, here)))
            place.attend(worker)


def _lines(place: Playground, page: str, seconds: float, here: Path) -> Iterator[str]:
    """What to tell a newcomer, who is in the folder ``here``."""
    env = shlex.quote(os.path.relpath(place.folder / "env", here))
    yield f"Ready after {seconds:.0f} s.\n"
    yield f"  Prefect's UI       {place.url}"
    yield f"  The local Globus   {place.globus.url}"
    yield f"                     (user name and password: GLOBUS_CLIENT_ID and GLOBUS_CLIENT_SECRET in {env})\n"
    yield "See a transfer run: open this page, choose Run, Quick run, and press Run below the form."
    yield f"  {page}"
    yield 'If it says "Unknown error", nothing was done, as Prefect\'s SQLite was busy: press the button again.\n'
    yield "Fill in the form yourself: Deployments, on-demand, Run, Custom run, with these locations."
    yield f"  Source             {place.location('survey')}"
    yield f"  Destination        {place.location('archive', '/my-copy')}\n"
    yield "Work with it in another terminal:"
    yield f"  source {env}"
    yield "  prefect-globus list\n"
    yield "Ctrl-C ends everything."


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """End the block at a signal, without an error; another one does not cut short what is being ended."""
    for each in _SIGNALS:
        signal.signal(each, _stop)
    try:
        yield
    except KeyboardInterrupt:
        click.echo("Everything has ended.")


def _stop(_number: int, _frame: FrameType | None) -> None:
    for each in _SIGNALS:
        signal.signal(each, signal.SIG_IGN)
    click.echo("\nEnding ...")
    raise KeyboardInterrupt
