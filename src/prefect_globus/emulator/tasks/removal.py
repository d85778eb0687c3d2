"""Removing a tree by way of open directories, so that no symlink, wherever it is put in, is followed."""

from __future__ import annotations

import os
import stat
from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Callable

OPEN_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Descent:
    """Goes down a tree and up again with one directory open, however deep it is.

    Each directory is opened by its name in the one above, so that a symlink put in its place leads nowhere. The way up
    is `..` if that is where it came from; a directory may have been moved meanwhile, or may not be searched.

    Attributes:
        descriptor: of the directory where it is now.
    """

    def __init__(self, directory: int) -> None:
        self._top = directory
        self.descriptor = os.dup(directory)
        self._way: list[tuple[str, os.stat_result]] = []  # the names from the top, and the directories that hold them

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self.descriptor)

    def down(self, name: str) -> bool:
        """Go to a directory; return False if this is none. Raises OSError if it cannot be opened, or is not there."""
        try:
            below = os.open(name, OPEN_DIRECTORY, dir_fd=self.descriptor)
        except OSError:
            if stat.S_ISDIR(os.stat(name, dir_fd=self.descriptor, follow_symlinks=False).st_mode):
                raise
            return False
        self._way.append((name, os.fstat(self.descriptor)))
        self._go(below)
        return True

    def up(self) -> str:
        """Go to the directory above; return the name, in it, of the one that was left. Raises OSError."""
        name, expected = self._way.pop()
        self._go(self._above(expected))
        return name

    def _above(self, expected: os.stat_result) -> int:
        with suppress(OSError):
            above = os.open("..", OPEN_DIRECTORY, dir_fd=self.descriptor)
            if os.path.samestat(os.fstat(above), expected):
                return above
            os.close(above)
        return self._from_top()

    def _from_top(self) -> int:
        found = os.dup(self._top)
        for name, _ in self._way:
            try:
                below = os.open(name, OPEN_DIRECTORY, dir_fd=found)
            finally:
                os.close(found)
            found = below
        return found

    def _go(self, descriptor: int) -> None:
        os.close(self.descriptor)
        self.descriptor = descriptor


def names_in(directory: int) -> list[str]:
    """Return the names in an open directory. Raises OSError."""
    with os.scandir(directory) as entries:
        return [entry.name for entry in entries]


def count(directory: int, name: str, check: Callable[[], None]) -> Counter[str]:
    """Count what a name in an open directory holds, itself included: `files`, `symlinks`, `directories`.

    Args:
        directory: descriptor of the directory.
        name: the name of a file, a symlink or a directory in it.
        check: called for each directory; what it raises ends the counting.

    Raises:
        OSError: as the system says.
    """
    mode = os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode
    if not stat.S_ISDIR(mode):
        return Counter(symlinks=1) if stat.S_ISLNK(mode) else Counter(files=1)
    found = Counter(directories=1)
    levels = [[name]]  # on the way to where we are, the directories that are still to be counted
    with Descent(directory) as here:
        while levels:
            if not levels[-1]:
                levels.pop()
                if levels:
                    here.up()
                continue
            check()
            if here.down(levels[-1].pop()):
                levels.append(_count_here(here.descriptor, found))
    return found


def _count_here(directory: int, found: Counter[str]) -> list[str]:
    """Count what is right in an open directory; return the names of the directories in it."""
    below = []
    with os.scandir(directory) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                below.append(entry.name)
            else:
                found["symlinks" if entry.is_symlink() else "files"] += 1
    found["directories"] += len(below)
    return below


def remove(directory: int, name: str, check: Callable[[], None]) -> None:
    """Remove a file, a symlink, or a directory with all that it holds, as far as the system lets us.

    Args:
        directory: descriptor of the directory that holds it.
        name: its name.
        check: called before each removal; what it raises ends the removal.

    Raises:
        OSError: the first of those that were met, after everything else was removed.
    """
    trouble = None
    levels = [[name]]  # on the way to where we are, what is still to be removed
    with Descent(directory) as here:
        while levels:
            if levels[-1]:
                check()
                step = _enter_or_unlink
            else:
                levels.pop()
                if not levels:
                    break
                levels[-1].append(here.up())
                step = _remove_empty
            try:
                step(here, levels)
            except OSError as error:
                is_gone = isinstance(error, FileNotFoundError) and len(levels) > 1  # somebody else was faster
                trouble = trouble or (None if is_gone else error)
    if trouble is not None:
        raise trouble


def _enter_or_unlink(here: Descent, levels: list[list[str]]) -> None:
    name = levels[-1].pop()
    if here.down(name):
        levels.append([])  # also if it cannot be read
        levels[-1] = names_in(here.descriptor)
    else:
        os.unlink(name, dir_fd=here.descriptor)


def _remove_empty(here: Descent, levels: list[list[str]]) -> None:
    os.rmdir(levels[-1].pop(), dir_fd=here.descriptor)
