"""Which requests of globus-sdk the emulator serves: `python tests/support/sdk_requests.py > docs/emulator-coverage.md`.

Each method of a client is called once, on a client that sends nothing and remembers what it would have sent.
"""

from __future__ import annotations

import inspect
import json
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

import globus_sdk
import requests
from requests.adapters import BaseAdapter
from starlette.routing import compile_path

from prefect_globus.emulator.app import SERVICES
from prefect_globus.emulator.auth.service import CLIENT_ROUTES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ORIGIN = "http://localhost:1"
ID = "00000000-0000-4000-8000-000000000000"
TEXT_PARAMETERS = ("name", "message", "path", "oldpath", "newpath", "display_name", "description", "contact_email")

# Whatever a method wants to see in an answer before it returns.
ANSWER: dict[str, Any] = {
    "access_token": "token",
    "expires_in": 1,
    "jwks_uri": f"{ORIGIN}/jwk.json",
    "keys": [],
    "other_tokens": [],
    "resource_server": "auth.globus.org",
    "scope": "openid",
    "status": "SUCCEEDED",
    "token_type": "Bearer",
    "value": ID,
}

REMARKS = {
    "create_client": "400: only instances of native clients",
    "create_child_client": "400: only instances of native clients",
    "delete_client": "of itself",
    "get_client": "of itself",
}

HEAD = """# What the emulator serves of globus-sdk

Made by `python tests/support/sdk_requests.py` from the methods of the SDK and the routes of the emulator; a test holds
this page to both. What is not served is refused with the status that is shown and an error document that names it.
"""


class Asked(NamedTuple):
    """One request that a method of the SDK makes; its ids are all `ID`."""

    client: str
    method: str
    verb: str
    path: str

    @property
    def refusal(self) -> int | None:
        """The HTTP status with which it is refused, or None if a route of the emulator takes it."""
        verbs = {verb for verb, matches in ROUTES if matches(self.path)}
        if self.verb in verbs:
            return None
        return 405 if verbs else 404


class Recorder(BaseAdapter):
    """A transport that sends nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[str, str]] = []

    def send(self, request: requests.PreparedRequest, **_: Any) -> requests.Response:  # type: ignore[override]
        self.seen.append((str(request.method), urlsplit(request.url or "").path))
        answer = requests.Response()
        answer.status_code, answer.request, answer.url = 200, request, request.url or ""
        answer.headers["Content-Type"] = "application/json"
        data: Any = ANSWER if "grant_type=urn" not in str(request.body) else [ANSWER]
        answer._content = json.dumps(data).encode()
        return answer

    def close(self) -> None:
        """Nothing to close."""


def clients() -> list[globus_sdk.BaseClient]:
    """Return a client of each kind that a data mover needs."""
    token = globus_sdk.AccessTokenAuthorizer("token")
    return [
        globus_sdk.TransferClient(authorizer=token, base_url=ORIGIN),
        globus_sdk.TimersClient(authorizer=token, base_url=ORIGIN),
        globus_sdk.AuthClient(authorizer=token, base_url=ORIGIN),
        globus_sdk.ConfidentialAppAuthClient(ID, "secret", base_url=ORIGIN),
        globus_sdk.NativeAppAuthClient(ID, base_url=ORIGIN),
    ]


def asked() -> Iterator[Asked]:
    """Yield the requests of every public method of the clients; those that make none are left out."""
    for client in clients():
        recorder = Recorder()
        for scheme in ("http://", "https://"):
            client.transport.session.mount(scheme, recorder)
        if isinstance(client, globus_sdk.ConfidentialAppAuthClient):
            client.oauth2_start_flow(ORIGIN, "openid")
        elif isinstance(client, globus_sdk.NativeAppAuthClient):
            client.oauth2_start_flow("openid")
        for name, _ in inspect.getmembers(type(client), inspect.isfunction):
            if name.startswith(("_", "add_app_")) or hasattr(globus_sdk.BaseClient, name):
                continue
            recorder.seen.clear()
            method = getattr(client, name)
            method(**arguments(method))
            yield from dict.fromkeys(Asked(type(client).__name__, name, *one) for one in recorder.seen)


def arguments(method: Callable[..., Any]) -> dict[str, Any]:
    """Return something for every argument that a method must have."""
    special = {
        "create_child_client": {"public_client": True},
        "create_client": {"public_client": True},
        "get_client": {"client_id": ID},
        "oauth2_start_flow": {"requested_scopes": "openid"},
    }
    found = dict(special.get(method.__name__, {}))
    for parameter in inspect.signature(method).parameters.values():
        is_named = parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
        if is_named and parameter.default is parameter.empty and parameter.name not in found:
            found[parameter.name] = argument(parameter)
    return found


def argument(parameter: inspect.Parameter) -> Any:
    """Return something for an argument, by its name and its type."""
    annotation = str(parameter.annotation)
    if "dict[" in annotation:
        return {"data": {"attributes": {"submission_id": ID}}}
    if parameter.name == "task_ids":
        return [ID]
    if annotation == "bool":
        return True
    return parameter.name if parameter.name in TEXT_PARAMETERS else ID


def routes() -> Iterator[tuple[str, Callable[[str], object]]]:
    """Yield the verb of each route, and a test of paths."""
    for service in SERVICES:
        for operation in service.operations:
            yield operation.method, compile_path(operation.path)[0].match
    for verb, path, _ in CLIENT_ROUTES:
        yield verb, compile_path(path)[0].match


ROUTES = list(routes())


def table() -> str:
    """Return the page."""
    lines = [HEAD]
    last = ""
    for one in asked():
        if one.client != last:
            last = one.client
            lines += [f"## {last}", "", "| method | request | here |", "|---|---|---|"]
        mark = REMARKS.get(one.method, "served") if one.refusal is None else f"{one.refusal}"
        lines.append(f"| `{one.method}` | `{one.verb} {one.path.replace(ID, 'ID')}` | {mark} |")
    return "\n".join(lines).replace("\n## ", "\n\n## ").replace("\n\n\n", "\n\n") + "\n"


if __name__ == "__main__":
    print(table(), end="")
