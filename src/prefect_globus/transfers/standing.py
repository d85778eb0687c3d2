"""How a transfer stands at a moment, in numbers and in words: for logs, for artifacts, and for events."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping
from typing import NamedTuple

from prefect_globus.transfers.ledger import Ledger
from prefect_globus.transfers.model import Transfer
from prefect_globus.transfers.quantities import count, size, span
from prefect_globus.transfers.states import TransferStatus
from prefect_globus.transfers.watching import TaskView

_QUEUED = ("Queued",)
_AT_WORK = ("OK", None)
_WINDOW_SECONDS = 120.0  # of the rate: long enough for Globus' counters, which grow in leaps


class Speed(NamedTuple):
    """How fast a transfer is, and how long it will take at that; None where nothing is known yet."""

    bytes_per_second: float | None = None
    seconds_left: float | None = None


class Standing(NamedTuple):
    """How a transfer stands.

    Args:
        transfer: as last written.
        ledger: what is on record.
        settled: the sizes of what needs no more work, in bytes.
        views: the running Globus tasks, by the numbers of their batches.
        waits: for what batches wait, and how many of them.
        speed: how fast it is.
        others: how many unfinished tasks the login has besides; None where nobody has asked.
        wholes: the batches that are a directory transferred as a whole: one item each, whatever moves in it.
    """

    transfer: Transfer
    ledger: Ledger
    settled: int = 0
    views: Mapping[int, TaskView] = {}
    waits: Mapping[str, int] = {}
    speed: Speed = Speed()
    others: int | None = None
    wholes: frozenset[int] = frozenset()

    @property
    def is_queued(self) -> bool:
        """Whether all that runs waits in Globus' queue."""
        return bool(self.views) and all(view.nice_status in _QUEUED for view in self.views.values())

    @property
    def files_done(self) -> int:
        """Items that need no more work, with what is under way; what has failed is not among them."""
        done = self.ledger.accounted - self.ledger.dead + sum(view.files_transferred for view in self._counted)
        return min(done, self.ledger.items - self.ledger.dead)

    @property
    def bytes_done(self) -> int:
        """The same in bytes."""
        return min(self.settled + self._bytes_moving, self.ledger.bytes_total)

    @property
    def bytes_moved(self) -> int:
        """What this transfer itself has moved, in bytes."""
        return min(self.ledger.bytes_transferred + self._bytes_moving, self.ledger.bytes_total)

    @property
    def _bytes_moving(self) -> int:
        return sum(view.bytes_transferred for view in self._counted)

    @property
    def _counted(self) -> list[TaskView]:
        return [view for number, view in self.views.items() if number not in self.wholes]

    @property
    def fraction(self) -> float:
        """How much is done of what is known, from 0 to 1: of the files or of the bytes, whichever is behind.

        It is 1 only for a transfer that is COMPLETED. While the scan goes on, it may go back.
        """
        if self.transfer.status is TransferStatus.COMPLETED:
            return 1.0
        pairs = ((self.files_done, self.ledger.items), (self.bytes_done, self.ledger.bytes_total))
        return min(_ALMOST, *(done / total for done, total in pairs if total), 1.0 if self.ledger.items else 0.0)

    @property
    def percent(self) -> int:
        """The same, from 0 to 100."""
        return int(self.fraction * 100)

    @property
    def signs_of_life(self) -> tuple[int, ...]:
        """What grows while anything moves; it may fall when a Globus task is tried again."""
        moving = (view.progress for view in self.views.values())
        deleted = sum(each.deleted for each in self.transfer.removals)
        found = self.ledger.items, self.ledger.accounted, int(self.transfer.scan_complete)
        return (*found, self.files_done, self.bytes_moved, deleted, sum(map(sum, moving)))

    # --- in words

    @property
    def headline(self) -> str:
        """All in one line."""
        parts = [f"{self.files}, {self.data}"]
        if not self.transfer.scan_complete:
            parts.append("the scan goes on")
        parts += [*self.pace, *self.exceptions]
        about = [*self.work, *([self.waiting_for] if self.waiting_for else [])]
        return "; ".join([", ".join(parts), *about])

    @property
    def files(self) -> str:
        """``4,742 of 12,480 files (38 %)``."""
        return f"{self.files_done:,} of {count(self.ledger.items, 'file')} ({self.percent} %)"

    @property
    def data(self) -> str:
        """``1.2 TiB of 3.1 TiB``."""
        return f"{size(self.bytes_done)} of {size(self.ledger.bytes_total)}"

    @property
    def pace(self) -> list[str]:
        """``450.0 MiB/s``, ``about 2 h left``; as far as it is known."""
        if self.transfer.status not in _MOVING:
            return []
        rate, left = self.speed
        words = [] if rate is None else [f"{size(rate)}/s"]
        return words if left is None or not self.transfer.scan_complete else [*words, f"about {span(left)} left"]

    @property
    def exceptions(self) -> list[str]:
        """``3 skipped``, ``2 failed``; nothing if there is none."""
        counts = {"unchanged": self.ledger.unchanged, "skipped": self.ledger.skipped, "failed": self.ledger.dead}
        return [f"{number:,} {what}" for what, number in counts.items() if number]

    @property
    def work(self) -> list[str]:
        """``3 Globus tasks at work``, ``3 queued``; nothing if there is none."""
        statuses = Counter(view.nice_status for view in self.views.values())
        at_work = sum(statuses.pop(each, 0) for each in _AT_WORK)
        queued = sum(statuses.pop(each, 0) for each in _QUEUED)
        words = [f"{count(at_work, 'Globus task')} at work"] if at_work else []
        others = f", with {self.others:,} others of this login" if self.others else ""
        words += [f"{count(queued, 'Globus task')} queued at Globus{others}"] if queued else []
        words += [f"{count(number, 'Globus task')}: {code}" for code, number in sorted(statuses.items(), key=str)]
        return words

    @property
    def waiting_for(self) -> str | None:
        """What keeps it from getting on, if that is known; a person first."""
        if self.transfer.status is TransferStatus.PAUSED:
            return f"paused: {self.transfer.error}"
        waits = [f"{count(number, 'batch')} {_verb(number)} for {what}" for what, number in self.waits.items()]
        return ", ".join(waits) or None


