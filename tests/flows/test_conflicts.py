"""Another unfinished Globus task has the same paths: ours is adopted, somebody else's is waited for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import globus_sdk
import pytest

from prefect_globus import TransferStatus, cancel_transfer
from prefect_globus.emulator import Answer, RequestFault
from prefect_globus.globus.service import GlobusService
from prefect_globus.transfers.errors import GlobusTransientError, TransferFailedError
from prefect_globus.transfers.states import AttemptStatus
from support.background import batches_of, check_once, running, status_of, submitted, wait_for
from support.world import World, tree

SLOW = [{"file_delay": 0.4}]


def by_hand(world: World, label: str, files: dict[str, str]) -> str:
    """Submit a task as somebody else would, or as we have done and forgotten; return its id."""
    collections = world.emulator.collections
    data = globus_sdk.TransferData(collections["source"], collections["destination"], label=label)
    for source, destination in files.items():
        data.add_item(source, destination)
    return str(world.client.submit_transfer(data)["task_id"])


def _counted(name: str, real: Callable[..., Any], made: list[str]) -> Callable[..., Any]:
    def call(self: GlobusService, *args: Any) -> Any:
        made.append(name)
        return real(self, *args)

    return call


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The requests that a conflict costs, by the name of the method that makes them."""
    made: list[str] = []
    for name in ("submit", "unfinished_tasks"):
        monkeypatch.setattr(GlobusService, name, _counted(name, getattr(GlobusService, name), made))
    return made


@pytest.mark.parametrize("emulator_options", SLOW)
def test_our_own_tasks_are_found_again_when_the_checkpoint_is_lost(world: World) -> None:
    """The same transfer, begun again in a new store while its tasks run, takes them for its own."""
    world.write({f"{n:02}": f"{n}" for n in range(60)})
    driver = world.drive(batch_size=30)
    wait_for(lambda: submitted(world) == 2, "the submission of both batches")
    driver.kill()
    driver.communicate()
    world.database_url = f"sqlite:///{world.folder / 'new.db'}"
    result = world.run(batch_size=30)
    assert (result.status, result.items_transferred) == (TransferStatus.COMPLETED, 60)
    assert [attempt.adopted for batch in batches_of(world) for attempt in batch.attempts] == [True, True]
    assert tree(world.source) == tree(world.destination)
    check_once(world)


@pytest.mark.parametrize("emulator_options", SLOW)
def test_an_adopted_task_counts_for_what_it_has_moved_as_it_was_scanned(world: World) -> None:
    """What it was not sent, or has moved in another size, is sent by the next attempt."""
    world.write({f"{n}": f"{n}" for n in range(8)})
    forgotten = by_hand(world, "test, batch 1", {f"/{n}": f"/{n}" for n in range(5)})
    wait_for((world.destination / "0").exists, "the first file")
    world.emulator.pause_task(forgotten)
    world.write({"0": "grown since"})
    with running(world) as run:
        wait_for(lambda: submitted(world) == 1, "the adoption")
        world.emulator.resume_task(forgotten)
        result = run.result()
    assert (result.status, result.items_transferred) == (TransferStatus.COMPLETED, 8)
    first, second = batches_of(world)[0].attempts
    assert (first.adopted, second.adopted) == (True, False)
    moved = world.moved()
    assert {path for path, by in moved.items() if str(second.task_id) in by} == {"/0", "/5", "/6", "/7"}
    assert tree(world.source) == tree(world.destination)


