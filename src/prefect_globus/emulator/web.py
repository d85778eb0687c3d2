"""HTTP around the services: reading requests, checking tokens, and answering in JSON whatever happens."""

from __future__ import annotations

import logging
import secrets
import sqlite3
import string
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.routing import Route

from prefect_globus.emulator.errors import ApiError, AuthenticationFailed, BadRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from starlette.datastructures import QueryParams
    from starlette.requests import Request

    from prefect_globus.emulator.identities import TokenOwner
    from prefect_globus.emulator.schemas import Schemas
    from prefect_globus.emulator.site import Site

logger = logging.getLogger(__name__)

LARGEST_BODY = 256 * 1024 * 1024  # a million items [inferred]
LARGEST_NUMBER = 2**31
REQUEST_ID_ALPHABET = string.ascii_letters + string.digits

Document = dict[str, Any]

STATUSES = {"Accepted": 202}  # by code of an answer; any other has the status of its operation (contract section 3)


@dataclass(frozen=True, slots=True)
class Call:
    """One authenticated request: what a route function gets."""

    site: Site
    owner: TokenOwner
    path: Mapping[str, str]
    query: QueryParams
    body: Document

    @property
    def identity(self) -> str:
        """Whom the caller acts for."""
        return self.owner.identity

    def number(self, name: str, default: int, largest: int = LARGEST_NUMBER) -> int:
        """Return a whole number of the query, from 0 to `largest`, above which it is cut. Raises BadRequest."""
        text = self.query.get(name)
        if not text:
            return default
        if not (text.isascii() and text.isdigit()):
            raise BadRequest(f"'{name}' must be a whole number: {text[:80]!r}")
        return largest if len(text) > len(str(largest)) else min(int(text), largest)

    def flag(self, name: str, *, default: bool) -> bool:
        """Return a yes or no of the query. Raises BadRequest."""
        text = self.query.get(name, "").lower()
        if text not in ("", "0", "1", "true", "false"):
            raise BadRequest(f"'{name}' must be 0 or 1")
        return default if not text else text in ("1", "true")


class Operation(NamedTuple):
    """One operation of a service: its route and its entry in the OpenAPI document are made from this.

    Attributes:
        method: the HTTP method.
        path: the path, with names in braces.
        handle: what answers it, in a thread. A document that tells what was done, by a `code`, gets the `request_id`
            and the `resource` of the request.
        query: the names of its query parameters, which the schemas of the service describe.
        body: the name of the schema of its body, or None if it takes none.
        answer: the name of the schema of its answer, or None if it is any object.
        status: the HTTP status of its answer, unless the `code` of that says otherwise.
    """

    method: str
    path: str
    handle: Callable[[Call], Document]
    query: tuple[str, ...] = ()
    body: str | None = None
    answer: str | None = None
    status: int = 200


@dataclass(frozen=True, slots=True)
class Service:
    """One service of the origin.

    Attributes:
        name: its name.
        resource_server: whose tokens it asks for.
        operations: what it does.
        error_document: makes the document of an error, given the path of the request.
        schemas: the schemas of its parameters, bodies and answers.
        is_metered: whether a user may make only so many requests a second of it.
        tokenless_owner: tells who else may call, by an Authorization header that has no token; nobody if left out.
    """

    name: str
    resource_server: str
    operations: tuple[Operation, ...]
    error_document: Callable[[ApiError, str], Document]
    schemas: Schemas
    is_metered: bool = False
    tokenless_owner: Callable[[Site, str], TokenOwner | None] | None = None

    def routes(self, site: Site) -> list[Route]:
        """Return the routes of the operations."""
        return [self._route(site, operation) for operation in self.operations]

    def _route(self, site: Site, operation: Operation) -> Route:
        kind = f"{operation.method} {operation.path}"

        async def endpoint(request: Request) -> Response:
            site.requests[kind] += 1  # without a lock: this is the one thread of the event loop
            try:
                raw = await read_body(request) if operation.method in ("POST", "PUT", "PATCH") else b""
                return await run_in_threadpool(answer, request, raw)
            except ApiError as error:
                return json_response(self.error_document(error, request.url.path), error.status, error.headers)

        def answer(request: Request, raw: bytes) -> Response:
            owner = self._owner(site, request.headers.get("authorization", ""))
            if self.is_metered:
                site.meter.check(owner.identity)
            body = read_document(raw) if raw else {}
            call = Call(site, owner, request.path_params, request.query_params, body)
            document = operation.handle(call)
            if "code" in document:
                document = document | {"request_id": request_id(), "resource": request.url.path}
            return json_response(document, STATUSES.get(document.get("code", ""), operation.status))

        return Route(operation.path, endpoint, methods=[operation.method])

    def _owner(self, site: Site, authorization: str) -> TokenOwner:
        """Return who calls. Raises AuthenticationFailed."""
        scheme, _, token = authorization.partition(" ")
        owner = None
        if scheme.lower() == "bearer":
            owner = site.tokens.owner(token.strip())
        elif self.tokenless_owner is not None:
            owner = self.tokenless_owner(site, authorization)
        if owner is None or owner.resource_server != self.resource_server:
            raise AuthenticationFailed
        return owner


def json_response(document: Document, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Return a document as an answer."""
    return Response(orjson.dumps(document), status, headers, media_type="application/json")


def request_id() -> str:
    """Return nine letters and digits, as Globus does (contract section 1)."""
    return "".join(secrets.choice(REQUEST_ID_ALPHABET) for _ in range(9))


def error_response(request: Request, error: Exception) -> Response:
    """Return the answer to an exception that no service took."""
    if isinstance(error, HTTPException):
        found = {404: "ClientError.NotFound", 405: "ClientError.MethodNotAllowed"}
        code, asked = found.get(error.status_code), f"{request.method} {request.url.path[:200]}"
        message = error.detail if code is None else f"This emulator does not serve {asked}"
        error = ApiError(error.status_code, code or "BadRequest", message)
    if isinstance(error, sqlite3.OperationalError):  # somebody else has locked the state file, or the disk is full
        error = ApiError(503, "ServiceUnavailable", f"The state file cannot be used at the moment: {error}")
    if not isinstance(error, ApiError):
        logger.error("Request failed", exc_info=error)
        error = ApiError(500, "InternalError", "Internal error of the emulator")
    return json_response(error_document(error, request.url.path), error.status, error.headers)


def error_document(error: ApiError, resource: str) -> Document:
    """Return the error document of the Transfer API (contract section 2)."""
    return {
        "code": error.code,
        "message": error.message,
        "request_id": request_id(),
        "resource": resource,
        **error.facts,
    }


async def read_body(request: Request) -> bytes:
    """Return the body of a request. Raises ApiError if it is too large, or ends before its end."""
    chunks = bytearray()
    try:
        async for chunk in request.stream():
            chunks += chunk
            if len(chunks) > LARGEST_BODY:
                raise ApiError(413, "RequestEntityTooLarge", f"The body is larger than {LARGEST_BODY} bytes")
    except ClientDisconnect as error:
        raise BadRequest("The connection was closed in the middle of the body") from error
    return bytes(chunks)


def read_document(raw: bytes) -> Document:
    """Return the JSON object of a body. Raises BadRequest."""
    try:
        document = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise BadRequest(f"The body is not JSON: {error}") from error
    if not isinstance(document, dict):
        raise BadRequest("The body must be a JSON object")
    return document
