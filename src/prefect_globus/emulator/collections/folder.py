"""The folder behind a collection, and nothing outside it.

A path is resolved through symlinks first and must then lie inside the folder. What it resolved to holds no symlink any
more, so it is opened one name at a time without following any: a symlink that is put in place between the check and the
opening makes the opening fail, and does not lead out.
"""

from __future__ import annotations

import errno
import os
import stat
from collections import OrderedDict
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Self

from prefect_globus.emulator.collections.model import PART_NAME

if TYPE_CHECKING:
    from prefect_globus.emulator.collections.paths import Parts

OPEN_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
OPEN_SOURCE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
CACHED_DIRECTORIES = 32


class OutsideError(PermissionError):
    """The path leads out of the collection's folder."""

    def __init__(self) -> None:
        super().__init__(errno.EACCES, "Path not allowed")


class ListingTooLargeError(Exception):
    """The directory has more entries than a listing may hold."""


class Link(NamedTuple):
    """A symlink itself, as against what it leads to."""

    target: str
    status: os.stat_result


class Entry(NamedTuple):
    """One name in a directory. `status` is what a symlink leads to, or the symlink's own if that is not to be had."""

    name: str
    type: str
    status: os.stat_result
    link: Link | None = None


TYPES = {
    stat.S_IFREG: "file",
    stat.S_IFDIR: "dir",
    stat.S_IFCHR: "chr",
    stat.S_IFBLK: "blk",
    stat.S_IFIFO: "pipe",
}


def type_of(status: os.stat_result) -> str:
    """Return the API's word for the type of a file (contract section 5, file document)."""
    return TYPES.get(stat.S_IFMT(status.st_mode), "other")


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


class Folder:
    """A collection's folder, by its real path."""

    def __init__(self, root: str) -> None:
        self.root = os.path.realpath(root)
        self._inside = self.root.rstrip("/") + "/"

    def real_path(self, parts: Parts) -> str:
        """Return where `parts` really lead, which need not exist.

        Raises:
            OutsideError: if that is outside the folder.
        """
        real = os.path.realpath(self._inside + "/".join(parts))
        if real != self.root and not real.startswith(self._inside):
            raise OutsideError
        return real

    def real_parts(self, parts: Parts) -> Parts:
        """Return `parts` with every symlink followed. Raises as `real_path`."""
        return tuple(part for part in self.real_path(parts)[len(self._inside) :].split("/") if part)

    def open_directory(self, parts: Parts, *, create: bool = False) -> int:
        """Return a new descriptor of a directory, made with its parents if `create`.

        Raises:
            OSError: as the system says, and OutsideError.
        """
        descriptor = os.open(self.root, OPEN_DIRECTORY)
        try:
            for part in self.real_parts(parts):
                below = _enter(descriptor, part, create=create)
                os.close(descriptor)
                descriptor = below
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor

    def stat(self, parts: Parts) -> Entry:
        """Return the entry of one path. Raises OSError, and OutsideError if a directory on the way leads out."""
        if not parts:
            return Entry("/", "dir", Path(self.root).stat())
        directory = self.open_directory(parts[:-1])
        try:
            status = os.stat(parts[-1], dir_fd=directory, follow_symlinks=False)
            return self._entry(directory, parts, status)
        finally:
            os.close(directory)

    def scan(self, parts: Parts, *, limit: int | None = None) -> list[Entry]:
        """Return the entries of a directory, in no order, without names that are not UTF-8 and without our own parts.

        Raises:
            ListingTooLargeError: if there are more than `limit`.
            OSError: as the system says, and OutsideError.
        """
        entries = []
        directory = self.open_directory(parts)
        try:
            with os.scandir(directory) as found:
                for one in found:
                    if not _is_listed(one.name):
                        continue
                    try:
                        entries.append(self._entry(directory, (*parts, one.name), one.stat(follow_symlinks=False)))
                    except FileNotFoundError:  # deleted while we look
                        continue
                    if limit is not None and len(entries) > limit:
                        raise ListingTooLargeError
        finally:
            os.close(directory)
        return entries

    def make_directory(self, parts: Parts) -> None:
        """Make one directory in an existing one. Raises OSError, and OutsideError."""
        if not parts:
            raise FileExistsError(errno.EEXIST, "File exists")
        directory = self.open_directory(parts[:-1])
        try:
            os.mkdir(parts[-1], dir_fd=directory)
        finally:
            os.close(directory)

    def rename(self, old: Parts, new: Parts) -> None:
        """Rename a file, a directory or a symlink, never over something that exists.

        Raises:
            FileExistsError: if `new` exists.
            OSError: as the system says, and OutsideError.
        """
        if not old or not new:
            raise OutsideError
        source = self.open_directory(old[:-1])
        try:
            target = self.open_directory(new[:-1])
            try:
                os.stat(old[-1], dir_fd=source, follow_symlinks=False)
                if _exists(target, new[-1]):
                    raise FileExistsError(errno.EEXIST, "File exists")
                os.rename(old[-1], new[-1], src_dir_fd=source, dst_dir_fd=target)
            finally:
                os.close(target)
        finally:
            os.close(source)

    def is_loop(self, parts: Parts) -> bool:
        """Tell whether a directory is, through symlinks, one of those that lead to it."""
        real = self.real_path(parts)
        return any(self.real_path(parts[:length]) == real for length in range(len(parts)))

    def _entry(self, directory: int, parts: Parts, status: os.stat_result) -> Entry:
        name = parts[-1]
        if not stat.S_ISLNK(status.st_mode):
            return Entry(name, type_of(status), status)
        link = Link(os.readlink(name, dir_fd=directory), status)
        try:
            target = self._stat_real(self.real_parts(parts))
        except OSError:
            return Entry(name, "invalid_symlink", status, link)
        return Entry(name, type_of(target), target, link)

    def _stat_real(self, parts: Parts) -> os.stat_result:
        if not parts:
            return Path(self.root).stat()
        directory = self.open_directory(parts[:-1])
        try:
            status = os.stat(parts[-1], dir_fd=directory, follow_symlinks=False)
        finally:
            os.close(directory)
        if stat.S_ISLNK(status.st_mode):
            raise OSError(errno.ELOOP, "Too many levels of symbolic links")
        return status


