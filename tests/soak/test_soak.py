"""The soak: random transfers by the real flow, in processes of their own, through kills and faults of every kind.

SOAK_MINUTES says for how long, SOAK_SEED which ones. What happened is printed in the end, and whenever a transfer ends
what went wrong so far. Run it by ``make soak``.
"""

from __future__ import annotations

import os
import random
import signal
import threading
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import pytest

from prefect_globus.emulator import (
    Answer,
    Drop,
    ExpireTask,
    FailFile,
    HalfBody,
    MalformedBody,
    PauseTask,
    RefusedError,
    RequestFault,
    TaskFault,
)
from prefect_globus.emulator.process import running_emulator
from prefect_globus.transfers.items import Outcome
from prefect_globus.transfers.states import TransferStatus
from support.crashing import KILLED, OPTIONS, Child, Matrix, Run, has_ended
from support.invariants import Snapshot, check_always, check_final

MINUTES = float(os.environ.get("SOAK_MINUTES", "60"))
SEED = os.environ.get("SOAK_SEED") or str(time.time_ns())
LANES = 2
SHARED = "PostgreSQL"  # the store of all transfers that have it; of the other kinds each has its own
RESUMES = 8  # that a transfer may need to come to its end once all is mended

REQUEST_FAULTS = (
    *(Answer(503, "ServiceUnavailable"), Answer(429, "TooManyRequests"), Answer(500, "InternalError")),
    *(Drop(), Drop(after=True), HalfBody(), MalformedBody()),
)
REQUESTS = ("/v0.10/transfer", "/v0.10/task/*", "/v0.10/operation/*", "/v0.10/submission_id")
LASTING = ("FILE_NOT_FOUND", "PERMISSION_DENIED", "INVALID_PATH_NAME")
PASSING = (FailFile("ENDPOINT_ERROR"), FailFile("CONNECTION_RESET"), ExpireTask(files=1), PauseTask())


@dataclass
class Soak:
    """What the lanes share: each takes one transfer after the other, while the emulator is killed now and then."""

    matrix: Matrix
    stores: dict[str, str]
    counts: Counter[str] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)
    numbers: Iterator[int] = field(default_factory=lambda: count(1))
    ends: float = field(default_factory=lambda: time.monotonic() + 60 * MINUTES)
    globus: threading.RLock = field(default_factory=threading.RLock)  # held while the emulator is down
    counting: threading.Lock = field(default_factory=threading.Lock)

    @property
    def goes_on(self) -> bool:
        return time.monotonic() < self.ends

    def count(self, what: str, number: int = 1) -> None:
        with self.counting:
            self.counts[what] += number

    def lane(self) -> None:
        while self.goes_on:
            transfer_id = f"s{next(self.numbers)}"
            ordeal = Ordeal(self, transfer_id, random.Random(f"{SEED} {transfer_id}"))
            try:
                ordeal.run_through()
            except Exception as error:  # noqa: BLE001 - whatever it is, it is what we are looking for
                wrong = "".join(traceback.format_exception(error))
                self.violations.append(f"{transfer_id}, seed {SEED}: {wrong}\n{ordeal.run.log[-6000:]}")
                print(self.violations[-1], flush=True)
            finally:
                ordeal.clear()

    def kill_the_emulator_now_and_then(self) -> None:
        dice = random.Random(SEED)
        while self.goes_on:
            time.sleep(min(dice.uniform(15, 45), max(0.0, self.ends - time.monotonic())))
            with self.globus:
                self.matrix.emulator.kill()
                time.sleep(dice.uniform(0, 3))
                self.matrix.emulator.start()
            self.count("emulator kills")


