"""One row of a crash matrix: kill at a boundary, look, go on in a new process, look again."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import count

import pytest

from prefect_globus import TransferStatus
from prefect_globus.transfers.states import FINAL_TRANSFER_STATUSES
from support.crashing import CLIENT_SECRET, EXPECTED, KILLED, MENDED, Ended, Matrix, Run, each
from support.invariants import Snapshot, check_always, check_fenced, check_final, check_secrets

_numbers = count(1)

# CI has no time for each boundary; `make crashes` has.
some_or_all = pytest.mark.parametrize("every", [5, pytest.param(1, marks=pytest.mark.soak)], ids=["a fifth", "all"])

# Without these the matrix would not be what its name says, however many rows it has.
CROSSED = (
    *(
        "POST /v2/oauth2/token",
        "stat /",
        "ls /",
        "GET /v0.10/submission_id",
        "POST /v0.10/transfer",
        "GET /v0.10/task/",
    ),
    *("/skipped_errors", "/successful_transfers", "event_list", "/cancel"),
    *("create_transfer", "acquire_lease", "renew_lease", "release_lease"),
    *("save_transfer", "append_batch", "save_batch"),
)
# That the file which Globus tries for ever was submitted is not on record here, though Globus has answered.
WHILE_A_TASK_RUNS = "before save_batch 4, 2"


@dataclass(frozen=True)
class Scene:
    """What is killed, what came before it, and what comes after.

    Args:
        what: is done by the process that is killed: a method of `Run`.
        error: with which it ends when nobody kills it.
        end: holds how things stand after all against what they should be.
        begin: what was done before.
        then: is done by a new process after the kill; the same by default.
        grace: option ``fault_grace``, in seconds.
    """

    what: str
    error: str | None
    end: Callable[[Matrix, Run, Snapshot], None]
    begin: Callable[[Matrix, Run], None] = lambda _matrix, _run: None
    then: str | None = None
    grace: float = 0.2

    def prepare(self, matrix: Matrix, store: str | None) -> Run:
        """A fresh transfer, as far as it is to be before the kill."""
        transfer_id = f"k{next(_numbers)}"
        run = matrix.prepare(transfer_id, store and store.format(transfer_id), fault_grace=self.grace)
        self.begin(matrix, run)
        return run

    def uninterrupted(self, matrix: Matrix, store: str | None = None) -> list[str]:
        """The boundaries that are crossed when nobody kills it."""
        run = self.prepare(matrix, store)
        ended = run.process(self.what)
        assert (ended.status, ended.error) == (0, self.error), run.log
        self._check_end(matrix, run, None)
        return ended.crossed

    def check(self, matrix: Matrix, store: str | None, boundary: str) -> None:
        """Kill at ``boundary``, go on, and hold all invariants against the emulator's record, before and after."""
        run = self.prepare(matrix, store)
        killed = run.process(self.what, boundary)
        assert killed.status == KILLED, f"it was not killed: {killed.error}\n{run.log}"
        before = matrix.snapshot(run)
        if before is not None:
            check_always(before)
        ended = run.process(self.then or self.what)
        assert (ended.status, ended.error) == (0, self.error), f"{ended.error}\n{run.log}"
        self._check_end(matrix, run, before)

    def _check_end(self, matrix: Matrix, run: Run, before: Snapshot | None) -> None:
        now = matrix.snapshot(run)
        assert now is not None
        check_always(now, before)
        if before is None or before.transfer.status not in FINAL_TRANSFER_STATUSES:
            assert now.lease is None
            check_fenced(run.checkpoints, before and before.lease, now.transfer)
        # else nobody has taken it over, and the lease of the dead expires by itself
        check_secrets(run.folder, CLIENT_SECRET, matrix.token(run))
        self.end(matrix, run, now)
        matrix.mend(run)

    def kill_at(self, matrix: Matrix, boundaries: Iterable[str], store: str | None = None) -> None:
        """Check each boundary, and say all that went wrong."""
        names = list(boundaries)
        wrong = each(lambda name: self.check(matrix, store, name), names)
        kind = (store or "sqlite").partition(":")[0]
        as_they_should = len(names) - len(wrong)
        print(f"\n{self.what} killed at {len(names)} boundaries ({kind[:12]}): {as_they_should} as they should be")
        assert not wrong, "\n".join(f"--- {name}\n{text}" for name, text in wrong.items())


def _delivered(matrix: Matrix, run: Run, now: Snapshot) -> None:
    assert now.transfer.status is TransferStatus.FAILED
    check_final(now, EXPECTED, matrix.source(run.transfer_id), matrix.destination(run.transfer_id))


def _all_delivered(matrix: Matrix, run: Run, now: Snapshot) -> None:
    assert now.transfer.status is TransferStatus.COMPLETED
    check_final(now, MENDED, matrix.source(run.transfer_id), matrix.destination(run.transfer_id))


def _canceled(_matrix: Matrix, _run: Run, now: Snapshot) -> None:
    assert now.transfer.status is TransferStatus.CANCELED
    assert len(now.record) == len(now.attempts)


def _paused(matrix: Matrix, run: Run, now: Snapshot) -> None:
    assert now.transfer.status is TransferStatus.PAUSED
    assert all(task.ended for task in now.record)
    # what it was paused for is over: it goes on to the same end as a transfer that nobody has paused
    ended = run.process("resume")
    assert ended.error == "TransferFailedError", run.log
    after = matrix.snapshot(run)
    assert after is not None
    check_always(after, now)
    _delivered(matrix, run, after)


def _cut_off(_matrix: Matrix, run: Run) -> None:
    killed: Ended = run.process("transfer", WHILE_A_TASK_RUNS)
    assert killed.status == KILLED, run.log


def _failed_and_mended(matrix: Matrix, run: Run) -> None:
    assert run.process("transfer").error == "TransferFailedError", run.log
    matrix.mend(run)


TRANSFER = Scene("transfer", "TransferFailedError", _delivered)
CANCEL = Scene("cancel", None, _canceled, _cut_off, grace=600)
PAUSE = Scene("pause", None, _paused, _cut_off, grace=600)
REDRIVE = Scene("redrive", None, _all_delivered, _failed_and_mended, then="resume")


def is_call(boundary: str) -> bool:
    """Whether it is one of Globus, and not of the checkpoint."""
    return "GET " in boundary or "POST " in boundary


def transfer_boundaries(matrix: Matrix, store: str | None = None) -> list[str]:
    """All that a rich transfer crosses."""
    crossed = TRANSFER.uninterrupted(matrix, store)
    for kind in CROSSED:
        assert any(kind in name for name in crossed), f"the transfer never crosses {kind}"
    return crossed
