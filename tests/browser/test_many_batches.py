"""A run of a thousand batches: its page and its log stay usable."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

import pytest
from playwright.sync_api import expect
from prefect.client.orchestration import get_client

from prefect_globus.flows.resumable_transfer import resumable_transfer
from support.browser import Ui
from support.stack import Stack
from support.worker import state_of, wait_for
from support.world import QUICK

pytestmark = pytest.mark.soak  # the server takes minutes over so many task runs: make thousand

BATCHES = 1000
TASKS = BATCHES + len(("open", "scan", "finish"))
FILE_DELAY = 0.0


@contextmanager
def timed(what: str) -> Iterator[None]:
    """Print how long it takes, which is asserted nowhere."""
    began = time.monotonic()
    yield
    print(f"{what}: {time.monotonic() - began:.1f} s", flush=True)


@pytest.fixture(scope="module")
def deployment(stack: Stack) -> UUID:
    """A transfer; it and its blocks are saved before the browser starts."""
    stack.world.credentials.save(stack.name)
    stack.world.store.save(stack.name)
    return stack.deploy(resumable_transfer)


def task_runs(run: UUID) -> int:
    """How many of the flow run are on record."""
    with get_client(sync_client=True) as client:
        answer = client.request("POST", "/task_runs/count", json={"flow_runs": {"id": {"any_": [str(run)]}}})
    return int(answer.json())


def test_a_thousand_batches(stack: Stack, deployment: UUID, ui: Ui) -> None:
    """The page opens while they are on their way and when all are done; the log is scrolled to its end."""
    stack.world.write({f"{number:04}": "" for number in range(BATCHES)})
    run = stack.run(
        deployment,
        source=stack.world.location("source"),
        destination=stack.world.location("destination"),
        transfer_id="thousand",
        options=QUICK | {"batch_size": 1, "max_concurrency": 20},
        credentials=stack.name,
        checkpoints=stack.name,
    )
    wait_for(lambda: state_of(run).is_running(), what="the begin of the run")
    with timed("the page of a run at work"):
        ui.go(f"/runs/flow-run/{run}")
        ui.wait_for_state("Running")
        ui.page.get_by_role("log").wait_for()
    ui.page.goto("about:blank")  # to draw the run as it goes on is as much work as the run
    with timed("the run"):
        wait_for(lambda: state_of(run).is_final(), what="the end of the run")
    assert state_of(run).is_completed()
    with timed("the page of the run"):
        ui.go(f"/runs/flow-run/{run}")
        ui.wait_for_state("Completed")
        ui.settle()
    ui.picture("thousand-batches")
    log = ui.page.get_by_role("log")
    lines = log.get_by_role("listitem")
    with timed("the log, down to its end"):
        while not log.get_by_text("thousand is COMPLETED").is_visible():
            assert lines.count() < 100, "the page draws lines that nobody sees"
            log.evaluate("element => element.scrollTo(0, element.scrollHeight)")
            ui.settle()
    ui.picture("thousand-batches-log")
    wait_for(lambda: task_runs(run) == TASKS, what="the record of all tasks, with which Prefect's server is behind")
    ui.page.reload()
    with timed("the tasks"):
        ui.tab("Task Runs")
        expect(ui.page.get_by_text(re.compile(f"^{TASKS:_} Task runs$".replace("_", ",?"))).first).to_be_visible()
        ui.settle()
    ui.picture("thousand-batches-tasks")
