"""Transfer API: tasks as an activity manager sees and stops them, whoever owns them (globus_sdk, endpoint_manager_*).

Globus asks for a role on the collections of a task. Here anybody who has a token may manage: the collections are local,
and who runs the emulator is the manager of them all.
"""

from __future__ import annotations

import os
from itertools import islice
from typing import TYPE_CHECKING, Any

from prefect_globus.emulator.errors import ApiError, BadRequest, TaskNotFound
from prefect_globus.emulator.queries import choice_test, time_test
from prefect_globus.emulator.tasks.model import UNFINISHED, Task
from prefect_globus.emulator.tasks.submission import canonical_uuid, text
from prefect_globus.emulator.transfer import task_operations
from prefect_globus.emulator.transfer.file_documents import user_name
from prefect_globus.emulator.transfer.pause_rules import pause_info_of
from prefect_globus.emulator.transfer.task_documents import document_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from prefect_globus.emulator.web import Call

Document = dict[str, Any]

TASKS_PER_PAGE = 100  # [inferred]
TASKS_PER_READ = 500
LARGEST_ID_FILTER = 50
NEWEST = 2**62
FILTERS = (  # `filter_endpoint_use` says how others are meant
    "filter_status",
    "filter_task_id",
    "filter_owner_id",
    "filter_endpoint",
    "filter_endpoint_use",
    "filter_is_paused",
    "filter_completion_time",
    "filter_min_faults",
    "filter_local_user",
)
ENDS: dict[str, Callable[[Task], str | None]] = {
    "source": lambda task: task.source_endpoint,
    "destination": lambda task: task.destination_endpoint,
}
NO_HOST: Document = {  # guest collections have hosts, and there are none
    f"{end}_{name}": None
    for end in ENDS
    for name in (
        "host_endpoint",
        "host_endpoint_id",
        "host_endpoint_display_name",
        "host_path",
        "mapped_collection_id",
        "mapped_collection_display_name",
    )
}


def task_list(call: Call) -> Document:
    """Answer GET endpoint_manager/task_list, newest first, in pages that are read by `last_key`."""
    before = call.number("last_key", NEWEST, NEWEST)
    tests = _tests(call)
    found = (task for task in _tasks(call, before) if all(test(task) for test in tests))
    page = list(islice(found, TASKS_PER_PAGE + 1))
    shown = page[:TASKS_PER_PAGE]
    return {
        "DATA_TYPE": "task_list",
        "DATA": [_document(call, task) for task in shown],
        "has_next_page": len(page) > TASKS_PER_PAGE,
        "last_key": str(shown[-1].number) if shown else None,
    }


def _tasks(call: Call, before: int) -> Iterator[Task]:
    while tasks := call.site.tasks.of_everybody(before, TASKS_PER_READ):
        yield from tasks
        before = tasks[-1].number


def _tests(call: Call) -> list[Callable[[Task], bool]]:
    """Return the tests that the query asks for, which must go together (globus_sdk, endpoint_manager_task_list)."""
    given = {name: value for name in FILTERS if (value := call.query.get(name, ""))}
    statuses = {word.strip().upper() for word in given.get("filter_status", "").split(",")}
    only_unfinished = statuses <= {str(status) for status in UNFINISHED}
    endpoint = given.get("filter_endpoint")
    if "filter_task_id" in given and len(given) > 1:
        raise BadRequest("'filter_task_id' cannot be combined with another filter")
    if not (only_unfinished or endpoint or "filter_task_id" in given):
        raise BadRequest("'filter_task_id' or 'filter_endpoint' is needed, or a 'filter_status' of ACTIVE, INACTIVE")
    if "filter_is_paused" in given and not only_unfinished:
        raise BadRequest("'filter_is_paused' needs a 'filter_status' of ACTIVE, INACTIVE")
    for name in ("filter_endpoint_use", "filter_local_user"):
        if name in given and not endpoint:
            raise BadRequest(f"'{name}' needs 'filter_endpoint'")
    return [_TESTS[name](call, value) for name, value in given.items() if name in _TESTS]


def _task_id_test(_: Call, value: str) -> Callable[[Task], bool]:
    if value.count(",") >= LARGEST_ID_FILTER:
        raise BadRequest(f"'filter_task_id' takes at most {LARGEST_ID_FILTER} task ids")
    test = choice_test(value)
    return lambda task: test(task.task_id)


def _status_test(_: Call, value: str) -> Callable[[Task], bool]:
    test = choice_test(value)
    return lambda task: test(task.status)


def _owner_test(_: Call, value: str) -> Callable[[Task], bool]:
    return lambda task: task.owner_id == canonical_uuid(value)


def _ends(call: Call) -> list[str]:
    use = call.query.get("filter_endpoint_use") or ""
    if use and use not in ENDS:
        raise BadRequest("'filter_endpoint_use' must be 'source' or 'destination'")
    return [use] if use else list(ENDS)


def _endpoint_test(call: Call, value: str) -> Callable[[Task], bool]:
    wanted = call.site.collection(canonical_uuid(value), value).uuid
    ends = _ends(call)
    return lambda task: any(ENDS[end](task) == wanted for end in ends)


def _local_user_test(call: Call, value: str) -> Callable[[Task], bool]:
    ends = _ends(call)
    return lambda task: any(_local_user(task, end) == value for end in ends)


def _paused_test(call: Call, _: str) -> Callable[[Task], bool]:
    wanted = call.flag("filter_is_paused", default=False)
    return lambda task: task.is_paused is wanted


