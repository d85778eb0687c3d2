"""`GET /openapi.json`: what the emulator serves, made from the very operations that serve it."""

from __future__ import annotations

import re
from functools import cache
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from starlette.routing import Route

from prefect_globus.emulator import schemas
from prefect_globus.emulator.schemas import Schema, ref
from prefect_globus.emulator.web import json_response

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.requests import Request
    from starlette.responses import Response

    from prefect_globus.emulator.web import Operation, Service

Document = dict[str, Any]


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
            "schemas": {name: schema for service in services for name, schema in _schemas(service).items()},
            "securitySchemes": {service.name: _security(service) for service in services},
        },
    }


def _schemas(service: Service) -> dict[str, Schema]:
    return {**service.schemas.components, f"{service.name}_error": service.schemas.error}


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
            *(_query_parameter(name, *service.schemas.query[name]) for name in operation.query),
        ],
        "responses": _responses(service, operation),
    }
    if operation.body is not None:
        document["requestBody"] = {"required": True, "content": _json(ref(f"{operation.body}_request"))}
    return document


def _path_parameter(name: str) -> Document:
    return {"in": "path", "name": name, "required": True, "schema": schemas.UUID}


def _query_parameter(name: str, schema: Schema, description: str) -> Document:
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
