"""Who may reach the emulator: programs of this machine only, and for its own pages and controls its operator."""

from __future__ import annotations

import ipaddress
from functools import lru_cache
from typing import TYPE_CHECKING

from starlette.datastructures import Headers

from prefect_globus.emulator.basic import basic_credentials, is_same
from prefect_globus.emulator.errors import ApiError
from prefect_globus.emulator.web import error_document, json_response

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.types import ASGIApp, Receive, Scope, Send

    from prefect_globus.emulator.site import Site


class LoopbackHost:
    """Refuses requests whose Host header is no name of this machine's loopback.

    A web page of another origin could otherwise have its own name lead here (DNS rebinding), and read every answer.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] == "http" and not is_loopback(host := Headers(scope=scope).get("host", "")):
            message = f"The emulator is not known as {host[:100]!r}. Use localhost, 127.0.0.1 or [::1]."
            error = ApiError(421, "MisdirectedRequest", message)
            await json_response(error_document(error, scope["path"]), error.status)(scope, receive, send)
            return
        await self._app(scope, receive, send)


@lru_cache(maxsize=100)
def is_loopback(host: str) -> bool:
    """Tell whether a Host header, with or without a port, names the loopback."""
    name, colon, port = host.rpartition(":")
    if not colon or port.endswith("]"):  # [::1] without a port
        name, port = host, ""
    if port and not (port.isascii() and port.isdigit()):
        return False
    if name.lower().rstrip(".") == "localhost":
        return True
    is_bracketed = name.startswith("[") and name.endswith("]")
    try:
        address = ipaddress.ip_address(name[1:-1] if is_bracketed else name)
    except ValueError:
        return False
    return address.is_loopback and is_bracketed == (address.version == 6)  # noqa: PLR2004 -- IPv6


def refuse_stranger(site: Site, request: Request) -> Response | None:
    """Return the answer to somebody who may not use the emulator's own pages and controls, or None for who may.

    They are open where any client gets a token anyway. With `--client ID:SECRET` they ask for these as HTTP Basic.
    """
    if site.client is None:
        return None
    name, password = basic_credentials(request.headers.get("authorization", "")) or ("", "")
    if is_same(site.client[0], name) & is_same(site.client[1], password):
        return None
    error = ApiError(401, "AuthenticationFailed", "Give the ID and SECRET of --client as user name and password")
    challenge = {"WWW-Authenticate": 'Basic realm="Globus emulator", charset="UTF-8"'}
    return json_response(error_document(error, request.url.path), error.status, challenge)
