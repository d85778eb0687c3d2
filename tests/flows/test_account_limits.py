"""All transfers with the same login share its places among Globus tasks, wherever they run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from prefect.settings import PREFECT_API_URL, PREFECT_LOGGING_LEVEL, temporary_settings

from prefect_globus import GlobusCredentials, TransferOptions, TransferResult, TransferStatus, resumable_transfer
from prefect_globus.tasks import slots
from prefect_globus.tasks.global_limits import GlobalLimit, LimitError, Room
from prefect_globus.tasks.slots import SharedSlots
from prefect_globus.tasks.stopping import Stop, StopReason
from prefect_globus.transfers.batches import Attempt
from prefect_globus.transfers.errors import TransferNotFoundError, TransferStoppedError
from support.world import QUICK, World, tree

FLOW_RUN = Path(__file__).parents[1] / "support" / "flow_run.py"
SLOW = [{"file_delay": 0.04}]
NOWHERE = "http://127.0.0.1:9/api"


def login(world: World, **limits: int) -> GlobusCredentials:
    """The world's credentials, with limits. Their account is its own, as its emulator is."""
    return world.credentials.model_copy(update=limits)


def files(world: World, transfer_id: str, number: int) -> None:
    world.write({f"{transfer_id}/{n % 5}/file {n}": f"{n}" * (n % 50) for n in range(number)})


def parameters(world: World, transfer_id: str, options: dict[str, object]) -> dict[str, object]:
    return {
        "source": world.location("source", f"/{transfer_id}"),
        "destination": world.location("destination", f"/{transfer_id}"),
        "transfer_id": transfer_id,
        "options": QUICK | options,
    }


def run(world: World, credentials: GlobusCredentials, transfer_id: str, **options: object) -> TransferResult:
    """Run the flow in a thread of this process, from and to folders of the transfer's name."""
    given = parameters(world, transfer_id, options)
    given["options"] = TransferOptions.model_validate(given["options"])
    with temporary_settings({PREFECT_API_URL: world.prefect_api, PREFECT_LOGGING_LEVEL: "WARNING"}):
        result: TransferResult = resumable_transfer(**given, credentials=credentials, checkpoints=world.store)  # type: ignore[arg-type]
        return result


