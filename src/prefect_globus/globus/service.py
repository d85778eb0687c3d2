"""What the domain asks of Globus Transfer, over one globus-sdk client."""

from __future__ import annotations

import posixpath
import threading
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import globus_sdk

from prefect_globus.globus.errors import translated
from prefect_globus.transfers.errors import GlobusNotFoundError
from prefect_globus.transfers.items import ItemType
from prefect_globus.transfers.location import Location
from prefect_globus.transfers.records import Record

_QUICK_RETRIES = 2


class Entry(NamedTuple):
    """One line of a directory listing (contract, section 5). Size is bytes, mtime seconds since 1970."""

    name: str
    type: ItemType
    is_directory: bool
    size: int
    mtime: int
    link_target: str | None


class TaskView(Record):
    """What we read of a task document (contract, section 4)."""

    task_id: UUID
    status: str
    nice_status: str | None = None
    fatal_code: str | None = None
    files_transferred: int = 0
    files_skipped: int = 0
    skipped_errors: int = 0
    bytes_transferred: int = 0
    faults: int = 0

    @property
    def ended(self) -> bool:
        """Whether it will never do anything again. An INACTIVE task waits for a person, and may go on."""
        return self.status in ("SUCCEEDED", "FAILED")


class GlobusService:
    """Globus Transfer, as one transfer uses it. Every method raises the errors of `prefect_globus.globus.errors`."""

    def __init__(self, connect: Callable[[], globus_sdk.TransferClient]) -> None:
        """Args: ``connect``: makes a client; called once in each thread, because a client serves one thread."""
        self._connect = connect
        self._clients: list[globus_sdk.TransferClient] = []
        self._of_thread = threading.local()
        self._client  # noqa: B018 - what is wrong with the credentials is known at once

    @property
    def _client(self) -> globus_sdk.TransferClient:
        client: globus_sdk.TransferClient | None = getattr(self._of_thread, "client", None)
        if client is None:
            client = self._of_thread.client = self._connect()
            # the driver waits longer, as its options say, and can be stopped while it waits: globus-sdk's sleep cannot
            client.retry_config.max_retries = _QUICK_RETRIES
            self._clients.append(client)
        return client

    def close(self) -> None:
        """Close the connections of all threads."""
        for client in self._clients:
            client.close()

    def check_collection(self, collection: UUID) -> None:
        """Raise GlobusNotFoundError unless the collection is known to Globus."""
        with translated(f"collection {collection}"):
            self._client.get_endpoint(collection)

    def stat(self, location: Location) -> Entry | None:
        """The file or directory at ``location``, or None when there is nothing."""
        try:
            with translated(f"a look at {location}"):
                answer = self._client.operation_stat(location.collection, path=location.path)
                return _entry(answer.data)
        except GlobusNotFoundError:
            return None

    def list_directory(self, location: Location) -> list[Entry]:
        """All entries of a directory, in no particular order."""
        with translated(f"the listing of {location}"):
            answer = self._client.operation_ls(location.collection, path=location.path)
            return [_entry(document) for document in answer["DATA"]]

    def make_directories(self, location: Location) -> None:
        """Create a directory and those above it that are missing."""
        entry = self.stat(location)
        if entry is not None:
            return
        parent = location.evolve(path=posixpath.dirname(location.path))
        if parent.path != location.path:
            self.make_directories(parent)
        with translated(f"the creation of {location}"):
            self._client.operation_mkdir(location.collection, location.path)

    def new_submission_id(self) -> UUID:
        """An id under which one task, and one only, can be submitted (contract, section 3)."""
        with translated("a submission id"):
            return UUID(self._client.get_submission_id()["value"])

    def submit(self, body: Mapping[str, Any]) -> UUID:
        """Submit a transfer and return its task id; the same one for the same submission id, however often."""
        with translated(f"the submission of {body['label']!r}"):
            answer = self._client.post("/v0.10/transfer", data=dict(body))
            return UUID(answer["task_id"])

    def task(self, task_id: UUID) -> TaskView:
        """The task as it is now; GlobusNotFoundError when Globus does not, or no longer, know it."""
        with translated(f"task {task_id}"):
            document = self._client.get_task(task_id).data
            fatal = document.get("fatal_error") or {}
            return TaskView(
                task_id=task_id,
                status=document["status"],
                nice_status=document.get("nice_status"),
                fatal_code=fatal.get("code"),
                files_transferred=document.get("files_transferred") or 0,
                files_skipped=document.get("files_skipped") or 0,
                skipped_errors=document.get("subtasks_skipped_errors") or 0,
                bytes_transferred=document.get("bytes_transferred") or 0,
                faults=document.get("faults") or 0,
            )

    def cancel(self, task_id: UUID) -> None:
        """Ask Globus to end a task; no error when it has ended already."""
        with translated(f"the cancellation of task {task_id}"):
            self._client.cancel_task(task_id)

    def moved_paths(self, task_id: UUID) -> set[str]:
        """The source paths of the files that an ended task has moved."""
        with translated(f"the files of task {task_id}"):
            return {row["source_path"] for row in self._client.paginated.task_successful_transfers(task_id).items()}

    def skipped_paths(self, task_id: UUID) -> dict[str, str]:
        """The source paths that a task has skipped, with their error codes."""
        with translated(f"the skipped files of task {task_id}"):
            rows: Iterable[Mapping[str, Any]] = self._client.paginated.task_skipped_errors(task_id).items()
            return {row["source_path"]: row["error_code"] for row in rows}


_TYPES = {member.value: member for member in ItemType}


def _entry(document: Mapping[str, Any]) -> Entry:
    modified = document.get("last_modified")
    return Entry(
        name=document["name"],
        type=_TYPES.get(document["type"], ItemType.OTHER),
        is_directory=document["type"] == "dir",
        size=document.get("size") or 0,
        mtime=int(datetime.fromisoformat(modified).timestamp()) if modified else 0,
        link_target=document.get("link_target"),
    )
