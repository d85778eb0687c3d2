"""What is to be done at a tick of a schedule: a decision, made from what is on record and from nothing else.

Nothing is kept of a schedule but the transfers that were its runs (`Transfer.scheduled`). A run is begun by putting its
transfer on record; whoever reads the record afterwards, in whatever process, decides with it in mind.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Literal

from prefect_globus.transfers.model import PausedBy, Transfer
from prefect_globus.transfers.records import Record
from prefect_globus.transfers.schedules import TransferSchedule, latest_start
from prefect_globus.transfers.states import FINAL_TRANSFER_STATUSES, TransferStatus

Overlap = Literal["skip", "queue", "cancel"]
CatchUp = Literal["skip", "latest", "all"]


class Standing(StrEnum):
    """How a run of a schedule stands."""

    UNDER_WAY = "UNDER_WAY"  # a living process drives it
    PAUSED = "PAUSED"  # by somebody, who will resume or cancel it
    CUT_OFF = "CUT_OFF"  # not over, and nobody drives it: its process is gone, or has not begun yet
    OVER = "OVER"  # COMPLETED, CANCELED or FAILED

    @property
    def in_the_way(self) -> bool:
        """Whether another run would overlap with it."""
        return self in (Standing.UNDER_WAY, Standing.PAUSED)


class Run(Record):
    """A transfer on record that is, or was, a run of a schedule.

    Args:
        transfer: as last written.
        standing: how it stands.
    """

    transfer: Transfer
    standing: Standing

    @classmethod
    def of(cls, transfer: Transfer, *, driven: bool) -> Run:
        """The run that is ``transfer``, which a living process drives or does not."""
        return cls(transfer=transfer, standing=_standing(transfer, driven))

    @property
    def number(self) -> int:
        """Which run of its schedule it is; 0 for a transfer that was begun apart from any."""
        return self.transfer.scheduled.run if self.transfer.scheduled is not None else 0

    def __str__(self) -> str:
        scheduled = self.transfer.scheduled
        if scheduled is None:
            return f"transfer {self.transfer.id}"
        return f"run {scheduled.run} ({self.transfer.id}, due {_written(scheduled.tick)})"


def _standing(transfer: Transfer, driven: bool) -> Standing:
    if transfer.status in FINAL_TRANSFER_STATUSES:
        return Standing.OVER
    if driven:
        return Standing.UNDER_WAY
    if transfer.status is TransferStatus.FAILED:
        return Standing.OVER
    return Standing.PAUSED if transfer.waits_for_somebody else Standing.CUT_OFF


class Tick(Record):
    """A moment at which a schedule is due, as it is looked at.

    Args:
        at: the moment.
        now: when it is looked at.
        automatic: whether it is the schedule's own; what somebody has asked for is never late.
        following: the schedule's next tick, in so far as it will be looked at; None if there is none.
    """

    at: datetime
    now: datetime
    automatic: bool = True
    following: datetime | None = None

    def missed(self, interval: timedelta | None) -> bool:
        """Whether it comes too late to count as on time; see `latest_start`."""
        if not self.automatic:
            return False
        if interval is None and self.following is not None:
            interval = self.following - self.at
        return self.superseded or self.now > latest_start(self.at, interval)

    @property
    def superseded(self) -> bool:
        """Whether the next tick is due already."""
        return self.automatic and self.following is not None and self.following <= self.now


class Action(StrEnum):
    """What is to be done at a tick."""

    RUN = "RUN"  # put a new run on record, and run it when no other is in its way
    RESUME = "RESUME"  # take up the transfer on record for it
    SKIP = "SKIP"  # nothing; it is no run
    ALREADY_DONE = "ALREADY_DONE"  # nothing: the transfer on record for it is COMPLETED
    ALREADY_CANCELED = "ALREADY_CANCELED"  # nothing: the transfer on record for it was canceled
    ENDED = "ENDED"  # nothing: the schedule has had its last run


class Decision(Record):
    """What is to be done at a tick, and why.

    Args:
        action: what.
        why: for people.
        cancel: the ids of transfers to be canceled before.
    """

    action: Action
    why: str = ""
    cancel: tuple[str, ...] = ()


def counted(schedule: TransferSchedule | None, runs: Sequence[Run]) -> int:
    """How many runs of a schedule were begun: the highest number among them, as older ones may have been purged.

    Runs from before its start are those of another schedule, in whose place it was made.
    """
    start = schedule.first if schedule is not None else None
    return max((run.number for run in runs if start is None or _tick_of(run) >= start), default=0)


def all_begun(schedule: TransferSchedule | None, runs: Sequence[Run]) -> str | None:
    """Why no tick whatever begins a run any more: as many were begun as there are to be; None as long as one may."""
    if schedule is None or schedule.count is None:
        return None
    number = counted(schedule, runs)
    return f"{number} of {schedule.count} runs were made" if number >= schedule.count else None


def ended(schedule: TransferSchedule | None, runs: Sequence[Run], now: datetime) -> str | None:
    """Why a schedule has no more runs to begin after ``now``; None as long as it has."""
    if why := _nothing_left(schedule, runs, now):
        return why
    return "its last tick has been" if schedule is not None and schedule.tick_after(now) is None else None


def decide(
    tick: Tick,
    runs: Sequence[Run],
    own: Run | None = None,
    *,
    schedule: TransferSchedule | None = None,
    overlap: Overlap = "skip",
    catch_up: CatchUp = "latest",
) -> Decision:
    """What is to be done at a tick.

    Args:
        tick: which, and when it is looked at.
        runs: the schedule's runs on record.
        own: what is on record for this very tick, or under the id that its run would have.
        schedule: None for one that is known to Prefect alone, such as a cron schedule, and has no end.
        overlap: what to do while another run is unfinished.
        catch_up: what to do about ticks that come too late.
    """
    if own is not None:
        return _about(own)
    if why := _nothing_left(schedule, runs, tick.at):
        return Decision(action=Action.ENDED, why=why)
    if tick.missed(schedule.interval if schedule is not None else None):
        if catch_up == "all":
            return Decision(action=Action.RUN)
        if catch_up == "skip" or tick.superseded:
            return Decision(action=Action.SKIP, why=_words_for_missed(tick))
    return _overlapping(runs, overlap)


def _nothing_left(schedule: TransferSchedule | None, runs: Sequence[Run], at: datetime) -> str | None:
    if why := all_begun(schedule, runs):
        return why
    end = schedule.end if schedule is not None else None
    if end is not None and end.datetime is not None and at > end.datetime:
        return f"its end was at {_written(end.datetime)}"
    return None


def _about(own: Run) -> Decision:
    """What to do about the transfer that is there for this tick already."""
    transfer = own.transfer
    if own.standing is Standing.UNDER_WAY:
        return Decision(action=Action.SKIP, why=f"{own} is under way already")
    if transfer.status is TransferStatus.COMPLETED:
        return Decision(action=Action.ALREADY_DONE, why=f"{own} is complete already")
    if transfer.status is TransferStatus.CANCELED:
        again = "delete it to have it run again"
        return Decision(action=Action.ALREADY_CANCELED, why=f"{own} was canceled, which is final; {again}")
    if own.standing is Standing.PAUSED and transfer.paused_by is PausedBy.REQUEST:
        return Decision(action=Action.SKIP, why=f"{own} is paused; {_resume_hint(own)}")
    return Decision(action=Action.RESUME, why=f"{own} is {transfer.status} and is taken up")


def _overlapping(runs: Sequence[Run], overlap: Overlap) -> Decision:
    unfinished = [run for run in runs if run.standing is not Standing.OVER]
    if overlap == "cancel":
        return Decision(action=Action.RUN, cancel=tuple(run.transfer.id for run in unfinished))
    in_the_way = [run for run in unfinished if run.standing.in_the_way]
    if overlap == "skip" and in_the_way:
        return Decision(action=Action.SKIP, why=_words_for_overlap(in_the_way[0]))
    return Decision(action=Action.RUN)


def _words_for_overlap(run: Run) -> str:
    if run.standing is Standing.PAUSED:
        return f"{run} is paused; {_resume_hint(run)}"
    return f"{run} is still under way"


def _words_for_missed(tick: Tick) -> str:
    late = f"the tick of {_written(tick.at)} was missed: it is {_rounded(tick.now - tick.at)} late"
    return f"{late}, and the one of {tick.following:%H:%M:%S} is due" if tick.superseded else late


def _resume_hint(run: Run) -> str:
    return f"to go on: prefect-globus resume {run.transfer.id}"


def _written(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def _rounded(late: timedelta) -> timedelta:
    return timedelta(seconds=round(late.total_seconds()))


def _tick_of(run: Run) -> datetime:
    scheduled = run.transfer.scheduled
    return scheduled.tick if scheduled is not None else run.transfer.created_at
