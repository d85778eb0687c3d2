"""The Transfer API: its operations, by path."""

from __future__ import annotations

from prefect_globus.emulator.auth.scopes import TRANSFER_SERVER
from prefect_globus.emulator.transfer import management, operations, pause_rules, search, task_operations
from prefect_globus.emulator.transfer.schemas import SCHEMAS
from prefect_globus.emulator.web import Operation, Service, error_document

COLLECTION = "/v0.10/operation/endpoint/{endpoint}"
TASK = "/v0.10/task/{task}"
MANAGER = "/v0.10/endpoint_manager"
MANAGED_TASK = f"{MANAGER}/task/{{task}}"
PAGE = ("limit", "offset")
SEARCH = (
    *PAGE,
    "filter_fulltext",
    "filter_scope",
    "filter_owner_id",
    "filter_host_endpoint",
    "filter_entity_type",
    "filter_non_functional",
)

TRANSFER = Service(
    name="Transfer",
    resource_server=TRANSFER_SERVER,
    error_document=error_document,
    schemas=SCHEMAS,
    is_metered=True,
    operations=(
        Operation("GET", "/v0.10/endpoint/{endpoint}", operations.get_endpoint, answer="endpoint"),
        Operation("GET", "/v0.10/endpoint_search", search.search, query=SEARCH, answer="endpoint_list"),
        Operation(
            "GET",
            f"{COLLECTION}/ls",
            operations.ls,
            query=("path", "show_hidden", *PAGE, "orderby", "filter"),
            answer="file_list",
        ),
        Operation("GET", f"{COLLECTION}/stat", operations.stat, query=("path",), answer="file"),
        Operation("POST", f"{COLLECTION}/mkdir", operations.mkdir, body="mkdir", answer="mkdir_result"),
        Operation("POST", f"{COLLECTION}/rename", operations.rename, body="rename", answer="result"),
        Operation("GET", "/v0.10/submission_id", task_operations.submission_id, answer="submission_id"),
        Operation(
            "POST", "/v0.10/transfer", task_operations.submit_transfer, body="transfer", answer="transfer_result"
        ),
        Operation("POST", "/v0.10/delete", task_operations.submit_delete, body="delete", answer="delete_result"),
        Operation(
            "GET", "/v0.10/task_list", task_operations.task_list, query=(*PAGE, "orderby", "filter"), answer="task_list"
        ),
        Operation("GET", TASK, task_operations.get_task, answer="task"),
        Operation("PUT", TASK, task_operations.update, body="task", answer="result"),
        Operation(
            "GET", f"{TASK}/event_list", task_operations.event_list, query=(*PAGE, "filter"), answer="event_list"
        ),
        Operation(
            "GET",
            f"{TASK}/successful_transfers",
            task_operations.successful_transfers,
            query=("marker",),
            answer="successful_transfers",
        ),
        Operation(
            "GET", f"{TASK}/skipped_errors", task_operations.skipped_errors, query=("marker",), answer="skipped_errors"
        ),
        Operation("POST", f"{TASK}/cancel", task_operations.cancel, answer="result"),
        Operation("GET", f"{TASK}/pause_info", pause_rules.pause_info, answer="pause_info_limited"),
        Operation(
            "GET",
            "/v0.10/endpoint/{endpoint}/my_effective_pause_rule_list",
            pause_rules.list_effective,
            answer="effective_pause_rule_list",
        ),
        Operation(
            "GET",
            f"{MANAGER}/pause_rule_list",
            pause_rules.list_all,
            query=("filter_endpoint",),
            answer="pause_rule_list",
        ),
        Operation("POST", f"{MANAGER}/pause_rule", pause_rules.create, body="pause_rule", answer="pause_rule"),
        Operation("GET", f"{MANAGER}/pause_rule/{{rule}}", pause_rules.get, answer="pause_rule"),
        Operation(
            "PUT", f"{MANAGER}/pause_rule/{{rule}}", pause_rules.update, body="pause_rule_update", answer="pause_rule"
        ),
        Operation("DELETE", f"{MANAGER}/pause_rule/{{rule}}", pause_rules.delete, answer="result"),
        Operation(
            "GET",
            f"{MANAGER}/task_list",
            management.task_list,
            query=(*management.FILTERS, "last_key"),
            answer="managed_task_list",
        ),
        Operation("GET", MANAGED_TASK, management.get_task, answer="managed_task"),
        Operation(
            "GET",
            f"{MANAGED_TASK}/event_list",
            management.event_list,
            query=(*PAGE, "filter_is_error"),
            answer="event_list",
        ),
        Operation(
            "GET",
            f"{MANAGED_TASK}/successful_transfers",
            management.successful_transfers,
            query=("marker",),
            answer="successful_transfers",
        ),
        Operation(
            "GET",
            f"{MANAGED_TASK}/skipped_errors",
            management.skipped_errors,
            query=("marker",),
            answer="skipped_errors",
        ),
        Operation("GET", f"{MANAGED_TASK}/pause_info", management.pause_info, answer="pause_info_limited"),
        Operation(
            "POST", f"{MANAGER}/admin_cancel", management.admin_cancel, body="admin_cancel", answer="admin_cancel"
        ),
        Operation("GET", f"{MANAGER}/admin_cancel/{{cancel}}", management.cancel_status, answer="admin_cancel"),
        Operation("POST", f"{MANAGER}/admin_pause", management.admin_pause, body="admin_pause", answer="result"),
        Operation("POST", f"{MANAGER}/admin_resume", management.admin_resume, body="admin_resume", answer="result"),
    ),
)
