"""What the crash matrices share: an emulator, a Prefect server, and what an uninterrupted run crosses."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from prefect_globus.emulator.process import running_emulator
from support.crashing import Matrix


@pytest.fixture(scope="module")
def matrix(tmp_path_factory: pytest.TempPathFactory, prefect_api: str) -> Iterator[Matrix]:
    """Where the transfers of a matrix are made."""
    folder: Path = tmp_path_factory.mktemp("matrix")
    folders = {name: folder / name for name in ("source", "destination")}
    for each in folders.values():
        each.mkdir()
    with running_emulator(folders, state=folder / "globus.db", time_scale=1000) as emulator:
        yield Matrix(folder, emulator, prefect_api)
