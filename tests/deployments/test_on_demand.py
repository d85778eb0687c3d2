"""Deployments: what is registered is what runs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.settings import PREFECT_API_URL, temporary_settings

from prefect_globus import (
    GlobusCredentials,
    SqlCheckpointStore,
    TransferOptions,
    resumable_transfer,
    transfer_deployment,
    transfer_status,
)
from prefect_globus.emulator.process import running_emulator
from prefect_globus.transfers.errors import InvalidLocationError, InvalidTransferIdError, OverlappingLocationsError

HERE, THERE = "6c54cade-bde5-45c1-bdea-f4bd71dba2cc:/a", "31ce9ba0-176d-45a5-add3-f37d233ba47d:/b"


def test_a_deployment_has_its_parameters() -> None:
    """Those that were given, as JSON; callbacks are left out."""
    options = TransferOptions(sync_level="checksum", progress_callback=lambda *_: None)
    deployment = transfer_deployment("nightly", HERE, THERE, options, transfer_id="nightly", checkpoints="team")
    assert deployment.parameters == {
        "source": HERE,
        "destination": THERE,
        "options": {"sync_level": "checksum"},
        "transfer_id": "nightly",
        "checkpoints": "team",
    }


def test_a_deployment_that_could_never_run_is_refused() -> None:
    """When it is declared, not when it runs at night."""
    with pytest.raises(InvalidLocationError):
        transfer_deployment("bad", "somewhere", THERE)
    with pytest.raises(OverlappingLocationsError):
        transfer_deployment("bad", HERE, f"{HERE}/below")
    with pytest.raises(InvalidTransferIdError):
        transfer_deployment("bad", HERE, THERE, transfer_id="a/b")


def test_the_form_of_the_flow_shows_every_option_and_no_callback() -> None:
    """Prefect's UI makes a form of the parameters' schema."""
    schema = resumable_transfer.parameters.model_dump()
    shown = schema["definitions"]["TransferOptions"]["properties"]
    assert set(shown) == {name for name in TransferOptions.model_fields if not name.endswith("_callback")}
    assert all(str(TransferOptions.model_fields[name].description).endswith(".") for name in shown)
    assert all(schema["properties"][name]["description"] for name in schema["properties"])


def test_a_worker_runs_it_from_anywhere(prefect_api: str, tmp_path: Path) -> None:
    """With blocks by name, in a process pool; Prefect and the checkpoint agree on how it ended."""
    for side in ("source", "destination"):
        (tmp_path / side).mkdir()
    (tmp_path / "source" / "a").write_text("1")
    folders = {side: tmp_path / side for side in ("source", "destination")}
    with running_emulator(folders) as globus, temporary_settings({PREFECT_API_URL: prefect_api}):
        url, database = globus.url, f"sqlite:///{tmp_path / 'checkpoints.db'}"
        credentials = GlobusCredentials(client_id="any", client_secret="any", transfer_url=url, auth_url=url)
        credentials.save("worker-test", overwrite=True)
        SqlCheckpointStore(url=database).save("worker-test", overwrite=True)
        with get_client(sync_client=True) as client:
            client.create_work_pool(WorkPoolCreate(name="worker-test", type="process"), overwrite=True)
        locations = [f"{globus.collections[side]}:/" for side in folders]
        names = {"credentials": "worker-test", "checkpoints": "worker-test"}
        deployment = transfer_deployment("worker-test", *locations, transfer_id="deployed", **names)
        deployment_id = deployment.apply(work_pool_name="worker-test")
        with get_client(sync_client=True) as client:
            run = client.create_flow_run_from_deployment(deployment_id)
            command = ["prefect", "worker", "start", "--pool", "worker-test", "--type", "process", "--run-once"]
            environment = {**os.environ, "PREFECT_API_URL": prefect_api}
            worker = subprocess.run(
                [sys.executable, "-m", *command],
                cwd=tmp_path,
                env=environment,
                capture_output=True,
                text=True,
                check=False,
            )
            state = client.read_flow_run(run.id).state
        assert state is not None
        assert state.is_completed(), f"{state} {worker.stdout} {worker.stderr}"
        assert transfer_status("deployed", checkpoints="worker-test").items_transferred == 1
    assert (tmp_path / "destination" / "a").read_text() == "1"
