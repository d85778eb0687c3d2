"""docs/faults.md says what the tests hold the engine to."""

from __future__ import annotations

import os

from faults.page import PAGE, page

WRITE = "WRITE_PAGES"


def test_the_page_of_faults_is_fresh() -> None:
    """Where it is not: WRITE_PAGES=1 pytest tests/faults/test_page.py."""
    if os.environ.get(WRITE):
        PAGE.write_text(page())
    assert PAGE.read_text() == page(), f"write it anew: {WRITE}=1 pytest tests/faults/test_page.py"
