"""The small files of a transfer, which others copy while we walk and record."""

from __future__ import annotations

from collections import deque
from contextlib import suppress
from itertools import groupby
from typing import TYPE_CHECKING, Self

from prefect_globus.emulator.collections.copier import NOT_PLAIN
from prefect_globus.emulator.collections.copying import Group
from prefect_globus.emulator.collections.paths import path_parts
from prefect_globus.emulator.tasks.model import MovedFile

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from prefect_globus.emulator.collections.copying import Copier, Ticket
    from prefect_globus.emulator.collections.storage import Storage, Visit
    from prefect_globus.emulator.tasks.model import Work
    from prefect_globus.emulator.tasks.mover import Control

FILES_PER_GROUP = 100
GROUPS_ON_THEIR_WAY = 16
MOST_LEFT = 10_000  # files that were left to us, after which it no longer pays to ask


class SmallFiles:
    """Has small files copied from one storage to another, if there is somebody who does it.

    Args:
        source: where they are.
        destination: where they go.
        visit: the visit of the destination, which knows what it has made.
        parts: names for what is unfinished.
        control: what stops the task.
        moved: is told of files that were copied.
    """

    def __init__(
        self,
        source: Storage,
        destination: Storage,
        visit: Visit,
        parts: Sequence[str],
        control: Control,
        moved: Callable[[list[MovedFile]], None],
    ) -> None:
        self._source = source
        self._destination = destination
        self._visit = visit
        self._parts = parts
        self._control = control
        self._moved = moved
        self._copier: Copier | None = None
        self._is_impossible = False
        self._waiting: deque[tuple[list[Work], Ticket]] = deque()
        self._left: set[int] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._copier is not None:
            self._copier.close()

    @property
    def is_started(self) -> bool:
        """Whether somebody copies, and it pays."""
        return self._copier is not None and len(self._left) < MOST_LEFT

    def start(self) -> None:
        """Start what copies, unless it was started before."""
        if self._copier is None and not self._is_impossible:
            with suppress(OSError):  # without processes to spare it takes longer
                self._copier = self._source.copier_to(self._destination, self._parts)
            self._is_impossible = self._copier is None

    def is_left(self, work: Work) -> bool:
        """Tell whether a file was left to the caller, who may ask only once."""
        with suppress(KeyError):
            self._left.remove(work.seq)
            return True
        return False

    def offer(self, files: list[Work]) -> None:
        """Have files copied that a walk has found, unless the task is to stop.

        That they were copied is told when others are offered, or at `settle`.
        """
        for works in _groups(files):
            if self._copier is None or self._control.is_stopping:
                return
            self._waiting.append((works, self._copier.send(self._group(works))))
            if len(self._waiting) > GROUPS_ON_THEIR_WAY:
                self._receive()

    def settle(self) -> None:
        """Wait for every file that was offered."""
        while self._waiting:
            self._receive()

    def _receive(self) -> None:
        works, ticket = self._waiting.popleft()
        found = [(work.seq, size) for work, size in zip(works, ticket.sizes(), strict=True)]
        self._left.update(seq for seq, size in found if size == NOT_PLAIN)
        self._moved([MovedFile(seq, size) for seq, size in found if size != NOT_PLAIN])

    def _group(self, works: list[Work]) -> Group:
        source, destination = (path_parts(path) for path in _directories(works[0]))
        names = [work.source_path.rpartition("/")[2] for work in works]
        return Group(source, destination, not self._visit.is_new(destination), names)


def _groups(files: list[Work]) -> Iterator[list[Work]]:
    """Return files in groups of one directory and destination."""
    for _, found in groupby(files, _directories):
        works = list(found)
        for start in range(0, len(works), FILES_PER_GROUP):
            yield works[start : start + FILES_PER_GROUP]


def _directories(work: Work) -> tuple[str, str]:
    """Return the directories of a file. A walk gives it the same name in both."""
    return work.source_path.rpartition("/")[0], work.destination_path.rpartition("/")[0]
