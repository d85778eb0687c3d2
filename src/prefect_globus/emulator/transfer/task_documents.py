"""The documents of a task, its events, and what became of its files (contract section 4)."""

from __future__ import annotations

import time
from json.encoder import encode_basestring as quoted
from typing import TYPE_CHECKING, Any

import orjson

from prefect_globus.emulator.identities import OWNER_ID, username
from prefect_globus.emulator.queries import timestamp
from prefect_globus.emulator.tasks.model import COUNTERS, Code, Event, Phase, Policy, Status, Task, TaskType
from prefect_globus.emulator.tasks.store import pending_subtasks

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Mapping

    from prefect_globus.emulator.site import Site
    from prefect_globus.emulator.tasks.bundles import MovedItem

Document = dict[str, Any]

PAUSED_BY_ADMIN = "PAUSED_BY_ADMIN"


def document_of(site: Site, task: Task) -> Document:
    """Return the document of a task as it stands right now."""
    engine = site.engine
    in_flight = 0 if task.is_finished else engine.bytes_in_flight(task)
    return task_document(task, site.names, engine.phase(task), in_flight, site.policy)


def task_document(task: Task, names: Mapping[str, str], phase: Phase, in_flight: int, policy: Policy) -> Document:
    """Return the document of a task (contract section 4).

    Args:
        task: the task.
        names: display names of collections, by UUID.
        phase: what the engine does with it, if it is unfinished.
        in_flight: bytes of a file that is not complete yet.
        policy: for how long an error is shown of a queued task.
    """
    options = task.options
    destination = task.destination_endpoint
    counters = dict.fromkeys(COUNTERS, 0) | task.counters
    counters["bytes_transferred"] += in_flight
    elapsed = (task.completion_time or time.time()) - task.request_time
    return {
        "DATA_TYPE": "task",
        "task_id": task.task_id,
        "type": task.type,
        "status": task.status,
        "fatal_error": {"code": task.fatal_code, "description": task.fatal_description} if task.fatal_code else None,
        "label": task.label,
        "owner_id": task.owner_id,
        "username": username(task.owner_id),
        "request_time": timestamp(task.request_time),
        "completion_time": timestamp(task.completion_time),
        "deadline": timestamp(task.deadline),
        "source_endpoint": _legacy_name(task.source_endpoint),
        "source_endpoint_id": task.source_endpoint,
        "source_endpoint_display_name": names.get(task.source_endpoint),
        "source_base_path": options.source_base_path,
        "source_local_user": options.source_local_user,
        "destination_endpoint": _legacy_name(destination) if destination else None,
        "destination_endpoint_id": destination,
        "destination_endpoint_display_name": names.get(destination) if destination else None,
        "destination_base_path": options.destination_base_path,
        "destination_local_user": options.destination_local_user,
        "sync_level": options.sync_level,
        "encrypt_data": options.encrypt_data,
        "verify_checksum": options.verify_checksum,
        "delete_destination_extra": options.delete_destination_extra,
        "preserve_timestamp": options.preserve_timestamp,
        "skip_source_errors": options.skip_source_errors,
        "fail_on_quota_errors": options.fail_on_quota_errors,
        "recursive_symlinks": options.recursive_symlinks if task.type is TaskType.TRANSFER else None,
        "filter_rules": _filter_rule_documents(task),
        "command": "API 0.10",
        "history_deleted": task.history_deleted,
        **counters,
        "subtasks_pending": pending_subtasks(task),
        "subtasks_retrying": 0,
        "effective_bytes_per_second": int(counters["bytes_transferred"] / max(elapsed, 1.0)),
        **_nice_status(task, phase, policy),
        "is_paused": task.is_paused,
        "canceled_by_admin": task.canceled_by_admin,
        "canceled_by_admin_message": task.canceled_by_admin_message,
    }


def _legacy_name(endpoint: str) -> str:
    return f"{username(OWNER_ID)}#{endpoint}"


def _filter_rule_documents(task: Task) -> list[Document] | None:
    if task.options.filter_rules is None:
        return None
    return [{"DATA_TYPE": "filter_rule", **rule._asdict()} for rule in task.options.filter_rules]


def _nice_status(task: Task, phase: Phase, policy: Policy) -> Document:
    nice = None if task.is_finished else _nice_code(task, phase, policy)
    is_ok = task.status is Status.ACTIVE and not task.is_paused and task.error_code is None
    return {
        "is_ok": None if nice is None else is_ok,
        "nice_status": nice,
        "nice_status_short_description": _description(nice) if nice else None,
        "nice_status_details": None,
        "nice_status_expires_in": None if nice is None else 0 if task.status is Status.INACTIVE else -1,
    }


def _nice_code(task: Task, phase: Phase, policy: Policy) -> str:
    """Return how an unfinished task does: what holds it, its last error, or where it stands in the queue."""
    if task.status is Status.INACTIVE:
        return task.error_code or Code.AUTH
    if task.is_paused:
        return PAUSED_BY_ADMIN
    error_age = time.time() - (task.error_time or 0.0)
    if phase is Phase.QUEUED and error_age > policy.real(policy.queued_error_window):
        return "Queued"
    return task.error_code or "OK"


def _description(code: str) -> str:
    return code.replace("_", " ").lower() if code.isupper() and code != "OK" else code


def event_document(event: Event) -> Document:
    """Return the document of an event (contract section 4)."""
    return {
        "DATA_TYPE": "event",
        "code": event.code,
        "description": _description(event.code),
        "details": event.details,
        "is_error": event.is_error,
        "time": timestamp(event.time),
    }


def successful_transfer_documents(files: Iterable[MovedItem]) -> orjson.Fragment:
    """Return the list of the documents of files that were moved (contract section 4), as JSON."""
    texts = [
        f'{{"DATA_TYPE":"successful_transfer","source_path":{quoted(source)},"destination_path":{quoted(destination)},'
        f'"size":{size},"checksum":{_text(checksum)},"checksum_algorithm":{_text(checksum and algorithm)},'
        '"dynamic":false}'
        for _, source, destination, size, checksum, algorithm in files
    ]
    return orjson.Fragment(f"[{','.join(texts)}]")


def _text(text: str | None) -> str:
    return "null" if text is None else quoted(text)


def skipped_error_documents(rows: Iterable[sqlite3.Row]) -> list[Document]:
    """Return the documents of paths that skip_source_errors gave up."""
    return [skipped_error_document(row) for row in rows]


def skipped_error_document(row: sqlite3.Row) -> Document:
    """Return the document of a path that skip_source_errors gave up (contract section 4)."""
    return {
        "DATA_TYPE": "skipped_error",
        "error_code": row["error_code"],
        "error_details": row["error_details"],
        "error_time": timestamp(row["error_time"]),
        "source_path": row["source_path"],
        "destination_path": row["destination_path"],
        "is_directory": row["kind"] == "directory" or bool(row["recursive"]),
        "is_symlink": row["kind"] == "symlink",
        "is_delete_destination_extra": row["kind"] == "extra",
        "external_checksum": row["external_checksum"],
        "checksum_algorithm": row["checksum_algorithm"],
    }
