"""A real HTTP server that gives out tokens, and knows which of them are good."""

from __future__ import annotations

import base64
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

SECRET = "hunter2-secret"
TRANSFER, TIMERS = "transfer.api.globus.org", "524230d7-ea86-4a52-8312-86065a9e0417"


class TokenServer(ThreadingHTTPServer):
    """Auth and one page of Transfer: each login gives a token, which is good until it is revoked.

    With `rotates` each refresh token is good once, and comes with the next.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.logins: list[dict[str, str]] = []
        self.good: set[str] = set()
        self.lifetime = 3600
        self.pause = 0.0
        self.rotates = False
        self.refresh_token = "refresh-0"
        self.lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/"


class _Handler(BaseHTTPRequestHandler):
    server: TokenServer
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        form = {name: values[0] for name, values in parse_qs(body).items()}
        scheme, _, encoded = self.headers.get("Authorization", "").partition(" ")
        who = base64.b64decode(encoded).decode() if scheme == "Basic" else form.get("client_id", "")
        time.sleep(self.server.pause)
        if who not in (f"client:{SECRET}", "native"):
            self._answer(401, {"error": "invalid_client"})
            return
        server = TIMERS if "timer" in form.get("scope", "") else TRANSFER
        if self.server.rotates and form.get("refresh_token") != self.server.refresh_token:
            self._answer(400, {"error": "invalid_grant"})
            return
        with self.server.lock:
            token = f"token-{len(self.server.logins)}-{server}"
            self.server.logins.append({**form, "who": who})
            self.server.good.add(token)
        self._answer(
            200,
            {
                "access_token": token,
                "resource_server": server,
                "scope": form.get("scope", ""),
                "expires_in": self.server.lifetime,
                "token_type": "Bearer",
                "other_tokens": [],
                **self._rotated(),
            },
        )

    def _rotated(self) -> dict[str, str]:
        if not self.server.rotates:
            return {}
        self.server.refresh_token = f"refresh-{len(self.server.logins)}"
        return {"refresh_token": self.server.refresh_token}

    def do_GET(self) -> None:
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        if token in self.server.good:
            self._answer(200, {"token": token})
        else:
            self._answer(401, {"code": "AuthenticationFailed", "message": "no", "request_id": "x"})

    def _answer(self, status: int, document: dict[str, Any]) -> None:
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's name
        pass
