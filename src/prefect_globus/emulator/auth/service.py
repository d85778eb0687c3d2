"""Globus Auth: its routes. Clients come with forms or JSON, users with a browser, and the API is called with tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

import orjson
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from prefect_globus.emulator.auth import endpoints, operations, screens
from prefect_globus.emulator.auth.clients import as_itself
from prefect_globus.emulator.auth.endpoints import ClientCall
from prefect_globus.emulator.auth.errors import OAuthError, auth_error_document
from prefect_globus.emulator.auth.schemas import SCHEMAS
from prefect_globus.emulator.auth.scopes import AUTH_SERVER
from prefect_globus.emulator.auth.screens import PageCall
from prefect_globus.emulator.errors import ApiError, BadRequest
from prefect_globus.emulator.web import Operation, Service, json_response, read_body, read_document

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request

    from prefect_globus.emulator.site import Site

MOST_FIELDS = 100
IDENTITY = "/v2/api/identities/{identity}"

AUTH = Service(
    name="Auth",
    resource_server=AUTH_SERVER,
    error_document=auth_error_document,
    schemas=SCHEMAS,
    tokenless_owner=as_itself,
    operations=(
        Operation("GET", "/v2/oauth2/userinfo", operations.userinfo, answer="userinfo"),
        Operation("POST", "/v2/oauth2/userinfo", operations.post_userinfo, answer="userinfo"),
        Operation(
            "GET",
            "/v2/api/identities",
            operations.get_identities,
            query=("ids", "usernames", "include", "provision"),
            answer="identities",
        ),
        Operation("GET", IDENTITY, operations.get_identity, query=("include",), answer="identity_answer"),
        Operation("GET", f"{IDENTITY}/consents", operations.get_consents, query=("all",), answer="consents"),
        Operation("DELETE", f"{IDENTITY}/consents/{{consent}}", operations.rescind_consent, answer="consents"),
        Operation(
            "GET",
            "/v2/api/identity_providers",
            operations.get_identity_providers,
            query=("ids", "domains"),
            answer="identity_providers",
        ),
    ),
)

CLIENT_ROUTES: tuple[tuple[str, str, Callable[[ClientCall], Any]], ...] = (
    ("GET", "/.well-known/openid-configuration", endpoints.configuration),
    ("GET", "/jwk.json", endpoints.keys),
    ("POST", "/v2/oauth2/token", endpoints.token),
    ("POST", "/v2/oauth2/token/introspect", endpoints.introspect),
    ("POST", "/v2/oauth2/token/revoke", endpoints.revoke),
    ("POST", "/v2/oauth2/token/validate", endpoints.validate),
    ("POST", "/v2/api/clients", endpoints.create_client),
    ("GET", "/v2/api/clients/{client}", endpoints.get_client),
    ("DELETE", "/v2/api/clients/{client}", endpoints.delete_client),
)

PAGE_ROUTES: tuple[tuple[str, str, Callable[[PageCall], Response]], ...] = (
    ("GET", "/v2/oauth2/authorize", screens.authorize),
    ("POST", "/v2/oauth2/authorize", screens.decide),
    ("GET", "/v2/web/auth-code", screens.show_code),
    ("GET", "/v2/web/logout", screens.logout),
)


def auth_routes(site: Site) -> list[BaseRoute]:
    """Return the routes of Globus Auth that take no token; the others are the operations of AUTH."""
    return [
        *(_client_route(site, method, path, handle) for method, path, handle in CLIENT_ROUTES),
        *(_page_route(site, method, path, handle) for method, path, handle in PAGE_ROUTES),
    ]


def _client_route(site: Site, method: str, path: str, handle: Callable[[ClientCall], Any]) -> Route:
    read_fields = _read_client if path == "/v2/api/clients" else _read_form

    async def endpoint(request: Request) -> Response:
        try:
            raw = await read_body(request) if method == "POST" else b""
            return await run_in_threadpool(answer, request, raw)
        except ApiError as error:
            return json_response(auth_error_document(error, path), error.status, error.headers)
        except OAuthError as error:
            return json_response(error.document, error.status)

    def answer(request: Request, raw: bytes) -> Response:
        authorization = request.headers.get("authorization", "")
        call = ClientCall(site, _origin(request), authorization, read_fields(raw), request.path_params)
        return Response(
            orjson.dumps(handle(call)), media_type="application/json", headers={"Cache-Control": "no-store"}
        )

    return Route(path, endpoint, methods=[method])


def _page_route(site: Site, method: str, path: str, handle: Callable[[PageCall], Response]) -> Route:
    async def endpoint(request: Request) -> Response:
        raw = await read_body(request) if method == "POST" else b""
        return await run_in_threadpool(answer, request, raw)

    def answer(request: Request, raw: bytes) -> Response:
        fields = _read_form(raw) if method == "POST" else dict(request.query_params)
        return handle(PageCall(site, _origin(request), request.headers, fields))

    return Route(path, endpoint, methods=[method])


def _origin(request: Request) -> str:
    return f"{request.url.scheme}://{request.url.netloc}"


def _read_form(raw: bytes) -> dict[str, str]:
    """Return a form. Raises OAuthError."""
    try:
        return dict(parse_qsl(raw.decode(), max_num_fields=MOST_FIELDS))
    except ValueError as error:
        raise OAuthError(400, "invalid_request", "The body is not a form") from error


def _read_client(raw: bytes) -> dict[str, Any]:
    """Return the `client` of a JSON document. Raises BadRequest."""
    found = read_document(raw).get("client") if raw else None
    if not isinstance(found, dict):
        raise BadRequest("The body must be a JSON object with a 'client'")
    return found
