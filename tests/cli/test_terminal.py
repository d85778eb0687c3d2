"""The command line in a real terminal, of 80 and of 200 columns. What it shows is kept in build/terminal."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from terminals import Terminal, needs_tmux

from prefect_globus.blocks import SqlCheckpointStore
from prefect_globus.blocks.sql_engine import DATABASE_URL_VARIABLE, dispose_engines
from prefect_globus.transfers.batches import Batch, Settlement
from prefect_globus.transfers.items import Item, Outcome
from prefect_globus.transfers.location import Location
from prefect_globus.transfers.model import Holder, Transfer
from prefect_globus.transfers.states import AttemptStatus, TransferStatus

pytestmark = needs_tmux
LAB, ARCHIVE = "6c54cade-bde5-45c1-bdea-f4bd71dba2cc", "31ce9ba0-176d-45a5-add3-f37d233ba47d"
LONG = "instrument-7-raw-data-of-the-second-campaign-to-the-archive-20261122"
DEEP = f"campaign/{'a-rather-long-folder-name/' * 4}measured-0017.h5"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Someone's home, with a transfer that has failed, and one with a long name."""
    folder = tmp_path_factory.mktemp("terminal")
    store = SqlCheckpointStore(url=f"sqlite:///{folder / 'checkpoints.db'}")
    between = {"source": Location.parse(f"{LAB}:/raw"), "destination": Location.parse(f"{ARCHIVE}:/raw")}
    for name in ("nightly", LONG):
        store.create_transfer(Transfer(id=name, **between))
    items = [Item("a.h5", 2048, 5), Item(DEEP, 1, 5)]
    lease = store.acquire_lease("nightly", Holder(description="a test"), 60)
    scanned = {"status": TransferStatus.SCANNING, "batches": 1, "cursor": items[-1].path, "scan_complete": True}
    transfer = store.load_transfer("nightly").evolve(**scanned)
    batch = Batch.cut("nightly", 1, items)
    store.append_batch(lease, transfer, batch, items)
    settlement = Settlement(
        status=AttemptStatus.SUCCEEDED,
        moved={items[0].path: 2048},
        skipped={DEEP: "PERMISSION_DENIED"},
        skipped_as=Outcome.DEAD,
        files_transferred=1,
        bytes_transferred=2048,
        faults=0,
    )
    store.save_batch(lease, batch.intend(uuid4(), None).submitted(uuid4()).settle(items, settlement))
    store.save_transfer(lease, transfer.evolve(status=TransferStatus.FAILED, error="1 item failed for good"))
    store.release_lease(lease)
    dispose_engines()
    return folder


@pytest.fixture(scope="module", params=[80, 200])
def terminal(request: pytest.FixtureRequest, home: Path) -> Iterator[Terminal]:
    url = f"sqlite:///{home / 'checkpoints.db'}"
    made = Terminal(
        home, request.param, HOME=str(home), PREFECT_HOME=str(home / "prefect"), **{DATABASE_URL_VARIABLE: url}
    )
    yield made
    made.end()


def test_what_is_shown_fits_and_has_colors(terminal: Terminal) -> None:
    """Ids and paths give way where there is no room for them, and only there."""
    shown = terminal.run("each list 'status nightly' 'items nightly' 'history nightly'", "looking")
    listed, _, items, _ = shown.split("$ prefect-globus ")[1:]
    assert (LONG in listed) == (terminal.columns == 200)
    assert (DEEP in items) == (terminal.columns == 200)
    assert items.rstrip().endswith("PERMISSION_DENIED")
    assert "\x1b[31mFAILED" in terminal.shown(colors=True)


def test_no_color_is_shown_to_who_wants_none(terminal: Terminal) -> None:
    terminal.run("prefect-globus --help", "help")
    assert "\x1b[1mTransfers" in terminal.shown(colors=True)
    terminal.run("NO_COLOR=1 prefect-globus --help")
    assert "\x1b[1mTransfers" not in terminal.shown(colors=True)


def test_tab_completes_commands_options_and_ids(terminal: Terminal) -> None:
    """In bash, by what the command prints."""
    terminal.run('eval "$(prefect-globus completion bash)"')
    terminal.clear()
    line = "prefect-globus"
    for typed, completed in [(" stat", " status "), ("ni", "nightly "), ("--wa", "--watch ")]:
        terminal.type("-l", "--", f"{line}{typed}" if line == "prefect-globus" else typed)
        terminal.type("Tab")
        line += completed
        terminal.wait_for(line.rstrip())
    terminal.keep("completion", terminal.shown())
    terminal.type("C-c")


@pytest.fixture
def narrow(tmp_path: Path, prefect_api: str) -> Iterator[Terminal]:
    """A terminal of somebody with a Prefect server."""
    url = f"sqlite:///{tmp_path / 'checkpoints.db'}"
    home = {"HOME": str(tmp_path), "PREFECT_HOME": str(tmp_path / "prefect"), DATABASE_URL_VARIABLE: url}
    made = Terminal(tmp_path, 80, **home, PREFECT_API_URL=prefect_api)
    yield made
    made.end()


def test_a_transfer_is_seen_to_move_and_is_watched(narrow: Terminal) -> None:
    """In its own terminal by a bar, in another by its status; Ctrl-C ends the watch, and the transfer goes on."""
    folder = narrow.folder
    (folder / "a").mkdir()
    for number in range(40):
        (folder / "a" / f"{number}.dat").write_bytes(bytes(100_000))
    narrow.type("-l", "prefect-globus transfer a b --id nightly --batch-size 3 --max-concurrency 1 --file-delay 0.5")
    narrow.type("Enter")
    narrow.keep("progress", narrow.wait(lambda shown: re.search(r"━ [3-9] of 40 items, ", shown), "the bar"))
    (folder / "watch").mkdir()
    watch = Terminal(folder / "watch", 80, **{DATABASE_URL_VARIABLE: f"sqlite:///{folder / 'checkpoints.db'}"})
    try:
        watch.type("prefect-globus status nightly --watch", "Enter")
        watch.keep("watch", watch.wait_for("Driven by:"))
        watch.type("C-c")
        watch.type("-l", "echo [$?]")
        watch.type("Enter")
        assert "Traceback" not in watch.wait_for("[130]")
        narrow.keep("done", narrow.wait_for("nightly is COMPLETED: 40 of 40 items"))
        line = "prefect-globus status nightly --watch --json"
        assert "[0]" in watch.run(f"{line} > said")
        assert json.loads((watch.folder / "said").read_text())["status"] == "COMPLETED"
    finally:
        watch.end()
