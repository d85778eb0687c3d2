"""Programs that we start beside us, and that never outlive us."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import IO

_STOP_SECONDS = 15.0


class Supervised:
    """A program in a session of its own, so that Ctrl-C in a terminal is for us only; it ends when this process does.

    Args:
        command: what to run.
        output: takes what it says.
        environment: all of it.
    """

    def __init__(self, command: Sequence[str], output: IO[bytes], environment: Mapping[str, str]) -> None:
        self._output = output
        self._process = subprocess.Popen(  # noqa: S603 - our own programs
            [sys.executable, "-m", "prefect_globus.cli._supervise", "--", *command],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=output,
            env=environment,
            start_new_session=True,
        )

    @property
    def has_ended(self) -> bool:
        """Whether it has ended, by itself or by somebody else's hand."""
        return self._process.poll() is not None

    def stop(self) -> None:
        """End it, as the end of our process would, and wait for that."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, 9)
            self._process.wait()

    def last_words(self) -> str:
        """The last line that it has said."""
        self._output.seek(0)
        lines = self._output.read().decode(errors="replace").split("\n")
        return next((line.strip() for line in reversed(lines) if line.strip()), "it said nothing")
