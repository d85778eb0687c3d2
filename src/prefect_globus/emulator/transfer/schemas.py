"""The documents of the Transfer API as JSON schemas: what a request may hold, and what an answer always holds."""

from __future__ import annotations

from prefect_globus.emulator.schemas import (
    COUNT,
    FLAG,
    GIVEN_TIME,
    NUMBER,
    OBJECT,
    PATH,
    TEXT,
    TIME,
    UUID,
    Schema,
    Schemas,
    answer,
    each,
    listing,
    nullable,
    ref,
    request,
    requests,
)
from prefect_globus.emulator.transfer.endpoint_documents import ENDPOINT


def page(data_type: str, item: str) -> Schema:
    """Return the schema of a list that is read by offset."""
    return answer(data_type, DATA=listing(ref(item)), **each(COUNT, "length limit offset total"))


def marked(data_type: str, item: str) -> Schema:
    """Return the schema of a list that is read by marker."""
    return answer(
        data_type, DATA=listing(ref(item)), marker=COUNT, next_marker=nullable({"type": "integer", "minimum": 1})
    )


QUERY: dict[str, tuple[Schema, str]] = {
    "filter": (TEXT, "Clauses `field:value` joined by `/`, all of which must hold"),
    "filter_completion_time": (TEXT, "Two times joined by a comma, of which one may be empty"),
    "filter_endpoint": (UUID, "A collection"),
    "filter_endpoint_use": ({"enum": ["source", "destination"]}, "As what `filter_endpoint` is used"),
    "filter_entity_type": (TEXT, "Type of a collection, such as GCP_mapped_collection"),
    "filter_fulltext": (TEXT, "Words of the name or the UUID of a collection"),
    "filter_host_endpoint": (UUID, "An endpoint that hosts others"),
    "filter_is_error": ({"enum": ["1", "true"]}, "Whether to show errors only"),
    "filter_is_paused": ({"enum": ["0", "1", "true", "false"]}, "Whether a task is paused"),
    "filter_local_user": (TEXT, "A user name at `filter_endpoint`"),
    "filter_min_faults": (COUNT, "How many faults at least"),
    "filter_non_functional": ({"enum": ["0", "1"]}, "Whether a collection does not function"),
    "filter_owner_id": (UUID, "Whose tasks, or whose collections"),
    "filter_scope": (TEXT, "Which collections: all, my-endpoints, recently-used, in-use ..."),
    "filter_status": (TEXT, "Statuses, joined by commas"),
    "filter_task_id": (TEXT, "Task ids, joined by commas"),
    "last_key": (COUNT, "The `last_key` of the page before"),
    "limit": (COUNT, "How many at most"),
    "marker": (COUNT, "The `next_marker` of the page before"),
    "offset": (COUNT, "How many to leave out"),
    "orderby": (TEXT, "Fields, each with ASC or DESC, joined by commas"),
    "path": (PATH, "A path in the collection; `/~/` is its top"),
    "show_hidden": ({"enum": ["0", "1", "true", "false"]}, "Whether to list names that begin with a dot"),
}

ERROR = answer(**each(TEXT, "code message request_id resource"))

RESULT = each(TEXT, "code message request_id resource")
SUBMITTED = RESULT | {"submission_id": UUID, "task_id": UUID, "task_link": OBJECT}

TASK_FIELDS: dict[str, Schema] = (
    {"type": {"enum": ["TRANSFER", "DELETE"]}, "status": {"enum": ["ACTIVE", "INACTIVE", "SUCCEEDED", "FAILED"]}}
    | each(UUID, "task_id owner_id source_endpoint_id")
    | each(nullable(UUID), "destination_endpoint_id")
    | each(TEXT, "username source_endpoint command")
    | each(
        nullable(TEXT),
        "label destination_endpoint source_endpoint_display_name destination_endpoint_display_name recursive_symlinks "
        "nice_status nice_status_short_description nice_status_details canceled_by_admin canceled_by_admin_message",
    )
    | each(TIME, "request_time deadline")
    | {"completion_time": nullable(TIME)}
    | each(FLAG, "history_deleted is_paused")
    | each(
        nullable(FLAG),
        "encrypt_data verify_checksum delete_destination_extra preserve_timestamp skip_source_errors "
        "fail_on_quota_errors is_ok",
    )
    | each(
        COUNT,
        "faults files directories symlinks files_skipped files_transferred subtasks_total subtasks_pending "
        "subtasks_retrying subtasks_succeeded subtasks_expired subtasks_canceled subtasks_failed "
        "subtasks_skipped_errors bytes_transferred bytes_checksummed effective_bytes_per_second",
    )
    | each(nullable(NUMBER), "sync_level nice_status_expires_in")
    | {"fatal_error": nullable(OBJECT), "filter_rules": nullable(listing(OBJECT))}
)

