"""Tasks in the state file: accepted, worked on, ended. Each method is one transaction."""

from __future__ import annotations

import hashlib
import sqlite3
import time
import uuid
from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any

import orjson

from prefect_globus.emulator.errors import Conflict
from prefect_globus.emulator.tasks import bundles
from prefect_globus.emulator.tasks.bundles import MovedItem
from prefect_globus.emulator.tasks.model import (
    COUNTERS,
    TRANSITIONS,
    Code,
    Event,
    FilterRule,
    Item,
    Kind,
    MovedFile,
    Options,
    Outcome,
    Result,
    Status,
    Submission,
    Task,
    TaskType,
    Work,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from prefect_globus.emulator.database import Database
    from prefect_globus.emulator.tasks.bundles import Bundle, MovedBundle

ADD_TASK = """INSERT INTO tasks (task_id, type, owner_id, submission_id, source_endpoint, destination_endpoint, label,
    status, options, request_time, deadline, expires_at, deadline_fixed, ready_at, subtasks_total)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"""
ADD_WORK = """INSERT INTO work (task, seq, kind, outcome, source_path, destination_path, recursive, external_checksum,
    checksum_algorithm) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"""
SET_RESULT = """UPDATE work SET kind = ?, outcome = ?, size = ?, checksum = ?,
    checksum_algorithm = COALESCE(?, checksum_algorithm), error_code = ?, error_details = ?, error_time = ?
    WHERE task = ? AND seq = ?"""
SET_MOVED = """UPDATE work SET kind = 'file', outcome = 'done', size = ?, checksum = ?,
    checksum_algorithm = COALESCE(?, checksum_algorithm) WHERE task = ? AND seq = ?"""
ADD_EVENT = "INSERT INTO events (task, time, code, is_error, details, backs_off) VALUES (?, ?, ?, ?, ?, ?)"
WORK_COLUMNS = (
    "seq, kind, source_path, destination_path, recursive, external_checksum, checksum_algorithm, outcome, size"
)
PENDING = Outcome.PENDING.value  # a plain string, as sqlite3 takes long over any other
KINDS = {kind.value: kind for kind in Kind}
UNFINISHED_WORK = "outcome IN ('pending', 'moving', 'deleting')"
SUCCESSES = """SELECT seq, source_path, destination_path, size, checksum, checksum_algorithm FROM work
    WHERE task = ? AND seq > ? AND outcome = 'done' AND kind = 'file' ORDER BY seq LIMIT ?"""
LAST_SEQS = "SELECT (SELECT MAX(seq) FROM work WHERE task = ?), (SELECT MAX(first) FROM bundles WHERE task = ?)"
LAST = 2**62  # beyond the number of any piece of work
HISTORY_PER_COMMIT = 20_000

DELETE_HISTORY = (
    "DELETE FROM work WHERE task = ? AND seq IN (SELECT seq FROM work WHERE task = ? LIMIT ?)",
    "DELETE FROM bundles WHERE task = ? AND first IN (SELECT first FROM bundles WHERE task = ? LIMIT ?)",
    "DELETE FROM moved_bundles WHERE task = ? AND first IN (SELECT first FROM moved_bundles WHERE task = ? LIMIT ?)",
    "DELETE FROM events WHERE task = ? AND number IN (SELECT number FROM events WHERE task = ? LIMIT ?)",
)

# Which counter takes what was pending when a task ends early. Any other code is a failure.
REMAINDER = {Code.CANCELED: "subtasks_canceled", Code.EXPIRED: "subtasks_expired"}
DEADLINE = ("deadline", "expires_at")


class TaskStore:
    """The tasks of a state file."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, owner_id: str, submission: Submission, *, now: float, deadline: float, expires_at: float) -> Task:
        """Accept a task: when this returns, the task will be worked on, whatever happens to this process.

        The deadline of a deletion is never extended (task-behavior.txt 3), as if the user had set it.

        Raises:
            Conflict: if an unfinished task of the owner moves one of the same pairs of paths.
        """
        is_delete = submission.type is TaskType.DELETE
        with self._database.transaction() as connection:
            cursor = connection.execute(
                ADD_TASK,
                (
                    str(uuid.uuid1()),
                    submission.type,
                    owner_id,
                    submission.submission_id,
                    submission.source_endpoint,
                    submission.destination_endpoint,
                    submission.label,
                    Status.ACTIVE,
                    _options_text(submission.options),
                    now,
                    deadline,
                    expires_at,
                    is_delete or submission.deadline is not None,
                    now,
                    len(submission.items),
                ),
            )
            number = cursor.lastrowid or 0
            try:
                connection.executemany(
                    "INSERT INTO claims VALUES (?, ?)",
                    [] if is_delete else [(pair, number) for pair in _pairs(owner_id, submission)],
                )
            except sqlite3.IntegrityError as error:
                raise Conflict from error
            left = bundles.add(connection, number, submission.items)
            connection.executemany(ADD_WORK, [_item_row(number, *one) for one in left])
        return self.get(number)

    def get(self, number: int) -> Task:
        """Return a task by its number, which must exist."""
        return _task(self._database.rows("SELECT * FROM tasks WHERE number = ?", (number,))[0])

    def find(self, owner_id: str, task_id: str) -> Task | None:
        """Return a task of an owner."""
        found = self._database.rows("SELECT * FROM tasks WHERE task_id = ? AND owner_id = ?", (task_id, owner_id))
        return _task(found[0]) if found else None

    def find_submission(self, owner_id: str, submission_id: str) -> Task | None:
        """Return the task that an owner submitted with this id."""
        found = self._database.rows(
            "SELECT * FROM tasks WHERE owner_id = ? AND submission_id = ?", (owner_id, submission_id)
        )
        return _task(found[0]) if found else None

    def find_any(self, task_id: str) -> Task | None:
        """Return a task of whatever owner, for an activity manager."""
        found = self._database.rows("SELECT * FROM tasks WHERE task_id = ?", (task_id,))
        return _task(found[0]) if found else None

    def of_owner(self, owner_id: str) -> list[Task]:
        """Return every task of an owner, oldest first."""
        return [
            _task(row)
            for row in self._database.rows("SELECT * FROM tasks WHERE owner_id = ? ORDER BY number", (owner_id,))
        ]

    def named(self, task_ids: Sequence[str]) -> list[Task]:
        """Return the tasks of whatever owners with these ids, as far as there are any, oldest first."""
        found = [self.find_any(task_id.strip()) for task_id in dict.fromkeys(task_ids)]
        return sorted(filter(None, found), key=lambda task: task.number)

    def of_everybody(self, before: int, limit: int) -> list[Task]:
        """Return up to `limit` tasks of all owners, newest first, that are older than the task `before`."""
        return [
            _task(row)
            for row in self._database.rows(
                "SELECT * FROM tasks WHERE number < ? ORDER BY number DESC LIMIT ?", (before, limit)
            )
        ]

    def unfinished(self) -> list[Task]:
        """Return the unfinished tasks of all owners, oldest first."""
        return [
            _task(row)
            for row in self._database.rows("SELECT * FROM tasks WHERE completion_time IS NULL ORDER BY number")
        ]

    def update(self, number: int, **columns: str | float | bool | None) -> bool:
        """Set columns of an unfinished task; return whether it still was one."""
        with self._database.transaction() as connection:
            return _update(connection, number, columns)

    def change(self, number: int, status: Status, event: Event | None, **columns: str | float | bool | None) -> bool:
        """Bring an unfinished task to a status, or leave it there, and note the event; return False if it may not."""
        with self._database.transaction() as connection:
            task = _task(connection.execute("SELECT * FROM tasks WHERE number = ?", (number,)).fetchone())
            if status is not task.status and status not in TRANSITIONS[task.status]:
                return False
            _add_events(connection, number, [event] if event else [])
            return _update(connection, number, {"status": status, **columns})

    def pending(self, number: int, after: int, limit: int) -> list[Work]:
        """Return up to `limit` pieces of pending work that follow the piece `after`, in order.

        A bundle that comes next is broken up.
        """
        with self._database.transaction() as connection:
            bundle = bundles.following(connection, number, after)
            found = _pending(connection, number, after, bundle.first if bundle else LAST, limit)
            if bundle and not found:
                connection.executemany(ADD_WORK, [_item_row(number, *one) for one in bundle.numbered()])
                bundles.remove(connection, number, bundle)
                found = _pending(connection, number, after, bundle.last + 1, limit)
        return found

    def next_bundle(self, number: int, after: int) -> Bundle | None:
        """Return the first bundle of a task that follows the piece of work `after` and was not moved."""
        with self._database.transaction() as connection:
            return bundles.following(connection, number, after)

    def last_seq(self, number: int) -> int:
        """Return the number of the last piece of work of a task."""
        work, first = self._database.rows(LAST_SEQS, (number, number))[0]
        return max(work or 0, first + bundles.SIZE - 1 if first else 0)

    def record(
        self,
        number: int,
        *,
        results: Sequence[Result] = (),
        moved: Sequence[MovedFile] = (),
        moved_bundles: Sequence[MovedBundle] = (),
        found: Sequence[Work] = (),
        events: Sequence[Event] = (),
        counters: Mapping[str, int] | None = None,
        columns: Mapping[str, Any] | None = None,
    ) -> None:
        """Write what was done of a task, all or nothing.

        Args:
            number: the task.
            results: outcomes.
            moved: files that were moved.
            moved_bundles: bundles that were moved as a whole.
            found: new work.
            events: new events.
            counters: what the counters grew by.
            columns: other columns to set. A deadline is left alone if the user has set one meanwhile.
        """
        now = time.time()
        with self._database.transaction() as connection:
            connection.executemany(ADD_WORK, [_work_row(number, work) for work in found])
            connection.executemany(SET_RESULT, [_result_row(number, result, now) for result in results])
            connection.executemany(SET_MOVED, [(*found, number, seq) for seq, *found in moved])
            bundles.moved(connection, number, moved_bundles)
            _add_events(connection, number, events)
            _count(connection, number, counters or {})
            if columns:
                is_fixed = "SELECT deadline_fixed FROM tasks WHERE number = ?"
                kept = DEADLINE if connection.execute(is_fixed, (number,)).fetchone()[0] else ()
                _update(connection, number, {name: columns[name] for name in columns if name not in kept})

    def finish(self, number: int, status: Status, event: Event | None, fatal: tuple[str, str] | None) -> bool:
        """End a task, free its paths, and note the event if it is news; return False if it had ended before."""
        with self._database.transaction() as connection:
            task = _task(connection.execute("SELECT * FROM tasks WHERE number = ?", (number,)).fetchone())
            if status not in TRANSITIONS[task.status]:
                return False
            code, description = fatal or (None, None)
            ended = {
                "status": status,
                "completion_time": time.time(),
                "fatal_code": code,
                "fatal_description": description,
                "is_paused": False,
            }
            _update(connection, number, ended)  # only an unfinished task is changed
            if code is not None:
                _count(connection, number, {REMAINDER.get(code, "subtasks_failed"): pending_subtasks(task)})
            connection.execute("DELETE FROM claims WHERE task = ?", (number,))
            _add_events(connection, number, [event] if event else [])
            return True

    def events(self, number: int, *, limit: int, offset: int, is_error: bool | None) -> tuple[list[Event], int]:
        """Return a page of a task's events, newest first, and how many there are in all."""
        where, values = (
            ("task = ?", [number]) if is_error is None else ("task = ? AND is_error = ?", [number, is_error])
        )
        found = self._database.rows(
            f"SELECT time, code, is_error, details FROM events WHERE {where} ORDER BY number DESC LIMIT ? OFFSET ?",  # noqa: S608 -- constants
            (*values, limit, offset),
        )
        total = self._database.rows(f"SELECT COUNT(*) FROM events WHERE {where}", values)[0][0]  # noqa: S608
        return [Event(row["time"], row["code"], bool(row["is_error"]), row["details"]) for row in found], total

    def errors_since(self, number: int, since: float) -> int:
        """Return how many errors that count for the backoff a task has met since then."""
        query = "SELECT COUNT(*) FROM events WHERE task = ? AND time > ? AND backs_off"
        return int(self._database.rows(query, (number, since))[0][0])

    def successes(self, number: int, after: int, limit: int) -> list[MovedItem]:
        """Return files that were really moved, in order, following the piece of work `after`."""
        with self._database.transaction() as connection:
            found = [MovedItem(*row) for row in connection.execute(SUCCESSES, (number, after, limit))]
            found += bundles.moved_items(connection, number, after, limit)
        return sorted(found)[:limit]

    def skipped(self, number: int, after: int, limit: int) -> list[sqlite3.Row]:
        """Return work that skip_source_errors gave up, in order, following the piece of work `after`."""
        return self._database.rows(
            "SELECT seq, * FROM work WHERE task = ? AND seq > ? AND outcome = 'skipped' ORDER BY seq LIMIT ?",
            (number, after, limit),
        )

    def add_admin_cancel(self, message: str, task_ids: Sequence[str]) -> int:
        """Note that an activity manager cancels tasks; return the number by which that is asked about."""
        with self._database.transaction() as connection:
            query = "INSERT INTO admin_cancels (message, task_ids) VALUES (?, ?)"
            return connection.execute(query, (message, orjson.dumps(task_ids).decode())).lastrowid or 0

    def admin_cancel(self, number: int) -> tuple[str, list[str]] | None:
        """Return what an activity manager said, and the tasks that were to be canceled."""
        found = self._database.rows("SELECT message, task_ids FROM admin_cancels WHERE id = ?", (number,))
        return (found[0]["message"], orjson.loads(found[0]["task_ids"])) if found else None

    def oldest_history(self) -> float | None:
        """Return when the oldest task ended of those whose history is still there, or None."""
        query = "SELECT MIN(completion_time) FROM tasks WHERE completion_time IS NOT NULL AND NOT history_deleted"
        found = self._database.rows(query)[0][0]
        return None if found is None else float(found)

    def delete_history(self, ended_before: float) -> None:
        """Delete the events and the work of the tasks that ended before that, in steps that others can go between."""
        expired = self._database.rows(
            "SELECT number FROM tasks WHERE completion_time < ? AND NOT history_deleted", (ended_before,)
        )
        for row in expired:
            number = row["number"]
            for query in DELETE_HISTORY:
                while self._execute(query, (number, number, HISTORY_PER_COMMIT)) == HISTORY_PER_COMMIT:
                    pass
            self._execute("UPDATE tasks SET history_deleted = 1 WHERE number = ?", (number,))

    def _execute(self, query: str, parameters: Sequence[Any]) -> int:
        with self._database.transaction() as connection:
            return connection.execute(query, parameters).rowcount

    def pending_destinations(self, number: int) -> Iterable[str]:
        """Return where the pending work of a task was to be written."""
        found = self._database.rows(
            f"SELECT destination_path FROM work WHERE task = ? AND {UNFINISHED_WORK}",  # noqa: S608 -- a constant
            (number,),
        )
        return [row[0] for row in found]


def _pending(connection: sqlite3.Connection, number: int, after: int, before: int, limit: int) -> list[Work]:
    query = f"SELECT {WORK_COLUMNS} FROM work WHERE task = ? AND seq > ? AND seq < ? AND {UNFINISHED_WORK}"  # noqa: S608 -- a constant
    found = connection.execute(f"{query} ORDER BY seq LIMIT ?", (number, after, before, limit))
    return [_work(row) for row in found]


def pending_subtasks(task: Task) -> int:
    """Return how many subtasks of a task have no outcome yet."""
    counters = task.counters
    ended = ("succeeded", "skipped_errors", "canceled", "expired", "failed")
    return counters["subtasks_total"] - sum(counters[f"subtasks_{name}"] for name in ended)


def _pairs(owner_id: str, submission: Submission) -> list[bytes]:
    """Return what stands for each pair of paths of a submission: a hash that includes the owner and collections.

    They are in order, in which SQLite takes them in less time.
    """
    prefix = f"{owner_id}\0{submission.source_endpoint}\0{submission.destination_endpoint}\0"
    return sorted(
        {
            hashlib.blake2b(
                f"{prefix}{item.source_path}\0{item.destination_path}".encode(), digest_size=16, usedforsecurity=False
            ).digest()
            for item in submission.items
        }
    )


def _options_text(options: Options) -> str:
    plain = asdict(options)
    if options.filter_rules is not None:
        plain["filter_rules"] = [list(rule) for rule in options.filter_rules]
    return orjson.dumps(plain).decode()


def _item_row(number: int, seq: int, item: Item) -> tuple[Any, ...]:
    kind, *rest = item
    return (number, seq, kind.value, PENDING, *rest)


def _work_row(number: int, work: Work) -> tuple[Any, ...]:
    seq, kind, source, destination, recursive, checksum, algorithm, *_ = work
    return (number, seq, kind.value, PENDING, source, destination, recursive, checksum, algorithm)


def _result_row(number: int, result: Result, now: float) -> tuple[Any, ...]:
    seq, kind, outcome, size, checksum, algorithm, error_code, details = result
    time_of_error = now if error_code else None
    return (kind.value, outcome.value, size, checksum, algorithm, error_code, details, time_of_error, number, seq)


def _add_events(connection: sqlite3.Connection, number: int, events: Iterable[Event]) -> None:
    connection.executemany(ADD_EVENT, [(number, *event) for event in events])


def _count(connection: sqlite3.Connection, number: int, counters: Mapping[str, int]) -> None:
    if counters:
        grown = ", ".join(f"{name} = {name} + ?" for name in counters)
        connection.execute(f"UPDATE tasks SET {grown} WHERE number = ?", (*counters.values(), number))  # noqa: S608 -- our own names


def _update(connection: sqlite3.Connection, number: int, columns: Mapping[str, Any]) -> bool:
    if not columns:
        return True
    names = ", ".join(f"{name} = ?" for name in columns)
    query = f"UPDATE tasks SET {names} WHERE number = ? AND completion_time IS NULL"  # noqa: S608 -- our own names
    return connection.execute(query, (*columns.values(), number)).rowcount == 1


PLAIN_COLUMNS = tuple(one.name for one in fields(Task) if one.name not in {"type", "status", "options", "counters"})
BOOLEAN_COLUMNS = tuple(one.name for one in fields(Task) if one.type == "bool")


def _task(row: sqlite3.Row) -> Task:
    columns: dict[str, Any] = {name: row[name] for name in PLAIN_COLUMNS}
    columns |= {name: bool(row[name]) for name in BOOLEAN_COLUMNS}
    options = orjson.loads(row["options"])
    if options["filter_rules"] is not None:
        options["filter_rules"] = tuple(FilterRule(*rule) for rule in options["filter_rules"])
    counters = {name: row[name] for name in COUNTERS}
    columns |= {"type": TaskType(row["type"]), "status": Status(row["status"])}
    return Task(**columns, options=Options(**options), counters=counters)


def _work(row: sqlite3.Row) -> Work:
    seq, kind, source, destination, recursive, checksum, algorithm, outcome, size = row
    is_recursive = None if recursive is None else bool(recursive)
    is_decided = outcome != PENDING
    return Work(seq, KINDS[kind], source, destination, is_recursive, checksum, algorithm, is_decided, size or 0)
