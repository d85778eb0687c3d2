"""What the state machines share: an emulator, and a store of each kind."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from prefect_globus import CheckpointStore, FileCheckpointStore, GlobusCredentials, SqlCheckpointStore
from prefect_globus.emulator.process import running_emulator
from prefect_globus.tasks import polling, watching
from support.by_hand import Ground


@pytest.fixture
def ground(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ground]:
    """Where the examples of one test happen, which all share one emulator; its parameter says what kind of store."""
    for module, name in ((watching, "_FIRST_LOOK"), (watching, "_END_LOOK"), (polling, "_LEAST_SECONDS")):
        monkeypatch.setattr(module, name, 0.02)  # the tasks here take no longer
    store: CheckpointStore
    if request.param == "files":
        store = FileCheckpointStore(basepath=str(tmp_path / "checkpoints"))
    elif request.param == "sqlite":
        store = SqlCheckpointStore(url=f"sqlite:///{tmp_path / 'checkpoints.db'}")
    else:
        store = SqlCheckpointStore(url=request.getfixturevalue("postgresql_url"))
    folders = {name: tmp_path / name for name in ("source", "destination")}
    for folder in folders.values():
        folder.mkdir()
    with running_emulator(folders, state=tmp_path / "globus.db", time_scale=1000) as emulator:
        url = emulator.url
        credentials = GlobusCredentials(client_id="machine", client_secret="x", transfer_url=url, auth_url=url)
        yield Ground(tmp_path, emulator, store, credentials)
