"""Have another flow run the deployment of a transfer, and go through the manifest when it is there.

The transfer runs on a worker, the pipeline anywhere that reaches the checkpoints: here they are two processes. Run it
with `python examples/chained.py`.
"""

from __future__ import annotations

from typing import cast

from playground import playground, working
from prefect import flow, task
from prefect.client.schemas.objects import FlowRun
from prefect.deployments import run_deployment

from prefect_globus import transfer_deployment, transfer_items, transfer_status


@task
def largest(transfer_id: str) -> str:
    """A next step: go through what was transferred, one batch in memory at a time."""
    return max(transfer_items(transfer_id), key=lambda item: item.size).path


@flow
def pipeline(deployment: str, transfer_id: str) -> None:
    """Wait for the transfer, wherever it runs, and go on with what it has delivered."""
    run = cast("FlowRun", run_deployment(deployment, parameters={"transfer_id": transfer_id}, poll_interval=1))
    result = transfer_status(transfer_id)
    print(f"{run.name} is {run.state_name}: {result.items_transferred} files, {result.bytes_transferred} bytes.")
    print(f"The largest is {largest(transfer_id)}.")


if __name__ == "__main__":
    with playground() as place, working(place.folder) as pool:
        transfer_deployment(pool, place.source, place.destination).apply(work_pool_name=pool)
        pipeline(f"resumable-transfer/{pool}", transfer_id="chained")
