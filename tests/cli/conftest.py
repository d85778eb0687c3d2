"""Users of the command line: with the Prefect server that all tests share, or with nothing configured."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from prefect_globus.blocks.sql_engine import DATABASE_URL_VARIABLE, dispose_engines

sys.path.insert(0, str(Path(__file__).parent))  # tests are folders, not packages
from shells import Shell


@pytest.fixture
def shell(tmp_path: Path, prefect_api: str) -> Iterator[Shell]:
    """A user with a Prefect server."""
    home = {"PREFECT_HOME": str(tmp_path / "prefect"), "PREFECT_API_URL": prefect_api}
    made = Shell(tmp_path, **home, **{DATABASE_URL_VARIABLE: f"sqlite:///{tmp_path / 'checkpoints.db'}"})
    yield made
    made.end()


@pytest.fixture
def bare_shell(tmp_path: Path) -> Iterator[Shell]:
    """A user with nothing configured."""
    made = Shell(tmp_path)
    yield made
    made.end()


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """This process as the home of the commands that are called in it."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "home" / ".local" / "share"))
    monkeypatch.setenv(DATABASE_URL_VARIABLE, f"sqlite:///{tmp_path / 'checkpoints.db'}")
    monkeypatch.chdir(tmp_path)
    handlers = {name: logging.getLogger(name).handlers[:] for name in (None, "prefect._internal")}
    yield tmp_path
    for name, before in handlers.items():
        logging.getLogger(name).handlers = before
    dispose_engines()
