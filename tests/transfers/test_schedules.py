"""TransferSchedule: the shape of a Globus Timer's schedule, its ticks, and what a person reads and writes of it."""

from __future__ import annotations

import datetime as dt
from itertools import islice, pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from globus_sdk import MISSING, OnceTimerSchedule, RecurringTimerSchedule
from hypothesis import given, settings
from hypothesis import strategies as st

from prefect_globus import TransferSchedule
from prefect_globus.transfers.errors import InvalidInputError
from support.schedules import START, moments, schedules

DAY = dt.timedelta(days=1)


@settings(deadline=None)
@given(schedules())
def test_a_schedule_is_the_same_after_a_round_trip_through_timers(schedule: TransferSchedule) -> None:
    """By its own document, by the SDK's, and in the first version of Timers, but for the intervals too short for it."""
    if schedule.interval is not None and schedule.interval < dt.timedelta(seconds=60):
        with pytest.raises(InvalidInputError, match="60 seconds at most"):
            schedule.to_timer()
        return
    document = schedule.to_timer()
    assert TransferSchedule.from_timer(document) == schedule
    assert TransferSchedule.from_timer({"name": "any", "schedule": document}) == schedule
    kind = OnceTimerSchedule if schedule.type == "once" else RecurringTimerSchedule
    sent = kind(**{key: value for key, value in document.items() if key != "type"})
    on_the_wire = {key: value for key, value in sent.items() if value is not MISSING}
    assert TransferSchedule.from_timer(on_the_wire) == schedule
    assert TransferSchedule.from_timer(_job(schedule)) == schedule


def _job(schedule: TransferSchedule) -> dict[str, Any]:
    """The document of a Timer of the first version that has no schedule of the second, as Globus' contract has it."""
    end = schedule.end
    stop = {"n_runs": end.count, "date": end.datetime and end.datetime.isoformat()} if end is not None else None
    interval = float(schedule.interval_seconds) if schedule.interval_seconds is not None else None
    start = schedule.first.isoformat() if schedule.first is not None else None
    return {"job_id": "any", "start": start, "interval": interval, "stop_after": stop, "schedule": None}


def test_a_timer_that_ends_in_two_ways_is_refused() -> None:
    """The first version of Timers has them; a schedule ends by time or by count."""
    job = {"start": START.isoformat(), "interval": 3600, "stop_after": {"n_runs": 3, "date": START.isoformat()}}
    with pytest.raises(InvalidInputError, match="nothing else"):
        TransferSchedule.from_timer(job)


@settings(deadline=None)
@given(schedules(), moments())
def test_the_ticks_around_a_moment_are_those_of_the_schedule(schedule: TransferSchedule, moment: dt.datetime) -> None:
    """They are start + n * interval, up to the end: found by arithmetic, as found by counting."""
    ticks = list(islice(schedule.ticks(), 50))
    first, step = ticks[0] if ticks else None, schedule.interval or dt.timedelta()
    assert ticks == [schedule.first + number * step for number in range(len(ticks)) if schedule.first is not None]
    if first is None or moment > ticks[-1]:
        return
    assert schedule.tick_after(moment) == next((tick for tick in ticks if tick > moment), schedule.tick(len(ticks)))
    assert schedule.tick_at_or_before(moment) == max((tick for tick in ticks if tick <= moment), default=None)


def test_a_time_without_a_zone_is_refused_with_a_hint() -> None:
    """On another machine it would be another moment."""
    naive = dt.datetime(2026, 11, 22, 2)  # noqa: DTZ001 - that is the point
    for make in (TransferSchedule.once, lambda moment: TransferSchedule.every(60, start=moment)):
        for moment in (naive, naive.isoformat()):
            with pytest.raises(ValueError, match=r"no time zone: add its offset, as in 2026-11-22T02:00:00Z"):
                make(moment)


def test_moments_are_the_same_in_any_zone_and_whole_seconds() -> None:
    """As globus-sdk writes them, and as Prefect's rules can have them."""
    berlin = dt.datetime(2026, 11, 22, 3, 0, 0, 999_999, tzinfo=ZoneInfo("Europe/Berlin"))
    assert TransferSchedule.once(berlin) == TransferSchedule.once(dt.datetime(2026, 11, 22, 2, tzinfo=dt.UTC))


def test_a_day_of_an_interval_has_24_hours_also_when_clocks_change() -> None:
    """On the clock of the wall it moves, as a Globus Timer does."""
    zone = ZoneInfo("Europe/Berlin")
    schedule = TransferSchedule.every(DAY, start=dt.datetime(2026, 10, 24, 2, 30, tzinfo=zone))
    ticks = list(islice(schedule.ticks(), 3))
    assert {after - before for before, after in pairwise(ticks)} == {DAY}
    assert [f"{tick.astimezone(zone):%d %H:%M}" for tick in ticks] == ["24 02:30", "25 02:30", "26 01:30"]


@pytest.mark.parametrize(
    ("schedule", "words"),
    [
        (TransferSchedule.once(), "once"),
        (TransferSchedule.once(START), "once at 2026-11-22 02:00 UTC"),
        (TransferSchedule.every(3600, start=START, count=72), "every hour from 2026-11-22 02:00 UTC, 72 runs"),
        (TransferSchedule.every(7 * DAY, until=START), "every 7 days until 2026-11-22 02:00 UTC"),
        (TransferSchedule.every(5400, count=1), "every 1 h 30 min, 1 run"),
        (
            TransferSchedule.every(90061, start=START.replace(second=5)),
            "every 1 d 1 h 1 min 1 s from 2026-11-22 02:00:05 UTC",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_schedule_in_words(schedule: TransferSchedule, words: str) -> None:
    """As a person would say it."""
    assert schedule.in_words() == words


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"type": "recurring"}, "needs its interval_seconds"),
        ({"type": "recurring", "interval_seconds": 0}, "greater than or equal to 1"),
        ({"type": "recurring", "interval_seconds": 366 * 86_400}, "less than or equal to"),
        ({"type": "recurring", "interval_seconds": 60, "datetime": START}, "its first tick is its start"),
        ({"type": "once", "interval_seconds": 60}, "has no interval_seconds"),
        ({"type": "recurring", "interval_seconds": 60, "end": {"condition": "iterations"}}, "needs count"),
        (
            {"type": "recurring", "interval_seconds": 60, "end": {"condition": "iterations", "count": 0}},
            "greater than 0",
        ),
        (
            {
                "type": "recurring",
                "interval_seconds": 60,
                "start": START,
                "end": {"condition": "time", "datetime": START - DAY},
            },
            "ends before it starts",
        ),
        ({"type": "weekly"}, "'once' or 'recurring'"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_no_schedule_is_refused(fields: dict[str, Any], reason: str) -> None:
    """With a word on why."""
    with pytest.raises(ValueError, match=reason):
        TransferSchedule.model_validate(fields)
    with pytest.raises(InvalidInputError, match=reason):
        TransferSchedule.from_timer(fields)


def test_an_end_is_by_time_or_by_count() -> None:
    """Not by both."""
    with pytest.raises(ValueError, match="not both"):
        TransferSchedule.every(60, until=START, count=3)


@settings(deadline=None)
@given(st.integers(1, 10**6))
def test_an_interval_is_a_number_of_seconds_or_a_timedelta(seconds: int) -> None:
    """As it is handier."""
    assert TransferSchedule.every(seconds) == TransferSchedule.every(dt.timedelta(seconds=seconds))
