"""Deployments: what is registered is what runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from prefect.flows import load_flow_from_entrypoint

from prefect_globus import TransferOptions, resumable_transfer
from prefect_globus.deployments.on_demand import transfer_deployment
from prefect_globus.transfers.errors import InvalidLocationError, InvalidTransferIdError, OverlappingLocationsError

ROOT = Path(__file__).parents[2]
HERE, THERE = "6c54cade-bde5-45c1-bdea-f4bd71dba2cc:/a", "31ce9ba0-176d-45a5-add3-f37d233ba47d:/b"


def _declared() -> list[dict[str, Any]]:
    return list(yaml.safe_load((ROOT / "prefect.yaml").read_text())["deployments"])


@pytest.mark.parametrize("deployment", _declared(), ids=lambda deployment: deployment["name"])
def test_declared_entrypoints_lead_to_flows(deployment: dict[str, Any]) -> None:
    """Without a placeholder, behind which an import error would hide."""
    flow = load_flow_from_entrypoint(deployment["entrypoint"], use_placeholder_flow=False)
    assert flow.name == resumable_transfer.name
    assert deployment["description"]


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
    assert all(field["description"].endswith(".") for field in shown.values())
    assert all(schema["properties"][name]["description"] for name in schema["properties"])
