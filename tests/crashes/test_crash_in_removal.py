"""Kill the driver while it has something deleted; resume; nothing is lost, and nothing deleted by two tasks."""

from __future__ import annotations

import sqlite3
from collections import Counter
from contextlib import closing
from dataclasses import dataclass
from itertools import count
from typing import Any

import pytest

from prefect_globus import TransferStatus
from support.crashing import KILLED, OPTIONS, Matrix, Run, each
from support.invariants import contents

pytestmark = pytest.mark.timeout(3000)  # many runs in one test, on a machine that may be busy

FILES = {"a/1": "one", "a/2": "22", "b": "three", "c/d/e": "four"}
EXTRA = ("a/0", "b.old/x", "b.old/y/z", "z")
_FIRST, _EVERY = 4, 8  # around the first intent all of them, then a sample
_numbers = count(1)


@dataclass(frozen=True)
class Case:
    """What is deleted, and what is left of both sides in the end."""

    matrix: Matrix
    options: dict[str, Any]
    extra: tuple[str, ...] = ()

    def prepare(self) -> Run:
        """A fresh source and destination."""
        transfer_id = f"r{next(_numbers)}"
        matrix, here = self.matrix, self.matrix.folder / "runs" / transfer_id
        here.mkdir(parents=True)
        (matrix.folder / "tokens").mkdir(exist_ok=True)
        for root, files in (
            (matrix.source(transfer_id), FILES),
            (matrix.destination(transfer_id), dict.fromkeys(self.extra, "extra")),
        ):
            for path, content in files.items():
                (root / path).parent.mkdir(parents=True, exist_ok=True)
                (root / path).write_text(content)
        return Run(
            transfer_id,
            matrix.emulator.url,
            matrix.prefect_api,
            (matrix.emulator.collections["source"], matrix.emulator.collections["destination"]),
            f"sqlite:///{here / 'checkpoints.db'}",
            here,
            matrix.folder / "tokens",
            OPTIONS | {"batch_size": 2, "skip_source_errors": False, "sync_level": None} | self.options,
        )

    def uninterrupted(self) -> list[str]:
        """The boundaries that are crossed while something is deleted."""
        run = self.prepare()
        ended = run.process("transfer")
        assert (ended.status, ended.error) == (0, None), run.log
        self.check_end(run)
        first = ended.crossed.index("before POST /v0.10/delete, 1")
        intent = max(at for at, name in enumerate(ended.crossed[:first]) if name.startswith("before save_transfer"))
        return ended.crossed[intent:]

    def check(self, boundary: str) -> None:
        """Kill at ``boundary``, look, go on, look again."""
        run = self.prepare()
        killed = run.process("transfer", boundary)
        assert killed.status == KILLED, f"it was not killed: {killed.error}\n{run.log}"
        self.check_now(run)
        ended = run.process("transfer")
        assert (ended.status, ended.error) == (0, None), f"{ended.error}\n{run.log}"
        self.check_end(run)

    def check_now(self, run: Run) -> dict[str, list[str]]:
        """What holds at every moment: all is delivered, and each deletion was intended; return what each deletes."""
        source, destination = self.sides(run)
        delivered = {path: content.encode() for path, content in FILES.items()}
        assert delivered.items() <= destination.items()
        assert source.items() <= delivered.items()
        sent = sent_to_delete(self.matrix, run.transfer_id)
        (removal,) = run.checkpoints.load_transfer(run.transfer_id).removals or (None,)
        intended = 0 if removal is None or removal.attempt is None else removal.attempt.number
        assert len(sent) <= intended, "Globus deletes what nobody has intended"
        times = Counter(path for paths in sent.values() for path in paths)
        assert all(number == 1 for number in times.values()), times
        return sent

    def check_end(self, run: Run) -> None:
        """Everything that was to be deleted has gone, by the tasks that are on record."""
        sent = self.check_now(run)
        transfer = run.checkpoints.load_transfer(run.transfer_id)
        assert transfer.status is TransferStatus.COMPLETED
        (removal,) = transfer.removals
        assert (removal.complete, removal.live) == (True, False)
        assert {str(task_id) for task_id in removal.task_ids} == set(sent)
        source, destination = self.sides(run)
        assert destination.keys() == FILES.keys()
        files = {path for path, content in source.items() if content is not None}
        assert files == (set(FILES) if self.extra else set())

    def sides(self, run: Run) -> tuple[dict[str, bytes | None], dict[str, bytes | None]]:
        """Source and destination; of directories that were emptied nothing is said."""
        source, destination = (
            contents(side(run.transfer_id)) for side in (self.matrix.source, self.matrix.destination)
        )
        return {path: content for path, content in source.items() if content is not None}, destination

    def kill_at_a_sample(self) -> None:
        """Of the boundaries between the first intent to delete and the end."""
        crossed = self.uninterrupted()
        names = crossed[:_FIRST] + crossed[_FIRST::_EVERY]
        wrong = each(self.check, names)
        as_they_should = len(names) - len(wrong)
        print(f"\nkilled at {len(names)} of {len(crossed)} boundaries of a removal: {as_they_should} as they should be")
        assert not wrong, "\n".join(f"--- {name}\n{text}" for name, text in wrong.items())


def sent_to_delete(matrix: Matrix, transfer_id: str) -> dict[str, list[str]]:
    """Task id -> what the emulator was sent to delete for a transfer, by its own record."""
    tasks = "SELECT number, task_id FROM tasks WHERE label LIKE ?"
    work = "SELECT source_path FROM work WHERE task = ?"
    with closing(sqlite3.connect(f"file:{matrix.folder / 'globus.db'}?mode=ro", uri=True, timeout=30)) as database:
        return {
            task_id: [path for (path,) in database.execute(work, [number])]
            for number, task_id in database.execute(tasks, [f"{transfer_id}, delete %"])
        }


def test_kill_9_in_a_move(matrix: Matrix) -> None:
    """Each file of the source is deleted once, and only when it is at the destination."""
    Case(matrix, {"after": "delete_source"}).kill_at_a_sample()


def test_kill_9_while_extras_are_deleted(matrix: Matrix) -> None:
    """Each of them is deleted once, and nothing else."""
    Case(matrix, {"delete_destination_extra": True}, EXTRA).kill_at_a_sample()
