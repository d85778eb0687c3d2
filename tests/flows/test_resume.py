"""Kill any process at any moment: the transfer goes on, nothing is lost and nothing is done twice."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId, FlowRunFilterName
from prefect.client.schemas.sorting import FlowRunSort, TaskRunSort
from prefect.settings import PREFECT_API_URL, temporary_settings

from prefect_globus import (
    TransferResult,
    TransferStatus,
    cancel_transfer,
    delete_transfer,
    list_transfers,
    resume_transfer,
)
from prefect_globus import transfer_status as status_of
from prefect_globus.globus.service import GlobusService
from prefect_globus.globus.submission import submission_body
from prefect_globus.tasks.processes import is_gone, this_holder
from prefect_globus.transfers.batches import Batch
from prefect_globus.transfers.errors import (
    LeaseHeldError,
    TransferCanceledError,
    TransferNotFoundError,
)
from prefect_globus.transfers.ledger import Ledger
from prefect_globus.transfers.model import Holder
from support.worker import wait_for
from support.world import World, tree

SLOW = [{"file_delay": 0.05}]
ELSEWHERE = Holder(description="somebody@elsewhere, process 1", process="another-machine/pid:[1]/1@1")


def check_books(world: World, transfer_id: str = "test") -> None:
    """Invariant 5, from the checkpoint and against the emulator's own record."""
    ledger = world.store.ledger(transfer_id)
    assert ledger.balances
    items = sum(batch.items for batch in world.store.list_batches(transfer_id))
    assert items == ledger.items == sum(1 for _ in world.store.iter_items(transfer_id))
    moved = world.moved()
    recorded = {
        "/" + item.path
        for batch in world.store.list_batches(transfer_id)
        for item, outcome in zip(world.store.load_manifest(transfer_id, batch.number), batch.outcomes, strict=True)
        if outcome == 1
    }
    assert recorded <= set(moved), "the ledger calls something transferred that Globus has not moved"


def check_once(world: World, transfer_id: str = "test") -> None:
    """Invariants 1 and 4: one task a submission id, one successful task an item."""
    batches = list(world.store.list_batches(transfer_id))
    attempts = [attempt for batch in batches for attempt in batch.attempts]
    assert len({attempt.submission_id for attempt in attempts}) == len(attempts)
    tasks = world.tasks()
    assert sorted(task["task_id"] for task in tasks) == sorted(str(attempt.task_id) for attempt in attempts)
    moved = world.moved()
    assert all(len(by) == 1 for by in moved.values())
    assert set(moved) == {"/" + item.path for item in world.store.iter_items(transfer_id)}


def many_files(world: World, number: int) -> None:
    world.write({f"{n % 7}/{n % 5}/file {n}": f"{n}" * (n % 300) for n in range(number)})


def is_driven_by(world: World, pid: int) -> bool:
    lease = world.store.current_lease("test") if list(world.store.list_transfers()) else None
    return lease is not None and f"/{pid}@" in str(lease.holder.process)


@pytest.mark.parametrize("emulator_options", SLOW)
@pytest.mark.parametrize("kills", [7, pytest.param(20, marks=pytest.mark.soak)])
def test_kill_9_at_random_moments(world: World, kills: int) -> None:
    """Each kill is followed by a resume; in the end everything is there, once."""
    many_files(world, 90 * kills)
    moments = random.Random(20261122)
    for number in range(kills):
        driver = world.drive(batch_size=10, max_concurrency=4)
        if number:  # the first one is killed while it starts, the others at work
            wait_for(lambda pid=driver.pid: is_driven_by(world, pid), what="the lease")
        time.sleep(moments.uniform(0.0, 1.6))
        assert driver.poll() is None, "the transfer ended before it could be killed"
        driver.kill()
        driver.communicate()
        if list(world.store.list_transfers()):
            check_books(world)
    result = world.run(batch_size=10, max_concurrency=4)
    assert result.status is TransferStatus.COMPLETED
    assert tree(world.source) == tree(world.destination)
    check_books(world)
    check_once(world)


