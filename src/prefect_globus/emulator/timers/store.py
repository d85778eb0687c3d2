"""Timers and their runs in the state file. Each method is one transaction."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

import orjson

from prefect_globus.emulator.timers.model import (
    ACTIVITY_KEPT,
    TRANSITIONS,
    Cause,
    Document,
    Run,
    RunState,
    Status,
    Timer,
    TimerSpec,
)
from prefect_globus.emulator.timers.schedule import Schedule

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping

    from prefect_globus.emulator.database import Database
    from prefect_globus.emulator.tasks.model import Policy

ADD_TIMER = """INSERT INTO timers (job_id, owner_id, client_id, status, name, start, ends_at, count, interval, schedule,
    body, callback_url, callback_body, scope, submitted_at, next_run)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"""
ADD_RUN = "INSERT INTO timer_runs (timer, submission_id, label, state, start_timestamp) VALUES (?, ?, ?, ?, ?)"
FORGET_RUNS = """DELETE FROM timer_runs WHERE timer = ? AND start_timestamp < ?
    AND number < (SELECT MAX(number) FROM timer_runs WHERE timer = ?)"""
ACTIVE = "status IN ('new', 'loaded')"


class TimerStore:
    """The timers of a state file."""

    def __init__(self, database: Database, policy: Policy) -> None:
        self._database = database
        self._policy = policy

    def add(self, owner_id: str, client_id: str, spec: TimerSpec, now: float) -> Timer:
        """Accept a timer. A start that has passed is a run that was missed: it is due at once."""
        schedule = spec.schedule
        row = (
            *(str(uuid.uuid1()), owner_id, client_id, Status.NEW, spec.name),
            *(schedule.start, schedule.ends_at, schedule.count, spec.interval, _text(spec.schedule_document)),
            *(_text(spec.body), spec.callback_url, _text(spec.callback_body), spec.scope, now),
            max(schedule.start, now),
        )
        with self._database.transaction() as connection:
            number = connection.execute(ADD_TIMER, row).lastrowid or 0
        return self.get(number)

    def get(self, number: int) -> Timer:
        """Return a timer by its number, which must exist."""
        return self._timer(self._database.rows("SELECT * FROM timers WHERE number = ?", (number,))[0])

    def find(self, owner_id: str, job_id: str) -> Timer | None:
        """Return a timer of an owner."""
        found = self._database.rows(
            "SELECT * FROM timers WHERE job_id = ? AND owner_id = ? AND status != ?",
            (job_id, owner_id, Status.DELETE_IN_PROGRESS),
        )
        return self._timer(found[0]) if found else None

    def of_owner(self, owner_id: str) -> list[Timer]:
        """Return every timer of an owner, oldest first."""
        found = self._database.rows(
            "SELECT * FROM timers WHERE owner_id = ? AND status != ? ORDER BY number",
            (owner_id, Status.DELETE_IN_PROGRESS),
        )
        return [self._timer(row) for row in found]

    def of_everybody(self) -> list[Timer]:
        """Return the timers of all owners, newest first."""
        found = self._database.rows(
            "SELECT * FROM timers WHERE status != ? ORDER BY number DESC", (Status.DELETE_IN_PROGRESS,)
        )
        return [self._timer(row) for row in found]

    def settle(self) -> None:
        """Load what is new, and remove what is to be deleted."""
        if not self._database.rows("SELECT 1 FROM timers WHERE status IN ('new', 'delete_in_progress') LIMIT 1"):
            return
        with self._database.transaction() as connection:
            connection.execute("UPDATE timers SET status = 'loaded' WHERE status = 'new'")
            connection.execute(
                "DELETE FROM timer_runs WHERE timer IN (SELECT number FROM timers WHERE status = 'delete_in_progress')"
            )
            connection.execute("DELETE FROM timers WHERE status = 'delete_in_progress'")

    def first_due(self) -> Timer | None:
        """Return the active timer for which something is to be done first, if there is one."""
        found = self._database.rows(
            f"SELECT * FROM timers WHERE {ACTIVE} AND next_run IS NOT NULL ORDER BY next_run, number LIMIT 1"  # noqa: S608 -- a constant
        )
        return self._timer(found[0]) if found else None

    def rename(self, timer: Timer, name: str | None) -> Timer:
        """Give a timer another name."""
        with self._database.transaction() as connection:
            _update(connection, timer, {"name": name})
        return self.get(timer.number)

    def change_status(self, timer: Timer, status: Status, **columns: float | str | None) -> bool:
        """Let a timer stand elsewhere; return whether it could get there from where it stands now."""
        with self._database.transaction() as connection:
            return _change_status(connection, timer, status, columns)

    def starting_run(self, timer: Timer) -> Run | None:
        """Return the run that is intended and neither started nor failed, if there is one."""
        found = self._database.rows("SELECT * FROM timer_runs WHERE timer = ? AND state = 'starting'", (timer.number,))
        return _run(found[0]) if found else None

    def started_run(self, timer: Timer) -> Run | None:
        """Return the run that was started last, if there was one."""
        found = self._database.rows(
            "SELECT * FROM timer_runs WHERE timer = ? AND state = 'started' ORDER BY number DESC LIMIT 1",
            (timer.number,),
        )
        return _run(found[0]) if found else None

    def runs(self, timer: Timer, *, before: int | None, limit: int, now: float) -> list[Run]:
        """Return runs that have met an answer, newest first, of the time for which activity is kept.

        Args:
            timer: their timer.
            before: the number of the run that they precede, or None to begin with the newest.
            limit: how many there are at most.
            now: the present moment.
        """
        found = self._database.rows(
            "SELECT * FROM timer_runs WHERE timer = ? AND number < coalesce(?, number + 1) AND start_timestamp >= ?"
            " AND http_status IS NOT NULL ORDER BY number DESC LIMIT ?",
            (timer.number, before, now - self._policy.real(ACTIVITY_KEPT), limit),
        )
        return [_run(row) for row in found]

    def intend(self, timer: Timer, label: str | None, now: float) -> Run:
        """Note that a run is about to be submitted: after this, it is submitted once, whatever happens."""
        with self._database.transaction() as connection:
            row = (timer.number, str(uuid.uuid1()), label, RunState.STARTING, now)
            number = connection.execute(ADD_RUN, row).lastrowid
            kept = now - self._policy.real(ACTIVITY_KEPT)
            connection.execute(FORGET_RUNS, (timer.number, kept, timer.number))
        return _run(self._database.rows("SELECT * FROM timer_runs WHERE number = ?", (number,))[0])

    def started(self, timer: Timer, run: Run, task: int, http_status: int, now: float) -> None:
        """Note the task that a run has become, and go on to the next tick."""
        with self._database.transaction() as connection:
            _close(connection, run, RunState.STARTED, now, http_status, task=task)
            self._count(connection, timer, now)

    def failed(self, timer: Timer, run: Run, http_status: int, error: Document, now: float) -> None:
        """Note that a run could not be started, and go on to the next tick."""
        with self._database.transaction() as connection:
            _close(connection, run, RunState.FAILED, now, http_status, error)
            self._count(connection, timer, now, {"number_of_errors": timer.number_of_errors + 1})

    def refused(self, timer: Timer, run: Run, http_status: int, error: Document, now: float) -> None:
        """Note that a run needs an authorization that is missing: the timer waits for a person, the run is missed."""
        columns = {
            "number_of_errors": timer.number_of_errors + 1,
            "inactive_cause": Cause.AUTH,
            "inactive_detail": _text(error),
        }
        with self._database.transaction() as connection:
            _close(connection, run, RunState.FAILED, now, http_status, error)
            _change_status(connection, timer, Status.INACTIVE, columns)

    def retry(self, timer: Timer, run: Run, http_status: int, error: Document, at: float) -> None:
        """Note that the start of a run has met an error, and is tried again at a moment."""
        with self._database.transaction() as connection:
            connection.execute(
                "UPDATE timer_runs SET attempts = attempts + 1, http_status = ?, error = ? WHERE number = ?",
                (http_status, _text(error), run.number),
            )
            _update(connection, timer, {"next_run": at})

    def skip(self, timer: Timer, now: float) -> None:
        """Let a tick go by without a run."""
        with self._database.transaction() as connection:
            self._go_on(connection, timer, timer.next_tick(now, timer.number_of_runs), {})

    def _count(
        self, connection: sqlite3.Connection, timer: Timer, now: float, columns: Mapping[str, Any] | None = None
    ) -> None:
        runs = timer.number_of_runs + 1
        counted = {"number_of_runs": runs, "last_ran_at": now, **(columns or {})}
        self._go_on(connection, timer, timer.next_tick(now, runs), counted)

    def _go_on(
        self, connection: sqlite3.Connection, timer: Timer, next_run: float | None, columns: Mapping[str, Any]
    ) -> None:
        _update(connection, timer, {"next_run": next_run, **columns})
        if next_run is None:
            _change_status(connection, timer, Status.ENDED, {})

    def _timer(self, row: sqlite3.Row) -> Timer:
        interval = row["interval"]
        real_interval = None if interval is None else self._policy.real(interval)
        spec = TimerSpec(
            name=row["name"],
            schedule=Schedule(row["start"], real_interval, row["ends_at"], row["count"]),
            schedule_document=_document(row["schedule"]) or {},
            interval=interval,
            body=_document(row["body"]) or {},
            callback_url=row["callback_url"],
            callback_body=_document(row["callback_body"]),
            scope=row["scope"],
        )
        return Timer(
            number=row["number"],
            job_id=row["job_id"],
            owner_id=row["owner_id"],
            client_id=row["client_id"],
            status=Status(row["status"]),
            spec=spec,
            submitted_at=row["submitted_at"],
            next_run=row["next_run"],
            last_ran_at=row["last_ran_at"],
            number_of_runs=row["number_of_runs"],
            number_of_errors=row["number_of_errors"],
            inactive_cause=None if row["inactive_cause"] is None else Cause(row["inactive_cause"]),
            inactive_detail=_document(row["inactive_detail"]),
        )


def _update(connection: sqlite3.Connection, timer: Timer, columns: Mapping[str, Any]) -> None:
    names = ", ".join(f"{name} = ?" for name in columns)
    connection.execute(f"UPDATE timers SET {names} WHERE number = ?", (*columns.values(), timer.number))  # noqa: S608 -- our own names


def _change_status(connection: sqlite3.Connection, timer: Timer, status: Status, columns: Mapping[str, Any]) -> bool:
    row = connection.execute("SELECT status FROM timers WHERE number = ?", (timer.number,)).fetchone()
    if row is None or status not in TRANSITIONS[Status(row["status"])]:
        return False
    _update(connection, timer, {"status": status, **columns})
    return True


def _close(
    connection: sqlite3.Connection,
    run: Run,
    state: RunState,
    now: float,
    http_status: int,
    error: Document | None = None,
    task: int | None = None,
) -> None:
    connection.execute(
        "UPDATE timer_runs SET state = ?, ran_at = ?, http_status = ?, error = ?, task = ?"
        " WHERE number = ? AND state = 'starting'",
        (state, now, http_status, _text(error), task, run.number),
    )


def _run(row: sqlite3.Row) -> Run:
    columns: dict[str, Any] = {name: row[name] for name in Run._fields}
    return Run(**(columns | {"state": RunState(row["state"]), "error": _document(row["error"])}))


def _text(document: Document | None) -> str | None:
    return None if document is None else orjson.dumps(document).decode()


def _document(text: str | None) -> Document | None:
    return None if text is None else orjson.loads(text)
