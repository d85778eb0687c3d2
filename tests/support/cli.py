"""The real globus-cli, in a home of its own, in front of an emulator."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from prefect_globus.emulator.process import Emulator

PATIENCE = 120  # seconds that a command may take on a busy machine


@dataclass(frozen=True)
class GlobusCli:
    """`globus` with a client login, as a person would have set it up (contract section 9)."""

    emulator: Emulator
    client_id: str
    home: Path

    def run(self, *arguments: str, stdin: str = "", status: int = 0) -> str:
        """Run a command that must end with `status`; return what it printed, errors last."""
        done = subprocess.run(
            [sys.executable, "-m", "globus_cli", *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            env=self._environment(),
            cwd=self.home,
            check=False,
        )
        said = done.stdout + done.stderr
        assert done.returncode == status, f"globus {' '.join(arguments)} ended with {done.returncode}\n{said}"
        return said

    def json(self, *arguments: str, stdin: str = "") -> Any:
        """Run a command; return its answer as it came from the service."""
        return json.loads(self.run(*arguments, "--format", "json", stdin=stdin))

    def value(self, jmespath: str, *arguments: str, stdin: str = "") -> str:
        """Run a command; return one value of its answer, as a script would take it."""
        return self.run(*arguments, "--jmespath", jmespath, "--format", "unix", stdin=stdin).strip()

    def _environment(self) -> dict[str, str]:
        return {
            "HOME": str(self.home),
            "PATH": os.environ["PATH"],
            "GLOBUS_CLI_CLIENT_ID": self.client_id,
            "GLOBUS_CLI_CLIENT_SECRET": "secret",
            **self.emulator.environment(),
        }


def record(text: str) -> dict[str, str]:
    """Return the lines `Name:   value` that the CLI prints for one thing."""
    pairs = (line.partition(":") for line in text.splitlines() if ":" in line)
    return {name.strip(): value.strip() for name, _, value in pairs}


def table(text: str) -> list[dict[str, str]]:
    """Return the rows of a table that the CLI prints, by its headings."""
    head, _, *rows = text.splitlines()
    names = [name.strip() for name in head.split("|")]
    return [dict(zip(names, (cell.strip() for cell in row.split("|")), strict=True)) for row in rows]
