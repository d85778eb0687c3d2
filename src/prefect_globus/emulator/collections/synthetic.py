"""A tree that is stored nowhere: a source of any size, and a destination that swallows.

As a source, its files have bytes that follow from the seed and the number of the file: a common body, and an end that
is the file's own. Whoever reads them gets them, so a folder as destination really holds them afterwards.

As a destination, it takes whatever is written and keeps nothing of it. What it shows afterwards is what it has always
shown, its own shape: so a path of the shape exists, and a sync level decides by that, and any other does not.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple, NoReturn

from prefect_globus.emulator.collections.passing import Passing
from prefect_globus.emulator.collections.shape import NEWEST, Directory, File, Shape
from prefect_globus.emulator.collections.storage import (
    Child,
    Entry,
    ListingTooLargeError,
    Source,
    Status,
    Storage,
    Target,
    Visit,
    Writing,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from prefect_globus.emulator.collections.paths import Parts

FILE_MODE = stat.S_IFREG | 0o644
DIRECTORY_MODE = stat.S_IFDIR | 0o755
BLOCK = 64 * 1024
LARGEST_READ = 4 * 1024 * 1024
OWN_END = 32  # bytes at the end of each file that no other file has
LARGEST_KNOWN = 1024**3  # bytes of a body whose checksum is worth a second or two to know; a larger one is read


class SyntheticStatus(NamedTuple):
    """What `os.stat` would say of a file or directory."""

    st_mode: int
    st_uid: int
    st_gid: int
    st_size: int
    st_mtime: int

    @property
    def st_mtime_ns(self) -> int:
        """The modification time in nanoseconds."""
        return self.st_mtime * 1_000_000_000


class Synthetic(Storage):
    """A tree of a shape."""

    def __init__(self, shape: Shape) -> None:
        self.shape = shape
        self.rate = shape.rate
        self.content = Content(shape)
        self._owner = os.getuid(), os.getgid()

    def visit(self) -> SyntheticVisit:
        """Return a new visit."""
        return SyntheticVisit(self)

    def status(self, here: File | Directory) -> SyntheticStatus:
        """Return the status of a file or directory."""
        if isinstance(here, File):
            return SyntheticStatus(FILE_MODE, *self._owner, self.shape.file_size(here), self.shape.mtime(here))
        return SyntheticStatus(DIRECTORY_MODE, *self._owner, 4096, NEWEST)

    def stat(self, parts: Parts) -> Entry:
        """Return the entry of one path."""
        here = self.shape.find(parts)
        return Entry(parts[-1] if parts else "/", type_of(here), self.status(here))

    def scan(self, parts: Parts, *, limit: int | None = None) -> list[Entry]:
        """Return the entries of a directory, in order."""
        here = self._directory(parts)
        if limit is not None and self.shape.count(here) > limit:
            raise ListingTooLargeError(limit)
        if here.level:
            status: Status = self.status(here)
            return [Entry(name, "dir", status) for name in self.shape.names(here)]
        owner, size = self._owner, self.shape.size
        entries = [
            Entry(name, "file", SyntheticStatus(FILE_MODE, *owner, size, mtime))
            for name, mtime in zip(self.shape.names(here), self.shape.mtimes(here), strict=True)
        ]
        for place, file in self.shape.changed_files(here):
            entries[place] = entries[place]._replace(status=self.status(file))
        return entries

    def children(self, parts: Parts) -> list[Child]:
        """Return the names in a directory, in order."""
        here = self._directory(parts)
        kind = "dir" if here.level else "file"
        return [Child(name, kind) for name in self.shape.names(here)]

    def make_directory(self, parts: Parts) -> None:  # noqa: ARG002 -- as the base has it
        """Refuse."""
        _refuse()

    def rename(self, old: Parts, new: Parts) -> None:  # noqa: ARG002
        """Refuse."""
        _refuse()

    def directory(self, parts: Parts) -> NoReturn:
        """Refuse, but for what does not exist."""
        self._directory(parts)
        _refuse()

    def real_path(self, parts: Parts) -> None:  # noqa: ARG002
        """Return None: it lies nowhere."""
        return

    def is_loop(self, parts: Parts) -> bool:  # noqa: ARG002
        """Return False: there are no symlinks."""
        return False

    def remove_parts(self, directories: Iterable[Parts], parts: Sequence[str]) -> None:
        """Do nothing, as nothing was kept."""

    def passing_to(self, destination: Storage) -> Passing | None:
        """Return what lets files pass to another shape."""
        return Passing(self.shape, self.content, destination.shape) if isinstance(destination, Synthetic) else None

    def _directory(self, parts: Parts) -> Directory:
        here = self.shape.find(parts)
        if isinstance(here, File):
            raise NotADirectoryError(errno.ENOTDIR, "Not a directory")
        return here


def type_of(here: File | Directory) -> str:
    """Return the API's word for the type of what is at a path."""
    return "file" if isinstance(here, File) else "dir"


