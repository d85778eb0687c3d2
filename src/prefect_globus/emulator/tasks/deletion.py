"""The work of delete tasks. Symlinks are removed and never followed (contract section 3)."""

from __future__ import annotations

import re
from contextlib import suppress
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from prefect_globus.emulator.collections.paths import child_path, path_parts
from prefect_globus.emulator.tasks import faults
from prefect_globus.emulator.tasks.faults import Fault
from prefect_globus.emulator.tasks.model import FATAL_DELETE_CODES, Code, Kind, Outcome, Result, Task, Work
from prefect_globus.emulator.tasks.mover import Control
from prefect_globus.emulator.tasks.removal import count, names_in, remove
from prefect_globus.emulator.tasks.round import Round

if TYPE_CHECKING:
    from prefect_globus.emulator.collections.storage import Storage
    from prefect_globus.emulator.tasks.interference import Interference
    from prefect_globus.emulator.tasks.store import TaskStore

WILDCARDS = re.compile(r"[*?\[\]\\]")
ESCAPED = re.compile(r"\\(.)")
MISSING = (FileNotFoundError, NotADirectoryError)  # the latter for what would lie below a file


class DeletionRound(Round):
    """One round of a delete task.

    What an item holds is counted, and the count is committed, before the first of it is removed. So the counters are
    right however often the process is killed, and no file needs a record of its own.
    """

    VERB = "delete"
    KIND = "Local Delete"

    def __init__(
        self, store: TaskStore, task: Task, storage: Storage, control: Control, interference: Interference
    ) -> None:
        super().__init__(store, task, control, interference)
        self._storage = storage

    def _is_fatal(self, fault: Fault) -> bool:
        return fault.code in FATAL_DELETE_CODES

    def _do(self, work: Work) -> None:
        try:
            if work.kind is Kind.GLOB:
                self._expand(work)
            else:
                self._delete(work)
        except MISSING as error:
            if not (work.is_decided or self._task.options.ignore_missing):
                raise Fault(Code.FILE_NOT_FOUND, "No such file or directory", on_source=True) from error
            self._done(work, work.size if work.is_decided else 1)
        except OSError as error:
            raise faults.fault_of(error, on_source=True) from error

    def _expand(self, work: Work) -> None:
        """Find what the wildcards of an item match (contract section 3, interpret_globs)."""
        *above, pattern = path_parts(work.source_path)
        with self._storage.directory(tuple(above)) as directory:
            names = sorted(name for name in names_in(directory) if is_text(name) and is_match(name, pattern))
        if not names:
            raise FileNotFoundError
        directory_path = work.source_path.rstrip("/").rpartition("/")[0]
        self._journal.found(
            [
                Work(seq, Kind.ITEM, child_path(directory_path, name), "")
                for seq, name in enumerate(names, self._journal.next_seq)
            ]
        )
        self._journal.result(Result(work.seq, Kind.GLOB, Outcome.DONE), subtasks_total=len(names), subtasks_succeeded=1)

    def _delete(self, work: Work) -> None:
        """Count what an item holds, then remove it."""
        parts = path_parts(work.source_path)
        if not parts:
            raise Fault(Code.PERMISSION_DENIED, "The top of a collection cannot be deleted", on_source=True)
        with self._storage.directory(parts[:-1]) as directory:
            subtasks = work.size if work.is_decided else self._count(work, directory, parts[-1])
            with suppress(FileNotFoundError):  # somebody else was faster
                remove(directory, parts[-1], lambda: self._control.pause(self._control.policy.file_delay))
        self._done(work, subtasks)

    def _count(self, work: Work, directory: int, name: str) -> int:
        """Commit what is to be removed of an item; return how many subtasks that is, the item's own among them."""
        found = count(directory, name, self._control.check)
        if found["directories"] and not self._task.options.recursive:
            raise Fault(Code.IS_A_DIRECTORY, "Is a directory, and the deletion is not recursive", on_source=True)
        subtasks = found.total()
        result = Result(work.seq, work.kind, Outcome.DELETING, size=subtasks)
        self._journal.result(result, subtasks_total=subtasks - 1, **found)
        self._journal.commit()
        return subtasks

    def _done(self, work: Work, subtasks: int) -> None:
        self._journal.result(Result(work.seq, work.kind, Outcome.DONE), subtasks_succeeded=subtasks)


def is_match(name: str, pattern: str) -> bool:
    r"""Tell whether a name matches a pattern of `*?[]`, in which a backslash takes a character for itself.

    As in a shell, no wildcard stands for the dot that a name begins with [inferred].
    """
    if name.startswith(".") and not pattern.startswith("."):
        return False
    return fnmatchcase(name, ESCAPED.sub(lambda found: f"[{found[1]}]" if found[1] in "*?[" else found[1], pattern))


def is_text(name: str) -> bool:
    """Tell whether a name is valid UTF-8; JSON and the state can carry no other."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def has_wildcards(path: str) -> bool:
    """Tell whether the last name of a path is a pattern."""
    parts = path_parts(path)
    return bool(parts) and WILDCARDS.search(parts[-1]) is not None
