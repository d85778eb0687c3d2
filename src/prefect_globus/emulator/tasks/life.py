"""What can happen to an unfinished task: each change is written to the state, then to what the engine remembers."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from prefect_globus.emulator.tasks.model import Code, Event, Phase, Status, Task, TaskType, Trouble
from prefect_globus.emulator.tasks.mover import Control

if TYPE_CHECKING:
    from prefect_globus.emulator.tasks.model import Policy
    from prefect_globus.emulator.tasks.store import TaskStore


@dataclass
class Slot:
    """An unfinished task in memory. Guarded by the engine's condition, all but `control`.

    `task` is the task as it was taken up: of it, only what never changes is used.
    """

    task: Task
    control: Control
    deadline_fixed: bool
    ready_at: float
    error_time: float | None
    cancel_requested: bool
    pause_message: str | None
    is_paused: bool
    is_inactive: bool
    is_held_inactive: bool
    trouble: Trouble | None = None  # seen of late; the task may have yet to stop
    asked_at: float = 0.0  # when the credentials were looked at, in seconds since the epoch
    running: bool = False

    @property
    def number(self) -> int:
        """The number of the task."""
        return self.task.number

    @property
    def queue(self) -> tuple[str, TaskType]:
        """Whose places the task takes: transfers and deletions of an owner are counted apart."""
        return self.task.owner_id, self.task.type

    @property
    def is_free(self) -> bool:
        """Whether the task may be worked on, when its time has come."""
        return not (self.running or self.is_paused or self.is_inactive)

    def phase(self, now: float) -> Phase:
        """Return what is being done with the task."""
        if self.is_inactive:
            return Phase.INACTIVE
        if self.is_paused:
            return Phase.PAUSED
        if self.running:
            return Phase.RUNNING
        return Phase.WAITING if self.ready_at > now else Phase.QUEUED


class Life:
    """The changes of unfinished tasks. The caller holds the engine's condition, and the task does not run."""

    def __init__(self, store: TaskStore, policy: Policy) -> None:
        self._store = store
        self._policy = policy

    def slot(self, task: Task) -> Slot:
        """Return what the engine remembers of a task."""
        return Slot(
            task=task,
            control=Control(self._policy, task.expires_at, deadline_fixed=task.deadline_fixed),
            deadline_fixed=task.deadline_fixed,
            ready_at=task.ready_at,
            error_time=task.error_time,
            cancel_requested=task.cancel_requested,
            pause_message=task.pause_message,
            is_paused=task.is_paused,
            is_inactive=task.status is Status.INACTIVE,
            is_held_inactive=task.is_held_inactive,
        )

    def renew(self, slot: Slot) -> None:
        """Give a task a new control, for the old one may have been told to stop."""
        slot.control = Control(self._policy, slot.control.expires_at, deadline_fixed=slot.deadline_fixed)

    def pause(self, slot: Slot, message: str) -> None:
        """Hold a task; its deadline is 90 days away from now on (task-behavior.txt 3)."""
        slot.is_paused = self._set_paused(slot, Code.PAUSED, message, self._policy.paused_deadline)

    def unpause(self, slot: Slot) -> None:
        """Let a task go on; its deadline is 24 hours away from now on (task-behavior.txt 3)."""
        if self._set_paused(slot, Code.UNPAUSED, "", self._policy.unpaused_deadline):
            slot.is_paused = False

    def _set_paused(self, slot: Slot, code: str, message: str, deadline: float) -> bool:
        now = time.time()
        expires_at = now + self._policy.real(deadline)
        slot.control = Control(self._policy, expires_at, deadline_fixed=slot.deadline_fixed)
        return self._store.change(
            slot.number,
            Status.INACTIVE if slot.is_inactive else Status.ACTIVE,
            Event(now, code, is_error=True, details=message),
            is_paused=code == Code.PAUSED,
            deadline=now + deadline,
            expires_at=expires_at,
        )

    def inactivate(self, slot: Slot, trouble: Trouble) -> None:
        """Suspend a task whose credentials are lost."""
        now = time.time()
        slot.error_time = now
        slot.is_inactive = self._store.change(
            slot.number,
            Status.INACTIVE,
            Event(now, trouble.code, is_error=True, details=trouble.details),
            error_code=trouble.code,
            error_time=now,
            is_held_inactive=slot.is_held_inactive,
        )

    def reactivate(self, slot: Slot) -> None:
        """Let a task go on, as its credentials are back, at the end of the queue. No event tells so [inferred]."""
        slot.ready_at = time.time()
        slot.is_inactive = not self._store.change(
            slot.number,
            Status.ACTIVE,
            None,
            error_code=None,
            error_time=None,
            is_held_inactive=False,
            ready_at=slot.ready_at,
        )

    def extend_queued(self, slot: Slot, now: float) -> None:
        """Push the deadline of a task that waits for its turn and has met no error of late (task-behavior.txt 3)."""
        span = self._policy.real(self._policy.queued_deadline)
        if slot.control.expires_at - now > span * 0.9 or now - (slot.error_time or 0.0) < span:
            return
        if slot.control.extend(now + span):
            self._store.update(slot.number, deadline=now + self._policy.queued_deadline, expires_at=now + span)

    def set_deadline(self, slot: Slot, deadline: float) -> bool:
        """Set the deadline for good, in seconds since the epoch. The task may run."""
        now = time.time()
        expires_at = now + self._policy.real(deadline - now)
        slot.deadline_fixed = True
        slot.control.fix_deadline(expires_at)
        return self._store.update(slot.number, deadline=deadline, expires_at=expires_at, deadline_fixed=True)

    def back_off(self, slot: Slot) -> None:
        """Let a task wait, for as long as its errors of the last two hours demand (task-behavior.txt 4.3)."""
        slot.error_time = time.time()
        since = slot.error_time - self._policy.real(self._policy.backoff_window)
        self._wait(slot, self._policy.backoff(self._store.errors_since(slot.number, since)))

    def wait_after_skips(self, slot: Slot) -> None:
        """Let a task wait that has skipped paths (task-behavior.txt 4.1)."""
        self._wait(slot, self._policy.skip_wait, error_code=None, error_time=None)

    def _wait(self, slot: Slot, seconds: float, **columns: None) -> None:
        slot.ready_at = time.time() + self._policy.real(seconds)
        self._store.update(slot.number, ready_at=slot.ready_at, **columns)

    def succeed(self, slot: Slot) -> None:
        """End a task of which everything is done."""
        event = Event(time.time(), Code.SUCCEEDED, is_error=False, details="{}")
        self._store.finish(slot.number, Status.SUCCEEDED, event, None)

    def cancel(self, slot: Slot) -> None:
        """End a task as somebody has asked for, who is on record."""
        admin = self._store.get(slot.number).canceled_by_admin
        self.fail(slot, Code.CANCELED, "Canceled by an activity manager" if admin else "Canceled by the task owner")

    def expire(self, slot: Slot) -> None:
        """End a task whose deadline has passed."""
        self.fail(slot, Code.EXPIRED, "The deadline has passed")

    def fail(self, slot: Slot, code: str, description: str) -> None:
        """End a task unfinished. What has ended it is an event already, unless it comes from outside."""
        is_new = code in (Code.CANCELED, Code.EXPIRED)
        event = Event(time.time(), code, is_error=True, details=description) if is_new else None
        self._store.finish(slot.number, Status.FAILED, event, (code, description))
