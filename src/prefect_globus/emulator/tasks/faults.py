"""What can go wrong with one file, in Globus' codes."""

from __future__ import annotations

import errno

from prefect_globus.emulator.tasks.model import FATAL_CODES, SKIPPABLE_CODES, Code, Options
from prefect_globus.emulator.tasks.mover import MoveError

# ELOOP, EISDIR and ENOTDIR have no code that the contract names: [inferred].
CODES: dict[int | None, str] = {
    errno.ENOENT: Code.FILE_NOT_FOUND,
    errno.EACCES: Code.PERMISSION_DENIED,
    errno.EPERM: Code.PERMISSION_DENIED,
    errno.EROFS: Code.PERMISSION_DENIED,
    errno.ENOSPC: Code.QUOTA_EXCEEDED,
    errno.EDQUOT: Code.QUOTA_EXCEEDED,
    errno.ENAMETOOLONG: Code.INVALID_PATH_NAME,
    errno.ELOOP: Code.INVALID_SYMLINK,
    errno.EISDIR: Code.IS_A_DIRECTORY,
    errno.ENOTDIR: Code.NOT_A_DIRECTORY,
}


class Fault(Exception):  # noqa: N818 -- Globus' own word
    """One path could not be worked on."""

    def __init__(self, code: str, message: str, *, on_source: bool = False) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.on_source = on_source

    def is_skippable(self, options: Options) -> bool:
        """Tell whether the path is skipped (task-behavior.txt 4.1)."""
        return options.skip_source_errors and self.on_source and self.code in SKIPPABLE_CODES

    def is_fatal(self, options: Options) -> bool:
        """Tell whether the task fails at once (task-behavior.txt 4.2)."""
        return self.code in FATAL_CODES or (options.fail_on_quota_errors and self.code == Code.QUOTA_EXCEEDED)


def fault_of(error: OSError | MoveError, *, on_source: bool = False) -> Fault:
    """Return the fault that an error stands for."""
    if isinstance(error, MoveError):
        return Fault(error.code, error.details)
    return Fault(CODES.get(error.errno, Code.UNKNOWN), error.strerror or str(error), on_source=on_source)
