"""Several machines share transfers, an account, a Prefect server and a database; whatever dies, all goes on."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.deployments.runner import EntrypointType
from prefect.flows import Flow
from prefect.settings import PREFECT_API_URL, PREFECT_LOGGING_LEVEL, temporary_settings

from prefect_globus import TransferOptions, TransferStatus, resumable_transfer, resume_incomplete
from prefect_globus.blocks.sql_engine import dispose_engines
from prefect_globus.emulator.process import running_emulator
from prefect_globus.transfers.errors import StoreUnavailableError, TransferNotFoundError
from support.cluster import Postgres, Program, is_healthy, machine, postgresql_programs, prefect_server, wait_for
from support.ports import free_port
from support.world import QUICK, World, tree

pytestmark = pytest.mark.timeout(3000)  # many runs in one test, on a machine that may be busy

POOL = "team"
NAME = "team"
FILES = 90


@pytest.fixture
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL with databases for Prefect and for checkpoints."""
    postgresql_programs()
    # not below pytest's folder, which only its owner may enter
    with tempfile.TemporaryDirectory(prefix="pg-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        postgres = Postgres(Path(folder) / "server", free_port())
        postgres.create("prefect", "checkpoints")
        yield postgres
        dispose_engines()
        postgres.stop()


@pytest.mark.parametrize("transfers", [3, pytest.param(10, marks=pytest.mark.soak)])
def test_all_transfers_complete_whatever_dies(tmp_path: Path, postgres: Postgres, transfers: int) -> None:
    """A machine, then the Prefect server, then the database: nothing is lost or done twice, and no person acts."""
    names = [f"transfer-{number}" for number in range(transfers)]
    port = free_port()
    api = f"http://127.0.0.1:{port}/api"
    for side in ("source", "destination"):
        (tmp_path / side).mkdir()
    folders = {side: tmp_path / side for side in ("source", "destination")}
    with ExitStack() as stack:
        server = prefect_server(tmp_path / "server", port, postgres.url("prefect", "postgresql+asyncpg"))
        machines = [machine(tmp_path / f"machine {number}", api, POOL, transfers // 2 + 1) for number in (1, 2)]
        stack.callback(_end, server, *machines)
        server.start()
        emulator = stack.enter_context(running_emulator(folders, state=tmp_path / "globus.db", file_delay=0.3))
        wait_for(lambda: is_healthy(api), "the start of Prefect's server")
        stack.enter_context(temporary_settings({PREFECT_API_URL: api, PREFECT_LOGGING_LEVEL: "WARNING"}))
        world = World(tmp_path, emulator, api, postgres.url("checkpoints"))
        world.write({f"{name}/{n % 3}/file {n}": f"{name} {n}" for name in names for n in range(FILES)})
        _deploy(world, names)
        for each in machines:
            each.start()

        for each in machines:
            wait_for(partial(_drives, each, world), "a transfer on each machine")
        _wait_for_batches(world, names)
        machines[0].die()
        _wait_for_batches(world, names)
        server.die()
        _wait_for_batches(world, names)
        server.start()
        wait_for(lambda: is_healthy(api), "the second start of Prefect's server", [server])
        postgres.stop()
        postgres.start()
        for name in names:  # one after the other has its time: one machine is left for all of them
            ended = partial(_has_completed, world, name)
            wait_for(ended, f"the end of {name}", [server, machines[1]])
        _check(world, names)


def _end(*programs: Program) -> None:
    for each in programs:
        each.die()


def _deploy(world: World, names: Sequence[str]) -> None:
    """Ask for a run for each transfer, and for a sweep every 20 seconds."""
    world.credentials.save(NAME)
    world.store.save(NAME)
    with get_client(sync_client=True) as client:
        client.create_work_pool(WorkPoolCreate(name=POOL, type="process"))
    blocks = {"credentials": NAME, "checkpoints": f"sql-checkpoint-store/{NAME}"}
    transfer = _applied(resumable_transfer, "many")
    # what a machine takes up and does not put on record is begun again
    sweep = blocks | {"deployment": "resumable-transfer/many", "begin_within": 60}
    _applied(resume_incomplete, "sweep", interval=20, parameters=sweep)
    options = TransferOptions.model_validate(QUICK | {"batch_size": 10, "patience": 300.0})
    for name in names:
        parameters = {
            "source": world.location("source", f"/{name}"),
            "destination": world.location("destination", f"/{name}"),
            "transfer_id": name,
            "options": options.model_dump(mode="json", exclude_unset=True),
        }
        with get_client(sync_client=True) as client:
            client.create_flow_run_from_deployment(transfer, parameters=parameters | blocks)


def _applied(flow: Flow[..., Any], name: str, **settings: Any) -> Any:
    deployment = flow.to_deployment(name, entrypoint_type=EntrypointType.MODULE_PATH, _sync=True, **settings)
    return deployment.apply(work_pool_name=POOL)  # type: ignore[attr-defined] # with _sync it is no coroutine


def _drives(machine: Program, world: World) -> bool:
    """Whether a process of ``machine`` drives a transfer."""
    holders = {f", process {pid}" for pid in machine.pids()}
    leases = [world.store.current_lease(transfer.id) for transfer in world.store.list_transfers()]
    return any(f",{lease.holder.description.rpartition(',')[2]}" in holders for lease in leases if lease)


def _wait_for_batches(world: World, names: Sequence[str]) -> None:
    """Wait until more is done than before."""
    before = _done(world, names)
    wait_for(lambda: _done(world, names) > before, "another batch")


def _done(world: World, names: Sequence[str]) -> int:
    """How many batches are done; -1 while the database is out of reach."""
    done = 0
    for name in names:
        try:
            done += world.store.ledger(name).batches_done
        except TransferNotFoundError:
            pass
        except StoreUnavailableError:
            return -1
    return done


def _has_completed(world: World, name: str) -> bool:
    try:
        return world.store.load_transfer(name).status is TransferStatus.COMPLETED
    except (StoreUnavailableError, TransferNotFoundError):
        return False


def _check(world: World, names: Sequence[str]) -> None:
    """Invariants 1, 4 and 5 over all transfers, by the emulator's own record."""
    assert tree(world.source) == tree(world.destination)
    attempts = [attempt for name in names for batch in world.store.list_batches(name) for attempt in batch.attempts]
    assert len({attempt.submission_id for attempt in attempts}) == len(attempts)
    assert sorted(task["task_id"] for task in world.tasks()) == sorted(str(attempt.task_id) for attempt in attempts)
    moved = world.moved()
    assert all(len(by) == 1 for by in moved.values())
    assert set(moved) == {f"/{name}/{item.path}" for name in names for item in world.store.iter_items(name)}
    for name in names:
        ledger = world.store.ledger(name)
        assert ledger.balances
        assert ledger.transferred == FILES
