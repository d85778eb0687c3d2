"""How a transfer stands, in numbers and in words; and what Prefect's runs and artifacts are called for it."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

from hypothesis import given
from hypothesis import strategies as st

from prefect_globus.transfers.batches import Attempt, Batch, Settlement
from prefect_globus.transfers.board import Board
from prefect_globus.transfers.items import Item, ItemType
from prefect_globus.transfers.ledger import Ledger
from prefect_globus.transfers.live import live_page, task_rows, tasks_caption
from prefect_globus.transfers.location import Location, check_transfer_id
from prefect_globus.transfers.markdown import plain
from prefect_globus.transfers.model import Transfer
from prefect_globus.transfers.naming import artifact_key, batch_name, run_name
from prefect_globus.transfers.records import now
from prefect_globus.transfers.standing import Milestones, Speedometer, Standing, Stillness
from prefect_globus.transfers.states import AttemptStatus, TransferStatus
from prefect_globus.transfers.watching import TaskView

PLACE = Location.parse(f"{UUID(int=1)}:/data")
TRANSFER = Transfer(
    id="backup", source=PLACE, destination=PLACE, status=TransferStatus.TRANSFERRING, scan_complete=True, batches=2
)
WORLD = Ledger(items=100, remaining=100, bytes_total=1000, batches=2)
IDS = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._+=@:-]{0,30}", fullmatch=True).filter(lambda text: ".." not in text)


def standing(done: int, *, transfer: Transfer = TRANSFER, **views: Any) -> Standing:
    """A transfer of 100 files of 10 bytes, of which so many are done."""
    ledger = WORLD.evolve(transferred=done, remaining=100 - done, bytes_transferred=done * 10)
    return Standing(transfer, ledger, settled=done * 10, **views)


def view(status: str | None = "OK", files: int = 0, size: int = 0) -> TaskView:
    return TaskView(
        task_id=uuid4(), status="ACTIVE", nice_status=status, files_transferred=files, bytes_transferred=size
    )


def test_the_headline() -> None:
    """Files and bytes with what is under way, what is at work, and what it waits for."""
    views = {1: view(files=10, size=100), 2: view("Queued"), 3: view("ENDPOINT_TOO_BUSY")}
    stands = standing(20, views=views, waits={"the next try": 2})
    assert stands.headline == (
        "30 of 100 files (30 %), 300 B of 1000 B; 1 Globus task at work; 1 Globus task queued at Globus; "
        "1 Globus task: ENDPOINT_TOO_BUSY; 2 batches wait for the next try"
    )
    paused = TRANSFER.evolve(status=TransferStatus.PAUSED, error="a consent is missing")
    assert standing(20, transfer=paused).headline.endswith("; paused: a consent is missing")
    assert "the scan goes on" in standing(20, transfer=TRANSFER.evolve(scan_complete=False)).headline


@given(st.tuples(*[st.integers(0, 50)] * 3), st.integers(0, 10_000), st.integers(0, 90), st.booleans())
def test_the_percentage_is_100_only_at_the_end(
    counts: tuple[int, int, int], size: int, under_way: int, scanned: bool
) -> None:
    """Whatever the counters say, and what has failed is never done."""
    moved, dead, left = counts
    items = moved + dead + left
    ledger = Ledger(items=items, transferred=moved, dead=dead, remaining=left, bytes_total=size, bytes_transferred=size)
    stands = Standing(TRANSFER.evolve(scan_complete=scanned), ledger, size, {1: view(files=under_way, size=under_way)})
    assert 0 <= stands.percent < 100
    assert stands.files_done <= items - dead
    assert stands.bytes_moved <= size
    assert stands._replace(transfer=TRANSFER.evolve(status=TransferStatus.COMPLETED)).percent == 100


def test_milestones_are_told_once_and_not_before_the_scan_is_complete() -> None:
    """Nor are those that an earlier run has passed; of several at once, the highest."""
    scanning = TRANSFER.evolve(scan_complete=False)
    milestones = Milestones()
    looks = [standing(60, transfer=scanning), standing(30), standing(30), standing(80), standing(99)]
    assert [milestones.passed(look) for look in looks] == [None, 25, None, 75, None]
    resumed = Milestones()
    assert [resumed.passed(standing(done)) for done in (60, 70, 75)] == [None, None, 75]


def test_standing_still_is_told_once_for_each_time() -> None:
    """Anything that moves ends it, and a transfer that is paused rests."""
    still = Stillness(10.0)
    views = {1: view()}
    assert still.lasts(standing(5, views=views), 0.0) is None
    assert still.lasts(standing(5, views=views), 9.0) is None
    assert still.lasts(standing(5, views=views), 12.0) == 12.0
    assert still.lasts(standing(5, views=views), 30.0) is None
    checked = {1: views[1].evolve(bytes_checksummed=1)}
    assert still.lasts(standing(5, views=checked), 31.0) is None
    assert still.lasts(standing(5), 40.0) is None  # its task was ended, and is tried again: that is no progress
    assert still.lasts(standing(5, views=views), 42.0) == 11.0
    paused = TRANSFER.evolve(status=TransferStatus.PAUSED)
    assert still.lasts(standing(5, views=checked, transfer=paused), 60.0) is None
    assert still.lasts(standing(5, views=checked), 69.0) is None
    assert still.lasts(standing(5, views=checked), 71.0) == 11.0


def test_the_speed_is_that_of_the_last_two_minutes() -> None:
    """The time left follows from it; nothing is said of what has not moved, or is paused."""
    speedometer = Speedometer()
    assert speedometer.read(standing(0), 0.0) == (None, None)
    assert speedometer.read(standing(10), 10.0) == (10.0, 90.0)
    for at in range(20, 300, 10):
        slow = speedometer.read(standing(10 + at // 20), float(at))
    rate, left = slow
    assert rate is not None
    assert 0.4 < rate < 0.6
    assert left is not None
    assert 1400 < left < 1800
    paused = TRANSFER.evolve(status=TransferStatus.PAUSED)
    assert speedometer.read(standing(30, transfer=paused), 300.0) == (None, None)
    assert speedometer.read(standing(30), 310.0) == (None, None)


def ended(number: int, status: AttemptStatus, seconds: float) -> Batch:
    """A batch whose one Globus task has taken so long."""
    items = [Item(f"{number}", 1, 0, ItemType.FILE)]
    batch = Batch.cut("backup", number, items).intend(uuid4(), None).submitted(uuid4())
    batch = batch.settle(items, Settlement(status=status, moved=None if status is AttemptStatus.SUCCEEDED else {}))
    attempt: Attempt = batch.attempts[0]
    assert attempt.ended_at is not None
    return batch.evolve(attempts=(attempt.evolve(submitted_at=attempt.ended_at - timedelta(seconds=seconds)),))


def test_the_board_shows_what_is_worth_a_look_of_any_number_of_tasks() -> None:
    """What runs, what has failed, what was slow, and what was last; each once, and all are counted once."""
    board = Board()
    for number in range(1, 1001):
        status = AttemptStatus.FAILED if number in {3, 500} else AttemptStatus.SUCCEEDED
        batch = ended(number, status, 500.0 if number == 77 else 1.0)
        board.note(batch)
        board.note(batch)  # written again, for another reason
    running = Batch.cut("backup", 1001, [Item("x", 1, 0, ItemType.FILE)]).intend(uuid4(), None)
    board.note(running)
    board.note(running := running.submitted(uuid4()))
    rows = board.rows({1001: view("ENDPOINT_TOO_BUSY", files=1)})
    assert [row.batch for row in rows[:3]] == [1001, 500, 3]
    assert (rows[0].status, rows[0].files) == ("ENDPOINT_TOO_BUSY", 1)
    assert {77, 1000} <= {row.batch for row in rows}
    assert len(rows) == len({row.batch for row in rows}) <= 52
    assert board.total == 1001
    assert tasks_caption(len(rows), board.total).startswith(f"{len(rows)} of 1,001 Globus tasks: ")
    assert tasks_caption(2, 2) == "All 2 Globus tasks of this transfer."
    assert tasks_caption(1, 1) == "The Globus task of this transfer."
    cells = task_rows(rows, now(), has_links=True)
    assert "https://app.globus.org/activity/" in cells[0]["Globus task"]
    assert "https:" not in str(task_rows(rows, now(), has_links=False))


def test_names() -> None:
    """They say what moves."""
    ledger = Ledger(items=12_480, bytes_total=3_408_486_046_105)
    assert run_name(TRANSFER, ledger) == "backup: 12,480 files, 3.1 TiB"
    assert batch_name(17, 212, Ledger(items=4096, bytes_total=38 * 1024**3)) == "batch 17 of 212: 4,096 files, 38.0 GiB"
    assert batch_name(17, None, None) == "batch 17"


@given(IDS, IDS)
def test_the_keys_of_artifacts_are_such_and_differ(one: str, other: str) -> None:
    """Whatever the ids, as long as they are ids."""
    keys = [artifact_key("transfer", check_transfer_id(each)) for each in (one, other)]
    assert all(re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", key) for key in keys)
    assert (keys[0] == keys[1]) == (one == other)


@given(st.text())
def test_no_text_breaks_a_page(text: str) -> None:
    """It stays on its line, and in its cell."""
    shown = plain(text)
    assert "\n" not in shown
    assert "<" not in shown.replace("\\<", "")
    assert "|" not in shown.replace("\\|", "")
    shown.encode()
    page = live_page(standing(5, transfer=TRANSFER.evolve(status=TransferStatus.FAILED, error=text)), now())
    assert page.count("\n") == live_page(
        standing(5, transfer=TRANSFER.evolve(status="FAILED", error="x")), now()
    ).count("\n")