@dataclass
class Ordeal:
    """What one transfer goes through."""

    soak: Soak
    transfer_id: str
    dice: random.Random
    faults: list[str] = field(default_factory=list)
    failing: set[str] = field(default_factory=set)
    before: Snapshot | None = None

    def __post_init__(self) -> None:
        dice, matrix = self.dice, self.soak.matrix
        self.kind = dice.choice(sorted(self.soak.stores))
        here = matrix.folder / "runs" / self.transfer_id
        here.mkdir(parents=True)
        (here / "log").touch()
        self.tree = {
            f"{dice.choice('abcd')}/{n}": dice.choice([0, 1, 1000, 50_000]) for n in range(dice.randint(1, 25))
        }
        for path, size in self.tree.items():
            file = matrix.source(self.transfer_id) / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(dice.randbytes(size))
        options = OPTIONS | {
            "batch_size": dice.randint(1, 10),
            "max_concurrency": dice.randint(1, 3),
            "skip_source_errors": dice.random() < 0.3,
            "sync_level": dice.choice([None, "size", "checksum"]),
            "pause_limit": dice.choice([0, 3]),
            "patience": 60,
        }
        collections = (matrix.emulator.collections["source"], matrix.emulator.collections["destination"])
        store, url = self.soak.stores[self.kind].format(here=here), matrix.emulator.url
        tokens = matrix.folder / "tokens"
        self.run = Run(self.transfer_id, url, matrix.prefect_api, collections, store, here, tokens, options)

    def run_through(self) -> None:
        self._trouble()
        self._process("transfer")
        for _ in range(self.dice.randint(0, 5)):
            if self._is_over:
                break
            if self.dice.random() < 0.5:
                self._trouble()
            status = self.before.transfer.status if self.before is not None else None
            if status is None:
                self._process("transfer")
            else:
                ways = ["resume", "resume", "resume"] + ["redrive", "redrive"] * (status is TransferStatus.FAILED)
                self._process(self.dice.choice(ways))
        self._come_to_an_end()

    @property
    def _is_over(self) -> bool:
        over = (TransferStatus.COMPLETED, TransferStatus.CANCELED)
        return self.before is not None and self.before.transfer.status in over

    # --- what happens to it

    def _trouble(self) -> None:
        dice = self.dice
        for _ in range(dice.randint(0, 2)):
            fault = RequestFault(dice.choice(REQUEST_FAULTS), path=dice.choice(REQUESTS), times=1)
            self._inject("request faults", fault)
        for path in dice.sample(sorted(self.tree), min(len(self.tree), dice.randint(0, 2))):
            lasting = FailFile(dice.choice(LASTING), dice.choice(["source", "destination"]))
            effect, times = dice.choice([(lasting, None), (dice.choice(PASSING), 1)])
            self._inject("item faults", TaskFault(effect, file=f"/{self.transfer_id}/{path}", times=times))
            self.failing.add(path)

    def _inject(self, what: str, fault: RequestFault | TaskFault) -> None:
        with self.soak.globus:
            self.faults.append(self.soak.matrix.emulator.inject(fault))
        self.soak.count(what)

    def _process(self, what: str) -> None:
        """Do ``what`` in a process to which something happens at some moment, and hold the invariants."""
        self.soak.count(what)
        child = self.run.start(what)
        time.sleep(self.dice.uniform(0, 4))
        happen = self.dice.choice([self._kill, self._kill, self._freeze, self._ask, self._sweep, lambda _: None])
        happen(child)
        self._ended(child)
        self._check()

    def _kill(self, child: Child) -> None:
        if child.is_alive():
            child.kill()
            self.soak.count("driver kills")

    def _freeze(self, child: Child) -> None:
        """Suspend it for longer than its lease lasts, have another one take over, and wake it."""
        with suppress(ProcessLookupError):
            os.kill(child.pid or 0, signal.SIGSTOP)
            try:
                time.sleep(self.dice.uniform(0.5, 2.5))
                other = self.run.start("transfer")
                self.soak.count("suspended drivers")
                if self.dice.random() < 0.5:
                    self._ended(other)
            finally:
                os.kill(child.pid or 0, signal.SIGCONT)
            self._ended(other)

    def _ask(self, _: Child) -> None:
        """Somebody asks for a pause, or for a cancel."""
        what = self.dice.choice(["pause", "pause", "cancel"])
        if self._is_on_record:
            self.soak.count(what)
            self._ended(self.run.start(what))

    def _sweep(self, _: Child) -> None:
        """Two sweeps at once, while it is driven or not."""
        if self.kind == SHARED or not self._is_on_record:  # it would take up the other lane's, too
            return
        sweeps = [self.run.start("sweep"), self.run.start("sweep")]
        self.soak.count("sweeps", len(sweeps))
        for sweep in sweeps:
            self._ended(sweep)

    @property
    def _is_on_record(self) -> bool:
        return any(each.id == self.transfer_id for each in self.run.checkpoints.list_transfers())

    def _ended(self, child: Child) -> None:
        assert has_ended(child), "a process hangs"
        assert child.exitcode in (0, KILLED), f"a process has ended with {child.exitcode}"

    # --- what must hold

    def _check(self) -> None:
        now = self.soak.matrix.snapshot(self.run)
        if now is not None:
            check_always(now, self.before)
            self.soak.count("states checked")
        self.before = now

    def _come_to_an_end(self) -> None:
        """Once all is mended and it is resumed, it comes to its end, and every file is accounted for."""
        for _ in range(RESUMES):
            if self._is_over:
                break
            self.clear()
            self._ended(self.run.start("transfer" if self.before is None else "resume"))
            self._check()
        assert self.before is not None
        assert self._is_over, f"it does not come to its end: {self.before.transfer}"
        self.soak.count(f"ended {self.before.transfer.status}")
        self.soak.count(f"on {self.kind}")
        self.soak.count("transfers")
        self.soak.count("Globus tasks", len(self.before.record))
        self.soak.count("files moved", sum(len(task.moved) for task in self.before.record))
        if self.before.transfer.status is TransferStatus.COMPLETED:
            outcomes, matrix = self.before.outcomes, self.soak.matrix
            skipped = {path for path in self.failing if outcomes[path] is Outcome.SKIPPED}
            assert self.before.transfer.options.skip_source_errors or not skipped
            expected = dict.fromkeys(self.tree, Outcome.TRANSFERRED) | dict.fromkeys(skipped, Outcome.SKIPPED)
            source, destination = matrix.source(self.transfer_id), matrix.destination(self.transfer_id)
            check_final(self.before, expected, source, destination)

    def clear(self) -> None:
        """Mend all that is wrong."""
        with self.soak.globus:
            emulator = self.soak.matrix.emulator
            while self.faults:
                emulator.clear(self.faults.pop())
            for task in self.before.record if self.before is not None else ():
                if not task.ended:
                    with suppress(RefusedError):  # it has ended meanwhile
                        emulator.resume_task(task.task_id)


