"""The Prefect API of a run: the one that is configured, or a server of our own for as long as it lasts."""

from __future__ import annotations

import os
import socket
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import IO

import click

from prefect_globus.cli.supervised import Supervised

_START_SECONDS = 180.0
_FLUSH_SECONDS = 3.0
_LOOK_SECONDS = 0.1
HOST = "127.0.0.1"
_OPTIONS = ("--no-ui", "--no-scheduler", "--no-late-runs")
_QUIET = {"PREFECT_SERVER_ANALYTICS_ENABLED": "false", "DO_NOT_TRACK": "1"}


class ServerError(click.ClickException):
    """The Prefect server did not start; the message says what it said."""


@contextmanager
def prefect_api(*, quiet: bool) -> Iterator[Callable[[], None]]:
    """Have a Prefect API for as long as the block lasts; call what it gets before using it.

    A server takes seconds to start, in which the caller has other things to do.

    Args:
        quiet: do not say that a server is started.
    """
    from prefect.settings import get_current_settings  # noqa: PLC0415 - Prefect takes seconds to import

    if get_current_settings().api.url is not None:
        yield lambda: None
        return
    if not quiet:
        click.echo("Starting a Prefect server for this run; PREFECT_API_URL would name another.", err=True)
    with ExitStack() as stack:
        output = stack.enter_context(tempfile.TemporaryFile())
        server = Server(_free_port(), output, _OPTIONS, os.environ)
        stack.callback(server.stop)
        stack.callback(_flush)

        def ready() -> None:
            server.wait_until_answering()
            _use(server.url)

        yield ready


class Server(Supervised):
    """`prefect server start`.

    Args:
        port: where.
        output: takes what it says.
        options: of its command line.
        environment: all of it.

    Attributes:
        url: of its API.
    """

    def __init__(self, port: int, output: IO[bytes], options: Sequence[str], environment: Mapping[str, str]) -> None:
        self.url = f"http://{HOST}:{port}/api"
        command = [sys.executable, "-m", "prefect", "server", "start", "--host", HOST, "--port", str(port), *options]
        super().__init__(command, output, {**environment, **_QUIET})

    def wait_until_answering(self) -> None:
        """Return when the server answers.

        Raises:
            ServerError: it has ended, or takes too long.
        """
        give_up = time.monotonic() + _START_SECONDS
        while not _is_healthy(self.url):
            if self.has_ended or time.monotonic() > give_up:
                raise ServerError(f"The Prefect server did not start: {self.last_words()}")
            time.sleep(_LOOK_SECONDS)


def _use(url: str) -> None:
    from prefect.context import refresh_global_settings_context  # noqa: PLC0415

    # Prefect's own threads see only the global settings, which temporary_settings would not change.
    os.environ["PREFECT_API_URL"] = url
    os.environ["PREFECT_GLOBUS_OWN_SERVER"] = "true"  # nobody can see what it shows, and soon it is gone
    refresh_global_settings_context()


def _flush() -> None:
    """Send what Prefect sends in the background, while there is a server to take it."""
    from prefect.events.worker import EventsWorker  # noqa: PLC0415
    from prefect.logging.handlers import APILogWorker  # noqa: PLC0415

    for worker in (EventsWorker, APILogWorker):
        worker.drain_all(timeout=_FLUSH_SECONDS)


def _is_healthy(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/health", timeout=2) as answer:  # noqa: S310 - http, our own
            return bool(answer.status == 200)  # noqa: PLR2004
    except (urllib.error.URLError, OSError):
        return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])
