"""The gallery: what Prefect's UI shows of a transfer besides its log: the name and tags of its run, and artifacts."""

from __future__ import annotations

import os
from typing import Any
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import ArtifactCreate
from prefect.client.schemas.objects import FlowRun

from prefect_globus.tasks.prefect_client import has_ui

_SWITCH = "PREFECT_GLOBUS_ARTIFACTS"
_OFF = ("0", "false", "no", "off")


def is_open() -> bool:
    """Whether anybody can see artifacts, and wants them."""
    return has_ui() and os.environ.get(_SWITCH, "").lower() not in _OFF


class Gallery:
    """What Prefect shows of one flow run.

    An artifact is made once in a run and changed from then on: so the versions of a key are the runs of a transfer.
    What has not changed is not sent. Every method raises what Prefect's client raises.

    Args:
        client: asks Prefect.
        flow_run: whose.
        may_name: whether its name is ours to change, rather than one that a user has given it.
    """

    def __init__(self, client: SyncPrefectClient, flow_run: FlowRun, *, may_name: bool) -> None:
        self._client = client
        self._run = flow_run
        self._may_name = may_name
        self._shown: dict[str, tuple[UUID, Any]] = {}
        self._called: tuple[str, list[str]] | None = None

    def call(self, name: str | None, tags: list[str]) -> None:
        """Give the flow run a name, unless that is None, and these tags besides its own."""
        called = (name if name and self._may_name else self._run.name, sorted({*self._run.tags, *tags}))
        if called != self._called:
            self._client.update_flow_run(self._run.id, name=called[0], tags=called[1])
            self._called = called

    def show(self, key: str, kind: str, data: Any, description: str | None = None) -> None:  # noqa: ANN401 - any JSON
        """Show ``data`` as the artifact ``key``, of Prefect's kind ``progress``, ``markdown`` or ``table``."""
        changes = {"data": data, "description": description}
        artifact_id, before = self._shown.get(key, (None, None))
        if changes == before:
            return
        if artifact_id is None:
            made = ArtifactCreate(key=key, type=kind, flow_run_id=self._run.id, **changes)
            artifact_id = self._client.create_artifact(made).id
        else:
            # not by Prefect's own method, which tells everybody by an event: this is done every few seconds
            path = {"id": artifact_id}
            self._client.request("PATCH", "/artifacts/{id}", path_params=path, json=changes).raise_for_status()
        self._shown[key] = (artifact_id, changes)
