"""What is kept of ended tasks: their events and what became of each file, for 30 days (contract section 4)."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from prefect_globus.emulator.tasks.model import Policy
    from prefect_globus.emulator.tasks.store import TaskStore

NEVER = float("inf")


class History:
    """When the next history is to be deleted, so that nothing is looked for before.

    Attributes:
        due_at: seconds since the epoch. Guarded by the engine's condition.
    """

    def __init__(self, store: TaskStore, policy: Policy) -> None:
        self._store = store
        self._span = policy.real(policy.history)
        self.due_at = NEVER

    def plan(self) -> None:
        """Look when the next history is to be deleted."""
        oldest = self._store.oldest_history()
        self.due_at = NEVER if oldest is None else oldest + self._span

    def task_ended(self) -> None:
        """Note that there is one more history."""
        self.due_at = min(self.due_at, time.time() + self._span)

    def delete_expired(self) -> None:
        """Delete every history that was kept long enough."""
        self._store.delete_history(time.time() - self._span)
