"""What a contestant does besides its work: it times it, notes its requests to Globus, and says both."""

from __future__ import annotations

import json
import re
import resource
import time
from array import array
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from unittest.mock import patch
from urllib.parse import urlsplit

from requests import PreparedRequest, Response
from requests.adapters import HTTPAdapter

METERED_SECONDS = 10.0  # contract, section 10
KINDS = (
    (re.compile(r"GET .*/ls"), "ls"),
    (re.compile(r"GET .*/submission_id"), "submission_id"),
    (re.compile(r"POST .*/transfer"), "submit"),
    (re.compile(r"GET .*/task_list"), "task_list"),
    (re.compile(r"GET .*/task/[^/]+"), "task"),
    (re.compile(r"POST .*/token"), "token"),
)


class Requests:
    """The requests that this process makes of Globus, as few bytes as will do: memory is measured, too.

    Attributes:
        counts: by kind.
        first_task: when Globus accepted the first task that it had not known, by the monotonic clock.
        before_first: how many there were until then, listings apart.
        refused: how many were answered with 429.
        submitted: items in what was submitted.
    """

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.first_task: float | None = None
        self.before_first = 0
        self.refused = 0
        self.submitted = 0
        self._times = array("d")

    def note(self, request: PreparedRequest, answer: Response) -> None:
        kind = kind_of(request)
        self.counts[kind] += 1
        self.refused += answer.status_code == 429
        if kind == "token":
            return  # which is not the Transfer service
        self._times.append(time.monotonic())
        self.before_first += kind != "ls" and self.first_task is None
        if kind == "submit" and '"Accepted"' in answer.text:
            self.first_task = self.first_task or time.monotonic()
            body = request.body or b""
            assert isinstance(body, str | bytes)
            self.submitted += body.count("source_path") if isinstance(body, str) else body.count(b"source_path")

    @property
    def busiest(self) -> float:
        """Requests a second in the ten seconds that had the most."""
        times, first, most = sorted(self._times), 0, 0
        for last, at in enumerate(times):
            while times[first] <= at - METERED_SECONDS:
                first += 1
            most = max(most, last - first + 1)
        return most / METERED_SECONDS


def kind_of(request: PreparedRequest) -> str:
    asked = f"{request.method} {urlsplit(str(request.url)).path}"
    return next((kind for pattern, kind in KINDS if pattern.fullmatch(asked)), asked.rpartition("/")[2])


def contend(work: Callable[[], Mapping[str, Any]]) -> None:
    """Do ``work``; print what it says with its time and its requests, as a line of JSON. Imports are not counted."""
    requests, send = Requests(), HTTPAdapter.send

    def noting(self: HTTPAdapter, request: PreparedRequest, *given: Any, **named: Any) -> Response:  # noqa: ANN401
        answer = send(self, request, *given, **named)
        requests.note(request, answer)
        return answer

    with patch.object(HTTPAdapter, "send", noting):
        cpu, began = cpu_seconds(), time.monotonic()
        facts = work()
        seconds, cpu = time.monotonic() - began, cpu_seconds() - cpu
    first_task = None if requests.first_task is None else requests.first_task - began
    said = {
        "seconds": seconds,
        "cpu": cpu,
        "requests": dict(requests.counts),
        "first_task": first_task,
        "before_first": requests.before_first,
        "busiest": requests.busiest,
        "memory": peak_memory(),
        "refused": requests.refused,
        "submitted": requests.submitted,
        "facts": dict(facts),
    }
    print(json.dumps(said), flush=True)


def peak_memory() -> float:
    """MiB. Linux counts what a process had been before it became this program in what `getrusage` says."""
    status = Path("/proc/self/status")
    if status.exists():
        return int(status.read_text().partition("VmHWM:")[2].split()[0]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime
