"""A deployed schedule with real processes: Prefect's scheduler and worker, and processes that are killed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import WorkPoolUpdate

from prefect_globus import TransferSchedule, TransferStatus
from prefect_globus.transfers.records import now
from support.background import check_once, status_of
from support.deployed import HOUR, Deployed, deploy, hourly, on_the_hour, ticking
from support.worker import Worker, cancel, running_worker, state_of, wait_for
from support.world import World

SLOW = [{"file_delay": 0.3}]
UNDER_WAY = (TransferStatus.TRANSFERRING,)


@pytest.fixture(scope="module")
def worker(prefect_api: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    folder: Path = tmp_path_factory.mktemp("worker")
    with running_worker(prefect_api, folder, limit=2) as running:
        yield running


def many_files(world: World, number: int = 40) -> None:
    world.write({f"file {n:03}": f"{n}" for n in range(number)})


def statuses(schedule: Deployed) -> list[TransferStatus]:
    return [each.status for each in schedule.transfers]


def state_names(schedule: Deployed) -> list[str | None]:
    return [run.state_name for run in schedule.flow_runs()]


@pytest.mark.parametrize("emulator_options", SLOW)
def test_a_schedule_that_ends_after_three_runs(world: World, worker: Worker) -> None:
    """Each run outlasts the interval: what falls into it is skipped and does not count; then it is inactive."""
    many_files(world, 60)
    every = TransferSchedule.every(15, start=now(), count=3)
    with closing(deploy(world, every, worker.pool)) as schedule:
        wait_for(lambda: status_of(world, *[each.id for each in schedule.transfers]) in UNDER_WAY, what="the first run")
        wait_for(lambda: "Skipped" in state_names(schedule), what="a tick that is skipped")
        wait_for(lambda: not schedule.active, 400, "the end of the schedule")
        wait_for(lambda: statuses(schedule) == [TransferStatus.COMPLETED] * 3, what="the end of the runs")
        numbers, ticks = zip(*schedule.series, strict=True)
        assert numbers == (1, 2, 3)
        assert list(ticks) == sorted(set(ticks))
        assert {(tick - ticks[0]).total_seconds() % 15 for tick in ticks} == {0}


def test_a_worker_that_was_away(world: World, worker: Worker) -> None:
    """Five ticks were due meanwhile: all are run, in their order, though their flow runs come as they like."""
    world.write({"a": "1"})
    schedule = deploy(world, hourly(5), worker.pool, catch_up="all")
    _set_paused(worker.pool, paused=True)
    late = schedule.schedule(on_the_hour(5), on_the_hour(1))
    _set_paused(worker.pool, paused=False)
    wait_for(lambda: all(state_of(run.id).is_final() for run in late), 300, "the end of the flow runs")
    assert {state_of(run.id).name for run in late} <= {"Completed", "AlreadyDone", "Skipped"}
    assert schedule.series == [(number, run.expected_start_time) for number, run in enumerate(late, 1)]
    assert statuses(schedule) == [TransferStatus.COMPLETED] * 5
    begun = sorted(world.tasks(), key=lambda task: str(task["request_time"]))
    assert [each.id in task["label"] for each, task in zip(schedule.transfers, begun, strict=True)] == [True] * 5


def _set_paused(pool: str, *, paused: bool) -> None:
    with get_client(sync_client=True) as client:
        client.update_work_pool(pool, WorkPoolUpdate(is_paused=paused))


@pytest.mark.parametrize("emulator_options", SLOW)
def test_a_run_that_was_killed_is_finished_by_the_next_trigger(world: World) -> None:
    """Under its own id and before that one's own run; nothing is moved twice for the same run."""
    many_files(world)
    schedule = deploy(world, hourly(48), transfer_id="backup-{scheduled:%Y%m%d}", options={"batch_size": 5})
    nights = [on_the_hour().replace(hour=0) - HOUR * 24 * days for days in (1, 0)]
    first, second = (f"backup-{night:%Y%m%d}" for night in nights)
    with ticking(schedule, schedule.ask_for(nights[0])) as (process,):
        wait_for(lambda: status_of(world, first) in UNDER_WAY and world.store.ledger(first).batches_done, what="it")
        process.kill()
        process.wait()
    assert schedule.execute(schedule.ask_for(nights[1])).name == "Completed"
    assert [(each.id, each.status) for each in schedule.transfers] == [
        (first, TransferStatus.COMPLETED),
        (second, TransferStatus.COMPLETED),
    ]
    assert schedule.series == [(1, nights[0]), (2, nights[1])]
    attempts = [
        attempt for each in (first, second) for batch in world.store.list_batches(each) for attempt in batch.attempts
    ]
    assert {str(attempt.task_id) for attempt in attempts} == {task["task_id"] for task in world.tasks()}
    assert all(len(by) == 2 for by in world.moved().values())  # once for each of the two runs


