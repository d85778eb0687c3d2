"""Fixtures for your own tests: an emulator, and the environment that leads globus-sdk and globus-cli to it.

In a `conftest.py`:

    from prefect_globus.emulator.pytest_plugin import globus_collections, globus_emulator, globus_emulator_options

or `pytest_plugins = ["prefect_globus.emulator.pytest_plugin"]`. Override `globus_collections` to serve what you need,
and `globus_emulator_options` for the other arguments of `running_emulator`. Each test has an emulator of its own, which
takes about a second to start; to share one, write a fixture around `running_emulator`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from prefect_globus.emulator.process import Emulator, running_emulator

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["globus_collections", "globus_emulator", "globus_emulator_options"]


@pytest.fixture
def globus_collections(tmp_path: Path) -> dict[str, str | Path]:
    """What is served, by name: two empty folders, `source` and `destination`, in the test's `tmp_path`."""
    folders = {name: tmp_path / name for name in ("source", "destination")}
    for folder in folders.values():
        folder.mkdir(exist_ok=True)
    return dict(folders)


@pytest.fixture
def globus_emulator_options() -> dict[str, Any]:
    """Keyword arguments of `running_emulator`. Waits of Globus are 100 times shorter by default."""
    return {"time_scale": 100.0}


@pytest.fixture
def globus_emulator(
    globus_collections: dict[str, str | Path],
    globus_emulator_options: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Emulator]:
    """A running emulator. Clients of globus-sdk that are made during the test talk to it, and so does globus-cli."""
    with running_emulator(globus_collections, **globus_emulator_options) as emulator:
        for name, value in emulator.environment().items():
            monkeypatch.setenv(name, value)
        yield emulator
