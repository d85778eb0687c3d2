"""Watching a Globus task: when to wait on, when a person is needed, and when to end it before its deadline does."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import Enum, auto
from typing import NamedTuple
from uuid import UUID

from prefect_globus.transfers.faults import SKIPPABLE_CODES, Fault, FaultClass, classify, ends_an_item
from prefect_globus.transfers.options import TransferOptions
from prefect_globus.transfers.records import Record

STALLED = "STALLED"  # ours: no progress, and no fault that would explain it
_OK, _QUEUED = "OK", "Queued"
_AT_ONCE = timedelta(seconds=5)  # after its submission a task that is at work has not waited in the queue


class TaskView(Record):
    """What we read of a task document (contract, section 4)."""

    task_id: UUID
    status: str
    label: str | None = None
    nice_status: str | None = None
    is_paused: bool = False
    fatal_code: str | None = None
    files_transferred: int = 0
    files_skipped: int = 0
    skipped_errors: int = 0
    bytes_transferred: int = 0
    bytes_checksummed: int = 0
    faults: int = 0
    deleted: int = 0

    @property
    def ended(self) -> bool:
        """Whether it will never do anything again. An INACTIVE task waits for a person, and may go on."""
        return self.status in ("SUCCEEDED", "FAILED")

    @property
    def progress(self) -> tuple[int, ...]:
        """What grows while it gets on with its work."""
        files = (self.files_transferred, self.files_skipped, self.skipped_errors, self.deleted)
        return (*files, self.bytes_transferred, self.bytes_checksummed)


class Beginning:
    """Finds out when a task has left Globus' queue.

    Args:
        submitted_at: when it was submitted.
    """

    def __init__(self, submitted_at: datetime | None) -> None:
        self._submitted_at = submitted_at
        self._queued = False
        self.at: datetime | None = None  # as near as it was looked at; None as long as that is not known

    def see(self, view: TaskView, at: datetime) -> None:
        """Take in what the task looks like ``at`` this time."""
        if self.at is not None or self._submitted_at is None:
            return
        if view.nice_status == _QUEUED:
            self._queued = True
        elif self._queued:
            self.at = at
        elif at - self._submitted_at < _AT_ONCE:  # else nobody has looked while it may have waited
            self.at = self._submitted_at


class Action(Enum):
    """What to do about a task."""

    GO_ON = auto()
    WAIT_FOR_PERSON = auto()
    END = auto()


class Verdict(NamedTuple):
    """What to do about a task, and the code of the reason."""

    action: Action
    code: str = ""


class Watch:
    """Judges one task by what it looks like from time to time. Times are seconds of any steady clock."""

    def __init__(self, options: TransferOptions, at: float) -> None:
        """Args: ``at``: when the watch begins."""
        self._options = options
        self._progress: tuple[int, ...] = ()
        self._since = at  # the last progress, or the last reason to have none
        self._faults = 0
        self._faulty_since: float | None = None
        self.codes: Mapping[str, int] = {}

    def wants_codes(self, view: TaskView) -> bool:
        """Whether the events of the task are to be read for the next `judge`."""
        return view.faults > self._faults

    def judge(self, view: TaskView, at: float, codes: Mapping[str, int] | None = None) -> Verdict:
        """What to do about the task, as it looks now.

        Args:
            view: the task.
            at: when it looked so.
            codes: its error events by code, if they were read.
        """
        stands = view.progress == self._progress
        self._progress = view.progress
        if codes is not None:
            self.codes, self._faults = codes, view.faults
            self._faulty_since = self._faulty_since or at
        if reason := _needs_person(view, stands=stands):
            self._since = at
            return Verdict(Action.WAIT_FOR_PERSON, reason)
        if not stands or view.nice_status == _QUEUED:
            self._since = at
            return Verdict(Action.GO_ON)
        idle = at - self._since
        faulty = 0.0 if self._faulty_since is None else at - max(self._since, self._faulty_since)
        if (code := _unmendable(self.codes, view.skipped_errors)) and faulty >= self._options.fault_grace:
            return Verdict(Action.END, code)
        if view.faults and faulty >= self._options.patience:
            return Verdict(Action.END, _passing(view.nice_status))
        return Verdict(Action.END, STALLED) if idle >= self._options.stall_seconds else Verdict(Action.GO_ON)


def _needs_person(view: TaskView, *, stands: bool) -> str | None:
    """The code of what only a person can mend, if it is that."""
    code = view.nice_status or ""
    if view.status == "INACTIVE" or view.is_paused:
        return code or view.status
    # the latest error is shown for a while after it was mended, so it only counts while nothing moves
    return code if stands and classify(Fault(code=code)) is FaultClass.NEEDS_PERSON else None


def _passing(nice_status: str | None) -> str:
    """The code of the fault that a task has been trying to get around, as long as no file is to blame for it."""
    code = nice_status or ""
    return STALLED if code in ("", "OK", _QUEUED) or ends_an_item(code) else code


def _unmendable(codes: Mapping[str, int], skipped: int) -> str | None:
    """The code of a fault that a path will meet for ever, unless all such are of paths that the task has skipped."""
    found = {code: times for code, times in codes.items() if ends_an_item(code)}
    if certain := sorted(code for code in found if code not in SKIPPABLE_CODES):
        return certain[0]
    return min(found) if sum(found.values()) > skipped else None
