"""The application: every service of the emulator on one origin."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware

from prefect_globus.emulator.access import LoopbackHost
from prefect_globus.emulator.auth.errors import OAuthError
from prefect_globus.emulator.auth.service import AUTH, auth_routes
from prefect_globus.emulator.errors import ApiError
from prefect_globus.emulator.injection.middleware import FaultMiddleware
from prefect_globus.emulator.injection.service import control_routes
from prefect_globus.emulator.openapi import openapi_route
from prefect_globus.emulator.overview import overview_routes
from prefect_globus.emulator.timers.service import TIMERS
from prefect_globus.emulator.transfer.service import TRANSFER
from prefect_globus.emulator.web import error_response, json_response

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.requests import Request
    from starlette.responses import Response

    from prefect_globus.emulator.site import Site

SERVICES = (TRANSFER, AUTH, TIMERS)  # routes are tried in order, and most requests are for the first


def build_app(site: Site) -> Starlette:
    """Return the application of a site; its engine runs while the application does."""

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        await run_in_threadpool(site.engine.start)
        await run_in_threadpool(site.scheduler.start)
        yield
        await run_in_threadpool(site.scheduler.stop)
        await run_in_threadpool(site.engine.stop)

    app = Starlette(
        routes=[
            *(route for service in SERVICES for route in service.routes(site)),
            *overview_routes(site),
            openapi_route(SERVICES),
            *control_routes(site),
            *auth_routes(site),
        ],
        middleware=[Middleware(LoopbackHost), Middleware(FaultMiddleware, site=site)],
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


async def _oauth_error(_: Request, error: Exception) -> Response:
    if not isinstance(error, OAuthError):
        raise error
    return json_response(error.document, error.status)
