"""The Python side of the control API."""

from __future__ import annotations

import base64
import http.client
import json
from collections import Counter
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from prefect_globus.emulator.injection.model import Fault, InjectedFault, injected_of

if TYPE_CHECKING:
    from collections.abc import Iterator

TIMEOUT = 30.0

Document = dict[str, Any]


class RefusedError(ValueError):
    """The emulator has refused a fault, or what was to be done with a task; nothing has happened."""


class Controls:
    """The controls of one emulator, wherever it runs.

    Args:
        url: its origin.
        client: `ID:SECRET` of the only client that it gives tokens to, if there is one.
    """

    def __init__(self, url: str, client: str | None = None) -> None:
        self.url = url
        self._client = client

    def inject(self, fault: Fault) -> str:
        """Put a fault in force; return its id. Raises RefusedError."""
        return str(self._ask("POST", "/emulator/faults", asdict(fault))["id"])

    @contextmanager
    def fault(self, fault: Fault) -> Iterator[str]:
        """Have a fault in force for as long as the block lasts. Yields its id. Raises RefusedError."""
        fault_id = self.inject(fault)
        try:
            yield fault_id
        finally:
            self.clear(fault_id)

    def faults(self) -> list[InjectedFault]:
        """Return the faults, oldest first, the spent ones too, and what came of each."""
        return [injected_of(one) for one in self._ask("GET", "/emulator/faults")["faults"]]

    def clear(self, fault_id: str | None = None) -> None:
        """Lift a fault, or all of them. One that is not there any more is none to lift."""
        path = "/emulator/faults" if fault_id is None else f"/emulator/faults/{quote(fault_id, safe='')}"
        self._ask("DELETE", path, is_known=False)

    def pause_task(self, task_id: str, message: str | None = None) -> None:
        """Pause a task, as an administrator would. Raises RefusedError if it has ended."""
        self._act(task_id, "pause", message)

    def resume_task(self, task_id: str) -> None:
        """Take back a pause of a task. Raises RefusedError if it has ended."""
        self._act(task_id, "resume")

    def inactivate_task(self, task_id: str, message: str | None = None) -> None:
        """Let a task lose its credentials: it becomes INACTIVE. Raises RefusedError if it has ended."""
        self._act(task_id, "inactivate", message)

    def reactivate_task(self, task_id: str) -> None:
        """Give a task its credentials back. Raises RefusedError if it has ended."""
        self._act(task_id, "reactivate")

    def expire_task(self, task_id: str) -> None:
        """Let the deadline of a task pass. Raises RefusedError if it has ended."""
        self._act(task_id, "expire")

    def rescind_consents(self, collection: str) -> int:
        """Take back every data_access consent for a collection, by its name or UUID, and return how many there were.

        Clients meet ConsentRequired from then on, and running tasks become INACTIVE until there is a consent again.
        Raises RefusedError if there is no such collection.
        """
        return int(self._ask("POST", "/emulator/consents/rescind", {"collection": collection})["rescinded"])

    def requests(self) -> Counter[str]:
        """Return how often each operation was asked for since the emulator started, such as `GET /v0.10/task_list`.

        Ids in a path are named, not told: `GET /v0.10/operation/endpoint/{endpoint}/ls`. Refused requests count, those
        that a fault has dropped or answered do not.
        """
        return Counter(self._ask("GET", "/emulator/requests")["requests"])

    def _act(self, task_id: str, action: str, message: str | None = None) -> None:
        self._ask("POST", f"/emulator/tasks/{quote(task_id, safe='')}/{action}", {"message": message})

    def _ask(self, method: str, path: str, body: Document | None = None, *, is_known: bool = True) -> Document:
        # Not through urllib, which would ask a proxy of the environment.
        origin = urlsplit(self.url)
        connection = http.client.HTTPConnection(origin.hostname or "", origin.port, timeout=TIMEOUT)
        try:
            connection.request(method, path, json.dumps(body or {}).encode(), self._headers())
            response = connection.getresponse()
            document: Document = json.load(response)
        finally:
            connection.close()
        if response.status >= http.HTTPStatus.BAD_REQUEST and (
            is_known or response.status != http.HTTPStatus.NOT_FOUND
        ):
            raise RefusedError(document["message"])
        return document

    def _headers(self) -> dict[str, str]:
        headers = {"Content-Type": "application/json"}
        if self._client is not None:
            headers["Authorization"] = f"Basic {base64.b64encode(self._client.encode()).decode()}"
        return headers
