"""The engine: which task is worked on, when, and how it ends (task-behavior.txt)."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from prefect_globus.emulator.collections.model import part_name
from prefect_globus.emulator.tasks.model import Code, Event, Phase, Policy, Status, Submission, Task
from prefect_globus.emulator.tasks.mover import Control, remove_part
from prefect_globus.emulator.collections.paths import path_parts
from prefect_globus.emulator.tasks.worker import Round, RoundEnd

if TYPE_CHECKING:
    from collections.abc import Mapping

    from prefect_globus.emulator.collections.folder import Folder
    from prefect_globus.emulator.tasks.store import TaskStore

logger = logging.getLogger(__name__)

CANCEL_PATIENCE = 5.0  # real seconds that a cancel request waits for the task to have stopped
SHORTEST_SLEEP = 0.005
LONGEST_SLEEP = 60.0


@dataclass
class Slot:
    """An unfinished task in memory. Guarded by the engine's condition, all but `control`."""

    number: int
    owner_id: str
    control: Control
    ready_at: float
    error_time: float | None
    cancel_requested: bool = False
    running: bool = False


class Engine:
    """Works on tasks in threads of this process: at most so many of an owner at once, first come first served."""

    def __init__(self, store: TaskStore, folders: Mapping[str, Folder], policy: Policy) -> None:
        self._store = store
        self._folders = folders
        self._policy = policy
        self._slots: dict[int, Slot] = {}
        self._changed = threading.Condition()
        self._stopping = False
        self._scheduler = threading.Thread(target=self._schedule, name="emulator-scheduler", daemon=True)
        self._workers: set[threading.Thread] = set()

    def start(self) -> None:
        """Take up the unfinished tasks of the state, and begin."""
        for task in self._store.unfinished():
            if task.started:
                self._remove_parts(task)
            self._slots[task.number] = self._slot(task)
            if task.cancel_requested:
                self._cancel(self._slots[task.number])
        self._scheduler.start()

    def stop(self) -> None:
        """Interrupt the running tasks, which go on at the next start, and wait until they are at rest."""
        with self._changed:
            self._stopping = True
            for slot in self._slots.values():
                slot.control.stop()
            self._changed.notify_all()
            workers = list(self._workers)
        for thread in [self._scheduler, *workers]:
            thread.join()

    def submit(self, owner_id: str, submission: Submission) -> tuple[Task, bool]:
        """Accept a submission; return its task, and whether it is new.

        Raises:
            Conflict: if an unfinished task of the owner moves an identical pair of paths.
        """
        with self._changed:
            known = self._store.find_submission(owner_id, submission.submission_id)
            if known is not None:
                return known, False
            now = time.time()
            deadline = submission.deadline or now + self._policy.first_deadline
            expires_at = now + self._policy.real(deadline - now)
            task = self._store.add(owner_id, submission, now=now, deadline=deadline, expires_at=expires_at)
            self._slots[task.number] = self._slot(task)
            self._changed.notify_all()
            return task, True

    def pending_tasks(self, owner_id: str) -> int:
        """Return how many tasks of an owner are unfinished."""
        with self._changed:
            return sum(slot.owner_id == owner_id for slot in self._slots.values())

    def cancel(self, task: Task) -> bool | None:
        """Cancel a task; return True if it is canceled, False if it had ended, None if it has yet to stop."""
        with self._changed:
            slot = self._slots.get(task.number)
            if slot is None or not self._store.update(task.number, cancel_requested=True):
                return False
            slot.cancel_requested = True
            if not slot.running:
                self._cancel(slot)
            else:
                slot.control.stop()
                self._changed.wait_for(lambda: task.number not in self._slots, CANCEL_PATIENCE)
        ended = self._store.get(task.number)
        if ended.status is Status.ACTIVE:
            return None
        return ended.fatal_code == Code.CANCELED

    def set_deadline(self, task: Task, deadline: float) -> bool:
        """Set the deadline of a task for good, in seconds since the epoch; return False if the task has ended."""
        with self._changed:
            slot = self._slots.get(task.number)
            if slot is None:
                return False
            now = time.time()
            expires_at = now + self._policy.real(deadline - now)
            slot.control.fix_deadline(expires_at)
            self._changed.notify_all()
            return self._store.update(task.number, deadline=deadline, expires_at=expires_at, deadline_fixed=True)

    def set_label(self, task: Task, label: str | None) -> bool:
        """Set the label of a task; return False if the task has ended."""
        return self._store.update(task.number, label=label)

    def phase(self, task: Task) -> Phase:
        """Return what is being done with an ACTIVE task right now."""
        with self._changed:
            slot = self._slots.get(task.number)
            if slot is None or slot.running:
                return Phase.RUNNING
            return Phase.WAITING if slot.ready_at > time.time() else Phase.QUEUED

    def bytes_in_flight(self, task: Task) -> int:
        """Return how much of a file that is not complete yet has been moved."""
        with self._changed:
            slot = self._slots.get(task.number)
            return slot.control.bytes_in_flight if slot else 0

    def _slot(self, task: Task) -> Slot:
        control = Control(self._policy, task.expires_at, deadline_fixed=task.deadline_fixed)
        return Slot(task.number, task.owner_id, control, task.ready_at, task.error_time, task.cancel_requested)

    def _schedule(self) -> None:
        with self._changed:
            while not self._stopping:
                now = time.time()
                self._expire(now)
                self._start_ready(now)
                self._changed.wait(self._sleep(time.time()))

    def _sleep(self, now: float) -> float:
        """Return how long nothing will happen by itself, in real seconds."""
        waiting = [slot for slot in self._slots.values() if not slot.running]
        times = [slot.control.expires_at for slot in waiting]
        times += [slot.ready_at for slot in waiting if slot.ready_at > now]
        longest = min(LONGEST_SLEEP, self._policy.real(self._policy.queued_deadline) / 10)
        return max(SHORTEST_SLEEP, min([longest, *(moment - now for moment in times)]))

    def _expire(self, now: float) -> None:
        for slot in list(self._slots.values()):
            if not slot.running and now >= slot.control.expires_at:
                self._fail(slot, Code.EXPIRED, "The deadline has passed")

    def _start_ready(self, now: float) -> None:
        running = Counter(slot.owner_id for slot in self._slots.values() if slot.running)
        ready = [slot for slot in self._slots.values() if not slot.running and slot.ready_at <= now]
        for slot in sorted(ready, key=lambda slot: (slot.ready_at, slot.number)):
            if running[slot.owner_id] < self._policy.active_tasks:
                running[slot.owner_id] += 1
                self._start_worker(slot)
            else:
                self._extend_queued(slot, now)

    def _extend_queued(self, slot: Slot, now: float) -> None:
        """Push the deadline of a task that waits for its turn and has met no error of late (task-behavior.txt 3)."""
        span = self._policy.real(self._policy.queued_deadline)
        if slot.control.expires_at - now > span * 0.9 or now - (slot.error_time or 0.0) < span:
            return
        if slot.control.extend(now + span):
            self._store.update(slot.number, deadline=now + self._policy.queued_deadline, expires_at=now + span)

    def _start_worker(self, slot: Slot) -> None:
        slot.running = True
        worker = threading.Thread(target=self._work, args=(slot,), name=f"emulator-task-{slot.number}", daemon=True)
        self._workers.add(worker)
        worker.start()

    def _work(self, slot: Slot) -> None:
        try:
            end = self._round(slot)
        except Exception:
            # A defect of ours must not stop the queue: the task backs off as from any other trouble.
            logger.exception("Round of task %s failed", slot.number)
            trouble = Event(time.time(), Code.UNKNOWN, is_error=True, details="Internal error", backs_off=True)
            columns = {"error_code": trouble.code, "error_time": trouble.time}
            self._store.record(slot.number, events=[trouble], counters={"faults": 1}, columns=columns)
            end = RoundEnd(faults=1)
        with self._changed:
            slot.running = False
            self._workers.discard(threading.current_thread())
            self._settle(slot, end)
            self._changed.notify_all()

    def _round(self, slot: Slot) -> RoundEnd:
        task = self._store.get(slot.number)
        source, destination = self._folders[task.source_endpoint], self._folders[task.destination_endpoint]
        return Round(self._store, task, source, destination, slot.control).run()

    def _settle(self, slot: Slot, end: RoundEnd) -> None:
        """Decide what comes after a round."""
        now = time.time()
        if slot.cancel_requested:
            self._cancel(slot)
        elif end.fatal is not None:
            self._fail(slot, *end.fatal)
        elif end.interrupted:
            if now >= slot.control.expires_at:
                self._fail(slot, Code.EXPIRED, "The deadline has passed")
        elif end.faults:
            errors = self._store.errors_since(slot.number, now - self._policy.real(self._policy.backoff_window))
            slot.error_time = now
            self._wait(slot, self._policy.backoff(errors))
        elif end.skipped:
            self._wait(slot, self._policy.skip_wait, error_code=None, error_time=None)
        else:
            self._end(slot, Status.SUCCEEDED, Event(now, Code.SUCCEEDED, is_error=False, details="{}"))

    def _wait(self, slot: Slot, seconds: float, **columns: None) -> None:
        slot.ready_at = time.time() + self._policy.real(seconds)
        self._store.update(slot.number, ready_at=slot.ready_at, **columns)

    def _cancel(self, slot: Slot) -> None:
        self._fail(slot, Code.CANCELED, "Canceled by the task owner")

    def _fail(self, slot: Slot, code: str, description: str) -> None:
        is_new = code in (Code.CANCELED, Code.EXPIRED)  # any other was told when it happened
        event = Event(time.time(), code, is_error=True, details=description) if is_new else None
        self._end(slot, Status.FAILED, event, (code, description))

    def _end(self, slot: Slot, status: Status, event: Event | None, fatal: tuple[str, str] | None = None) -> None:
        self._store.finish(slot.number, status, event, fatal)
        del self._slots[slot.number]
        self._changed.notify_all()

    def _remove_parts(self, task: Task) -> None:
        """Remove what a killed server left of the file that it was writing."""
        folder = self._folders[task.destination_endpoint]
        directories = {path_parts(path)[:-1] for path in self._store.pending_destinations(task.number)}
        for parts in directories:
            try:
                directory = folder.open_directory(parts)
            except OSError:  # not there, so nothing in it
                continue
            remove_part(directory, part_name(task.task_id))
            os.close(directory)
