"""The engine: which task is worked on, when, and how it ends (task-behavior.txt)."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING

from prefect_globus.emulator.collections.model import part_names
from prefect_globus.emulator.collections.paths import path_parts
from prefect_globus.emulator.errors import TooManyPendingJobs
from prefect_globus.emulator.tasks.deletion import DeletionRound
from prefect_globus.emulator.tasks.history import NEVER, History
from prefect_globus.emulator.tasks.interference import Interferer
from prefect_globus.emulator.tasks.life import Life, Slot
from prefect_globus.emulator.tasks.model import Code, Event, Phase, Policy, Submission, Task, Trouble
from prefect_globus.emulator.tasks.round import RoundEnd
from prefect_globus.emulator.tasks.transferring import TransferRound

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from prefect_globus.emulator.collections.storage import Storage
    from prefect_globus.emulator.tasks.pausing import PauseRules
    from prefect_globus.emulator.tasks.store import TaskStore

logger = logging.getLogger(__name__)

PATIENCE = 5.0  # real seconds that a request waits for a running task to have stopped
CREDENTIALS_INTERVAL = 1.0  # real seconds between two looks at the credentials of a task
SHORTEST_SLEEP = 0.005
LONGEST_SLEEP = 60.0
AFTER_DEFECT = 1.0  # real seconds; such as a state file that somebody else has locked, or a full disk


class Engine:
    """Works on tasks in threads of this process: at most so many of an owner at once, first come first served.

    A request that changes a task notes what is wanted; `_tend` brings the task there, at once or when it has stopped.

    Args:
        store: the tasks.
        folders: the folder of each collection, by UUID.
        policy: the limits and waits.
        pause_rules: the rules that hold tasks. Call `look_again` after a change of them.
        credentials: tells what is wrong with the credentials of a task, or None if they hold. It is asked before each
            round, and every second of a task that runs or is INACTIVE. It must be quick, and not call the engine.
        interferer: what tasks meet on demand; nothing if left out.
    """

    def __init__(
        self,
        store: TaskStore,
        folders: Mapping[str, Storage],
        policy: Policy,
        pause_rules: PauseRules,
        credentials: Callable[[Task], Trouble | None] | None = None,
        interferer: Interferer | None = None,
    ) -> None:
        self._store = store
        self._folders = folders
        self._policy = policy
        self._pause_rules = pause_rules
        self._credentials = credentials
        self._interferer = interferer or Interferer()
        self._life = Life(store, policy)
        self._history = History(store, policy)
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
            self._slots[task.number] = self._life.slot(task)
        self._history.plan()
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
            TooManyPendingJobs: if the owner has as many unfinished tasks of this type as may be (contract section 10).
        """
        with self._changed:
            known = self._store.find_submission(owner_id, submission.submission_id)
            if known is not None:
                return known, False
            limit = self._policy.active_tasks + self._policy.pending_tasks
            if sum(slot.queue == (owner_id, submission.type) for slot in self._slots.values()) >= limit:
                raise TooManyPendingJobs(limit, submission.type)
            now = time.time()
            deadline = submission.deadline or now + self._policy.first_deadline
            expires_at = now + self._policy.real(deadline - now)
            task = self._store.add(owner_id, submission, now=now, deadline=deadline, expires_at=expires_at)
            self._slots[task.number] = self._life.slot(task)
            self._changed.notify_all()
            return task, True

    def cancel(self, task: Task) -> bool | None:
        """Cancel a task; return True if it is canceled, False if it had ended, None if it has yet to stop."""
        if not self.request_cancel(task):
            return False
        self._wait_until(task)
        ended = self._store.get(task.number)
        return ended.fatal_code == Code.CANCELED if ended.is_finished else None

    def request_cancel(self, task: Task, *, by_admin: str | None = None, message: str | None = None) -> bool:
        """Have a task canceled as soon as it has stopped; return False if it had ended.

        Args:
            task: the task.
            by_admin: for which end an activity manager asks, SOURCE, DESTINATION or BOTH; None if the owner does.
            message: what the activity manager says.
        """
        with self._changed:
            slot = self._slots.get(task.number)
            if slot is None:
                return False
            if not slot.cancel_requested:  # who asks first is on record
                self._store.update(
                    task.number, cancel_requested=True, canceled_by_admin=by_admin, canceled_by_admin_message=message
                )
            slot.cancel_requested = True
            self._tend(slot)
            return True

    def pause(self, task: Task, message: str) -> bool:
        """Hold a task until `resume`, however it stands; return False if it had ended."""
        return self._set_pause_message(task, message, lambda slot: slot.is_paused)

    def resume(self, task: Task) -> bool:
        """Take back `pause`; a pause rule may still hold the task. Return False if it had ended."""
        return self._set_pause_message(task, None, lambda _: True)

    def _set_pause_message(self, task: Task, message: str | None, until: Callable[[Slot], bool]) -> bool:
        with self._changed:
            slot = self._slots.get(task.number)
            if slot is None or not self._store.update(task.number, pause_message=message):
                return False
            slot.pause_message = message
            self._tend(slot)
        self._wait_until(task, until)
        return True

    def inactivate(self, task: Task, code: str = Code.AUTH, details: str = "The credentials are lost") -> bool:
        """Suspend a task until `reactivate`, as if its credentials were lost; return False if it had ended."""
        with self._changed:
            slot = self._slots.get(task.number)
            if slot is None:
                return False
            slot.trouble = Trouble(code, details)
            slot.is_held_inactive = True
            if slot.is_inactive:  # for its credentials; when these are back, it stays
                self._store.update(task.number, is_held_inactive=True)
            self._tend(slot)
        self._wait_until(task, lambda slot: slot.is_inactive)
        return True

    def reactivate(self, task: Task) -> bool:
        """Take back `inactivate`; lost credentials may still suspend the task. Return False if it had ended."""
        with self._changed:
            slot = self._slots.get(task.number)
            if slot is None:
                return False
            self._store.update(task.number, is_held_inactive=False)
            slot.is_held_inactive = False
            slot.trouble = None
            slot.asked_at = 0.0
            self._tend(slot)
            return True

    def expire(self, task: Task) -> bool:
        """Let the deadline of a task have passed; return False if it had ended before."""
        if not self.set_deadline(task, time.time()):
            return False
        self._wait_until(task)
        return True

    def set_deadline(self, task: Task, deadline: float) -> bool:
        """Set the deadline of a task for good, in seconds since the epoch; return False if the task has ended."""
        with self._changed:
            slot = self._slots.get(task.number)
            if slot is None or not self._life.set_deadline(slot, deadline):
                return False
            self._tend(slot)
            self._changed.notify_all()
            return True

    def set_label(self, task: Task, label: str | None) -> bool:
        """Set the label of a task; return False if the task has ended."""
        return self._store.update(task.number, label=label)

    def look_again(self) -> None:
        """Look at every task: the pause rules have changed."""
        with self._changed:
            self._changed.notify_all()

    def phase(self, task: Task) -> Phase:
        """Return what is being done with an unfinished task right now."""
        with self._changed:
            slot = self._slots.get(task.number)
            return slot.phase(time.time()) if slot else Phase.RUNNING

    def bytes_in_flight(self, task: Task) -> int:
        """Return how much of a file that is not complete yet has been moved."""
        with self._changed:
            slot = self._slots.get(task.number)
            return slot.control.bytes_in_flight if slot else 0

    def _wait_until(self, task: Task, test: Callable[[Slot], bool] | None = None) -> None:
        """Wait a while until a task has ended, or is as wanted."""
        with self._changed:

            def is_there() -> bool:
                slot = self._slots.get(task.number)
                return slot is None or (test is not None and test(slot))

            self._changed.wait_for(is_there, PATIENCE)

    def _schedule(self) -> None:
        with self._changed:
            while not self._stopping:
                try:
                    for slot in list(self._slots.values()):
                        self._tend(slot)
                    self._start_ready()
                    self._start_sweep()
                    seconds = self._sleep(time.time())
                except Exception:
                    logger.exception("The tasks could not be looked after")
                    seconds = AFTER_DEFECT
                self._changed.wait(seconds)

    def _sleep(self, now: float) -> float:
        """Return how long nothing will happen by itself, in real seconds."""
        longest = min(LONGEST_SLEEP, self._policy.real(self._policy.queued_deadline) / 10)
        times = [now + longest, self._history.due_at, self._pause_rules.next_start(now) or NEVER]
        for slot in self._slots.values():
            if not slot.running:
                times.append(slot.control.expires_at)
                if slot.ready_at > now:
                    times.append(slot.ready_at)
            if self._is_watched(slot):
                times.append(slot.asked_at + CREDENTIALS_INTERVAL)
        return max(SHORTEST_SLEEP, min(times) - now)

    def _is_watched(self, slot: Slot) -> bool:
        """Tell whether the credentials of a task are looked at again and again."""
        return self._credentials is not None and not slot.is_held_inactive and (slot.running or slot.is_inactive)

    def _tend(self, slot: Slot) -> None:
        """Bring one task to where it should be: ended, suspended, held, or free. A running one is told to stop."""
        if slot.number not in self._slots:
            return
        now = time.time()
        if self._is_watched(slot) and now - slot.asked_at >= CREDENTIALS_INTERVAL:
            self._ask(slot)
        message = self._pause_message(slot, now)
        if slot.running:
            if slot.cancel_requested or message is not None or slot.trouble is not None:
                slot.control.stop()
            return
        if slot.cancel_requested:
            self._end(slot, self._life.cancel)
        elif now >= slot.control.expires_at:
            self._end(slot, self._life.expire)
        else:
            self._suspend(slot)
            self._hold(slot, message)

    def _pause_message(self, slot: Slot, now: float) -> str | None:
        """Return why a task is to be held, or None."""
        if slot.pause_message is not None:
            return slot.pause_message
        return next((rule.message for rule in self._pause_rules.of_task(slot.task, now)), None)

    def _ask(self, slot: Slot) -> None:
        slot.asked_at = time.time()
        slot.trouble = self._credentials(slot.task) if self._credentials else None

    def _suspend(self, slot: Slot) -> None:
        if slot.trouble is not None and not slot.is_inactive:
            self._life.inactivate(slot, slot.trouble)
            self._changed.notify_all()
        elif slot.is_inactive and slot.trouble is None and not slot.is_held_inactive:
            self._life.reactivate(slot)
            self._changed.notify_all()

    def _hold(self, slot: Slot, message: str | None) -> None:
        if message is not None and not slot.is_paused:
            self._life.pause(slot, message)
            self._changed.notify_all()
        elif message is None and slot.is_paused:
            self._life.unpause(slot)
            self._changed.notify_all()

    def _start_ready(self) -> None:
        now = time.time()
        running = Counter(slot.queue for slot in self._slots.values() if slot.running)
        ready = [slot for slot in self._slots.values() if slot.is_free and slot.ready_at <= now]
        for slot in sorted(ready, key=lambda slot: (slot.ready_at, slot.number)):
            if running[slot.queue] >= self._policy.active_tasks:
                self._life.extend_queued(slot, now)
                continue
            self._ask(slot)
            if slot.trouble is not None:
                self._suspend(slot)
            else:
                running[slot.queue] += 1
                self._life.renew(slot)
                slot.running = True
                self._start_thread(partial(self._work, slot), f"emulator-task-{slot.number}")

    def _start_sweep(self) -> None:
        if time.time() >= self._history.due_at:
            self._history.due_at = NEVER  # until it is done
            self._start_thread(self._sweep, "emulator-history")

    def _start_thread(self, run: Callable[[], None], name: str) -> None:
        worker = threading.Thread(target=run, name=name, daemon=True)
        self._workers.add(worker)
        worker.start()

    def _sweep(self) -> None:
        try:
            self._history.delete_expired()
        except Exception:
            logger.exception("Histories could not be deleted")
        with self._changed:
            self._workers.discard(threading.current_thread())
            self._history.due_at = time.time() + AFTER_DEFECT  # if there is no plan
            self._history.plan()
            self._changed.notify_all()

    def _work(self, slot: Slot) -> None:
        try:
            end = self._round(slot)
        except Exception:
            # A defect of ours must not stop the queue: the task backs off as from any other trouble.
            logger.exception("Round of task %s failed", slot.number)
            end = RoundEnd(faults=1, is_defect=True)
        with self._changed:
            slot.running = False
            self._workers.discard(threading.current_thread())
            try:
                self._settle(slot, end)
                self._tend(slot)
            except Exception:
                logger.exception("Round of task %s could not be noted", slot.number)
                slot.ready_at = time.time() + AFTER_DEFECT  # for another round, which finds what is still to be done
            self._changed.notify_all()

    def _round(self, slot: Slot) -> RoundEnd:
        task = self._store.get(slot.number)
        source = self._folders[task.source_endpoint]
        interference = self._interferer.of_round(self, task, slot.control)
        if task.destination_endpoint is None:
            return DeletionRound(self._store, task, source, slot.control, interference).run()
        destination = self._folders[task.destination_endpoint]
        return TransferRound(self._store, task, source, destination, slot.control, interference).run()

    def _settle(self, slot: Slot, end: RoundEnd) -> None:
        """Decide what comes after a round."""
        if end.is_defect:
            trouble = Event(time.time(), Code.UNKNOWN, is_error=True, details="Internal error", backs_off=True)
            columns = {"error_code": trouble.code, "error_time": trouble.time}
            self._store.record(slot.number, events=[trouble], counters={"faults": 1}, columns=columns)
        if slot.cancel_requested or end.interrupted:
            return  # `_tend` knows why
        if end.fatal is not None:
            code, description = end.fatal
            self._end(slot, lambda slot: self._life.fail(slot, code, description))
        elif end.faults:
            self._life.back_off(slot)
        elif end.skipped:
            self._life.wait_after_skips(slot)
        else:
            self._end(slot, self._life.succeed)

    def _end(self, slot: Slot, how: Callable[[Slot], None]) -> None:
        how(slot)
        del self._slots[slot.number]
        self._history.task_ended()
        self._changed.notify_all()

    def _remove_parts(self, task: Task) -> None:
        """Remove what a killed server left of the file that it was writing."""
        if task.destination_endpoint is None:
            return
        directories = {path_parts(path)[:-1] for path in self._store.pending_destinations(task.number)}
        self._folders[task.destination_endpoint].remove_parts(directories, part_names(task.task_id))