def _refuse() -> NoReturn:
    raise PermissionError(errno.EACCES, "A synthetic collection cannot be changed")


class Content:
    """The bytes of the files of a shape. Used by many threads at once."""

    def __init__(self, shape: Shape) -> None:
        self._shape = shape
        self.body = max(shape.size - OWN_END, 0)  # bytes that every file begins with
        self.known_body = lru_cache(maxsize=16)(self._known_body)
        block = hashlib.shake_256(f"{shape.seed}".encode()).digest(BLOCK)
        self._blocks = block * min(LARGEST_READ // BLOCK + 1, self.body // BLOCK + 2)

    def end(self, file: File) -> bytes:
        """Return the bytes at the end of a file that are its own: one more if it was changed, and others."""
        if self._shape.is_changed(file):
            size = min(self._shape.size, OWN_END) + 1
            return hashlib.blake2b(f"{self._shape.seed}/{file.number}/changed".encode(), digest_size=size).digest()
        own = hashlib.blake2b(f"{self._shape.seed}/{file.number}".encode(), digest_size=OWN_END).digest()
        return own[: self._shape.size]

    def read(self, file: File, position: int, count: int) -> bytes:
        """Return up to `count` bytes of a file, fewer only at its end or beyond LARGEST_READ."""
        if position >= self.body:
            return self.end(file)[position - self.body :][:count]
        of_body = min(count, self.body - position, LARGEST_READ)
        offset = position % BLOCK
        data = self._blocks[offset : offset + of_body]
        return data + self.end(file)[: count - of_body] if position + of_body == self.body else data

    def checksum(self, file: File, algorithm: str) -> str | None:
        """Return the checksum of a file, whose body is read only once for all files, or None if it is too large."""
        if self.body > LARGEST_KNOWN:
            return None
        checksum = self.known_body(algorithm).copy()
        checksum.update(self.end(file))
        return str(checksum.hexdigest())

    def _known_body(self, algorithm: str) -> hashlib._Hash:
        checksum = hashlib.new(algorithm, usedforsecurity=False)
        nobody = File(0)
        position = 0
        while position < self.body:
            data = self.read(nobody, position, min(LARGEST_READ, self.body - position))
            checksum.update(data)
            position += len(data)
        return checksum


class SyntheticVisit(Visit):
    """See `Visit`."""

    def __init__(self, storage: Synthetic) -> None:
        self._storage = storage
        self._last: tuple[Parts, File | Directory | None] = ((), storage.shape.top)  # most files follow one another

    def forget(self) -> None:
        """Do nothing, as nothing is kept open."""

    def open(self, parts: Parts) -> SyntheticSource:
        """Open a file or a directory."""
        found = self._found(parts)
        if found is None:
            raise FileNotFoundError(errno.ENOENT, "No such file or directory")
        return SyntheticSource(self._storage, found)

    def read_link(self, parts: Parts) -> str:
        """Refuse: there are no symlinks."""
        self.open(parts)
        raise OSError(errno.EINVAL, "Not a symlink")

    def make_directories(self, parts: Parts) -> None:
        """Swallow a directory, unless a file of the shape is in its place or on the way to it."""
        if isinstance(self._found(parts), File):
            raise NotADirectoryError(errno.ENOTDIR, "Not a directory")

    def target(self, parts: Parts, *, look: bool) -> SyntheticTarget:  # noqa: ARG002 -- a look costs nothing here
        """Return where to write a file: anywhere but in place of a directory of the shape, or below a file of it."""
        found = self._found(parts)
        if isinstance(found, Directory):
            raise IsADirectoryError(errno.EISDIR, "Is a directory")
        return SyntheticTarget(self._storage, found)

    def make_link(self, parts: Parts, text: str, part: str) -> None:  # noqa: ARG002
        """Swallow a symlink, as a file."""
        self.target(parts, look=False)

    def _found(self, parts: Parts) -> File | Directory | None:
        """Return what the shape has at a path, or None. Raises NotADirectoryError if a file is on the way."""
        if not parts:
            return self._storage.shape.top
        if self._last[0] != parts[:-1]:
            self._last = parts[:-1], self._found(parts[:-1])
        parent = self._last[1]
        if isinstance(parent, File):
            raise NotADirectoryError(errno.ENOTDIR, "Not a directory")
        return self._storage.shape.child(parent, parts[-1]) if parent else None


class SyntheticSource(Source):
    """An open file or directory of a shape."""

    __slots__ = ("_content", "_file", "_position")

    def __init__(self, storage: Synthetic, here: File | Directory) -> None:
        super().__init__(storage.status(here))
        self._content = storage.content
        self._file = here if isinstance(here, File) else None
        self._position = 0

    def read(self, count: int) -> bytes:
        """Return up to `count` more bytes, fewer only at the end."""
        if self._file is None:
            raise IsADirectoryError(errno.EISDIR, "Is a directory")
        data = self._content.read(self._file, self._position, count)
        self._position += len(data)
        return data

    def skip(self, count: int) -> int:
        """Pass over as many bytes as `read` would return, at once."""
        skipped = min(count, self.status.st_size - self._position)
        self._position += skipped
        return skipped

    def rewind(self) -> None:
        """Go back to the beginning."""
        self._position = 0

    def known_checksum(self, algorithm: str) -> str | None:
        """Return the checksum, which is known without reading unless the file is very large."""
        return None if self._file is None else self._content.checksum(self._file, algorithm)

    def has_changed(self) -> bool:
        """Return False: it never does."""
        return False

    def close(self) -> None:
        """Do nothing."""


class SyntheticTarget(Target):
    """Where to write a file that nobody keeps."""

    __slots__ = ("_file", "_storage")

    def __init__(self, storage: Synthetic, file: File | None) -> None:
        super().__init__(None if file is None else storage.status(file))
        self._storage = storage
        self._file = file

    def open(self) -> SyntheticSource:
        """Open the file of the shape that is there."""
        if self._file is None:
            raise FileNotFoundError(errno.ENOENT, "No such file or directory")
        return SyntheticSource(self._storage, self._file)

    def begin(self, part: str) -> Swallowing:  # noqa: ARG002
        """Begin to swallow a file."""
        return SWALLOWING


class Swallowing(Writing):
    """A file that is written and not kept."""

    __slots__ = ()

    def write(self, data: bytes) -> None:
        """Take more bytes."""

    def take(self, source: Source, count: int) -> int:
        """Take up to `count` more bytes of a source."""
        return source.skip(count)

    def reread(self) -> None:
        """Return None: nothing was kept."""
        return

    def finish(self, mtime_ns: int | None) -> None:
        """Do nothing."""

    def abandon(self) -> None:
        """Do nothing."""


SWALLOWING = Swallowing()
