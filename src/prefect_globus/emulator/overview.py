"""The pages for a person: what is served and what goes on, and one task with its faults."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from starlette.concurrency import run_in_threadpool
from starlette.routing import BaseRoute, Route

from prefect_globus.emulator.access import refuse_stranger
from prefect_globus.emulator.pages import page
from prefect_globus.emulator.tasks.submission import canonical_uuid
from prefect_globus.emulator.transfer.task_documents import document_of, event_document, skipped_error_document

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request
    from starlette.responses import Response

    from prefect_globus.emulator.site import Site
    from prefect_globus.emulator.tasks.model import Task
    from prefect_globus.emulator.timers.model import Timer

Document = dict[str, Any]

TASKS_SHOWN = 50
EVENTS_SHOWN = 100
SKIPPED_SHOWN = 100
REFRESH_SECONDS = "3"  # while there is something that goes on
NEWEST = 2**62
UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")


class TaskView(NamedTuple):
    """A task as a page shows it: its document, and when it began in words."""

    number: int
    document: Document
    age: str

    @property
    def is_unfinished(self) -> bool:
        """Whether there is more to come."""
        return self.document["completion_time"] is None


def overview_routes(site: Site) -> list[BaseRoute]:
    """Return the routes of the pages."""
    return [_route(site, "/", _overview), _route(site, "/tasks/{task}", _task)]


def _route(site: Site, path: str, show: Callable[[Site, Request], Response]) -> Route:
    async def endpoint(request: Request) -> Response:
        refusal = refuse_stranger(site, request)
        return refusal if refusal is not None else await run_in_threadpool(show, site, request)

    return Route(path, endpoint, methods=["GET"])


def _overview(site: Site, request: Request) -> Response:
    text = request.query_params.get("before", "")
    before = int(text) if text.isascii() and text.isdigit() and len(text) < len(str(NEWEST)) else NEWEST
    found = site.tasks.of_everybody(before, TASKS_SHOWN + 1)
    tasks = [_view(site, task) for task in found[:TASKS_SHOWN]]
    shown = page(
        "overview.html",
        time_scale=f"{site.policy.scale:.12g}",
        collections=list(site.collections.values()),
        tasks=tasks,
        is_first_page=before == NEWEST,
        older=tasks[-1].number if len(found) > TASKS_SHOWN else None,
        timers=[_timer_row(timer) for timer in site.timers.of_everybody()],
        faults=site.faults.all(),
        size=size,
    )
    return _refreshed(shown, is_live=any(task.is_unfinished for task in tasks))


def _task(site: Site, request: Request) -> Response:
    asked = request.path_params["task"]
    task = site.tasks.find_any(canonical_uuid(asked) or "")
    if task is None:
        return page(
            "message.html", 404, heading="No such task", text=f"There is no task with id {asked[:80]}.", link=None
        )
    events, total = site.tasks.events(task.number, limit=EVENTS_SHOWN, offset=0, is_error=None)
    skipped = site.tasks.skipped(task.number, 0, SKIPPED_SHOWN)
    view = _view(site, task)
    shown = page(
        "task.html",
        task=view,
        events=[event_document(event) for event in events],
        events_total=total,
        skipped=[skipped_error_document(row) for row in skipped],
        size=size,
    )
    return _refreshed(shown, is_live=view.is_unfinished)


def _view(site: Site, task: Task) -> TaskView:
    return TaskView(task.number, document_of(site, task), _ago(time.time() - task.request_time))


def _timer_row(timer: Timer) -> Document:
    schedule = timer.spec.schedule_document
    return {
        "name": timer.spec.name or timer.job_id,
        "job_id": timer.job_id,
        "status": timer.status,
        "schedule": f"every {timer.spec.interval} s" if timer.spec.interval else schedule["type"],
        "runs": timer.number_of_runs,
        "errors": timer.number_of_errors,
        "next_run": _moment(timer.next_run),
        "reason": timer.inactive_cause or "",
    }


def _refreshed(shown: Response, *, is_live: bool) -> Response:
    if is_live:
        shown.headers["Refresh"] = REFRESH_SECONDS
    return shown


def _moment(seconds: float | None) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC") if seconds else ""


def _ago(seconds: float) -> str:
    for length, unit in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= length:
            return f"{seconds / length:.0f} {unit} ago"
    return f"{max(0.0, seconds):.0f} s ago"


def size(count: float) -> str:
    """Return a number of bytes as a person reads it, such as `1.5 MiB`."""
    for unit in UNITS[:-1]:
        if count < 1024:  # noqa: PLR2004 -- the step from unit to unit
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} {UNITS[-1]}"
