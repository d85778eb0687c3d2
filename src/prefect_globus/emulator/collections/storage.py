"""What a collection holds, as operations and tasks see it: a folder on disk, or a tree that is stored nowhere.

Every path is given as its names from the top of the collection. Whatever cannot be done is an OSError, with the number
that a file system would give, so that a storage of any kind is refused and retried by the same rules.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, NamedTuple, Protocol, Self

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from contextlib import AbstractContextManager

    from prefect_globus.emulator.collections.copying import Copier
    from prefect_globus.emulator.collections.passing import Passing
    from prefect_globus.emulator.collections.paths import Parts


class ListingTooLargeError(Exception):
    """The directory has more entries than a listing may hold."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"Directory has more than {limit} entries")
        self.limit = limit


class Status(Protocol):
    """What `os.stat_result` says of a file, as far as anybody asks."""

    @property
    def st_mode(self) -> int:
        """Type and permissions."""

    @property
    def st_uid(self) -> int:
        """Number of the user."""

    @property
    def st_gid(self) -> int:
        """Number of the group."""

    @property
    def st_size(self) -> int:
        """Size in bytes."""

    @property
    def st_mtime(self) -> float:
        """Modification time, in seconds since the epoch."""

    @property
    def st_mtime_ns(self) -> int:
        """The same in nanoseconds."""


class Link(NamedTuple):
    """A symlink itself, as against what it leads to."""

    target: str
    status: Status


class Entry(NamedTuple):
    """One name in a directory. `status` is what a symlink leads to, or the symlink's own if that is not to be had.

    `type` is the API's word (contract section 5, file document).
    """

    name: str
    type: str
    status: Status
    link: Link | None = None


class Child(NamedTuple):
    """One name in a directory, as a walk sees it: `type` is `file`, `dir`, `symlink` or `other`."""

    name: str
    type: str


class Storage(ABC):
    """What one collection holds. Used by many threads at once."""

    rate: int = 0  # bytes a second that a task may move to or from it, 0 for no limit

    @abstractmethod
    def stat(self, parts: Parts) -> Entry:
        """Return the entry of one path."""

    @abstractmethod
    def scan(self, parts: Parts, *, limit: int | None = None) -> list[Entry]:
        """Return the entries of a directory, in no order.

        Raises:
            ListingTooLargeError: if there are more than `limit`, before any is looked at.
        """

    @abstractmethod
    def make_directory(self, parts: Parts) -> None:
        """Make one directory in an existing one."""

    @abstractmethod
    def rename(self, old: Parts, new: Parts) -> None:
        """Rename a file, a directory or a symlink. Raises FileExistsError rather than replace what is there."""

    @abstractmethod
    def directory(self, parts: Parts) -> AbstractContextManager[int]:
        """Hold a directory open to change what is in it; its descriptor ends with the context."""

    @abstractmethod
    def children(self, parts: Parts) -> list[Child]:
        """Return the names in a directory, in no order, without looking at each."""

    @abstractmethod
    def real_path(self, parts: Parts) -> str | None:
        """Return where a path, which need not exist, really lies on disk, or None if nowhere."""

    @abstractmethod
    def is_loop(self, parts: Parts) -> bool:
        """Tell whether a directory is, through symlinks, one of those that lead to it."""

    @abstractmethod
    def remove_parts(self, directories: Iterable[Parts], parts: Sequence[str]) -> None:
        """Remove the unfinished files `parts` that a killed server left in some of the directories."""

    def copier_to(self, destination: Storage, parts: Sequence[str]) -> Copier | None:  # noqa: ARG002
        """Return what copies small files from here faster than we do, by way of the names `parts`, if there is such."""
        return None

    def passing_to(self, destination: Storage) -> Passing | None:  # noqa: ARG002
        """Return what lets files pass from here to there, if neither keeps any."""
        return None

    @abstractmethod
    def visit(self) -> Visit:
        """Return a new visit."""


class Visit(ABC):
    """A storage during one round of a task, which keeps open what it will need again. Not for two threads."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.forget()

    @abstractmethod
    def forget(self) -> None:
        """Let go of what is kept open, so that the next use looks anew."""

    @abstractmethod
    def open(self, parts: Parts) -> Source:
        """Open a file or a directory, symlinks followed."""

    @abstractmethod
    def read_link(self, parts: Parts) -> str:
        """Return the text of a symlink."""

    @abstractmethod
    def make_directories(self, parts: Parts) -> None:
        """Make a directory with its parents, as far as they do not exist."""

    def is_new(self, parts: Parts) -> bool:  # noqa: ARG002
        """Tell whether a directory was made by this visit, so that nothing but ours is in it."""
        return False

    @abstractmethod
    def target(self, parts: Parts, *, look: bool) -> Target:
        """Return where to write a file, its parents made, a symlink in its place followed.

        Args:
            parts: where.
            look: whether it matters what is there now, apart from its being replaced.

        Raises:
            IsADirectoryError: if a directory is there.
        """

    @abstractmethod
    def make_link(self, parts: Parts, text: str, part: str) -> None:
        """Make a symlink with this text, its parents made, in place of what is there, by way of the name `part`."""


class Source(ABC):
    """An open file or directory, as it was when it was opened."""

    __slots__ = ("status",)

    def __init__(self, status: Status) -> None:
        self.status = status

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @abstractmethod
    def read(self, count: int) -> bytes:
        """Return up to `count` more bytes, none at the end."""

    @abstractmethod
    def skip(self, count: int) -> int:
        """Pass over as many bytes as `read` would return; return how many."""

    @abstractmethod
    def rewind(self) -> None:
        """Go back to the beginning."""

    @abstractmethod
    def known_checksum(self, algorithm: str) -> str | None:
        """Return the checksum of the whole in lower case hexadecimal, if it is known without reading."""

    @abstractmethod
    def has_changed(self) -> bool:
        """Tell whether it was written to since it was opened."""

    @abstractmethod
    def close(self) -> None:
        """Close it."""


class Target(ABC):
    """Where a file is to be written, and what is `there` now."""

    __slots__ = ("there",)

    def __init__(self, there: Status | None) -> None:
        self.there = there

    @abstractmethod
    def open(self) -> Source:
        """Open what is there."""

    @abstractmethod
    def begin(self, part: str) -> Writing:
        """Begin to write a file under the name `part`, beside what is there."""


class Writing(ABC):
    """A file that is being written, and that nobody sees under its name until it is finished."""

    __slots__ = ()

    @abstractmethod
    def write(self, data: bytes) -> None:
        """Write more bytes."""

    @abstractmethod
    def take(self, source: Source, count: int) -> int:
        """Write up to `count` more bytes of a source, which nobody else wants to see; return how many, 0 at its end."""

    @abstractmethod
    def reread(self) -> Source | None:
        """Return what was written, to be read again, or None if nothing was kept. It is closed with the writing."""

    @abstractmethod
    def finish(self, mtime_ns: int | None) -> None:
        """Make the file appear under its name, with a modification time if one is given."""

    @abstractmethod
    def abandon(self) -> None:
        """Leave nothing behind."""
