"""The programs of the playground: they start together, and end together."""

from __future__ import annotations

import fcntl
import os
import secrets
import shlex
import socket
import sys
import sysconfig
import time
from collections.abc import Iterator
from contextlib import ExitStack, chdir, contextmanager
from pathlib import Path
from typing import IO, NamedTuple, Protocol

import click

from prefect_globus.cli.playground.samples import Lock, Samples, make_samples
from prefect_globus.cli.server import HOST, Server
from prefect_globus.cli.supervised import Supervised
from prefect_globus.emulator import Emulator, running_emulator

POOL = "playground"
# On SQLite to mark runs as late locks the database for a minute, when there are several.
_OPTIONS = ("--no-late-runs",)
_CLIENT_ID = "11111111-1111-4111-8111-111111111111"
_FILE_DELAY = 0.4  # seconds before each file: the 300 files of the survey take most of a minute, time to kill or cancel
_LOOK_SECONDS = 0.5
# Each poll of the worker writes to Prefect's SQLite, which refuses whatever else is about to write just then (503).
_POLL_SECONDS = 5
_PORTS = 50  # that are tried
_OURS = ("PREFECT_", "GLOBUS_")


class PlaygroundError(click.ClickException):
    """The playground cannot start, or has ended; the message says why and what to do."""


class Service(Protocol):
    """What runs beside us."""

    @property
    def has_ended(self) -> bool:
        """Whether it has ended."""


class Playground(NamedTuple):
    """A running one.

    Attributes:
        folder: holds all of it.
        url: of Prefect's UI.
        globus: the local Globus.
        samples: what it serves.
        server: of Prefect.
    """

    folder: Path
    url: str
    globus: Emulator
    samples: Samples
    server: Service

    @property
    def database(self) -> str:
        """URL of the checkpoints."""
        return f"sqlite:///{self._checkpoints}"

    @property
    def has_transfers(self) -> bool:
        """Whether there may be transfers on record, which an earlier playground has left."""
        return self._checkpoints.exists()

    @property
    def _checkpoints(self) -> Path:
        return self.folder / "checkpoints.db"

    def location(self, name: str, path: str = "/") -> str:
        """A location in the collection ``name``."""
        return f"{self.globus.collections[name]}:{path}"

    def attend(self, worker: Service) -> None:
        """Look after it, and its worker, until it is interrupted.

        Raises:
            PlaygroundError: one of its programs has ended.
        """
        lock = Lock(self.globus, self.samples.locked)
        services = {"Prefect server": self.server, "worker": worker, "local Globus": self.globus}
        while True:
            for name, service in services.items():
                if service.has_ended:
                    raise PlaygroundError(
                        f"The {name} has ended, and so has all else. Start the playground again in the same way, and "
                        f"all goes on. The logs of Prefect's server and worker are in {self.folder / 'logs'}."
                    )
            lock.look()
            time.sleep(_LOOK_SECONDS)


