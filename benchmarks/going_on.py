"""Going on: a transfer that was killed half-way, and one that has only changes to move."""

from __future__ import annotations

import json
import signal
import sqlite3
import statistics
import time
from contextlib import closing
from pathlib import Path

from arena import BARE, FLOW, Arena, Field
from figures import Figure, Part
from given import Given

from prefect_globus import SqlCheckpointStore
from prefect_globus.transfers.errors import TransferNotFoundError

PER_DIRECTORY = 1000
CHANGED_SHARE = 1000  # one file in so many
LOOK_SECONDS = 0.1
CALLS_OF_A_BATCH = 6  # look, settle, and what a new batch takes until it is submitted
CALLS_OF_A_START = 10


def resume(arena: Arena, given: Given, part: Part) -> None:
    """Kill a transfer when half of it is done, and go on."""
    directories = -(-given.files // PER_DIRECTORY)
    first, needless, calls, live = [], [], [], []
    for _ in range(given.rounds):
        with arena.field(f"synthetic:files={given.files},dirs={directories},size=1MiB") as field:
            store = _killed_half_way(field, given.files)
            cursor, complete = store.load_transfer("half").cursor, store.load_transfer("half").scan_complete
            live.append(sum(1 for batch in store.list_batches("half") if batch.live))
            run = part.keep(given.files, field.run(FLOW, "--id", "half"), resumed=True)
            if run.facts["items_transferred"] != given.files:
                raise ValueError(f"{run.facts}: it is not complete")
        left = 0 if complete else directories - _place(cursor)
        first.append(run.first_task or 0.0)
        needless.append(float(run.requests.get("ls", 0) - left))
        calls.append(float(run.before_first))
    name = f"{given.files:,} files half done, resumed"
    at_once = statistics.median(live)
    part.add(
        Figure(f"{name}: until the first new task", first, "s", 5),
        Figure(f"{name}: ls of what was scanned", needless, target=2, note="the top, and where it stood"),
        Figure(
            f"{name}: calls but for ls until the first new task",
            calls,
            target=CALLS_OF_A_START + CALLS_OF_A_BATCH * at_once,
            note=f"{at_once:.0f} batches were in flight",
        ),
    )


def _killed_half_way(field: Field, files: int) -> SqlCheckpointStore:
    store = SqlCheckpointStore(url=f"sqlite:///{field.database}")
    process = field.start(FLOW, "--id", "half")
    try:
        while process.poll() is None and _transferred(store) < files // 2:
            time.sleep(LOOK_SECONDS)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    if _transferred(store) == files:
        raise ValueError("it was complete before it could be killed: take more files")
    return store


def _transferred(store: SqlCheckpointStore) -> int:
    try:
        return store.ledger("half").transferred
    except TransferNotFoundError:
        return 0


def _place(cursor: str | None) -> int:
    """How many directories are complete, by the path of the last item that was scanned: `d0012/f0345`."""
    return int((cursor or "d0").partition("/")[0].removeprefix("d"))


def incremental(arena: Arena, given: Given, part: Part) -> None:
    """One file in a thousand has changed: an incremental run against a bare listing, without latency and with it."""
    directories, changed = -(-given.files // PER_DIRECTORY), given.files // CHANGED_SHARE
    shape = f"synthetic:files={given.files},dirs={directories},size=1MiB"
    with arena.field(shape) as field:
        part.keep(given.files, field.run(FLOW, "--id", "first"))
        before = field.database
    options = json.dumps({"mode": "incremental"})
    for latency in (0, given.latency):
        ratios, listed, submitted = [], [], []
        for number in range(given.rounds):
            database = before.with_suffix(f".{latency}.{number}.db")
            _copy(before, database)
            with arena.field(f"{shape},changed={changed}", database=database, latency=latency) as field:
                bare = part.keep(given.files, field.run(BARE, "--list"), latency=latency)
                run = field.run(FLOW, "--id", "second", "--options", options)
            part.keep(given.files, run, mode="incremental", latency=latency)
            ratios.append(run.seconds / bare.seconds)
            listed.append(bare.seconds)
            submitted.append(float(run.submitted))
        name = f"{given.files:,} files, {changed:,} changed, {latency} ms"
        note = f"bare listing {statistics.median(listed):.1f} s"
        part.add(
            Figure(f"{name}: incremental run / bare listing", ratios, target=1.15, note=note),
            Figure(f"{name}: items submitted", submitted, target=float(changed)),
        )


def _copy(database: Path, copy: Path) -> None:
    """With what SQLite has not written into the file yet."""
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("VACUUM INTO ?", (str(copy),))
