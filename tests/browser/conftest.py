"""One stack for the tests of a file: Prefect's server with its UI, a worker, a local Globus, and a browser."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch
from uuid import uuid4

import pytest
from playwright.sync_api import Browser
from prefect.settings import PREFECT_API_URL, PREFECT_LOGGING_LEVEL, temporary_settings

from prefect_globus.emulator import running_emulator
from support.browser import CHROMIUM, INSTALL, Ui, opened, running_chromium
from support.stack import Stack
from support.worker import running_worker
from support.world import World

_FILE_DELAY = 0.1  # seconds before each file, so that there is something to watch; a module may have one of its own


@pytest.fixture(scope="module")
def stack(
    prefect_api: str, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Stack]:
    """Slow enough to be watched."""
    if CHROMIUM is None:
        pytest.skip(INSTALL)
    folder: Path = tmp_path_factory.mktemp("browser")
    collections: dict[str, str | Path] = {side: folder / side for side in ("source", "destination")}
    for each in collections.values():
        Path(each).mkdir()
    file_delay = getattr(request.module, "FILE_DELAY", _FILE_DELAY)
    with (
        running_emulator(collections, state=folder / "globus.db", file_delay=file_delay) as emulator,
        temporary_settings({PREFECT_API_URL: prefect_api, PREFECT_LOGGING_LEVEL: "WARNING"}),
        patch.dict(os.environ, {"PREFECT_LOGGING_TO_API_ENABLED": "true"}),  # of the runs: their page shows the log
        running_worker(prefect_api, folder) as worker,
    ):
        yield Stack(World(folder, emulator, prefect_api), worker, f"browser-{uuid4().hex[:8]}")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Started when the stack is there, as its event loop would be in the way of Prefect's sync calls."""
    with running_chromium() as browser:
        yield browser


@pytest.fixture
def ui(stack: Stack, browser: Browser, request: pytest.FixtureRequest) -> Iterator[Ui]:
    """A new window of Prefect's UI. What it showed last is kept."""
    with opened(browser, stack.world.prefect_api.removesuffix("/api")) as ui:
        yield ui
        ui.picture(f"last-of-{request.node.name}")
