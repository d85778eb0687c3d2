"""What a transfer costs in counted work, whatever the machine: requests, SQL, bytes, memory. No seconds.

The budgets are for one batch, or one item, more: two transfers are compared, the second of which has twice as much of
everything, so that what a transfer costs once is left out. To see the present counts:

    pytest -q -s -n 0 tests/flows/test_counted_work.py
"""

from __future__ import annotations

import tracemalloc
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import httpx
from prefect.events.worker import EventsWorker
from prefect.settings import PREFECT_API_URL, PREFECT_LOGGING_LEVEL, temporary_settings
from sqlalchemy import Engine, event

from prefect_globus import GlobusCredentials, SqlCheckpointStore, TransferOptions, TransferStatus, resumable_transfer
from prefect_globus.emulator.process import Emulator, running_emulator
from prefect_globus.globus import lookahead
from prefect_globus.globus.scan import Ahead, Walk
from prefect_globus.globus.service import Entry
from prefect_globus.transfers.batching import cut_batches
from prefect_globus.transfers.items import ItemType, encode_manifest
from prefect_globus.transfers.selecting import Selection

DIRECTORIES, FILES, BATCH = 10, 500, 50
BATCHES = FILES // BATCH

# At most so much for a batch more. To be lowered when the work gets less, and raised only for a reason.
BUDGETS: Mapping[str, float] = {
    "Globus: ls": DIRECTORIES / BATCHES,
    "Globus: submission_id": 1,
    "Globus: submit": 1,
    "Globus: records of an ended task": 0,
    "Prefect: requests": 1,
    "Prefect: events": 4,
    "SQL: transactions that write": 4,
    "SQL: statements": 16,
    "SQL: bytes written": 7000,
}
PACKED_BUDGET = 5.0  # bytes of an item in a manifest
HELD = 1000  # entries that may be listed ahead: both trees have many more
MEMORY_BUDGET = 1.25  # the peak of scanning and packing twice as many items, as a multiple of that of half

# What a driver does as often as time passes is not counted: looking for the end of a task and for requests, and its
# lease. The row that keeps it from writing when the lease is lost is read once in each transaction that writes.
TIMED_OPERATIONS = ("/task_list", "/task/{task}")
LEASE = "UPDATE prefect_globus_transfers SET lease_token"
TIMED_STATEMENTS = ("BEGIN", "SELECT prefect_globus_transfers.", LEASE)


def test_a_batch_costs_no_more_work_than_it_is_allowed(tmp_path: Path, prefect_api: str) -> None:
    """A count that has grown says which, and by how much."""
    trees = {"half": f"files={FILES},dirs={DIRECTORIES}", "whole": f"files={2 * FILES},dirs={2 * DIRECTORIES}"}
    collections = {name: f"synthetic:{shape}" for name, shape in trees.items()} | {"to": "synthetic:files=0,dirs=0"}
    settings = {PREFECT_API_URL: prefect_api, PREFECT_LOGGING_LEVEL: "WARNING"}
    with running_emulator(collections, state=tmp_path / "globus.db") as emulator, temporary_settings(settings):
        store = SqlCheckpointStore(url=f"sqlite:///{tmp_path / 'checkpoints.db'}")
        transfer(emulator, store, "half", "first")  # it also does what is done once in a process
        half, whole = (counted(emulator, store, name) for name in trees)
    each = {name: (whole[name] - half[name]) / BATCHES for name in BUDGETS}
    print("".join(f"\n{name:32}{count:8.2f} of at most {BUDGETS[name]:g}" for name, count in each.items()))
    grown = {name: f"{each[name]:.2f} instead of {most:g}" for name, most in BUDGETS.items() if each[name] > most}
    assert not grown, f"a batch more costs more than its budget: {grown}"
    assert whole["Globus: ls"] == 2 * DIRECTORIES + 1


def counted(emulator: Emulator, store: SqlCheckpointStore, name: str) -> Counter[str]:
    """The work of a whole transfer, without what comes with the time that it takes."""
    before = emulator.requests()
    with counted_sql() as work, counted_prefect(work):
        transfer(emulator, store, name, name)
    for operation, times in (emulator.requests() - before).items():
        if not operation.endswith(TIMED_OPERATIONS):
            work[f"Globus: {kind_of(operation)}"] += times
    return work


