"""Collections: their documents, and what they are of: a folder, or a tree that is not stored anywhere."""

from __future__ import annotations

import uuid
from pathlib import Path

import requests

from prefect_globus.emulator.process import Emulator, running_emulator


def endpoint(emulator: Emulator, name: str) -> dict[str, object]:
    form = {"grant_type": "client_credentials", "scope": "urn:globus:auth:scope:transfer.api.globus.org:all"}
    token = requests.post(
        f"{emulator.url}/v2/oauth2/token", data=form, auth=(str(uuid.uuid4()), "secret"), timeout=10
    ).json()["access_token"]
    answer = requests.get(
        f"{emulator.url}/v0.10/endpoint/{emulator.collections[name]}",
        headers={"Authorization": f"Bearer {token}"},
        timeout=10,
    )
    return dict(answer.json())


def test_a_collection_that_needs_data_access_is_of_a_server(tmp_path: Path) -> None:
    """Its type is the one for which clients ask for the consent, also after a restart without the option."""
    for name in ("plain", "guarded"):
        (tmp_path / name).mkdir()
    folders = {name: tmp_path / name for name in ("plain", "guarded")}
    with running_emulator(folders, state=tmp_path / "state", data_access=("guarded",)) as emulator:
        plain, guarded = endpoint(emulator, "plain"), endpoint(emulator, "guarded")
        assert (plain["entity_type"], plain["is_globus_connect"]) == ("GCP_mapped_collection", True)
        assert (guarded["entity_type"], guarded["high_assurance"]) == ("GCSv5_mapped_collection", False)
        assert guarded["is_globus_connect"] is False
        assert str(guarded["tlsftp_server"]).startswith("tlsftp://")
        assert set(plain) == set(guarded)
    with running_emulator([], state=tmp_path / "state") as again:
        assert endpoint(again, "guarded") == guarded
