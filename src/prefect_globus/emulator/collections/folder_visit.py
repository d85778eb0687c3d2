"""A folder during one round of a task: its directories are resolved once and kept open."""

from __future__ import annotations

import errno
import os
import stat
from collections import OrderedDict
from contextlib import suppress
from typing import TYPE_CHECKING

from prefect_globus.emulator.collections.confinement import LINK_ERRORS, enter
from prefect_globus.emulator.collections.storage import Source, Target, Visit, Writing

if TYPE_CHECKING:
    from collections.abc import Callable

    from prefect_globus.emulator.collections.confinement import OpenDirectory, Root
    from prefect_globus.emulator.collections.paths import Parts

OPEN_SOURCE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
OPEN_THERE = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
OPEN_PART = os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
CACHED_DIRECTORIES = 64
CLOSED = -1
SMALL = 64 * 1024  # bytes up to which one read and one write cost less than asking the kernel to copy
COPY_RANGE: Callable[[int, int, int], int] | None = getattr(os, "copy_file_range", None)
NO_COPY_RANGE = frozenset({errno.EXDEV, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL, errno.EBADF, errno.EPERM})


class FolderVisit(Visit):
    """See `Visit`. What a method raises includes OutsideError."""

    def __init__(self, root: Root) -> None:
        self._root = root
        self._directories: OrderedDict[Parts, int] = OrderedDict()
        self._made: set[Parts] = set()

    def forget(self) -> None:
        """Close every directory, so that the next use resolves it anew."""
        self._made.clear()
        while self._directories:
            os.close(self._directories.popitem()[1])

    def is_new(self, parts: Parts) -> bool:
        """Tell whether a directory was made by this visit, so that nothing but ours is in it."""
        return parts in self._made

    def open(self, parts: Parts) -> FileSource:
        """Open a file or a directory, symlinks followed."""
        if not parts:
            return FileSource(self._root.open_directory(parts).descriptor)
        try:
            return FileSource(os.open(parts[-1], OPEN_SOURCE, dir_fd=self._directory(parts[:-1])))
        except OSError as error:
            if error.errno not in LINK_ERRORS:
                raise
        real = self._root.real_parts(parts)
        if not real:
            return self.open(real)
        return FileSource(os.open(real[-1], OPEN_SOURCE, dir_fd=self._directory(real[:-1])))

    def read_link(self, parts: Parts) -> str:
        """Return the text of a symlink."""
        if not parts:
            raise OSError(errno.EINVAL, "Not a symlink")
        return os.readlink(parts[-1], dir_fd=self._directory(parts[:-1]))

    def make_directories(self, parts: Parts) -> None:
        """Make a directory with its parents, as far as they do not exist."""
        self._directory(parts, create=True)

    def target(self, parts: Parts, *, look: bool) -> FileTarget:
        """Return where to write a file, its parents made, a symlink in its place followed."""
        found = self._link_target(parts, look=look)
        if found.there is not None and stat.S_ISLNK(found.there.st_mode):
            found = self._link_target(self._root.real_parts(parts), look=True)
        if found.there is not None and stat.S_ISDIR(found.there.st_mode):
            raise IsADirectoryError(errno.EISDIR, "Is a directory")
        return found

    def make_link(self, parts: Parts, text: str, part: str) -> None:
        """Make a symlink with this text, its parents made, in place of what is there, by way of the name `part`."""
        target = self._link_target(parts, look=False)
        with suppress(FileNotFoundError):
            os.unlink(part, dir_fd=target.directory)
        os.symlink(text, part, dir_fd=target.directory)
        os.rename(part, target.name, src_dir_fd=target.directory, dst_dir_fd=target.directory)

    def _link_target(self, parts: Parts, *, look: bool) -> FileTarget:
        """Return where to write, without following a symlink that is there.

        In a directory that we have just made there is nothing but our own files, and each would cost a look.
        """
        if not parts:
            raise IsADirectoryError(errno.EISDIR, "Is a directory")
        directory = self._directory(parts[:-1], create=True)
        status = None
        if look or parts[:-1] not in self._made:
            with suppress(FileNotFoundError):
                status = os.stat(parts[-1], dir_fd=directory, follow_symlinks=False)
        return FileTarget(directory, parts[-1], status)

    def _directory(self, parts: Parts, *, create: bool = False) -> int:
        """Return the descriptor of a directory, which stays ours."""
        descriptor = self._directories.get(parts)
        if descriptor is None:
            descriptor, is_new = self._open_directory(parts, create=create)
            self._directories[parts] = descriptor
            if is_new:
                self._made.add(parts)
            if len(self._directories) > CACHED_DIRECTORIES:
                os.close(self._directories.popitem(last=False)[1])
        return descriptor

    def _open_directory(self, parts: Parts, *, create: bool) -> OpenDirectory:
        """Open a directory from the one that holds it, if that is open, or from the top."""
        above = self._directories.get(parts[:-1]) if parts else None
        if above is not None:
            try:
                return enter(above, parts[-1], create=create)
            except OSError as error:
                if error.errno not in LINK_ERRORS:
                    raise
        return self._root.open_directory(parts, create=create)


