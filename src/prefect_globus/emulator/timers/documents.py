"""The documents of timers, in the words of both versions of the service, and of their runs (contract section 7)."""

from __future__ import annotations

import base64
import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

from prefect_globus.emulator.timers.model import Document, Run, RunState, Status, Timer

if TYPE_CHECKING:
    from prefect_globus.emulator.errors import ApiError
    from prefect_globus.emulator.tasks.model import Task

POLLED = 200  # HTTP status of looking at a task
FIRST_MOMENT = datetime.min.replace(tzinfo=UTC).timestamp()  # a time scale far below 1 goes beyond
LAST_MOMENT = datetime.max.replace(tzinfo=UTC, microsecond=0).timestamp()
RELEASE_AFTER = "P30D"  # for how long the service of an action remembers it


class RunView(NamedTuple):
    """A run and its task with the task's document, if it has one."""

    run: Run
    task: Task | None = None
    details: Document | None = None


class TimerView(NamedTuple):
    """A timer and what it is doing.

    Attributes:
        timer: the timer.
        retried: the run whose start has met an error and is tried again, if there is one.
        in_progress: the run whose task is not over, if there is one.
        now: the moment of looking.
    """

    timer: Timer
    retried: Run | None
    in_progress: Run | None
    now: float


class ResultPage(NamedTuple):
    """Some results of a timer, newest first, and where to go on."""

    runs: list[RunView]
    page_next: str | None


def timer_document(view: TimerView) -> Document:
    """Return a timer as POST /v2/timer answers it."""
    timer = view.timer
    return _common(view) | {
        "number_of_runs": timer.number_of_runs,
        "number_of_errors": timer.number_of_errors,
        "body": timer.spec.body,
    }


def job_document(view: TimerView, results: ResultPage) -> Document:
    """Return a timer as /jobs/ answers it. `start` is when it really starts, with the time scale applied."""
    timer = view.timer
    spec = timer.spec
    return _common(view) | {
        "start": timestamp(spec.schedule.start),
        "interval": None if spec.interval is None else float(spec.interval),
        "stop_after": _stop_after(timer),
        "callback_url": spec.callback_url,
        "callback_body": spec.callback_body or {"body": spec.body},
        "scope": spec.scope,
        "n_runs": timer.number_of_runs,
        "n_errors": timer.number_of_errors,
        "results": {"data": [_result(one, view.now) for one in results.runs], "page_next": results.page_next},
    }


def error_document(error: ApiError, _: str) -> Document:
    """Return an error as the Timers service tells it."""
    if "detail" in error.facts:
        return {"detail": error.facts["detail"]}
    return {"error": {"code": error.code, "detail": error.message, "status": error.status}}


def timestamp(seconds: float | None) -> str | None:
    """Return a moment as Timers writes it: UTC, with fractions of a second."""
    return None if seconds is None else moment(seconds).isoformat()


def moment(seconds: float) -> datetime:
    """Return a moment as documents tell it, which is to the microsecond, and within the years that a date can hold."""
    return datetime.fromtimestamp(min(max(seconds, FIRST_MOMENT), LAST_MOMENT), UTC)


def _common(view: TimerView) -> Document:
    timer = view.timer
    return {
        "job_id": timer.job_id,
        "name": timer.spec.name,
        "status": timer.status,
        "submitted_at": timestamp(timer.submitted_at),
        "last_ran_at": timestamp(timer.last_ran_at),
        "next_run": timestamp(timer.next_run),
        "inactive_reason": _inactive_reason(timer),
        "timer_type": "transfer",
        "schedule": timer.spec.schedule_document,
        "activity": _activity(view),
    }


def _stop_after(timer: Timer) -> Document | None:
    """Return when a timer ends, or null if it does not, as the SDK's canned documents show both."""
    date = (timer.spec.schedule_document.get("end") or {}).get("datetime")
    count = timer.spec.schedule.count
    return None if date is None and count is None else {"date": date, "n_runs": count}


def _inactive_reason(timer: Timer) -> Document | None:
    if timer.inactive_cause is None:
        return None
    return {"cause": timer.inactive_cause, "detail": timer.inactive_detail}


def _activity(view: TimerView) -> Document | None:
    timer, run = view.timer, view.in_progress
    if timer.status is Status.INACTIVE:
        return {"code": "paused", "reason": timer.inactive_cause or "other"}
    if view.retried is not None:
        return {"code": "retrying", "start_timestamp": timestamp(view.retried.start_timestamp)}
    if run is not None:
        seconds = max(0.0, view.now - run.start_timestamp)
        start = timestamp(run.start_timestamp)
        return {"code": "run_in_progress", "start_timestamp": start, "duration_seconds": seconds}
    if timer.next_run is not None:
        return {"code": "awaiting_next_run", "next_run": timestamp(timer.next_run)}
    return None


def _result(view: RunView, now: float) -> Document:
    """Return the result of a run. The words of `run_status` are those of an action's status [inferred]."""
    run, task = view.run, view.task
    action = _action_document(view)
    status = "RETRYING" if run.state is RunState.STARTING else "FAILED"
    return {
        "data": action,
        "errors": run.error,
        "status": run.http_status,
        "ran_at": timestamp(run.ran_at or run.start_timestamp),
        "run_status": task.status if task else status,
        "resource_id": action["action_id"] if action else None,
        "start_timestamp": timestamp(run.start_timestamp),
        "end_timestamp": timestamp(task.completion_time if task else run.ran_at),
        "next_check_timestamp": None,
        "last_check_timestamp": timestamp(now) if task else None,
        "http_status_submission": run.http_status,
        "http_status_polled": POLLED if task else None,
    }


def _action_document(view: RunView) -> Document | None:
    """Return the action that a run has started, as the service of transfer actions would tell it."""
    task = view.task
    if task is None:
        return None
    return {
        "action_id": base64.b32encode(uuid.UUID(task.task_id).bytes).decode()[:13],
        "completion_time": timestamp(task.completion_time),
        "creator_id": f"urn:globus:auth:identity:{task.owner_id}",
        "details": view.details,
        "display_status": task.status,
        "label": None,
        "manage_by": [],
        "monitor_by": [],
        "release_after": RELEASE_AFTER,
        "start_time": timestamp(task.request_time),
        "status": task.status,
    }
