"""Stores under test: nothing here touches the real home."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

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