_ALMOST = 0.999
_MOVING = (TransferStatus.SCANNING, TransferStatus.TRANSFERRING)


def _verb(number: int) -> str:
    return "waits" if number == 1 else "wait"


class Speedometer:
    """Tells how fast a transfer is, from what it looks like from time to time. Times are seconds of a steady clock."""

    def __init__(self) -> None:
        self._past: deque[tuple[float, float, int]] = deque()

    def read(self, standing: Standing, at: float) -> Speed:
        """How fast it is now, over the last two minutes or since it began."""
        if standing.transfer.status not in _MOVING:
            self._past.clear()  # what stands still on purpose is not slow
            return Speed()
        self._past.append((at, standing.fraction, standing.bytes_moved))
        while len(self._past) > 2 and at - self._past[1][0] > _WINDOW_SECONDS:  # noqa: PLR2004 - the first and this one
            self._past.popleft()
        then, fraction, moved = self._past[0]
        seconds = at - then
        if seconds <= 0:
            return Speed()
        rate = max(0, standing.bytes_moved - moved) / seconds
        gained = standing.fraction - fraction
        return Speed(rate, (1 - standing.fraction) * seconds / gained if gained > 0 else None)


class Milestones:
    """Tells when a quarter, a half and three quarters are done, once it is known how much there is."""

    MARKS = (25, 50, 75)

    def __init__(self) -> None:
        self._passed: int | None = None

    def passed(self, standing: Standing) -> int | None:
        """The highest that was passed since the last look, in percent; what was passed before the first look is old."""
        reached = max((mark for mark in self.MARKS if standing.percent >= mark), default=0)
        if self._passed is None:
            self._passed = reached if standing.transfer.scan_complete else 0
        if not standing.transfer.scan_complete or reached <= self._passed:
            return None
        self._passed = reached
        return reached


class Stillness:
    """Tells when a transfer has stood still for too long, once for each time that it does.

    Args:
        seconds: how long that is.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._since: float | None = None
        self._most: tuple[int, ...] = ()
        self._told = False

    def lasts(self, standing: Standing, at: float) -> float | None:
        """For how many seconds it has stood still, when that is too long and was not told; one that is paused rests."""
        signs = standing.signs_of_life
        most = tuple(map(max, signs, self._most)) if self._most else signs
        if self._since is None or most != self._most or standing.transfer.status not in _MOVING:
            self._since, self._most, self._told = at, most, False
        still = at - self._since
        if self._told or still < self._seconds:
            return None
        self._told = True
        return still
