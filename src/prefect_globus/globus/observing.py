"""Observing the requests to Globus, for those who have turned on metrics or traces."""

from __future__ import annotations

import re
import time
from contextlib import ExitStack
from typing import Any
from urllib.parse import urlsplit

import globus_sdk
from opentelemetry.trace import Span, SpanKind, Status, StatusCode
from requests import PreparedRequest, Response
from requests.adapters import BaseAdapter

from prefect_globus.telemetry.metrics import metrics
from prefect_globus.telemetry.spans import is_traced, span

_ID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_ERRORS = 400


def observe(client: globus_sdk.TransferClient) -> None:
    """Have each request of ``client`` counted and traced, those that globus-sdk makes again included."""
    session = client.transport.session
    for scheme, adapter in list(session.adapters.items()):
        session.mount(scheme, _Observed(adapter))


class _Observed(BaseAdapter):
    """Sends requests as another adapter does, and looks at them."""

    def __init__(self, adapter: BaseAdapter) -> None:
        super().__init__()
        self._adapter = adapter
        self._metrics = metrics()

    def send(self, request: PreparedRequest, **options: Any) -> Response:  # type: ignore[override] # noqa: ANN401
        if self._metrics is None and not is_traced():
            return self._adapter.send(request, **options)
        method, route, began = str(request.method), _route(request), time.monotonic()
        status = ""
        with ExitStack() as stack:
            if is_traced():
                current = stack.enter_context(span(f"{method} {route}", {}, SpanKind.CLIENT))
                stack.callback(lambda: _describe(current, request, method, route, status))
            try:
                response = self._adapter.send(request, **options)
            except Exception as error:
                status = type(error).__name__
                raise
            else:
                status = str(response.status_code)
                return response
            finally:
                self._count(method, route, status, time.monotonic() - began)

    def close(self) -> None:
        self._adapter.close()

    def _count(self, method: str, route: str, status: str, seconds: float) -> None:
        if self._metrics is not None:
            self._metrics.requests.labels(method, route, status).inc()
            self._metrics.answered.labels(method, route).observe(seconds)


def _route(request: PreparedRequest) -> str:
    """The path of a request without what tells one from another: of these there are few, and none names a file."""
    return _ID.sub("{id}", urlsplit(str(request.url)).path)


def _describe(current: Span, request: PreparedRequest, method: str, route: str, status: str) -> None:
    """What OpenTelemetry's conventions for HTTP clients ask for, but for the address: its query may name files."""
    current.set_attribute("http.request.method", method)
    current.set_attribute("url.template", route)
    current.set_attribute("server.address", str(urlsplit(str(request.url)).hostname))
    if status.isdecimal():
        current.set_attribute("http.response.status_code", int(status))
        if int(status) >= _ERRORS:
            current.set_status(Status(StatusCode.ERROR))
