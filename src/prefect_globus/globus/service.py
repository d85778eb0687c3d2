"""What the domain asks of Globus Transfer, over one globus-sdk client."""

from __future__ import annotations

import json
import posixpath
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from functools import partial
from typing import Any, NamedTuple
from urllib.parse import urlsplit
from uuid import UUID

import globus_sdk

from prefect_globus.globus.errors import translated
from prefect_globus.globus.observing import observe
from prefect_globus.globus.rate import Pace
from prefect_globus.transfers.errors import GlobusNotFoundError, GlobusRefusedPathError
from prefect_globus.transfers.items import ItemType
from prefect_globus.transfers.json_text import parsed
from prefect_globus.transfers.location import Location
from prefect_globus.transfers.watching import TaskView

_QUICK_RETRIES = 2
_TASKS_AT_ONCE = 100  # are asked for by one URL of less than 4,000 characters
_EVENTS = 1000  # as many as a page has: more that were skipped would hide one that was not, until `patience`


class Entry(NamedTuple):
    """One line of a directory listing (contract, section 5). Size is bytes, mtime seconds since 1970."""

    name: str
    type: ItemType
    size: int
    mtime: int
    link_target: str | None

    @property
    def is_directory(self) -> bool:
        """Whether it is a directory, or a symbolic link to one."""
        return self.type in (ItemType.DIRECTORY, ItemType.TREE)


class Collection(NamedTuple):
    """What a collection says of itself (contract, section 6); None where that does not apply to its kind."""

    name: str
    uses_data_access: bool
    is_connected: bool | None
    is_paused: bool | None


class Page(NamedTuple):
    """Some rows of a task's record, as Globus has them (contract, section 4).

    Args:
        rows: each with ``source_path``, ``destination_path``, and ``size`` or ``error_code``.
        next_marker: where the next page begins; None when there is none.
    """

    rows: Sequence[Mapping[str, Any]]
    next_marker: str | None


Between = tuple[Location, Location]


