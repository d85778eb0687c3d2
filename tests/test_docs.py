"""What the README shows first."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_the_demo() -> None:
    """It proves what it says, and prints no traceback and no warning."""
    answer = subprocess.run(
        [sys.executable, "examples/kill_and_resume.py"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert answer.stderr == ""
    assert "The trees are identical." in answer.stdout
    assert "0 of them twice" in answer.stdout
