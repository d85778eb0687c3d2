"""The small files of a transfer, which others copy while we record."""

from __future__ import annotations

from contextlib import suppress
from itertools import groupby
from typing import TYPE_CHECKING, Self

from prefect_globus.emulator.collections.copier import NOT_PLAIN
from prefect_globus.emulator.collections.copying import Group
from prefect_globus.emulator.collections.paths import path_parts

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from prefect_globus.emulator.collections.copying import Copier
    from prefect_globus.emulator.collections.storage import Storage, Visit
    from prefect_globus.emulator.tasks.model import Work
    from prefect_globus.emulator.tasks.mover import Control

FEWEST_AT_ONCE = 100  # files for which it pays to start others
FILES_PER_GROUP = 100


class SmallFiles:
    """What copies small files from one storage to another, if there is such; it is started when it is needed.

    Args:
        source: where they are.
        destination: where they go.
        visit: the visit of the destination, which knows what it has made.
        parts: names for what is unfinished.
    """

    def __init__(self, source: Storage, destination: Storage, visit: Visit, parts: Sequence[str]) -> None:
        self._source = source
        self._destination = destination
        self._visit = visit
        self._parts = parts
        self._copier: Copier | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._copier is not None:
            self._copier.close()

    def start(self) -> None:
        """Start what copies, unless it was started before. It takes a moment, in which there is other work."""
        if self._copier is None:
            with suppress(OSError):  # without processes to spare it takes longer
                self._copier = self._source.copier_to(self._destination, self._parts)

    def copy(self, files: list[Work], control: Control) -> Iterator[tuple[list[Work], list[int]]]:
        """Copy files that a walk has found; yield them in groups, with the size of each, or NOT_PLAIN if it is left.

        Raises:
            InterruptedMoveError: if the task is to stop, after all that was done was yielded.
        """
        self.start()
        if self._copier is None:
            yield files, [NOT_PLAIN] * len(files)
            return
        groups = list(self._groups(files))
        going = (self._group(works) for works in groups if not control.is_stopping)
        yield from zip(groups, self._copier.copy(going), strict=False)
        control.check()

    def _groups(self, files: list[Work]) -> Iterator[list[Work]]:
        """Return the files in groups of one directory and destination."""
        for _, found in groupby(files, _directories):
            works = list(found)
            for start in range(0, len(works), FILES_PER_GROUP):
                yield works[start : start + FILES_PER_GROUP]

    def _group(self, works: list[Work]) -> Group:
        source, destination = (path_parts(path) for path in _directories(works[0]))
        names = [work.source_path.rpartition("/")[2] for work in works]
        return Group(source, destination, not self._visit.is_new(destination), names)


def _directories(work: Work) -> tuple[str, str]:
    """Return the directories of a file. A walk gives it the same name in both."""
    return work.source_path.rpartition("/")[0], work.destination_path.rpartition("/")[0]
