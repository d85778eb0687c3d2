"""TransferSchedule and Prefect's own schedules: the same ticks, by Prefect's own arithmetic."""

from __future__ import annotations

import asyncio
import datetime as dt
from itertools import islice

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prefect.client.schemas.schedules import SCHEDULE_TYPES, CronSchedule, IntervalSchedule, NoSchedule, RRuleSchedule
from prefect.server.schemas import schedules as server
from pydantic import TypeAdapter

from prefect_globus import TransferSchedule
from prefect_globus.deployments.prefect_schedules import (
    PrefectSchedule,
    from_prefect,
    last_tick,
    next_tick,
    prefect_words,
    to_prefect,
)
from prefect_globus.transfers.errors import InvalidInputError
from support.schedules import START, moments, schedules

DAY = dt.timedelta(days=1)
_SERVER: TypeAdapter[server.SCHEDULE_TYPES] = TypeAdapter(server.SCHEDULE_TYPES)


def dates(schedule: SCHEDULE_TYPES, after: dt.datetime, number: int = 10) -> list[dt.datetime]:
    """What Prefect's scheduler would make of what it is sent."""
    known = _SERVER.validate_python(schedule.model_dump(mode="json"))
    return [date.astimezone(dt.UTC) for date in asyncio.run(known.get_dates(number, start=after))]


def ticks(schedule: TransferSchedule, after: dt.datetime, number: int = 10) -> list[dt.datetime]:
    """Those of the schedule at or after a moment."""
    following = schedule.tick_after(after - dt.timedelta.resolution)
    if following is None:
        return []
    rest = schedule if schedule.type == "once" else schedule.evolve(start=following)
    return list(islice(rest.ticks(), number))


@settings(deadline=None)
@given(schedules(), moments(), st.integers(0, 30))
def test_prefect_has_the_ticks_of_the_schedule(schedule: TransferSchedule, now: dt.datetime, later: int) -> None:
    """The next ten, whenever it is looked at after it was made; also when clocks change, and with an end by time."""
    made = to_prefect(schedule, now)
    looked_at = now + later * (schedule.interval or DAY) / 4
    assert dates(made, looked_at) == ticks(schedule, looked_at)
    assert next_tick(made, looked_at) == next(iter(ticks(schedule, looked_at, 1)), None)
    if schedule.first is not None and schedule.first <= now:
        assert last_tick(made, now, looked_at) == max(
            ticks(schedule, now, 200)[: _until(schedule, now, looked_at)], default=None
        )


def _until(schedule: TransferSchedule, now: dt.datetime, moment: dt.datetime) -> int:
    return sum(tick <= moment for tick in ticks(schedule, now, 200))


@settings(deadline=None)
@given(schedules(), moments())
def test_a_schedule_comes_back_from_prefect_with_the_same_ticks(schedule: TransferSchedule, now: dt.datetime) -> None:
    """But for the count, which Prefect would take for a number of ticks, and the flow knows by its parameter."""
    back = from_prefect(to_prefect(schedule, now), now)
    assert ticks(back, now) == ticks(schedule, now)
    assert (back.type, back.interval) == (schedule.type, schedule.interval)
    assert "COUNT" not in str(to_prefect(schedule, now)) or schedule.type == "once"
    if schedule.first is not None and schedule.first > now and (schedule.end is None or schedule.end.count is None):
        assert back == schedule


@settings(deadline=None)
@given(schedules(), moments())
def test_what_has_come_from_prefect_goes_back(schedule: TransferSchedule, now: dt.datetime) -> None:
    """A deployment that is made again has the same ticks."""
    once = to_prefect(schedule, now)
    assert dates(to_prefect(from_prefect(once, now), now), now) == dates(once, now)


