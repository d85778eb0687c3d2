"""Polling: one look for all Globus tasks that are watched, however many threads watch them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from uuid import UUID

from prefect_globus.tasks.stopping import Stop
from prefect_globus.transfers.watching import TaskView

# Between two looks: the more tasks are watched, the longer, so that each of them costs no more than it is worth.
_LEAST_SECONDS = 0.2
_TASKS_A_LEAST = 6
_TICK_SECONDS = 0.2  # so late may the one who looks learn that somebody does not want to wait for so long
_ALONE = 1

Ask = Callable[[Sequence[UUID]], Mapping[UUID, TaskView]]


class Polling:
    """Asks Globus about all tasks at once that somebody waits to see, when the first of them is due.

    One of the threads that wait does it for all of them. An error is its own: the next one then tries for the others.

    Args:
        stop: ends the waiting.
        ask: Globus, about many tasks; those that it does not show are left out.
    """

    def __init__(self, stop: Stop, ask: Ask) -> None:
        self._stop = stop
        self._ask = ask
        self._turn = threading.Condition()
        self._watchers: list[_Watcher] = []
        self._looker: _Watcher | None = None
        self._looked_at = -_LEAST_SECONDS

    def look(self, task_id: UUID, seconds: float) -> TaskView | None:
        """What a task looks like ``seconds`` from now, or earlier where others are looked at anyway.

        Returns:
            None when the task is the only one that is watched, or is not shown: then it is to be asked for by itself.

        Raises:
            TransferStoppedError: the driver is told to stop.
            TransferError: Globus is out of reach, or refuses.
        """
        watcher = _Watcher(task_id, time.monotonic() + seconds)
        try:
            if self._is_to_look(watcher):
                self._look_for_all()
        finally:
            self._leave(watcher)
        return watcher.view

    def _is_to_look(self, watcher: _Watcher) -> bool:
        """Wait while somebody else is to look; whether ``watcher`` has seen nothing then, and is to look itself."""
        with self._turn:
            self._watchers.append(watcher)
            while self._looker is not None and not watcher.is_served:
                self._turn.wait()
            if not watcher.is_served:
                self._looker = watcher
            return not watcher.is_served

    def _look_for_all(self) -> None:
        while (seconds := self._due - time.monotonic()) > 0:
            self._stop.wait(min(seconds, _TICK_SECONDS))
        with self._turn:
            watchers = list(self._watchers)  # who comes later is not content with what is seen from now on
        views = self._ask([each.task_id for each in watchers]) if len(watchers) > _ALONE else {}
        with self._turn:
            for each in watchers:
                each.view, each.is_served = views.get(each.task_id), True
            self._watchers = [each for each in self._watchers if not each.is_served]

    def _leave(self, watcher: _Watcher) -> None:
        with self._turn:
            if watcher in self._watchers:
                self._watchers.remove(watcher)
            if self._looker is watcher:
                self._looker = None
                self._looked_at = time.monotonic()
                self._turn.notify_all()

    @property
    def _due(self) -> float:
        with self._turn:
            least = _LEAST_SECONDS * max(1.0, len(self._watchers) / _TASKS_A_LEAST)
            return max(self._looked_at + least, min(each.due for each in self._watchers))


class _Watcher:
    """Waits to see one task.

    Args:
        task_id: which.
        due: when it wants to, by the monotonic clock.
    """

    def __init__(self, task_id: UUID, due: float) -> None:
        self.task_id = task_id
        self.due = due
        self.is_served = False
        self.view: TaskView | None = None
