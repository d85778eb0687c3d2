"""Transfer API: collections and file operations (contract sections 5 and 6)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from prefect_globus.emulator.collections.paths import absolute_path, path_parts, path_problem
from prefect_globus.emulator.collections.storage import Entry
from prefect_globus.emulator.errors import BadRequest
from prefect_globus.emulator.queries import choice_test, clauses_test, ordered, pattern_test, time_test
from prefect_globus.emulator.tasks.submission import canonical_uuid, read_path
from prefect_globus.emulator.transfer.endpoint_documents import endpoint_document
from prefect_globus.emulator.transfer.failures import LIST, MKDIR, RENAME, STAT, told
from prefect_globus.emulator.transfer.file_documents import file_document, file_documents, group_name, user_name
from prefect_globus.emulator.transfer.pause_rules import refuse_if_paused

if TYPE_CHECKING:
    from collections.abc import Callable

    from prefect_globus.emulator.collections.model import CollectionSpec
    from prefect_globus.emulator.web import Call

Document = dict[str, Any]

DEFAULT_PATH = "/~/"  # a path that is left out [inferred]

FILE_FILTERS: dict[str, Any] = {
    "name": (lambda entry: entry.name, pattern_test),
    "type": (lambda entry: entry.type, choice_test),
    "last_modified": (lambda entry: entry.status.st_mtime, time_test),
}
FILE_ORDERS: dict[str, Callable[[Entry], Any]] = {
    "name": lambda entry: entry.name,
    "type": lambda entry: entry.type,
    "size": lambda entry: entry.status.st_size,
    "last_modified": lambda entry: entry.status.st_mtime_ns,
    "permissions": lambda entry: entry.status.st_mode & 0o7777,
    "user": lambda entry: user_name(entry.status.st_uid),
    "group": lambda entry: group_name(entry.status.st_gid),
}


def get_endpoint(call: Call) -> Document:
    """Answer GET endpoint/ID."""
    return endpoint_document(_collection(call))


def ls(call: Call) -> Document:
    """Answer GET ls."""
    collection = _accessible(call, "pause_ls")
    path, most = _query_path(call), call.site.network.listing_limit
    with told(collection, path, LIST):
        entries = call.site.folders[collection.uuid].scan(path_parts(path), limit=most)
    entries = _selected(call, entries)
    limit, offset = call.number("limit", most, most), call.number("offset", 0)
    page = entries[offset : offset + limit]
    absolute = _as_directory("/" + "/".join(path_parts(path)))
    return {
        "DATA_TYPE": "file_list",
        "DATA": file_documents(page),
        "absolute_path": absolute,
        "endpoint": collection.uuid,
        "length": len(page),
        "path": _as_directory("/~" + absolute) if path == "/~" or path.startswith("/~/") else absolute,
        "rename_supported": True,
        "symlink_supported": True,
        "total": len(entries),
    }


def _selected(call: Call, entries: list[Entry]) -> list[Entry]:
    if not call.flag("show_hidden", default=True):
        entries = [entry for entry in entries if not entry.name.startswith(".")]
    tests = [clauses_test(text, FILE_FILTERS) for text in call.query.getlist("filter") if text]
    if tests:
        entries = [entry for entry in entries if any(test(entry) for test in tests)]
    return ordered(entries, call.query.get("orderby") or "name", FILE_ORDERS)


def stat(call: Call) -> Document:
    """Answer GET stat."""
    collection = _accessible(call)
    path = _query_path(call)
    with told(collection, path, STAT):
        return file_document(call.site.folders[collection.uuid].stat(path_parts(path)))


def mkdir(call: Call) -> Document:
    """Answer POST mkdir."""
    collection = _accessible(call, "pause_mkdir")
    path = read_path(call.body, "path")
    with told(collection, path, MKDIR):
        call.site.folders[collection.uuid].make_directory(path_parts(path))
    return {
        "DATA_TYPE": "mkdir_result",
        "code": "DirectoryCreated",
        "message": "The directory was created successfully",
    }


def rename(call: Call) -> Document:
    """Answer POST rename, which here never replaces what exists [inferred]."""
    collection = _accessible(call, "pause_rename")
    old, new = read_path(call.body, "old_path"), read_path(call.body, "new_path")
    with told(collection, old, RENAME):
        call.site.folders[collection.uuid].rename(path_parts(old), path_parts(new))
    return {
        "DATA_TYPE": "result",
        "code": "FileRenamed",
        "message": "File or directory renamed successfully",
    }


def _collection(call: Call) -> CollectionSpec:
    asked = call.path["endpoint"]
    return call.site.collection(canonical_uuid(asked), asked)


def _accessible(call: Call, pausable: str | None = None) -> CollectionSpec:
    """Return the collection whose data are asked for.

    Raises ApiError, also if a consent is missing, or if a pause rule holds what is asked for.
    """
    collection = _collection(call)
    call.site.consents.require(call.owner.identity, call.owner.client_id, collection)
    if pausable is not None:
        refuse_if_paused(call, pausable, collection)
    return collection


def _query_path(call: Call) -> str:
    path = absolute_path(call.query.get("path") or DEFAULT_PATH)
    if (problem := path_problem(path)) is not None:
        raise BadRequest(problem)
    return path


def _as_directory(path: str) -> str:
    return path if path.endswith("/") else f"{path}/"
