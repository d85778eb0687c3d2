"""The Timers API: its operations, by path."""

from __future__ import annotations

from prefect_globus.emulator.auth.scopes import TIMERS_SERVER
from prefect_globus.emulator.timers import operations
from prefect_globus.emulator.timers.documents import error_document
from prefect_globus.emulator.timers.schemas import SCHEMAS
from prefect_globus.emulator.web import Operation, Service

JOB = "/jobs/{job_id}"
LIST_QUERY = (
    "filter_name",
    "submitted_after",
    "submitted_before",
    "filter_active",
    "filter_stopped",
    "filter_status",
    "result_count",
    "order",
)
CREATED = 201

TIMERS = Service(
    name="Timers",
    resource_server=TIMERS_SERVER,
    error_document=error_document,
    schemas=SCHEMAS,
    operations=(
        Operation("POST", "/v2/timer", operations.create_timer, body="timer_create", answer="timer", status=CREATED),
        Operation("GET", "/jobs/", operations.list_jobs, query=LIST_QUERY, answer="job_list"),
        Operation("POST", "/jobs/", operations.create_job, body="job_create", answer="job", status=CREATED),
        Operation("GET", JOB, operations.get_job, query=("results_pt", "page_size"), answer="job"),
        Operation("PATCH", JOB, operations.update_job, body="job_update", answer="job"),
        Operation("DELETE", JOB, operations.delete_job, answer="job"),
        Operation("POST", f"{JOB}/pause", operations.pause_job, answer="job_message"),
        Operation(
            "POST",
            f"{JOB}/resume",
            operations.resume_job,
            query=("update_credentials",),
            body="job_resume",
            answer="job_message",
        ),
    ),
)