PAUSABLE = (
    "pause_ls pause_mkdir pause_symlink pause_rename "
    "pause_task_delete pause_task_transfer_write pause_task_transfer_read"
)
PAUSE_RULE: dict[str, Schema] = {
    **each(UUID, "id endpoint_id"),
    "identity_id": nullable(UUID),
    "message": TEXT,
    "endpoint_display_name": nullable(TEXT),
    "start_time": nullable(TIME),
    "modified_time": TIME,
    **each(FLAG, PAUSABLE),
}
MANAGED_TASK_FIELDS: dict[str, Schema] = TASK_FIELDS | each(
    nullable(TEXT),
    "owner_string source_local_user source_local_user_status source_host_endpoint source_host_endpoint_id "
    "source_host_endpoint_display_name source_host_path source_mapped_collection_id "
    "source_mapped_collection_display_name destination_local_user destination_local_user_status "
    "destination_host_endpoint destination_host_endpoint_id destination_host_endpoint_display_name "
    "destination_host_path destination_mapped_collection_id destination_mapped_collection_display_name",
)

ANSWERS: dict[str, Schema] = {
    "endpoint": {
        "type": "object",
        "required": sorted({*ENDPOINT, "id", "display_name", "name", "username", "canonical_name"}),
        "properties": {"id": UUID, "display_name": TEXT, "entity_type": TEXT, "high_assurance": FLAG},
    },
    "endpoint_list": answer(
        "endpoint_list", DATA=listing(ref("endpoint")), has_next_page=FLAG, **each(COUNT, "limit offset")
    ),
    "file": answer(
        "file",
        type={"enum": ["file", "dir", "invalid_symlink", "chr", "blk", "pipe", "other"]},
        size=COUNT,
        last_modified=TIME,
        **each(TEXT, "name permissions user group"),
        **each(nullable(TEXT), "link_target link_user link_group link_last_modified"),
        link_size=nullable(COUNT),
    ),
    "file_list": answer(
        "file_list",
        DATA=listing(ref("file")),
        path=PATH,
        absolute_path=nullable(PATH),
        endpoint=UUID,
        **each(COUNT, "length total"),
        **each(FLAG, "rename_supported symlink_supported"),
    ),
    "mkdir_result": answer("mkdir_result", **RESULT),
    "result": answer("result", **RESULT),
    "submission_id": answer("submission_id", value=UUID),
    "transfer_result": answer("transfer_result", **SUBMITTED),
    "delete_result": answer("delete_result", **SUBMITTED),
    "task": answer("task", **TASK_FIELDS),
    "task_list": page("task_list", "task"),
    "managed_task": answer("task", **MANAGED_TASK_FIELDS),
    "managed_task_list": answer(
        "task_list", DATA=listing(ref("managed_task")), has_next_page=FLAG, last_key=nullable(TEXT)
    ),
    "pause_rule": answer(
        "pause_rule", **PAUSE_RULE, modified_by_id=UUID, **each(FLAG, "created_by_host_manager editable")
    ),
    "pause_rule_limited": answer("pause_rule_limited", **PAUSE_RULE),
    "pause_rule_list": answer("pause_rule_list", DATA=listing(ref("pause_rule"))),
    "effective_pause_rule_list": answer("pause_rule_list", DATA=listing(ref("pause_rule_limited"))),
    "pause_info_limited": answer(
        "pause_info_limited",
        pause_rules=listing(ref("pause_rule_limited")),
        **each(
            nullable(TEXT),
            "source_pause_message source_pause_message_share destination_pause_message destination_pause_message_share",
        ),
    ),
    "admin_cancel": answer("admin_cancel", id=COUNT, message=TEXT, task_id_list=listing(UUID), done=FLAG),
    "event": answer("event", is_error=FLAG, time=TIME, **each(TEXT, "code description details")),
    "event_list": page("event_list", "event"),
    "successful_transfer": answer(
        "successful_transfer",
        source_path=PATH,
        destination_path=PATH,
        size=COUNT,
        dynamic=FLAG,
        **each(nullable(TEXT), "checksum checksum_algorithm"),
    ),
    "successful_transfers": marked("successful_transfers", "successful_transfer"),
    "skipped_error": answer(
        "skipped_error",
        source_path=PATH,
        destination_path=nullable(PATH),
        error_time=TIME,
        **each(TEXT, "error_code error_details"),
        **each(FLAG, "is_directory is_symlink is_delete_destination_extra"),
        **each(nullable(TEXT), "external_checksum checksum_algorithm"),
    ),
    "skipped_errors": marked("skipped_errors", "skipped_error"),
}