class FileSource(Source):
    """An open file or directory on disk."""

    __slots__ = ("descriptor",)

    def __init__(self, descriptor: int) -> None:
        super().__init__(os.fstat(descriptor))
        self.descriptor = descriptor

    def read(self, count: int) -> bytes:
        """Return up to `count` more bytes, none at the end."""
        return os.read(self.descriptor, count)

    def skip(self, count: int) -> int:
        """Pass over as many bytes as `read` would return, which are really read: whatever is wrong comes to light."""
        return len(os.read(self.descriptor, count))

    def rewind(self) -> None:
        """Go back to the beginning."""
        os.lseek(self.descriptor, 0, os.SEEK_SET)

    def known_checksum(self, algorithm: str) -> None:  # noqa: ARG002 -- as the base has it
        """Return None: it has to be read."""
        return

    def has_changed(self) -> bool:
        """Tell whether it was written to since it was opened."""
        now = os.fstat(self.descriptor)
        return (now.st_mtime_ns, now.st_size) != (self.status.st_mtime_ns, self.status.st_size)

    def close(self) -> None:
        """Close it."""
        os.close(self.descriptor)


class FileTarget(Target):
    """A name in an open directory."""

    __slots__ = ("directory", "name")

    def __init__(self, directory: int, name: str, there: os.stat_result | None) -> None:
        super().__init__(there)
        self.directory = directory
        self.name = name

    def open(self) -> FileSource:
        """Open what is there."""
        return FileSource(os.open(self.name, OPEN_THERE, dir_fd=self.directory))

    def begin(self, part: str) -> FileWriting:
        """Begin to write a file under the name `part`, beside what is there."""
        return FileWriting(self, part)


class FileWriting(Writing):
    """A file that is written under another name and then renamed, so that no half-written one is ever seen."""

    __slots__ = ("_copies_in_kernel", "_part", "_target", "descriptor")

    def __init__(self, target: FileTarget, part: str) -> None:
        self.descriptor = os.open(part, OPEN_PART, 0o666, dir_fd=target.directory)
        self._target = target
        self._part = part
        self._copies_in_kernel = True

    def write(self, data: bytes) -> None:
        """Write more bytes."""
        written = os.write(self.descriptor, data)
        while written < len(data):
            data = data[written:]
            written = os.write(self.descriptor, data)

    def take(self, source: Source, count: int) -> int:
        """Write up to `count` more bytes of a source; return how many, 0 at its end."""
        if self._copies_in_kernel and isinstance(source, FileSource) and COPY_RANGE is not None and count > SMALL:
            try:
                return COPY_RANGE(source.descriptor, self.descriptor, count)
            except OSError as error:
                if error.errno not in NO_COPY_RANGE:
                    raise
            self._copies_in_kernel = False  # such as between two file systems
        data = source.read(count)
        self.write(data)
        return len(data)

    def reread(self) -> FileSource:
        """Return what was written, to be read again."""
        found = FileSource(self.descriptor)
        found.rewind()
        return found

    def finish(self, mtime_ns: int | None) -> None:
        """Make the file appear under its name, with a modification time if one is given."""
        if mtime_ns is not None:
            os.utime(self.descriptor, ns=(mtime_ns, mtime_ns))
        self._close()  # first, because some file systems tell only then that a write has failed
        directory = self._target.directory
        os.rename(self._part, self._target.name, src_dir_fd=directory, dst_dir_fd=directory)

    def abandon(self) -> None:
        """Leave nothing behind."""
        with suppress(OSError):
            os.unlink(self._part, dir_fd=self._target.directory)
        self._close()

    def _close(self) -> None:
        descriptor, self.descriptor = self.descriptor, CLOSED
        if descriptor != CLOSED:
            os.close(descriptor)
