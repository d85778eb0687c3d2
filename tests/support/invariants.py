"""The nine invariants of the design, held against what the emulator has on record of its own doing.

`Record` is read from the emulator's state file, not through its API: which tasks it has accepted under which submission
id, what each was sent, and what it did with it. Nothing in it comes from the code under test.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from prefect_globus import CheckpointStore
from prefect_globus.transfers.batches import Attempt, Batch
from prefect_globus.transfers.errors import LeaseLostError, TransferNotFoundError
from prefect_globus.transfers.items import Item, ItemType, Outcome
from prefect_globus.transfers.model import Lease, Transfer
from prefect_globus.transfers.states import FINAL_TRANSFER_STATUSES, AttemptStatus, TransferStatus

CHECKSUM = 3


@dataclass(frozen=True)
class Task:
    """One Globus task by the emulator's record.

    Args:
        number: in the order of submission.
        task_id: its id.
        submission_id: the id that it was submitted under.
        ended: whether it will never do anything again.
        sync_level: 0 to 3, or None.
        sent: the paths it was sent, relative to the source.
        moved: those of the files among them that it has moved.
    """

    number: int
    task_id: str
    submission_id: str
    ended: bool
    sync_level: int | None
    sent: frozenset[str]
    moved: frozenset[str]


def read_record(state: Path, transfer_id: str, root: str) -> list[Task]:
    """What the emulator with the state file ``state`` did for a transfer whose source is the folder ``root``."""
    tasks = "SELECT number, task_id, submission_id, completion_time, options FROM tasks WHERE label LIKE ?"
    work = "SELECT source_path, kind, outcome FROM work WHERE task = ?"
    found = []
    with closing(sqlite3.connect(f"file:{state}?mode=ro", uri=True, timeout=30)) as database:
        for number, task_id, submission_id, ended, options in database.execute(tasks, [f"{transfer_id}, batch %"]):
            rows = [(path.removeprefix(f"{root}/"), *row) for path, *row in database.execute(work, [number])]
            sent = frozenset(path for path, _, _ in rows)
            moved = frozenset(path for path, kind, outcome in rows if (kind, outcome) == ("file", "done"))
            level = json.loads(options)["sync_level"]
            found.append(Task(number, task_id, submission_id, ended is not None, level, sent, moved))
    return sorted(found, key=lambda task: task.number)


@dataclass(frozen=True)
class Snapshot:
    """A checkpoint at one moment, and what the emulator has on record then."""

    transfer: Transfer
    lease: Lease | None
    batches: Sequence[Batch]
    manifests: Sequence[Sequence[Item]]
    record: Sequence[Task]

    @property
    def attempts(self) -> list[tuple[Batch, Attempt]]:
        """All attempts, with their batches."""
        return [(batch, attempt) for batch in self.batches for attempt in batch.attempts]

    @property
    def outcomes(self) -> dict[str, Outcome]:
        """What became of each path, by the checkpoint."""
        return {
            item.path: Outcome(outcome)
            for batch, items in zip(self.batches, self.manifests, strict=True)
            for item, outcome in zip(items, batch.outcomes, strict=True)
        }

    @property
    def items(self) -> list[Item]:
        """The whole manifest."""
        return [item for items in self.manifests for item in items]


def take_snapshot(store: CheckpointStore, transfer_id: str, state: Path, root: str) -> Snapshot | None:
    """How things stand while nobody drives the transfer; None when there is no checkpoint yet.

    The record is read first: what it has was done by then, and must be on record in the checkpoint.
    """
    record = read_record(state, transfer_id, root)
    try:
        transfer = store.load_transfer(transfer_id)
    except TransferNotFoundError:
        assert record == [], "Globus works for a transfer that nobody has on record"
        return None
    batches = list(store.list_batches(transfer_id))
    manifests = [store.load_manifest(transfer_id, batch.number) for batch in batches]
    ledger = store.ledger(transfer_id)
    assert ledger.balances
    assert ledger.items == sum(map(len, manifests))
    return Snapshot(transfer, store.current_lease(transfer_id), batches, manifests, record)


def check_always(now: Snapshot, before: Snapshot | None = None) -> None:
    """What holds at every moment, and from an earlier one to this.

    Invariants 1 (intent before effect), 3 (manifests), 4 (nothing twice), 5 (the ledger), 7 (no orphans) and
    8 (half-written files).
    """
    _check_intents(now)
    _check_manifests(now, before)
    _check_nothing_twice(now)
    _check_books(now)
    if now.transfer.status in FINAL_TRANSFER_STATUSES:
        assert all(task.ended for task in now.record), f"it is {now.transfer.status}, and Globus still works for it"
        assert not any(attempt.live for _, attempt in now.attempts)
    for batch, attempt in now.attempts:
        for task in now.record:
            if task.submission_id == str(attempt.submission_id) and attempt.number > 1:
                assert task.sync_level in (None, CHECKSUM), (
                    f"batch {batch.number} trusts what a failed attempt has left"
                )


def _check_intents(now: Snapshot) -> None:
    intended = {str(attempt.submission_id): (batch, attempt) for batch, attempt in now.attempts}
    assert len(intended) == len(now.attempts), "two attempts share a submission id"
    assert len({task.submission_id for task in now.record}) == len(now.record), "one submission has made two tasks"
    for task in now.record:
        assert task.submission_id in intended, "Globus has a task that nobody has intended"
        batch, attempt = intended[task.submission_id]
        assert attempt.task_id is None or str(attempt.task_id) == task.task_id
        if attempt.live:
            sent = {item.path for item in batch.sent(now.manifests[batch.number - 1])}
            assert sent == task.sent, "what is on record is not what Globus was sent"
    known = {task.task_id for task in now.record}
    for _, attempt in now.attempts:
        assert attempt.status is AttemptStatus.INTENDED or attempt.task_id is None or str(attempt.task_id) in known


def _check_manifests(now: Snapshot, before: Snapshot | None) -> None:
    assert [batch.number for batch in now.batches] == list(range(1, now.transfer.batches + 1))
    keys = [tuple(item.path.split("/")) for item in now.items]
    assert keys == sorted(set(keys)), "the batches are not contiguous and disjoint"
    for batch, items in zip(now.batches, now.manifests, strict=True):
        assert (batch.items, batch.first_path, batch.last_path) == (len(items), items[0].path, items[-1].path)
    if before is not None:
        assert list(now.manifests[: len(before.manifests)]) == list(before.manifests), "a manifest has changed"


def _check_nothing_twice(now: Snapshot) -> None:
    for index, task in enumerate(now.record):
        for later in now.record[index + 1 :]:
            assert not task.moved & later.sent, "what was moved was submitted again"


def _check_books(now: Snapshot) -> None:
    moved = {path for task in now.record for path in task.moved}
    kinds = {item.path: item.type for item in now.items}
    recorded = {path for path, outcome in now.outcomes.items() if outcome is Outcome.TRANSFERRED}
    assert {path for path in recorded if kinds[path] is ItemType.FILE} <= moved, "the ledger has what did not happen"
    dead = {path for path, outcome in now.outcomes.items() if outcome in (Outcome.DEAD, Outcome.SKIPPED)}
    assert dead <= {path for batch in now.batches for path in batch.noted}, "something is dead and nobody says why"
    if now.transfer.status is TransferStatus.COMPLETED:
        assert now.transfer.scan_complete
        assert not {Outcome.REMAINING, Outcome.DEAD} & set(now.outcomes.values())


def check_final(now: Snapshot, expected: Mapping[str, Outcome], source: Path, destination: Path) -> None:
    """What holds when a transfer has come to its end: invariants 3, 5, 6 and 7, to the last file.

    Args:
        now: how things stand.
        expected: what must have become of each path of the source; it is the scan, made by somebody else.
        source: folder.
        destination: folder.
    """
    assert now.transfer.scan_complete
    assert [item.path for item in now.items] == sorted(expected, key=lambda path: path.split("/"))
    assert now.outcomes == expected
    assert all(task.ended for task in now.record)
    assert not any(attempt.live for _, attempt in now.attempts)
    moved = {path for task in now.record for path in task.moved}
    files = {item.path for item in now.items if item.type is ItemType.FILE}
    assert moved == files & {path for path, outcome in expected.items() if outcome is Outcome.TRANSFERRED}
    delivered = {path for path, outcome in expected.items() if outcome in (Outcome.TRANSFERRED, Outcome.UNCHANGED)}
    assert contents(destination) == {path: found for path, found in contents(source).items() if path in delivered}


def contents(folder: Path) -> dict[str, bytes | None]:
    """What is in a folder: files with their content, and empty directories."""
    found: dict[str, bytes | None] = {}
    for place, directories, files in os.walk(folder):
        here = Path(place)
        found |= {str((here / name).relative_to(folder)): (here / name).read_bytes() for name in files}
        if not directories and not files and here != folder:
            found[str(here.relative_to(folder))] = None
    return found


def check_fenced(store: CheckpointStore, dead: Lease | None, transfer: Transfer) -> None:
    """Invariant 2: who was driving before can write no more."""
    if dead is not None:
        try:
            store.save_transfer(dead, transfer)
        except LeaseLostError:
            return
        raise AssertionError("who was driving before has written")


def check_secrets(folder: Path, *secrets: str) -> None:
    """Invariant 9: no file of the folder has one of ``secrets``."""
    for path in filter(Path.is_file, folder.rglob("*")):
        content = path.read_bytes()
        assert not any(secret.encode() in content for secret in secrets), f"a secret is in {path.name}"
