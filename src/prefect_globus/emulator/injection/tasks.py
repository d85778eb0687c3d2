"""The faults that tasks meet, on the real files."""

from __future__ import annotations

import errno
import os
import stat
import threading
import time
from contextlib import contextmanager
from fnmatch import fnmatchcase
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from prefect_globus.emulator.collections.paths import path_parts
from prefect_globus.emulator.collections.storage import Storage, Target, Writing
from prefect_globus.emulator.injection.matching import collection_id, file_matches
from prefect_globus.emulator.injection.model import (
    AlterFile,
    ExpireTask,
    FailFile,
    FillDisk,
    FlipBit,
    InactivateTask,
    PauseTask,
    TaskEffect,
    TaskFault,
)
from prefect_globus.emulator.tasks.faults import Fault
from prefect_globus.emulator.tasks.interference import Interference, Interferer
from prefect_globus.emulator.tasks.model import Work

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from prefect_globus.emulator.collections.model import CollectionSpec
    from prefect_globus.emulator.collections.paths import Parts
    from prefect_globus.emulator.collections.storage import Source
    from prefect_globus.emulator.injection.model import Fault as InjectableFault
    from prefect_globus.emulator.injection.store import FaultStore
    from prefect_globus.emulator.tasks.engine import Engine
    from prefect_globus.emulator.tasks.model import Task
    from prefect_globus.emulator.tasks.mover import Control

PATIENCE = 5.0  # real seconds within which the engine stops a task
SHORT = 0.01
CHUNK = 4 * 1024 * 1024
GROWTH = b"\nThe file has grown.\n"
INVERTED = bytes(255 - byte for byte in range(256))


class TaskFaults(Interferer):
    """The task faults of a store, for every round of every task.

    Args:
        store: the faults.
        storages: what each collection holds, by UUID.
        collections: the collections, by UUID.
    """

    def __init__(
        self, store: FaultStore, storages: Mapping[str, Storage], collections: Mapping[str, CollectionSpec]
    ) -> None:
        self.store = store
        self.storages = storages
        self.collections = collections

    def of_round(self, engine: Engine, task: Task, control: Control) -> Interference:
        """Return what a round of a task shall meet."""
        return RoundFaults(self, engine, task, control)


class RoundFaults(Interference):
    """The faults that one round meets. Used by its thread only."""

    def __init__(self, faults: TaskFaults, engine: Engine, task: Task, control: Control) -> None:
        self.store = faults.store
        self._faults = faults
        self._engine = engine
        self._task = task
        self._control = control

    @property
    def is_possible(self) -> bool:
        """Whether there are task faults."""
        return self.store.has_task_faults

    def before(self, work: Work, files_moved: int) -> None:
        """Have the task stopped, alter the file before it is opened, or let the path fail. See `Interference`."""
        if not self.store.has_task_faults:
            return
        path = SourcePath(self._faults.storages[self._task.source_endpoint], work)

        def is_due(effect: TaskEffect) -> bool:
            match effect:
                case PauseTask() | InactivateTask() | ExpireTask():
                    return files_moved >= effect.files
                case AlterFile(when="found"):
                    return path.can_be_altered()
            return isinstance(effect, FailFile)

        match self.meet(work, is_due):
            case FailFile() as effect:
                raise Fault(effect.code, effect.message, on_source=effect.side == "source")
            case AlterFile(how=how):
                path.alter(how)
            case PauseTask() | InactivateTask() | ExpireTask() as effect:
                self._stop(effect)

    def target(self, work: Work, source: Source, target: Target) -> Target:
        """Return a target whose file meets what is on its way while it is written."""
        if not self.store.has_task_faults:
            return target
        path = SourcePath(self._faults.storages[self._task.source_endpoint], work)
        return FaultyTarget(target, self, work, path, is_empty=source.status.st_size == 0)

    def meet(self, work: Work, is_due: Callable[[TaskEffect], bool]) -> TaskEffect | None:
        """Count the faults that are for a piece of work and due; return the effect of the one that fires."""
        met = self.store.meet(lambda found: self._is_meant(found.fault, work, is_due))
        return met[0].fault.effect if met and isinstance(met[0].fault, TaskFault) else None

    def fill_disk(self, work: Work, count: int) -> bool:
        """Tell whether so many bytes more are more than a full disk takes."""
        met = self.store.meet(
            lambda found: (
                isinstance(found.fault.effect, FillDisk)
                and found.bytes + count > found.fault.effect.after_bytes
                and self._is_meant(found.fault, work, lambda _: True)
            )
        )
        return bool(met)

    def wrote(self, work: Work, count: int) -> None:
        """Count bytes that are on the disk now."""
        self.store.wrote(
            lambda found: self._is_meant(found.fault, work, lambda effect: isinstance(effect, FillDisk)), count
        )

    def _is_meant(self, fault: InjectableFault, work: Work, is_due: Callable[[TaskEffect], bool]) -> bool:
        task = self._task
        if not isinstance(fault, TaskFault):
            return False
        ends = {task.destination_endpoint} | (set() if isinstance(fault.effect, FillDisk) else {task.source_endpoint})
        return (
            fault.task in (None, task.task_id)
            and (fault.label is None or fnmatchcase(task.label or "", fault.label))
            and (fault.collection is None or collection_id(self._faults.collections, fault.collection) in ends)
            and file_matches(fault.file, filter(None, (work.source_path, work.destination_path)))
            and is_due(fault.effect)
        )

    def _stop(self, effect: PauseTask | InactivateTask | ExpireTask) -> None:
        """Have the engine stop this task, which it does from another thread. Raises InterruptedMoveError."""
        engine, task = self._engine, self._task
        match effect:
            case PauseTask():
                stop = partial(engine.pause, task, effect.message)
            case InactivateTask():
                stop = partial(engine.inactivate, task, details=effect.message)
            case ExpireTask():
                stop = partial(engine.expire, task)
        threading.Thread(target=stop, name="emulator-fault", daemon=True).start()
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            self._control.pause(SHORT)


