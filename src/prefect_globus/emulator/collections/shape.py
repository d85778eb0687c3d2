"""The shape of a tree that is stored nowhere, such as `synthetic:files=1000000,dirs=1000,size=1MiB`.

The same text gives the same names, sizes and times on every machine. Nothing of the tree is kept in memory: what a
directory holds, and whether a path exists, is arithmetic.
"""

from __future__ import annotations

import errno
import re
from dataclasses import dataclass, fields
from functools import cached_property
from itertools import chain
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from prefect_globus.emulator.collections.paths import Parts

PREFIX = "synthetic:"
MOST = 10**12  # files, or directories
DEEPEST = 100
LARGEST = 2**60  # bytes of a file
UNITS = {"": 1, "B": 1}
UNITS |= {f"{letter}B": 1000**power for power, letter in enumerate("kMGTP", 1)}
UNITS |= {f"{letter}iB": 1024**power for power, letter in enumerate("KMGTP", 1)}
NUMBER = re.compile(r"\d{1,19}", re.ASCII)
AMOUNT = re.compile(r"(\d{1,19}(?:\.\d{1,6})?) ?([A-Za-z]*)", re.ASCII)
EXAMPLE = "Write it as synthetic:files=1000000,dirs=1000,size=1MiB."
NEWEST = 1_700_000_000  # seconds since the epoch: the time of the directories; the files are up to a year older
YEAR = 365 * 24 * 3600


class ShapeError(ValueError):
    """The text is not that of a shape; the message says what to do."""


class File(NamedTuple):
    """A file, by its number in the order of the whole tree, from 0."""

    number: int


class Run(NamedTuple):
    """Files of one directory whose names are a letter and a count, with their numbers in the order of the names."""

    letter: str
    digits: int
    numbers: range


class Directory(NamedTuple):
    """A directory, by how many levels of directories are below it, and the first leaf that is below it or is it."""

    level: int
    leaf: int


