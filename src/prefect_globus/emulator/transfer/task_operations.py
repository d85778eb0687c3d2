"""Transfer API: submitting, watching and ending one's own tasks (contract sections 3 and 4)."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any, TypeVar

from prefect_globus.emulator.errors import BadRequest, TaskNotFound
from prefect_globus.emulator.queries import choice_test, clauses, clauses_test, label_test, ordered, time_test
from prefect_globus.emulator.tasks.model import Task, TaskType
from prefect_globus.emulator.tasks.submission import (
    canonical_uuid,
    read_deadline,
    read_delete,
    read_label,
    read_submission_id,
    read_transfer,
)
from prefect_globus.emulator.transfer.task_documents import (
    document_of,
    event_document,
    skipped_error_documents,
    successful_transfer_documents,
)

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable

    from prefect_globus.emulator.tasks.bundles import MovedItem
    from prefect_globus.emulator.tasks.model import Submission
    from prefect_globus.emulator.web import Call

Document = dict[str, Any]
Row = TypeVar("Row", "MovedItem", "sqlite3.Row")

DEFAULT_PAGE = 10
LARGEST_PAGE = 1000
MARKER_PAGE = 10_000

TASK_FILTERS: dict[str, Any] = {
    "task_id": (lambda task: task.task_id, choice_test),
    "status": (lambda task: task.status, choice_test),
    "type": (lambda task: task.type, choice_test),
    "label": (lambda task: task.label, label_test),
    "request_time": (lambda task: task.request_time, time_test),
    "completion_time": (lambda task: task.completion_time, time_test),
}
TASK_ORDERS: dict[str, Callable[[Task], Any]] = {
    "task_id": lambda task: task.task_id,
    "status": lambda task: task.status,
    "type": lambda task: task.type,
    "label": lambda task: task.label or "",
    "request_time": lambda task: (task.request_time, task.number),
    "completion_time": lambda task: task.completion_time or float("inf"),
    "deadline": lambda task: task.deadline,
}


def submission_id(_: Call) -> Document:
    """Answer GET submission_id."""
    return {"DATA_TYPE": "submission_id", "value": str(uuid.uuid4())}


def submit_transfer(call: Call) -> Document:
    """Answer POST transfer."""
    return _submit(call, read_transfer)


def submit_delete(call: Call) -> Document:
    """Answer POST delete."""
    return _submit(call, read_delete)


def _submit(call: Call, read: Callable[[Document], Submission]) -> Document:
    """Accept a task. A submission_id that is known is answered first, whatever else the body says."""
    known = call.site.tasks.find_submission(call.identity, read_submission_id(call.body))
    if known is not None:
        return _accepted(known, is_new=False)
    submission = read(call.body)
    endpoints = [submission.source_endpoint]
    if submission.destination_endpoint is not None:
        endpoints.append(submission.destination_endpoint)
    collections = [call.site.collection(endpoint, endpoint) for endpoint in endpoints]
    call.site.consents.require(call.owner.identity, call.owner.client_id, *collections)
    task, is_new = call.site.engine.submit(call.identity, submission)
    return _accepted(task, is_new=is_new)


def _accepted(task: Task, *, is_new: bool) -> Document:
    kind = "transfer" if task.type is TaskType.TRANSFER else "delete"
    accepted = f"The {kind} has been accepted and a task has been created and queued for execution"
    duplicate = f"A {kind} with this submission_id was accepted before"
    return {
        "DATA_TYPE": f"{kind}_result",
        "code": "Accepted" if is_new else "Duplicate",
        "message": accepted if is_new else duplicate,
        "submission_id": task.submission_id,
        "task_id": task.task_id,
        "task_link": {
            "DATA_TYPE": "link",
            "href": f"task/{task.task_id}?format=json",
            "rel": "related",
            "resource": "task",
            "title": "related task",
        },
    }


def get_task(call: Call) -> Document:
    """Answer GET task/ID."""
    return document_of(call.site, own_task(call))


def task_list(call: Call) -> Document:
    """Answer GET task_list: only the caller's own tasks."""
    text = call.query.get("filter", "")
    test = clauses_test(text, TASK_FILTERS)
    named = [value.lower().split(",") for name, value in clauses(text) if name == "task_id"]
    known = call.site.tasks.named(named[0]) if named else call.site.tasks.of_owner(call.identity)
    tasks = [task for task in known if task.owner_id == call.identity and test(task)]
    tasks = ordered(tasks, call.query.get("orderby") or "request_time DESC", TASK_ORDERS)
    limit, offset = call.number("limit", DEFAULT_PAGE, LARGEST_PAGE), call.number("offset", 0)
    page = [document_of(call.site, task) for task in tasks[offset : offset + limit]]
    return {
        "DATA_TYPE": "task_list",
        "DATA": page,
        "length": len(page),
        "limit": limit,
        "offset": offset,
        "total": len(tasks),
    }


