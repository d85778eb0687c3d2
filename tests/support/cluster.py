"""What a team runs, each part on its own so that it can be killed: PostgreSQL, a Prefect server on it, machines."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
import pytest

PATIENCE = 240.0  # seconds that anything may take on a busy machine


def wait_for(condition: Callable[[], object], what: str, kept: Sequence[Program] = ()) -> None:
    """Wait until ``condition`` holds, and keep what is to be ``kept`` running meanwhile."""
    give_up = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < give_up, f"{what} never happened"
        for each in kept:
            each.keep()
        time.sleep(0.2)


def postgresql_programs() -> Path:
    """The folder of a PostgreSQL that has pg_trgm, which Prefect's server needs and the bundled one lacks."""
    places = [*Path("/usr/lib/postgresql").glob("*/bin"), *Path("/usr").glob("pgsql-*/bin")]
    if found := shutil.which("pg_ctl"):
        places.append(Path(found).resolve().parent)
    for place in sorted(places, reverse=True):
        extensions = subprocess.run([place / "pg_config", "--sharedir"], capture_output=True, text=True, check=False)
        if Path(extensions.stdout.strip(), "extension", "pg_trgm.control").exists() and (place / "initdb").exists():
            return place
    pytest.skip("no PostgreSQL with pg_trgm is installed")


@dataclass
class Postgres:
    """A PostgreSQL of our own on a port of the loopback interface, with a database for each name."""

    folder: Path
    port: int
    programs: Path = field(default_factory=postgresql_programs)

    def create(self, *databases: str) -> None:
        """Create it and start it."""
        self.folder.mkdir()
        if self._user is not None:
            shutil.chown(self.folder, self._user)
        self._run("initdb", "--pgdata", self._data, "--username", "postgres", "--auth", "trust", "--no-sync")
        self.start()
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            for name in databases:
                connection.execute(f'CREATE DATABASE "{name}"'.encode())

    def start(self) -> None:
        """Start it; it recovers by itself from how it was stopped."""
        options = f"-h 127.0.0.1 -p {self.port} -k {self.folder} -c max_connections=200"
        log = str(self.folder / "log")
        self._run("pg_ctl", "--pgdata", self._data, "--wait", "--log", log, "--options", options, "start")

    def stop(self) -> None:
        """Stop it at once, as a crash would."""
        self._run("pg_ctl", "--pgdata", self._data, "--wait", "--mode", "immediate", "stop")

    def url(self, database: str, driver: str = "postgresql") -> str:
        """A database of it."""
        return f"{driver}://postgres@127.0.0.1:{self.port}/{database}"

    @property
    def _data(self) -> str:
        return str(self.folder / "data")

    @property
    def _user(self) -> str | None:
        """PostgreSQL refuses to run as root."""
        return "postgres" if os.getuid() == 0 else None

    def _run(self, program: str, *arguments: str) -> None:
        if self._user is not None and self._user not in {each.pw_name for each in pwd.getpwall()}:
            pytest.skip("PostgreSQL refuses to run as root, and there is no user for it")
        # no pipes: what it starts would keep them open
        result = subprocess.run(
            [self.programs / program, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            user=self._user,
            cwd=self.folder,
            check=False,
        )
        assert result.returncode == 0, f"{program} {arguments} failed"


@dataclass
class Program:
    """A program with all that it starts, in a session of its own."""

    command: list[str]
    folder: Path
    environment: dict[str, str]
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it; its output is added to the log in its folder."""
        self.folder.mkdir(exist_ok=True, parents=True)
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "prefect", *self.command],
                cwd=self.folder,
                env={**os.environ, **self.environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def keep(self) -> None:
        """Start it again if it has ended by itself, as systemd would."""
        if self.process is not None and self.process.poll() is not None:
            self.start()

    def pids(self) -> list[int]:
        """Its process and all that this has started."""
        return [] if self.process is None else family(self.process.pid)

    def die(self) -> None:
        """SIGKILL for it and for all that it has started, as when a machine loses its power."""
        if self.process is None:
            return
        for pid in self.pids():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()
        self.process = None


def family(pid: int) -> list[int]:
    """A process and all its descendants, the eldest first."""
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(stat.read_text().rpartition(")")[2].split()[1])
        except OSError:  # it has ended meanwhile
            continue
        children.setdefault(parent, []).append(int(stat.parent.name))
    found = [pid]
    for each in found:
        found += children.get(each, [])
    return found


def prefect_server(folder: Path, port: int, database_url: str) -> Program:
    """A Prefect server, as it comes but for its database and for quicker services."""
    environment = {
        "PREFECT_HOME": str(folder),
        "PREFECT_API_DATABASE_CONNECTION_URL": database_url,
        "PREFECT_SERVER_SERVICES_SCHEDULER_LOOP_SECONDS": "5",
        "PREFECT_LOGGING_LEVEL": "WARNING",
    }
    command = ["server", "start", "--host", "127.0.0.1", "--port", str(port)]
    return Program(command, folder, environment)


def machine(folder: Path, api: str, pool: str, most: int) -> Program:
    """A machine with a process worker that runs at most so many flows at once; it has a home of its own."""
    environment = {
        "HOME": str(folder),
        "PREFECT_HOME": str(folder / "prefect"),
        "PREFECT_API_URL": api,
        "PREFECT_WORKER_QUERY_SECONDS": "1",
        "PREFECT_LOGGING_LEVEL": "WARNING",
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
    }
    return Program(["worker", "start", "--pool", pool, "--type", "process", "--limit", str(most)], folder, environment)


def is_healthy(api: str) -> bool:
    """Whether a Prefect server answers."""
    try:
        with urllib.request.urlopen(f"{api}/health", timeout=5):
            return True
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False
