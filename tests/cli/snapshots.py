"""Texts that users read, kept as files. `UPDATE_SNAPSHOTS=1 pytest tests/cli/test_help.py` writes them anew."""

from __future__ import annotations

import os
from pathlib import Path

FOLDER = Path(__file__).parent / "snapshots"
_UPDATES = "UPDATE_SNAPSHOTS" in os.environ


def check(name: str, text: str) -> None:
    """``text`` is what it was when somebody has read it last."""
    path = FOLDER / f"{name}.txt"
    if _UPDATES:
        path.write_text(text)
    known = path.read_text() if path.exists() else ""
    assert text == known, "Read the text. If it is right: UPDATE_SNAPSHOTS=1 pytest tests/cli/test_help.py"
