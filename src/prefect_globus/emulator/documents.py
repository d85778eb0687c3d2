"""The documents of the API: pure functions from records to what goes over the wire."""

from __future__ import annotations

import base64
import grp
import pwd
import time
import uuid
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Any

from prefect_globus.emulator.model import COUNTERS, CollectionSpec, Event, Phase, Policy, Status, Task
from prefect_globus.emulator.tasks import pending_subtasks

if TYPE_CHECKING:
    import os
    import sqlite3
    from collections.abc import Mapping

    from prefect_globus.emulator.storage import Entry

Document = dict[str, Any]

OWNER_ID = "3f8a7d54-0a0c-4f6c-9e4e-6d0a4e0c51aa"  # the made-up identity that owns every collection
OWNER_NAME = "emulator@localhost"


def timestamp(seconds: float | None, separator: str = "T") -> str | None:
    """Return a time of the API, in whole seconds, UTC (contract section 1). Files have a space for the `T`."""
    if seconds is None:
        return None
    try:
        return datetime.fromtimestamp(int(seconds), UTC).isoformat(separator)
    except (ValueError, OverflowError, OSError):  # a file system can hold years that a date cannot
        return datetime.fromtimestamp(0, UTC).isoformat(separator)


@cache
def user_name(uid: int) -> str:
    """Return the name of a user, or the number of one without."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


@cache
def group_name(gid: int) -> str:
    """Return the name of a group, or the number of one without."""
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)


def file_document(entry: Entry) -> Document:
    """Return the file document of an entry (contract section 5)."""
    status = entry.status
    return {
        "DATA_TYPE": "file",
        "name": entry.name,
        "type": entry.type,
        "size": status.st_size,
        "last_modified": timestamp(status.st_mtime, " "),
        "permissions": f"{status.st_mode & 0o7777:04o}",
        "user": user_name(status.st_uid),
        "group": group_name(status.st_gid),
        **_link_fields(entry.link.target if entry.link else None, entry.link.status if entry.link else None),
    }


def _link_fields(target: str | None, status: os.stat_result | None) -> Document:
    return {
        "link_target": target,
        "link_size": status.st_size if status else None,
        "link_user": user_name(status.st_uid) if status else None,
        "link_group": group_name(status.st_gid) if status else None,
        "link_last_modified": timestamp(status.st_mtime, " ") if status else None,
    }


ENDPOINT: Document = {
    "DATA_TYPE": "endpoint",
    "entity_type": "GCP_mapped_collection",
    "owner_id": OWNER_ID,
    "owner_string": OWNER_NAME,
    "organization": "Local Globus emulator",
    "department": None,
    "keywords": None,
    "description": None,
    "contact_email": None,
    "contact_info": None,
    "info_link": None,
    "user_message": None,
    "user_message_link": None,
    "public": False,
    "subscription_id": None,
    "subscription_admin_verified": None,
    "french_english_bilingual": False,
    "default_directory": "/~/",
    "force_encryption": False,
    "force_verify": False,
    "disable_verify": False,
    "disable_anonymous_writes": False,
    "mfa_required": False,
    "expire_time": None,
    "expires_in": -1,
    "activated": True,
    "myproxy_server": None,
    "myproxy_dn": None,
    "oauth_server": None,
    "requester_pays": False,
    "is_globus_connect": True,
    "gcs_version": None,
    "globus_connect_setup_key": None,
    "gcp_connected": True,
    "gcp_paused": False,
    "host_endpoint": None,
    "host_endpoint_id": None,
    "host_endpoint_display_name": None,
    "host_path": None,
    "s3_url": None,
    "s3_owner_activated": False,
    "acl_available": False,
    "acl_editable": False,
    "in_use": False,
    "my_effective_roles": [],
    "network_use": "normal",
    "location": None,
    "max_concurrency": 1,
    "preferred_concurrency": 1,
    "max_parallelism": 1,
    "preferred_parallelism": 1,
    "local_user_info_available": False,
    "https_server": None,
    "tlsftp_server": None,
    "gcs_manager_url": None,
    "high_assurance": False,
    "authentication_timeout_mins": None,
    "authentication_policy_id": None,
    "acl_max_expiration_period_mins": None,
    "authentication_assurance_timeout": None,
    "auto_delete_timeout": None,
    "skip_auto_delete": None,
    "last_accessed_time": None,
    "non_functional": False,
    "non_functional_endpoint_id": None,
    "non_functional_endpoint_display_name": None,
    "mapped_collection_id": None,
    "mapped_collection_display_name": None,
    "shareable": False,
    "sharing_target_endpoint": None,
    "sharing_target_root_path": None,
    "restrict_transfers_to_high_assurance": None,
    "associated_flow_policy": None,
    "preserve_modtime": True,
    "DATA": [],
}


def endpoint_document(collection: CollectionSpec) -> Document:
    """Return the endpoint document of a collection (contract section 6): one that needs no data_access consent."""
    name = f"{username(OWNER_ID)}#{collection.uuid}"
    return ENDPOINT | {
        "id": collection.uuid,
        "display_name": collection.name,
        "name": collection.uuid,
        "username": username(OWNER_ID),
        "canonical_name": name,
    }


def username(identity: str) -> str:
    """Return the deprecated user name `u_...` of an identity (contract section 4)."""
    return "u_" + base64.b32encode(uuid.UUID(identity).bytes).decode().rstrip("=").lower()


def task_document(task: Task, names: Mapping[str, str], phase: Phase, in_flight: int, policy: Policy) -> Document:
    """Return the document of a task (contract section 4).

    Args:
        task: the task.
        names: display names of collections, by UUID.
        phase: what the engine does with it, if it is ACTIVE.
        in_flight: bytes of a file that is not complete yet.
        policy: for how long an error is shown of a queued task.
    """
    owner = username(OWNER_ID)
    options = task.options
    counters = dict.fromkeys(COUNTERS, 0) | task.counters
    counters["bytes_transferred"] += in_flight
    elapsed = (task.completion_time or time.time()) - task.request_time
    return {
        "DATA_TYPE": "task",
        "task_id": task.task_id,
        "type": "TRANSFER",
        "status": task.status,
        "fatal_error": {"code": task.fatal_code, "description": task.fatal_description} if task.fatal_code else None,
        "label": task.label,
        "owner_id": task.owner_id,
        "username": username(task.owner_id),
        "request_time": timestamp(task.request_time),
        "completion_time": timestamp(task.completion_time),
        "deadline": timestamp(task.deadline),
        "source_endpoint": f"{owner}#{task.source_endpoint}",
        "source_endpoint_id": task.source_endpoint,
        "source_endpoint_display_name": names.get(task.source_endpoint),
        "destination_endpoint": f"{owner}#{task.destination_endpoint}",
        "destination_endpoint_id": task.destination_endpoint,
        "destination_endpoint_display_name": names.get(task.destination_endpoint),
        "sync_level": options.sync_level,
        "encrypt_data": options.encrypt_data,
        "verify_checksum": options.verify_checksum,
        "delete_destination_extra": False,
        "preserve_timestamp": options.preserve_timestamp,
        "skip_source_errors": options.skip_source_errors,
        "fail_on_quota_errors": options.fail_on_quota_errors,
        "recursive_symlinks": options.recursive_symlinks,
        "filter_rules": _filter_rule_documents(task),
        "command": "API 0.10",
        "history_deleted": False,
        **counters,
        "subtasks_pending": pending_subtasks(task),
        "subtasks_retrying": 0,
        "effective_bytes_per_second": int(counters["bytes_transferred"] / max(elapsed, 1.0)),
        **_nice_status(task, phase, policy),
        "is_paused": False,
        "canceled_by_admin": None,
        "canceled_by_admin_message": None,
    }


def _filter_rule_documents(task: Task) -> list[Document] | None:
    if task.options.filter_rules is None:
        return None
    return [{"DATA_TYPE": "filter_rule", **rule._asdict()} for rule in task.options.filter_rules]


def _nice_status(task: Task, phase: Phase, policy: Policy) -> Document:
    if task.status is not Status.ACTIVE:
        nice, is_ok, expires_in = None, None, None
    else:
        nice, is_ok, expires_in = task.error_code or "OK", task.error_code is None, -1
        error_age = time.time() - (task.error_time or 0.0)
        if phase is Phase.QUEUED and error_age > policy.real(policy.queued_error_window):
            nice = "Queued"
    return {
        "is_ok": is_ok,
        "nice_status": nice,
        "nice_status_short_description": _description(nice) if nice else None,
        "nice_status_details": None,
        "nice_status_expires_in": expires_in,
    }


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


def successful_transfer_document(row: sqlite3.Row) -> Document:
    """Return the document of a file that was moved (contract section 4)."""
    return {
        "DATA_TYPE": "successful_transfer",
        "source_path": row["source_path"],
        "destination_path": row["destination_path"],
        "size": row["size"],
        "checksum": row["checksum"],
        "checksum_algorithm": row["checksum_algorithm"] if row["checksum"] else None,
        "dynamic": False,
    }


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
        "is_delete_destination_extra": False,
        "external_checksum": row["external_checksum"],
        "checksum_algorithm": row["checksum_algorithm"],
    }
