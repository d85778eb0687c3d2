"""`python -m prefect_globus.cli._supervise -- COMMAND...`: a child that ends when whoever started it is gone.

It reads standard input, a pipe that its parent holds: the pipe ends with the parent, even by SIGKILL. What the child
has started ends with the child, also what has moved to a session of its own, as the flow runs of a worker do.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

STDIN = 0
STOP_SECONDS = 5.0
_PROC = Path("/proc")
_PR_SET_CHILD_SUBREAPER = 36  # prctl(2)


def main(arguments: list[str]) -> None:
    """Run the command that follows ``--`` until it ends, or standard input does."""
    command = arguments[arguments.index("--") + 1 :]
    _adopt_orphans()
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL)  # noqa: S603 - our own parent's command
    # The end of the child must end us while we wait for the pipe, and a thread cannot interrupt that.
    threading.Thread(target=_end_with, args=(child,), daemon=True).start()
    while os.read(STDIN, 4096):
        pass
    child.terminate()
    try:
        child.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
    _end_orphans()


def _end_with(child: subprocess.Popen[bytes]) -> None:
    code = child.wait()
    _end_orphans()
    os._exit(code)


def _adopt_orphans() -> None:
    """Become the parent of every descendant whose own parent ends; on Linux, as others have no such thing."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _end_orphans() -> None:
    """End what the child has left, and what becomes ours when that ends."""
    while children := _children():
        for pid in children:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            with suppress(ChildProcessError):
                os.waitpid(pid, 0)


def _children() -> list[int]:
    """The processes whose parent we are; none where there is no /proc."""
    found = []
    for status in _PROC.glob("[0-9]*/stat"):
        with suppress(OSError):
            parent = status.read_text().rpartition(")")[2].split()[1]  # field 4 of proc(5)'s stat
            if int(parent) == os.getpid():
                found.append(int(status.parent.name))
    return found


if __name__ == "__main__":
    main(sys.argv)
