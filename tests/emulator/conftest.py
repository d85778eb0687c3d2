"""A laboratory: an emulator in a process of its own, and the real Globus SDK in front of it."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import globus_sdk
import pytest
import requests

from prefect_globus.emulator.process import Emulator, running_emulator
from support.cli import GlobusCli

TRANSFER_SCOPE = "urn:globus:auth:scope:transfer.api.globus.org:all"
SCALE = 200.0
PATIENCE = 30.0


class Lab:
    """One client of its own, in folders of its own, on an emulator."""

    def __init__(self, emulator: Emulator, source: Path, destination: Path, client_id: str, base: str = "") -> None:
        self.emulator = emulator
        self.client_id = client_id
        self.base = base
        self.source = source / base
        self.destination = destination / base
        self.source.mkdir(parents=True, exist_ok=True)
        self.destination.mkdir(parents=True, exist_ok=True)
        login = globus_sdk.ConfidentialAppAuthClient(client_id, "secret", base_url=emulator.url)
        authorizer = globus_sdk.ClientCredentialsAuthorizer(login, TRANSFER_SCOPE)
        self.client = globus_sdk.TransferClient(authorizer=authorizer, base_url=emulator.url)
        self.headers = {"Authorization": authorizer.get_authorization_header()}

    @property
    def source_id(self) -> str:
        return self.emulator.collections["source"]

    @property
    def destination_id(self) -> str:
        return self.emulator.collections["destination"]

    def here(self, name: str = "") -> str:
        return f"{self.source_id}:{self.path(name)}"

    def there(self, name: str = "") -> str:
        return f"{self.destination_id}:{self.path(name)}"

    def path(self, name: str = "") -> str:
        return f"/{self.base}/{name}" if self.base else f"/{name}"

    def put(self, name: str, content: bytes = b"content") -> Path:
        path = self.source / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return path

    def data(self, *names: str | tuple[str, dict[str, Any]], **options: Any) -> globus_sdk.TransferData:
        data = globus_sdk.TransferData(self.source_id, self.destination_id, **options)
        for name in names:
            text, item = (name, {}) if isinstance(name, str) else name
            data.add_item(self.path(text), self.path(text), **item)
        return data

    def submit(self, *names: str | tuple[str, dict[str, Any]], **options: Any) -> str:
        return str(self.client.submit_transfer(self.data(*names, **options))["task_id"])

    def task(self, task_id: str) -> dict[str, Any]:
        return dict(self.client.get_task(task_id).data)

    def wait(self, task_id: str, until: Callable[[dict[str, Any]], bool] | None = None) -> dict[str, Any]:
        test = until or (lambda task: task["status"] != "ACTIVE")
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            task = self.task(task_id)
            if test(task):
                return task
            time.sleep(0.01)
        raise AssertionError(f"Waited in vain, last seen {task}")

    def transfer(self, *names: str | tuple[str, dict[str, Any]], **options: Any) -> dict[str, Any]:
        return self.wait(self.submit(*names, **options))

    def events(self, task_id: str) -> list[str]:
        return [event["code"] for event in self.client.task_event_list(task_id, limit=1000)]

    def moved(self, task_id: str) -> list[str]:
        pages = self.client.paginated.task_successful_transfers(task_id)
        return [row["destination_path"] for row in pages.items()]

    def arrived(self, name: str = "") -> list[str]:
        return sorted(path.name for path in (self.destination / name).iterdir())

    def raw(self, method: str, path: str, **options: Any) -> requests.Response:
        headers = self.headers | options.pop("headers", {})
        return requests.request(method, self.emulator.url + path, headers=headers, timeout=30, **options)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Emulator, Path, Path]]:
    """The emulator that the tests of a module share, with its source and destination folders."""
    root = tmp_path_factory.mktemp("shared")
    folders = {"source": root / "source", "destination": root / "destination"}
    for folder in folders.values():
        folder.mkdir()
    with running_emulator(folders, time_scale=SCALE) as running:
        yield running, folders["source"], folders["destination"]


@pytest.fixture
def lab(shared: tuple[Emulator, Path, Path]) -> Iterator[Lab]:
    """A client of its own on the shared emulator. Its unfinished tasks are canceled at the end."""
    found = Lab(*shared, str(uuid.uuid4()), uuid.uuid4().hex[:8])
    yield found
    for task in found.client.task_list(filter="status:ACTIVE", limit=100):
        found.client.cancel_task(task["task_id"])


@pytest.fixture(scope="module")
def cli(shared: tuple[Emulator, Path, Path], tmp_path_factory: pytest.TempPathFactory) -> GlobusCli:
    """The real globus-cli in front of the shared emulator, logged in as one client."""
    return GlobusCli(shared[0], str(uuid.uuid4()), tmp_path_factory.mktemp("home"))


@pytest.fixture
def desk(shared: tuple[Emulator, Path, Path], cli: GlobusCli) -> Iterator[Lab]:
    """The lab of the client that the CLI is logged in as, with folders of its own."""
    found = Lab(*shared, cli.client_id, uuid.uuid4().hex[:8])
    yield found
    for task in found.client.task_list(filter="status:ACTIVE,INACTIVE", limit=100):
        found.client.cancel_task(task["task_id"])


@pytest.fixture
def make_lab(tmp_path: Path) -> Iterator[Callable[..., Lab]]:
    """Makes labs on an emulator of their own, which may be killed."""
    running = []

    def make(**options: Any) -> Lab:
        folders = {"source": tmp_path / "source", "destination": tmp_path / "destination"}
        for folder in folders.values():
            folder.mkdir(exist_ok=True)
        context = running_emulator(folders, state=tmp_path / "state.sqlite", **options)
        emulator = context.__enter__()
        running.append(context)
        return Lab(emulator, folders["source"], folders["destination"], str(uuid.uuid4()))

    yield make
    for context in running:
        context.__exit__(None, None, None)
