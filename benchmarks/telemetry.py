"""What metrics and spans cost a transfer, off and on: the time of what they add, as a part of a request to Globus."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from globus_sdk import TransferClient
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from prefect.settings import PREFECT_CLIENT_METRICS_ENABLED, temporary_settings
from requests import PreparedRequest, Response
from requests.adapters import BaseAdapter

from prefect_globus.blocks import GlobusCredentials
from prefect_globus.emulator.process import running_emulator
from prefect_globus.globus.observing import observe
from prefect_globus.telemetry.spans import span

REPEATS = 20_000


class Nothing(BaseAdapter):
    """Answers at once, so that only what is around it takes time."""

    def send(self, request: PreparedRequest, **_options: Any) -> Response:  # type: ignore[override] # noqa: ANN401
        answer = Response()
        answer.status_code, answer.request = 200, request
        return answer

    def close(self) -> None:
        pass


def seconds(call: Callable[[], object], repeats: int) -> float:
    """The best of three, for one call."""
    best = float("inf")
    for _ in range(3):
        began = time.perf_counter()
        for _ in range(repeats):
            call()
        best = min(best, (time.perf_counter() - began) / repeats)
    return best


def sender() -> Callable[[], object]:
    """Sends a request that is observed as those to Globus are, and goes nowhere."""
    client = TransferClient()
    for scheme in ("http://", "https://"):
        client.transport.session.mount(scheme, Nothing())
    observe(client)
    request = PreparedRequest()
    request.prepare("GET", "https://transfer.example/v0.10/task/00000000-0000-0000-0000-000000000007")
    adapter = client.transport.session.get_adapter("https://transfer.example")
    return lambda: adapter.send(request)


def batch_spans() -> None:
    """Those of one batch with one task."""
    with span("batch", {"batch": 1}), span("globus task", {"batch": 1}):
        pass


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, running_emulator({"here": Path(folder)}) as emulator:
        url = emulator.url
        login = GlobusCredentials(client_id="any", client_secret="any", transfer_url=url, auth_url=url)
        client = login.get_transfer_client()
        a_request = seconds(client.get_submission_id, 200)
    nothing, request = Nothing(), PreparedRequest()
    bare = seconds(lambda: nothing.send(request), REPEATS)
    figures = {"off: a request": seconds(sender(), REPEATS) - bare, "off: a batch": seconds(batch_spans, REPEATS)}
    with temporary_settings({PREFECT_CLIENT_METRICS_ENABLED: True}):
        figures["metrics: a request"] = seconds(sender(), REPEATS) - bare
    trace.set_tracer_provider(TracerProvider())
    with span("transfer", {}):
        figures["spans: a request"] = seconds(sender(), REPEATS) - bare
        figures["spans: a batch"] = seconds(batch_spans, REPEATS)
    print(f"a request to a local emulator takes {a_request * 1e3:.2f} ms")
    for name, cost in figures.items():
        print(f"{name:<20} {cost * 1e6:7.1f} us, {cost / a_request:8.3%} of that")


if __name__ == "__main__":
    main()