def transfer(emulator: Emulator, store: SqlCheckpointStore, source: str, transfer_id: str) -> None:
    url = emulator.url
    result = resumable_transfer(
        f"{emulator.collections[source]}:/",
        f"{emulator.collections['to']}:/",
        TransferOptions(batch_size=BATCH, poll_interval=0.5),
        transfer_id,
        GlobusCredentials(client_id="any", client_secret="any", transfer_url=url, auth_url=url),
        store,
    )
    assert result.status is TransferStatus.COMPLETED


def kind_of(operation: str) -> str:
    """What a request is for, in the words of the budgets."""
    end = operation.rpartition("/")[2]
    if "/task/{task}/" in operation:
        return "records of an ended task"
    return "submit" if operation == "POST /v0.10/transfer" else end


@contextmanager
def counted_sql() -> Iterator[Counter[str]]:
    """Count what this process asks of databases."""
    work: Counter[str] = Counter()

    def executed(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        work["SQL: transactions that write"] += (statement == "BEGIN IMMEDIATE") - statement.startswith(LEASE)
        if not statement.startswith(TIMED_STATEMENTS):
            work["SQL: statements"] += 1
            work["SQL: bytes written"] += 0 if statement.startswith("SELECT") else written(parameters)

    event.listen(Engine, "before_cursor_execute", executed)
    try:
        yield work
    finally:
        event.remove(Engine, "before_cursor_execute", executed)


def written(parameters: Any) -> int:
    """Bytes of the values of a statement, or of several."""
    if isinstance(parameters, Mapping):
        parameters = parameters.values()
    if isinstance(parameters, list | tuple) or not isinstance(parameters, str | bytes | int | float | None):
        return sum(map(written, parameters))
    return len(parameters) if isinstance(parameters, str | bytes) else 8


@contextmanager
def counted_prefect(work: Counter[str]) -> Iterator[None]:
    """Count what this process asks of Prefect, whose client is httpx, and the events that it tells it."""
    send, send_async, tell = httpx.Client.send, httpx.AsyncClient.send, EventsWorker.send

    def sent(self: httpx.Client, request: httpx.Request, **options: Any) -> httpx.Response:
        work["Prefect: requests"] += 1
        return send(self, request, **options)

    async def sent_async(self: httpx.AsyncClient, request: httpx.Request, **options: Any) -> httpx.Response:
        work["Prefect: requests"] += 1
        return await send_async(self, request, **options)

    def told(self: EventsWorker, event: Any) -> None:
        work["Prefect: events"] += 1
        tell(self, event)

    with (
        patch.object(httpx.Client, "send", sent),
        patch.object(httpx.AsyncClient, "send", sent_async),
        patch.object(EventsWorker, "send", told),
    ):
        yield


def test_a_scan_takes_no_more_memory_for_a_larger_tree() -> None:
    """Twice as many items are listed ahead, scanned, cut and packed with no more memory at once."""
    packed(10)  # what is allocated once
    (half, _), (whole, each) = packed(200), packed(400)
    print(f"\n{'a packed item, bytes':32}{each:8.2f} of at most {PACKED_BUDGET:g}")
    print(f"{'memory of twice the items':32}{whole / half:8.2f} of at most {MEMORY_BUDGET:g}")
    assert each <= PACKED_BUDGET, f"an item takes {each:.2f} bytes"
    assert whole <= MEMORY_BUDGET * half, f"{whole / half:.2f} times the memory for twice the items"


def packed(directories: int) -> tuple[int, float]:
    """Bytes that scanning and packing directories of 100 files takes at its peak, and that a packed item has."""
    top = [Entry(f"d{number:04}", ItemType.DIRECTORY, 0, 0, None) for number in range(directories)]

    def listing(path: str, most: int | None = None) -> list[Entry]:
        return [Entry(f"f{n:04}", ItemType.FILE, 1024, n * n, None) for n in range(100)][:most] if path else top

    options, size = TransferOptions(batch_size=500), 0
    with ThreadPoolExecutor(4) as pool, patch.object(lookahead, "MOST_HELD", HELD):
        tracemalloc.start()
        try:
            walk = Walk(listing, Selection(options, 0.0), ahead=Ahead(pool, listing))
            for items, _ in cut_batches(walk.items(), options):
                size += len(encode_manifest(items))
            return tracemalloc.get_traced_memory()[1], size / (directories * 100)
        finally:
            tracemalloc.stop()
