"""What a person has who works with Prefect's UI."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from prefect.client.orchestration import get_client
from prefect.deployments.runner import EntrypointType
from prefect.flows import Flow

from prefect_globus import CheckpointStore
from prefect_globus.transfers.errors import TransferNotFoundError
from support.worker import Worker
from support.world import World


@dataclass
class Stack:
    """Two folders at a local Globus, a checkpoint store, and a worker; ``name`` is that of blocks and deployments."""

    world: World
    worker: Worker
    name: str

    def deploy(self, flow: Flow[..., Any], **parameters: Any) -> UUID:
        """Deploy ``flow`` for the worker; the deployment is called as the stack is."""
        deployment = flow.to_deployment(
            self.name,
            parameters=parameters,
            entrypoint_type=EntrypointType.MODULE_PATH,
            _sync=True,  # type: ignore[call-arg] # Prefect's own switch for its sync form
        )
        deployment_id: UUID = deployment.apply(work_pool_name=self.worker.pool)  # type: ignore[attr-defined]
        return deployment_id

    def run(self, deployment: UUID, **parameters: Any) -> UUID:
        """Ask for a run of a deployment."""
        with get_client(sync_client=True) as client:
            return client.create_flow_run_from_deployment(deployment, parameters=parameters).id


def has_done(store: CheckpointStore, transfer_id: str, batches: int) -> bool:
    """Whether so many batches of a transfer are done."""
    try:
        return store.ledger(transfer_id).batches_done >= batches
    except TransferNotFoundError:
        return False
