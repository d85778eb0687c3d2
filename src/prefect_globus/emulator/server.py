"""The server process: one socket, one application, and a clean end."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from starlette.types import ASGIApp, Receive, Scope, Send

GRACE = 2  # seconds for requests that are being answered when the server stops
STDIN = 0
ABORT = "prefect_globus.abort"  # ASGI extension: a function that drops the connection at once


class Protocol(H11Protocol):
    """HTTP whose connections the application can drop."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn
        """Let the application drop this connection."""
        super().connection_made(transport)
        app: Any = self.app

        async def with_abort(scope: Scope, receive: Receive, send: Send) -> None:
            scope.setdefault("extensions", {})[ABORT] = transport.abort
            try:
                await app(scope, receive, send)
            except asyncio.CancelledError:  # the server stops, and has been patient
                transport.abort()
                while (await receive())["type"] != "http.disconnect":
                    pass

        self.app = with_abort


class Server(uvicorn.Server):
    """A uvicorn that says when it is ready, and that SIGINT and SIGTERM end with status 0."""

    def __init__(self, app: ASGIApp, on_ready: Callable[[], None]) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http=Protocol,
                access_log=False,
                log_level="warning",
                lifespan="on",
                ws="none",
                timeout_graceful_shutdown=GRACE,
                timeout_keep_alive=120,
                server_header=False,
            )
        )
        self._on_ready = on_ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start to serve, then say so."""
        await super().startup(sockets)
        if self.started:
            self._on_ready()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Stop on SIGINT and SIGTERM. uvicorn would raise them again afterwards and so end with a traceback."""
        before = {number: signal.signal(number, self.handle_exit) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that is bound. Raises OSError if the port is busy."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Only for a socket that names TCP does asyncio set TCP_NODELAY, without which each answer waits for 40 ms.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
    except BaseException:
        listener.close()
        raise
    return listener


def stop_when_stdin_closes(server: Server) -> None:
    """Stop the server once whoever holds the other end of standard input is gone, however it went."""

    def wait() -> None:
        # Not sys.stdin: its lock, held by a thread at the end, would make the interpreter abort.
        while os.read(STDIN, 4096):
            pass
        server.should_exit = True

    threading.Thread(target=wait, name="emulator-stdin", daemon=True).start()
