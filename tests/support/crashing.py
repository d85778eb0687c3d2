"""Runs of the flow in processes of their own, one of which is killed at a boundary.

Importing Prefect takes seconds, so that is done once, in a process that is forked for each run. Several runs may be on
their way at once, each with folders, a checkpoint and faults of its own; they share an emulator and a Prefect server.
"""

from __future__ import annotations

import json
import multiprocessing
import multiprocessing.context
import os
import signal
import threading
import traceback
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, uuid5

import requests
from prefect.settings import PREFECT_API_URL, PREFECT_LOGGING_LEVEL, temporary_settings

from prefect_globus import (
    CheckpointStore,
    FileCheckpointStore,
    GlobusCredentials,
    SqlCheckpointStore,
    TransferOptions,
    resumable_transfer,
)
from prefect_globus.emulator import ExpireTask, FailFile, TaskFault
from prefect_globus.emulator.process import Emulator
from prefect_globus.flows import control
from prefect_globus.flows.maintenance import resume_incomplete
from prefect_globus.flows.redriving import redrive_transfer
from prefect_globus.tasks import polling, watching
from prefect_globus.transfers.errors import TransferError
from prefect_globus.transfers.items import Outcome
from support.boundaries import Boundaries, instrument, kill_this_process
from support.invariants import Snapshot, take_snapshot

CLIENT_SECRET = "a-very-well-hidden-secret"
KILLED = -signal.SIGKILL
LONGEST_RUN = 120.0
LANES = 3  # runs at once: a run waits as much as it works

# One that cannot be read and is skipped, and one that Globus leaves alone (a); one that fails for good and is found by
# bisecting (b); an attempt that fails half-way (c); one that Globus would try for ever, whose task is ended (d).
TREE = {
    "a/gone": "1",
    "a/here": "22",
    "a/same": "333",
    "b/1": "4444",
    "b/poison": "55555",
    "b/z": "666",
    "c/1": "77",
    "c/2": "8888",
    "d/locked": "99",
}
EMPTY = "c/empty"
EXPECTED = dict.fromkeys([*TREE, EMPTY], Outcome.TRANSFERRED) | {
    "a/gone": Outcome.SKIPPED,
    "a/same": Outcome.UNCHANGED,
    "b/poison": Outcome.DEAD,
    "d/locked": Outcome.DEAD,
}
MENDED = EXPECTED | dict.fromkeys(["b/poison", "d/locked"], Outcome.TRANSFERRED)
OPTIONS = {
    "batch_size": 3,
    "max_concurrency": 1,
    "skip_source_errors": True,
    "sync_level": "size",
    "retry_limit": 2,
    "retry_delay": 0,
    "api_retry_delay": 0.05,
    "poll_interval": 0.1,
    "fault_grace": 0.2,
    "lock_stale_after": 1,
}

# What a flow imports only when it runs: imported before the fork, it costs once what it would cost each run.
_LATE = ("prefect.flow_engine", "prefect.task_engine", "prefect.engine", "prefect.utilities.visualization")
_processes = multiprocessing.get_context("forkserver")
Child = multiprocessing.context.ForkServerProcess
_processes.set_forkserver_preload(["pytest", "prefect_globus.flows.control", "globus_sdk.services.transfer", *_LATE])
_starting = threading.Lock()


@dataclass(frozen=True)
class Run:
    """A transfer, and what a process has to know to drive it.

    Args:
        transfer_id: which; also the folder at both collections.
        emulator: its URL.
        prefect_api: URL of the Prefect server.
        collections: UUIDs of source and destination.
        store: URL of a database, or a folder.
        folder: where its processes leave their log, and by default the checkpoint.
        tokens: where they put aside the tokens that they were given.
        options: of the transfer.
    """

    transfer_id: str
    emulator: str
    prefect_api: str
    collections: tuple[str, str]
    store: str
    folder: Path
    tokens: Path
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def credentials(self) -> GlobusCredentials:
        """A login of its own: what a dead driver still holds of an account's limits is in no other's way."""
        url, client_id = self.emulator, str(uuid5(NAMESPACE_URL, self.transfer_id))
        return GlobusCredentials(
            client_id=client_id, client_secret=CLIENT_SECRET, transfer_url=url, auth_url=url, timers_url=url
        )

    @property
    def checkpoints(self) -> CheckpointStore:
        """Where its checkpoint is."""
        if "://" in self.store:
            return SqlCheckpointStore(url=self.store)
        return FileCheckpointStore(basepath=self.store)

    def transfer(self) -> None:
        """Begin or resume the transfer."""
        source, destination = (f"{collection}:/{self.transfer_id}" for collection in self.collections)
        resumable_transfer(
            source,
            destination,
            TransferOptions(**self.options),
            transfer_id=self.transfer_id,
            credentials=self.credentials,
            checkpoints=self.checkpoints,
        )

    def resume(self) -> None:
        """Resume it, quicker to find out what Globus tries for ever."""
        options = TransferOptions(**(self.options | {"fault_grace": OPTIONS["fault_grace"]}))
        control.resume_transfer(self.transfer_id, options, self.credentials, self.checkpoints)

    def cancel(self) -> None:
        """Cancel it."""
        control.cancel_transfer(self.transfer_id, self.credentials, self.checkpoints)

    def pause(self) -> None:
        """Pause it, and cancel what it has running."""
        control.pause_transfer(self.transfer_id, True, self.credentials, self.checkpoints)

    def redrive(self) -> None:
        """Try its dead letters again."""
        redrive_transfer(self.transfer_id, credentials=self.credentials, checkpoints=self.checkpoints)

    def sweep(self) -> None:
        """Resume whatever nobody drives in its store."""
        resume_incomplete(self.checkpoints, self.credentials)

    def process(self, what: str, at: str | None = None) -> Ended:
        """Do ``what``, the name of a method, in a process of its own, which is killed at the boundary ``at``."""
        child = self.start(what, at)
        in_time = has_ended(child)
        assert in_time, f"{what}, to be killed at {at!r}, takes too long:\n{self.log}"
        said = json.loads((self.folder / "said").read_text()) if child.exitcode == 0 else {}
        return Ended(child.exitcode, **said)

    def start(self, what: str, at: str | None = None) -> Child:
        """Begin to do ``what`` in a process of its own."""
        child = _processes.Process(target=_child, args=(self, what, at))
        with _starting:  # multiprocessing reads the exit status of every child whenever it starts one
            child.start()
        return child

    @property
    def log(self) -> str:
        """All that its processes have said."""
        return (self.folder / "log").read_text(errors="replace")


