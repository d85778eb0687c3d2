"""When a recurring transfer runs: the shape of a Globus Timer's schedule, and arithmetic without any state.

The fields are those of a Timer's schedule (Globus' contract, section 7). Moments are in whole seconds, as globus-sdk
writes them and as the rules of Prefect's schedules can have them.
"""

from __future__ import annotations

import datetime as dt  # a field of a Timer's schedule is called datetime
from collections.abc import Iterator
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, AwareDatetime, BeforeValidator, Field, ValidationError, model_validator

from prefect_globus.transfers.errors import InvalidInputError
from prefect_globus.transfers.forms import InForm
from prefect_globus.transfers.quantities import SPAN
from prefect_globus.transfers.records import Record

LONGEST_INTERVAL = 365 * 86_400
SHORTEST_TIMER_INTERVAL = 60

_LONGEST = dt.timedelta(seconds=LONGEST_INTERVAL)
_LONGEST_LATE = dt.timedelta(minutes=45)


def _aware(value: object) -> object:
    """Refuse a time without a zone: on another machine it would be another moment."""
    if isinstance(value, str):
        try:
            value = dt.datetime.fromisoformat(value.strip())
        except ValueError:
            return value  # pydantic says what is wrong
    if isinstance(value, dt.datetime) and value.tzinfo is None:
        raise ValueError(
            f"{value.isoformat()} has no time zone: add its offset, as in {value.isoformat()}Z for UTC or "
            f"{value.isoformat()}+01:00, or in Python datetime(..., tzinfo=ZoneInfo('Europe/Berlin'))"
        )
    return value


def _plain(moment: dt.datetime) -> dt.datetime:
    try:
        plain = moment.astimezone(dt.UTC).replace(microsecond=0)
        _ = plain - 2 * _LONGEST, plain + 2 * _LONGEST  # room for the ticks around it
    except OverflowError:
        raise ValueError(f"{moment.isoformat()} is too far away from today") from None
    return plain


Moment = Annotated[AwareDatetime, BeforeValidator(_aware), AfterValidator(_plain)]


class ScheduleEnd(InForm, Record):
    """When a recurring schedule ends: after so many runs, or at a moment.

    Args:
        condition: which of the two.
        count: how many runs are started; a tick that was skipped is no run.
        datetime: there are no ticks after this moment.
    """

    condition: Literal["iterations", "time"] = Field(title="By", description="What ends it: iterations, or time.")
    count: int | None = Field(
        default=None,
        gt=0,
        title="Number of runs",
        description="Of an end by iterations: how many runs are started. A tick that was skipped is no run.",
        examples=[72],
    )
    datetime: Moment | None = Field(
        default=None,
        title="Moment",
        description="Of an end by time: there are no ticks after this moment, which needs its time zone.",
        examples=["2026-12-31T23:00:00Z"],
    )

    @model_validator(mode="after")
    def _one_condition(self) -> Self:
        wanted, other = ("count", "datetime") if self.condition == "iterations" else ("datetime", "count")
        if getattr(self, wanted) is None or getattr(self, other) is not None:
            raise ValueError(f"an end by {self.condition} needs {wanted}, and nothing else")
        return self


