"""Copying the small files of a task by processes of their own, which run `copier.py`."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import suppress
from itertools import cycle
from typing import TYPE_CHECKING, NamedTuple

from prefect_globus.emulator.collections import copier
from prefect_globus.emulator.collections.copier import NOT_PLAIN, read_message, write_message

if TYPE_CHECKING:
    from collections.abc import Sequence

    from prefect_globus.emulator.collections.paths import Parts


class Group(NamedTuple):
    """Files of one directory for another, and whether it has to be looked at what is there."""

    source: Parts
    destination: Parts
    look: bool
    names: list[str]


class Copier:
    """Copies small plain files from one folder to another. They end with this process, however it goes.

    Args:
        source: the real path of a folder.
        destination: the same of the other folder.
        parts: names for what is unfinished, one for each process.
    """

    def __init__(self, source: str, destination: str, parts: Sequence[str]) -> None:
        self._source = source
        self._destination = destination
        self._processes = [_start(part) for part in parts]
        self._turns = cycle(self._processes)

    def close(self) -> None:
        """End the processes."""
        for process in self._processes:
            _end(process)

    def send(self, group: Group) -> Ticket:
        """Have a group copied. The processes take turns, and the tickets have to be asked in their order."""
        process = next(self._turns)
        assert process.stdin is not None  # noqa: S101 -- for the type checker
        source, destination = [self._source, *group.source], [self._destination, *group.destination]
        with suppress(OSError):  # it has died, which the answer will say
            write_message(process.stdin, (source, destination, group.names, group.look))
        return Ticket(process, len(group.names))


class Ticket(NamedTuple):
    """A group that is on its way, and how many files it has."""

    process: subprocess.Popen[bytes]
    files: int

    def sizes(self) -> list[int]:
        """Wait for the group; return the size of each file, or NOT_PLAIN."""
        assert self.process.stdout is not None  # noqa: S101 -- for the type checker
        sizes = read_message(self.process.stdout)
        return sizes if isinstance(sizes, list) else [NOT_PLAIN] * self.files


def _start(part: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-I", "-S", copier.__file__, str(os.getpid()), part]
    return subprocess.Popen(  # noqa: S603 -- our own program
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        process_group=0,  # Ctrl-C in a terminal is for the server, which then lets it end
    )


def _end(process: subprocess.Popen[bytes]) -> None:
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with suppress(OSError):  # it has died with something in the pipe
                pipe.close()
    process.wait()
