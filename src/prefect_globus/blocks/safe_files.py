"""Files that are written whole or not at all, show when they were damaged, and are locked between processes."""

from __future__ import annotations

import fcntl
import os
import tempfile
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from prefect_globus.transfers.errors import CorruptCheckpointError, StoreSchemaTooNewError

_LOCK_SECONDS = 10.0
_LOOK_SECONDS = 0.01
_FORMAT = 1
_MAGIC = b"prefect-globus"


def write_file(path: Path, content: bytes) -> None:
    """Put ``content`` into ``path`` so that it survives the loss of power; its name always leads to a whole file."""
    header = b"%s %d %08x\n" % (_MAGIC, _FORMAT, zlib.crc32(content))
    descriptor, name = tempfile.mkstemp(prefix=".tmp-", dir=path.parent)  # made with mode 0600
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(header + content)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def read_file(path: Path, store: str) -> bytes:
    """What `write_file` put into ``path``.

    Raises:
        FileNotFoundError: there is no such file.
        StoreSchemaTooNewError: it is of a later format.
        CorruptCheckpointError: it is truncated or altered.
    """
    header, _, content = path.read_bytes().partition(b"\n")
    magic, _, rest = header.partition(b" ")
    version, _, checksum = rest.partition(b" ")
    if magic == _MAGIC and version.isdigit() and int(version) > _FORMAT:
        raise StoreSchemaTooNewError(store=store, found=int(version), known=_FORMAT)
    if header != b"%s %d %08x" % (_MAGIC, _FORMAT, zlib.crc32(content)):
        raise CorruptCheckpointError(store=store, reason=f"{path} is truncated or was altered ({checksum!r})")
    return content


def make_folder(path: Path) -> None:
    """Make a folder that only its owner can enter, unless there is one."""
    if not path.is_dir():
        path.mkdir(mode=0o700, exist_ok=True)
        sync_folder(path.parent)


def sync_folder(path: Path) -> None:
    """Make new, renamed and removed names in ``path`` permanent."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def locked(path: Path, seconds: float = _LOCK_SECONDS) -> Iterator[None]:
    """Hold the lock file ``path``, against other threads and processes; the system lets go of it when one dies.

    Args:
        path: the file, which is made if need be.
        seconds: how long to wait for it.

    Raises:
        FileNotFoundError: its folder does not exist, or was removed while waiting.
        TimeoutError: somebody holds it for very long, as a process does that is suspended.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        _lock(descriptor, path, seconds)
        # the folder may have been deleted, and even made anew, while this waited
        if not os.path.samestat(os.fstat(descriptor), path.stat()):
            raise FileNotFoundError(path)
        yield
    finally:
        os.close(descriptor)


def _lock(descriptor: int, path: Path, seconds: float) -> None:
    give_up = time.monotonic() + seconds
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > give_up:
                message = f"{path} has been locked by another process for {seconds:.0f} s"
                raise TimeoutError(message) from None
            time.sleep(_LOOK_SECONDS)
        else:
            return
