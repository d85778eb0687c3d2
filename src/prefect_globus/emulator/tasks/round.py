"""One round of work on one task: every pending piece is tried once, and what cannot be done now is left pending."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from prefect_globus.emulator.tasks.faults import Fault
from prefect_globus.emulator.tasks.journal import Journal
from prefect_globus.emulator.tasks.model import Event, Outcome, Result, Task, Work
from prefect_globus.emulator.tasks.mover import Control, InterruptedMoveError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prefect_globus.emulator.collections.storage import Visit
    from prefect_globus.emulator.tasks.interference import Interference
    from prefect_globus.emulator.tasks.store import TaskStore

WORK_PER_READ = 2500


@dataclass(frozen=True, slots=True)
class RoundEnd:
    """How a round went: errors to retry, paths skipped, a fatal error, interrupted, or ended by a defect of ours."""

    faults: int = 0
    skipped: int = 0
    fatal: tuple[str, str] | None = None
    interrupted: bool = False
    is_defect: bool = False


class Round(ABC):
    """One round of a task. Runs in a thread of its own; others reach it through its `Control` only.

    Args:
        store: where what is done is recorded.
        task: the task, as it is now.
        control: what stops the round.
        interference: what it meets on demand.
        visits: what is open while the round lasts.
    """

    VERB: ClassVar[str]  # what the round does, in the details of its faults
    KIND: ClassVar[str]  # the same, in the details of its beginning

    def __init__(
        self, store: TaskStore, task: Task, control: Control, interference: Interference, *visits: Visit
    ) -> None:
        self._store = store
        self._task = task
        self._control = control
        self._interference = interference
        self._visits = visits
        self._journal = Journal(store, task, control, control.policy)
        self._put_aside: list[Work] = []  # work that goes on when what was found out about it is on record
        self._files_moved = task.counters["files_transferred"]
        self._faults = 0
        self._skipped = 0

    def run(self) -> RoundEnd:
        """Work through what is pending. Whatever happens, what was done is committed."""
        fatal = None
        interrupted = False
        if not self._task.started:
            self._journal.started(self.KIND)
            self._journal.commit()  # a part can only be left behind by a task that is known to have started
        with ExitStack() as open_visits:
            for visit in self._visits:
                open_visits.enter_context(visit)
            try:
                for work in self._pending():
                    self._control.check()
                    self._try(work)
                    self._journal.commit_if_due()
            except InterruptedMoveError:
                interrupted = True
            except Fault as fault:
                fatal = (fault.code, fault.message)
            finally:
                self._settle()
                self._journal.commit()
        return RoundEnd(self._faults, self._skipped, fatal, interrupted)

    @abstractmethod
    def _do(self, work: Work) -> None:
        """Do one piece of work. Raises Fault, and InterruptedMoveError."""

    @abstractmethod
    def _is_fatal(self, fault: Fault) -> bool:
        """Tell whether a fault ends the task at once."""

    def _pending(self) -> Iterator[Work]:
        after = 0
        while chunk := self._store.pending(self._task.number, after, WORK_PER_READ):
            yield from self._left_of(chunk)
            after = chunk[-1].seq
            self._settle()
            self._journal.commit()  # so that what was found on the way is read next
            put_aside, self._put_aside = self._put_aside, []
            yield from put_aside

    def _left_of(self, chunk: list[Work]) -> list[Work]:
        """Do at once what can be done so; return the work that is left to be tried piece by piece."""
        return chunk

    def _settle(self) -> None:  # noqa: B027 -- most have nothing to wait for
        """Wait for what others do for the round, and note it."""

    def _try(self, work: Work) -> None:
        """Do one piece of work, or note why not. Raises Fault if it is fatal."""
        try:
            self._interference.before(work, self._files_moved)
            self._do(work)
        except Fault as fault:
            for visit in self._visits:  # a directory may have been replaced since we opened it
                visit.forget()
            self._note(work, fault)
            if self._is_fatal(fault):
                raise

    def _note(self, work: Work, fault: Fault) -> None:
        endpoint = self._task.source_endpoint if fault.on_source else self._task.destination_endpoint
        path = work.source_path if fault.on_source else work.destination_path
        details = f"Error ({self.VERB})\nEndpoint: {endpoint}\nFile: {path}\nMessage: {fault.message}\n"
        skipped = fault.is_skippable(self._task.options)
        if skipped:
            self._skipped += 1
            result = Result(work.seq, work.kind, Outcome.SKIPPED, error_code=fault.code, error_details=details)
            self._journal.result(result, subtasks_skipped_errors=1)
        else:
            self._faults += 1
        met = self._skipped if skipped else self._faults
        if self._is_fatal(fault) or met <= self._control.policy.events_per_round:
            self._journal.event(Event(time.time(), fault.code, is_error=True, details=details, backs_off=not skipped))
