"""Moving one file: copied beside its destination, checked, then renamed into place."""

from __future__ import annotations

import hashlib
import stat
import threading
import time
from typing import TYPE_CHECKING, NamedTuple

from prefect_globus.emulator.tasks.model import Code

if TYPE_CHECKING:
    from prefect_globus.emulator.collections.storage import Source, Target, Writing
    from prefect_globus.emulator.tasks.model import Options, Policy, Work

CHUNK = 4 * 1024 * 1024
SHORTEST_PAUSE = 0.002  # seconds: what a rate makes wait for less is made up for later
LEVEL_EXISTS, LEVEL_SIZE, LEVEL_TIME, LEVEL_CHECKSUM = range(4)
# External checksums are MD5 unless said otherwise (contract section 3). What Globus records for its own verification
# is not known; we take the same. [inferred]
DEFAULT_ALGORITHM = "MD5"


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
        self._rate = policy.rate
        self._busy_until = 0.0  # by the monotonic clock: when what was moved would have been moved at the rate
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

    @property
    def is_stopping(self) -> bool:
        """Whether the task is to stop."""
        return self._stop.is_set() or time.time() >= self._expires_at

    def stop(self) -> None:
        """Make the task stop at its next chunk."""
        self._stop.set()

    def check(self) -> None:
        """Raise InterruptedMoveError if the task is to stop."""
        if self.is_stopping:
            raise InterruptedMoveError

    def pause(self, seconds: float) -> None:
        """Sleep for real seconds. Raises as `check`, as soon as there is reason to."""
        if seconds > 0:
            self._stop.wait(min(seconds, max(0.0, self._expires_at - time.time())))
        self.check()

    def limit(self, *rates: int) -> None:
        """Hold the lowest of these rates and the policy's, in bytes a second; 0 is no limit."""
        self._rate = min((rate for rate in (self.policy.rate, *rates) if rate), default=0)

    @property
    def has_rate(self) -> bool:
        """Whether there is a rate to be held."""
        return self._rate > 0

    def moved(self, count: int) -> None:
        """Note `count` more bytes of the file that is being moved, and hold the rate. Raises as `check`."""
        self.bytes_in_flight += count
        if self._rate:
            now = time.monotonic()
            self._busy_until = max(self._busy_until, now) + count / self._rate
            if self._busy_until - now >= SHORTEST_PAUSE:
                self.pause(self._busy_until - now)
        self.check()

    @property
    def chunk(self) -> int:
        """How many bytes to move between two checks: a tenth of a second's worth where there is a rate."""
        return min(CHUNK, max(1, self._rate // 10)) if self._rate else CHUNK


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
        self.hash_name = algorithm.replace("-", "").lower()
        self._hash = hashlib.new(self.hash_name, usedforsecurity=False)

    def update(self, data: bytes) -> None:
        """Take in the next bytes."""
        self._hash.update(data)

    def hexdigest(self) -> str:
        """Return the checksum in lower case hexadecimal."""
        return self._hash.hexdigest()


def checksum_of(source: Source, algorithm: str, control: Control) -> str:
    """Return the checksum of a whole source, which is then at its beginning. Raises OSError, and as `Control.check`."""
    digest = Digest(algorithm)
    known = source.known_checksum(digest.hash_name)
    if known is not None:
        return known
    source.rewind()
    while data := source.read(CHUNK):
        digest.update(data)
        control.check()
    source.rewind()
    return digest.hexdigest()


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
        level, there, status = self._options.sync_level, target.there, source.status
        if level is None or there is None or not stat.S_ISREG(there.st_mode):
            return Comparison(differs=True)
        if level == LEVEL_EXISTS:
            return Comparison(differs=False)
        if level == LEVEL_TIME:
            return Comparison(status.st_mtime_ns > there.st_mtime_ns)
        if level == LEVEL_SIZE or status.st_size != there.st_size:
            return Comparison(status.st_size != there.st_size)
        with target.open() as found:
            checksum = checksum_of(found, DEFAULT_ALGORITHM, self._control)
        return Comparison(checksum_of(source, DEFAULT_ALGORITHM, self._control) != checksum, there.st_size)

    def move(self, source: Source, target: Target, work: Work) -> Moved:
        """Move one file.

        Raises:
            MoveError: with a Globus code.
            OSError: as the system says.
            InterruptedMoveError: if the task is to stop; nothing is left behind.
        """
        writing = target.begin(self._part)
        try:
            moved = self._write(source, writing, work)
            writing.finish(source.status.st_mtime_ns if self._options.preserve_timestamp else None)
        except BaseException:
            writing.abandon()
            raise
        return moved

    def _write(self, source: Source, writing: Writing, work: Work) -> Moved:
        if not self._options.verify_checksum and work.external_checksum is None:
            self._copy(source, writing, None)
            return Moved()
        algorithm = work.checksum_algorithm or DEFAULT_ALGORITHM
        digest = Digest(algorithm)
        checksum = source.known_checksum(digest.hash_name)
        self._copy(source, writing, digest if checksum is None else None)
        if checksum is None:
            checksum = digest.hexdigest()
        self._verify(checksum, algorithm, source, writing, work.external_checksum)
        return Moved(checksum, algorithm)

    def _copy(self, source: Source, writing: Writing, digest: Digest | None) -> None:
        """Copy a file to its end, by way of the digest if there is one."""
        size, written = source.status.st_size, 0
        while written <= size:
            wanted = min(self._control.chunk, size - written + 1)  # one more than there is, to see it grow
            if digest is None:
                count = writing.take(source, wanted)
            else:
                data = source.read(wanted)
                digest.update(data)
                writing.write(data)
                count = len(data)
            written += count
            if count:
                self._control.moved(count)
            if count == 0 or (written == size and count < wanted):
                break
        if written != size:
            raise MoveError(Code.FILE_SIZE_CHANGED, f"Expected {size} bytes, found {written}")

    def _verify(
        self, checksum: str, algorithm: str, source: Source, writing: Writing, external_checksum: str | None
    ) -> None:
        """Compare what was written with the source, which is read again if it was written to meanwhile [inferred]."""
        if external_checksum is not None and checksum != external_checksum.lower():
            raise MoveError(Code.EXTERNAL_CHECKSUM_MISMATCH, f"Expected {external_checksum}, found {checksum}")
        if self._options.verify_checksum and (written := writing.reread()) is not None:
            there = checksum_of(written, algorithm, self._control)
            if source.has_changed():
                checksum = checksum_of(source, algorithm, self._control)
            if there != checksum:
                raise MoveError(Code.VERIFY_CHECKSUM, f"Read {checksum}, wrote {there}")
