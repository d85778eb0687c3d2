"""Every command and snippet of the documentation does what the page says, in front of an emulator and a real server."""

from __future__ import annotations

import pytest

from support.page_runs import Reader
from support.pages import FIRST, Page, pages

RUNNING = [page for page in pages() if page.name not in FIRST and any(block.runs_here for block in page.blocks)]


@pytest.mark.parametrize("page", RUNNING, ids=str)
def test_a_page_does_what_it_says(page: Page, reader: Reader) -> None:
    """Its blocks run one after the other, and what they print is what stands there, but for ids and times."""
    assert reader.follow(page) > 0
