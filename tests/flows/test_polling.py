"""One look for all tasks that are watched: however many there are, so many requests are made and no more."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from uuid import UUID, uuid4

import pytest

from prefect_globus import TransferOptions, TransferStatus, resumable_transfer
from prefect_globus.emulator import Answer, RequestFault
from prefect_globus.tasks import polling
from prefect_globus.tasks.polling import Polling
from prefect_globus.tasks.stopping import Stop, StopReason
from prefect_globus.transfers.errors import GlobusError, TransferStoppedError
from prefect_globus.transfers.watching import TaskView
from support.world import QUICK, World, tree

BATCHES = 30


def views(task_ids: Sequence[UUID]) -> Mapping[UUID, TaskView]:
    return {task_id: TaskView(task_id=task_id, status="ACTIVE") for task_id in task_ids}


@pytest.mark.parametrize("emulator_options", [{"file_delay": 0.5}])
def test_many_tasks_in_flight_cost_one_request_an_interval(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """Each watched by itself they cost one each."""
    world.write({f"{n:03}": "1" for n in range(BATCHES)})
    caplog.set_level(logging.DEBUG, "urllib3.connectionpool")
    began = time.monotonic()
    result = resumable_transfer(
        world.location("source"),
        world.location("destination"),
        TransferOptions.model_validate(QUICK | {"batch_size": 1, "max_concurrency": BATCHES}),
        transfer_id="test",
        credentials=world.credentials.model_copy(update={"max_tasks": BATCHES}),
        checkpoints=world.store,
    )
    elapsed = time.monotonic() - began
    assert result.status is TransferStatus.COMPLETED
    assert tree(world.source) == tree(world.destination)
    asked = [str(record.args[4]) for record in caplog.records if record.args and len(record.args) > 4]
    looks = [url for url in asked if url.startswith(("/v0.10/task_list?limit=", "/v0.10/task/"))]
    assert len(looks) <= elapsed / polling._LEAST_SECONDS + 1
    assert max(url.count("%2C") for url in looks) >= 3


@pytest.mark.parametrize("emulator_options", [{"file_delay": 0.5}])
def test_a_row_that_cannot_be_read_is_asked_for_by_itself(world: World) -> None:
    """So that it holds up nobody else."""
    world.write({f"{n:03}": "1" for n in range(6)})
    odd = Answer(200, fields={"DATA": [{"task_id": "half a row"}]})
    with world.emulator.fault(RequestFault(odd, path="/v0.10/task_list")) as fault_id:
        result = resumable_transfer(
            world.location("source"),
            world.location("destination"),
            TransferOptions.model_validate(QUICK | {"batch_size": 1, "patience": 3.0}),
            transfer_id="test",
            credentials=world.credentials,
            checkpoints=world.store,
        )
        assert next(found.fired for found in world.emulator.faults() if found.id == fault_id)
    assert result.status is TransferStatus.COMPLETED
    assert tree(world.source) == tree(world.destination)


def test_what_is_seen_was_asked_for_after_somebody_wanted_it() -> None:
    """An answer that was on its way already may be from before a cancel."""
    first, second, third = uuid4(), uuid4(), uuid4()
    asks: list[set[UUID]] = []
    asking, go_on = threading.Event(), threading.Event()

    def ask(task_ids: Sequence[UUID]) -> Mapping[UUID, TaskView]:
        asks.append(set(task_ids))
        asking.set()
        assert go_on.wait(30)
        return views([*task_ids, third])

    poller = Polling(Stop("test"), ask)
    with ThreadPoolExecutor(3) as pool:
        two = [pool.submit(poller.look, each, 0.5) for each in (first, second)]
        assert asking.wait(30)
        late = pool.submit(poller.look, third, 0.0)
        go_on.set()
        seen = [each.result(30) for each in two]
        assert [view.task_id for view in seen if view] == [first, second]
        assert late.result(30) is None  # the only one by now: it asks by itself
    assert asks == [{first, second}]


def test_the_error_of_one_is_no_error_of_the_others() -> None:
    """Who looks for all may fail; the next one looks then."""
    refused = GlobusError(operation="a look", reason="no", code="no", status=403)
    answers = iter([refused])

    def ask(task_ids: Sequence[UUID]) -> Mapping[UUID, TaskView]:
        if error := next(answers, None):
            raise error
        return views(task_ids)

    poller = Polling(Stop("test"), ask)
    with ThreadPoolExecutor(4) as pool:
        looks = [pool.submit(poller.look, uuid4(), 0.5) for _ in range(4)]
        errors = [look.exception(30) for look in looks]
    assert sorted(map(str, errors)) == sorted([str(refused), *["None"] * 3])


def test_a_stop_ends_the_waiting_of_all() -> None:
    """Without one more request."""
    stop = Stop("test")

    def ask(_: Sequence[UUID]) -> Mapping[UUID, TaskView]:
        raise AssertionError("nobody asks after a stop")

    poller = Polling(stop, ask)
    with ThreadPoolExecutor(5) as pool:
        looks = [pool.submit(poller.look, uuid4(), 3600.0) for _ in range(5)]
        assert not wait(looks, timeout=0.1).done
        stop.request(StopReason.CANCELED)
        assert {type(look.exception(30)) for look in looks} == {TransferStoppedError}
