"""A real Chromium in front of Prefect's UI, used as a person uses it: by what is written on the page."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

from playwright.sync_api import Browser, Locator, Page, Response, expect, sync_playwright

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
INSTALL = "no Chromium: install it, as with `apt-get install chromium`"
PATIENCE = 150.0  # seconds that anything may take on a busy machine
PICTURES = Path(__file__).parents[2] / "build" / "screenshots"
_FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@contextmanager
def running_chromium() -> Iterator[Browser]:
    """A headless Chromium with an empty profile.

    As long as it runs this thread has an event loop, in which what Prefect calls sync would hand out coroutines: give
    it ``_sync=True``, or use its sync client.
    """
    expect.set_options(timeout=PATIENCE * 1000)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=_FLAGS, timeout=PATIENCE * 1000)
        try:
            yield browser
        finally:
            browser.close()


@dataclass
class Ui:
    """A page of the browser that shows Prefect's UI.

    Args:
        page: of the browser.
        url: of the UI.
        pictures: folder for screenshots.
    """

    page: Page
    url: str
    pictures: Path = PICTURES

    def __post_init__(self) -> None:
        self.page.set_default_timeout(PATIENCE * 1000)
        self.page.on("response", _say_refusal)

    def go(self, path: str) -> None:
        """Open a page of the UI."""
        self.page.goto(f"{self.url}/v2{path}")

    def picture(self, name: str, *, whole: bool = False) -> Path:
        """Keep what is on the page, or all of a long page, and return the file."""
        self.pictures.mkdir(parents=True, exist_ok=True)
        path = self.pictures / f"{name}.png"
        if whole:
            self.page.mouse.wheel(0, -100_000)  # or the menu at the left is drawn where the page was scrolled to
        self.page.screenshot(path=path, full_page=whole, animations="disabled")
        return path

    def fill(self, label: str, text: str, within: Locator | None = None) -> None:
        """Fill in a field of a form of Prefect."""
        self.field(label, within).locator("textarea, input").first.fill(text)

    def field(self, label: str, within: Locator | None = None) -> Locator:
        """What belongs to the field of the title ``label``: a label, a description, and one or more ways to fill it in.

        Prefect's label does not name the control where a field takes values of several types.
        """
        title = re.compile(rf"^{re.escape(label)}( \(Optional\))?$")
        groups = (within or self.page).locator("div.group")
        return groups.filter(has=self.page.locator("label").filter(has_text=title)).last

    def press(self, button: str) -> None:
        """Press the button."""
        self.page.get_by_role("button", name=button, exact=True).click()

    def name_block(self, name: str) -> None:
        """Name a new block, and wait until it is known that there is no other of this name, or Save would not work."""
        with self.page.expect_response(re.compile(r"/block_documents/name/")):
            self.page.get_by_label("Name", exact=True).fill(name)

    def choose_block(self, label: str, kind: str, name: str) -> None:
        """Choose a saved block for a field, from the list on the tab ``kind``."""
        field = self.field(label)
        field.get_by_role("tab", name=kind, exact=True).click()
        field.get_by_label("Select a block").click()
        self.page.get_by_role("option", name=name, exact=True).click()

    def menu(self, item: str) -> None:
        """Choose an item of the menu of the page."""
        self.page.get_by_role("button").filter(has=self.page.locator(".lucide-ellipsis-vertical")).first.click()
        self.choose(item)

    def submit(self, button: str = "Submit", within: Locator | None = None) -> None:
        """Send a form; again, if the server's SQLite is locked (docs/playground.md)."""
        busy = True
        while busy:
            with self.page.expect_response(re.compile(r"/(create_flow_run|resume)$")) as answer:
                (within or self.page).get_by_role("button", name=button, exact=True).click()
            busy = answer.value.status == HTTPStatus.SERVICE_UNAVAILABLE

    def choose(self, item: str) -> None:
        """Choose an item of the open menu."""
        self.page.get_by_role("menuitem", name=item, exact=True).click()

    def tab(self, name: str) -> None:
        """Go to a tab of the page."""
        self.page.get_by_role("tab", name=name, exact=True).click()

    def settle(self) -> None:
        """Wait until the page has what it has asked for."""
        self.page.wait_for_load_state("networkidle")

    def wait_for(self, text: str | re.Pattern[str]) -> Locator:
        """Wait until it is on the page."""
        found = self.page.get_by_text(text).first
        expect(found).to_be_visible()
        return found

    def wait_for_state(self, name: str) -> None:
        """Wait until the page of a run shows that state, in exactly this word: notices and the log have it too."""
        expect(self.page.get_by_text(name, exact=True).first).to_be_visible()


def _say_refusal(answer: Response) -> None:
    """Print what the server has refused to do, for whoever looks why a test has failed."""
    if answer.request.method == "POST" and not answer.ok:
        print(answer.status, answer.url, answer.text()[:500], answer.request.post_data)


@contextmanager
def opened(
    browser: Browser, url: str, pictures: Path = PICTURES, *, width: int = 1400, height: int = 900
) -> Iterator[Ui]:
    """A new window of the browser, without cookies, in front of the UI at ``url``."""
    context = browser.new_context(viewport={"width": width, "height": height}, reduced_motion="reduce")
    try:
        yield Ui(context.new_page(), url, pictures)
    finally:
        context.close()