@dataclass(frozen=True)
class Shape:
    """Files of one size, spread evenly over the leaves of a tree of directories but for those of the first leaf.

    Attributes:
        files: how many files there are.
        dirs: how many directories hold them; 0 puts them all at the top.
        depth: how many directories lead to each file.
        size: bytes of each file.
        rate: bytes a second that a task may move to or from the tree, 0 for no limit.
        seed: what else the bytes and times of the files depend on.
        largest: how many files more there are in the first leaf, which are called `g...` and follow the others.
        changed: how many files, evenly over the tree, are a byte longer, have other bytes at their ends and are a year
            younger: those that somebody has changed since the same shape without it.
    """

    files: int
    dirs: int = 0
    depth: int = 1
    size: int = 0
    rate: int = 0
    seed: int = 0
    largest: int = 0
    changed: int = 0

    @cached_property
    def total(self) -> int:
        """How many files there are in all."""
        return self.files + self.largest

    @cached_property
    def top(self) -> Directory:
        """The top of the tree."""
        return Directory(self.depth if self.dirs else 0, 0)

    @cached_property
    def _leaves(self) -> int:
        return max(self.dirs, 1)

    @cached_property
    def _fanout(self) -> int:
        """How many directories a directory holds, the last of its level excepted: the fewest that are enough."""
        fanout = max(int(self._leaves ** (1 / self.depth)) - 1, 1)
        while fanout**self.depth < self._leaves:
            fanout += 1
        return fanout

    @cached_property
    def _directory_digits(self) -> int:
        return len(str(self._fanout - 1))

    @cached_property
    def _file_digits(self) -> int:
        return len(str(max(-(-self.files // self._leaves) - 1, 0)))

    def find(self, parts: Parts) -> File | Directory:
        """Return what is at a path.

        Raises:
            FileNotFoundError: if nothing is.
            NotADirectoryError: if a file is on the way.
        """
        here: File | Directory | None = self.top
        for part in parts:
            if isinstance(here, File):
                raise NotADirectoryError(errno.ENOTDIR, "Not a directory")
            here = self.child(here, part) if here else None
        if here is None:
            raise FileNotFoundError(errno.ENOENT, "No such file or directory")
        return here

    def child(self, parent: Directory, name: str) -> File | Directory | None:
        """Return what has a name in a directory, or None if nothing has."""
        if parent.level:
            index = _index(name, "d", self._directory_digits)
            return None if index is None or index >= self.count(parent) else self._directory(parent, index)
        return file_in(self.runs(parent), name)

    def count(self, parent: Directory) -> int:
        """Return how many entries a directory has."""
        if not parent.level:
            return sum(len(run.numbers) for run in self.runs(parent))
        below = self._span(parent.level - 1)
        end = min(parent.leaf + self._span(parent.level), self._leaves)
        return -(-(end - parent.leaf) // below)

    def runs(self, leaf: Directory) -> list[Run]:
        """Return the files of a leaf: the first leaves have one more, where they cannot all have as many."""
        each, more = divmod(self.files, self._leaves)
        first = leaf.leaf * each + min(leaf.leaf, more)
        runs = [Run("f", self._file_digits, range(first, first + each + (leaf.leaf < more)))]
        if self.largest and leaf.leaf == 0:
            runs.append(Run("g", len(str(self.largest - 1)), range(self.files, self.total)))
        return runs

    def names(self, parent: Directory) -> list[str]:
        """Return the names in a directory, in order."""
        if parent.level:
            return [f"d{index:0{self._directory_digits}}" for index in range(self.count(parent))]
        runs = self.runs(parent)
        return [f"{letter}{index:0{digits}}" for letter, digits, run in runs for index in range(len(run))]

    def is_changed(self, file: File) -> bool:
        """Tell whether a file is one of those that were changed."""
        changed, total = self.changed, self.total
        return bool(changed) and (file.number + 1) * changed // total > file.number * changed // total

    def file_size(self, file: File) -> int:
        """Return how many bytes a file has."""
        return self.size + self.is_changed(file)

    def mtime(self, file: File) -> int:
        """Return when a file was last modified, in seconds since the epoch."""
        return NEWEST - (file.number * 7919 + self.seed * 104_729) % YEAR + self.is_changed(file) * YEAR

    def mtimes(self, leaf: Directory) -> list[int]:
        """Return when the files of a leaf were last modified before any was changed, in their order."""
        start = self.seed * 104_729
        numbers = chain.from_iterable(
            range(start + run.numbers.start * 7919, start + run.numbers.stop * 7919, 7919) for run in self.runs(leaf)
        )
        return [NEWEST - number % YEAR for number in numbers]

    def changed_files(self, leaf: Directory) -> Iterator[tuple[int, File]]:
        """Yield the files of a leaf that were changed, each with its place in its order, from 0."""
        passed = 0
        for run in self.runs(leaf) if self.changed else ():
            first, last = (number * self.changed // self.total for number in (run.numbers.start, run.numbers.stop))
            for which in range(first, last):
                number = -(-(which + 1) * self.total // self.changed) - 1  # the first one at which the count has grown
                yield passed + number - run.numbers.start, File(number)
            passed += len(run.numbers)

    def _directory(self, parent: Directory, index: int) -> Directory:
        return Directory(parent.level - 1, parent.leaf + index * self._span(parent.level - 1))

    def _span(self, level: int) -> int:
        """Return how many leaves are below a directory of a level, the last of its level excepted."""
        return int(self._fanout**level)


def file_in(runs: Iterable[Run], name: str) -> File | None:
    """Return the file that has a name among those of a directory, or None."""
    for letter, digits, numbers in runs:
        index = _index(name, letter, digits)
        if index is not None and index < len(numbers):
            return File(numbers[index])
    return None


def _index(name: str, letter: str, digits: int) -> int | None:
    """Return the count in a name that is a letter and so many digits, or None if it is no such name."""
    text = name[1:]
    is_one = name[:1] == letter and len(text) == digits and text.isascii() and text.isdigit()
    return int(text) if is_one else None


def is_shape(text: str) -> bool:
    """Tell whether a text is meant to be that of a shape."""
    return text.startswith(PREFIX)


def parse_shape(text: str) -> Shape:
    """Return the shape that a text such as `synthetic:files=10,dirs=2` describes. Raises ShapeError."""
    known = [one.name for one in fields(Shape)]
    values: dict[str, int] = {}
    for part in text.removeprefix(PREFIX).split(","):
        name, equals, value = part.strip().partition("=")
        if not equals or name not in known:
            raise ShapeError(f"{part.strip()!r} is none of {'=, '.join(known)}=. {EXAMPLE}")
        if name in values:
            raise ShapeError(f"{name!r} is given twice. {EXAMPLE}")
        values[name] = _amount(name, value) if name in ("size", "rate") else _number(name, value)
    if "files" not in values:
        raise ShapeError(f"It must say how many files there are. {EXAMPLE}")
    if not 1 <= values.get("depth", 1) <= DEEPEST:
        raise ShapeError(f"'depth' must be from 1 to {DEEPEST}.")
    if values["files"] > MOST or values.get("dirs", 0) > MOST:
        raise ShapeError(f"There can be at most {MOST} files and directories.")
    shape = Shape(**values)
    if shape.total > MOST or shape.changed > shape.total:
        raise ShapeError(f"'largest' is more than there can be, or 'changed' than there are: {shape.total} files.")
    return shape


def _number(name: str, text: str) -> int:
    if not NUMBER.fullmatch(text):
        raise ShapeError(f"{name!r} must be a whole number, not {text!r}. {EXAMPLE}")
    return int(text)


def _amount(name: str, text: str) -> int:
    """Return a number of bytes, such as `10`, `500kB`, `1MiB` or `1.5GiB`."""
    found = AMOUNT.fullmatch(text)
    if found is None or found[2] not in UNITS:
        raise ShapeError(f"{name!r} must be bytes such as 10, 500kB or 1MiB, not {text!r}.")
    amount = round(float(found[1]) * UNITS[found[2]]) if "." in found[1] else int(found[1]) * UNITS[found[2]]
    if amount > LARGEST:
        raise ShapeError(f"{name!r} must be at most {LARGEST} bytes, not {text!r}.")
    return amount