class SourcePath(NamedTuple):
    """Where a piece of work comes from, as a file on disk that can be altered."""

    storage: Storage
    work: Work

    def can_be_altered(self) -> bool:
        """Tell whether it is a file, on disk, that we may write."""
        try:
            with self._opened(os.O_RDWR | os.O_NONBLOCK) as descriptor:
                return stat.S_ISREG(os.fstat(descriptor).st_mode)
        except OSError:
            return False

    def alter(self, how: str) -> None:
        """Alter it, as `AlterFile` says. Raises OSError if that is not allowed."""
        if how == "vanish":
            parts = self._real_parts()
            with self.storage.directory(parts[:-1]) as directory:
                os.unlink(parts[-1], dir_fd=directory)
            return
        with self._opened(os.O_RDWR) as descriptor:
            size = os.fstat(descriptor).st_size
            match how:
                case "grow":
                    os.pwrite(descriptor, GROWTH, size)
                case "shrink":
                    os.ftruncate(descriptor, size // 2)
                case _:
                    _invert(descriptor, size)

    def _real_parts(self) -> Parts:
        """Return the path without symlinks. Raises OSError if there is no such file on disk."""
        real, top = self.storage.real_path(path_parts(self.work.source_path)), self.storage.real_path(())
        if real is None or top is None or real == top:
            raise FileNotFoundError(errno.ENOENT, "No such file on disk")
        return path_parts(real.removeprefix(top))

    @contextmanager
    def _opened(self, flags: int) -> Iterator[int]:
        parts = self._real_parts()
        with self.storage.directory(parts[:-1]) as directory:
            descriptor = os.open(parts[-1], flags | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
        try:
            yield descriptor
        finally:
            os.close(descriptor)


class FaultyTarget(Target):
    """A target whose file meets faults."""

    __slots__ = ("_faults", "_is_empty", "_path", "_target", "_work")

    def __init__(self, target: Target, faults: RoundFaults, work: Work, path: SourcePath, *, is_empty: bool) -> None:
        super().__init__(target.there)
        self._is_empty = is_empty
        self._target = target
        self._faults = faults
        self._work = work
        self._path = path

    def open(self) -> Source:
        """Open what is there."""
        return self._target.open()

    def begin(self, part: str) -> Writing:
        """Begin to write, once it is known what the file meets."""

        def is_due(effect: TaskEffect) -> bool:
            match effect:
                case FlipBit():
                    return not self._is_empty
                case AlterFile(when=when):
                    return when != "found" and self._path.can_be_altered()
            return False

        effect = self._faults.meet(self._work, is_due)
        if isinstance(effect, AlterFile) and effect.when == "opened":
            self._path.alter(effect.how)
        return FaultyWriting(self._target.begin(part), self._faults, self._work, self._path, effect)


class FaultyWriting(Writing):
    """A file that meets at most one fault while it is written, besides a full disk."""

    __slots__ = ("_effect", "_faults", "_path", "_work", "_writing", "_written")

    def __init__(
        self, writing: Writing, faults: RoundFaults, work: Work, path: SourcePath, effect: TaskEffect | None
    ) -> None:
        self._writing = writing
        self._faults = faults
        self._work = work
        self._path = path
        self._effect = effect
        self._written = 0

    def write(self, data: bytes) -> None:
        """Write more bytes, the first with a bit flipped if that is the fault."""
        if isinstance(self._effect, FlipBit) and data:
            data = bytes([data[0] ^ 1]) + data[1:]
            self._effect = None
        self._writing.write(data)
        self._grown(len(data))

    def take(self, source: Source, count: int) -> int:
        """Write more bytes of a source."""
        if isinstance(self._effect, FlipBit):
            data = source.read(count)
            self.write(data)
            return len(data)
        taken = self._writing.take(source, count)
        self._grown(taken)
        return taken

    def reread(self) -> Source | None:
        """Return what was written, once the source was altered if that is the fault."""
        self._alter("written")
        return self._writing.reread()

    def finish(self, mtime_ns: int | None) -> None:
        """Let the file appear."""
        self._alter("written")
        self._writing.finish(mtime_ns)
        self._faults.wrote(self._work, self._written)

    def abandon(self) -> None:
        """Leave nothing behind."""
        self._writing.abandon()

    def _grown(self, count: int) -> None:
        self._written += count
        if self._faults.fill_disk(self._work, self._written):
            raise OSError(errno.EDQUOT, os.strerror(errno.EDQUOT))
        if count:
            self._alter("moving")

    def _alter(self, when: str) -> None:
        if isinstance(self._effect, AlterFile) and self._effect.when == when:
            how, self._effect = self._effect.how, None
            self._path.alter(how)


def _invert(descriptor: int, size: int) -> None:
    """Write over a file: each byte is inverted."""
    for offset in range(0, size, CHUNK):
        data = os.pread(descriptor, CHUNK, offset)
        os.pwrite(descriptor, data.translate(INVERTED), offset)