TASK_REQUEST: dict[str, Schema] = {
    "submission_id": UUID,
    "label": nullable(TEXT | {"maxLength": 128, "pattern": r"^(\S([^\r\n]*\S)?)?$"}),
    "deadline": nullable(GIVEN_TIME),
    **each(nullable(FLAG), "notify_on_succeeded notify_on_failed notify_on_inactive"),
}
TRANSFER_OPTIONS: dict[str, Schema] = {
    "sync_level": {"enum": [None, 0, 1, 2, 3]},
    "recursive_symlinks": {"enum": [None, "ignore", "keep", "copy"]},
    "filter_rules": nullable(listing(ref("filter_rule_request"))),
    **each(
        nullable(FLAG),
        "verify_checksum preserve_timestamp encrypt_data skip_source_errors fail_on_quota_errors "
        "delete_destination_extra store_base_path_info",
    ),
    **each(nullable(TEXT), "source_local_user destination_local_user"),
}

TASK_IDS = listing(UUID) | {"minItems": 1}
MESSAGE = TEXT | {"minLength": 1}

BODIES: dict[str, Schema] = {
    "mkdir": request("mkdir", ("path",), path=PATH, local_user=nullable(TEXT)),
    "rename": request("rename", ("old_path", "new_path"), **each(PATH, "old_path new_path"), local_user=nullable(TEXT)),
    "filter_rule": request(
        "filter_rule",
        ("name",),
        name=TEXT | {"minLength": 1},
        method={"enum": ["include", "exclude"]},
        type={"enum": [None, "file", "dir"]},
    ),
    "transfer_item": request(
        None,
        ("source_path", "destination_path"),
        DATA_TYPE={"enum": ["transfer_item", "transfer_symlink_item"]},
        source_path=PATH,
        destination_path=PATH,
        recursive=nullable(FLAG),
        **each(nullable(TEXT), "external_checksum checksum_algorithm"),
    ),
    "transfer": request(
        "transfer",
        ("submission_id", "source_endpoint", "destination_endpoint", "DATA"),
        **each(UUID, "source_endpoint destination_endpoint"),
        DATA=listing(ref("transfer_item_request")) | {"minItems": 1},
        **TASK_REQUEST,
        **TRANSFER_OPTIONS,
    ),
    "delete_item": request("delete_item", ("path",), path=PATH),
    "delete": request(
        "delete",
        ("submission_id", "endpoint", "DATA"),
        endpoint=UUID,
        DATA=listing(ref("delete_item_request")) | {"minItems": 1},
        **TASK_REQUEST,
        **each(nullable(FLAG), "recursive ignore_missing interpret_globs"),
        local_user=nullable(TEXT),
    ),
    "pause_rule": request(
        "pause_rule",
        ("endpoint_id", "message"),
        endpoint_id=UUID,
        identity_id=nullable(UUID),
        message=MESSAGE,
        start_time=nullable(GIVEN_TIME),
        **each(FLAG, PAUSABLE),
    ),
    "pause_rule_update": request(
        "pause_rule", (), message=TEXT, start_time=nullable(GIVEN_TIME), **each(FLAG, PAUSABLE)
    ),
    "admin_cancel": request("admin_cancel", ("task_id_list", "message"), task_id_list=TASK_IDS, message=MESSAGE),
    "admin_pause": request("admin_pause", ("task_id_list", "message"), task_id_list=TASK_IDS, message=MESSAGE),
    "admin_resume": request("admin_resume", ("task_id_list",), task_id_list=TASK_IDS),
    "task": request("task", label=TASK_REQUEST["label"], deadline=nullable(GIVEN_TIME)),
}

SCHEMAS = Schemas(ERROR, QUERY, ANSWERS | requests(BODIES))
