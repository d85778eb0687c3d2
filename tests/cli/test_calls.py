"""What needs no transfer to run: reading, deleting, bad input, help."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from uuid import uuid4

import pytest
from shells import call, children, is_alive, wait_until

from prefect_globus.blocks import SqlCheckpointStore
from prefect_globus.cli import local
from prefect_globus.cli.flags import FIELDS
from prefect_globus.cli.local import Places
from prefect_globus.cli.main import cli
from prefect_globus.tasks.processes import this_holder
from prefect_globus.transfers.batches import Batch
from prefect_globus.transfers.errors import InvalidInputError
from prefect_globus.transfers.items import Item
from prefect_globus.transfers.location import Location
from prefect_globus.transfers.model import Transfer
from prefect_globus.transfers.options import TransferOptions
from prefect_globus.transfers.records import now

UUID = "16d793ac-4d4a-5def-8fdb-bf474230a0d0"
COMMANDS = ["transfer", "resume", "status", "list", "cancel", "delete", "emulator", "emulator serve"]


@pytest.fixture
def store(here: Path) -> SqlCheckpointStore:
    """A store with one transfer."""
    assert here.exists()
    made = SqlCheckpointStore()
    source, destination = Location.parse(f"{UUID}:/a"), Location.parse(f"{UUID}:/b")
    made.create_transfer(Transfer(id="nightly", source=source, destination=destination))
    return made


# --- reading


def test_status_is_a_block_of_facts(store: SqlCheckpointStore) -> None:
    store.acquire_lease("nightly", this_holder(), 60)
    said = call("status", "nightly")
    assert said.code == 0
    assert f"Source:       {UUID}:/a\n" in said.out
    assert f"process {os.getpid()}\n" in said.out
    assert json.loads(call("status", "nightly", "--json").out)["status"] == "CREATED"


@pytest.mark.usefixtures("store")
def test_a_list_is_whole_in_a_pipe_and_of_those_that_are_wanted() -> None:
    long = "x" * 128
    store = SqlCheckpointStore()
    store.create_transfer(store.load_transfer("nightly").evolve(id=long, created_at=now()))
    assert [line.split()[0] for line in call("list").out.splitlines()] == ["ID", long, "nightly"]
    assert {each["id"] for each in json.loads(call("list", "--json").out)} == {"nightly", long}
    assert [each["id"] for each in json.loads(call("list", "--json", "--limit", "1").out)] == [long]
    assert call("list", "--status", "completed") == (0, "", "There are no such transfers.\n")
    assert len(call("list", "--status", "created", "--status", "failed").out.splitlines()) == 3


@pytest.mark.usefixtures("here")
def test_there_may_be_none() -> None:
    """Which is no result: it is said to people, once there is a database to look at."""
    none = "There are no transfers.\n"
    assert (
        call("list").err
        == f"There is no database {Path.cwd() / 'checkpoints.db'} yet, which PREFECT_GLOBUS_DATABASE_URL names.\n{none}"
    )
    assert call("list") == (0, "", none)
    assert call("list", "--quiet") == (0, "", "")
    assert call("list", "--json") == (0, "[]\n", "")
    assert call("resume", "--dry-run") == (0, "", "There is nothing to resume.\n")


@pytest.mark.usefixtures("store")
def test_delete_forgets_the_transfer_and_the_state_of_its_emulator() -> None:
    state = local._state("nightly")
    state.parent.mkdir(parents=True)
    state.touch()
    assert json.loads(call("delete", "nightly", "--json").out) == {"id": "nightly", "done": "deleted"}
    assert not state.exists()
    said = call("status", "nightly")
    assert said.code == 1
    assert said.err.startswith("Error: There is no transfer 'nightly'")


def test_a_transfer_that_is_driven_is_not_deleted(store: SqlCheckpointStore) -> None:
    store.acquire_lease("nightly", this_holder(), 60)
    said = call("delete", "nightly")
    assert said.code == 1
    assert f"process {os.getpid()}" in said.err


def test_a_transfer_with_running_tasks_is_deleted_by_force_only(store: SqlCheckpointStore) -> None:
    lease = store.acquire_lease("nightly", this_holder(), 60)
    transfer = store.load_transfer("nightly")
    batch = Batch.cut("nightly", transfer.batches + 1, [Item("a", 1, 1)])
    store.append_batch(lease, transfer.evolve(batches=batch.number, cursor="a"), batch, [Item("a", 1, 1)])
    store.save_batch(lease, batch.intend(uuid4(), None))
    store.release_lease(lease)
    said = call("delete", "nightly")
    assert said.code == 1
    assert "prefect-globus cancel nightly" in said.err
    assert call("delete", "nightly", "--force").code == 0


@pytest.mark.usefixtures("here")
def test_a_database_by_flag_is_used_instead(tmp_path: Path) -> None:
    """If it is there: to look at one that is not would make it, and say that there is nothing in it."""
    url = f"sqlite:///{tmp_path / 'other.db'}"
    for command in (["list"], ["purge", "--yes"], ["status", "nightly"]):
        said = call(*command, "--database", url)
        assert (said.code, said.out) == (2, "")
        assert said.err.startswith(f"Error: There is no database {tmp_path / 'other.db'}")
    SqlCheckpointStore(url=url).list_transfers()
    assert call("list", "--database", url).code == 0
    said = call("list", "--database", "mysql://me:hush-hush@there/db")
    assert said.code == 2
    assert "hush-hush" not in said.err


# --- bad input


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["a", "b", "--max-concurrency", "0"], "--max-concurrency: input should be greater than 0, not 0"),
        (["a", "b", "--retry-limit", "many"], "'many' is not a valid integer"),
        (["a", "b", "--min-size", "big"], "'big': it is not a size"),
        (["a", "b", "--sync-level", "7"], "'7' is not one of 'exists', 'size', 'mtime', 'checksum'"),
        (["a", "b", "--id", "../x"], "'../x' cannot be a transfer id"),
        (["a", f"{UUID}:/b"], "must both be locations"),
        (["nowhere", "b"], "The source nowhere does not exist"),
        (["a", "a/b"], "lies inside the source"),
        (["a", "a"], "lies inside the source"),
        (["a", "one.txt"], "is a file"),
        ([f"{UUID}:/a", f"{UUID}:b"], "relative"),
        ([f"{UUID}:/a", f"{UUID}:/a/b"], "lies inside the source"),
        (["a"], "Missing argument 'DST'"),
        (["a", "b", "--nonsense"], "No such option"),
    ],
)
def test_bad_input_is_refused_before_anything_is_made(here: Path, arguments: list[str], words: str) -> None:
    (here / "a").mkdir()
    (here / "one.txt").touch()
    said = call("transfer", *arguments)
    assert (said.code, said.out) == (2, "")
    assert words in said.err
    assert said.err.startswith("Error: ")
    assert len(said.err.splitlines()) == 1
    assert sorted(each.name for each in here.iterdir()) == ["a", "one.txt"]


@pytest.mark.usefixtures("here")
def test_each_bad_option_has_a_line() -> None:
    said = call("transfer", "a", "b", "--retry-limit", "-1", "--max-concurrency", "0")
    assert [line.split(":")[1].strip() for line in said.err.splitlines()] == ["--max-concurrency", "--retry-limit"]


@pytest.mark.usefixtures("here")
def test_debug_shows_the_traceback() -> None:
    assert "Traceback" not in call("status", "nightly").err
    assert "Traceback" in call("status", "nightly", "--debug").err


# --- flags


@pytest.mark.parametrize("command", COMMANDS)
def test_help_fits_80_columns(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    said = call(*command.split(), "--help")
    assert said.code == 0
    assert max(map(len, said.out.splitlines())) <= 80


def test_every_option_is_a_flag() -> None:
    options = {name for each in cli.commands["transfer"].params for name in each.opts}
    assert {"--" + name.replace("_", "-") for name in FIELDS} <= options
    assert FIELDS.keys() == TransferOptions.model_fields.keys() - {
        each for each in TransferOptions.model_fields if each.endswith("_callback")
    }


# --- plain places


def test_a_folder_is_its_own_collection(here: Path) -> None:
    (here / "a").mkdir()
    places = Places.of("a", "b/c")
    assert places is not None
    assert places.source == (here.resolve() / "a", "/")
    assert places.destination == (here.resolve() / "b" / "c", "/")
    assert places.source.location == Places.of("./a/", "d").source.location  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("destination", "folder", "path"),
    [("b", "b", "/one.txt"), ("new/", "new", "/one.txt"), ("two.txt", "", "/two.txt"), ("x/two.txt", "x", "/two.txt")],
)
def test_a_file_is_in_the_collection_of_its_folder(here: Path, destination: str, folder: str, path: str) -> None:
    (here / "one.txt").touch()
    (here / "b").mkdir()
    places = Places.of("one.txt", destination)
    assert places is not None
    assert places.source == (here.resolve(), "/one.txt")
    assert places.destination == (here.resolve() / folder, path)


def test_a_link_does_not_hide_that_a_destination_is_inside(here: Path) -> None:
    (here / "a").mkdir()
    (here / "link").symlink_to(here / "a")
    with pytest.raises(InvalidInputError, match="lies inside the source"):
        Places.of("a", "link/b")


def test_the_state_of_a_file_next_to_its_copy_has_one_collection(here: Path) -> None:
    (here / "one.txt").touch()
    places = Places.of("one.txt", "two.txt")
    assert places is not None
    assert len(places.specs) == 1


# --- the supervisor


def test_a_supervised_process_ends_with_the_pipe(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "prefect_globus.cli._supervise", "--", "sleep", "1000"]
    supervisor = subprocess.Popen(command, stdin=subprocess.PIPE, cwd=tmp_path)
    wait_until(lambda: children(supervisor.pid), "the child")
    (child,) = children(supervisor.pid)
    assert supervisor.stdin is not None
    supervisor.stdin.close()
    supervisor.wait(10)
    assert not is_alive(child)


def test_a_supervisor_ends_as_its_child_does(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "prefect_globus.cli._supervise", "--", "sh", "-c", "exit 3"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, cwd=tmp_path) as supervisor:
        assert supervisor.wait(10) == 3
