"""A deployed schedule, its ticks as Prefect's own scheduler makes them, and flow runs of it in this process."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterDeploymentId
from prefect.client.schemas.objects import FlowRun, State
from prefect.client.schemas.sorting import FlowRunSort
from prefect.flow_engine import run_flow
from prefect.settings import PREFECT_API_URL, PREFECT_LOGGING_LEVEL, temporary_settings
from prefect.states import Scheduled as ScheduledState

from prefect_globus import TransferOptions
from prefect_globus.deployments.recurring import deploy_recurring_transfer
from prefect_globus.flows.scheduled_transfer import scheduled_transfer
from prefect_globus.transfers.model import Transfer
from prefect_globus.transfers.schedules import TransferSchedule
from support.world import QUICK, World

HOUR = timedelta(hours=1)


def on_the_hour(hours: int = 0) -> datetime:
    """The last full hour, or so many before it."""
    return datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - hours * HOUR


@dataclass
class Deployed:
    """A recurring transfer that is deployed."""

    world: World
    name: str
    id: UUID

    @property
    def transfers(self) -> list[Transfer]:
        """The runs that are on record, in their order."""
        found = [each for each in self.world.store.list_transfers() if each.scheduled is not None]
        ours = [each for each in found if each.scheduled.schedule == f"scheduled-transfer/{self.name}"]
        return sorted(ours, key=lambda each: each.scheduled.run)

    @property
    def series(self) -> list[tuple[int, datetime]]:
        """The number and the tick of each run on record."""
        return [(each.scheduled.run, each.scheduled.tick) for each in self.transfers if each.scheduled is not None]

    @property
    def active(self) -> bool:
        """Whether its schedule is."""
        with get_client(sync_client=True) as client:
            (schedule,) = client.read_deployment_schedules(self.id)
        return schedule.active

    def flow_runs(self) -> list[FlowRun]:
        """Its flow runs, by their ticks."""
        chosen = FlowRunFilter(deployment_id=FlowRunFilterDeploymentId(any_=[self.id]))
        with get_client(sync_client=True) as client:
            return client.read_flow_runs(flow_run_filter=chosen, sort=FlowRunSort.EXPECTED_START_TIME_ASC)

    def schedule(self, first: datetime, last: datetime) -> list[FlowRun]:
        """Have Prefect's scheduler make the flow runs of the ticks in between, as it would have in time."""
        body = {"start_time": first.isoformat(), "end_time": last.isoformat(), "min_runs": 100, "max_runs": 100}
        with get_client(sync_client=True) as client:
            client.request("POST", f"/deployments/{self.id}/schedule", json=body).raise_for_status()
        return [run for run in self.flow_runs() if first <= run.expected_start_time <= last]

    def close(self) -> None:
        """Let no flow run of it begin any more."""
        waiting = [run for run in self.flow_runs() if run.state_name == "AwaitingConcurrencySlot"]
        with get_client(sync_client=True) as client:
            client.delete_deployment(self.id)  # and with it those that are merely scheduled
            for run in waiting:
                client.delete_flow_run(run.id)

    def ask_for(self, tick: datetime | None = None) -> UUID:
        """A flow run that somebody has asked for."""
        state: State[Any] | None = ScheduledState(scheduled_time=tick) if tick is not None else None
        with get_client(sync_client=True) as client:
            return client.create_flow_run_from_deployment(self.id, state=state).id

    def execute(self, flow_run: UUID | FlowRun) -> State[Any]:
        """Run a flow run in this process, as a worker does in another; the state in which it ends."""
        with (
            temporary_settings({PREFECT_API_URL: self.world.prefect_api, PREFECT_LOGGING_LEVEL: "WARNING"}),
            get_client(sync_client=True) as client,
        ):
            run = client.read_flow_run(flow_run if isinstance(flow_run, UUID) else flow_run.id)
            state: State[Any] = run_flow(
                scheduled_transfer, flow_run=run, parameters=run.parameters, return_type="state"
            )
        return state


@contextmanager
def ticking(schedule: Deployed, *flow_runs: UUID | FlowRun) -> Iterator[list[subprocess.Popen[str]]]:
    """Run each flow run in a process of its own, all at once; what has not ended with the block is killed."""
    processes = []
    for run in flow_runs:
        command = [sys.executable, str(Path(__file__).parent / "tick.py"), str(getattr(run, "id", run))]
        pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        environment = schedule.world.environment | {"PREFECT_LOGGING_LEVEL": "CRITICAL"}
        processes.append(subprocess.Popen(command, env=environment, cwd=schedule.world.folder, **pipes))
    try:
        for each in processes:
            assert each.stdout is not None
            assert each.stdout.readline() == "begins\n"
        for each in processes:
            assert each.stdin is not None
            each.stdin.write("\n")
            each.stdin.flush()
        yield processes
    finally:
        for each in processes:
            each.kill()
            each.communicate()


def deploy(world: World, schedule: Any, pool: str | None = None, **parameters: Any) -> Deployed:
    """Deploy a recurring transfer of ``world``, with blocks of its own."""
    name = f"schedule-{uuid4().hex[:12]}"
    world.credentials.save(name)
    world.store.save(name)
    if pool is None:
        pool = f"pool-{uuid4().hex}"
        with get_client(sync_client=True) as client:
            client.create_work_pool(WorkPoolCreate(name=pool, type="process"))
    options = TransferOptions(**(QUICK | parameters.pop("options", {})))
    locations = {
        side: world.location(side, parameters.pop(side, "/" if side == "source" else "/{scheduled:%Y-%m-%dT%H%M%S}"))
        for side in ("source", "destination")
    }
    deployment = deploy_recurring_transfer(
        name,
        **locations,
        schedule=schedule,
        work_pool=pool,
        options=options,
        credentials=name,
        checkpoints=name,
        **parameters,
    )
    return Deployed(world, name, deployment)


def hourly(hours_ago: int = 5, **ends: Any) -> TransferSchedule:
    """Every full hour, since so many hours ago."""
    return TransferSchedule.every(HOUR, start=on_the_hour(hours_ago), **ends)
