"""Files that pass from one shape to another: nothing is read and nothing is kept, so that to move one is to look."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, NamedTuple

from prefect_globus.emulator.collections.paths import path_parts
from prefect_globus.emulator.collections.shape import Directory, File, Run, Shape, file_in

if TYPE_CHECKING:
    from prefect_globus.emulator.collections.synthetic import Content

NO_NAMES = frozenset({"", ".", "~"})  # what may end a path without being the name of anything


class Passed(NamedTuple):
    """A file that has passed: its size in bytes, and its checksum if one was asked for."""

    size: int
    checksum: str | None


class Passing:
    """Lets files pass from one shape to another.

    Args:
        source: the shape that they are of.
        content: what their checksums are known from.
        destination: the shape that they go to.
    """

    def __init__(self, source: Shape, content: Content, destination: Shape) -> None:
        self._shape = source
        self._content = content
        self._from = Finder(source)
        self._to = Finder(destination)

    def passed(self, source: str, destination: str, algorithm: str | None, *, replaces: bool) -> Passed | None:
        """Let a file pass from one path to another, or return None if there is more to it than that.

        Args:
            source: the path of the file.
            destination: the path where it goes.
            algorithm: by which to tell its checksum, such as MD5; None for no checksum.
            replaces: whether a file that is there does not matter.
        """
        try:
            file, there = self._from.find(source), self._to.find(destination)
        except NotADirectoryError:
            return None
        if not isinstance(file, File) or not (there is None or (replaces and isinstance(there, File))):
            return None
        checksum = None if algorithm is None else self._content.checksum(file, algorithm.lower())
        if algorithm is not None and checksum is None:  # it is too large to be known without reading
            return None
        return Passed(self._shape.file_size(file), checksum)


class Finder:
    """Finds what a shape has at a path. Most paths follow one another in a directory, so that one is remembered."""

    def __init__(self, shape: Shape) -> None:
        self._shape = shape
        self._directory: str | None = None
        self._parent: File | Directory | None = None
        self._runs: list[Run] = []

    def find(self, path: str) -> File | Directory | None:
        """Return what is at a path, or None. Raises NotADirectoryError if a file is on the way."""
        directory, _, name = path.rpartition("/")
        if name in NO_NAMES:
            return self._look(path)
        if directory != self._directory:
            self._parent = parent = self._look(directory)
            self._runs = self._shape.runs(parent) if isinstance(parent, Directory) and not parent.level else []
            self._directory = directory
        if self._runs:
            return file_in(self._runs, name)
        if isinstance(self._parent, File):
            raise NotADirectoryError(errno.ENOTDIR, "Not a directory")
        return self._shape.child(self._parent, name) if self._parent else None

    def _look(self, path: str) -> File | Directory | None:
        try:
            return self._shape.find(path_parts(path))
        except FileNotFoundError:
            return None
