"""The program that copies small files for a task, in a process of its own; `copying.py` talks to it.

The time of a small file is the system's, and what Python does besides would double it: so this program copies, while
the server records. It does only what is plain. Whatever is not, such as a symlink, a large file, or an error of any
kind, it leaves to the server, and says so. It imports little, as it is started for each task that needs it.
"""

from __future__ import annotations

import marshal
import os
import sys

TYPE_CHECKING = False  # typing itself would take longer to import than all the rest
if TYPE_CHECKING:
    from typing import IO, Any

LARGEST = 64 * 1024  # bytes of a file
NOT_PLAIN = -1
LENGTH = 4  # bytes that tell the length of a message
OPEN_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
OPEN_SOURCE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
OPEN_PART = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
REGULAR, FORMAT = 0o100000, 0o170000  # of a mode


class OrphanError(Exception):
    """The server is gone."""


def read_message(stream: IO[bytes]) -> Any:  # noqa: ANN401 -- whatever was written
    """Return the next message, or None at the end."""
    length = int.from_bytes(stream.read(LENGTH), "big")
    data = stream.read(length)
    return marshal.loads(data) if data and len(data) == length else None  # noqa: S302 -- from our own process


def write_message(stream: IO[bytes], message: Any) -> None:  # noqa: ANN401 -- whatever marshal takes
    """Write a message."""
    data = marshal.dumps(message)
    stream.write(len(data).to_bytes(LENGTH, "big") + data)
    stream.flush()


def main() -> None:
    """Answer each group of files with their sizes, until there are no more or the server is gone."""
    server, part = int(sys.argv[1]), sys.argv[2]
    try:
        while (message := read_message(sys.stdin.buffer)) is not None:
            write_message(sys.stdout.buffer, copy_group(server, part, *message))
    except (OrphanError, BrokenPipeError):
        os._exit(0)  # without a last attempt to write


def copy_group(
    server: int, part: str, source: list[str], destination: list[str], names: list[str], look: bool
) -> list[int]:
    """Copy files from one directory to another; return the size of each, or NOT_PLAIN.

    Args:
        server: process id of the server.
        part: a name for what is unfinished.
        source: a folder, and the names from it to the directory, of which none may be a symlink.
        destination: the same of the other directory.
        names: the files.
        look: whether something that is not to be replaced may be there.
    """
    sizes = [NOT_PLAIN] * len(names)
    opened: list[int] = []
    try:
        opened.append(open_directory(source))
        opened.append(open_directory(destination))
        for number, name in enumerate(names):
            if not (look and is_taken(opened[1], name)):
                sizes[number] = copy(server, opened[0], opened[1], name, part)
    except OSError:  # of a directory, which the server will meet as well
        return sizes
    finally:
        for descriptor in opened:
            os.close(descriptor)
    return sizes


def open_directory(names: list[str]) -> int:
    """Open a directory, one name at a time. Raises OSError, also if one is a symlink."""
    if ".." in names:
        raise PermissionError
    descriptor = os.open(names[0], OPEN_DIRECTORY)
    for name in names[1:]:
        try:
            below = os.open(name, OPEN_DIRECTORY, dir_fd=descriptor)
        finally:
            os.close(descriptor)
        descriptor = below
    return descriptor


def is_taken(directory: int, name: str) -> bool:
    """Tell whether there is something that is no regular file. Raises OSError."""
    try:
        return os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode & FORMAT != REGULAR
    except FileNotFoundError:
        return False


def copy(server: int, source: int, destination: int, name: str, part: str) -> int:
    """Copy a file from one open directory to another; return its size, or NOT_PLAIN. Raises OrphanError."""
    try:
        data = read(source, name)
        if data is None:
            return NOT_PLAIN
        descriptor = os.open(part, OPEN_PART, 0o666, dir_fd=destination)
    except OSError:
        return NOT_PLAIN
    try:
        try:
            written = os.write(descriptor, data)
        finally:
            os.close(descriptor)
        if os.getppid() == server and written == len(data):
            os.rename(part, name, src_dir_fd=destination, dst_dir_fd=destination)
            return written
    except OSError:
        pass  # the server will meet it as well, and say so
    remove(destination, part)
    if os.getppid() != server:  # another may have taken over
        raise OrphanError
    return NOT_PLAIN


def remove(directory: int, part: str) -> None:
    """Remove what is unfinished, as far as that is possible."""
    try:
        os.unlink(part, dir_fd=directory)
    except OSError:
        return


def read(directory: int, name: str) -> bytes | None:
    """Return the bytes of a small regular file, or None if it is none. Raises OSError."""
    descriptor = os.open(name, OPEN_SOURCE, dir_fd=directory)
    try:
        status = os.fstat(descriptor)
        if status.st_mode & FORMAT != REGULAR or status.st_size > LARGEST:
            return None
        data = os.read(descriptor, status.st_size + 1)
        return data if len(data) == status.st_size else None
    finally:
        os.close(descriptor)


if __name__ == "__main__":
    main()
