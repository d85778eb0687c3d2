"""In front of every route: latency, and the faults that a request meets."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from prefect_globus.emulator.basic import basic_credentials
from prefect_globus.emulator.errors import ApiError
from prefect_globus.emulator.injection.answers import error_document
from prefect_globus.emulator.injection.matching import Names, RequestFacts
from prefect_globus.emulator.injection.model import (
    BODILESS,
    Answer,
    Delay,
    Drop,
    HalfBody,
    InjectedFault,
    MalformedBody,
)
from prefect_globus.emulator.server import ABORT
from prefect_globus.emulator.web import LARGEST_BODY, json_response

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from prefect_globus.emulator.site import Site

CONTROL = "/emulator/"
NO_JSON = b'{"DATA_TYPE": "malformed", "DATA": [{'


class FaultMiddleware:
    """Lets requests meet latency and faults. Those of the control API meet neither, so that faults can be lifted.

    Args:
        app: what answers requests.
        site: whose faults these are.
    """

    def __init__(self, app: ASGIApp, site: Site) -> None:
        self._app = app
        self._site = site

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http" or scope["path"].startswith(CONTROL):
            await self._app(scope, receive, send)
            return
        if self._site.network.latency:
            await asyncio.sleep(self._site.network.latency)
        if not self._site.faults.has_request_faults:
            await self._app(scope, receive, send)
            return
        body = Body(receive)
        if self._site.faults.looks_into_bodies:
            await body.read()
        met = await run_in_threadpool(self._meet, scope, body.known)
        effects = [found.fault.effect for found in met]
        await asyncio.sleep(sum(effect.seconds for effect in effects if isinstance(effect, Delay)))
        await self._suffer(effects[-1] if effects else None, scope, body, send)

    def _meet(self, scope: Scope, body: bytes) -> list[InjectedFault]:
        path = scope["path"]
        names = Names.of(path, scope["query_string"], body)
        request = RequestFacts(scope["method"], path, self._client(scope), names)
        return self._site.faults.meet(lambda found: request.is_meant_by(found, self._site.collections))

    def _client(self, scope: Scope) -> str | None:
        authorization = dict(scope["headers"]).get(b"authorization", b"").decode("latin-1")
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer":
            given = basic_credentials(authorization)
            return given[0] if given else None
        owner = self._site.tokens.owner(token.strip())
        return owner.client_id if owner else None

    async def _suffer(self, effect: object, scope: Scope, body: Body, send: Send) -> None:
        match effect:
            case Answer():
                await body.read()  # the answer to half a request would be lost in a reset
                await _response(effect, scope["path"])(scope, body.receive, send)
            case Drop(after=False):
                await _abort(scope, body)
            case Drop():
                await _answer_of(self._app, scope, body)
                await _abort(scope, body)
            case HalfBody():
                start, content = await _answer_of(self._app, scope, body)
                await send(start)
                await send({"type": "http.response.body", "body": content[: len(content) // 2], "more_body": True})
                await _abort(scope, body)
            case MalformedBody():
                start, _ = await _answer_of(self._app, scope, body)
                status = 200 if start["status"] in BODILESS else start["status"]
                await Response(NO_JSON, status, media_type="application/json")(scope, body.receive, send)
            case _:
                await self._app(scope, body.receive, send)


class Body:
    """The body of a request, which may be read before the application reads it."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._messages: deque[Message] = deque()
        self._is_read = False

    @property
    def known(self) -> bytes:
        """What has been read and was not yet taken."""
        return b"".join(message.get("body", b"") for message in self._messages)

    async def read(self) -> None:
        """Read it, but not more than a body may have."""
        size = 0
        while not self._is_read and size <= LARGEST_BODY:
            message = await self._receive()
            self._messages.append(message)
            self._is_read = not message.get("more_body", False)
            size += len(message.get("body", b""))

    async def receive(self) -> Message:
        """Return the next message, as ASGI has it."""
        return self._messages.popleft() if self._messages else await self._receive()


def _response(effect: Answer, path: str) -> Response:
    if effect.status in BODILESS:
        return Response(status_code=effect.status, headers=effect.headers)
    document = error_document(ApiError(effect.status, effect.code, effect.message, effect.fields), path)
    return json_response(document, effect.status, effect.headers)


async def _answer_of(app: ASGIApp, scope: Scope, body: Body) -> tuple[Message, bytes]:
    """Return what the application answers, headers and body, which nobody has heard yet."""
    start: Message = {}
    content = bytearray()

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            start.update(message)
        else:
            content.extend(message.get("body", b""))

    await app(scope, body.receive, send)
    return start, bytes(content)


async def _abort(scope: Scope, body: Body) -> None:
    """Drop the connection, and wait until it is gone: the server takes an end without an answer for a defect."""
    scope["extensions"][ABORT]()
    while (await body.receive())["type"] != "http.disconnect":
        pass
