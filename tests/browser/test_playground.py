"""`prefect-globus up`, as a newcomer uses it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import pytest
from playwright.sync_api import Browser, expect

from prefect_globus import SqlCheckpointStore, TransferStatus
from prefect_globus.flows.prefect_state import transfer_id_of
from support.browser import CHROMIUM, INSTALL, opened
from support.ports import free_port
from support.stack import has_done
from support.worker import wait_for
from support.world import tree

UP = [str(Path(sys.executable).with_name("prefect-globus")), "up"]
PAGE = re.compile(r"^  (http://\S+/deployments/deployment/\S+)$", re.MULTILINE)


@contextmanager
def playground(folder: Path, mark: str, port: int) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A running one, and what it said until it was ready; it is ended if it is not yet."""
    environment = {**os.environ, "PLAYGROUND_OF_A_TEST": mark, "PREFECT_API_URL": "http://127.0.0.1:1/api"}
    process = subprocess.Popen(
        [*UP, "--port", str(port)],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    try:
        said = ""
        while not said.endswith("Ctrl-C ends everything.\n"):
            line = process.stdout.readline()
            assert line, said
            said += line
        yield process, said
    finally:
        process.terminate()
        process.wait()
        process.stdout.close()


def programs(mark: str) -> list[str]:
    """The processes that were started by the playground, or by what it has started."""
    found = []
    for environment in Path("/proc").glob("[0-9]*/environ"):
        try:
            if f"PLAYGROUND_OF_A_TEST={mark}".encode() in environment.read_bytes():
                found.append((environment.parent / "cmdline").read_text().replace("\0", " "))
        except OSError:
            continue
    return found


@pytest.mark.skipif(CHROMIUM is None, reason=INSTALL)
def test_a_newcomer_sees_a_transfer_run(tmp_path: Path, browser: Browser) -> None:
    """Press Run, then Quick run; kill all of it; start again, and the transfer goes on and completes."""
    mark, port = uuid4().hex, free_port()
    store = SqlCheckpointStore(url=f"sqlite:///{tmp_path / '.playground/checkpoints.db'}")
    with playground(tmp_path, mark, port) as (process, said):
        assert "Traceback" not in said
        assert "arning" not in said
        page = PAGE.search(said)
        assert page is not None
        with opened(browser, f"http://127.0.0.1:{port}") as ui:
            ui.page.goto(page[1])
            ui.picture("playground-deployment")
            ui.press("Run")
            ui.choose("Quick run")
            dialog = ui.page.get_by_role("dialog")
            expect(dialog.get_by_text("Source", exact=True)).to_be_visible()
            ui.picture("playground-quick-run")
            ui.submit("Run", dialog)
            ui.press("View run")
            ui.wait_for_state("Running")
            transfer_id = transfer_id_of(ui.page.url.rpartition("/")[2].partition("?")[0])
            wait_for(lambda: has_done(store, transfer_id, 3), what="the end of three batches")
            ui.picture("playground-running")
            process.kill()
            wait_for(lambda: not programs(mark), what="the end of all that the playground had started")
    assert store.load_transfer(transfer_id).status is TransferStatus.TRANSFERRING
    with playground(tmp_path, mark, port) as (process, said):
        wait_for(lambda: store.load_transfer(transfer_id).status is TransferStatus.COMPLETED, what="the end of it")
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
        assert process.stdout is not None
        assert process.stdout.read() == "\nEnding ...\nEverything has ended.\n"
    assert programs(mark) == []
    attempts = [attempt for batch in store.list_batches(transfer_id) for attempt in batch.attempts]
    assert len({attempt.task_id for attempt in attempts}) == len(attempts) == 12
    copy = tmp_path / ".playground/collections"
    assert tree(copy / "archive/survey") == tree(copy / "survey")
