"""What a client asks for, in the words of both versions of the service: timers, and changes (contract section 7)."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, Field, field_validator, model_validator

from prefect_globus.emulator.timers.model import Document, TimerSpec
from prefect_globus.emulator.timers.reading import Moment
from prefect_globus.emulator.timers.schedule import (
    FURTHEST_START,
    LONGEST_INTERVAL,
    SHORTEST_INTERVAL,
    Schedule,
    real_moment,
)
from prefect_globus.emulator.timers.transfer_body import CallbackBody, TransferDocument

# Every address that the Transfer action has had; older clients know an older one.
TRANSFER_ACTIONS = (
    "https://transfer.actions.globus.org/transfer/run",
    "https://actions.automate.globus.org/transfer/transfer/run",
    "https://actions.globus.org/transfer/transfer/run",
)


def _start(moment: datetime) -> datetime:
    seconds = moment.timestamp()
    if seconds <= 0 or seconds > time.time() + FURTHEST_START:
        raise ValueError("A timer must start after 1970-01-01 and within one year")
    return moment


Start = Annotated[Moment, AfterValidator(_start)]
Interval = Annotated[int, Field(ge=SHORTEST_INTERVAL, le=LONGEST_INTERVAL)]
Count = Annotated[int, Field(ge=1, le=2**31)]


class EndAfterIterations(BaseModel):
    """The timer stops after so many runs."""

    condition: Literal["iterations"]
    count: Count


class EndAtTime(BaseModel):
    """The timer stops after a moment."""

    condition: Literal["time"]
    datetime: Moment


class OnceSchedule(BaseModel):
    """The timer runs once, now or at a moment."""

    type: Literal["once"]
    datetime: Start | None = None

    def document(self, now: float) -> Document:
        """Return it with its defaults filled in."""
        return {"type": "once", "datetime": _text(self.datetime, now)}

    def ticks(self, now: float, scale: float) -> Schedule:
        """Return its ticks in real time."""
        return Schedule(_real(self.datetime, now, scale), count=1)


class RecurringSchedule(BaseModel):
    """The timer runs again and again, until an end."""

    type: Literal["recurring"]
    interval_seconds: Interval
    start: Start | None = None
    end: Annotated[EndAfterIterations | EndAtTime, Field(discriminator="condition")] | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        _check_end(self.start, self.end.datetime if isinstance(self.end, EndAtTime) else None)
        return self

    def document(self, now: float) -> Document:
        """Return it with its defaults filled in."""
        return {
            "type": "recurring",
            "interval_seconds": self.interval_seconds,
            "start": _text(self.start, now),
            "end": self._end_document(now),
        }

    def _end_document(self, now: float) -> Document | None:
        match self.end:
            case EndAtTime():
                return {"condition": "time", "datetime": _text(self.end.datetime, now)}
            case EndAfterIterations():
                return {"condition": "iterations", "count": self.end.count}
            case None:
                return None

    def ticks(self, now: float, scale: float) -> Schedule:
        """Return its ticks in real time."""
        return Schedule(
            start=_real(self.start, now, scale),
            interval=self.interval_seconds / scale,
            ends_at=_real(self.end.datetime, now, scale) if isinstance(self.end, EndAtTime) else None,
            count=self.end.count if isinstance(self.end, EndAfterIterations) else None,
        )


class TransferTimer(BaseModel):
    """What POST /v2/timer asks for."""

    timer_type: Literal["transfer"]
    name: str | None = None
    schedule: Annotated[OnceSchedule | RecurringSchedule, Field(discriminator="type")]
    body: TransferDocument

    @field_validator("timer_type", mode="before")
    @classmethod
    def _no_flows(cls, value: object) -> object:
        if value == "flow":
            raise ValueError("This emulator has no Flows; only transfers can be timed")
        return value


class TimerCreate(BaseModel):
    """The body of POST /v2/timer."""

    timer: TransferTimer

    def spec(self, now: float, scale: float) -> TimerSpec:
        """Return the timer that is asked for."""
        asked = self.timer
        return _spec(asked.name, asked.schedule, asked.body, now, scale)


class StopAfter(BaseModel):
    """When a job stops."""

    date: Moment | None = None
    n_runs: Count | None = None


class JobCreate(BaseModel):
    """The body of POST /jobs/: a timer as older clients ask for it."""

    name: str | None = None
    start: Start
    interval: Annotated[float, Field(ge=SHORTEST_INTERVAL, le=LONGEST_INTERVAL, allow_inf_nan=False)] | None = None
    stop_after: StopAfter | Moment | None = None
    stop_after_n: Count | None = None
    callback_url: str
    callback_body: CallbackBody
    scope: str | None = None

    @field_validator("callback_url")
    @classmethod
    def _only_transfers(cls, value: str) -> str:
        if value not in TRANSFER_ACTIONS:
            raise ValueError(f"This emulator runs only the Transfer action, {TRANSFER_ACTIONS[0]}")
        return value

    @model_validator(mode="after")
    def _check(self) -> Self:
        stop = self._stop
        if stop.date is not None and stop.n_runs is not None:
            raise ValueError("A job stops after a date or after a number of runs, not both")
        if (self.interval is None) != (stop.n_runs == 1):
            raise ValueError("A job that stops after exactly 1 run has no interval, any other has one")
        _check_end(self.start, stop.date)
        return self

    @property
    def _stop(self) -> StopAfter:
        stop = self.stop_after if isinstance(self.stop_after, StopAfter) else StopAfter(date=self.stop_after)
        return StopAfter(date=stop.date, n_runs=self.stop_after_n or stop.n_runs)

    @property
    def _schedule(self) -> OnceSchedule | RecurringSchedule:
        if self.interval is None:
            return OnceSchedule(type="once", datetime=self.start)
        end: EndAfterIterations | EndAtTime | None = None
        if self._stop.n_runs is not None:
            end = EndAfterIterations(condition="iterations", count=self._stop.n_runs)
        elif self._stop.date is not None:
            end = EndAtTime(condition="time", datetime=self._stop.date)
        return RecurringSchedule(type="recurring", interval_seconds=int(self.interval), start=self.start, end=end)

    def spec(self, now: float, scale: float, callback_body: Document) -> TimerSpec:
        """Return the timer that is asked for; `callback_body` is shown as the client has sent it."""
        made = _spec(self.name, self._schedule, self.callback_body.body, now, scale)
        return made._replace(callback_url=self.callback_url, callback_body=callback_body, scope=self.scope)


class JobUpdate(BaseModel):
    """The body of PATCH /jobs/ID; nothing but the name can be changed."""

    name: str | None = None


class Resume(BaseModel):
    """The body or the query of POST /jobs/ID/resume."""

    update_credentials: bool | None = None


def _spec(
    name: str | None, schedule: OnceSchedule | RecurringSchedule, body: TransferDocument, now: float, scale: float
) -> TimerSpec:
    return TimerSpec(
        name=name,
        schedule=schedule.ticks(now, scale),
        schedule_document=schedule.document(now),
        interval=schedule.interval_seconds if isinstance(schedule, RecurringSchedule) else None,
        body=body.document,
        callback_url=TRANSFER_ACTIONS[0],
    )


def _real(moment: datetime | None, now: float, scale: float) -> float:
    return now if moment is None else real_moment(moment.timestamp(), now, scale)


def _text(moment: datetime | None, now: float) -> str:
    return (moment or datetime.fromtimestamp(now, UTC)).isoformat()


def _check_end(start: datetime | None, end: datetime | None) -> None:
    if end is not None and end.timestamp() < (start.timestamp() if start else time.time()):
        raise ValueError("The end is before the start")
