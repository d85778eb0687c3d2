"""The Prefect API of a run: the one that is configured, or a server of our own for as long as it lasts."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import click

_START_SECONDS = 180.0
_STOP_SECONDS = 8.0
_FLUSH_SECONDS = 3.0
_LOOK_SECONDS = 0.1
_HOST = "127.0.0.1"
_OPTIONS = ("--no-ui", "--no-scheduler", "--no-late-runs")
_ENVIRONMENT = {"PREFECT_SERVER_ANALYTICS_ENABLED": "false", "DO_NOT_TRACK": "1"}


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
        server = _Server()
        stack.callback(server.stop)
        stack.callback(_flush)

        def ready() -> None:
            server.wait_until_answering()
            _use(server.url)

        yield ready


class _Server:
    """`prefect server start` in a session of its own, so that Ctrl-C in a terminal is for us only."""

    def __init__(self) -> None:
        port = _free_port()
        self.url = f"http://{_HOST}:{port}/api"
        self._output = tempfile.TemporaryFile()  # noqa: SIM115 - as long as the server
        command = [sys.executable, "-m", "prefect", "server", "start", "--host", _HOST, "--port", str(port), *_OPTIONS]
        self._process = subprocess.Popen(  # noqa: S603 - our own program
            [sys.executable, "-m", "prefect_globus.cli._supervise", "--", *command],
            stdin=subprocess.PIPE,
            stdout=self._output,
            stderr=self._output,
            env={**os.environ, **_ENVIRONMENT},
            start_new_session=True,
        )

    def wait_until_answering(self) -> None:
        """Return when the server answers.

        Raises:
            ServerError: it has ended, or takes too long.
        """
        give_up = time.monotonic() + _START_SECONDS
        while not _is_healthy(self.url):
            if self._process.poll() is not None or time.monotonic() > give_up:
                raise ServerError(f"The Prefect server did not start: {self._last_words()}")
            time.sleep(_LOOK_SECONDS)

    def stop(self) -> None:
        """End the server, as the end of our process would."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, 9)
            self._process.wait()
        self._output.close()

    def _last_words(self) -> str:
        self._output.seek(0)
        lines = self._output.read().decode(errors="replace").split("\n")
        return next((line.strip() for line in reversed(lines) if line.strip()), "it said nothing")


def _use(url: str) -> None:
    from prefect.context import refresh_global_settings_context  # noqa: PLC0415

    # Prefect's own threads see only the global settings, which temporary_settings would not change.
    os.environ["PREFECT_API_URL"] = url
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
        probe.bind((_HOST, 0))
        return int(probe.getsockname()[1])
