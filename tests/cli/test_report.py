"""The command `report`: text, Markdown, HTML and JSON of one record, from the checkpoint alone."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest
from shells import call

from prefect_globus.blocks import SqlCheckpointStore
from prefect_globus.transfers.batches import Batch, Settlement
from prefect_globus.transfers.items import Item, Outcome
from prefect_globus.transfers.location import Location
from prefect_globus.transfers.model import Drive, Holder, Transfer
from prefect_globus.transfers.states import AttemptStatus, TransferStatus

COLLECTION = "16d793ac-4d4a-5def-8fdb-bf474230a0d0"
BEGAN = datetime(2026, 11, 22, 20, 0, tzinfo=UTC)
TASK = UUID(int=7)
ITEMS = [Item("good.dat", 4096, 5), Item("secret <b>.dat", 1, 5)]
TEXT = f"""\
nightly is FAILED
1 item of 2 transferred, 4.0 KiB in 1 min 30 s (46 B/s), resumed once

What to do
  1 item failed for good. When it is mended, resume it:
    prefect-globus resume nightly

Transfer
  Source:      {COLLECTION}:/a
  Destination: {COLLECTION}:/b
  Began:       2026-11-22 20:00:00 UTC
  Ended:       2026-11-22 20:01:30 UTC

Throughput
  At most 1.0 KiB/s. What a task moved is spread evenly over its time at work.
                        ████
  2026-11-22 20:00:00 to 2026-11-22 20:00:26 UTC

What became of the items
  2 items in 1 batch, 4.0 KiB.
               items
  transferred      1
  dead             1  failed for good

Failed for good: PERMISSION_DENIED, 1 item
  The login may not read it at the source, or not write it at the destination. Mend the permissions.
  To try them again when it is mended: prefect-globus redrive nightly --code PERMISSION_DENIED
    secret <b>.dat

Time
  At work:          4.0 s in all Globus tasks together
  In Globus' queue: 10.0 s, at most 10.0 s for one task
  Until accepted:   2.0 s
  phase         began                    took
  scan          2026-11-22 20:00:00 UTC  5.0 s
  Globus tasks  2026-11-22 20:00:10 UTC  16.0 s
"""


@pytest.fixture
def nightly(here: Path) -> None:
    """A FAILED transfer that two processes have driven, at times that are known."""
    assert here.exists()
    store = SqlCheckpointStore()
    source, destination = Location.parse(f"{COLLECTION}:/a"), Location.parse(f"{COLLECTION}:/b")
    made = Transfer(id="nightly", source=source, destination=destination, created_at=BEGAN)
    store.create_transfer(made)
    lease = store.acquire_lease("nightly", Holder(description="a test"), 60)
    drives = tuple(Drive(number=number, holder="me@here", began_at=BEGAN) for number in (1, 2))
    scanned = {"batches": 1, "cursor": ITEMS[-1].path, "scan_complete": True, "drives": drives}
    scanned["scanned_at"] = BEGAN + timedelta(seconds=5)
    batch = Batch.cut("nightly", 1, ITEMS)
    made = made.evolve(status=TransferStatus.SCANNING, **scanned)
    store.append_batch(lease, made, batch, ITEMS)
    settlement = Settlement(
        status=AttemptStatus.SUCCEEDED,
        moved={ITEMS[0].path: 4096},
        skipped={ITEMS[1].path: "PERMISSION_DENIED"},
        skipped_as=Outcome.DEAD,
        files_transferred=1,
        bytes_transferred=4096,
    )
    batch = batch.intend(UUID(int=1), None).submitted(TASK).settle(ITEMS, settlement)
    names = ("intended_at", "submitted_at", "began_at", "ended_at")
    times = {name: BEGAN + timedelta(seconds=at) for name, at in zip(names, (10, 12, 22, 26), strict=True)}
    store.save_batch(lease, batch.evolve(attempts=(batch.attempts[0].evolve(**times),)))
    ended = {"status": TransferStatus.FAILED, "error": "1 item failed for good"}
    store.save_transfer(lease, made.evolve(**ended, updated_at=BEGAN + timedelta(seconds=90)))
    store.release_lease(lease)


@pytest.mark.usefixtures("nightly")
def test_the_report_is_told_in_words() -> None:
    said = call("report", "nightly")
    assert (said.code, said.err) == (0, "")
    assert said.out.startswith(TEXT)
    assert f"  1  16.0 s      2  4.0 KiB  256 B/s      1  {TASK}\n" in said.out


@pytest.mark.usefixtures("nightly")
def test_the_report_is_a_page_or_a_record_too(here: Path) -> None:
    """With links where Globus' web app knows the tasks, and to the file that was asked for."""
    said = call("report", "nightly", "--html", "nightly.html")
    assert (said.code, said.out, said.err) == (0, "", "The report is written to nightly.html\n")
    page = (here / "nightly.html").read_text()
    assert f'<a href="https://app.globus.org/activity/{TASK}"' in page
    assert "secret &lt;b&gt;.dat" in page
    assert call("report", "nightly", "--html", "-").out.strip() == page.strip()
    markdown = call("report", "nightly", "--markdown").out
    assert markdown.startswith("# nightly is FAILED\n")
    assert f"(https://app.globus.org/activity/{TASK})" in markdown
    record = json.loads(call("report", "nightly", "--json").out)
    assert record["troubles"] == [
        {"what": "dead", "code": "PERMISSION_DENIED", "items": 1, "examples": ["secret <b>.dat"]}
    ]
    assert record["waits"] == {"submitting": 2.0, "queued": 10.0, "longest_queued": 10.0, "at_work": 4.0}


@pytest.mark.usefixtures("nightly")
@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["nightly", "--json", "--markdown"], 2, "Choose one of --html, --markdown and --json."),
        (["nightyl"], 1, "There is no transfer 'nightyl'"),
        (["nightly", "--html", "no/such/folder/x.html"], 1, "no/such/folder"),
    ],
    ids=["two forms", "unknown", "no folder"],
)
def test_what_cannot_be_told_is_an_error_in_a_line(arguments: list[str], code: int, words: str) -> None:
    said = call("report", *arguments)
    assert (said.code, said.out) == (code, "")
    assert words in said.err
    assert said.err.startswith("Error: ")
    assert len(said.err.splitlines()) == 1
