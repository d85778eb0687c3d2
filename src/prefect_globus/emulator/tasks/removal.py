"""Removing a tree by way of open directories, so that no symlink, wherever it is put in, is followed."""

from __future__ import annotations

import os
import stat
from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

OPEN_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


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
    check()
    found = Counter(directories=1)
    below = os.open(name, OPEN_DIRECTORY, dir_fd=directory)
    try:
        with os.scandir(below) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    found.update(count(below, entry.name, check))
                else:
                    found["symlinks" if entry.is_symlink() else "files"] += 1
    finally:
        os.close(below)
    return found


def remove(directory: int, name: str, check: Callable[[], None]) -> None:
    """Remove a file, a symlink, or a directory with all that it holds, as far as the system lets us.

    Each directory is opened by its name in the one above, so that a symlink put in its place leads nowhere.

    Args:
        directory: descriptor of the directory that holds it.
        name: its name.
        check: called before each removal; what it raises ends the removal.

    Raises:
        OSError: the first of those that were met, after everything else was removed.
    """
    check()
    try:
        below = os.open(name, OPEN_DIRECTORY, dir_fd=directory)
    except OSError:
        if stat.S_ISDIR(os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode):
            raise
        os.unlink(name, dir_fd=directory)
        return
    trouble = None
    try:
        for inner in names_in(below):
            try:
                with suppress(FileNotFoundError):  # somebody else was faster
                    remove(below, inner, check)
            except OSError as error:
                trouble = trouble or error
    finally:
        os.close(below)
    if trouble is not None:
        raise trouble
    os.rmdir(name, dir_fd=directory)