def _completion_test(_: Call, value: str) -> Callable[[Task], bool]:
    """Return a test for a range; one without an end includes what is unfinished, for that will be later."""
    test = time_test(value)
    is_open = not value.partition(",")[2].strip()
    return lambda task: is_open if task.completion_time is None else test(task.completion_time)


def _faults_test(call: Call, _: str) -> Callable[[Task], bool]:
    least = call.number("filter_min_faults", 0)
    return lambda task: task.counters["faults"] >= least


_TESTS: dict[str, Callable[[Call, str], Callable[[Task], bool]]] = {
    "filter_status": _status_test,
    "filter_task_id": _task_id_test,
    "filter_owner_id": _owner_test,
    "filter_endpoint": _endpoint_test,
    "filter_is_paused": _paused_test,
    "filter_completion_time": _completion_test,
    "filter_min_faults": _faults_test,
    "filter_local_user": _local_user_test,
}


def get_task(call: Call) -> Document:
    """Answer GET endpoint_manager/task/ID."""
    return _document(call, _task(call))


def event_list(call: Call) -> Document:
    """Answer GET endpoint_manager/task/ID/event_list: all events, or errors only."""
    text = call.query.get("filter_is_error")
    if text and not call.flag("filter_is_error", default=True):
        raise BadRequest("'filter_is_error' must be 1; events that are no errors cannot be asked for alone")
    return task_operations.events_of(call, _task(call), is_error=True if text else None)


def successful_transfers(call: Call) -> Document:
    """Answer GET endpoint_manager/task/ID/successful_transfers."""
    return task_operations.successes_of(call, _task(call))


def skipped_errors(call: Call) -> Document:
    """Answer GET endpoint_manager/task/ID/skipped_errors."""
    return task_operations.skips_of(call, _task(call))


def pause_info(call: Call) -> Document:
    """Answer GET endpoint_manager/task/ID/pause_info."""
    return pause_info_of(call, _task(call))


def admin_cancel(call: Call) -> Document:
    """Answer POST endpoint_manager/admin_cancel: every task is told to stop, and `done` tells whether all have.

    A manager of both collections cancels for BOTH [inferred], and a deletion has only a source.
    """
    tasks, message = _tasks_of_body(call), _message(call)
    number = call.site.tasks.add_admin_cancel(message, [task.task_id for task in tasks])
    for task in tasks:
        end = "BOTH" if task.destination_endpoint else "SOURCE"
        call.site.engine.request_cancel(task, by_admin=end, message=message)
    return _cancel_document(call, number)


def cancel_status(call: Call) -> Document:
    """Answer GET endpoint_manager/admin_cancel/ID."""
    asked = call.path["cancel"]
    if not (asked.isascii() and asked.isdigit() and len(asked) < len(str(NEWEST))):
        raise ApiError(404, "ClientError.NotFound", f"No cancel found with id '{asked}'")
    return _cancel_document(call, int(asked))


def _cancel_document(call: Call, number: int) -> Document:
    found = call.site.tasks.admin_cancel(number)
    if found is None:
        raise ApiError(404, "ClientError.NotFound", f"No cancel found with id '{number}'")
    message, task_ids = found
    tasks = [call.site.tasks.find_any(task_id) for task_id in task_ids]
    return {
        "DATA_TYPE": "admin_cancel",
        "id": number,
        "message": message,
        "task_id_list": task_ids,
        "done": all(task is None or task.is_finished for task in tasks),
    }


def admin_pause(call: Call) -> Document:
    """Answer POST endpoint_manager/admin_pause. Tasks that are over are left alone."""
    message = _message(call)
    for task in _tasks_of_body(call):
        call.site.engine.pause(task, message)
    return {"DATA_TYPE": "result", "code": "PauseAccepted", "message": "The tasks are being paused."}


def admin_resume(call: Call) -> Document:
    """Answer POST endpoint_manager/admin_resume. What a pause rule holds stays paused [inferred]."""
    for task in _tasks_of_body(call):
        call.site.engine.resume(task)
    return {"DATA_TYPE": "result", "code": "ResumeAccepted", "message": "The tasks are being resumed."}


def _message(call: Call) -> str:
    message = text(call.body, "message")
    if not message:
        raise BadRequest("'message' must say to the owners of the tasks why")
    return message


def _tasks_of_body(call: Call) -> list[Task]:
    asked = call.body.get("task_id_list")
    if not isinstance(asked, list) or not asked:
        raise BadRequest("'task_id_list' must be a list of task ids")
    return [_find(call, task_id) for task_id in asked]


def _task(call: Call) -> Task:
    return _find(call, call.path["task"])


def _find(call: Call, asked: object) -> Task:
    found = call.site.tasks.find_any(canonical_uuid(asked) or "")
    if found is None:
        raise TaskNotFound(asked)
    return found


def _document(call: Call, task: Task) -> Document:
    owner = call.site.identities.find(task.owner_id)
    return (
        document_of(call.site, task)
        | NO_HOST
        | {f"{end}_local_user": _local_user(task, end) for end in ENDS}
        | {f"{end}_local_user_status": "OK" if ENDS[end](task) else "NO_ENDPOINT" for end in ENDS}
        | {"owner_string": owner.username if owner else task.owner_id}
    )


def _local_user(task: Task, end: str) -> str | None:
    """Return who touches the files at one end: whom the task names, or the user who runs the emulator."""
    if ENDS[end](task) is None:
        return None
    named = task.options.source_local_user if end == "source" else task.options.destination_local_user
    return named or user_name(os.getuid())
