"""Cancel, suspend and resume a flow run in Prefect, with a real worker."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from prefect.client.schemas.objects import FlowRun
from prefect.flow_runs import resume_flow_run, suspend_flow_run
from prefect.flows import Flow

from prefect_globus import TransferStatus, resumable_transfer
from prefect_globus.emulator import Answer, Drop, RequestFault
from prefect_globus.flows.prefect_state import cancel_what_is_left, transfer_id_of
from prefect_globus.transfers.errors import TransferCanceledError, TransferNotFoundError
from prefect_globus.transfers.model import PausedBy, Transfer
from support.background import running
from support.etl import etl, etl_by_batch
from support.worker import Worker, cancel, flow_runs, running_worker, state_of, task_states, wait_for
from support.world import World, tree

SLOW = [{"file_delay": 0.3}]


@pytest.fixture(scope="module")
def worker(prefect_api: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    folder: Path = tmp_path_factory.mktemp("worker")
    with running_worker(prefect_api, folder) as running:
        yield running


def many_files(world: World, number: int = 120) -> None:
    world.write({f"{n % 4}/file {n:03}": f"{n}" for n in range(number)})


def transfer_of(world: World, transfer_id: str = "test") -> Transfer | None:
    try:
        return world.store.load_transfer(transfer_id)
    except TransferNotFoundError:
        return None


def running_tasks(world: World) -> list[str]:
    return [task["task_id"] for task in world.tasks() if task["status"] in ("ACTIVE", "INACTIVE")]


def check_canceled(world: World, run_id: UUID, transfer_id: str = "test") -> None:
    wait_for(lambda: state_of(run_id).is_final(), what="the end of the flow run")
    assert state_of(run_id).is_cancelled(), state_of(run_id)
    assert world.store.load_transfer(transfer_id).status is TransferStatus.CANCELED
    assert running_tasks(world) == []
    assert world.store.ledger(transfer_id).balances
    assert world.store.current_lease(transfer_id) is None


@pytest.mark.parametrize("emulator_options", SLOW)
def test_a_canceled_flow_run_cancels_its_transfer(world: World, worker: Worker) -> None:
    """And what it has running at Globus, though its cancel fails at first, and its answer is lost."""
    many_files(world)
    world.emulator.inject(RequestFault(Answer(503, "ServiceUnavailable"), path="/v0.10/task/*/cancel", times=3))
    world.emulator.inject(RequestFault(Drop(after=True), path="/v0.10/task/*/cancel", times=1))
    run_id = worker.begin(world, resumable_transfer, transfer_id=None, batch_size=30)
    transfer_id = transfer_id_of(run_id)
    wait_for(lambda: len(running_tasks(world)) >= 3, what="a task at Globus")
    cancel(run_id)
    check_canceled(world, run_id, transfer_id)


@pytest.mark.parametrize("emulator_options", SLOW)
@pytest.mark.parametrize("own", [etl, etl_by_batch], ids=["etl", "by batch"])
def test_a_canceled_flow_cancels_the_transfer_in_it(world: World, worker: Worker, own: Flow[..., Any]) -> None:
    """Prefect marks the outer flow run alone, and signals its main thread alone."""
    many_files(world)
    run_id = worker.begin(world, own, batch_size=30)
    wait_for(lambda: running_tasks(world), what="a task at Globus")
    cancel(run_id)
    check_canceled(world, run_id)


@pytest.mark.parametrize("emulator_options", [{"latency": 500}])
def test_a_flow_run_that_is_canceled_while_it_scans(world: World, worker: Worker) -> None:
    """Nothing is submitted any more."""
    world.write({f"{n}/file": "" for n in range(100)})
    run_id = worker.begin(world, resumable_transfer, transfer_id="test")
    wait_for(lambda: (found := transfer_of(world)) and found.status is TransferStatus.SCANNING, what="the scan")
    cancel(run_id)
    check_canceled(world, run_id)
    assert not world.store.load_transfer("test").scan_complete


@pytest.mark.parametrize("emulator_options", SLOW)
def test_a_flow_run_that_is_canceled_while_it_waits_for_a_person(world: World, worker: Worker) -> None:
    """A task that is INACTIVE is canceled like any other."""
    many_files(world)
    run_id = worker.begin(world, resumable_transfer, batch_size=60)
    wait_for(lambda: len(running_tasks(world)) == 2, what="a task at Globus")
    for task in running_tasks(world):
        world.emulator.inactivate_task(task)
    wait_for(lambda: world.store.load_transfer("test").paused_by is PausedBy.FAULT, what="the pause")
    cancel(run_id)
    check_canceled(world, run_id)


@pytest.mark.parametrize("emulator_options", SLOW)
def test_a_canceled_flow_run_of_no_worker(world: World) -> None:
    """Nobody sends it a signal, so it looks for itself, and says itself that it is canceled."""
    many_files(world)
    with running(world, "plain", batch_size=30) as run:
        wait_for(lambda: running_tasks(world), what="a task at Globus")
        (run_id,) = flow_runs("plain")
        cancel(run_id)
        assert isinstance(run.exception(), TransferCanceledError)
    check_canceled(world, run_id, "plain")


@pytest.mark.parametrize("emulator_options", SLOW)
def test_what_a_dead_flow_run_has_left_is_canceled_by_the_hook(world: World) -> None:
    """Prefect runs it with the parameters of the run."""
    many_files(world)
    driver = world.drive("left", batch_size=30)
    wait_for(lambda: len(running_tasks(world)) >= 2, what="a task at Globus")
    (run_id,) = flow_runs("left")
    parameters = {
        "source": world.location("source"),
        "destination": world.location("destination"),
        "transfer_id": "left",
        "credentials": world.credentials,
        "checkpoints": world.store,
    }
    left = FlowRun(id=run_id, flow_id=uuid4(), parameters=parameters)
    driver.kill()
    driver.communicate()
    cancel(run_id)
    cancel_what_is_left(resumable_transfer, left, state_of(run_id))
    check_canceled(world, run_id, "left")


@pytest.mark.parametrize("emulator_options", SLOW)
def test_a_suspended_flow_run_pauses_its_transfer(world: World, worker: Worker) -> None:
    """What runs at Globus goes on; the resumed run re-attaches it, and Prefect shows Cached what was done."""
    many_files(world)
    run_id = worker.begin(world, resumable_transfer, batch_size=10, max_concurrency=3)
    wait_for(lambda: transfer_of(world) and world.store.ledger("test").batches_done, what="a batch that is done")
    suspend_flow_run(flow_run_id=run_id, timeout=300)
    wait_for(lambda: world.store.load_transfer("test").status is TransferStatus.PAUSED, what="the pause")
    paused = world.store.load_transfer("test")
    assert paused.paused_by is PausedBy.PREFECT
    assert "suspended in Prefect" in str(paused.error)
    wait_for(lambda: world.store.current_lease("test") is None, what="the end of the lease")
    assert state_of(run_id).name == "Suspended"
    before = {task["task_id"] for task in world.tasks()}
    assert "CANCELED" not in {str(task["fatal_error"] and task["fatal_error"]["code"]) for task in world.tasks()}

    resume_flow_run(run_id)
    wait_for(lambda: state_of(run_id).is_final(), what="the end of the flow run")
    assert state_of(run_id).is_completed(), state_of(run_id)
    wait_for(lambda: "Cached" in task_states(run_id), what="a batch that is shown as cached")
    assert tree(world.source) == tree(world.destination)
    batches = list(world.store.list_batches("test"))
    assert before <= {task["task_id"] for task in world.tasks()}
    assert len(world.tasks()) == len(batches) == 12
    assert all(len(by) == 1 for by in world.moved().values())
