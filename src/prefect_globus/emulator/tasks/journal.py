"""The journal of a running task: outcomes gathered for a moment, then written in one transaction."""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING, Any

import orjson

from prefect_globus.emulator.tasks.model import Code, Event, MovedFile, Outcome, Result, Task, Work

if TYPE_CHECKING:
    from prefect_globus.emulator.tasks.bundles import MovedBundle
    from prefect_globus.emulator.tasks.model import Policy
    from prefect_globus.emulator.tasks.mover import Control
    from prefect_globus.emulator.tasks.store import TaskStore

RESULTS_PER_COMMIT = 500
SECONDS_PER_COMMIT = 0.2
ENDED = frozenset({Outcome.DONE, Outcome.UNCHANGED, Outcome.SKIPPED})
SHORTEST_PROGRESS_INTERVAL = 1.0


class Journal:
    """What one task did since the last commit. A crash loses this much, and it is done again."""

    def __init__(self, store: TaskStore, task: Task, control: Control, policy: Policy) -> None:
        self._store = store
        self._task = task
        self._control = control
        self._policy = policy
        self._results: dict[int, Result] = {}  # by number: of a piece, what comes later counts
        self._moved: list[MovedFile] = []
        self._moved_bundles: list[MovedBundle] = []
        self._found: list[Work] = []
        self._events: list[Event] = []
        self._counters: Counter[str] = Counter()
        self._columns: dict[str, Any] = {}
        self._since_progress = Counter[str]()
        self._next_seq = store.last_seq(task.number) + 1
        self._committed_at = time.monotonic()
        self._progress_at = time.monotonic()

    def result(self, result: Result, **counters: int) -> None:
        """Note the outcome of a piece of work, and what the task's counters grow by."""
        self._results[result.seq] = result
        self._count(**counters)

    def moved(self, files: list[MovedFile]) -> None:
        """Note files that were moved."""
        if self._results:
            for file in files:
                self._results.pop(file.seq, None)
        self._moved += files

    def moved_bundle(self, bundle: MovedBundle) -> None:
        """Note a bundle that was moved as a whole."""
        self._moved_bundles.append(bundle)
        self.examined(len(bundle.files))
        self._count_moved(len(bundle.files), sum(size for size, _ in bundle.files))

    def examined(self, items: int) -> None:
        """Note items that were found to be files: that was one subtask, moving each is another (contract section 4)."""
        self._count(files=items, subtasks_total=items, subtasks_succeeded=items)

    @property
    def next_seq(self) -> int:
        """The number of the piece of work that is found next."""
        return self._next_seq

    def found(self, work: list[Work]) -> None:
        """Note new work, which is numbered from `next_seq` on."""
        self._found += work
        self._next_seq += len(work)

    def event(self, event: Event) -> None:
        """Note an event; an error is a fault of the task and, if it backs off, its present trouble."""
        self._events.append(event)
        self._counters["faults"] += event.is_error
        if event.backs_off:
            self._columns |= {"error_code": event.code, "error_time": event.time}

    def started(self, kind: str) -> None:
        """Note that the task was taken up for the first time, and for what kind of work."""
        details = {"type": kind, "concurrency": 1, "parallelism": 1, "pipelining": 1}
        self._events.append(Event(time.time(), Code.STARTED, is_error=False, details=orjson.dumps(details).decode()))
        self._columns["started"] = True

    def commit_if_due(self) -> None:
        """Commit if enough was gathered, or for long enough."""
        if (
            self._moved_bundles
            or len(self._results) + len(self._moved) + len(self._found) >= RESULTS_PER_COMMIT
            or time.monotonic() - self._committed_at >= SECONDS_PER_COMMIT
        ):
            self.commit()

    def commit(self) -> None:
        """Write everything gathered. Work that was done pushes the deadline (task-behavior.txt 3)."""
        self._control.bytes_in_flight = 0  # before they are counted: better a moment too few than too many
        if self._moved:
            self._count_moved(len(self._moved), sum(file.size for file in self._moved))
        if self._moved or self._moved_bundles or any(result.outcome in ENDED for result in self._results.values()):
            self._push_deadline()
            self._report_progress()
        if self._results or self._found or self._events or self._counters or self._columns:
            self._store.record(
                self._task.number,
                results=list(self._results.values()),
                moved=self._moved,
                moved_bundles=self._moved_bundles,
                found=self._found,
                events=self._events,
                counters=self._counters,
                columns=self._columns,
            )
        self._results, self._moved, self._moved_bundles, self._found, self._events = {}, [], [], [], []
        self._counters, self._columns = Counter(), {}
        self._committed_at = time.monotonic()

    def _count(self, **counters: int) -> None:
        for name, grown in counters.items():  # what Counter.update does, in a fraction of its time
            self._counters[name] += grown

    def _count_moved(self, files: int, size: int) -> None:
        self._count(files_transferred=files, subtasks_succeeded=files, bytes_transferred=size)

    def _push_deadline(self) -> None:
        now = time.time()
        expires_at = now + self._policy.real(self._policy.progress_deadline)
        if self._control.extend(expires_at):
            self._columns |= {"deadline": now + self._policy.progress_deadline, "expires_at": expires_at}

    def _report_progress(self) -> None:
        self._since_progress.update(self._counters)
        interval = max(SHORTEST_PROGRESS_INTERVAL, self._policy.real(self._policy.progress_interval))
        if time.monotonic() - self._progress_at < interval:
            return
        details = {
            "files_transferred": self._since_progress["files_transferred"],
            "bytes_transferred": self._since_progress["bytes_transferred"],
            "seconds": round(time.monotonic() - self._progress_at, 3),
        }
        self._events.append(Event(time.time(), Code.PROGRESS, is_error=False, details=orjson.dumps(details).decode()))
        self._since_progress.clear()
        self._progress_at = time.monotonic()
