"""The application: every service of the emulator on one origin."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from prefect_globus.emulator import operations, task_routes
from prefect_globus.emulator.auth import TRANSFER_SERVER, OAuthError, grant
from prefect_globus.emulator.errors import ApiError
from prefect_globus.emulator.web import error_response, json_response, read_body, service_route

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.requests import Request

    from prefect_globus.emulator.site import Site

OPERATION = "/v0.10/operation/endpoint/{endpoint}"
TASK = "/v0.10/task/{task}"
TRANSFER_ROUTES = (
    ("GET", "/v0.10/endpoint/{endpoint}", operations.get_endpoint),
    ("GET", "/v0.10/endpoint_search", operations.search),
    ("GET", f"{OPERATION}/ls", operations.ls),
    ("GET", f"{OPERATION}/stat", operations.stat),
    ("POST", f"{OPERATION}/mkdir", operations.mkdir),
    ("POST", f"{OPERATION}/rename", operations.rename),
    ("GET", "/v0.10/submission_id", task_routes.submission_id),
    ("POST", "/v0.10/transfer", task_routes.submit),
    ("GET", "/v0.10/task_list", task_routes.task_list),
    ("GET", TASK, task_routes.get_task),
    ("PUT", TASK, task_routes.update),
    ("GET", f"{TASK}/event_list", task_routes.event_list),
    ("GET", f"{TASK}/successful_transfers", task_routes.successful_transfers),
    ("GET", f"{TASK}/skipped_errors", task_routes.skipped_errors),
    ("POST", f"{TASK}/cancel", task_routes.cancel),
)


def build_app(site: Site) -> Starlette:
    """Return the application of a site; its engine runs while the application does."""

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        await run_in_threadpool(site.engine.start)
        yield
        await run_in_threadpool(site.engine.stop)

    app = Starlette(
        routes=[Route("/", _home), *auth_routes(site), *transfer_routes(site)],
        exception_handlers={
            ApiError: error_response,
            HTTPException: error_response,
            OAuthError: _oauth_error,
            Exception: error_response,
        },
        lifespan=lifespan,
    )
    app.router.redirect_slashes = False
    return app


def transfer_routes(site: Site) -> list[BaseRoute]:
    """Return the routes of the Transfer API."""
    return [service_route(site, TRANSFER_SERVER, method, path, handle) for method, path, handle in TRANSFER_ROUTES]


def auth_routes(site: Site) -> list[BaseRoute]:
    """Return the routes of Globus Auth."""

    async def token(request: Request) -> Response:
        body = await read_body(request)
        authorization = request.headers.get("authorization", "")
        document = await run_in_threadpool(grant, site, authorization, body)
        return json_response(document)

    return [Route("/v2/oauth2/token", token, methods=["POST"])]


async def _home(_: Request) -> Response:
    return PlainTextResponse("Globus emulator\n")


async def _oauth_error(_: Request, error: Exception) -> Response:
    if not isinstance(error, OAuthError):
        raise error
    return json_response(error.document, error.status)