def _enter(directory: int, name: str, *, create: bool) -> int:
    try:
        return os.open(name, OPEN_DIRECTORY, dir_fd=directory)
    except FileNotFoundError:
        if not create:
            raise
    with suppress(FileExistsError):  # another task made it first
        os.mkdir(name, dir_fd=directory)
    return os.open(name, OPEN_DIRECTORY, dir_fd=directory)


def _exists(directory: int, name: str) -> bool:
    try:
        os.stat(name, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


class Target(NamedTuple):
    """Where a file is to be written: a directory's descriptor, a name in it, and what is there now."""

    directory: int
    name: str
    status: os.stat_result | None


class Visit:
    """A folder during one round of work: its directories are resolved once and kept open. Not for two threads."""

    def __init__(self, folder: Folder) -> None:
        self.folder = folder
        self._directories: OrderedDict[Parts, int] = OrderedDict()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.forget()

    def forget(self) -> None:
        """Close every directory, so that the next use resolves it anew."""
        while self._directories:
            os.close(self._directories.popitem()[1])

    def directory(self, parts: Parts, *, create: bool = False) -> int:
        """Return the descriptor of a directory; it stays ours. Raises OSError, and OutsideError."""
        descriptor = self._directories.get(parts)
        if descriptor is None:
            descriptor = self.folder.open_directory(parts, create=create)
            self._directories[parts] = descriptor
            if len(self._directories) > CACHED_DIRECTORIES:
                os.close(self._directories.popitem(last=False)[1])
        return descriptor

    def open_source(self, parts: Parts) -> int:
        """Return a new descriptor of a file or a directory, symlinks followed. Raises OSError, and OutsideError."""
        if not parts:
            return self.folder.open_directory(parts)
        try:
            return os.open(parts[-1], OPEN_SOURCE, dir_fd=self.directory(parts[:-1]))
        except OSError as error:
            if error.errno not in (errno.ELOOP, errno.EMLINK):
                raise
        real = self.folder.real_parts(parts)
        return os.open(real[-1], OPEN_SOURCE, dir_fd=self.directory(real[:-1])) if real else self.open_source(real)

    def target(self, parts: Parts) -> Target:
        """Return where to write a file, its parents made, a symlink in its place followed.

        Raises:
            IsADirectoryError: if a directory is there.
            OSError: as the system says, and OutsideError.
        """
        found = self.link_target(parts)
        if found.status is not None and stat.S_ISLNK(found.status.st_mode):
            found = self.link_target(self.folder.real_parts(parts))
        if found.status is not None and stat.S_ISDIR(found.status.st_mode):
            raise IsADirectoryError(errno.EISDIR, "Is a directory")
        return found

    def link_target(self, parts: Parts) -> Target:
        """Return where to write a symlink, its parents made. Raises as `target`, but not for what is there."""
        if not parts:
            raise IsADirectoryError(errno.EISDIR, "Is a directory")
        directory = self.directory(parts[:-1], create=True)
        try:
            status = os.stat(parts[-1], dir_fd=directory, follow_symlinks=False)
        except FileNotFoundError:
            return Target(directory, parts[-1], None)
        return Target(directory, parts[-1], status)