def start(world: World, credentials: GlobusCredentials, transfer_id: str, **options: object) -> subprocess.Popen[str]:
    """The same in a process of its own; return when it has begun."""
    block = f"account-{uuid4().hex[:8]}"
    credentials.save(block)
    given = parameters(world, transfer_id, options) | {"credentials": block}
    environment = {**os.environ, "PREFECT_API_URL": world.prefect_api, "PREFECT_GLOBUS_DATABASE_URL": world.database}
    process = subprocess.Popen(
        [sys.executable, str(FLOW_RUN), json.dumps(given)],
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


@contextmanager
def limit_of(world: World, credentials: GlobusCredentials) -> Iterator[GlobalLimit]:
    """The limit on the tasks of an account, as Prefect has it."""
    with temporary_settings({PREFECT_API_URL: world.prefect_api}):
        limit = GlobalLimit(f"globus-tasks-{credentials.account}", credentials.max_tasks)
    try:
        yield limit
    finally:
        limit.close()


@contextmanager
def counted(world: World) -> Iterator[list[int]]:
    """How many unfinished tasks the emulator has, looked at all the time."""
    counts: list[int] = []
    ended = threading.Event()

    def count() -> None:
        with world.client as client:
            while not ended.wait(0.05):
                query = {"filter": "type:TRANSFER/status:ACTIVE,INACTIVE"}
                counts.append(len(client.task_list(limit=1000, query_params=query)["DATA"]))

    with ThreadPoolExecutor(1) as pool:
        watching = pool.submit(count)
        try:
            yield counts
        finally:
            ended.set()
        watching.result()


def wait_for(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    give_up = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < give_up, "it never happened"
        time.sleep(0.05)


def attempts(world: World, transfer_id: str) -> list[Attempt]:
    try:
        return [attempt for batch in world.store.list_batches(transfer_id) for attempt in batch.attempts]
    except TransferNotFoundError:
        return []


def live_slots(world: World, transfer_id: str) -> list[UUID | None]:
    return [attempt.slot for attempt in attempts(world, transfer_id) if attempt.live and attempt.task_id]


@pytest.mark.parametrize("emulator_options", SLOW)
def test_transfers_in_threads_and_processes_share_the_places_of_their_account(world: World) -> None:
    """Globus never has more unfinished tasks of the login than it may have, and every place is given back."""
    credentials = login(world, max_tasks=3)
    names = ["one", "two", "three", "four"]
    for name in names:
        files(world, name, 50)
    with counted(world) as counts, ThreadPoolExecutor(2) as pool:
        processes = [start(world, credentials, name, batch_size=10) for name in names[:2]]
        threads = [pool.submit(run, world, credentials, name, batch_size=10) for name in names[2:]]
        assert [each.result().status for each in threads] == [TransferStatus.COMPLETED] * 2
        said = [process.communicate(timeout=120)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], said
    assert 0 < max(counts) <= 3
    assert all(attempt.slot for name in names for attempt in attempts(world, name))
    assert tree(world.source) == tree(world.destination)
    with limit_of(world, credentials) as limit:
        assert limit.room() == Room(taken=0, size=3)


@pytest.mark.parametrize("emulator_options", [{"file_delay": 0.1}])
def test_a_small_transfer_does_not_wait_for_a_large_one(world: World) -> None:
    """It gets its share of the places, though the large one was there before and wants them all."""
    credentials = login(world, max_tasks=2)
    files(world, "large", 240)
    files(world, "small", 30)
    with ThreadPoolExecutor(1) as pool:
        large = pool.submit(run, world, credentials, "large", batch_size=10, max_concurrency=6)
        wait_for(lambda: len(attempts(world, "large")) >= 3)
        assert run(world, credentials, "small", batch_size=10).status is TransferStatus.COMPLETED
        submitted = len(attempts(world, "large"))
        assert large.result().status is TransferStatus.COMPLETED
    assert submitted < 18, "the small one has waited for most of the large one's 24 batches"


@pytest.mark.parametrize("emulator_options", [{"file_delay": 0.3}])
def test_a_killed_driver_leaves_its_places_to_the_next_one(world: World) -> None:
    """What runs at Globus is watched again in the place that it has, and gives it back when it ends."""
    credentials = login(world, max_tasks=2)
    files(world, "test", 60)
    driver = start(world, credentials, "test", batch_size=10)
    wait_for(lambda: len(live_slots(world, "test")) == 2)
    taken = live_slots(world, "test")
    driver.kill()
    driver.communicate()
    with limit_of(world, credentials) as limit:
        assert limit.room() == Room(taken=2, size=2)
        with counted(world) as counts:
            assert run(world, credentials, "test", batch_size=10).status is TransferStatus.COMPLETED
        assert max(counts) <= 2
        assert limit.room() == Room(taken=0, size=2)
    assert None not in taken
    assert len(attempts(world, "test")) == 6, "a task was submitted again"


@pytest.mark.parametrize("emulator_options", SLOW)
def test_places_that_nobody_has_are_found(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that was started again has forgotten who had them, and counts them as taken for ever."""
    monkeypatch.setattr(slots, "_LEAK_SECONDS", 1.0)
    credentials = login(world, max_tasks=2)
    files(world, "test", 20)
    with limit_of(world, credentials) as limit:
        limit.room()
        limit.correct(2)
        assert limit.lease() is None
        assert run(world, credentials, "test", batch_size=10).status is TransferStatus.COMPLETED
        assert limit.room() == Room(taken=0, size=2)


def test_a_place_whose_lease_is_forgotten_is_uncounted(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is gone before its time, so the server has not given it to anybody else."""
    monkeypatch.setattr(slots, "_RENEW_SECONDS", 0.2)
    monkeypatch.setattr(slots, "_TICK_SECONDS", 0.2)
    credentials = login(world, max_tasks=3)
    with limit_of(world, credentials) as limit, limit_of(world, credentials) as other:
        shared = SharedSlots(other, lambda: 0)
        slot = shared.take(Stop("test"))
        assert slot is not None
        limit.release(slot)
        limit.correct(1)  # as after a restart: no lease, and yet a place that counts as taken
        wait_for(lambda: slot in shared._forgotten)
        shared.free(slot)
        wait_for(lambda: limit.room() == Room(taken=0, size=3))  # at once, unless the server is busy just then
        shared._closed.set()
        assert shared._keeper is not None
        shared._keeper.join()


def test_a_place_is_kept_for_the_next_batch_while_there_are_plenty(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that is freed twice is one place still; when places are short, or in the end, all are given back."""
    monkeypatch.setattr(slots, "_TICK_SECONDS", 3600.0)
    credentials, stop = login(world, max_tasks=6), Stop("test")
    with limit_of(world, credentials) as limit, limit_of(world, credentials) as others:
        shared = SharedSlots(limit, lambda: 0)
        slot = shared.take(stop)
        for _ in range(2):
            shared.free(slot)
        assert others.room().taken == 1
        assert shared.take(stop) == slot
        another = shared.take(stop)
        assert another != slot
        shared.free(slot)
        assert others.room().taken == 2
        while others.lease():
            pass
        shared._give_back_spare()
        assert others.room().free == 1
        shared.free(another)  # places are short now, so it is not kept
        assert others.room().free == 2
        shared._closed.set()


def test_a_transfer_goes_on_without_the_server(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Globus keeps its limits itself; that Prefect's are not kept is said once."""
    monkeypatch.setattr(slots, "_BUSY_SECONDS", 1.0)
    with temporary_settings({PREFECT_API_URL: NOWHERE}):
        limit = GlobalLimit("globus-tasks-nowhere", 3)
    with pytest.raises(LimitError, match="ConnectError"):
        limit.room()
    shared = SharedSlots(limit, lambda: 0)
    stop = Stop("test")
    assert [shared.take(stop) for _ in range(3)] == [None] * 3
    shared.free(uuid4())
    shared.close()
    assert [record.levelname for record in caplog.records if record.name == slots.__name__] == ["WARNING"]


def test_who_waits_for_a_place_can_be_stopped(world: World) -> None:
    """Both who looks for it and who waits for his turn to look."""
    credentials = login(world, max_tasks=1)
    with limit_of(world, credentials) as limit, ThreadPoolExecutor(3) as pool:
        shared = SharedSlots(limit, lambda: 1)
        stop = Stop("test")
        assert shared.take(stop) is not None
        waiting = [pool.submit(shared.take, stop) for _ in range(3)]
        stop.request(StopReason.CANCELED)
        for each in waiting:
            with pytest.raises(TransferStoppedError):
                each.result(30)
        shared._closed.set()
