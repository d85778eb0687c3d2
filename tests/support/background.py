"""A transfer that runs while a test does something else."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import Any

from prefect.settings import PREFECT_API_URL, PREFECT_LOGGING_LEVEL, temporary_settings

from prefect_globus import TransferResult
from prefect_globus.transfers.batches import Batch
from prefect_globus.transfers.errors import TransferNotFoundError
from prefect_globus.transfers.model import Request
from prefect_globus.transfers.states import TransferStatus
from support.world import World

PATIENCE = 240.0  # seconds that anything may take on a busy machine


@contextmanager
def running(world: World, transfer_id: str = "test", **options: Any) -> Iterator[Future[TransferResult]]:
    """Run the flow in a thread of this process; the block ends when it has ended, and one that fails ends it."""

    def run() -> TransferResult:
        with temporary_settings({PREFECT_API_URL: world.prefect_api, PREFECT_LOGGING_LEVEL: "WARNING"}):
            return world.run(transfer_id, **options)

    with ThreadPoolExecutor(1) as pool:
        try:
            yield pool.submit(run)
        except BaseException:
            world.emulator.clear()
            with suppress(TransferNotFoundError):
                world.store.post_request(transfer_id, Request.CANCEL)
            raise


def wait_for(condition: Callable[[], object], what: str = "it", seconds: float = PATIENCE) -> None:
    """Wait until ``condition`` holds."""
    give_up = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < give_up, f"{what} never happened"
        time.sleep(0.05)


def status_of(world: World, transfer_id: str = "test") -> TransferStatus | None:
    """Its status, or None before it is on record."""
    try:
        return world.store.load_transfer(transfer_id).status
    except TransferNotFoundError:
        return None


def batches_of(world: World, transfer_id: str = "test") -> list[Batch]:
    """Its batches, none before it is on record."""
    try:
        return list(world.store.list_batches(transfer_id))
    except TransferNotFoundError:
        return []


def submitted(world: World, transfer_id: str = "test") -> int:
    """How many of its attempts have a Globus task on record."""
    return sum(attempt.task_id is not None for batch in batches_of(world, transfer_id) for attempt in batch.attempts)


def check_once(world: World, transfer_id: str = "test") -> None:
    """By Globus' own record: each task was submitted for one attempt, and each file was moved by one task."""
    attempts = [attempt for batch in batches_of(world, transfer_id) for attempt in batch.attempts]
    recorded = sorted(str(attempt.task_id) for attempt in attempts if attempt.task_id is not None)
    assert sorted(task["task_id"] for task in world.tasks()) == recorded
    moved = world.moved()
    assert all(len(by) == 1 for by in moved.values()), {path: by for path, by in moved.items() if len(by) > 1}
    assert set(moved) == {"/" + item.path for item in world.store.iter_items(transfer_id)}
