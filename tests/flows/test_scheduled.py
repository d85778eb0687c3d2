"""What is done at the ticks of a deployed schedule: with Prefect's server, its own ticks, and the emulator."""

from __future__ import annotations

from typing import Any

import pytest
from prefect.schedules import Cron

from prefect_globus import TransferStatus
from prefect_globus.flows.scheduled_transfer import scheduled_transfer
from prefect_globus.transfers.errors import InvalidInputError
from support.deployed import HOUR, deploy, hourly, on_the_hour
from support.world import QUICK, World, tree

DAILY = "backup-{scheduled:%Y%m%d}"


@pytest.mark.parametrize(
    ("catch_up", "expected", "names"),
    [
        ("skip", [], ["Skipped"] * 5),
        # the first flow run that gets a place does not leave it to one that may come too late itself
        ("latest", [4], ["Completed", "Skipped", "Skipped", "Skipped", "AlreadyDone"]),
        ("all", [0, 1, 2, 3, 4], ["Completed"] * 5),
    ],
)
def test_five_ticks_that_were_missed(world: World, catch_up: str, expected: list[int], names: list[str]) -> None:
    """Nobody was there to run them: none, the latest or all are run, in order, each with its own tick."""
    world.write({"a": "1"})
    schedule = deploy(world, hourly(5), catch_up=catch_up)
    ticks = [on_the_hour(5) + number * HOUR for number in range(5)]
    late = schedule.schedule(ticks[0], ticks[-1])
    assert [run.expected_start_time for run in late] == ticks
    states = [schedule.execute(run) for run in late]
    assert [state.name for state in states] == names, states
    assert schedule.series == [(number, ticks[n]) for number, n in enumerate(expected, 1)]
    assert all("missed" in str(state.message) for state in states if state.name == "Skipped")
    assert len(world.tasks()) == len(expected)
    assert set(tree(world.destination)) >= {f"{ticks[n]:%Y-%m-%dT%H%M%S}/a" for n in expected}


def test_all_that_was_missed_is_run_in_order(world: World) -> None:
    """Though the flow run of the last tick is the first that gets a place: it does theirs, too, before its own."""
    world.write({"a": "1"})
    schedule = deploy(world, hourly(3), catch_up="all")
    late = schedule.schedule(on_the_hour(3), on_the_hour(1))
    assert schedule.execute(late[-1]).is_completed()
    assert schedule.series == [(number, run.expected_start_time) for number, run in enumerate(late, 1)]
    labels = [task["label"] for task in sorted(world.tasks(), key=lambda task: str(task["request_time"]))]
    assert [each.id in label for each, label in zip(schedule.transfers, labels, strict=True)] == [True] * 3
    assert [schedule.execute(run).name for run in late[:2]] == ["AlreadyDone", "AlreadyDone"]
    assert len(world.tasks()) == 3


def test_a_day_that_is_complete_is_not_done_again(world: World) -> None:
    """One id for all ticks of a day, also in the destination's path; a cron schedule, and no count."""
    world.write({"a": "1"})
    cron = Cron("0 * * * *", timezone="UTC")
    schedule = deploy(world, cron, transfer_id=DAILY, destination="/{scheduled:%Y/%m/%d}")
    midnight = on_the_hour().replace(hour=0) - 24 * HOUR
    states = [schedule.execute(schedule.ask_for(midnight + hour * HOUR)) for hour in (0, 1, 24)]
    assert [state.name for state in states] == ["Completed", "AlreadyDone", "Completed"]
    days = [midnight, midnight + 24 * HOUR]
    assert [(each.id, each.scheduled.tick) for each in schedule.transfers if each.scheduled] == [
        (f"backup-{day:%Y%m%d}", day) for day in days
    ]
    assert {path for path, kind in tree(world.destination).items() if kind[0] == "file"} == {
        f"{day:%Y/%m/%d}/a" for day in days
    }
    names = [run.name for run in schedule.flow_runs() if run.expected_start_time in days and not run.auto_scheduled]
    assert names == [f"{schedule.name}, run {number}, {day:%Y-%m-%d} 00:00" for number, day in enumerate(days, 1)]


def test_an_end_by_count(world: World) -> None:
    """The schedule is inactive after its last run and says so; whoever asks for another one is told."""
    world.write({"a": "1"})
    schedule = deploy(world, hourly(2, count=2))
    assert [schedule.execute(schedule.ask_for()).name for _ in range(1)] == ["Completed"]
    assert schedule.active
    assert schedule.execute(schedule.ask_for()).is_completed()
    assert not schedule.active
    extra = schedule.execute(schedule.ask_for())
    assert (extra.name, extra.message) == ("Ended", "2 of 2 runs were made")
    assert len(world.tasks()) == 2
    assert any(run.name.startswith(f"{schedule.name}, run 2 of 2, ") for run in schedule.flow_runs())


def test_an_end_by_count_waits_for_no_tick(world: World) -> None:
    """A worker that never keeps up with the ticks has always one that is due, which has nothing to do any more."""
    world.write({"a": "1"})
    schedule = deploy(world, hourly(3, count=1))
    late = schedule.schedule(on_the_hour(3), on_the_hour(1))
    assert schedule.execute(late[0]).name == "Completed"
    assert not schedule.active
    assert len(schedule.transfers) == len(world.tasks()) == 1


def test_bad_input_is_refused_before_anything_moves(world: World) -> None:
    """Also by a flow that is just called."""
    for change, hint in [
        ({"transfer_id": "b-{day}"}, "{scheduled:%Y%m%d}"),
        ({"transfer_id": "b-{run}"}, "deployment"),
        ({"timezone": "Nowhere"}, "Europe/Berlin"),
        ({"source": "{scheduled}"}, "COLLECTION_UUID:/"),
    ]:
        call = {"source": world.location("source"), "destination": world.location("destination"), **change}
        with pytest.raises(InvalidInputError) as refused:
            scheduled_transfer(**call, credentials=world.credentials, checkpoints=world.store)
        assert hint in str(refused.value)
    assert list(world.store.list_transfers()) == []


def test_a_call_without_a_deployment(world: World) -> None:
    """It is one run, with an id by the template; called again, it is done already."""
    world.write({"a": "1"})
    call: dict[str, Any] = {"transfer_id": "at-{scheduled:%Y}", "options": QUICK, "checkpoints": world.store}
    locations = [world.location("source"), world.location("destination", "/{scheduled:%Y}")]
    result = scheduled_transfer(*locations, **call, credentials=world.credentials)
    assert result.status is TransferStatus.COMPLETED
    assert world.store.load_transfer(result.id).scheduled is None
    again = scheduled_transfer(*locations, **call, credentials=world.credentials, return_state=True)
    assert again.name == "AlreadyDone"
    assert len(world.tasks()) == 1
