"""What a newcomer reads first does what it says: a real command is killed, a real worker runs a schedule."""

from __future__ import annotations

import pytest

from support.page_runs import Reader
from support.pages import FIRST, ROOT, Page


@pytest.mark.parametrize("name", FIRST)
def test_a_page_does_what_it_says(name: str, reader: Reader) -> None:
    """Its blocks run one after the other, and what they print is what stands there, but for ids and times."""
    assert reader.follow(Page(ROOT / name)) > 0
