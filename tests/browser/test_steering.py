"""What is done with a transfer that runs: cancel it, begin it again when it was killed, approve its plan."""

from __future__ import annotations

import os
import signal
from uuid import UUID

import pytest

from prefect_globus import TransferStatus
from prefect_globus.flows.resumable_transfer import resumable_transfer
from support.browser import Ui
from support.stack import Stack, has_done
from support.worker import wait_for
from support.world import QUICK

FILE_DELAY = 0.4  # seconds before each file
LONG, SHORT = 150, 45  # files: one lasts until somebody has canceled it
BATCH = 5
OPTIONS = QUICK | {"batch_size": BATCH}


@pytest.fixture(scope="module")
def deployment(stack: Stack) -> UUID:
    """A transfer of few files, if nothing else is said."""
    for folder, files in (("long", LONG), ("short", SHORT)):
        stack.world.write({f"{folder}/{number % 5}/file {number:03}": f"{number}" for number in range(files)})
    stack.world.credentials.save(stack.name)
    stack.world.store.save(stack.name)
    return stack.deploy(
        resumable_transfer,
        source=stack.world.location("source", "/short/"),
        destination=stack.world.location("destination"),
        options=OPTIONS,
        credentials=stack.name,
        checkpoints=stack.name,
    )


def unfinished(stack: Stack) -> list[str]:
    """The tasks that run at Globus."""
    return [task["task_id"] for task in stack.world.tasks() if task["status"] in ("ACTIVE", "INACTIVE")]


def test_a_transfer_that_is_canceled(stack: Stack, deployment: UUID, ui: Ui) -> None:
    """It is CANCELED in the checkpoint, and nothing runs at Globus."""
    run = stack.run(deployment, transfer_id="canceled", source=stack.world.location("source", "/long/"))
    ui.go(f"/runs/flow-run/{run}")
    ui.wait_for_state("Running")
    wait_for(lambda: unfinished(stack), what="a task at Globus")
    ui.menu("Cancel")
    dialog = ui.page.get_by_role("alertdialog")
    dialog.get_by_text("Are you sure").wait_for()
    ui.picture("cancel")
    dialog.get_by_role("button", name="Cancel Flow Run").click()
    ui.wait_for_state("Cancelled")
    ui.picture("canceled")
    store = stack.world.store
    wait_for(lambda: store.load_transfer("canceled").status is TransferStatus.CANCELED, what="its end on record")
    assert unfinished(stack) == []
    assert store.ledger("canceled").transferred < LONG


def test_a_transfer_that_was_killed(stack: Stack, deployment: UUID, ui: Ui) -> None:
    """A copy of its run, from the form, goes on with it, and no task is submitted twice."""
    before = len(stack.world.tasks())
    run = stack.run(deployment, transfer_id="killed")
    wait_for(lambda: has_done(stack.world.store, "killed", 2), what="the end of two batches")
    lease = stack.world.store.current_lease("killed")
    assert lease is not None
    assert lease.holder.process is not None
    os.kill(int(lease.holder.process.rpartition("/")[2].partition("@")[0]), signal.SIGKILL)
    ui.go(f"/runs/flow-run/{run}")
    ui.wait_for_state("Crashed")
    ui.settle()
    ui.picture("crashed")
    ui.menu("Copy to new run")
    ui.wait_for("Transfer id (Optional)")
    ui.submit()
    ui.press("View run")
    ui.wait_for_state("Completed")
    ui.picture("resumed")
    assert stack.world.store.load_transfer("killed").status is TransferStatus.COMPLETED
    assert len(stack.world.tasks()) - before == SHORT / BATCH


def test_a_plan_that_is_approved(stack: Stack, deployment: UUID, ui: Ui) -> None:
    """Nothing is submitted before; it is shown in the dialog in which it is approved."""
    before = len(stack.world.tasks())
    run = stack.run(deployment, transfer_id="approved", options=OPTIONS | {"approval": True})
    ui.go(f"/runs/flow-run/{run}")
    ui.wait_for_state("Paused")
    assert len(stack.world.tasks()) == before
    ui.menu("Resume")
    dialog = ui.page.get_by_role("dialog")
    ui.field("Decision", dialog).get_by_role("button", name="Select").click()
    ui.page.get_by_role("option", name="approve").click()
    ui.fill("Your name", "Ada", dialog)
    ui.picture("approval")
    ui.submit("Resume", dialog)
    ui.wait_for_state("Completed")
    transfer = stack.world.store.load_transfer("approved")
    assert transfer.status is TransferStatus.COMPLETED
    assert transfer.approval is not None
    assert transfer.approval.by == "Ada"
