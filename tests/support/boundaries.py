"""The boundaries of a run: each HTTP call and each write of the checkpoint, before and after. One of them can kill it.

A run has several threads (the scan, the batches, the heartbeat), so a boundary is known by its name and not by its
number: what is called, with what, for which time. What is only a matter of time is numbered once: how often a running
task is looked at, and how often the lease is renewed, say nothing new after the first time.
"""

from __future__ import annotations

import os
import re
import signal
import threading
from collections import Counter
from collections.abc import Callable
from functools import wraps
from typing import Any
from urllib.parse import parse_qs, urlsplit

import requests
from requests.adapters import HTTPAdapter

from prefect_globus import FileCheckpointStore, SqlCheckpointStore

WRITES = (
    *("create_transfer", "delete_transfer", "post_request", "withdraw_request"),
    *("acquire_lease", "renew_lease", "release_lease", "save_transfer", "append_batch", "save_batch"),
)
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_AGAIN = re.compile(r"(GET /v0.10/task/task \d+|GET event_list|renew_lease)")


class Boundaries:
    """Names what is crossed, and acts at one of them.

    Args:
        transfer_id: left out of the names, which are the same for every transfer.
        at: the name of the boundary to act at; None for none.
        act: what happens there.
    """

    def __init__(self, transfer_id: str, at: str | None, act: Callable[[], None]) -> None:
        self.crossed: list[str] = []
        self._transfer_id = transfer_id
        self._at = at
        self._act = act
        self._times: Counter[str] = Counter()
        self._tasks: dict[str, str] = {}
        self._lock = threading.Lock()

    def around(self, what: str, call: Callable[[], Any]) -> Any:
        """Make a call, with a boundary before and one after it."""
        with self._lock:
            what = what.replace(self._transfer_id, "")
            self._times[what] += 1
            times = self._times[what]
        if times > 1 and _AGAIN.fullmatch(what):
            return call()
        self._cross(f"before {what}, {times}")
        answer = call()
        self._cross(f"after {what}, {times}")
        return answer

    def _cross(self, name: str) -> None:
        with self._lock:
            self.crossed.append(name)
        if name == self._at:
            self._act()

    def request_name(self, request: requests.PreparedRequest) -> str:
        """What is asked of Globus, the same in every run."""
        parts = urlsplit(request.url or "")
        if parts.path.endswith("/event_list"):
            return "GET event_list"  # of the first task that is looked at while it meets a fault
        path = _UUID.sub(self._task_name, parts.path)
        asked = parse_qs(parts.query).get("path", [])
        return " ".join([str(request.method), path, *asked])

    def _task_name(self, found: re.Match[str]) -> str:
        before = found.string[: found.start()]
        if not before.endswith("/task/"):
            return "collection"
        return self._tasks.setdefault(found[0], f"task {len(self._tasks) + 1}")


def instrument(boundaries: Boundaries, seen: Callable[[requests.PreparedRequest], None] = lambda _: None) -> None:
    """Lead every HTTP call to Globus, and every write of a checkpoint, of this process through ``boundaries``."""
    send = HTTPAdapter.send

    @wraps(send)
    def counted(self: HTTPAdapter, request: requests.PreparedRequest, *args: Any, **named: Any) -> requests.Response:
        seen(request)
        name = boundaries.request_name(request)
        answer: requests.Response = boundaries.around(name, lambda: send(self, request, *args, **named))
        return answer

    HTTPAdapter.send = counted  # type: ignore[method-assign]
    for kind in (SqlCheckpointStore, FileCheckpointStore):
        for method in WRITES:
            setattr(kind, method, _wrapped(boundaries, getattr(kind, method)))


def _wrapped(boundaries: Boundaries, method: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(method)
    def counted(self: Any, *args: Any, **named: Any) -> Any:
        return boundaries.around(_write_name(method.__name__, args), lambda: method(self, *args, **named))

    return counted


def _write_name(method: str, args: tuple[Any, ...]) -> str:
    batch = {"append_batch": 2, "save_batch": 1}.get(method)
    return method if batch is None else f"{method} {args[batch].number}"


def kill_this_process() -> None:
    """As the kernel would, with no last word."""
    os.kill(os.getpid(), signal.SIGKILL)
