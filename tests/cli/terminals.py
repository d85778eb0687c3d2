"""A real terminal, which tmux plays: what is typed into it, and what it then shows."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

PATIENCE = 120.0
CAPTURES = Path(__file__).parents[2] / "build" / "terminal"
# Several commands in one process, as Prefect takes seconds to import.
_EACH = """
import shlex, sys
from prefect_globus.cli.main import main
for line in sys.argv[1:]:
    print("$ prefect-globus", line, flush=True)
    try:
        main(shlex.split(line))
    except SystemExit as end:
        assert end.code == 0, end.code
"""
needs_tmux = pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux plays the terminal: apt install tmux")


def _script(path: Path, code: str) -> None:
    """A command that runs ``code`` with this Python."""
    path.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -P -c {shlex.quote(code)} "$@"\n')
    path.chmod(0o755)


class Terminal:
    """Some columns and lines, with bash in them; its captures are kept in build/terminal."""

    def __init__(self, folder: Path, columns: int, **environment: str) -> None:
        self.folder, self.columns = folder, columns
        self._socket = folder / f"tmux-{columns}"
        bin_ = folder / "bin"
        if not bin_.exists():
            bin_.mkdir()
            _script(bin_ / "prefect-globus", "from prefect_globus.cli.main import main; main()")
            _script(bin_ / "each", _EACH)
        variables = {name: value for name, value in os.environ.items() if not name.startswith(("TMUX", "COLUMNS"))}
        variables |= {"PATH": f"{bin_}:{os.environ['PATH']}", "PS1": "$ ", "LC_ALL": "C.UTF-8", **environment}
        size = ["-x", str(columns), "-y", "50"]
        bash = ["bash", "--norc", "--noprofile", "-i"]
        subprocess.run(
            ["tmux", "-f", "/dev/null", "-S", self._socket, "new-session", "-d", *size, *bash],
            env=variables,
            cwd=folder,
            check=True,
        )
        self._tmux("set-option", "-g", "history-limit", "10000")
        self.wait(lambda shown: "$" in shown, "the prompt")

    def type(self, *keys: str) -> None:
        """Press keys, as tmux names them."""
        self._tmux("send-keys", *keys)

    def shown(self, *, colors: bool = False) -> str:
        """All lines since it was cleared; what had to be wrapped is one line again."""
        return self._tmux("capture-pane", "-p", "-J", "-S", "-", *(["-e"] if colors else [])).rstrip() + "\n"

    def run(self, line: str, name: str | None = None) -> str:
        """Run a command to its end; what it has shown, and its exit status. Kept as ``name``."""
        self.clear()
        self.type(f'{line}; echo "[$?]"', "Enter")
        shown = self.wait(lambda shown: shown.rstrip().endswith("]\n$"), line)
        return self.keep(name, shown) if name else shown

    def clear(self) -> None:
        self.type("C-l")
        time.sleep(0.2)
        self._tmux("clear-history")

    def wait(self, condition: Callable[[str], object], what: str) -> str:
        """What is shown as soon as it meets ``condition``."""
        deadline = time.monotonic() + PATIENCE
        while not condition(shown := self.shown()):
            assert time.monotonic() < deadline, f"Waited in vain for {what}. Shown is:\n{shown}"
            time.sleep(0.1)
        return shown

    def wait_for(self, words: str) -> str:
        """What is shown as soon as it has ``words``."""
        return self.wait(lambda shown: words in shown, words)

    def keep(self, name: str, shown: str) -> str:
        """Keep a capture as output of the tests; every line of it fits."""
        CAPTURES.mkdir(parents=True, exist_ok=True)
        (CAPTURES / f"{name}-{self.columns}.txt").write_text(shown)
        too_long = [line for line in shown.splitlines() if len(line) > self.columns and not line.startswith("$ ")]
        assert not too_long, f"wider than {self.columns} columns: {too_long}"
        return shown

    def end(self) -> None:
        subprocess.run(["tmux", "-S", self._socket, "kill-server"], capture_output=True, check=False)

    def _tmux(self, *arguments: str) -> str:
        done = subprocess.run(["tmux", "-S", self._socket, *arguments], capture_output=True, text=True, check=True)
        return done.stdout
