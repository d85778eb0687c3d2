"""One driver, whatever happens to processes, clocks and stores: who has lost the lease writes and does nothing more."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from prefect_globus import CheckpointStore, FileCheckpointStore, SqlCheckpointStore, TransferOptions, TransferStatus
from prefect_globus.emulator import Delay, RequestFault
from prefect_globus.globus.service import GlobusService
from prefect_globus.tasks.driver import Driver, driving
from prefect_globus.tasks.processes import this_holder
from prefect_globus.transfers.errors import LeaseLostError, StoreUnavailableError
from prefect_globus.transfers.model import Holder, Lease, Request
from support.background import batches_of, check_once, running, status_of, submitted, wait_for
from support.world import CLIENT_ID, CLIENT_SECRET, QUICK, World, tree

SLOW = [{"file_delay": 0.3}]
SCRIPT = Path(__file__).parents[1] / "support" / "skewed.py"


class Machine:
    """Where drivers run, and the store that they share."""

    def __init__(self, world: World, where: str) -> None:
        self.world = world
        self.where = where

    @property
    def store(self) -> CheckpointStore:
        if "://" in self.where:
            return SqlCheckpointStore(url=self.where)
        return FileCheckpointStore(basepath=Path(self.where))

    def drive(self, fast: float = 0.0, **options: Any) -> subprocess.Popen[str]:
        """Start a driver whose clock is ``fast`` seconds fast; return when it has begun."""
        world = self.world
        environment = {
            **os.environ,
            **world.emulator.environment(),
            "PREFECT_API_URL": world.prefect_api,
            "GLOBUS_CLIENT_ID": CLIENT_ID,
            "GLOBUS_CLIENT_SECRET": CLIENT_SECRET,
        }
        given = TransferOptions(**(QUICK | options)).model_dump_json()
        arguments = [world.location("source"), world.location("destination"), "test", given, str(fast), self.where]
        process = subprocess.Popen(
            [sys.executable, str(SCRIPT), *arguments],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=world.folder,
        )
        world.drivers.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "begins\n", process.stdout.read()
        return process


@pytest.fixture(params=["sqlite", "postgresql", "files"])
def machine(world: World, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """The world with one of the stores."""
    if request.param == "postgresql":
        world.database_url = request.getfixturevalue("postgresql_url")
    made = Machine(world, str(world.folder / "files") if request.param == "files" else world.database)
    if request.param == "files":
        monkeypatch.setattr(World, "store", property(lambda _: made.store))
    return made


def stop_between_writes(driver: subprocess.Popen[str], world: World) -> None:
    """Suspend ``driver`` while it has no lock on the store, which nobody could take from it."""
    for _ in range(10):
        driver.send_signal(signal.SIGSTOP)
        try:
            world.store.withdraw_request("test", Request.PAUSE)
        except StoreUnavailableError:
            driver.send_signal(signal.SIGCONT)
            time.sleep(0.3)
        else:
            return
    pytest.fail("it always writes")


def check_one_driver(world: World) -> None:
    """Complete, and nothing twice, by Globus' own record."""
    assert status_of(world) is TransferStatus.COMPLETED
    assert world.store.ledger("test").balances
    assert tree(world.source) == tree(world.destination)
    check_once(world)


@pytest.mark.parametrize("emulator_options", SLOW)
def test_a_driver_that_slept_past_its_lease(machine: Machine) -> None:
    """Woken up in the middle of a submission, it finds itself replaced, and does nothing any more."""
    world = machine.world
    world.write({f"{n:03}": f"{n}" for n in range(120)})
    world.emulator.inject(RequestFault(Delay(4.0), method="POST", path="/v0.10/transfer", times=2))
    options = {"batch_size": 10, "max_concurrency": 2, "lock_stale_after": 3.0}
    sleeper = machine.drive(**options)
    wait_for(lambda: sum(batch.live for batch in batches_of(world)) == 2, "the intents")
    stop_between_writes(sleeper, world)
    wait_for(lambda: world.store.current_lease("test") is None, "the end of its lease")
    other = machine.drive(**options)
    wait_for(lambda: world.store.current_lease("test") is not None, "the other's lease")
    wait_for(lambda: submitted(world) > 0, "what the other has submitted")
    sleeper.send_signal(signal.SIGCONT)
    said, _ = sleeper.communicate(timeout=120)
    assert sleeper.returncode != 0
    assert "was taken over" in said
    said, _ = other.communicate(timeout=120)
    assert said.endswith("COMPLETED\n"), said
    check_one_driver(world)


