"""The Transfer API: its operations, by path."""

from __future__ import annotations

from prefect_globus.emulator.auth.scopes import TRANSFER_SERVER
from prefect_globus.emulator.transfer import operations, task_operations
from prefect_globus.emulator.web import Operation, Service, error_document

COLLECTION = "/v0.10/operation/endpoint/{endpoint}"
TASK = "/v0.10/task/{task}"
PAGE = ("limit", "offset")

TRANSFER = Service(
    name="Transfer",
    resource_server=TRANSFER_SERVER,
    error_document=error_document,
    operations=(
        Operation("GET", "/v0.10/endpoint/{endpoint}", operations.get_endpoint),
        Operation("GET", "/v0.10/endpoint_search", operations.search, query=(*PAGE, "filter_fulltext")),
        Operation("GET", f"{COLLECTION}/ls", operations.ls, query=("path", "show_hidden", *PAGE, "orderby", "filter")),
        Operation("GET", f"{COLLECTION}/stat", operations.stat, query=("path",)),
        Operation("POST", f"{COLLECTION}/mkdir", operations.mkdir, body="mkdir"),
        Operation("POST", f"{COLLECTION}/rename", operations.rename, body="rename"),
        Operation("GET", "/v0.10/submission_id", task_operations.submission_id),
        Operation("POST", "/v0.10/transfer", task_operations.submit, body="transfer"),
        Operation("GET", "/v0.10/task_list", task_operations.task_list, query=(*PAGE, "orderby", "filter")),
        Operation("GET", TASK, task_operations.get_task),
        Operation("PUT", TASK, task_operations.update, body="task"),
        Operation("GET", f"{TASK}/event_list", task_operations.event_list, query=(*PAGE, "filter")),
        Operation("GET", f"{TASK}/successful_transfers", task_operations.successful_transfers, query=("marker",)),
        Operation("GET", f"{TASK}/skipped_errors", task_operations.skipped_errors, query=("marker",)),
        Operation("POST", f"{TASK}/cancel", task_operations.cancel),
    ),
)
