"""Secrets stay secret (invariant 9): not in a log, a database, a result, an artifact, an error or a repr."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from prefect.client.orchestration import get_client

from prefect_globus import FileCheckpointStore, resumable_transfer
from prefect_globus.transfers.errors import TransferError
from support.world import CLIENT_SECRET, World


def _files_with(folder: Path, secret: str) -> list[str]:
    return [path.name for path in folder.rglob("*") if path.is_file() and secret.encode() in path.read_bytes()]


def test_nothing_that_is_kept_or_shown_has_the_secret(
    world: World, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """Not after a success, nor after a failure; in Prefect's own records neither."""
    caplog.set_level("DEBUG")
    world.write({"a": "1"})
    token = world.client.authorizer.get_authorization_header().removeprefix("Bearer ")
    result = world.run()
    resumable_transfer(
        world.location("source"),
        world.location("destination"),
        transfer_id="files",
        credentials=world.credentials,
        checkpoints=FileCheckpointStore(basepath=str(world.folder / "checkpoints")),
    )
    with pytest.raises(TransferError) as caught:
        world.run("missing", source="/missing")
    shown = capfd.readouterr()
    everything = [shown.out, shown.err, caplog.text, repr(result), str(caught.value), repr(caught.value.facts)]
    everything += [repr(world.credentials), str(world.credentials), repr(world.store)]
    with get_client(sync_client=True) as client:
        everything += [run.model_dump_json() for run in client.read_flow_runs()]
        everything += [log.model_dump_json() for log in client.read_logs()]
    for secret in (CLIENT_SECRET, token):
        assert not any(secret in text for text in everything)
        for database in (world.folder / "checkpoints.db",):
            with sqlite3.connect(database) as connection:
                assert secret not in "\n".join(connection.iterdump())
            connection.close()
        assert _files_with(world.folder / "checkpoints", secret) == []
    assert _files_with(world.folder, CLIENT_SECRET) == []
