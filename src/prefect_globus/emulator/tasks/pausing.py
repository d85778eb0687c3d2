"""Pause rules: what a manager holds on a collection, for everybody or for one identity (contract section 4)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from prefect_globus.emulator.tasks.model import TaskType

if TYPE_CHECKING:
    import sqlite3

    from prefect_globus.emulator.database import Database
    from prefect_globus.emulator.tasks.model import Task

PAUSABLE = (
    "pause_ls",
    "pause_mkdir",
    "pause_symlink",
    "pause_rename",
    "pause_task_delete",
    "pause_task_transfer_write",
    "pause_task_transfer_read",
)
SAVE_RULE = """INSERT OR REPLACE INTO pause_rules
    (id, endpoint_id, identity_id, message, start_time, starts_at, modified_by_id, modified_time, paused)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"""


@dataclass(frozen=True, slots=True)
class PauseRule:
    """One pause rule. Times are seconds since the epoch; `starts_at` is the start with the time scale applied.

    Attributes:
        identity_id: whom it concerns; None for everybody.
        start_time: from when on, as documents show it; None for at once.
        paused: the words of PAUSABLE that it holds.
    """

    id: str
    endpoint_id: str
    identity_id: str | None
    message: str
    start_time: float | None
    starts_at: float
    modified_by_id: str
    modified_time: float
    paused: frozenset[str]

    def holds(self, what: str, endpoint_id: str | None, identity_id: str, now: float) -> bool:
        """Tell whether it holds what an identity does on a collection."""
        return (
            what in self.paused
            and endpoint_id == self.endpoint_id
            and self.identity_id in (None, identity_id)
            and self.starts_at <= now
        )

    def holds_task(self, task: Task, now: float) -> bool:
        """Tell whether it holds a task: by what the task does on either of its collections."""
        if task.type is TaskType.DELETE:
            return self.holds("pause_task_delete", task.source_endpoint, task.owner_id, now)
        return self.holds("pause_task_transfer_read", task.source_endpoint, task.owner_id, now) or self.holds(
            "pause_task_transfer_write", task.destination_endpoint, task.owner_id, now
        )


class PauseRules:
    """The pause rules of a state file. All of them are kept in memory, for the engine asks often."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._rules: tuple[PauseRule, ...] = ()
        self._load()

    def all(self) -> tuple[PauseRule, ...]:
        """Return every rule, oldest first."""
        return self._rules

    def find(self, rule_id: str) -> PauseRule | None:
        """Return a rule."""
        return next((rule for rule in self._rules if rule.id == rule_id), None)

    def save(self, rule: PauseRule) -> None:
        """Add a rule, or put it in the place of the one with its id."""
        columns: tuple[Any, ...] = (
            rule.id,
            rule.endpoint_id,
            rule.identity_id,
            rule.message,
            rule.start_time,
            rule.starts_at,
            rule.modified_by_id,
            rule.modified_time,
            orjson.dumps(sorted(rule.paused)).decode(),
        )
        with self._database.transaction() as connection:
            connection.execute(SAVE_RULE, columns)
            self._load()

    def delete(self, rule_id: str) -> bool:
        """Delete a rule; return False if there was none."""
        with self._database.transaction() as connection:
            deleted = connection.execute("DELETE FROM pause_rules WHERE id = ?", (rule_id,)).rowcount == 1
            self._load()
            return deleted

    def of_task(self, task: Task, now: float) -> list[PauseRule]:
        """Return the rules that hold a task."""
        return [rule for rule in self._rules if rule.holds_task(task, now)]

    def of_operation(self, what: str, endpoint_id: str, identity_id: str, now: float) -> list[PauseRule]:
        """Return the rules that hold an operation, such as `pause_ls`."""
        return [rule for rule in self._rules if rule.holds(what, endpoint_id, identity_id, now)]

    def next_start(self, now: float) -> float | None:
        """Return when the next rule begins that has not begun yet, or None."""
        return min((rule.starts_at for rule in self._rules if rule.starts_at > now), default=None)

    def _load(self) -> None:
        self._rules = tuple(_rule(row) for row in self._database.rows("SELECT * FROM pause_rules ORDER BY starts_at"))


def _rule(row: sqlite3.Row) -> PauseRule:
    columns = dict(row) | {"paused": frozenset(orjson.loads(row["paused"]))}
    return PauseRule(**columns)