@pytest.mark.parametrize("emulator_options", [{"latency": 300}])
def test_flow_runs_that_decide_at_once(world: World) -> None:
    """Both see that there is room for one more run, while they look at the locations; one of them makes it."""
    world.write({"a": "1"})
    schedule = deploy(world, hourly(5, count=1), overlap="queue")
    with ticking(schedule, schedule.ask_for(on_the_hour(2)), schedule.ask_for(on_the_hour(1))) as processes:
        said = sorted(process.communicate()[0].split()[-1] for process in processes)
    assert said == ["Completed", "Ended"]
    assert len(schedule.transfers) == len(world.tasks()) == 1


@pytest.mark.parametrize("emulator_options", SLOW)
def test_a_run_that_queues_can_be_canceled(world: World, worker: Worker) -> None:
    """Its flow run is canceled in Prefect, and with it the transfer, which never began; the one before it goes on."""
    many_files(world, 120)  # the second run has to begin meanwhile
    schedule = deploy(world, hourly(5), worker.pool, overlap="queue")
    first = schedule.ask_for(on_the_hour(2))
    wait_for(lambda: statuses(schedule) == [TransferStatus.TRANSFERRING], what="the first run")
    second = schedule.ask_for(on_the_hour(1))
    wait_for(lambda: len(schedule.transfers) == 2, what="the second run")
    wait_for(lambda: world.store.current_lease(schedule.transfers[1].id), what="its wait")
    assert world.store.current_lease(schedule.transfers[0].id) is not None
    cancel(second)
    wait_for(lambda: state_of(second).is_final(), what="the end of the second")
    assert state_of(second).is_cancelled()
    assert statuses(schedule)[1] is TransferStatus.CANCELED
    wait_for(lambda: state_of(first).is_final(), what="the end of the first")
    assert statuses(schedule) == [TransferStatus.COMPLETED, TransferStatus.CANCELED]
    check_once(world, schedule.transfers[0].id)


@pytest.mark.parametrize("emulator_options", SLOW)
def test_a_run_that_cancels_the_one_before(world: World) -> None:
    """What it has running at Globus, too; and a canceled run counts, as it was begun."""
    many_files(world)
    schedule = deploy(world, hourly(5), overlap="cancel", options={"batch_size": 5})
    with ticking(schedule, schedule.ask_for(on_the_hour(2))) as (process,):
        wait_for(lambda: statuses(schedule) == [TransferStatus.TRANSFERRING], what="the first run")
        for path in sorted(world.source.iterdir())[1:]:
            path.unlink()
        assert schedule.execute(schedule.ask_for(on_the_hour(1))).name == "Completed"
        assert process.communicate()[0].split()[-1] == "Cancelled"
    assert statuses(schedule) == [TransferStatus.CANCELED, TransferStatus.COMPLETED]
    assert [number for number, _ in schedule.series] == [1, 2]
    assert "ACTIVE" not in {task["status"] for task in world.tasks()}