class TransferSchedule(InForm, Record):
    """When a transfer runs: once, or again and again at a fixed interval.

    Make one with `once` or `every`. Times are aware and kept in UTC; an interval is a number of seconds, so that a
    schedule of a day moves by an hour on the clock when daylight saving begins or ends, as a Globus Timer's does. For
    "each night at 2 o'clock, by the clock on the wall" use a cron schedule of Prefect.

    Args:
        type: ``once`` or ``recurring``.
        datetime: of ``once``: when. By default at once.
        interval_seconds: of ``recurring``: from tick to tick, at most a year, such as ``3600`` or ``1h``; Globus
            Timers asks for 60 at least.
        start: of ``recurring``: the first tick. By default at once.
        end: of ``recurring``: when it ends. By default never.
    """

    type: Literal["once", "recurring"] = Field(title="How often", description="Once, or again and again.")
    datetime: Moment | None = Field(
        default=None,
        title="Once: when",
        description="Of once: the moment, with its time zone. By default at once.",
        examples=["2026-11-23T02:00:00Z"],
    )
    interval_seconds: Annotated[int, Field(ge=1, le=LONGEST_INTERVAL), SPAN] | None = Field(
        default=None,
        title="Recurring: every",
        description="Of recurring: from tick to tick, at most a year.",
        examples=["1h"],
    )
    start: Moment | None = Field(
        default=None,
        title="Recurring: from",
        description="Of recurring: the first tick, with its time zone. By default at once.",
        examples=["2026-11-23T02:00:00Z"],
    )
    end: ScheduleEnd | None = Field(
        default=None, title="Recurring: until", description="Of recurring: when it ends. By default never."
    )

    @model_validator(mode="after")
    def _fits_its_type(self) -> Self:
        if self.type == "once":
            given = [name for name in ("interval_seconds", "start", "end") if getattr(self, name) is not None]
            if given:
                raise ValueError(f"a schedule of type once has no {' and no '.join(given)}")
            return self
        if self.datetime is not None:
            raise ValueError("a recurring schedule has no datetime: its first tick is its start")
        if self.interval_seconds is None:
            raise ValueError("a recurring schedule needs its interval_seconds")
        if self.start is not None and self._ends_at is not None and self._ends_at < self.start:
            raise ValueError("it ends before it starts")
        return self

    @classmethod
    def once(cls, at: dt.datetime | None = None) -> Self:
        """One run, ``at`` a moment or at once."""
        return cls(type="once", datetime=at)

    @classmethod
    def every(
        cls,
        interval: dt.timedelta | int,
        *,
        start: dt.datetime | None = None,
        until: dt.datetime | None = None,
        count: int | None = None,
    ) -> Self:
        """A run at ``start``, or at once, and then every ``interval`` (in seconds, if it is a number).

        Args:
            interval: from tick to tick.
            start: the first tick.
            until: there are no ticks after this moment.
            count: how many runs are started; a tick that was skipped is no run.
        """
        if until is not None and count is not None:
            raise ValueError("a schedule ends by time or by count: give until or count, not both")
        end = None
        if count is not None:
            end = ScheduleEnd(condition="iterations", count=count)
        elif until is not None:
            end = ScheduleEnd(condition="time", datetime=until)
        seconds = interval.total_seconds() if isinstance(interval, dt.timedelta) else interval
        return cls.model_validate({"type": "recurring", "interval_seconds": seconds, "start": start, "end": end})

    @classmethod
    def from_timer(cls, timer: dict[str, Any]) -> Self:
        """The schedule of a Globus Timer.

        Args:
            timer: its document, of either version of Timers, or the ``schedule`` of it alone.

        Raises:
            InvalidInputError: it has no schedule of a known kind.
        """
        schedule = timer.get("schedule") or (timer if "type" in timer else _schedule_of_job(timer))
        end = schedule.get("end")
        if end and "condition" not in end:  # as in an example of globus-sdk's
            schedule = schedule | {"end": {"condition": "iterations" if "count" in end else "time", **end}}
        try:
            return cls.model_validate({key: value for key, value in schedule.items() if key in cls.model_fields})
        except ValidationError as error:
            reason = f"The Timer's schedule {schedule} cannot be read: {error.errors()[0]['msg']}"
            raise InvalidInputError(reason=reason) from None

    def to_timer(self) -> dict[str, Any]:
        """This schedule as Globus Timers takes it.

        Raises:
            InvalidInputError: its interval is shorter than Globus Timers allows.
        """
        if self.interval_seconds is not None and self.interval_seconds < SHORTEST_TIMER_INTERVAL:
            least = f"Globus Timers runs a timer every {SHORTEST_TIMER_INTERVAL} seconds at most"
            raise InvalidInputError(reason=f"{least}, not every {self.interval_seconds}: choose a longer interval")
        return self.model_dump(mode="json", exclude_none=True)

    @property
    def rhythm(self) -> str:
        """How often, in words, such as ``every 2 hours``."""
        return "once" if self.interval is None else f"every {_span(self.interval)}"

    def in_words(self) -> str:
        """What a person would say, such as ``every hour from 2026-11-22 02:00 UTC, 72 runs``."""
        words = self.rhythm
        if self.first is not None:
            words += f" {'at' if self.type == 'once' else 'from'} {moment_words(self.first)}"
        if self.end is not None and self.end.count is not None:
            words += f", {self.end.count} run{'s' if self.end.count > 1 else ''}"
        elif self._ends_at is not None:
            words += f" until {moment_words(self._ends_at)}"
        return words

    @property
    def count(self) -> int | None:
        """How many runs are started before it ends; None when their number does not end it."""
        if self.type == "once":
            return 1
        return self.end.count if self.end is not None else None

    @property
    def first(self) -> dt.datetime | None:
        """The first tick; None for at once, which is whenever that is first asked for."""
        return self.datetime if self.type == "once" else self.start

    @property
    def interval(self) -> dt.timedelta | None:
        """From tick to tick; None when there is only one."""
        return None if self.interval_seconds is None else dt.timedelta(seconds=self.interval_seconds)

    @property
    def _ends_at(self) -> dt.datetime | None:
        return self.end.datetime if self.end is not None else None

    def beginning(self, moment: dt.datetime) -> Self:
        """This schedule with its first tick at ``moment``, if it has none yet."""
        if self.first is not None:
            return self
        return self.model_validate(self.model_dump() | {"datetime" if self.type == "once" else "start": moment})

    def tick(self, number: int) -> dt.datetime | None:
        """When tick ``number`` comes, the first being 0; None if there is no such tick.

        Raises:
            ValueError: the schedule has no beginning yet; see `beginning`.
        """
        first = self.first
        if first is None:
            raise ValueError("the schedule has no beginning yet")
        if number and self.interval is None:
            return None
        moment = first + number * (self.interval or dt.timedelta())
        return None if self._ends_at is not None and moment > self._ends_at else moment

    def tick_after(self, moment: dt.datetime) -> dt.datetime | None:
        """The first tick that comes after ``moment``; None if there is none. The number of runs is not looked at."""
        first = self.tick(0)
        if first is None or moment < first:
            return first
        if self.interval is None:
            return None
        return self.tick((moment - first) // self.interval + 1)

    def tick_at_or_before(self, moment: dt.datetime) -> dt.datetime | None:
        """The last tick that has come by ``moment``; None if none has."""
        first = self.tick(0)
        if first is None or moment < first:
            return None
        if self._ends_at is not None:
            moment = min(moment, self._ends_at)
        return first if self.interval is None else self.tick((moment - first) // self.interval)

    def ticks(self) -> Iterator[dt.datetime]:
        """All ticks, without an end if it has none by time."""
        number = 0
        while (moment := self.tick(number)) is not None:
            yield moment
            number += 1


def latest_start(tick: dt.datetime, interval: dt.timedelta | None) -> dt.datetime:
    """Until when a run that is due at ``tick`` may be late before the tick counts as missed.

    It is how long Globus Timers goes on trying to start a run: half the interval, at most 45 minutes; 45 minutes where
    there is no interval (Globus' contract, section 7). Below two minutes Timers does not try again; here the half of
    the interval counts then, too, as a worker takes seconds to begin a run.
    """
    return tick + (_LONGEST_LATE if interval is None else min(interval / 2, _LONGEST_LATE))


_UNITS = (("day", "d", 86_400), ("hour", "h", 3_600), ("minute", "min", 60), ("second", "s", 1))


def moment_words(moment: dt.datetime) -> str:
    """``moment`` as people write it, in UTC; seconds only where there are some."""
    text = f"{moment.astimezone(dt.UTC):%Y-%m-%d %H:%M:%S}"
    return f"{text.removesuffix(':00')} UTC"


def _span(interval: dt.timedelta) -> str:
    rest, parts = int(interval.total_seconds()), []
    for name, short, seconds in _UNITS:
        number, rest = divmod(rest, seconds)
        if number:
            parts.append((number, name, short))
    if len(parts) > 1:
        return " ".join(f"{number} {short}" for number, _, short in parts)
    number, name, _ = parts[0]
    return name if number == 1 else f"{number} {name}s"


def _schedule_of_job(job: dict[str, Any]) -> dict[str, Any]:
    """The schedule of a Timer that has it only in the form of the first version of Timers."""
    if not job.get("interval"):
        return {"type": "once", "datetime": job.get("start")}
    stop = job.get("stop_after") or {}
    count, date = stop.get("n_runs"), stop.get("date")
    end = {"condition": "time" if count is None else "iterations", "count": count, "datetime": date}
    schedule = {"type": "recurring", "interval_seconds": job["interval"], "start": job.get("start")}
    return schedule if count is date is None else schedule | {"end": end}
