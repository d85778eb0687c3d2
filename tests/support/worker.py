"""A process worker of Prefect, and flow runs that it is given."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId, FlowRunFilterName
from prefect.client.schemas.objects import State
from prefect.deployments.runner import EntrypointType
from prefect.flows import Flow
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.states import Cancelling

from support.world import QUICK, World

PATIENCE = 240.0  # seconds that anything may take on a busy machine


@dataclass
class Worker:
    """A running worker and its pool."""

    pool: str
    process: subprocess.Popen[bytes]

    def begin(self, world: World, flow: Flow[..., Any], transfer_id: str | None = "test", **options: Any) -> UUID:
        """Have the worker run ``flow`` for the transfer of ``world``; return the id of the flow run."""
        name = f"world-{uuid4().hex}"
        world.credentials.save(name)
        world.store.save(name)
        parameters = {
            "source": world.location("source"),
            "destination": world.location("destination"),
            "options": QUICK | options,
            "credentials": name,
            "checkpoints": name,
        }
        if transfer_id is not None:
            parameters["transfer_id"] = transfer_id
        deployment = flow.to_deployment(
            name,
            parameters=parameters,
            entrypoint_type=EntrypointType.MODULE_PATH,
            _sync=True,  # type: ignore[call-arg] # Prefect's own switch for its sync form
        )
        deployment_id = deployment.apply(work_pool_name=self.pool)  # type: ignore[attr-defined] # it is no coroutine here
        with get_client(sync_client=True) as client:
            return client.create_flow_run_from_deployment(deployment_id).id


@contextmanager
def running_worker(prefect_api: str, folder: Path, limit: int | None = None) -> Iterator[Worker]:
    """A worker with a pool of its own; it and its flow runs end with the block.

    Args:
        limit: how many flow runs at once. Prefect's server on SQLite locks itself up when many runs ask for a place in
            a deployment; but a worker with a limit dies when a suspended run is resumed before its process has ended.
    """
    pool = f"pool-{uuid4().hex}"
    with temporary_settings({PREFECT_API_URL: prefect_api}), get_client(sync_client=True) as client:
        client.create_work_pool(WorkPoolCreate(name=pool, type="process"))
    environment = {
        **os.environ,
        "PREFECT_API_URL": prefect_api,
        "PREFECT_WORKER_QUERY_SECONDS": "1",
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
    }
    command = [sys.executable, "-m", "prefect", "worker", "start", "--pool", pool, "--type", "process"]
    command += [] if limit is None else ["--limit", str(limit)]
    with (folder / "worker.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)
    try:
        yield Worker(pool, process)
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def state_of(run_id: UUID) -> State[Any]:
    """The state of a flow run, as Prefect's server has it."""
    with get_client(sync_client=True) as client:
        state = client.read_flow_run(run_id).state
    assert state is not None
    return state


def flow_runs(name: str) -> list[UUID]:
    """The flow runs of that name, or of the transfer of that id, whether or not it is known what they move."""
    with get_client(sync_client=True) as client:
        by_name = FlowRunFilter(name=FlowRunFilterName(like_=name))
        runs = client.read_flow_runs(flow_run_filter=by_name)
        return [run.id for run in runs if run.name == name or run.name.startswith(f"{name}: ")]


def task_states(run_id: UUID) -> list[str | None]:
    """The names of the states of its tasks."""
    with get_client(sync_client=True) as client:
        by_run = FlowRunFilter(id=FlowRunFilterId(any_=[run_id]))
        return [task.state_name for task in client.read_task_runs(flow_run_filter=by_run, limit=200)]


def cancel(run_id: UUID) -> None:
    """Cancel a flow run, as the UI does."""
    with get_client(sync_client=True) as client:
        client.set_flow_run_state(run_id, Cancelling())


def wait_for(condition: Callable[[], object], seconds: float = PATIENCE, what: str = "it") -> None:
    """Wait until ``condition`` holds."""
    give_up = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < give_up, f"{what} never happened"
        time.sleep(0.1)