@contextmanager
def _matrix(folder: Path, prefect_api: str) -> Iterator[Matrix]:
    for name in ("source", "destination", "tokens"):
        (folder / name).mkdir()
    folders = {name: folder / name for name in ("source", "destination")}
    with running_emulator(folders, state=folder / "globus.db", time_scale=1000, file_delay=0.05) as emulator:
        yield Matrix(folder, emulator, prefect_api)


@pytest.mark.soak
@pytest.mark.timeout(60 * MINUTES + 1800)
def test_nothing_is_lost_and_nothing_is_done_twice(tmp_path: Path, prefect_api: str, postgresql_url: str) -> None:
    """Whatever happens, for as long as it is asked for."""
    stores = {
        "SQLite": "sqlite:///{here}/checkpoints.db",
        SHARED: postgresql_url.replace("{", "{{").replace("}", "}}"),
        "files": "{here}/checkpoints",
    }
    with _matrix(tmp_path, prefect_api) as matrix, ThreadPoolExecutor(LANES + 1) as pool:
        soak = Soak(matrix, stores)
        done = [pool.submit(soak.lane) for _ in range(LANES)]
        done.append(pool.submit(soak.kill_the_emulator_now_and_then))
        for each in done:
            each.result()
    print(f"{MINUTES:g} minutes, seed {SEED}: {dict(sorted(soak.counts.items()))}, {len(soak.violations)} violations")
    assert not soak.violations