def has_ended(child: Child) -> bool:
    """Wait for a process; whether it has ended by itself. One that takes too long is killed."""
    in_time = wait([child.sentinel], LONGEST_RUN)
    with _starting:
        if not in_time:
            child.kill()
        child.join(LONGEST_RUN)
    return bool(in_time)


@dataclass(frozen=True)
class Ended:
    """How a process has ended: its exit status, the name of the error if there was one, and what it has crossed."""

    status: int | None
    error: str | None = None
    crossed: list[str] = field(default_factory=list)


def _child(run: Run, what: str, at: str | None) -> None:
    log = os.open(run.folder / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    boundaries = Boundaries(run.transfer_id, at, kill_this_process)
    instrument(boundaries, lambda request: _keep_token(run, request))
    watching._FIRST_LOOK = watching._END_LOOK = polling._LEAST_SECONDS = 0.05  # the tasks here take no longer
    error = None
    with temporary_settings({PREFECT_API_URL: run.prefect_api, PREFECT_LOGGING_LEVEL: "INFO"}):
        try:
            getattr(run, what)()
        except TransferError as raised:
            error = type(raised).__name__
    (run.folder / "said").write_text(json.dumps({"error": error, "crossed": boundaries.crossed}))
    os._exit(0)  # a kill is what this is about; who ends in peace need not wait for Prefect's last words either


def _keep_token(run: Run, request: requests.PreparedRequest) -> None:
    kind, _, token = str(request.headers.get("Authorization", "")).partition(" ")
    if kind == "Bearer":
        (run.tokens / run.transfer_id).write_text(token)


@dataclass
class Matrix:
    """Where transfers are made ready and looked at: two folders, and the emulator that serves them."""

    folder: Path
    emulator: Emulator
    prefect_api: str
    faults: dict[str, list[str]] = field(default_factory=dict)

    def prepare(self, transfer_id: str, store: str | None = None, **options: Any) -> Run:
        """A fresh source tree, with the faults that its files will meet."""
        here = self.folder / "runs" / transfer_id
        here.mkdir(parents=True)
        tokens = self.folder / "tokens"
        tokens.mkdir(exist_ok=True)
        for path, content in TREE.items():
            file = self.source(transfer_id) / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(content)
        (self.source(transfer_id) / EMPTY).mkdir()
        same = self.destination(transfer_id) / "a/same"
        same.parent.mkdir(parents=True)
        same.write_text(TREE["a/same"])
        faults = [
            TaskFault(FailFile("FILE_NOT_FOUND"), file=f"/{transfer_id}/a/gone"),
            TaskFault(FailFile("INVALID_PATH_NAME"), file=f"/{transfer_id}/b/poison"),
            TaskFault(ExpireTask(files=1), file=f"/{transfer_id}/c/*", times=1),
            TaskFault(FailFile("PERMISSION_DENIED", "destination"), file=f"/{transfer_id}/d/locked"),
        ]
        self.faults[transfer_id] = [self.emulator.inject(fault) for fault in faults]
        collections = (self.emulator.collections["source"], self.emulator.collections["destination"])
        url = store or f"sqlite:///{here / 'checkpoints.db'}"
        return Run(transfer_id, self.emulator.url, self.prefect_api, collections, url, here, tokens, OPTIONS | options)

    def mend(self, run: Run) -> None:
        """Take back the faults of a transfer."""
        for fault in self.faults.pop(run.transfer_id, ()):
            self.emulator.clear(fault)

    def source(self, transfer_id: str) -> Path:
        """Its folder at the source."""
        return self.folder / "source" / transfer_id

    def destination(self, transfer_id: str) -> Path:
        """Its folder at the destination."""
        return self.folder / "destination" / transfer_id

    def snapshot(self, run: Run) -> Snapshot | None:
        """How a transfer stands."""
        root = f"/{run.transfer_id}"
        return take_snapshot(run.checkpoints, run.transfer_id, self.folder / "globus.db", root)

    def token(self, run: Run) -> str:
        """The last access token that it was given."""
        return (run.tokens / run.transfer_id).read_text()


def each(what: Callable[[str], None], boundaries: Iterable[str]) -> dict[str, str]:
    """Do ``what`` with each boundary, several at once; return what went wrong, by boundary."""

    def tried(boundary: str) -> str | None:
        try:
            what(boundary)
        except AssertionError as error:
            return "".join(traceback.format_exception(error))
        return None

    names = list(boundaries)
    with ThreadPoolExecutor(LANES) as lanes:
        return {name: wrong for name, wrong in zip(names, lanes.map(tried, names), strict=True) if wrong is not None}
