"""The work of transfers: items are looked at, directories walked, files moved (contract section 3)."""

from __future__ import annotations

import stat
from contextlib import suppress
from typing import TYPE_CHECKING

from prefect_globus.emulator.collections.model import part_names
from prefect_globus.emulator.collections.paths import FORBIDDEN, child_path, path_parts
from prefect_globus.emulator.tasks import faults
from prefect_globus.emulator.tasks.bundles import MovedBundle
from prefect_globus.emulator.tasks.faults import Fault
from prefect_globus.emulator.tasks.model import Code, Kind, MovedFile, Outcome, Result, Task, Work
from prefect_globus.emulator.tasks.mover import DEFAULT_ALGORITHM, Control, MoveError, Mover
from prefect_globus.emulator.tasks.removal import remove
from prefect_globus.emulator.tasks.round import Round, RoundEnd
from prefect_globus.emulator.tasks.small_files import SmallFiles

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prefect_globus.emulator.collections.passing import Passing
    from prefect_globus.emulator.collections.storage import Child, Source, Storage, Target
    from prefect_globus.emulator.tasks.interference import Interference
    from prefect_globus.emulator.tasks.store import TaskStore

FEWEST_AT_ONCE = 100  # files for which it pays to have others copy them
KINDS = {"file": Kind.FILE, "dir": Kind.DIRECTORY}


