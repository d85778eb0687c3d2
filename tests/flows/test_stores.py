"""The flow keeps its promise on every store."""

from __future__ import annotations

import time
from typing import Any

import pytest

from prefect_globus import (
    CheckpointStore,
    FileCheckpointStore,
    Item,
    SqlCheckpointStore,
    TransferOptions,
    TransferStatus,
    resumable_transfer,
)
from prefect_globus.globus.service import GlobusService
from prefect_globus.transfers.errors import TransferNotFoundError
from prefect_globus.transfers.location import Location
from support.world import QUICK, World, tree


@pytest.fixture(params=["sqlite", "postgresql", "files"])
def store(request: pytest.FixtureRequest, world: World) -> CheckpointStore:
    if request.param == "files":
        return FileCheckpointStore(basepath=str(world.folder / "checkpoints"))
    url = world.database if request.param == "sqlite" else request.getfixturevalue("postgresql_url")
    return SqlCheckpointStore(url=url)


def test_a_scan_that_was_cut_off_goes_on_at_its_cursor(
    world: World, store: CheckpointStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was listed before is not listed again; every item arrives once."""
    world.write({f"{n:02}/{m}": f"{n}{m}" for n in range(30) for m in range(10)})
    broken = True

    def stop_half_way(item: Item) -> bool:
        if broken and item.path == "20/5":
            message = "cut off here"
            raise ValueError(message)
        return True

    def run() -> Any:
        return resumable_transfer(
            world.location("source"),
            world.location("destination"),
            TransferOptions(**QUICK, batch_size=10, filter_callback=stop_half_way),
            transfer_id="test",
            credentials=world.credentials,
            checkpoints=store,
        )

    with pytest.raises(ValueError, match="cut off here"):
        run()
    assert store.load_transfer("test").cursor == "19/9"
    broken = False
    listed: list[str] = []
    real = GlobusService.list_directory

    def list_directory(self: GlobusService, location: Location) -> Any:
        listed.append(location.name)
        return real(self, location)

    monkeypatch.setattr(GlobusService, "list_directory", list_directory)
    result = run()
    assert (result.status, result.items_transferred, result.batches_total) == (TransferStatus.COMPLETED, 300, 30)
    assert sorted(listed) == ["", *(f"{n:02}" for n in range(19, 30))]
    assert tree(world.source) == tree(world.destination)
    assert all(len(by) == 1 for by in world.moved().values())


@pytest.mark.parametrize("emulator_options", [{"file_delay": 0.03}])
def test_kill_9_with_checkpoints_in_postgresql(world: World, postgresql_url: str) -> None:
    """The team's database, and the clock of its own."""
    world.database_url = postgresql_url
    world.write({f"{n % 9}/{n}": f"{n}" for n in range(600)})
    for _ in range(3):
        driver = world.drive(batch_size=20)
        give_up, before = time.monotonic() + 60, _done(world)
        while _done(world) < before + 3 and time.monotonic() < give_up:
            time.sleep(0.05)
        assert driver.poll() is None
        driver.kill()
        driver.wait()
        assert world.store.ledger("test").balances
    assert world.run(batch_size=20).status is TransferStatus.COMPLETED
    assert tree(world.source) == tree(world.destination)
    assert all(len(by) == 1 for by in world.moved().values())


def _done(world: World) -> int:
    try:
        return world.store.ledger("test").batches_done
    except TransferNotFoundError:
        return 0