@pytest.mark.parametrize("emulator_options", SLOW)
def test_two_machines_whose_clocks_differ_by_minutes(machine: Machine) -> None:
    """One that is fast takes a lease for expired that is not; then the other one ends by itself."""
    world = machine.world
    world.write({f"{n:02}": f"{n}" for n in range(40)})
    right = machine.drive(batch_size=10, max_concurrency=2, lock_stale_after=10.0)
    wait_for(lambda: submitted(world) == 2, "two submissions")
    held = [task["task_id"] for task in world.tasks()]
    for task in held:
        world.emulator.pause_task(task)
    before = world.store.current_lease("test")
    assert before is not None
    fast = machine.drive(fast=600.0, batch_size=10, max_concurrency=2, max_lock_wait=120.0, lock_stale_after=10.0)
    if "postgresql" not in machine.where:
        wait_for(lambda: (now := world.store.current_lease("test")) and now.token > before.token, "the takeover")
    for task in held:
        world.emulator.resume_task(task)
    outputs = [right.communicate(timeout=120)[0], fast.communicate(timeout=120)[0]]
    ended = [output.endswith("COMPLETED\n") for output in outputs]
    # PostgreSQL has a clock of its own, by which both wait for each other
    assert ended == ([True, True] if "postgresql" in machine.where else [False, True]), outputs
    assert ended[0] or "was taken over" in outputs[0]
    check_one_driver(world)


def test_two_drivers_of_a_new_transfer_at_the_same_moment(machine: Machine) -> None:
    """One drives, the other waits for it and has its result."""
    world = machine.world
    world.write({f"{n:02}": f"{n}" for n in range(40)})
    drivers = [machine.drive(batch_size=10, max_lock_wait=120.0) for _ in range(2)]
    outputs = [driver.communicate(timeout=120)[0] for driver in drivers]
    assert all(output.endswith("COMPLETED\n") for output in outputs), outputs
    check_one_driver(world)


def test_a_lease_whose_answer_was_lost_is_our_own(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who asks again for it is not refused for the sake of itself."""
    world.write({"a": "1"})
    acquire, taken = SqlCheckpointStore.acquire_lease, []

    def lose(self: SqlCheckpointStore, transfer_id: str, holder: Holder, *args: Any, **options: Any) -> Lease:
        taken.append(acquire(self, transfer_id, holder, *args, **options))
        if len(taken) == 1:
            raise StoreUnavailableError(store="the test", reason="the answer was lost")
        return taken[-1]

    monkeypatch.setattr(SqlCheckpointStore, "acquire_lease", lose)
    assert world.run(lock_stale_after=3600.0).status is TransferStatus.COMPLETED
    assert len(taken) == 2
    assert world.store.current_lease("test") is None


@pytest.mark.parametrize("emulator_options", SLOW)
def test_a_store_that_is_out_of_reach_for_longer_than_the_lease(world: World) -> None:
    """When nobody else has taken it over meanwhile, its driver goes on."""
    world.write({f"{n:02}": f"{n}" for n in range(40)})
    with running(world, batch_size=10, max_concurrency=2, lock_stale_after=2.0) as run:
        wait_for(lambda: submitted(world) > 0, "a submission")
        before = world.store.current_lease("test")
        with sqlite3.connect(world.folder / "checkpoints.db", isolation_level=None, timeout=30) as connection:
            connection.execute("BEGIN EXCLUSIVE")
            time.sleep(6.0)
            connection.execute("ROLLBACK")
        connection.close()
        assert before is not None
        assert run.result().status is TransferStatus.COMPLETED
    check_one_driver(world)


def test_a_driver_that_has_lost_its_lease_does_nothing_at_globus(world: World) -> None:
    """It asks the store first when it may have slept, even before a request that would be harmless."""
    world.write({"a": "1"})
    world.run()
    transfer = world.store.load_transfer("test")
    driver = Driver(world.store, GlobusService(world.credentials.get_transfer_client), transfer, transfer.options)
    with driving(driver):
        driver.take_over()
        stolen = world.store.acquire_lease("test", this_holder(), 60.0, replacing=driver.lease.token)
        acted: list[int] = []
        with pytest.raises(LeaseLostError):
            driver.act(acted.append, 1)
        with pytest.raises(LeaseLostError):
            driver.update(error="too late")
        assert acted == []
    assert world.store.current_lease("test") == stolen  # it did not give back what is another's
    assert world.store.load_transfer("test") == transfer
