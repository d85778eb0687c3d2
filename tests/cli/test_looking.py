"""What is told of a transfer, and asked of one that nobody drives: all from the checkpoint alone."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from shells import call

from prefect_globus.blocks import SqlCheckpointStore
from prefect_globus.cli import local, text
from prefect_globus.cli.local import Places
from prefect_globus.flows.reading import transfer_status
from prefect_globus.transfers.batches import Batch, Settlement
from prefect_globus.transfers.items import Item, ItemType, Outcome
from prefect_globus.transfers.location import Location
from prefect_globus.transfers.model import Holder, PausedBy, Transfer
from prefect_globus.transfers.states import AttemptStatus, TransferStatus

COLLECTION = "16d793ac-4d4a-5def-8fdb-bf474230a0d0"
TASK = UUID(int=7)
ITEMS = [Item("a/good.dat", 2048, 5), Item("a/secret.dat", 1, 5), Item("b/odd\nname \udcff.dat", 3, 5)]


@pytest.fixture
def store(here: Path) -> SqlCheckpointStore:
    """A store with a FAILED transfer: one file has arrived, one had changed, and one was denied."""
    assert here.exists()
    made = SqlCheckpointStore()
    source, destination = Location.parse(f"{COLLECTION}:/a"), Location.parse(f"{COLLECTION}:/b")
    made.create_transfer(Transfer(id="nightly", source=source, destination=destination))
    lease = made.acquire_lease("nightly", Holder(description="a test"), 60)
    batch = Batch.cut("nightly", 1, ITEMS)
    scanned = {"status": TransferStatus.SCANNING, "batches": 1, "cursor": ITEMS[-1].path, "scan_complete": True}
    transfer = made.load_transfer("nightly").evolve(**scanned)
    made.append_batch(lease, transfer, batch, ITEMS)
    batch = batch.intend(uuid4(), None).submitted(TASK).ending("STALLED", {"PERMISSION_DENIED": 2})
    settlement = Settlement(
        status=AttemptStatus.CANCELED,
        moved={ITEMS[0].path: 2048, ITEMS[2].path: 4},
        skipped={ITEMS[1].path: "PERMISSION_DENIED"},
        skipped_as=Outcome.DEAD,
        files_transferred=2,
        bytes_transferred=2052,
        faults=2,
    )
    made.save_batch(lease, batch.settle(ITEMS, settlement))
    made.save_transfer(lease, transfer.evolve(status=TransferStatus.FAILED, error="1 item failed for good"))
    made.release_lease(lease)
    return made


@pytest.mark.usefixtures("store")
@pytest.mark.parametrize(
    ("flags", "numbers"),
    [
        ([], [0, 1, 2]),
        (["--failed"], [1]),
        (["--changed"], [2]),
        (["--failed", "--changed"], [1, 2]),
        (["--remaining"], []),
        (["--skipped"], []),
        (["--match", "a/*"], [0, 1]),
        (["--match", "*.dat", "--code", "PERMISSION_DENIED"], [1]),
        (["--code", "NONSENSE"], []),
    ],
)
def test_items_are_listed_as_they_are_chosen(flags: list[str], numbers: list[int]) -> None:
    said = call("items", "nightly", *flags)
    assert (said.code, said.err) == (0, "" if numbers else "There are no such items.\n")
    lines = said.out.splitlines()
    assert len(lines) == len(numbers)
    shown = json.loads(call("items", "nightly", "--json", *flags).out)
    assert [each["path"] for each in shown] == [ITEMS[number].path for number in numbers]


@pytest.mark.usefixtures("store")
def test_an_item_is_a_line_whatever_its_name() -> None:
    good, denied, changed = call("items", "nightly").out.splitlines()
    assert good == "TRANSFERRED     2.0 KiB  a/good.dat"
    assert denied == "DEAD                1 B  a/secret.dat  PERMISSION_DENIED"
    assert changed == r"TRANSFERRED         3 B  b/odd\nname \udcff.dat  SOURCE_CHANGED"


def test_the_history_says_what_a_directory_is_that_is_transferred_as_a_whole(here: Path) -> None:
    """The note of it is no state: it stays when the batch is done."""
    assert here.exists()
    made, item = SqlCheckpointStore(), Item("wide", 0, 0, ItemType.TREE)
    source, destination = Location.parse(f"{COLLECTION}:/a"), Location.parse(f"{COLLECTION}:/b")
    made.create_transfer(Transfer(id="nightly", source=source, destination=destination))
    lease = made.acquire_lease("nightly", Holder(description="a test"), 60)
    scanned = {"status": TransferStatus.SCANNING, "batches": 1, "cursor": "wide", "scan_complete": True}
    batch = Batch.cut("nightly", 1, [item])
    made.append_batch(lease, made.load_transfer("nightly").evolve(**scanned), batch, [item])
    assert "to be transferred as a whole, TOO_LARGE_TO_LIST: wide" in call("history", "nightly").out


@pytest.mark.usefixtures("store")
def test_the_history_has_every_attempt_and_every_fault() -> None:
    said = call("history", "nightly")
    assert (said.code, said.err) == (0, "")
    batch, attempt, *faults = said.out.splitlines()
    assert batch == r"Batch 1, PARTIAL: 3 items, a/good.dat to b/odd\nname \udcff.dat"
    for words in ("attempt 1 CANCELED, STALLED", "2 files, 2.0 KiB", "2 faults (PERMISSION_DENIED 2)", f"task {TASK}"):
        assert words in attempt
    assert [line.split("  ")[2] for line in faults] == [
        "DEAD PERMISSION_DENIED, by attempt 1: a/secret.dat",
        r"TRANSFERRED SOURCE_CHANGED, by attempt 1: b/odd\nname \udcff.dat",
    ]
    (shown,) = json.loads(call("history", "nightly", "--json").out)
    assert shown["attempts"][0]["codes"] == {"PERMISSION_DENIED": 2}
    assert {each["outcome"] for each in shown["faults"]} == {"DEAD", "TRANSFERRED"}


def test_what_a_cancel_has_cut_off_is_not_said_to_be_at_work(store: SqlCheckpointStore) -> None:
    """Of the batch it is said that it is not done; and of its task no more than that it was canceled."""
    lease = store.acquire_lease("nightly", Holder(description="a test"), 60)
    batch = store.load_batch("nightly", 1).redrive(ITEMS).intend(uuid4(), None).submitted(uuid4())
    store.save_batch(lease, batch.ending("CANCELED", {}).settle(ITEMS, Settlement(status=AttemptStatus.CANCELED)))
    transferring = store.load_transfer("nightly").evolve(status=TransferStatus.TRANSFERRING, error=None)
    store.save_transfer(lease, transferring)
    assert call("history", "nightly").out.startswith("Batch 1, ACTIVE: ")
    store.save_transfer(lease, transferring.evolve(status=TransferStatus.CANCELED))
    first, _, second, *_ = call("history", "nightly").out.splitlines()
    assert first.startswith("Batch 1, not done: 3 items, ")
    assert "attempt 2 CANCELED, after" in second


@pytest.mark.usefixtures("here")
def test_an_id_is_suggested_for_a_slip_and_not_for_another_one() -> None:
    store = SqlCheckpointStore()
    source, destination = Location.parse(f"{COLLECTION}:/a"), Location.parse(f"{COLLECTION}:/b")
    for name in ("transfer-9cc501d2c668", "transfer-20261122-101112-ab12"):
        store.create_transfer(Transfer(id=name, source=source, destination=destination))
    for wrong, near in (
        ("transfer-9cc051d2c668", "transfer-9cc501d2c668"),
        ("transfer-7f3c90d2a168", None),
        ("transfer-20261122-174503-cd34", None),
    ):
        said = call("status", wrong).err
        assert ("Did you mean" in said, str(near) in said) == (near is not None, near is not None), said


def test_a_transfer_is_said_to_have_taken_as_long_as_in_its_report(store: SqlCheckpointStore) -> None:
    """From its creation, and not from the beginning of the command that has seen its end."""
    result = transfer_status("nightly", store)
    result = result.evolve(updated_at=result.created_at + timedelta(seconds=75))
    assert " 2.0 KiB in 1 min 15 s\n" in text.summary(result, was_done=False)
    assert " 2.0 KiB, as it was already\n" in text.summary(result, was_done=True)


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("command", ["items", "history", "pause", "redrive", "cancel"])
def test_an_unknown_transfer_is_said_to_be_unknown(command: str) -> None:
    said = call(command, "nightly")
    assert (said.code, said.out) == (1, "")
    assert said.err.startswith("Error: There is no transfer 'nightly'")
    assert len(said.err.splitlines()) == 1


@pytest.mark.usefixtures("store")
def test_what_has_failed_is_not_paused_and_nothing_of_another_code_redriven() -> None:
    said = call("pause", "nightly")
    assert (said.code, said.err) == (1, "Error: Transfer 'nightly' is FAILED, so there is nothing to pause.\n")
    said = call("redrive", "nightly", "--code", "FILE_NOT_FOUND")
    assert said.code == 1
    assert "has no dead letters that have the code 'FILE_NOT_FOUND'" in said.err
    assert "1 with the code PERMISSION_DENIED" in said.err
    assert "prefect-globus items nightly" in said.err
    assert len(said.err.splitlines()) == 1


def test_a_pause_says_why_it_stands_and_how_it_goes_on(store: SqlCheckpointStore) -> None:
    lease = store.acquire_lease("nightly", Holder(description="a test"), 60)
    store.save_transfer(lease, store.load_transfer("nightly").evolve(status=TransferStatus.TRANSFERRING, error=None))
    store.release_lease(lease)
    said = call("pause", "nightly")
    assert said.code == 0
    assert said.out == "nightly is PAUSED: 2 of 3 items transferred\n"
    assert said.err == "Resume it with: prefect-globus resume nightly\n"
    assert "Paused:       somebody has asked for it\n" in call("status", "nightly").out
    assert json.loads(call("status", "nightly", "--json").out)["paused_by"] == PausedBy.REQUEST
    assert call("resume", "--dry-run").err == "There is nothing to resume.\n"
    assert call("pause", "nightly", "--quiet").err == ""
    assert json.loads(call("pause", "nightly", "--json").out)["status"] == "PAUSED"


def test_a_running_task_is_shown_with_its_link(store: SqlCheckpointStore, monkeypatch: pytest.MonkeyPatch) -> None:
    lease = store.acquire_lease("nightly", Holder(description="a test"), 60)
    batch = store.load_batch("nightly", 1).redrive(ITEMS)
    task_id = uuid4()
    store.save_batch(lease, batch.intend(uuid4(), None).submitted(task_id))
    assert f"              https://app.globus.org/activity/{task_id}\n" in call("status", "nightly").out
    monkeypatch.setenv("GLOBUS_SDK_SERVICE_URL_TRANSFER", "http://127.0.0.1:9")
    assert "app.globus.org" not in call("status", "nightly").out


def test_a_watch_tells_each_change_and_how_it_ended(store: SqlCheckpointStore) -> None:
    """In lines, or in JSON; here somebody else drives the transfer meanwhile."""
    lease = store.acquire_lease("nightly", Holder(description="a test"), 60)
    begun = store.load_transfer("nightly").evolve(status=TransferStatus.TRANSFERRING, error=None)

    def end() -> None:
        time.sleep(1.5)
        store.save_transfer(lease, begun.evolve(status=TransferStatus.FAILED))

    line = "nightly is TRANSFERRING: 2 of 3 items transferred, 2.0 KiB, 1 dead letter"
    for flags, words in ([], line), (["--json"], '"TRANSFERRING"'):
        store.save_transfer(lease, begun)
        with ThreadPoolExecutor(1) as pool:
            ended = pool.submit(end)
            watched = call("status", "nightly", "--watch", *flags)
            ended.result()
        first, last = watched.out.splitlines()
        assert words in first
        assert "FAILED" in last
        assert (watched.code, watched.err) == (1, "")
    assert [json.loads(line)["status"] for line in watched.out.splitlines()] == ["TRANSFERRING", "FAILED"]


@pytest.mark.usefixtures("store")
def test_a_local_transfer_is_told_by_its_folders(here: Path) -> None:
    """Nobody knows the collections that stand for them."""
    (here / "a").mkdir()
    places = Places.of("a", "b")
    assert places is not None
    store = SqlCheckpointStore()
    store.create_transfer(Transfer(id="local", source=places.source.location, destination=places.destination.location))
    local.remember("local", places.specs)
    local._folders.clear()
    said = call("status", "local")
    assert f"Source:       {here}/a/\nDestination:  {here}/b/\n" in said.out
    assert json.loads(call("status", "local", "--json").out)["source"] == str(places.source.location)
    (here / "c").mkdir()
    local._folders.clear()
    said = call("transfer", "c", "b", "--id", "local")
    assert f"already exists with source {here}/a/, not {here}/c/. " in said.err


def test_no_scan_is_said_to_go_on_that_nobody_does(store: SqlCheckpointStore) -> None:
    """Of a transfer that has failed while it was scanned."""
    cut_off = transfer_status("nightly", checkpoints=store).evolve(scan_complete=False)
    words = {
        status: text.block(cut_off.evolve(status=status), None, has_links=False, width=None)
        for status in (TransferStatus.FAILED, TransferStatus.SCANNING)
    }
    assert "transferred so far; the scan has not come to its end" in words[TransferStatus.FAILED]
    assert "transferred so far; the scan goes on" in words[TransferStatus.SCANNING]
