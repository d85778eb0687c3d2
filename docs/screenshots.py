"""Take the pictures of Prefect's UI that the documentation shows: `make screenshots`.

They are taken in a playground of its own, by the Chromium of the tests, and go to docs/images.
"""

from __future__ import annotations

import re
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

import click

from prefect_globus.cli.logs import quiet_logging
from prefect_globus.cli.playground.samples import Lock
from prefect_globus.cli.playground.services import POOL, running_playground, running_worker

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))
from support.browser import Ui, opened, running_chromium  # noqa: E402 - it is in the tests

LARGEST = 200 * 1024  # bytes


def main() -> None:
    """Start a playground, run its two sample transfers, and look at them."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        place = stack.enter_context(running_playground(Path(folder)))
        from prefect_globus.cli.playground.registering import register, wait_until_ready  # noqa: PLC0415 - Prefect

        quiet_logging()
        first = register(place)
        stack.enter_context(running_worker(POOL, Path(folder) / "worker.log"))
        wait_until_ready(first)
        Lock(place.globus, place.samples.locked).look()
        browser = stack.enter_context(running_chromium())
        _take(stack.enter_context(opened(browser, place.url, ROOT / "docs" / "images")))


def _take(ui: Ui) -> None:
    ui.go("/deployments")
    ui.wait_for("survey-to-archive")
    _keep(ui, "deployments")

    ui.page.get_by_role("link", name="on-demand").click()
    ui.press("Run")
    ui.choose("Custom run")
    ui.wait_for("Source")
    _keep(ui, "form")

    _quick_run(ui, "survey-to-archive")
    ui.wait_for(re.compile("batch 5"))
    _keep(ui, "running")
    ui.tab("Logs")  # as a task has such a state, too
    ui.wait_for_state("Completed")
    _show_report(ui, "report-transfer-")
    _keep(ui, "report")

    _quick_run(ui, "instrument-to-archive")
    ui.tab("Logs")  # as a task has such a state, too
    ui.wait_for_state("Failed")
    _show_report(ui, "report-instrument")
    _keep(ui, "dead-letter")


def _quick_run(ui: Ui, deployment: str) -> None:
    ui.go("/deployments")
    ui.page.get_by_role("link", name=deployment).click()
    ui.press("Run")
    ui.choose("Quick run")
    ui.submit("Run", ui.page.get_by_role("dialog"))
    ui.press("View run")
    ui.tab("Task Runs")


def _show_report(ui: Ui, key: str) -> None:
    ui.go("/artifacts")
    ui.page.get_by_role("heading", name=re.compile(f"^{key}")).click()
    ui.page.locator("a[href*='/artifacts/artifact/']").first.click()
    ui.wait_for(re.compile("is (COMPLETED|FAILED)"))


def _keep(ui: Ui, name: str) -> None:
    ui.settle()
    size = ui.picture(name).stat().st_size
    click.echo(f"docs/images/{name}.png  {size / 1024:.0f} KiB")
    if size > LARGEST:
        sys.exit(f"It is larger than {LARGEST // 1024} KiB; show less on it.")


if __name__ == "__main__":
    main()
