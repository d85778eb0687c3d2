"""A state file that cannot be written for a while: tasks wait, and then go on."""

from __future__ import annotations

import sqlite3
import time
import uuid
from pathlib import Path

from prefect_globus.emulator.collections.model import CollectionSpec
from prefect_globus.emulator.database import Database
from prefect_globus.emulator.site import Site
from prefect_globus.emulator.tasks.model import Item, Kind, Options, Policy, Submission, Task, TaskType

HERE = "6c54cade-bde5-45c1-bdea-f4bd71dba2cc"
FILES = 30
PATIENCE = 10.0


def submission(name: str) -> Submission:
    item = Item(Kind.ITEM, "/source", f"/{name}", recursive=True)
    return Submission(TaskType.TRANSFER, str(uuid.uuid4()), HERE, HERE, None, None, Options(), (item,))


def ended(site: Site, task: Task) -> Task:
    deadline = time.monotonic() + PATIENCE
    while not (found := site.tasks.get(task.number)).is_finished and time.monotonic() < deadline:
        time.sleep(0.01)
    return found


def test_tasks_go_on_when_a_lock_on_the_state_is_gone(tmp_path: Path) -> None:
    """Neither a round that could not be noted nor a queue that could not be looked after stops the engine."""
    (tmp_path / "source").mkdir()
    for number in range(FILES):
        (tmp_path / "source" / f"f{number}").write_bytes(b"content")
    database = Database(tmp_path / "state.sqlite")
    database.rows("PRAGMA busy_timeout = 10")  # the usual five seconds, made short
    collections = [CollectionSpec("here", HERE, str(tmp_path))]
    site = Site.of(database, collections, Policy(scale=1000, file_delay=0.02))
    site.engine.start()
    tasks = [site.engine.submit("owner", submission(f"to{number}"))[0] for number in range(5)]
    other = sqlite3.connect(tmp_path / "state.sqlite", isolation_level=None)
    time.sleep(0.1)
    other.execute("BEGIN IMMEDIATE")
    time.sleep(1)  # each running task tries to write several times
    other.execute("ROLLBACK")
    other.close()
    found = [ended(site, task) for task in tasks]
    site.engine.stop()
    database.close()
    assert [task.status for task in found] == ["SUCCEEDED"] * 5
    assert [task.counters["files_transferred"] for task in found] == [FILES] * 5


def test_a_transaction_that_cannot_be_committed_is_taken_back(tmp_path: Path) -> None:
    """The next one begins anew."""
    database = Database(tmp_path / "state.sqlite")
    database.rows("PRAGMA foreign_keys = ON")
    database.rows("CREATE TABLE above (number INTEGER PRIMARY KEY)")
    database.rows("CREATE TABLE below (number REFERENCES above DEFERRABLE INITIALLY DEFERRED)")
    refused = False
    try:
        with database.transaction() as connection:
            connection.execute("INSERT INTO below VALUES (1)")
    except sqlite3.IntegrityError:
        refused = True
    with database.transaction() as connection:
        connection.execute("INSERT INTO above VALUES (1)")
    assert refused
    assert [tuple(row) for row in database.rows("SELECT * FROM below")] == []
    assert [tuple(row) for row in database.rows("SELECT * FROM above")] == [(1,)]
    database.close()
