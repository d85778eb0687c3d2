"""A folder, and nothing outside it.

A directory is opened one name at a time, from the top, without following any symlink: that cannot lead out. Only if
there is a symlink on the way, the path is resolved first, must then lie inside the folder, and is opened in the same
manner. So a symlink that is put in place between the check and the opening makes the opening fail, and leads nowhere.
"""

from __future__ import annotations

import errno
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prefect_globus.emulator.collections.paths import Parts

OPEN_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
LINK_ERRORS = frozenset({errno.ELOOP, errno.EMLINK, errno.ENOTDIR})  # what O_NOFOLLOW gives for a symlink, or more


class OutsideError(PermissionError):
    """The path leads out of the collection's folder."""

    def __init__(self) -> None:
        super().__init__(errno.EACCES, "Path not allowed")


class OpenDirectory(NamedTuple):
    """A directory's descriptor, and whether it was made just now."""

    descriptor: int
    is_new: bool


class Root:
    """A folder by its real path, from which every directory in it is reached."""

    def __init__(self, folder: str) -> None:
        self.path = os.path.realpath(folder)
        self._inside = self.path.rstrip("/") + "/"

    def real_path(self, parts: Parts) -> str:
        """Return where `parts` really lead, which need not exist.

        Raises:
            OutsideError: if that is outside the folder.
        """
        real = os.path.realpath(self._inside + "/".join(parts))
        if real != self.path and not real.startswith(self._inside):
            raise OutsideError
        return real

    def real_parts(self, parts: Parts) -> Parts:
        """Return `parts` with every symlink followed. Raises as `real_path`."""
        return tuple(part for part in self.real_path(parts)[len(self._inside) :].split("/") if part)

    def open_directory(self, parts: Parts, *, create: bool = False) -> OpenDirectory:
        """Return a new descriptor of a directory, made with its parents if `create`.

        Raises:
            OSError: as the system says, and OutsideError.
        """
        try:
            return self._open_plain(parts, create=create)
        except OSError as error:
            if error.errno not in LINK_ERRORS:
                raise
        return self._open_plain(self.real_parts(parts), create=create)

    def _open_plain(self, parts: Parts, *, create: bool) -> OpenDirectory:
        if ".." in parts:
            raise OutsideError
        found = OpenDirectory(os.open(self.path, OPEN_DIRECTORY), is_new=False)
        try:
            for part in parts:
                below = enter(found.descriptor, part, create=create)
                os.close(found.descriptor)
                found = below
        except BaseException:
            os.close(found.descriptor)
            raise
        return found

    @contextmanager
    def directory(self, parts: Parts) -> Iterator[int]:
        """Hold a directory open. Raises as `open_directory`."""
        descriptor = self.open_directory(parts).descriptor
        try:
            yield descriptor
        finally:
            os.close(descriptor)


def enter(directory: int, name: str, *, create: bool) -> OpenDirectory:
    """Open a directory in an open one, made if `create`. Raises OSError, one of LINK_ERRORS if it is a symlink."""
    try:
        return OpenDirectory(os.open(name, OPEN_DIRECTORY, dir_fd=directory), is_new=False)
    except FileNotFoundError:
        if not create:
            raise
    is_new = True
    try:
        os.mkdir(name, dir_fd=directory)
    except FileExistsError:  # another task made it first
        is_new = False
    return OpenDirectory(os.open(name, OPEN_DIRECTORY, dir_fd=directory), is_new)
