"""`GET /openapi.json`: what the emulator serves, made from the very operations that serve it."""

from __future__ import annotations

import re
from functools import cache
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from starlette.routing import Route

from prefect_globus.emulator import schemas
from prefect_globus.emulator.schemas import Schema, ref
from prefect_globus.emulator.timers import schemas as timer_schemas
from prefect_globus.emulator.web import json_response

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.requests import Request
    from starlette.responses import Response

    from prefect_globus.emulator.web import Operation, Service

Document = dict[str, Any]

QUERY: dict[str, tuple[Schema, str]] = {
    "all": ({"enum": ["0", "1", "true", "false"]}, "Whether to show the consents to other clients, too"),
    "domains": (schemas.TEXT, "Domains of identity providers, joined by commas"),
    "filter": (schemas.TEXT, "Clauses `field:value` joined by `/`, all of which must hold"),
    "filter_completion_time": (schemas.TEXT, "Two times joined by a comma, of which one may be empty"),
    "filter_endpoint": (schemas.UUID, "A collection"),
    "filter_endpoint_use": ({"enum": ["source", "destination"]}, "As what `filter_endpoint` is used"),
    "filter_fulltext": (schemas.TEXT, "Words of the name or the UUID of a collection"),
    "filter_is_error": ({"enum": ["1", "true"]}, "Whether to show errors only"),
    "filter_is_paused": ({"enum": ["0", "1", "true", "false"]}, "Whether a task is paused"),
    "filter_local_user": (schemas.TEXT, "A user name at `filter_endpoint`"),
    "filter_min_faults": (schemas.COUNT, "How many faults at least"),
    "filter_owner_id": (schemas.UUID, "Whose tasks"),
    "filter_status": (schemas.TEXT, "Statuses, joined by commas"),
    "filter_task_id": (schemas.TEXT, "Task ids, joined by commas"),
    "ids": (schemas.TEXT, "UUIDs, joined by commas"),
    "include": ({"enum": ["identity_provider"]}, "What to show besides"),
    "last_key": (schemas.COUNT, "The `last_key` of the page before"),
    "limit": (schemas.COUNT, "How many at most"),
    "marker": (schemas.COUNT, "The `next_marker` of the page before"),
    "offset": (schemas.COUNT, "How many to leave out"),
    "orderby": (schemas.TEXT, "Fields, each with ASC or DESC, joined by commas"),
    "path": (schemas.PATH, "A path in the collection; `/~/` is its top"),
    "provision": ({"enum": ["true", "false"]}, "Whether to make identities of names that were never seen"),
    "show_hidden": ({"enum": ["0", "1", "true", "false"]}, "Whether to list names that begin with a dot"),
    "usernames": (schemas.TEXT, "User names, joined by commas"),
    **timer_schemas.QUERY,
}


def openapi_route(services: Sequence[Service]) -> Route:
    """Return the route of the document, which is made when it is first asked for."""

    @cache
    def document() -> Document:
        return openapi_document(services)

    async def answer(_: Request) -> Response:
        return json_response(document())

    return Route("/openapi.json", answer)


def openapi_document(services: Sequence[Service]) -> Document:
    """Return the OpenAPI 3.1 document of services."""
    paths: dict[str, Document] = {}
    for service in services:
        for operation in service.operations:
            paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(service, operation)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Globus emulator",
            "version": version("prefect-globus"),
            "description": "A local Globus: what globus-sdk and globus-cli ask of the real one.",
        },
        "paths": paths,
        "components": {
            "schemas": {
                **schemas.ANSWERS,
                **timer_schemas.ANSWERS,
                **timer_schemas.components(),
                "Timers_error": timer_schemas.ERROR,
                **{f"{name}_request": body for name, body in schemas.BODIES.items()},
                **{f"{name}_error": error for name, error in schemas.ERRORS.items()},
            },
            "securitySchemes": {service.name: _security(service) for service in services},
        },
    }


def _security(service: Service) -> Document:
    return {"type": "http", "scheme": "bearer", "description": f"An access token for {service.resource_server}"}


def _operation(service: Service, operation: Operation) -> Document:
    document: Document = {
        "operationId": "_".join([service.name, operation.method, *re.findall(r"\w+", operation.path)]).lower(),
        "summary": (operation.handle.__doc__ or "").partition("\n")[0],
        "tags": [service.name],
        "security": [{service.name: []}],
        "parameters": [
            *(_path_parameter(name) for name in re.findall(r"{(\w+)}", operation.path)),
            *(_query_parameter(name) for name in operation.query),
        ],
        "responses": _responses(service, operation),
    }
    if operation.body is not None:
        document["requestBody"] = {"required": True, "content": _json(ref(f"{operation.body}_request"))}
    return document


def _path_parameter(name: str) -> Document:
    return {"in": "path", "name": name, "required": True, "schema": schemas.UUID}


def _query_parameter(name: str) -> Document:
    schema, description = QUERY[name]
    return {"in": "query", "name": name, "schema": schema, "description": description}


def _responses(service: Service, operation: Operation) -> Document:
    done = ref(operation.answer) if operation.answer else schemas.OBJECT
    error = _json(ref(f"{service.name}_error"))
    return {
        "2XX": {"description": "Done", "content": _json(done)},
        "4XX": {"description": "The request cannot be answered as it is", "content": error},
        "502": {"description": "The collection failed", "content": error},
        "503": {"description": "The collection or the service is not to be had", "content": error},
    }


def _json(schema: Schema) -> Document:
    return {"application/json": {"schema": schema}}
