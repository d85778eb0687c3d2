"""`python -m prefect_globus.cli._supervise -- COMMAND...`: a child that ends when whoever started it is gone.

It reads standard input, a pipe that its parent holds: the pipe ends with the parent, even by SIGKILL.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading

STDIN = 0
STOP_SECONDS = 5.0


def main(arguments: list[str]) -> None:
    """Run the command that follows ``--`` until it ends, or standard input does."""
    command = arguments[arguments.index("--") + 1 :]
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL)  # noqa: S603 - our own parent's command
    # The end of the child must end us while we wait for the pipe, and a thread cannot interrupt that.
    threading.Thread(target=lambda: os._exit(child.wait()), daemon=True).start()
    while os.read(STDIN, 4096):
        pass
    child.terminate()
    try:
        child.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


if __name__ == "__main__":
    main(sys.argv)
