"""Reading what a client sends: transfer and delete documents, checked field by field (contract section 3)."""

from __future__ import annotations

import os
import time
import uuid
from typing import TYPE_CHECKING, Any

from prefect_globus.emulator.collections.paths import absolute_path, path_problem
from prefect_globus.emulator.errors import BadRequest
from prefect_globus.emulator.queries import parse_time
from prefect_globus.emulator.tasks.deletion import has_wildcards
from prefect_globus.emulator.tasks.model import FilterRule, Item, Kind, Options, Submission, TaskType
from prefect_globus.emulator.tasks.mover import known_algorithm

if TYPE_CHECKING:
    from collections.abc import Iterable

Document = dict[str, Any]

LONGEST_LABEL = 128
SYNC_LEVELS = range(4)
RECURSIVE_SYMLINKS = ("ignore", "keep", "copy")
ITEM_TYPES = {"transfer_item": Kind.ITEM, "transfer_symlink_item": Kind.SYMLINK}


def read_submission_id(body: Document) -> str:
    """Return the submission_id, in canonical form. Raises BadRequest."""
    return _uuid(body, "submission_id")


def read_transfer(body: Document) -> Submission:
    """Return a transfer document, checked. Unknown fields are ignored. Raises BadRequest."""
    _check_data_type(body, "transfer")
    items = body.get("DATA")
    if not isinstance(items, list):
        raise BadRequest("'DATA' must be a list of transfer items")
    if not items:
        raise BadRequest("A transfer requires at least one item", "ClientError.BadRequest.NoTransferItems")
    checked = tuple(_item(item) for item in items)
    return Submission(
        type=TaskType.TRANSFER,
        submission_id=read_submission_id(body),
        source_endpoint=_uuid(body, "source_endpoint"),
        destination_endpoint=_uuid(body, "destination_endpoint"),
        label=read_label(body),
        deadline=read_deadline(body),
        options=_options(body, checked),
        items=checked,
    )


def read_delete(body: Document) -> Submission:
    """Return a delete document, checked. Unknown fields are ignored. Raises BadRequest."""
    _check_data_type(body, "delete")
    _check_notifications(body)
    items = body.get("DATA")
    if not isinstance(items, list):
        raise BadRequest("'DATA' must be a list of delete items")
    if not items:
        raise BadRequest("A delete requires at least one item", "ClientError.BadRequest.NoDeleteItems")
    options = Options(
        recursive=_flag(body, "recursive"),
        ignore_missing=_flag(body, "ignore_missing"),
        interpret_globs=_flag(body, "interpret_globs"),
        source_local_user=text(body, "local_user"),
    )
    return Submission(
        type=TaskType.DELETE,
        submission_id=read_submission_id(body),
        source_endpoint=_uuid(body, "endpoint"),
        destination_endpoint=None,
        label=read_label(body),
        deadline=read_deadline(body),
        options=options,
        items=tuple(_delete_item(item, interpret_globs=options.interpret_globs) for item in items),
    )


def read_label(body: Document) -> str | None:
    """Return the label, or None. Raises BadRequest."""
    label = text(body, "label")
    if label is not None and (len(label) > LONGEST_LABEL or label != label.strip() or "\r" in label or "\n" in label):
        raise BadRequest("'label' must have at most 128 characters, no line breaks, and no blanks at its ends")
    return label


def read_deadline(body: Document) -> float | None:
    """Return the deadline in seconds since the epoch, or None. Raises BadRequest, also if it has passed [inferred]."""
    deadline = text(body, "deadline")
    if deadline is None:
        return None
    moment = parse_time(deadline)
    if moment <= time.time():
        raise BadRequest(f"'deadline' has passed: {deadline}")
    return moment


def read_path(body: Document, name: str) -> str:
    """Return a path. Raises BadRequest."""
    path = text(body, name)
    if path is None:
        raise BadRequest(f"'{name}' is missing")
    path = absolute_path(path)
    if (problem := path_problem(path)) is not None:
        raise BadRequest(problem)
    return path


def text(body: Document, name: str) -> str | None:
    """Return a string, or None. Raises BadRequest."""
    value = body.get(name)
    if value is not None and not isinstance(value, str):
        raise BadRequest(f"'{name}' must be a string")
    return value


def canonical_uuid(value: object) -> str | None:
    """Return a UUID in its canonical form, or None if it is none."""
    try:
        return str(uuid.UUID(value)) if isinstance(value, str) else None
    except ValueError:
        return None


def _check_data_type(body: Document, expected: str) -> None:
    if body.get("DATA_TYPE") not in (None, expected):
        raise BadRequest(f"'DATA_TYPE' must be '{expected}'")


def _uuid(body: Document, name: str) -> str:
    value = canonical_uuid(body.get(name))
    if value is None:
        raise BadRequest(f"'{name}' must be a UUID")
    return value


