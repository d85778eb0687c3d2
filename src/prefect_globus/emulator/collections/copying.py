"""Copying the small files of a task by processes of their own, which run `copier.py`."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import deque
from typing import TYPE_CHECKING, NamedTuple

from prefect_globus.emulator.collections import copier
from prefect_globus.emulator.collections.copier import NOT_PLAIN, read_message, write_message

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from prefect_globus.emulator.collections.paths import Parts

GROUPS_AHEAD = 3  # that are on their way to each process


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

    def close(self) -> None:
        """End the processes."""
        for process in self._processes:
            _end(process)

    def copy(self, groups: Iterable[Group]) -> Iterator[list[int]]:
        """Copy groups of files, some at once; yield for each group, in turn, the sizes of its files, or NOT_PLAIN."""
        waiting: deque[tuple[Group, subprocess.Popen[bytes]]] = deque()
        for number, group in enumerate(groups):
            process = self._processes[number % len(self._processes)]
            self._send(process, group)
            waiting.append((group, process))
            if len(waiting) > GROUPS_AHEAD * len(self._processes):
                yield _receive(*waiting.popleft())
        while waiting:
            yield _receive(*waiting.popleft())

    def _send(self, process: subprocess.Popen[bytes], group: Group) -> None:
        assert process.stdin is not None  # noqa: S101 -- for the type checker
        source, destination = [self._source, *group.source], [self._destination, *group.destination]
        try:
            write_message(process.stdin, (source, destination, group.names, group.look))
        except OSError:  # it has died, which the answer will say
            return


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
            try:
                pipe.close()
            except OSError:  # it has died with something in the pipe
                continue
    process.wait()


def _receive(group: Group, process: subprocess.Popen[bytes]) -> list[int]:
    assert process.stdout is not None  # noqa: S101 -- for the type checker
    sizes = read_message(process.stdout)
    return sizes if isinstance(sizes, list) else [NOT_PLAIN] * len(group.names)
