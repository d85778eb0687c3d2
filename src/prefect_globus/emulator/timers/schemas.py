"""The documents of timers as JSON schemas; those of requests are made from the very models that read them."""

from __future__ import annotations

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from prefect_globus.emulator.schemas import (
    COUNT,
    FLAG,
    GIVEN_TIME,
    NUMBER,
    OBJECT,
    TEXT,
    UUID,
    Schema,
    Schemas,
    answer,
    each,
    listing,
    nullable,
    ref,
)
from prefect_globus.emulator.timers.listing import DEFAULT_PAGE, LARGEST_PAGE, ORDERS
from prefect_globus.emulator.timers.model import Cause, Status
from prefect_globus.emulator.timers.requests import JobCreate, JobUpdate, Resume, TimerCreate

BODIES: dict[str, type[BaseModel]] = {
    "timer_create": TimerCreate,
    "job_create": JobCreate,
    "job_update": JobUpdate,
    "job_resume": Resume,
}
PAGE: Schema = {"type": "integer", "minimum": 1, "maximum": LARGEST_PAGE, "default": DEFAULT_PAGE}

QUERY: dict[str, tuple[Schema, str]] = {
    "filter_name": (TEXT, "What the name contains, in any case"),
    "submitted_after": (GIVEN_TIME, "Only timers that were made after this moment"),
    "submitted_before": (GIVEN_TIME, "Only timers that were made before this moment"),
    "filter_active": (FLAG, "The same as a `filter_status` of active"),
    "filter_stopped": (FLAG, "The same as a `filter_status` of ended"),
    "filter_status": (TEXT, "Statuses joined by commas: active, inactive, ended"),
    "result_count": (PAGE, "How many results of each timer at most"),
    "order": ({"enum": [f"{field}{way}" for field in ORDERS for way in ("", " asc", " desc")]}, "FIELD [asc|desc]"),
    "results_pt": ({"type": "string", "pattern": "^[0-9]{1,18}$"}, "The `page_next` of the page before"),
    "page_size": (PAGE, "How many results at most"),
    "update_credentials": (FLAG, "Whether to run with the consents of the caller's client from now on"),
}

DETAIL = answer(None, loc=listing({"type": ["string", "integer"]}), **each(TEXT, "msg type"))
ERROR: Schema = {
    "anyOf": [
        answer(None, error=answer(None, **each(TEXT, "code detail"), status=NUMBER)),
        answer(None, detail=listing(DETAIL) | {"minItems": 1}),
    ]
}

TIMER_FIELDS: dict[str, Schema] = {
    "job_id": UUID,
    "timer_type": {"const": "transfer"},
    "status": {"enum": [status.value for status in Status]},
    "submitted_at": GIVEN_TIME,
    "schedule": OBJECT,
    "inactive_reason": nullable(
        answer(None, cause={"enum": [cause.value for cause in Cause]}, detail=nullable(OBJECT))
    ),
    "activity": nullable(answer(None, code={"enum": ["awaiting_next_run", "run_in_progress", "retrying", "paused"]})),
    **each(nullable(GIVEN_TIME), "last_ran_at next_run"),
    "name": nullable(TEXT),
}

ANSWERS: dict[str, Schema] = {
    "timer": answer(
        None, timer=answer(None, body=OBJECT, **each(COUNT, "number_of_runs number_of_errors"), **TIMER_FIELDS)
    ),
    "job_result": answer(
        None,
        run_status=TEXT,
        **each(nullable(OBJECT), "data errors"),
        **each(nullable(NUMBER), "status http_status_submission http_status_polled"),
        **each(GIVEN_TIME, "ran_at start_timestamp"),
        **each(nullable(GIVEN_TIME), "end_timestamp next_check_timestamp last_check_timestamp"),
        resource_id=nullable(TEXT),
    ),
    "job": answer(
        None,
        start=GIVEN_TIME,
        interval={"type": ["number", "null"]},
        stop_after=nullable(answer(None, date=nullable(GIVEN_TIME), n_runs=nullable(COUNT))),
        callback_url=TEXT,
        callback_body=OBJECT,
        scope=nullable(TEXT),
        results=answer(None, data=listing(ref("job_result")), page_next=nullable(TEXT)),
        **each(COUNT, "n_runs n_errors"),
        **TIMER_FIELDS,
    ),
    "job_list": answer(None, jobs=listing(ref("job"))),
    "job_message": answer(None, message=TEXT),
}


def _requests() -> dict[str, Schema]:
    """Return the schemas of requests, and what these refer to, by name."""
    models, found = models_json_schema(
        [(model, "validation") for model in BODIES.values()], ref_template=ref("{model}")["$ref"]
    )
    requests = {f"{name}_request": models[model, "validation"] for name, model in BODIES.items()}
    definitions: dict[str, Schema] = found["$defs"]
    return requests | definitions


SCHEMAS = Schemas(ERROR, QUERY, ANSWERS | _requests())
