"""The words of timers: what they are, how they stand, and their runs (contract section 7)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple

from prefect_globus.emulator.timers.schedule import Schedule

Document = dict[str, Any]

ACTIVITY_KEPT = 90 * 86_400.0  # seconds of Globus time


class Status(StrEnum):
    """Where a timer stands. One whose deletion is in progress is shown to nobody any more."""

    NEW = "new"
    LOADED = "loaded"
    INACTIVE = "inactive"
    ENDED = "ended"
    DELETE_IN_PROGRESS = "delete_in_progress"


TRANSITIONS: dict[Status, frozenset[Status]] = {
    Status.NEW: frozenset({Status.LOADED, Status.INACTIVE, Status.DELETE_IN_PROGRESS}),
    Status.LOADED: frozenset({Status.INACTIVE, Status.ENDED, Status.DELETE_IN_PROGRESS}),
    Status.INACTIVE: frozenset({Status.LOADED, Status.ENDED, Status.DELETE_IN_PROGRESS}),
    Status.ENDED: frozenset({Status.DELETE_IN_PROGRESS}),
    Status.DELETE_IN_PROGRESS: frozenset(),
}


class Cause(StrEnum):
    """Why a timer is inactive."""

    USER = "user"
    AUTH = "globus_auth_requirements"


class RunState(StrEnum):
    """How the start of a run stands: STARTING becomes one of the rest, once."""

    STARTING = "starting"  # intended: its submission may or may not have been accepted
    STARTED = "started"  # its task is known
    FAILED = "failed"  # there is no task, and will be none


class TimerSpec(NamedTuple):
    """A timer that somebody asks for.

    Attributes:
        name: its name, if it has one.
        schedule: its ticks, in real time.
        schedule_document: the schedule as the client has put it, with its defaults.
        interval: seconds of Globus time from tick to tick, if it has more than one.
        body: the transfer document that each run submits, with its defaults.
        callback_url: the action that an older client names for it.
        callback_body: what that client has sent along, if the timer was made by one.
        scope: the scope that such a client has named, if any.
    """

    name: str | None
    schedule: Schedule
    schedule_document: Document
    interval: int | None
    body: Document
    callback_url: str
    callback_body: Document | None = None
    scope: str | None = None


@dataclass(frozen=True, slots=True)
class Timer:
    """A timer as the state holds it. Times are real, in seconds since the epoch.

    `next_run` is when the scheduler will do something for it: at a tick, or when the start of a run is tried again.
    """

    number: int
    job_id: str
    owner_id: str
    client_id: str
    status: Status
    spec: TimerSpec
    submitted_at: float
    next_run: float | None
    last_ran_at: float | None
    number_of_runs: int
    number_of_errors: int
    inactive_cause: Cause | None
    inactive_detail: Document | None

    def next_tick(self, now: float, runs: int) -> float | None:
        """Return when the next run is due after now and so many runs, or None if the timer is over."""
        return self.spec.schedule.next_run(now, runs)


class Run(NamedTuple):
    """One run of a timer: the attempt to start it, and the task that came of it.

    Attributes:
        number: grows from run to run, over all timers.
        timer: the number of its timer.
        submission_id: what makes its task the same one however often it is submitted.
        label: the label of its task.
        state: how its start stands.
        attempts: how often its start has met an error.
        start_timestamp: when it was first tried.
        ran_at: when it had started or failed to.
        http_status: the status of the last answer to its submission.
        error: what the last answer said, if it was an error.
        task: the number of its task.
    """

    number: int
    timer: int
    submission_id: str
    label: str | None
    state: RunState
    attempts: int
    start_timestamp: float
    ran_at: float | None
    http_status: int | None
    error: Document | None
    task: int | None