@pytest.mark.parametrize(
    ("prefect", "expected"),
    [
        (IntervalSchedule(interval=DAY, anchor_date=START, timezone="UTC"), TransferSchedule.every(DAY, start=START)),
        (
            IntervalSchedule(interval=dt.timedelta(hours=1), anchor_date=START + 10 * DAY, timezone="Europe/Berlin"),
            TransferSchedule.every(3600, start=START),
        ),
        (
            RRuleSchedule(rrule="DTSTART:20261122T020000\nRRULE:FREQ=WEEKLY;COUNT=3"),
            TransferSchedule.every(7 * DAY, start=START, until=START + 14 * DAY),
        ),
        (
            RRuleSchedule(rrule="DTSTART:20261122T020000Z\nRRULE:FREQ=HOURLY;WKST=SU;UNTIL=20261123T000000Z"),
            TransferSchedule.every(3600, start=START, until=START + dt.timedelta(hours=22)),
        ),
        (RRuleSchedule(rrule="DTSTART:20261122T020000Z\nRRULE:FREQ=YEARLY;COUNT=1"), TransferSchedule.once(START)),
    ],
    ids=["daily", "hourly-from-later", "three-weeks", "until-a-day", "once"],
)
def test_schedules_of_prefect_with_a_fixed_interval_are_understood(
    prefect: PrefectSchedule, expected: TransferSchedule
) -> None:
    """As Prefect has them: an interval has ticks before its anchor, a count is one of ticks."""
    assert from_prefect(prefect, START) == expected
    assert dates(prefect, START) == ticks(expected, START)


@pytest.mark.parametrize(
    "prefect",
    [
        CronSchedule(cron="0 2 * * *", timezone="Europe/Berlin"),
        IntervalSchedule(interval=DAY, anchor_date=START, timezone="Europe/Berlin"),
        IntervalSchedule(interval=dt.timedelta(milliseconds=1500), anchor_date=START),
        RRuleSchedule(rrule="FREQ=DAILY"),
        RRuleSchedule(rrule="DTSTART:20261122T020000Z\nRRULE:FREQ=MONTHLY"),
        RRuleSchedule(rrule="DTSTART:20261122T020000Z\nRRULE:FREQ=DAILY;BYDAY=MO,TU"),
        RRuleSchedule(rrule="DTSTART:20261122T020000\nRRULE:FREQ=DAILY", timezone="America/Chicago"),
        RRuleSchedule(rrule="DTSTART:20261122T020000\nRRULE:FREQ=DAILY\nEXDATE:20261123T020000"),
    ],
    ids=["cron", "days-of-a-zone", "part-of-a-second", "no-start", "months", "weekdays", "other-zone", "without-a-day"],
)
def test_schedules_of_prefect_without_a_fixed_interval_are_refused(prefect: PrefectSchedule) -> None:
    """Their ticks are Prefect's alone."""
    with pytest.raises(InvalidInputError, match="no fixed interval"):
        from_prefect(prefect, START)


def test_a_cron_schedule_with_a_zone_goes_by_the_clock_on_the_wall() -> None:
    """At 2 o'clock in summer and in winter, which is not the same hour of UTC."""
    nightly = CronSchedule(cron="0 2 * * *", timezone="Europe/Berlin")
    october = dt.datetime(2026, 10, 24, tzinfo=dt.UTC)
    assert [f"{tick:%d %H:%M}" for tick in dates(nightly, october, 3)] == ["24 00:00", "25 00:00", "26 01:00"]
    assert next_tick(nightly, october) == october
    assert last_tick(nightly, october, october + 2.5 * DAY) == dt.datetime(2026, 10, 26, 1, tzinfo=dt.UTC)
    assert last_tick(nightly, october + dt.timedelta(hours=1), october + dt.timedelta(hours=9)) is None


def test_what_was_missed_is_found_among_any_number_of_ticks() -> None:
    """Prefect gives up after a thousand, counted from the beginning."""
    each_minute = CronSchedule(cron="* * * * *", timezone="UTC")
    assert last_tick(each_minute, START - 100 * DAY, START + dt.timedelta(seconds=59)) == START
    assert last_tick(NoSchedule(), START - DAY, START) is None


@pytest.mark.parametrize(
    ("prefect", "words"),
    [
        (CronSchedule(cron="0 2 * * *", timezone="Europe/Berlin"), "cron 0 2 * * * (Europe/Berlin)"),
        (
            IntervalSchedule(interval=DAY, anchor_date=START, timezone="Europe/Berlin"),
            "every 1 day, 0:00:00 (Europe/Berlin)",
        ),
        (RRuleSchedule(rrule="FREQ=MONTHLY"), "FREQ=MONTHLY"),
        (NoSchedule(), "never"),
    ],
    ids=["cron", "interval", "rule", "never"],
)
def test_a_schedule_of_prefect_in_words(prefect: SCHEDULE_TYPES, words: str) -> None:
    """As far as there are any."""
    assert prefect_words(prefect) == words
