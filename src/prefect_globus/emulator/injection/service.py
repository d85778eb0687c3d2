"""The control API, `/emulator/...`: faults are put in force, listed and lifted, tasks held or ended, requests counted.

It is none of Globus'. Bodies must be sent as application/json, which a web page of another origin cannot do unasked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from starlette.concurrency import run_in_threadpool
from starlette.routing import BaseRoute, Match, Route

from prefect_globus.emulator.access import refuse_stranger
from prefect_globus.emulator.auth.scopes import data_access
from prefect_globus.emulator.errors import ApiError, EndpointNotFound, TaskNotFound
from prefect_globus.emulator.injection.documents import read_fault
from prefect_globus.emulator.injection.matching import collection_id
from prefect_globus.emulator.injection.model import InactivateTask, PauseTask
from prefect_globus.emulator.tasks.submission import canonical_uuid, text
from prefect_globus.emulator.web import json_response, read_body, read_document

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request
    from starlette.responses import Response

    from prefect_globus.emulator.site import Site
    from prefect_globus.emulator.tasks.engine import Engine
    from prefect_globus.emulator.tasks.model import Task

    Handler = Callable[[Site, Request, dict[str, Any]], tuple[dict[str, Any], int]]

Document = dict[str, Any]

FAULTS = "/emulator/faults"
FAULT = "/emulator/faults/{fault}"
ACTIONS: dict[str, Callable[[Engine, Task, str | None], bool]] = {
    "pause": lambda engine, task, message: engine.pause(task, message or PauseTask().message),
    "resume": lambda engine, task, _: engine.resume(task),
    "inactivate": lambda engine, task, message: engine.inactivate(task, details=message or InactivateTask().message),
    "reactivate": lambda engine, task, _: engine.reactivate(task),
    "expire": lambda engine, task, _: engine.expire(task),
}


def control_routes(site: Site) -> list[BaseRoute]:
    """Return the routes of the control API."""
    return [
        _route(site, "GET", FAULTS, _list),
        _route(site, "POST", FAULTS, _inject),
        _route(site, "DELETE", FAULTS, _clear),
        _route(site, "GET", FAULT, _show),
        _route(site, "DELETE", FAULT, _remove),
        _route(site, "POST", "/emulator/tasks/{task}/{action}", _act),
        _route(site, "POST", "/emulator/consents/rescind", _rescind),
        _route(site, "GET", "/emulator/requests", _requests),
    ]


def _route(site: Site, method: str, path: str, handle: Handler) -> Route:
    async def endpoint(request: Request) -> Response:
        if (refusal := refuse_stranger(site, request)) is not None:
            return refusal
        document: Document = {}
        if method == "POST":
            document = await _body(request)
        answer, status = await run_in_threadpool(handle, site, request, document)
        return json_response(answer, status)

    return Route(path, endpoint, methods=[method])


async def _body(request: Request) -> Document:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise ApiError(415, "UnsupportedMediaType", "Send this request with Content-Type: application/json")
    raw = await read_body(request)
    return read_document(raw) if raw else {}


def _list(site: Site, _: Request, __: Document) -> tuple[Document, int]:
    return {"faults": [found.document() for found in site.faults.all()]}, 200


def _inject(site: Site, request: Request, document: Document) -> tuple[Document, int]:
    def is_served(path: str, method: str | None) -> bool:
        scope = {"type": "http", "path": path, "method": method or "GET", "headers": []}
        matches = [route.matches(scope)[0] for route in request.app.routes]
        return Match.FULL in matches or (method is None and Match.PARTIAL in matches)

    return site.faults.add(read_fault(document, site, is_served)).document(), 201


def _clear(site: Site, _: Request, __: Document) -> tuple[Document, int]:
    return {"faults": [found.document() for found in site.faults.clear()]}, 200


def _show(site: Site, request: Request, _: Document) -> tuple[Document, int]:
    asked = request.path_params["fault"]
    found = next((one for one in site.faults.all() if one.id == asked), None)
    if found is None:
        raise _unknown(asked)
    return found.document(), 200


def _remove(site: Site, request: Request, _: Document) -> tuple[Document, int]:
    asked = request.path_params["fault"]
    removed = site.faults.remove(asked)
    if removed is None:
        raise _unknown(asked)
    return removed.document(), 200


def _act(site: Site, request: Request, document: Document) -> tuple[Document, int]:
    """Do something with a task at once. A `message` says why, where Globus would have somebody say so."""
    action, asked = request.path_params["action"], request.path_params["task"]
    if action not in ACTIONS:
        raise ApiError(404, "NotFound", f"A task can be told to {', '.join(ACTIONS)}, not to {action[:80]!r}")
    task = site.tasks.find_any(canonical_uuid(asked) or "")
    if task is None:
        raise TaskNotFound(asked)
    if not ACTIONS[action](site.engine, task, text(document, "message")):
        raise ApiError(409, "TaskComplete", f"Task '{task.task_id}' has ended")
    task = site.tasks.get(task.number)
    return {"task_id": task.task_id, "status": task.status, "is_paused": task.is_paused}, 200


def _rescind(site: Site, _: Request, document: Document) -> tuple[Document, int]:
    """Take back every data_access consent for a `collection`, given by its name or UUID."""
    asked = text(document, "collection") or ""
    found = collection_id(site.collections, asked)
    if found is None:
        raise EndpointNotFound(asked)
    return {"rescinded": site.consents.rescind_scope(data_access(found))}, 200


def _requests(site: Site, _: Request, __: Document) -> tuple[Document, int]:
    return {"requests": dict(site.requests)}, 200


def _unknown(asked: str) -> ApiError:
    return ApiError(404, "NotFound", f"There is no fault with id '{asked}'")