class TransferRound(Round):
    """One round of a transfer."""

    VERB = "transfer"
    KIND = "Local Transfer"

    def __init__(
        self,
        store: TaskStore,
        task: Task,
        source: Storage,
        destination: Storage,
        control: Control,
        interference: Interference,
    ) -> None:
        self._from = source
        self._to = destination
        self._source = source.visit()
        self._destination = destination.visit()
        super().__init__(store, task, control, interference, self._source, self._destination)
        self._part, *parts = part_names(task.task_id)
        self._mover = Mover(task.options, self._part, control)
        self._files_found = 0
        self._small_files = SmallFiles(source, destination, self._destination, parts, control, self._copied)
        self._passing = source.passing_to(destination)
        self._algorithm = DEFAULT_ALGORITHM if task.options.verify_checksum else None  # of what passes
        self._replaces = task.options.sync_level is None
        control.limit(source.rate, destination.rate)

    def run(self) -> RoundEnd:
        """Work through what is pending. Whatever happens, what was done is committed."""
        with self._small_files:
            return super().run()

    def _pending(self) -> Iterator[Work]:
        if self._passing is not None:
            self._let_bundles_pass(self._passing)
        yield from super()._pending()

    def _let_bundles_pass(self, passing: Passing) -> None:
        """Move bundles of which every item is a plain file that goes from one shape to another; leave the others."""
        after = 0
        while self._is_undisturbed() and (bundle := self._store.next_bundle(self._task.number, after)):
            self._control.check()
            files = []
            for source, destination, _ in bundle.items:
                passed = passing.passed(source, destination, self._algorithm, replaces=self._replaces)
                if passed is None:
                    break
                files.append(passed)
            else:
                self._files_moved += len(files)
                self._journal.moved_bundle(MovedBundle(bundle.first, self._algorithm, files))
                self._journal.commit()
            after = bundle.last

    def _left_of(self, chunk: list[Work]) -> list[Work]:
        """Let files pass, or have small ones that need no more than to be copied copied, at once; return the rest."""
        if self._passing is not None:
            return self._let_pass(chunk, self._passing) if self._is_undisturbed() else chunk
        left = [work for work in chunk if work.kind is not Kind.FILE or self._small_files.is_left(work)]
        if len(left) == len(chunk) or not self._may_copy_at_once(len(chunk) - len(left)):
            return chunk
        taken = {work.seq for work in left}
        self._small_files.offer([work for work in chunk if work.seq not in taken])
        self._settle()
        return [work for work in chunk if work.seq in taken or self._small_files.is_left(work)]

    def _let_pass(self, chunk: list[Work], passing: Passing) -> list[Work]:
        """Move plain files from one shape to another by a look at each; return the other work."""
        self._control.check()  # nobody else does if all of them pass
        algorithm, replaces = self._algorithm, self._replaces
        left, moved, items = [], [], 0
        for work in chunk:
            passed = None
            if _is_plain(work):
                passed = passing.passed(work.source_path, work.destination_path, algorithm, replaces=replaces)
            if passed is None:
                left.append(work)
                continue
            moved.append(MovedFile(work.seq, *passed, algorithm))
            items += work.kind is Kind.ITEM
        self._files_moved += len(moved)
        self._journal.examined(items)
        self._journal.moved(moved)
        return left

    def _settle(self) -> None:
        """Wait for the files that are being copied, and note them."""
        self._small_files.settle()

    def _copied(self, files: list[MovedFile]) -> None:
        self._files_moved += len(files)
        self._journal.moved(files)
        self._journal.commit_if_due()

    def _may_copy_at_once(self, files: int) -> bool:
        """Tell whether files need no more than to be copied, and are so many that it pays to have it done."""
        options = self._task.options
        has_wish = options.sync_level is not None or options.verify_checksum or options.preserve_timestamp
        if has_wish or not self._is_undisturbed():
            return False
        if files >= FEWEST_AT_ONCE:
            self._small_files.start()
        return self._small_files.is_started

    def _is_undisturbed(self) -> bool:
        """Tell whether nothing asks for files to be moved one by one."""
        control = self._control
        return not (control.has_rate or control.policy.file_delay or self._interference.is_possible)

    def _is_fatal(self, fault: Fault) -> bool:
        return fault.is_fatal(self._task.options) and not fault.is_skippable(self._task.options)

    def _do(self, work: Work) -> None:
        match work.kind:
            case Kind.SYMLINK:
                self._keep_symlink(work)
            case Kind.DIRECTORY:
                self._walk(work)
            case Kind.EXTRA:
                self._delete_extra(work)
            case _:
                self._item(work)

    def _item(self, work: Work) -> None:
        """Look at a submitted item, or at a file that was found: what it is says what to do."""
        try:
            source = self._source.open(path_parts(work.source_path))
        except OSError as error:
            raise faults.fault_of(error, on_source=True) from error
        try:
            if not stat.S_ISDIR(source.status.st_mode):
                _require(work.recursive is not True, Code.NOT_A_DIRECTORY, "Not a directory")
                _require(stat.S_ISREG(source.status.st_mode), Code.UNKNOWN, "Not a regular file")
                self._file(work, source)
                return
        finally:
            source.close()
        _require(work.kind is Kind.ITEM and work.recursive is not False, Code.IS_A_DIRECTORY, "Is a directory")
        self._walk(work)

    def _file(self, work: Work, source: Source) -> None:
        if work.kind is Kind.ITEM:
            self._journal.result(Result(work.seq, Kind.FILE, Outcome.PENDING))
            self._journal.examined(1)
        if self._control.policy.file_delay and not work.is_decided:
            self._control.pause(self._control.policy.file_delay)
        try:
            look = self._task.options.sync_level is not None
            target = self._destination.target(path_parts(work.destination_path), look=look)
            if not self._is_to_move_now(work, source, target):
                return
            moved = self._mover.move(source, self._interference.target(work, source, target), work)
        except (OSError, MoveError) as error:
            raise faults.fault_of(error) from error
        self._files_moved += 1
        self._journal.moved([MovedFile(work.seq, source.status.st_size, *moved)])

    def _is_to_move_now(self, work: Work, source: Source, target: Target) -> bool:
        """Ask the sync level, once: its decision is committed, with that of other files, before it is acted upon."""
        if work.is_decided or self._task.options.sync_level is None:
            return True
        found = self._mover.compare(source, target)
        if found.differs:
            self._journal.result(Result(work.seq, Kind.FILE, Outcome.MOVING), bytes_checksummed=found.bytes_checksummed)
            self._put_aside.append(work._replace(kind=Kind.FILE, is_decided=True))
        else:
            self._journal.result(
                Result(work.seq, Kind.FILE, Outcome.UNCHANGED),
                files_skipped=1,
                subtasks_succeeded=1,
                bytes_checksummed=found.bytes_checksummed,
            )
        return False

    def _walk(self, work: Work) -> None:
        """Make a directory at the destination and find the work that is in it."""
        parts = path_parts(work.source_path)
        self._refuse_walking_into_itself(work)
        try:
            if self._task.options.recursive_symlinks == "copy" and self._from.is_loop(parts):
                raise Fault(Code.INVALID_SYMLINK, "Symlink leads back to a directory above", on_source=True)
            children = sorted(self._from.children(parts))
            kinds = [self._kind(work, child) for child in children]
        except OSError as error:
            raise faults.fault_of(error, on_source=True) from error
        try:
            self._destination.make_directories(path_parts(work.destination_path))
        except OSError as error:
            raise faults.fault_of(error) from error
        chosen = [
            (child.name, kind)
            for child, kind in zip(children, kinds, strict=True)
            if kind is not None and self._is_wanted(child.name, kind)
        ]
        if self._task.options.delete_destination_extra:
            chosen += self._extras(work, {child.name for child in children})
        found = self._below(work, chosen)
        self._journal.found(found)
        files = [one for one in found if one.kind is Kind.FILE]
        self._files_found += len(files)
        self._journal.result(
            Result(work.seq, Kind.DIRECTORY, Outcome.DONE),
            directories=1,
            files=len(files),
            subtasks_total=len(found),
            subtasks_succeeded=1,
        )
        if files and self._may_copy_at_once(self._files_found):
            self._small_files.offer(files)

    def _below(self, work: Work, chosen: list[tuple[str, Kind]]) -> list[Work]:
        """Return the work that names in a directory are. Raises Fault for a name that cannot be."""
        for name, kind in chosen:
            if kind is not Kind.EXTRA and FORBIDDEN.search(name):
                raise Fault(Code.INVALID_PATH_NAME, f"Invalid path name {name!r}", on_source=True)
        source, destination = child_path(work.source_path, ""), child_path(work.destination_path, "")
        return [
            Work(seq, kind, source + name, destination + name)
            for seq, (name, kind) in enumerate(chosen, self._journal.next_seq)
        ]

    def _extras(self, work: Work, here: set[str]) -> list[tuple[str, Kind]]:
        """Find what is in the directory at the destination only. Filter rules keep what they exclude [inferred]."""
        try:
            there = self._to.children(path_parts(work.destination_path))
        except FileNotFoundError:  # a destination that keeps nothing
            return []
        except OSError as error:
            raise faults.fault_of(error) from error
        return [
            (child.name, Kind.EXTRA)
            for child in sorted(there)
            if child.name not in here and self._is_wanted(child.name, KINDS.get(child.type, Kind.FILE))
        ]

    def _delete_extra(self, work: Work) -> None:
        *above, name = path_parts(work.destination_path)
        try:
            with suppress(FileNotFoundError), self._to.directory(tuple(above)) as directory:
                remove(directory, name, self._control.check)
        except OSError as error:
            raise faults.fault_of(error) from error
        self._journal.result(Result(work.seq, Kind.EXTRA, Outcome.DONE), subtasks_succeeded=1)

    def _kind(self, work: Work, child: Child) -> Kind | None:
        """Return the kind of work that a name in a directory is, or None for what nobody moves. Raises OSError."""
        if child.type == "symlink":
            how = self._task.options.recursive_symlinks
            if how != "copy":
                return Kind.SYMLINK if how == "keep" else None
            behind = self._from.stat((*path_parts(work.source_path), child.name))
            return Kind.DIRECTORY if behind.type == "dir" else Kind.FILE
        return KINDS.get(child.type)

    def _is_wanted(self, name: str, kind: Kind) -> bool:
        return self._task.options.includes(name, is_directory=kind is Kind.DIRECTORY)

    def _refuse_walking_into_itself(self, work: Work) -> None:
        """Refuse a destination inside its own source, which would have no end."""
        if work.kind is not Kind.ITEM:
            return
        try:
            source = self._from.real_path(path_parts(work.source_path))
            destination = self._to.real_path(path_parts(work.destination_path))
        except OSError as error:
            raise faults.fault_of(error) from error
        if source and destination and destination.startswith(f"{source.rstrip('/')}/"):
            raise Fault(Code.INVALID_PATH_NAME, "The destination is inside the source")

    def _keep_symlink(self, work: Work) -> None:
        """Make a symlink of the same text at the destination. It is not followed, so it need not lead anywhere."""
        try:
            text = self._source.read_link(path_parts(work.source_path))
        except OSError as error:
            raise faults.fault_of(error, on_source=True) from error
        try:
            self._destination.make_link(path_parts(work.destination_path), text, self._part)
        except OSError as error:
            raise faults.fault_of(error) from error
        self._journal.result(Result(work.seq, Kind.SYMLINK, Outcome.DONE), symlinks=1, subtasks_succeeded=1)


def _is_plain(work: Work) -> bool:
    """Tell whether work may be a file of which nothing is wanted but that it be moved."""
    is_file = work.kind is Kind.FILE or (work.kind is Kind.ITEM and not work.recursive)
    return is_file and work.external_checksum is None and work.checksum_algorithm is None


def _require(condition: bool, code: str, message: str) -> None:
    if not condition:
        raise Fault(code, message, on_source=True)