class GlobusService:
    """Globus Transfer, as one transfer uses it. Every method raises the errors of `prefect_globus.globus.errors`."""

    def __init__(
        self, connect: Callable[[], globus_sdk.TransferClient], pace: Pace | None = None, *, at_once: bool = True
    ) -> None:
        """A service that connects when it is first used.

        Args:
            connect: makes a client; called once in each thread, because a client serves one thread.
            pace: how fast requests may be made; None for as fast as they come.
            at_once: connect now, so that what is wrong with the credentials is known at once.
        """
        self._connect = connect
        self._pace = pace
        self._clients: list[globus_sdk.TransferClient] = []
        self._of_thread = threading.local()
        self.names: dict[UUID, str] = {}  # of the collections that were looked at, for people
        if at_once:
            self._client  # noqa: B018 - connects

    @property
    def _client(self) -> globus_sdk.TransferClient:
        client: globus_sdk.TransferClient | None = getattr(self._of_thread, "client", None)
        if client is None:
            client = self._of_thread.client = self._connect()
            # the driver waits longer, as its options say, and can be stopped while it waits: globus-sdk's sleep cannot
            client.retry_config.max_retries = _QUICK_RETRIES
            observe(client)
            if self._pace is not None:
                self._pace.hold(client)
            self._clients.append(client)
        return client

    def close(self) -> None:
        """Close the connections of all threads."""
        for client in self._clients:
            client.close()

    @property
    def is_at_globus(self) -> bool:
        """Whether it is Globus itself, whose web app shows the tasks, rather than what stands in its place."""
        client = self._clients[0] if self._clients else self._client  # a thread that has none need not connect for this
        return f".{urlsplit(client.base_url).hostname}".endswith(".globus.org")

    def check_collection(self, collection: UUID) -> None:
        """Raise GlobusNotFoundError unless the collection is known to Globus."""
        with translated(f"collection {collection}"):
            document = self._client.get_endpoint(collection)
            UUID(document["id"])  # read, because half an answer can look like a whole one
            self.names[collection] = document.get("display_name") or ""

    def uses_data_access(self, collection: UUID) -> bool:
        """Whether the data of a collection needs a consent of its own (contract, section 6)."""
        return self.collection(collection).uses_data_access

    def collection(self, collection: UUID) -> Collection:
        """A collection, as it describes itself."""
        with translated(f"collection {collection}"):
            document = self._client.get_endpoint(collection)
            mapped = document["entity_type"] == "GCSv5_mapped_collection"
            return Collection(
                name=document.get("display_name") or str(collection),
                uses_data_access=mapped and not document["high_assurance"],
                is_connected=document.get("gcp_connected"),
                is_paused=document.get("gcp_paused"),
            )

    def stat(self, location: Location) -> Entry | None:
        """The file or directory at ``location``, or None when there is nothing."""
        try:
            with translated(f"a look at {location}"):
                answer = self._client.operation_stat(location.collection, path=location.path)
                return _entries([answer.data])[0]
        except GlobusNotFoundError:
            return None

    def list_directory(self, location: Location, limit: int | None = None) -> list[Entry]:
        """All entries of a directory, in no particular order; only some of them with a ``limit``."""
        some = globus_sdk.MISSING if limit is None else limit
        with translated(f"the listing of {location}"):
            answer = self._client.operation_ls(location.collection, path=location.path, limit=some)
            return _entries(parsed(answer.binary_content)["DATA"])  # in half the time that `answer["DATA"]` takes

    def make_directories(self, location: Location) -> None:
        """Create a directory and those above it that are missing."""
        entry = self.stat(location)
        if entry is not None:
            return
        parent = location.evolve(path=posixpath.dirname(location.path))
        if parent.path != location.path:
            self.make_directories(parent)
        try:
            with translated(f"the creation of {location}"):
                self._client.operation_mkdir(location.collection, location.path)
        except GlobusRefusedPathError as error:
            # globus-sdk itself tries again where an answer was lost; then the directory is there already
            if not (error.code.endswith(".Exists") and self._is_directory(location)):
                raise

    def _is_directory(self, location: Location) -> bool:
        entry = self.stat(location)
        return entry is not None and entry.is_directory

    def new_submission_id(self) -> UUID:
        """An id under which one task, and one only, can be submitted (contract, section 3)."""
        with translated("a submission id"):
            return UUID(self._client.get_submission_id()["value"])

    def submit(self, body: Mapping[str, Any]) -> UUID:
        """Submit a transfer and return its task id; the same one for the same submission id, however often."""
        with translated(f"the submission of {body['label']!r}"):
            # as text, because globus-sdk would look into each item for what is to be left out
            text = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
            answer = self._client.post("/v0.10/transfer", data=text, headers={"Content-Type": "application/json"})
            return UUID(answer["task_id"])

    def delete(self, body: Mapping[str, Any]) -> UUID:
        """Submit a deletion and return its task id; the same one for the same submission id, however often."""
        with translated(f"the submission of {body['label']!r}"):
            answer = self._client.post("/v0.10/delete", data=dict(body))
            return UUID(answer["task_id"])

    def task(self, task_id: UUID) -> TaskView:
        """The task as it is now; GlobusNotFoundError when Globus does not, or no longer, know it."""
        with translated(f"task {task_id}"):
            return _view(self._client.get_task(task_id).data)

    def tasks(self, task_ids: Sequence[UUID]) -> dict[UUID, TaskView]:
        """Several tasks as they are now, by their ids; without those that Globus does not show, or not readably."""
        views: dict[UUID, TaskView] = {}
        for start in range(0, len(task_ids), _TASKS_AT_ONCE):
            some = task_ids[start : start + _TASKS_AT_ONCE]
            query = {"filter": f"task_id:{','.join(map(str, some))}"}
            with translated(f"{len(some)} tasks"):
                answer = self._client.task_list(limit=len(some), query_params=query)
                for document in answer["DATA"]:
                    with suppress(ValueError, TypeError, LookupError, AttributeError):
                        view = _view(document)
                        views[view.task_id] = view
        return views

    def error_codes(self, task_id: UUID) -> Counter[str]:
        """How often a task has met which error, by the codes of its latest events (contract, section 4)."""
        with translated(f"the events of task {task_id}"):
            events = self._client.task_event_list(task_id, limit=_EVENTS, query_params={"filter": "is_error:1"})
            return Counter(event["code"] for event in events["DATA"])

    def pause_message(self, task_id: UUID) -> str | None:
        """What the administrators say who have paused a task; None when they say nothing."""
        with translated(f"the pause of task {task_id}"):
            info = self._client.task_pause_info(task_id).data
            messages = [rule.get("message") for rule in info.get("pause_rules") or []]
            messages += [info.get("source_pause_message"), info.get("destination_pause_message")]
            return "; ".join(dict.fromkeys(filter(None, messages))) or None

    def unfinished_tasks(self, source: UUID, destination: UUID) -> list[TaskView]:
        """The login's unfinished transfers between two collections, at most 1,000."""
        query = {"filter": "type:TRANSFER/status:ACTIVE,INACTIVE"}
        with translated("the unfinished tasks"):
            answer = self._client.task_list(limit=1000, query_params=query)
            return [
                _view(document)
                for document in answer["DATA"]
                if document["source_endpoint_id"] == str(source)
                and document["destination_endpoint_id"] == str(destination)
            ]

    def unfinished_deletion(self, collection: UUID, label: str) -> UUID | None:
        """The login's unfinished deletion of that label, if it has one among at most 1,000."""
        query = {"filter": "type:DELETE/status:ACTIVE,INACTIVE"}
        with translated("the unfinished deletions"):
            answer = self._client.task_list(limit=1000, query_params=query)
            found = [
                UUID(document["task_id"])
                for document in answer["DATA"]
                if document["label"] == label and document["source_endpoint_id"] == str(collection)
            ]
            return found[0] if found else None

    def unfinished(self) -> int:
        """How many unfinished transfers the login has, at most 1,000 of them counted."""
        query = {"filter": "type:TRANSFER/status:ACTIVE,INACTIVE", "fields": "task_id"}
        with translated("the number of unfinished tasks"):
            return len(self._client.task_list(limit=1000, query_params=query)["DATA"])

    def cancel(self, task_id: UUID) -> None:
        """Ask Globus to end a task; no error when it has ended already."""
        with translated(f"the cancellation of task {task_id}"):
            self._client.cancel_task(task_id)

    def moved_paths(self, task_id: UUID, between: Between | None = None) -> dict[str, int]:
        """The source paths of the files that an ended task has moved, with their sizes in bytes.

        Args:
            task_id: which.
            between: leave out what was not moved from the first location to the same place below the second.
        """
        with translated(f"the files of task {task_id}"):
            rows: Iterable[Mapping[str, Any]] = self._client.paginated.task_successful_transfers(task_id).items()
            return {row["source_path"]: row["size"] for row in rows if _lies(row, between)}

    def moved_page(self, task_id: UUID, between: Between | None = None, marker: str | None = None) -> Page:
        """Some of the files that an ended task has moved, from ``marker`` on; ``between`` as in `moved_paths`."""
        with translated(f"the files of task {task_id}"):
            return _page(self._client.task_successful_transfers(task_id, query_params=_from(marker)), between)

    def skipped_page(self, task_id: UUID, between: Between | None = None, marker: str | None = None) -> Page:
        """The same of what it has skipped."""
        with translated(f"the skipped files of task {task_id}"):
            return _page(self._client.task_skipped_errors(task_id, query_params=_from(marker)), between)

    def checksums(self, task_id: UUID) -> dict[str, str]:
        """The source paths of the files that an ended task has moved, with the checksums that Globus has recorded.

        Each is preceded by its algorithm. Files without one are left out: those of a task that did not verify.
        """
        with translated(f"the checksums of task {task_id}"):
            rows: Iterable[Mapping[str, Any]] = self._client.paginated.task_successful_transfers(task_id).items()
            return {
                row["source_path"]: f"{row.get('checksum_algorithm')}:{row['checksum']}"
                for row in rows
                if row.get("checksum")
            }

    def skipped_paths(self, task_id: UUID, between: Between | None = None) -> dict[str, str]:
        """The source paths that a task has skipped, with their error codes; see `moved_paths`."""
        with translated(f"the skipped files of task {task_id}"):
            rows: Iterable[Mapping[str, Any]] = self._client.paginated.task_skipped_errors(task_id).items()
            return {row["source_path"]: row["error_code"] for row in rows if _lies(row, between)}