def event_list(call: Call) -> Document:
    """Answer GET task/ID/event_list, newest first."""
    text = call.query.get("filter", "")
    choices = {"": None, "is_error:1": True, "is_error:0": False}
    if text not in choices:
        raise BadRequest(f"Cannot filter events by {text!r}; use is_error:1 or is_error:0")
    return events_of(call, own_task(call), is_error=choices[text])


def events_of(call: Call, task: Task, *, is_error: bool | None) -> Document:
    """Return a page of the events of a task; after 30 days there are none left."""
    limit, offset = call.number("limit", DEFAULT_PAGE, LARGEST_PAGE), call.number("offset", 0)
    events, total = call.site.tasks.events(task.number, limit=limit, offset=offset, is_error=is_error)
    return {
        "DATA_TYPE": "event_list",
        "DATA": [event_document(event) for event in events],
        "length": len(events),
        "limit": limit,
        "offset": offset,
        "total": total,
    }


def successful_transfers(call: Call) -> Document:
    """Answer GET task/ID/successful_transfers."""
    return successes_of(call, own_task(call))


def successes_of(call: Call, task: Task) -> Document:
    """Return a page of the files that a task has moved; one that is not over yet has none to tell."""
    if not task.is_finished:
        message = f"Task '{task.task_id}' is still in progress, successful transfers are not yet available"
        raise BadRequest(message)
    return _marked(call, "successful_transfers", task, call.site.tasks.successes, successful_transfer_documents)


def skipped_errors(call: Call) -> Document:
    """Answer GET task/ID/skipped_errors."""
    return skips_of(call, own_task(call))


def skips_of(call: Call, task: Task) -> Document:
    """Return a page of the paths that a task has given up."""
    return _marked(call, "skipped_errors", task, call.site.tasks.skipped, skipped_error_documents)


def cancel(call: Call) -> Document:
    """Answer POST task/ID/cancel."""
    canceled = call.site.engine.cancel(own_task(call))
    code, message = {
        True: ("Canceled", "The task has been cancelled successfully."),
        False: ("TaskComplete", "The task completed before the cancel request was processed."),
        None: ("CancelAccepted", "The cancel request has been accepted."),
    }[canceled]
    return {"DATA_TYPE": "result", "code": code, "message": message}


def update(call: Call) -> Document:
    """Answer PUT task/ID: label and deadline, only of a task that is not over [inferred: 400 otherwise]."""
    task = own_task(call)
    changed = not task.is_finished
    label, deadline = read_label(call.body), read_deadline(call.body)
    if "label" in call.body:
        changed &= call.site.engine.set_label(task, label)
    if deadline is not None:
        changed &= call.site.engine.set_deadline(task, deadline)
    if not changed:
        raise BadRequest(f"Task '{task.task_id}' has completed and cannot be updated")
    return {"DATA_TYPE": "result", "code": "Updated", "message": "The task has been updated successfully."}


def _marked(
    call: Call,
    kind: str,
    task: Task,
    read: Callable[[int, int, int], list[Row]],
    documents: Callable[[list[Row]], object],
) -> Document:
    """Return a page of a list that is read by marker: the first column of the last row, a number that is never 0."""
    marker = call.number("marker", 0)
    rows = read(task.number, marker, MARKER_PAGE + 1)
    page = rows[:MARKER_PAGE]
    return {
        "DATA_TYPE": kind,
        "DATA": documents(page),
        "marker": marker,
        "next_marker": page[-1][0] if len(rows) > MARKER_PAGE else None,
    }


def own_task(call: Call) -> Task:
    """Return the caller's task that the path names. Raises TaskNotFound."""
    asked = call.path["task"]
    found = call.site.tasks.find(call.identity, canonical_uuid(asked) or "")
    if found is None:
        raise TaskNotFound(asked)
    return found
