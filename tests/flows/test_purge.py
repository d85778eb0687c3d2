"""Clean-up: what ended long ago is forgotten, and nothing that is still needed."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings

from prefect_globus import CheckpointStore, FileCheckpointStore, SqlCheckpointStore, TransferStatus, purge_transfers
from prefect_globus.flows.purging import purge
from prefect_globus.tasks.leases import take_lease
from prefect_globus.transfers.batches import Batch
from prefect_globus.transfers.comparing import Check
from prefect_globus.transfers.errors import InvalidInputError
from prefect_globus.transfers.items import Item
from prefect_globus.transfers.location import Location
from prefect_globus.transfers.model import Holder, Scheduled, Transfer
from prefect_globus.transfers.records import now

S = TransferStatus
COLLECTIONS = "6c54cade-bde5-45c1-bdea-f4bd71dba2cc", "31ce9ba0-176d-45a5-add3-f37d233ba47d"
MONTH = timedelta(days=30)
ALL = (S.COMPLETED, S.CANCELED, S.FAILED)


@pytest.fixture
def store(tmp_path: Path) -> CheckpointStore:
    return SqlCheckpointStore(url=f"sqlite:///{tmp_path / 'checkpoints.db'}")


def transfer(name: str, days: float, status: TransferStatus = S.COMPLETED, **facts: Any) -> Transfer:
    """One that last changed so many days ago, to a place of its own."""
    moment = now() - timedelta(days=days)
    places = {
        "source": Location.parse(f"{COLLECTIONS[0]}:/raw"),
        "destination": Location.parse(f"{COLLECTIONS[1]}:{facts.pop('to', f'/{name}')}"),
    }
    return Transfer(id=name, **places, status=status, created_at=moment, updated_at=moment, **facts)


def fill(store: CheckpointStore, transfers: Sequence[Transfer]) -> None:
    for each in transfers:
        store.create_transfer(each)


def left(store: CheckpointStore) -> set[str]:
    return {each.id for each in store.list_transfers()}


def tick(hour: int) -> datetime:
    return datetime(2026, 1, 1, hour, tzinfo=UTC)


OLD = [
    # two nights to the same place: the older one is needed by nobody
    transfer("mirror-1", 50, to="/mirror"),
    transfer("mirror-2", 40, to="/mirror"),
    transfer("mirror-3", 45, S.FAILED, to="/mirror"),
    transfer("mirror-4", 44, S.CANCELED, to="/mirror"),
    # but what came after that, and did not end well, may have spoiled what that had delivered
    transfer("mirror-5", 34, S.CANCELED, to="/mirror"),
    # a transfer and its repair go together
    transfer("early", 60, to="/place"),
    transfer("early+repair-1", 59, to="/place", repairs=Check(transfer_id="early")),
    transfer("late", 58, to="/place"),
    transfer("late+repair-1", 57, to="/place", repairs=Check(transfer_id="late")),
    # a schedule that was made anew: the second of its runs was due before the first
    transfer("run-7", 80, S.CANCELED, scheduled=Scheduled(schedule="nightly", tick=tick(7), run=7)),
    transfer("run-8", 79, S.CANCELED, scheduled=Scheduled(schedule="nightly", tick=tick(8), run=8)),
    transfer("run-1", 78, S.CANCELED, scheduled=Scheduled(schedule="nightly", tick=tick(12), run=1)),
    transfer("run-2", 77, S.CANCELED, scheduled=Scheduled(schedule="nightly", tick=tick(11), run=2)),
    # what has not ended is left alone, with what it is compared with
    transfer("running", 90, S.TRANSFERRING, since="compared"),
    transfer("compared", 95, to="/mirror"),
    transfer("paused", 90, S.PAUSED),
    transfer("young", 1, S.CANCELED),
]
GOING = {"mirror-1", "mirror-4", "early", "early+repair-1", "run-7"}
KEPT = {
    "mirror-5": "it has not ended well since the last complete one between its two locations",
    "mirror-2": "it is the last complete one between its two locations",
    "late": "it is the last complete one between its two locations",
    "late+repair-1": "it has repaired late, which is kept",
    "run-8": "the runs of nightly are counted by it",
    "run-1": "the runs of nightly are counted by it",
    "run-2": "the runs of nightly are counted by it",
    "compared": "running is compared with it",
}


@pytest.mark.parametrize("kind", ["sqlite", "postgresql", "files"])
def test_only_what_nobody_needs_any_more_is_forgotten(
    request: pytest.FixtureRequest, tmp_path: Path, kind: str
) -> None:
    """A dry run says the same and deletes nothing; two purges at once are as good as one."""
    if kind == "files":
        store: CheckpointStore = FileCheckpointStore(basepath=tmp_path / "checkpoints")
    else:
        sqlite = kind == "sqlite"
        url = f"sqlite:///{tmp_path / 'checkpoints.db'}" if sqlite else request.getfixturevalue("postgresql_url")
        store = SqlCheckpointStore(url=url)
    fill(store, OLD)
    planned = purge(store, MONTH, (S.COMPLETED, S.CANCELED), dry_run=True)
    assert set(planned.ids) == GOING
    assert {each.transfer_id: each.reason for each in planned.kept} == KEPT
    assert left(store) == {each.id for each in OLD}
    with ThreadPoolExecutor(2) as pool:
        both = [pool.submit(purge, store, MONTH, (S.COMPLETED, S.CANCELED), dry_run=False) for _ in range(2)]
    assert sorted(both[0].result().ids + both[1].result().ids) == sorted(GOING)
    assert left(store) == {each.id for each in OLD} - GOING
    assert purge(store, MONTH, (S.FAILED,), dry_run=False).ids == ["mirror-3"]
    assert purge(store, MONTH, ALL, dry_run=False).ids == []


def test_what_somebody_drives_or_globus_may_be_working_on_stays(store: CheckpointStore) -> None:
    """Also where it is FAILED and that is asked for; a driver that is known to be dead is none."""
    names = ("driven", "live", "dead")
    fill(store, [transfer(name, 50, S.CREATED) for name in names])
    for name in names:
        lease = take_lease(store, name, 60, 0)
        batch = Batch.cut(name, 1, [Item("a", 1, 0)])
        changed = store.load_transfer(name).evolve(batches=1, cursor="a", status=S.SCANNING)
        store.append_batch(lease, changed, batch, [Item("a", 1, 0)])
        if name == "live":
            store.save_batch(lease, batch.intend(uuid4(), None))
        store.save_transfer(lease, changed.evolve(status=S.FAILED))
        if name != "driven":
            store.release_lease(lease)
    gone = subprocess.run(
        [sys.executable, "-c", "from prefect_globus.tasks.processes import this_holder as h; print(h().process)"],
        check=True,
        capture_output=True,
        text=True,
    )
    store.acquire_lease("dead", Holder(description="a dead process", process=gone.stdout.strip()), 3600)
    purged = purge(store, MONTH, ALL, dry_run=False)
    assert purged.ids == ["dead"]
    reasons = {each.transfer_id: each.reason for each in purged.kept}
    assert f"process {os.getpid()} drives it" in reasons["driven"]
    assert reasons["live"] == "1 Globus task of it may still be running"
    assert "would be deleted" not in str(purged)


def test_a_transfer_that_was_taken_up_meanwhile_stays(store: CheckpointStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the decision and the deletion somebody resumes it, and is done with it."""
    fill(store, [transfer("a", 50, S.FAILED)])
    real = SqlCheckpointStore.list_transfers

    def list_transfers(self: SqlCheckpointStore) -> Any:
        found = list(real(self))
        lease = take_lease(store, "a", 60, 0)
        store.save_transfer(lease, found[0].evolve(status=S.SCANNING))
        store.save_transfer(lease, found[0].evolve(status=S.COMPLETED, updated_at=now()))
        store.release_lease(lease)
        return iter(found)

    monkeypatch.setattr(SqlCheckpointStore, "list_transfers", list_transfers)
    purged = purge(store, MONTH, ALL, dry_run=False)
    assert [each.reason for each in purged.kept] == ["it has changed in the meantime"]
    assert store.load_transfer("a").status is S.COMPLETED