def _from(marker: str | None) -> dict[str, str]:
    return {} if marker is None else {"marker": marker}


def _page(answer: globus_sdk.GlobusHTTPResponse, between: Between | None) -> Page:
    marker = answer.get("next_marker")
    return Page([row for row in answer["DATA"] if _lies(row, between)], None if marker is None else str(marker))


def _lies(row: Mapping[str, Any], between: Between | None) -> bool:
    if between is None:
        return True
    source, destination = between
    return bool(row["destination_path"] == destination.join(source.relative(row["source_path"])))


def _view(document: Mapping[str, Any]) -> TaskView:
    fatal = document.get("fatal_error") or {}
    numbers = ("files_transferred", "files_skipped", "bytes_transferred", "bytes_checksummed", "faults")
    return TaskView(
        task_id=UUID(document["task_id"]),
        status=document["status"],
        label=document.get("label"),
        nice_status=document.get("nice_status"),
        is_paused=bool(document.get("is_paused")),
        fatal_code=fatal.get("code"),
        skipped_errors=document.get("subtasks_skipped_errors") or 0,
        # no other counter of a deletion grows; in a transfer, looking into a directory is a subtask, too
        deleted=(document.get("subtasks_succeeded") or 0) if document.get("type") == "DELETE" else 0,
        **{name: document.get(name) or 0 for name in numbers},
    )


_TYPES = {member.value: member for member in ItemType}


_as_entry: Callable[[tuple[str, ItemType, int, int, str | None]], Entry] = partial(tuple.__new__, Entry)


def _entries(documents: Iterable[Mapping[str, Any]]) -> list[Entry]:
    fields = [
        (
            document["name"],
            _TYPES.get(document["type"], ItemType.OTHER),
            document.get("size") or 0,
            int(datetime.fromisoformat(modified).timestamp()) if (modified := document.get("last_modified")) else 0,
            document.get("link_target"),
        )
        for document in documents
    ]
    return list(map(_as_entry, fields))