def _flag(body: Document, name: str) -> bool:
    value = body.get(name)
    if value is not None and not isinstance(value, bool):
        raise BadRequest(f"'{name}' must be true or false")
    return bool(value)


def _check_notifications(body: Document) -> None:
    """Check who is to be told what. Nobody is: the emulator sends no mail."""
    for name in ("notify_on_succeeded", "notify_on_failed", "notify_on_inactive"):
        _flag(body, name)


def _options(body: Document, items: tuple[Item, ...]) -> Options:
    _check_notifications(body)
    has_base_paths = _flag(body, "store_base_path_info")
    return Options(
        sync_level=_sync_level(body),
        verify_checksum=_flag(body, "verify_checksum"),
        preserve_timestamp=_flag(body, "preserve_timestamp"),
        encrypt_data=_flag(body, "encrypt_data"),
        skip_source_errors=_flag(body, "skip_source_errors"),
        fail_on_quota_errors=_flag(body, "fail_on_quota_errors"),
        recursive_symlinks=_recursive_symlinks(body),
        filter_rules=_filter_rules(body),
        delete_destination_extra=_flag(body, "delete_destination_extra"),
        source_base_path=_base_path((item.source_path, item) for item in items) if has_base_paths else None,
        destination_base_path=_base_path((item.destination_path, item) for item in items) if has_base_paths else None,
        source_local_user=text(body, "source_local_user"),
        destination_local_user=text(body, "destination_local_user"),
    )


def _base_path(paths: Iterable[tuple[str, Item]]) -> str:
    """Return the deepest directory that holds all paths: what store_base_path_info stores, as we take it [inferred]."""
    directories = [path if item.recursive else path.rstrip("/").rpartition("/")[0] or "/" for path, item in paths]
    return os.path.commonpath(directories).rstrip("/") + "/"


def _sync_level(body: Document) -> int | None:
    level = body.get("sync_level")
    if level is not None and (type(level) is not int or level not in SYNC_LEVELS):
        raise BadRequest("'sync_level' must be 0, 1, 2 or 3")
    return level


def _recursive_symlinks(body: Document) -> str:
    value = text(body, "recursive_symlinks") or "ignore"
    if value not in RECURSIVE_SYMLINKS:
        raise BadRequest("'recursive_symlinks' must be 'ignore', 'keep' or 'copy'")
    return value


def _filter_rules(body: Document) -> tuple[FilterRule, ...] | None:
    rules = body.get("filter_rules")
    if rules is None:
        return None
    if not isinstance(rules, list):
        raise BadRequest("'filter_rules' must be a list")
    return tuple(_filter_rule(rule) for rule in rules)


def _filter_rule(rule: object) -> FilterRule:
    if not isinstance(rule, dict):
        raise BadRequest("A filter rule must be an object")
    method, name, kind = text(rule, "method") or "exclude", text(rule, "name"), text(rule, "type")
    if method not in ("include", "exclude"):
        raise BadRequest("The 'method' of a filter rule must be 'include' or 'exclude'")
    if kind not in (None, "file", "dir"):
        raise BadRequest("The 'type' of a filter rule must be 'file' or 'dir'")
    if not name:
        raise BadRequest("A filter rule needs a 'name'")
    return FilterRule(method, name, kind)


def _item(item: object) -> Item:
    if not isinstance(item, dict):
        raise BadRequest("A transfer item must be an object")
    kind = ITEM_TYPES.get(text(item, "DATA_TYPE") or "transfer_item")
    if kind is None:
        raise BadRequest(f"Unknown type of transfer item: {item['DATA_TYPE']!r}")
    source, destination = read_path(item, "source_path"), read_path(item, "destination_path")
    checksum, algorithm = text(item, "external_checksum"), text(item, "checksum_algorithm")
    recursive = item.get("recursive")
    if recursive is not None and not isinstance(recursive, bool):
        raise BadRequest("'recursive' must be true or false")
    if recursive and checksum is not None:
        raise BadRequest("'external_checksum' is not for directories")
    if algorithm is not None and not known_algorithm(algorithm):
        raise BadRequest(f"Unknown 'checksum_algorithm': {algorithm!r}")
    return Item(kind, source, destination, recursive, checksum, algorithm)


def _delete_item(item: object, *, interpret_globs: bool) -> Item:
    if not isinstance(item, dict):
        raise BadRequest("A delete item must be an object")
    if (text(item, "DATA_TYPE") or "delete_item") != "delete_item":
        raise BadRequest(f"Unknown type of delete item: {item['DATA_TYPE']!r}")
    path = read_path(item, "path")
    return Item(Kind.GLOB if interpret_globs and has_wildcards(path) else Kind.ITEM, path, "")
