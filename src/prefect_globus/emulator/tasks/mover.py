"""Moving one file: copied beside its destination, checked, then renamed into place."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import threading
import time
from typing import TYPE_CHECKING, NamedTuple

from prefect_globus.emulator.tasks.model import Code

if TYPE_CHECKING:
    from collections.abc import Callable

    from prefect_globus.emulator.tasks.model import Options, Policy, Work
    from prefect_globus.emulator.collections.folder import Target

CHUNK = 4 * 1024 * 1024
SMALL = 64 * 1024
OPEN_PART = os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
LEVEL_EXISTS, LEVEL_SIZE, LEVEL_TIME, LEVEL_CHECKSUM = range(4)
# External checksums are MD5 unless said otherwise (contract section 3). What Globus records for its own verification
# is not known; we take the same. [inferred]
DEFAULT_ALGORITHM = "MD5"
COPY_RANGE: Callable[[int, int, int], int] | None = getattr(os, "copy_file_range", None)
NO_COPY_RANGE = frozenset({errno.EXDEV, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL, errno.EBADF, errno.EPERM})


class InterruptedMoveError(Exception):
    """The task is to stop now: canceled, expired, or the server goes down."""


class MoveError(Exception):
    """A file could not be moved, for a reason that Globus has a code for."""

    def __init__(self, code: str, details: str) -> None:
        super().__init__(details)
        self.code = code
        self.details = details


class Control:
    """What a task looks at between chunks, and what others see and change of it while it runs."""

    def __init__(self, policy: Policy, expires_at: float, *, deadline_fixed: bool) -> None:
        self.policy = policy
        self.bytes_in_flight = 0
        self._expires_at = expires_at
        self._deadline_fixed = deadline_fixed
        self._deadline_lock = threading.Lock()
        self._stop = threading.Event()

    @property
    def expires_at(self) -> float:
        """When the task ends unfinished, in seconds since the epoch."""
        return self._expires_at

    def extend(self, expires_at: float) -> bool:
        """Push the deadline, unless the user has set one; return whether it was pushed."""
        with self._deadline_lock:
            if not self._deadline_fixed:
                self._expires_at = expires_at
            return not self._deadline_fixed

    def fix_deadline(self, expires_at: float) -> None:
        """Set the deadline for good, as the user said."""
        with self._deadline_lock:
            self._deadline_fixed = True
            self._expires_at = expires_at

    def stop(self) -> None:
        """Make the task stop at its next chunk."""
        self._stop.set()

    def check(self) -> None:
        """Raise InterruptedMoveError if the task is to stop."""
        if self._stop.is_set() or time.time() >= self._expires_at:
            raise InterruptedMoveError

    def pause(self, seconds: float) -> None:
        """Sleep for real seconds. Raises as `check`, as soon as there is reason to."""
        if seconds > 0:
            self._stop.wait(min(seconds, max(0.0, self._expires_at - time.time())))
        self.check()

    def moved(self, count: int) -> None:
        """Note `count` more bytes of the file that is being moved, and hold the rate. Raises as `check`."""
        self.bytes_in_flight += count
        self.pause(count / self.policy.rate if self.policy.rate else 0.0)

    @property
    def chunk(self) -> int:
        """How many bytes to move between two checks: a tenth of a second's worth where there is a rate."""
        return min(CHUNK, max(4096, self.policy.rate // 10)) if self.policy.rate else CHUNK


class Source(NamedTuple):
    """An open regular file, as it was when it was opened."""

    descriptor: int
    status: os.stat_result


class Comparison(NamedTuple):
    """What the sync level found."""

    differs: bool
    bytes_checksummed: int = 0


class Moved(NamedTuple):
    """The checksum that was taken of a moved file, if there was reason to."""

    checksum: str | None = None
    algorithm: str | None = None


class Digest:
    """A checksum that is taken while a file goes by."""

    def __init__(self, algorithm: str) -> None:
        self.algorithm = algorithm
        self._hash = hashlib.new(algorithm.replace("-", "").lower(), usedforsecurity=False)

    def update(self, data: bytes) -> None:
        """Take in the next bytes."""
        self._hash.update(data)

    def hexdigest(self) -> str:
        """Return the checksum in lower case hexadecimal."""
        return self._hash.hexdigest()

    def of_file(self, descriptor: int, control: Control) -> str:
        """Return the checksum of a whole open file. Raises as `Control.check`."""
        os.lseek(descriptor, 0, os.SEEK_SET)
        while data := os.read(descriptor, CHUNK):
            self.update(data)
            control.check()
        os.lseek(descriptor, 0, os.SEEK_SET)
        return self.hexdigest()


def known_algorithm(algorithm: str) -> bool:
    """Tell whether a checksum algorithm can be verified here."""
    try:
        Digest(algorithm).hexdigest()
    except (ValueError, TypeError):  # unknown, or of no fixed length
        return False
    return True


class Mover:
    """Moves the files of one task, one at a time, so that one name for its unfinished file is enough."""

    def __init__(self, options: Options, part: str, control: Control) -> None:
        self._options = options
        self._part = part
        self._control = control

    def compare(self, source: Source, target: Target) -> Comparison:
        """Tell whether a file has to be moved (contract section 3, sync_level). Raises OSError, and as `move`."""
        level, there = self._options.sync_level, target.status
        if level is None or there is None or not stat.S_ISREG(there.st_mode):
            return Comparison(differs=True)
        if level == LEVEL_EXISTS:
            return Comparison(differs=False)
        if level == LEVEL_TIME:
            return Comparison(source.status.st_mtime_ns > there.st_mtime_ns)
        if level == LEVEL_SIZE or source.status.st_size != there.st_size:
            return Comparison(source.status.st_size != there.st_size)
        return Comparison(not _is_same_content(source, target, self._control), there.st_size)

    def move(self, source: Source, target: Target, work: Work) -> Moved:
        """Move one file.

        Raises:
            MoveError: with a Globus code.
            OSError: as the system says.
            InterruptedMoveError: if the task is to stop; nothing is left behind.
        """
        try:
            moved = self._write_part(source, target, work)
            os.rename(self._part, target.name, src_dir_fd=target.directory, dst_dir_fd=target.directory)
        except BaseException:
            remove_part(target.directory, self._part)
            raise
        return moved

    def _write_part(self, source: Source, target: Target, work: Work) -> Moved:
        digest = None
        if self._options.verify_checksum or work.external_checksum is not None:
            digest = Digest(work.checksum_algorithm or DEFAULT_ALGORITHM)
        descriptor = os.open(self._part, OPEN_PART, 0o666, dir_fd=target.directory)
        try:
            written = _copy(source.descriptor, descriptor, source.status.st_size, digest, self._control)
            if written != source.status.st_size:
                raise MoveError(Code.FILE_SIZE_CHANGED, f"Expected {source.status.st_size} bytes, found {written}")
            if digest is not None:
                self._verify(digest, descriptor, work.external_checksum)
            if self._options.preserve_timestamp:
                os.utime(descriptor, ns=(source.status.st_atime_ns, source.status.st_mtime_ns))
        finally:
            os.close(descriptor)
        return Moved(digest.hexdigest(), digest.algorithm) if digest else Moved()

    def _verify(self, digest: Digest, written: int, external_checksum: str | None) -> None:
        checksum = digest.hexdigest()
        if external_checksum is not None and checksum != external_checksum.lower():
            raise MoveError(Code.EXTERNAL_CHECKSUM_MISMATCH, f"Expected {external_checksum}, found {checksum}")
        if self._options.verify_checksum:
            there = Digest(digest.algorithm).of_file(written, self._control)
            if there != checksum:
                raise MoveError(Code.VERIFY_CHECKSUM, f"Read {checksum}, wrote {there}")


def remove_part(directory: int, part: str) -> None:
    """Remove the unfinished file of a task from a directory, if it is there."""
    try:
        os.unlink(part, dir_fd=directory)
    except OSError:
        return


def _is_same_content(source: Source, target: Target, control: Control) -> bool:
    descriptor = os.open(target.name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=target.directory)
    try:
        there = Digest(DEFAULT_ALGORITHM).of_file(descriptor, control)
    finally:
        os.close(descriptor)
    return Digest(DEFAULT_ALGORITHM).of_file(source.descriptor, control) == there


def _copy(source: int, target: int, size: int, digest: Digest | None, control: Control) -> int:
    """Copy a file to its end; return how many bytes that were, which is not `size` if it changed meanwhile."""
    if digest is None and COPY_RANGE is not None and size > SMALL:
        try:
            return _copy_range(COPY_RANGE, source, target, size, control)
        except OSError as error:
            if error.errno not in NO_COPY_RANGE:
                raise
            os.ftruncate(target, 0)
            os.lseek(source, 0, os.SEEK_SET)
            os.lseek(target, 0, os.SEEK_SET)
    written = 0
    while written <= size and (data := os.read(source, min(control.chunk, size - written + 1))):
        if digest:
            digest.update(data)
        _write_all(target, data)
        written += len(data)
        control.moved(len(data))
    return written


def _copy_range(
    copy_range: Callable[[int, int, int], int], source: int, target: int, size: int, control: Control
) -> int:
    written = 0
    while written <= size and (count := copy_range(source, target, min(control.chunk, size - written + 1))):
        written += count
        control.moved(count)
    return written


def _write_all(target: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(target, view) :]
