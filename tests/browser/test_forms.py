"""What is filled in: the forms of the blocks, and the form of a transfer."""

from __future__ import annotations

import re
from uuid import UUID

import pytest
from playwright.sync_api import expect

from prefect_globus import TransferStatus
from prefect_globus.flows.resumable_transfer import resumable_transfer
from support.browser import Ui
from support.stack import Stack
from support.world import CLIENT_ID, CLIENT_SECRET, tree

FILES = 180
FILE_DELAY = 0.5  # seconds before each file: slow enough to load the page of the progress several times


@pytest.fixture(scope="module")
def deployment(stack: Stack) -> UUID:
    """As it comes with the package: nothing is filled in."""
    stack.world.write({f"{number % 4}/file {number:02}": f"{number}" * 1000 for number in range(FILES)})
    return stack.deploy(resumable_transfer)


def test_a_transfer_from_nothing(stack: Stack, deployment: UUID, ui: Ui) -> None:
    """Somebody who has never seen the code makes the blocks, starts a transfer, watches it, and reads its report."""
    make_credentials(stack, ui)
    make_store(stack, ui)

    ui.go(f"/deployments/deployment/{deployment}")
    ui.press("Run")
    ui.choose("Custom run")
    ui.fill("Source", stack.world.location("source"))
    ui.fill("Destination", stack.world.location("destination"))
    ui.field("Transfer id").get_by_role("tab", name="Named here").click()
    ui.fill("Transfer id", "by-hand")
    ui.field("Options").get_by_role("tab", name="Chosen here").click()
    ui.fill("Batches: most items", "15")
    ui.choose_block("Login to Globus", "Saved block", stack.name)
    ui.choose_block("Checkpoint store", "SQL store", stack.name)
    ui.picture("transfer-form", whole=True)
    ui.submit()
    ui.press("View run")

    ui.tab("Artifacts")
    seen = watch_progress(ui)
    assert seen == sorted(set(seen))
    assert len(seen) > 1
    assert seen[-1] == 100

    ui.go("/artifacts")
    ui.page.get_by_role("heading", name="report-by-hand").click()
    ui.page.locator("a[href*='/artifacts/artifact/']").first.click()
    ui.wait_for("by-hand is COMPLETED")
    ui.settle()
    ui.picture("report", whole=True)
    assert stack.world.store.load_transfer("by-hand").status is TransferStatus.COMPLETED
    assert tree(stack.world.destination) == tree(stack.world.source)


def make_credentials(stack: Stack, ui: Ui) -> None:
    """Fill in the form of the login to Globus."""
    ui.go("/blocks/catalog/globus-credentials/create")
    ui.name_block(stack.name)
    ui.fill("Client ID", CLIENT_ID)
    ui.fill("Client Secret", CLIENT_SECRET)
    for service in ("Transfer", "Auth", "Timers"):
        ui.fill(f"{service} URL", stack.world.emulator.url)
    ui.picture("credentials-form", whole=True)
    ui.press("Save")
    ui.wait_for("********")
    expect(ui.page.get_by_text(CLIENT_SECRET)).to_have_count(0)
    ui.picture("credentials")


def make_store(stack: Stack, ui: Ui) -> None:
    """Fill in the form of the checkpoint store."""
    ui.go("/blocks/catalog/sql-checkpoint-store/create")
    ui.name_block(stack.name)
    ui.fill("Database URL", stack.world.database)
    ui.picture("store-form", whole=True)
    ui.press("Save")
    ui.wait_for("********")
    expect(ui.page.get_by_text(stack.world.database)).to_have_count(0)
    ui.picture("store")


def watch_progress(ui: Ui) -> list[float]:
    """What the page of the progress artifact says, one after the other; Prefect's page has to be loaded anew for it."""
    ui.page.get_by_role("heading", name="progress-by-hand").click()
    ui.page.locator("a[href*='/artifacts/artifact/']").first.click()
    seen: list[float] = []
    while not seen or seen[-1] < 100:
        found = re.search(r"[\d.]+", ui.page.get_by_test_id("progress-display").inner_text())
        assert found is not None
        if not seen or float(found[0]) != seen[-1]:
            seen.append(float(found[0]))
            ui.picture(f"progress-{len(seen)}")
        ui.page.reload()
    return seen


def test_a_wrong_value_is_refused(stack: Stack, deployment: UUID, ui: Ui) -> None:
    """In the form, beside its field, and nothing is run."""
    ui.go(f"/deployments/deployment/{deployment}/run")
    ui.fill("Source", "/home/me/data")
    ui.fill("Destination", stack.world.location("destination"))
    ui.field("Options").get_by_role("tab", name="Chosen here").click()
    ui.fill("Filter: smallest size", "much")
    ui.press("Submit")
    expect(ui.field("Source")).to_contain_text("COLLECTION_UUID:/path)")
    ui.picture("refused", whole=True)
    ui.page.wait_for_timeout(100)
