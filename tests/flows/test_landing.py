"""The next step of a pipeline begins on each batch as it lands."""

from __future__ import annotations

from collections import Counter

import pytest
from prefect import flow, task

from prefect_globus import (
    LandedBatch,
    TransferOptions,
    TransferStatus,
    cancel_transfer,
    iter_batches,
    landing,
    transfer_status,
)
from prefect_globus.emulator import FailFile, TaskFault
from prefect_globus.transfers.errors import (
    NothingLandedError,
    SourceNotFoundError,
    TransferCanceledError,
    TransferFailedError,
    TransferNotFoundError,
)
from prefect_globus.transfers.location import Location
from prefect_globus.transfers.model import Transfer
from support.world import QUICK, World, tree

FILES = {f"{n:02}.csv": "x" * n for n in range(60)}
DENIED = TaskFault(FailFile("PERMISSION_DENIED"), file="/05.csv")


class DownstreamError(Exception):
    """The step after the transfer has failed."""


@pytest.mark.parametrize("emulator_options", [{"file_delay": 0.05}], ids=["slow"])
def test_each_batch_is_handled_once_before_the_whole_is_there_also_across_a_restart(world: World) -> None:
    """What is handed out is at the destination; an error in the step stops the transfer, and the same id goes on."""
    world.write(FILES)
    handled: Counter[str] = Counter()
    statuses: list[TransferStatus] = []

    @task
    def handle(batch: LandedBatch) -> None:
        for item in batch.items:
            assert (world.destination / item.path).read_text() == FILES[item.path]
            assert (item.source, item.destination, item.size) == (
                f"/{item.path}",
                f"/{item.path}",
                len(FILES[item.path]),
            )
            assert (item.moved, item.changed) == (True, False)
            assert item.task_id is not None
        handled.update(item.path for item in batch.items)

    seen: set[int] = set()

    @flow
    def etl(most: int | None = None) -> None:
        locations = world.location("source"), world.location("destination")
        options = TransferOptions(**QUICK, batch_size=5, max_concurrency=2)
        with landing(*locations, "test", options, world.credentials, world.store, after=seen) as batches:
            for batch in batches:
                statuses.append(world.store.load_transfer("test").status)
                handle.submit(batch).result()
                seen.add(batch.number)
                if len(seen) == most:
                    raise DownstreamError

    with pytest.raises(DownstreamError):
        etl(3)
    assert world.store.load_transfer("test").status is TransferStatus.TRANSFERRING
    assert world.store.current_lease("test") is None
    etl()
    assert transfer_status("test", world.store).status is TransferStatus.COMPLETED
    assert statuses[0] is TransferStatus.TRANSFERRING
    assert handled == dict.fromkeys(FILES, 1)
    assert seen == set(range(1, 13))
    assert len(world.tasks()) == 12
    assert tree(world.destination) == tree(world.source)


@pytest.mark.parametrize("emulator_options", [{"file_delay": 0.05}], ids=["slow"])
def test_another_process_sees_them_land_and_outlives_the_driver(world: World) -> None:
    """With the driver killed it waits as long as it is told to, and goes on behind what it has seen."""
    world.write(FILES)
    driver = world.drive(batch_size=5, max_concurrency=2)
    store, seen = world.store, []

    def look(timeout: float) -> None:
        for batch in iter_batches("test", after=seen, checkpoints=store, poll_interval=0.1, timeout=timeout):
            seen.append(batch.number)
            if len(seen) == 2:
                driver.kill()

    while not seen:
        try:
            look(3.0)
        except (TransferNotFoundError, NothingLandedError):
            continue
    assert 2 <= len(seen) < 12
    world.drive(batch_size=5, max_concurrency=2)
    look(120.0)
    assert sorted(seen) == list(range(1, 13))
    assert [batch.number for batch in iter_batches("test", checkpoints=store)] == list(range(1, 13))


def test_a_transfer_that_fails_hands_out_what_has_landed_first(world: World) -> None:
    """A batch with a dead letter is not done; when that is mended it lands, too."""
    world.write(FILES)
    seen: list[int] = []

    def look() -> None:
        seen.extend(batch.number for batch in iter_batches("test", after=seen, checkpoints=world.store))

    with world.emulator.fault(DENIED), pytest.raises(TransferFailedError):
        world.run(batch_size=5, retry_limit=0, fault_grace=1)
    with pytest.raises(TransferFailedError, match="1 not delivered"):
        look()
    assert seen == [1, *range(3, 13)]
    world.run(batch_size=5)
    look()
    assert seen == [1, *range(3, 13), 2]


def test_a_canceled_transfer_ends_the_iteration(world: World) -> None:
    """With the error that says so, rather than as if everything were there."""
    places = {side: Location.parse(world.location(side)) for side in ("source", "destination")}
    world.store.create_transfer(Transfer(id="test", **places))
    with pytest.raises(NothingLandedError, match="CREATED"):
        list(iter_batches("test", checkpoints=world.store, poll_interval=0.01, timeout=0.05))
    cancel_transfer("test", world.credentials, world.store)
    with pytest.raises(TransferCanceledError):
        list(iter_batches("test", checkpoints=world.store))


def test_bad_input_is_told_at_once(world: World) -> None:
    """Of a transfer that cannot begin, and of one that is not there."""
    with pytest.raises(TransferNotFoundError):
        iter_batches("nonsense", checkpoints=world.store)

    @flow
    def etl() -> None:
        locations = world.location("source", "/nonsense"), world.location("destination")
        with landing(*locations, "test", None, world.credentials, world.store) as batches:
            assert list(batches) == []

    with pytest.raises(SourceNotFoundError):
        etl()