def test_the_flow_deletes_only_when_it_is_told_to(prefect_api: str, store: CheckpointStore) -> None:
    """As it is deployed: with statuses as texts, and a dry run unless it is said otherwise."""
    fill(store, [transfer("a", 3, S.CANCELED), transfer("b", 3, S.CANCELED), transfer("c", 3, S.FAILED)])
    with temporary_settings({PREFECT_API_URL: prefect_api}):
        assert purge_transfers(older_than_days=2, checkpoints=store).dry_run
        assert left(store) == {"a", "b", "c"}
        purged = purge_transfers(2, ["CANCELED"], dry_run=False, checkpoints=store)
        assert str(purged).startswith("2 transfers were deleted, 0 kept\n  a, CANCELED since 2")
        assert left(store) == {"c"}
        for days in (-1, float("nan"), 1e9):
            with pytest.raises(InvalidInputError, match="older_than_days"):
                purge_transfers(days, checkpoints=store)
        with pytest.raises(InvalidInputError, match="TRANSFERRING has not ended"):
            purge_transfers(2, ["TRANSFERRING"], checkpoints=store)


def test_the_command_shows_and_asks_before_it_deletes(store: CheckpointStore, tmp_path: Path) -> None:
    """On a terminal; elsewhere it wants to be told that it may."""
    fill(store, [transfer("a", 3, S.CANCELED), transfer("b", 2, S.CANCELED)])
    program = Path(sys.executable).with_name("prefect-globus")
    database = f"sqlite:///{tmp_path / 'checkpoints.db'}"

    def command(*words: str, answer: str | None = None) -> subprocess.CompletedProcess[str]:
        ours, its = pty.openpty()
        try:
            if answer is not None:
                os.write(ours, f"{answer}\n".encode())
            return subprocess.run(
                [program, "purge", "--database", database, *words],
                stdin=its if answer is not None else subprocess.DEVNULL,
                capture_output=True,
                text=True,
                check=False,
            )
        finally:
            os.close(ours)
            os.close(its)

    refused = command("--older-than", "60h")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr.startswith(
        "Error: Nobody is there to be asked: give --dry-run to see what would be deleted, or --yes"
    )
    assert "no stretch of time" in command("--older-than", "60", "--yes").stderr
    shown = command("--older-than", "60h", "--dry-run", "--yes")
    assert (shown.returncode, shown.stdout) == (0, "1 transfer to delete, 0 kept\n  a, CANCELED for 3 d\n")
    declined = command("--older-than", "60h", answer="n")
    assert declined.returncode == 0, declined.stderr
    assert "Delete it? [y/N]" in declined.stderr
    assert left(store) == {"a", "b"}
    agreed = command("--older-than", "60h", answer="y")
    assert agreed.stdout == "1 transfer deleted, 0 kept\n  a, CANCELED for 3 d\n"
    assert left(store) == {"b"}
    assert '"transfer_id": "b"' in command("--older-than", "1d", "--status", "canceled", "--yes", "--json").stdout
    assert left(store) == set()
