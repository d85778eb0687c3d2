"""Let Prefect automations act on the events of transfers: try again what has failed, verify what has completed.

A file is refused at first, so the transfer fails. Two deployments with triggers do the rest, on a worker; in a
prefect.yaml they would be declared under `triggers:`. Run it with `python examples/automation.py`.
"""

from __future__ import annotations

import time
from typing import Any, cast
from uuid import UUID

from playground import Playground, playground, working
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterId
from prefect.deployments.runner import EntrypointType, RunnerDeployment  # type: ignore[attr-defined] # not listed
from prefect.events import DeploymentEventTrigger
from prefect.flows import Flow

from prefect_globus import TransferOptions, redrive_transfer, resumable_transfer, transfer_status, verify_transfer
from prefect_globus.emulator import FailFile, TaskFault
from prefect_globus.transfers.errors import TransferFailedError


def on_event(event: str, run: Flow[..., Any], place: Playground, pool: str) -> UUID:
    """Have a flow run for each transfer to our destination of which this is told."""
    trigger = DeploymentEventTrigger(
        expect={f"prefect-globus.transfer.{event}"},
        match={"prefect-globus.destination": place.destination},
        parameters={"transfer_id": "{{ event.payload.transfer_id }}"},
    )
    deployment = run.to_deployment(f"{pool}-on-{event}", triggers=[trigger], entrypoint_type=EntrypointType.MODULE_PATH)
    return cast("UUID", cast("RunnerDeployment", deployment).apply(work_pool_name=pool))


def wait_for_run_of(deployment_id: UUID) -> str:
    """How the one flow run of a deployment has ended."""
    of_this = DeploymentFilter(id=DeploymentFilterId(any_=[deployment_id]))
    with get_client(sync_client=True) as client:
        while True:
            for run in client.read_flow_runs(deployment_filter=of_this):
                if run.state is not None and run.state.is_final():
                    return run.state.name or ""
            time.sleep(0.5)


if __name__ == "__main__":
    refused = TaskFault(FailFile("PERMISSION_DENIED"), file="/07.csv")
    with playground() as place, working(place.folder) as pool:
        redrive = on_event("failed", redrive_transfer, place, pool)
        verify = on_event("completed", verify_transfer, place, pool)
        options = TransferOptions(fault_grace=1, retry_limit=0)
        with place.globus.fault(refused):
            try:
                resumable_transfer(place.source, place.destination, options, transfer_id="watched")
            except TransferFailedError:
                status = transfer_status("watched")
                print(f"{status.id} is {status.status}: {status.items_failed} file was refused.", flush=True)
        print("Its permissions are mended, and nobody does anything about the transfer.", flush=True)
        print(f"The run that tries it again is {wait_for_run_of(redrive)}.", flush=True)
        print(f"The run that verifies it is {wait_for_run_of(verify)}.")
        status = transfer_status("watched")
        print(f"{status.id} is {status.status}: {status.items_transferred} of {status.items_total} files.")