@pytest.mark.parametrize("emulator_options", SLOW)
def test_kill_9_of_globus_in_mid_transfer(world: World) -> None:
    """The flow rides it out without help."""
    many_files(world, 200)
    outcome: list[TransferResult] = []
    thread = threading.Thread(target=lambda: outcome.append(_in_thread(world)))
    thread.start()
    _wait_for(lambda: bool(list(world.destination.rglob("file*"))))
    world.emulator.kill()
    time.sleep(3)
    world.emulator.restart()
    thread.join(120)
    assert [result.status for result in outcome] == [TransferStatus.COMPLETED]
    assert tree(world.source) == tree(world.destination)
    check_once(world)


def _in_thread(world: World) -> TransferResult:
    with temporary_settings({PREFECT_API_URL: world.prefect_api}):
        return world.run(batch_size=20)


def _wait_for(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    give_up = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < give_up, "it never happened"
        time.sleep(0.05)


@pytest.mark.parametrize("emulator_options", SLOW)
def test_a_live_transfer_is_refused_and_taken_over_when_its_holder_is_dead(world: World) -> None:
    """The refusal says who drives it; the next one needs no wait after a kill, as the process is known to be gone."""
    many_files(world, 1500)
    driver = world.drive(batch_size=50, lock_stale_after=3600)
    _wait_for(lambda: bool(list(world.store.list_transfers())) and world.store.current_lease("test") is not None)
    with pytest.raises(LeaseHeldError, match=rf"process {driver.pid}"):
        world.run(batch_size=50)
    assert driver.poll() is None
    driver.kill()
    driver.communicate()
    assert world.run(batch_size=50).status is TransferStatus.COMPLETED
    check_once(world)


def test_a_holder_that_cannot_be_seen_keeps_its_lease_until_it_expires(world: World) -> None:
    """Only time tells that a process of another machine is gone; who asks for it waits."""
    world.write({"a": "1"})
    world.run("other")
    _prepare(world)
    lease = world.store.acquire_lease("test", ELSEWHERE, 3.0)
    with pytest.raises(LeaseHeldError, match="somebody@elsewhere"):
        world.run()
    began = time.monotonic()
    assert world.run(max_lock_wait=30.0).status is TransferStatus.COMPLETED
    assert time.monotonic() - began > 1.0
    assert world.store.current_lease("test") is None
    assert lease.token > 0


def _prepare(world: World) -> None:
    """Create the checkpoint of a transfer that nobody has driven yet."""
    transfer = world.store.load_transfer("other")
    fresh = {"id": "test", "status": TransferStatus.CREATED, "batches": 0, "cursor": None, "scan_complete": False}
    world.store.create_transfer(transfer.evolve(**fresh))


def test_the_process_of_a_holder() -> None:
    """This process is there; one with its pid and another start is gone; another machine's cannot be known."""
    here = this_holder()
    assert here.process is not None
    machine, _, process = here.process.rpartition("/")
    assert not is_gone(here)
    assert is_gone(Holder(description="", process=f"{machine}/{process.partition('@')[0]}@1"))
    assert not is_gone(ELSEWHERE)
    assert not is_gone(Holder(description=""))


def test_completed_twice_is_harmless(world: World) -> None:
    """A second call returns the first result and submits nothing."""
    many_files(world, 30)
    first = world.run()
    second = world.run()
    assert first == second
    assert len(world.tasks()) == len(first.tasks) == 1


@pytest.mark.parametrize("emulator_options", SLOW)
def test_a_resumed_transfer_shows_finished_batches_as_cached(world: World) -> None:
    """The checkpoint is Prefect's cache; and what needs work is not kept waiting by what is done."""
    many_files(world, 300)
    driver = world.drive(batch_size=10, max_concurrency=3)
    _wait_for(lambda: _ledger(world).batches_done >= 3)
    driver.kill()
    driver.communicate()
    left = _ledger(world)
    done, begun = left.batches_done, min(1, left.batches - left.batches_done)  # their threads may overtake each other
    world.run(batch_size=10, max_concurrency=2)
    states = _states_of_batches()
    assert states.count("Cached") == done
    assert "Cached" not in states[:begun]
    check_once(world)


def _ledger(world: World) -> Ledger:
    try:
        return world.store.ledger("test")
    except TransferNotFoundError:
        return Ledger()


def _states_of_batches() -> list[str | None]:
    """In which states the batches of the latest flow run ended, in the order of their submission, as Prefect has it."""
    with get_client(sync_client=True) as client:
        by_name = FlowRunFilter(name=FlowRunFilterName(like_="test"))
        (latest,) = client.read_flow_runs(flow_run_filter=by_name, sort=FlowRunSort.START_TIME_DESC, limit=1)
        by_run = FlowRunFilter(id=FlowRunFilterId(any_=[latest.id]))
        for _ in range(60):  # the server writes task runs down a little later
            runs = client.read_task_runs(flow_run_filter=by_run, sort=TaskRunSort.EXPECTED_START_TIME_ASC, limit=200)
            if any(run.name == "finish" for run in runs):
                return [run.state_name for run in runs if run.name.startswith("batch")]
            time.sleep(0.5)
    return []


@pytest.mark.parametrize("posted", [True, False])
def test_a_half_made_submission_is_completed_under_its_own_id(world: World, *, posted: bool) -> None:
    """Cut off between intent and answer, the same body is posted again, and Globus has one task."""
    many_files(world, 20)
    world.run("other")
    _prepare(world)
    lease = world.store.acquire_lease("test", ELSEWHERE, 60.0)
    items = world.store.load_manifest("other", 1)
    batch = Batch.cut("test", 1, items)
    transfer = world.store.load_transfer("test").evolve(
        status=TransferStatus.SCANNING, batches=1, cursor=items[-1].path
    )
    world.store.save_transfer(lease, transfer.evolve(batches=0, cursor=None))
    world.store.append_batch(lease, transfer, batch, items)
    globus = GlobusService(world.credentials.get_transfer_client)
    batch = batch.intend(globus.new_submission_id(), deadline=None)
    world.store.save_batch(lease, batch)
    before = globus.submit(submission_body(transfer, batch, items)) if posted else None
    world.store.release_lease(lease)

    result = world.run()
    assert result.status is TransferStatus.COMPLETED
    assert len(result.tasks) == 1
    assert before in (None, result.tasks[0].task_id)
    assert len(world.tasks()) == 2


@pytest.mark.parametrize("emulator_options", [{"file_delay": 0.2}])
def test_cancel_a_live_transfer_from_another_process(world: World) -> None:
    """The driver obeys, what ran at Globus is canceled, and what was moved is counted."""
    many_files(world, 300)
    driver = world.drive(batch_size=20)
    _wait_for(lambda: bool(_ledger(world).batches) and bool(world.tasks()))
    result = cancel_transfer("test", credentials=world.credentials, checkpoints=world.store)
    assert result.status is TransferStatus.CANCELED
    driver.communicate(timeout=120)
    assert driver.returncode != 0
    assert "ACTIVE" not in {task["status"] for task in world.tasks()}
    check_books(world)
    assert cancel_transfer("test", credentials=world.credentials, checkpoints=world.store) == result
    with pytest.raises(TransferCanceledError, match="choose another transfer id"):
        world.run(batch_size=20)


@pytest.mark.parametrize("emulator_options", [{"file_delay": 0.2}])
def test_cancel_a_transfer_that_nobody_drives(world: World) -> None:
    """Orphans at Globus are found and canceled (invariant 7)."""
    many_files(world, 100)
    driver = world.drive(batch_size=20)
    _wait_for(lambda: bool(_ledger(world).batches) and bool(world.tasks()))
    driver.kill()
    driver.communicate()
    assert "ACTIVE" in {task["status"] for task in world.tasks()}
    result = cancel_transfer("test", credentials=world.credentials, checkpoints=world.store)
    assert result.status is TransferStatus.CANCELED
    assert "ACTIVE" not in {task["status"] for task in world.tasks()}
    check_books(world)


def test_the_calls_of_the_seed(world: World) -> None:
    """Status, list, resume and delete, by id."""
    world.write({"a": "1", "b": "22"})
    with pytest.raises(TransferNotFoundError, match="prefect-globus list"):
        status_of("test", checkpoints=world.store)
    result = world.run(label="Seed")
    assert status_of("test", checkpoints=world.store) == result
    assert resume_transfer("test", credentials=world.credentials, checkpoints=world.store) == result
    assert [each.id for each in list_transfers(checkpoints=world.store)] == ["test"]
    assert list_transfers(checkpoints=world.store, statuses=[TransferStatus.FAILED]) == []
    assert result.completed_tasks == result.task_ids
    assert (result.current_tasks, result.failed_tasks) == ([], [])
    delete_transfer("test", checkpoints=world.store)
    assert list_transfers(checkpoints=world.store) == []
