"""Globus Auth: its routes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.concurrency import run_in_threadpool
from starlette.routing import BaseRoute, Route

from prefect_globus.emulator.auth.grants import grant
from prefect_globus.emulator.web import json_response, read_body

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from prefect_globus.emulator.site import Site


def auth_routes(site: Site) -> list[BaseRoute]:
    """Return the routes of Globus Auth."""

    async def token(request: Request) -> Response:
        body = await read_body(request)
        authorization = request.headers.get("authorization", "")
        document = await run_in_threadpool(grant, site, authorization, body)
        return json_response(document)

    return [Route("/v2/oauth2/token", token, methods=["POST"])]