@contextmanager
def running_playground(folder: Path, port: int | None = None) -> Iterator[Playground]:
    """Have a playground for as long as the block lasts. What is set in the environment for Prefect and Globus is ours.

    So is the current folder, as Prefect also reads its settings from files there (.env, prefect.toml, pyproject.toml).

    Args:
        folder: keeps everything: another playground in it goes on where this one was.
        port: of Prefect's UI; 4200 or the next that is free when left out.

    Raises:
        PlaygroundError: it is in use, or the port is.
        ServerError: Prefect's server does not start.
        EmulatorProcessError: the local Globus does not.
    """
    with ExitStack() as stack:
        folder = folder.absolute()
        if "?" in str(folder):  # which would end the path in the URL of a database
            raise PlaygroundError(f"The name of a playground's folder must have no question mark: {folder}")
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        (folder / "logs").mkdir(exist_ok=True)
        lock = stack.enter_context(_only_one_in(folder))
        _forget_environment()
        stack.enter_context(chdir(folder))
        ui_port, globus_port = _port("Prefect's UI", 4200, port), _port("the local Globus", 8911)
        url = f"http://{HOST}:{ui_port}"
        lock.write(url)
        lock.flush()
        click.echo(
            "Starting a Prefect server, a worker and a local Globus ... (half a minute, a minute the first time)"
        )
        os.environ |= {
            "DO_NOT_TRACK": "1",
            "PYTHONSAFEPATH": "1",  # a child would import the user's random.py from the current folder
            "PREFECT_HOME": str(folder / "prefect"),
            "PREFECT_API_URL": f"{url}/api",
            "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
        }
        log = stack.enter_context((folder / "logs" / "server.log").open("w+b"))
        server = Server(ui_port, log, _OPTIONS, os.environ)
        stack.callback(server.stop)
        samples = make_samples(folder / "collections")
        client = (_CLIENT_ID, secrets.token_urlsafe(24))
        globus = stack.enter_context(
            running_emulator(
                samples.collections,
                state=folder / "globus.db",
                port=globus_port,
                file_delay=_FILE_DELAY,
                client=client,
            )
        )
        place = Playground(folder, url, globus, samples, server)
        os.environ |= {
            **globus.environment(),
            "GLOBUS_CLIENT_ID": client[0],
            "GLOBUS_CLIENT_SECRET": client[1],
            "PREFECT_GLOBUS_DATABASE_URL": place.database,
        }
        _write_environment(folder / "env")
        server.wait_until_answering()
        yield place


@contextmanager
def running_worker(pool: str, log: Path) -> Iterator[Supervised]:
    """Have a Prefect worker of the pool for as long as the block lasts.

    Args:
        pool: its name; of the type process.
        log: a file for what it says.
    """
    command = [sys.executable, "-m", "prefect", "worker", "start", "--pool", pool, "--type", "process"]
    with log.open("w+b") as output:
        worker = Supervised(command, output, {**os.environ, "PREFECT_WORKER_QUERY_SECONDS": str(_POLL_SECONDS)})
        try:
            yield worker
        finally:
            worker.stop()


@contextmanager
def _only_one_in(folder: Path) -> Iterator[IO[str]]:
    """Hold the folder, by a file in which the URL of Prefect's UI belongs; it is for whoever comes second."""
    with (folder / "lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.seek(0)
            raise PlaygroundError(
                f"A playground runs in {folder} already: {lock.read() or 'it is just starting'}. End it first, or have "
                "another beside it: prefect-globus up --folder OTHER"
            ) from None
        lock.truncate(0)
        yield lock


def _forget_environment() -> None:
    """Have nothing of a Prefect or a Globus that the user works with otherwise."""
    for name in [name for name in os.environ if name.startswith(_OURS)]:
        del os.environ[name]


def _write_environment(path: Path) -> None:
    """Write what another terminal needs to work with the playground; the file is for its owner only."""
    lines = [f'export PATH={shlex.quote(sysconfig.get_path("scripts"))}:"$PATH"\n']  # where prefect-globus is
    lines += [
        f"export {name}={shlex.quote(os.environ[name])}\n" for name in sorted(os.environ) if name.startswith(_OURS)
    ]
    path.touch(mode=0o600)
    path.write_text("".join(lines))


def _port(what: str, first: int, wanted: int | None = None) -> int:
    """The port that is wanted for something, or else the first that is free, which is said where it is not ``first``.

    Raises:
        PlaygroundError: it is taken, or all are.
    """
    ports = range(first, first + _PORTS) if wanted is None else [wanted]
    for port in ports:
        if _is_free(port):
            if wanted is None and port != first:
                click.echo(f"Port {first} is taken: {what} has {port}.")
            return port
    taken = f"Port {wanted} is" if wanted is not None else f"The ports from {first} to {ports[-1]} are"
    raise PlaygroundError(f"{taken} in use. Choose another with --port, such as --port {ports[-1] + 1}.")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True