@pytest.mark.parametrize("emulator_options", SLOW)
def test_a_task_of_the_same_name_to_another_place_delivers_nothing_here(world: World) -> None:
    """The label alone does not say where a task moves its files; its record does."""
    world.write({f"{n}": f"{n}" for n in range(4)})
    elsewhere = by_hand(world, "test, batch 1", {f"/{n}": f"/elsewhere/{n}" for n in range(4)})
    here = by_hand(world, "somebody", {f"/{n}": f"/{n}" for n in range(2)})
    for task in (elsewhere, here):
        world.emulator.pause_task(task)
    with running(world) as run:
        wait_for(lambda: submitted(world) == 1, "the adoption")
        for task in (elsewhere, here):
            world.emulator.resume_task(task)
        result = run.result()
    assert batches_of(world)[0].attempts[0].adopted
    assert result.status is TransferStatus.COMPLETED
    assert result.items_transferred == 4
    assert {f"{n}" for n in range(4)} <= set(tree(world.destination))


@pytest.mark.parametrize("emulator_options", SLOW)
def test_somebody_elses_task_is_waited_for(world: World, calls: list[str]) -> None:
    """With few requests; then the batch is sent as if nothing had been."""
    world.write({f"{n}": f"{n}" for n in range(30)})
    theirs = by_hand(world, "somebody", {f"/{n}": f"/{n}" for n in range(30)})
    result = world.run(api_retry_max_delay=4.0)
    assert result.status is TransferStatus.COMPLETED
    (attempt,) = batches_of(world)[0].attempts
    assert str(attempt.task_id) != theirs
    assert world.client.get_task(theirs)["status"] == "SUCCEEDED"
    assert 2 <= calls.count("submit") <= 12
    assert calls.count("unfinished_tasks") == calls.count("submit") - 1


@pytest.mark.parametrize("emulator_options", SLOW)
def test_a_task_that_stays_in_the_way_is_named(world: World) -> None:
    """With its link; the batch can be resumed when it has gone."""
    world.write({f"{n}": f"{n}" for n in range(20)})
    theirs = by_hand(world, "somebody", {f"/{n}": f"/{n}" for n in range(20)})
    with pytest.raises(TransferFailedError, match=f"somebody at https://app.globus.org/activity/{theirs}"):
        world.run(conflict_wait=0.0)
    assert str(theirs) in str(world.store.load_transfer("test").error)
    world.client.cancel_task(theirs)
    result = world.run()
    assert (result.status, len(result.tasks)) == (TransferStatus.COMPLETED, 1)
    assert world.moved().keys() == {f"/{n}" for n in range(20)}


@pytest.mark.parametrize("emulator_options", SLOW)
def test_cancel_while_somebody_is_in_the_way(world: World) -> None:
    """There is no task of ours then; theirs goes on."""
    world.write({f"{n}": f"{n}" for n in range(100)})
    theirs = by_hand(world, "somebody", {f"/{n}": f"/{n}" for n in range(100)})
    with running(world) as run:
        wait_for(lambda: any(batch.live for batch in batches_of(world)), "an intent")
        result = cancel_transfer("test", credentials=world.credentials, checkpoints=world.store)
        assert result.status is TransferStatus.CANCELED
        assert "canceled" in str(run.exception(timeout=60))
    assert [task["status"] for task in world.tasks()] == ["ACTIVE"]
    assert world.tasks()[0]["task_id"] == theirs


@pytest.mark.parametrize("emulator_options", SLOW)
def test_cancel_of_what_was_intended_meets_a_conflict(world: World) -> None:
    """Its submission is refused, so that there is nothing to cancel."""
    world.write({f"{n}": f"{n}" for n in range(50)})
    down = RequestFault(Answer(503, "ServiceUnavailable"), method="POST", path="/v0.10/transfer")
    with world.emulator.fault(down), pytest.raises(GlobusTransientError):
        world.run(patience=0.1)
    assert batches_of(world)[0].attempts[-1].status is AttemptStatus.INTENDED
    by_hand(world, "somebody", {f"/{n}": f"/{n}" for n in range(50)})
    cancel_transfer("test", credentials=world.credentials, checkpoints=world.store)
    assert status_of(world) is TransferStatus.CANCELED
    assert batches_of(world)[0].attempts[-1].status is AttemptStatus.FAILED
    assert [task["status"] for task in world.tasks()] == ["ACTIVE"]
