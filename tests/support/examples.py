"""Running the examples as a newcomer does."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def said_by(name: str, prefect_api: str, folder: Path) -> list[str]:
    """The lines that an example prints, on a server that is there already; it must end well, without a traceback."""
    answer = subprocess.run(
        [sys.executable, str(ROOT / "examples" / f"{name}.py")],
        cwd=folder,
        env={**os.environ, "PREFECT_API_URL": prefect_api},
        capture_output=True,
        text=True,
        check=False,
    )
    said = answer.stdout + answer.stderr
    assert answer.returncode == 0, said
    assert "Traceback" not in said
    assert list(folder.iterdir()) == [], "it has left something behind"
    return answer.stdout.splitlines()
