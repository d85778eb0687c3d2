"""A pair of folders served by an emulator, a checkpoint store, and the flow to move one to the other."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import globus_sdk
import pytest
from prefect.settings import PREFECT_API_URL, PREFECT_LOGGING_LEVEL, temporary_settings

from prefect_globus import GlobusCredentials, SqlCheckpointStore, TransferOptions, TransferResult, resumable_transfer
from prefect_globus.emulator.process import Emulator, running_emulator

QUICK = {"poll_interval": 0.5, "retry_delay": 0.2, "fault_grace": 1.0, "lock_stale_after": 5.0}
CLIENT_ID, CLIENT_SECRET = "6b9a7bd2-1c4e-4f0b-9d38-2f3f36f0b9a1", "a-very-well-hidden-secret"


@dataclass
class World:
    """Two folders, the emulator that serves them, and a place for checkpoints."""

    folder: Path
    emulator: Emulator
    prefect_api: str
    database_url: str | None = None
    drivers: list[subprocess.Popen[str]] = field(default_factory=list)

    @property
    def source(self) -> Path:
        return self.folder / "source"

    @property
    def destination(self) -> Path:
        return self.folder / "destination"

    @property
    def database(self) -> str:
        return self.database_url or f"sqlite:///{self.folder / 'checkpoints.db'}"

    @property
    def store(self) -> SqlCheckpointStore:
        return SqlCheckpointStore(url=self.database)

    def location(self, name: str, path: str = "/") -> str:
        return f"{self.emulator.collections[name]}:{path}"

    @property
    def credentials(self) -> GlobusCredentials:
        url = self.emulator.url
        return GlobusCredentials(
            client_id=CLIENT_ID, client_secret=CLIENT_SECRET, transfer_url=url, auth_url=url, timers_url=url
        )

    @property
    def client(self) -> globus_sdk.TransferClient:
        return self.credentials.get_transfer_client()

    def write(self, files: dict[str, bytes | str]) -> None:
        for path, content in files.items():
            target = self.source / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content.encode() if isinstance(content, str) else content)

    def run(
        self, transfer_id: str = "test", *, source: str = "/", destination: str = "/", **options: Any
    ) -> TransferResult:
        """Run the flow in this process."""
        return resumable_transfer(
            self.location("source", source),
            self.location("destination", destination),
            options=TransferOptions(**(QUICK | options)),
            transfer_id=transfer_id,
            credentials=self.credentials,
            checkpoints=self.store,
        )

    @property
    def environment(self) -> dict[str, str]:
        """That of a process which has this world."""
        return {
            **os.environ,
            **self.emulator.environment(),
            "PREFECT_API_URL": self.prefect_api,
            "PREFECT_GLOBUS_DATABASE_URL": self.database,
            "GLOBUS_CLIENT_ID": CLIENT_ID,
            "GLOBUS_CLIENT_SECRET": CLIENT_SECRET,
        }

    def drive(self, transfer_id: str = "test", **options: Any) -> subprocess.Popen[str]:
        """Run the flow in a process of its own; return when it has begun."""
        arguments = [self.location("source"), self.location("destination"), transfer_id]
        arguments.append(TransferOptions(**(QUICK | options)).model_dump_json())
        command = [sys.executable, str(Path(__file__).parent / "drive.py"), *arguments]
        process = subprocess.Popen(
            command, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=self.folder
        )
        self.drivers.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "begins\n", process.stdout.read()
        return process

    def tasks(self) -> list[dict[str, Any]]:
        """Every task that the emulator has ever accepted."""
        return list(self.client.task_list(limit=1000, query_params={"filter": "type:TRANSFER"})["DATA"])

    def moved(self) -> dict[str, list[str]]:
        """Source path -> the tasks that have moved it, by Globus' own record."""
        moved: dict[str, list[str]] = {}
        for task in self.tasks():
            if task["status"] != "ACTIVE":
                for row in self.client.paginated.task_successful_transfers(task["task_id"]).items():
                    moved.setdefault(row["source_path"], []).append(task["task_id"])
        return moved


def tree(folder: Path, *, mtime: bool = False) -> dict[str, tuple[Any, ...]]:
    """What a folder holds: path -> kind and content."""
    found: dict[str, tuple[Any, ...]] = {}
    for path in folder.rglob("*"):
        name = os.fsencode(path.relative_to(folder)).decode("utf-8", "surrogateescape")
        if path.is_symlink():
            found[name] = ("link", str(path.readlink()))
        elif path.is_dir():
            found[name] = ("dir",)
        else:
            stamp = int(path.stat().st_mtime) if mtime else None
            found[name] = ("file", path.read_bytes(), stamp)
    return found


@pytest.fixture
def emulator_options() -> dict[str, Any]:
    """How the emulator of this test is started; override it by parametrizing."""
    return {}


@pytest.fixture
def world(tmp_path: Path, prefect_api: str, emulator_options: dict[str, Any]) -> Iterator[World]:
    for name in ("source", "destination"):
        (tmp_path / name).mkdir()
    folders = {"source": tmp_path / "source", "destination": tmp_path / "destination"}
    settings = {PREFECT_API_URL: prefect_api, PREFECT_LOGGING_LEVEL: "WARNING"}
    with (
        running_emulator(folders, state=tmp_path / "globus.db", **emulator_options) as emulator,
        temporary_settings(settings),
    ):
        world = World(tmp_path, emulator, prefect_api)
        yield world
        for driver in world.drivers:
            driver.kill()
            driver.wait()
            if driver.stdout is not None:
                driver.stdout.close()
