"""A folder on disk as a collection."""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from prefect_globus.emulator.collections.confinement import OutsideError, Root
from prefect_globus.emulator.collections.copying import Copier
from prefect_globus.emulator.collections.folder_visit import FolderVisit
from prefect_globus.emulator.collections.model import PART_NAME
from prefect_globus.emulator.collections.storage import Child, Entry, Link, ListingTooLargeError, Storage

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from contextlib import AbstractContextManager

    from prefect_globus.emulator.collections.paths import Parts

FORMAT = 0o170000  # the bits of a mode that say what type of file it is
TYPES = {
    stat.S_IFREG: "file",
    stat.S_IFDIR: "dir",
    stat.S_IFCHR: "chr",
    stat.S_IFBLK: "blk",
    stat.S_IFIFO: "pipe",
}


def type_of(status: os.stat_result) -> str:
    """Return the API's word for the type of a file (contract section 5, file document)."""
    return TYPES.get(status.st_mode & FORMAT, "other")


def _is_listed(name: str) -> bool:
    if name.startswith(".globus-") and PART_NAME.fullmatch(name):
        return False
    return name.isascii() or _is_text(name)


def _is_text(name: str) -> bool:
    """Tell whether a name was valid UTF-8; JSON cannot carry another."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


class Folder(Storage):
    """A collection's folder, by its real path. What a method raises includes OutsideError."""

    def __init__(self, folder: str) -> None:
        self._root = Root(folder)

    def visit(self) -> FolderVisit:
        """Return a new visit."""
        return FolderVisit(self._root)

    def real_path(self, parts: Parts) -> str:
        """Return where a path, which need not exist, really lies on disk."""
        return self._root.real_path(parts)

    def stat(self, parts: Parts) -> Entry:
        """Return the entry of one path. Raises OutsideError only if a directory on the way leads out."""
        if not parts:
            return Entry("/", "dir", Path(self._root.path).stat())
        with self._root.directory(parts[:-1]) as directory:
            return self._entry(directory, parts, os.stat(parts[-1], dir_fd=directory, follow_symlinks=False))

    def scan(self, parts: Parts, *, limit: int | None = None) -> list[Entry]:
        """Return the entries of a directory, without names that are not UTF-8 and without our own parts."""
        entries: list[Entry] = []
        most = None if limit is None else limit + 1
        with self._root.directory(parts) as directory, os.scandir(directory) as names:
            found = list(islice((one for one in names if _is_listed(one.name)), most))
            if limit is not None and len(found) > limit:
                raise ListingTooLargeError(limit)
            for one in found:
                name = one.name
                try:
                    status = one.stat(follow_symlinks=False)
                    if one.is_symlink():
                        entries.append(self._entry(directory, (*parts, name), status))
                    else:
                        entries.append(Entry(name, type_of(status), status))
                except FileNotFoundError:  # deleted while we look
                    continue
        return entries

    def children(self, parts: Parts) -> list[Child]:
        """Return the names in a directory, as `scan`, with the types that the directory itself tells."""
        with self._root.directory(parts) as directory, os.scandir(directory) as found:
            return [Child(one.name, _child_type(one)) for one in found if _is_listed(one.name)]

    def make_directory(self, parts: Parts) -> None:
        """Make one directory in an existing one."""
        if not parts:
            raise FileExistsError(errno.EEXIST, "File exists")
        with self._root.directory(parts[:-1]) as directory:
            os.mkdir(parts[-1], dir_fd=directory)

    def rename(self, old: Parts, new: Parts) -> None:
        """Rename a file, a directory or a symlink. Raises FileExistsError rather than replace what is there."""
        if not old or not new:
            raise OutsideError
        with self._root.directory(old[:-1]) as source, self._root.directory(new[:-1]) as target:
            os.stat(old[-1], dir_fd=source, follow_symlinks=False)
            if _exists(target, new[-1]):
                raise FileExistsError(errno.EEXIST, "File exists")
            os.rename(old[-1], new[-1], src_dir_fd=source, dst_dir_fd=target)

    def directory(self, parts: Parts) -> AbstractContextManager[int]:
        """Hold a directory open to change what is in it; its descriptor ends with the context."""
        return self._root.directory(parts)

    def is_loop(self, parts: Parts) -> bool:
        """Tell whether a directory is, through symlinks, one of those that lead to it."""
        real = self.real_path(parts)
        return any(self.real_path(parts[:length]) == real for length in range(len(parts)))

    def remove_parts(self, directories: Iterable[Parts], parts: Sequence[str]) -> None:
        """Remove the unfinished files that a killed server left in some of the directories."""
        for path in directories:
            with suppress(OSError), self._root.directory(path) as directory:  # not there, so nothing in it
                for part in parts:
                    with suppress(FileNotFoundError):
                        os.unlink(part, dir_fd=directory)

    def copier_to(self, destination: Storage, parts: Sequence[str]) -> Copier | None:
        """Return what copies small files to another folder."""
        return Copier(self._root.path, destination._root.path, parts) if isinstance(destination, Folder) else None  # noqa: SLF001

    def _entry(self, directory: int, parts: Parts, status: os.stat_result) -> Entry:
        name = parts[-1]
        if not stat.S_ISLNK(status.st_mode):
            return Entry(name, type_of(status), status)
        link = Link(os.readlink(name, dir_fd=directory), status)
        try:
            target = self._stat_real(self._root.real_parts(parts))
        except OSError:
            return Entry(name, "invalid_symlink", status, link)
        return Entry(name, type_of(target), target, link)

    def _stat_real(self, parts: Parts) -> os.stat_result:
        if not parts:
            return Path(self._root.path).stat()
        with self._root.directory(parts[:-1]) as directory:
            status = os.stat(parts[-1], dir_fd=directory, follow_symlinks=False)
        if stat.S_ISLNK(status.st_mode):
            raise OSError(errno.ELOOP, "Too many levels of symbolic links")
        return status


def _child_type(entry: os.DirEntry[str]) -> str:
    if entry.is_symlink():
        return "symlink"
    if entry.is_dir(follow_symlinks=False):
        return "dir"
    return "file" if entry.is_file(follow_symlinks=False) else "other"


def _exists(directory: int, name: str) -> bool:
    try:
        os.stat(name, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True
