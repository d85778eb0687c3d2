"""Timers API: what its operations do (contract section 7)."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import orjson

from prefect_globus.emulator.errors import ApiError
from prefect_globus.emulator.tasks.submission import canonical_uuid
from prefect_globus.emulator.timers.documents import ResultPage, RunView, TimerView, job_document, timer_document
from prefect_globus.emulator.timers.listing import ListQuery, ReadQuery
from prefect_globus.emulator.timers.model import Document, Run, Timer
from prefect_globus.emulator.timers.reading import InvalidRequest, read
from prefect_globus.emulator.timers.requests import JobCreate, JobUpdate, Resume, TimerCreate
from prefect_globus.emulator.transfer.task_documents import document_of, event_document

if TYPE_CHECKING:
    from prefect_globus.emulator.web import Call

EVENTS_SHOWN = 10  # of a task, in a result


class TimerNotFound(ApiError):  # noqa: N818 -- named for what it is
    """The caller has no such timer."""

    def __init__(self, job_id: str) -> None:
        super().__init__(404, "NOT_FOUND", f"No timer found with id '{job_id}'")


class TimerEnded(ApiError):  # noqa: N818
    """The timer is over, so that it can be neither paused nor resumed [inferred: that this is an error]."""

    def __init__(self, job_id: str) -> None:
        super().__init__(400, "TIMER_ENDED", f"Timer '{job_id}' has ended and cannot be paused or resumed")


def create_timer(call: Call) -> Document:
    """Answer POST /v2/timer."""
    now = time.time()
    spec = read(TimerCreate, call.body, "body").spec(now, call.site.policy.scale)
    with call.site.scheduler.at_rest():
        timer = call.site.scheduler.create(call.identity, call.owner.client_id, spec, now)
        return {"timer": timer_document(_view(call, timer))}


def create_job(call: Call) -> Document:
    """Answer POST /jobs/, which older clients use."""
    now = time.time()
    asked = read(JobCreate, call.body, "body")
    callback_body = call.body["callback_body"]
    try:
        orjson.dumps(callback_body)
    except orjson.JSONEncodeError as error:
        detail = {"loc": ["body", "callback_body"], "msg": "It is nested too deeply", "type": "value_error"}
        raise InvalidRequest([detail]) from error
    spec = asked.spec(now, call.site.policy.scale, callback_body)
    with call.site.scheduler.at_rest():
        return _job(call, call.site.scheduler.create(call.identity, call.owner.client_id, spec, now))


def list_jobs(call: Call) -> Document:
    """Answer GET /jobs/."""
    query = read(ListQuery, dict(call.query), "query")
    page = ReadQuery(page_size=query.result_count)
    with call.site.scheduler.at_rest():
        timers = query.choose(call.site.timers.of_owner(call.identity))
        return {"jobs": [_job(call, timer, page) for timer in timers]}


def get_job(call: Call) -> Document:
    """Answer GET /jobs/ID."""
    page = read(ReadQuery, dict(call.query), "query")
    with call.site.scheduler.at_rest():
        return _job(call, _timer(call), page)


def update_job(call: Call) -> Document:
    """Answer PATCH /jobs/ID."""
    asked = read(JobUpdate, call.body, "body")
    with call.site.scheduler.at_rest():
        timer = _timer(call)
        if "name" in asked.model_fields_set:
            timer = call.site.scheduler.rename(timer, asked.name)
        return _job(call, timer)


def delete_job(call: Call) -> Document:
    """Answer DELETE /jobs/ID, with the timer as it was."""
    with call.site.scheduler.at_rest():
        timer = _timer(call)
        results = _results(call, timer, ReadQuery())
        return job_document(_view(call, call.site.scheduler.delete(timer)), results)


def pause_job(call: Call) -> Document:
    """Answer POST /jobs/ID/pause."""
    with call.site.scheduler.at_rest():
        timer = _timer(call)
        if not call.site.scheduler.pause(timer):
            raise TimerEnded(timer.job_id)
    return {"message": f"Successfully paused job {timer.job_id}."}


def resume_job(call: Call) -> Document:
    """Answer POST /jobs/ID/resume. The SDK sends update_credentials in the body, the documents say: in the query."""
    asked = read(Resume, call.body, "body").update_credentials
    if asked is None:
        asked = read(Resume, dict(call.query), "query").update_credentials
    with call.site.scheduler.at_rest():
        timer = _timer(call)
        if not call.site.scheduler.resume(timer, call.owner.client_id, update_credentials=asked):
            raise TimerEnded(timer.job_id)
    return {"message": f"Successfully resumed job {timer.job_id}."}


def _timer(call: Call) -> Timer:
    asked = call.path["job_id"]
    job_id = canonical_uuid(asked)
    if job_id is None:
        detail = {"loc": ["path", "job_id"], "msg": "Input should be a valid UUID", "type": "uuid_parsing"}
        raise InvalidRequest([detail])
    found = call.site.timers.find(call.identity, job_id)
    if found is None:
        raise TimerNotFound(asked)
    return found


def _job(call: Call, timer: Timer, page: ReadQuery | None = None) -> Document:
    return job_document(_view(call, timer), _results(call, timer, page or ReadQuery()))


def _view(call: Call, timer: Timer) -> TimerView:
    starting = call.site.timers.starting_run(timer)
    return TimerView(
        timer=timer,
        retried=starting if starting is not None and starting.attempts else None,
        in_progress=call.site.scheduler.run_in_progress(timer),
        now=time.time(),
    )


def _results(call: Call, timer: Timer, page: ReadQuery) -> ResultPage:
    """Return a page of results; where to go on is the number of the last run of the page."""
    before = None if page.results_pt is None else int(page.results_pt)
    found = call.site.timers.runs(timer, before=before, limit=page.page_size + 1, now=time.time())
    shown = found[: page.page_size]
    page_next = f"{shown[-1].number}" if len(found) > len(shown) else None
    return ResultPage([_run_view(call, run) for run in shown], page_next)


def _run_view(call: Call, run: Run) -> RunView:
    if run.task is None:
        return RunView(run)
    site = call.site
    task = site.tasks.get(run.task)
    events, _ = site.tasks.events(task.number, limit=EVENTS_SHOWN, offset=0, is_error=None)
    return RunView(run, task, document_of(site, task) | {"event_list": [event_document(event) for event in events]})
