"""The command line as a user has it: processes with a home of their own, and one Prefect server for most of them."""

from __future__ import annotations

import contextlib
import io
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from prefect_globus.cli.main import main

PATIENCE = 90.0
COMMAND = [sys.executable, "-P", "-c", "from prefect_globus.cli.main import main; main()"]
_OURS = ("PREFECT", "GLOBUS", "XDG_")


class Shell:
    """Runs `prefect-globus` in a folder, with an environment that knows of no other test."""

    def __init__(self, folder: Path, **environment: str) -> None:
        self.folder = folder
        self.home = folder / "home"
        self.home.mkdir()
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(_OURS)}
        self.environment = {**inherited, "HOME": str(self.home), **environment}
        self._started: list[subprocess.Popen[str]] = []

    def start(self, *arguments: str, stdin: int | None = None) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [*COMMAND, *arguments],
            cwd=self.folder,
            env=self.environment,
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._started.append(process)
        return process

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        process = self.start(*arguments)
        out, err = process.communicate(timeout=PATIENCE)
        return subprocess.CompletedProcess(arguments, process.returncode, out, err)

    def end(self) -> None:
        for process in self._started:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            process.communicate(timeout=PATIENCE)

    def tree(self, name: str, files: int) -> Path:
        """A folder with so many small files, in two levels."""
        root = self.folder / name
        for number in range(files):
            path = root / f"{number % 3}" / f"{number}.dat"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(os.urandom(1000 + number))
        return root


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def children(pid: int) -> set[int]:
    """The processes that a process has started, and theirs."""
    with contextlib.suppress(OSError):
        found = {int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()}
        return found.union(*(children(each) for each in found))
    return set()


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_until(condition: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"Waited in vain for {what}")
        time.sleep(0.05)


def interrupt(process: subprocess.Popen[str], number: signal.Signals) -> tuple[str, str]:
    """Send a signal, and return what the process has written when it has ended."""
    process.send_signal(number)
    return process.communicate(timeout=PATIENCE)


class Said(NamedTuple):
    """What a command that was called in this process has said."""

    code: int
    out: str
    err: str


def call(*arguments: str) -> Said:
    """Call the command line here, where importing Prefect was paid for already; for all that runs no transfer."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main(arguments)
        except SystemExit as end:
            return Said(int(end.code or 0), out.getvalue(), err.getvalue())
    raise AssertionError("main() has not ended")
