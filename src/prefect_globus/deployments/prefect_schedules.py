"""A TransferSchedule as a schedule of Prefect, and back."""

from __future__ import annotations

import datetime as dt
from typing import cast

from prefect.client.schemas.schedules import SCHEDULE_TYPES, CronSchedule, IntervalSchedule, NoSchedule, RRuleSchedule
from prefect.server.schemas import schedules as server_schedules
from prefect.utilities.asyncutils import run_coro_as_sync
from pydantic import TypeAdapter, ValidationError

from prefect_globus.transfers.errors import InvalidInputError
from prefect_globus.transfers.schedules import TransferSchedule

PrefectSchedule = CronSchedule | IntervalSchedule | RRuleSchedule

# The units that a rule may be written in; in UTC each has always the same length.
_SECONDS = {"WEEKLY": 604_800, "DAILY": 86_400, "HOURLY": 3_600, "MINUTELY": 60, "SECONDLY": 1}
_AT_SERVER: TypeAdapter[server_schedules.SCHEDULE_TYPES] = TypeAdapter(server_schedules.SCHEDULE_TYPES)
_ENOUGH = 1000  # Prefect counts no further
_UTC = {"UTC", "Etc/UTC", "GMT", "Etc/GMT"}


def to_prefect(schedule: TransferSchedule, now: dt.datetime) -> IntervalSchedule | RRuleSchedule:
    """The schedule of Prefect that has the same ticks after ``now``.

    An end by count is left out: Prefect would count ticks, but a tick that is skipped is no run. The flow ends it.

    Args:
        schedule: with a beginning; see `TransferSchedule.beginning`.
        now: aware. Ticks before it are of no use, and walking over them would cost Prefect's scheduler seconds.
    """
    first = schedule.tick(0)
    assert first is not None  # noqa: S101 - a schedule has a first tick
    if schedule.interval is None:
        return _rule(first, "FREQ=DAILY;COUNT=1")
    ends_at = schedule.end.datetime if schedule.end is not None else None
    if ends_at is None and first <= now:
        return IntervalSchedule(interval=schedule.interval, anchor_date=first, timezone="UTC")
    # an interval of Prefect has ticks before its anchor, and never ends
    seconds = int(schedule.interval.total_seconds())
    unit = next(unit for unit, length in _SECONDS.items() if unit != "WEEKLY" and seconds % length == 0)
    until = f";UNTIL={_stamp(ends_at)}" if ends_at is not None else ""
    start = schedule.tick_at_or_before(now) or first
    return _rule(start, f"FREQ={unit};INTERVAL={seconds // _SECONDS[unit]}{until}")


def from_prefect(schedule: PrefectSchedule, now: dt.datetime) -> TransferSchedule:
    """The TransferSchedule that has the same ticks after ``now``.

    Raises:
        InvalidInputError: Prefect's schedule has another shape, such as one by the clock on the wall.
    """
    if isinstance(schedule, CronSchedule):
        raise _other_shape(f"the cron schedule {schedule.cron!r} goes by the clock")
    try:
        if isinstance(schedule, IntervalSchedule):
            return _from_interval(schedule, now)
        return _from_rule(schedule)
    except InvalidInputError:
        raise
    except ValueError as error:
        reason = error.errors()[0]["msg"] if isinstance(error, ValidationError) else str(error)
        raise _other_shape(reason) from None


def prefect_words(schedule: SCHEDULE_TYPES) -> str:
    """What a person would say of a schedule of Prefect."""
    if isinstance(schedule, CronSchedule):
        return f"cron {schedule.cron} ({schedule.timezone or 'UTC'})"
    if isinstance(schedule, IntervalSchedule):
        return f"every {schedule.interval} ({schedule.timezone or 'UTC'})"
    return schedule.rrule if isinstance(schedule, RRuleSchedule) else "never"


def next_tick(schedule: SCHEDULE_TYPES, after: dt.datetime) -> dt.datetime | None:
    """The first tick at or after a moment, as Prefect's scheduler has it; None if there is none."""
    return next(iter(_ticks(schedule, 1, start=after)), None)


def last_tick(schedule: SCHEDULE_TYPES, since: dt.datetime, until: dt.datetime) -> dt.datetime | None:
    """The last tick from ``since`` to ``until``, as Prefect's scheduler has it; None if there is none."""
    span = dt.timedelta(minutes=1)
    while True:  # in growing steps back from the end, as Prefect counts forward only
        start = max(since, until - span)
        ticks = _ticks(schedule, _ENOUGH, start=start, end=until)
        if ticks or start == since:
            return max(ticks, default=None)
        span *= 2


def _ticks(schedule: SCHEDULE_TYPES, number: int, **bounds: dt.datetime) -> list[dt.datetime]:
    if isinstance(schedule, NoSchedule):
        return []
    known = _AT_SERVER.validate_python(schedule.model_dump())
    dates = cast("list[dt.datetime]", run_coro_as_sync(known.get_dates(number, **bounds)))
    return [date.astimezone(dt.UTC) for date in dates]


def _rule(start: dt.datetime, rule: str) -> RRuleSchedule:
    # without DTSTART a rule begins in 2020; its Z is not read, and so the zone is said once more
    return RRuleSchedule(rrule=f"DTSTART:{_stamp(start)}\nRRULE:{rule}", timezone="UTC")


def _stamp(moment: dt.datetime) -> str:
    return f"{moment.astimezone(dt.UTC):%Y%m%dT%H%M%SZ}"


def _from_interval(schedule: IntervalSchedule, now: dt.datetime) -> TransferSchedule:
    if schedule.interval >= dt.timedelta(days=1) and not _is_utc(schedule.timezone):
        raise _other_shape(f"its days are those of {schedule.timezone}, which may have 23 or 25 hours")
    anchor = dt.datetime.fromtimestamp(schedule.anchor_date.timestamp(), dt.UTC)  # not of Prefect's own kind
    before = max(-((now - anchor) // schedule.interval), 0)  # Prefect has ticks before the anchor, too
    return TransferSchedule.every(schedule.interval, start=anchor - before * schedule.interval)


def _from_rule(schedule: RRuleSchedule) -> TransferSchedule:
    lines = [line.partition(":") for line in schedule.rrule.upper().split()]
    texts = {key: text for key, _, text in lines}
    if len(lines) != len(texts) or set(texts) != {"DTSTART", "RRULE"} or not _is_utc(schedule.timezone):
        raise _other_shape(f"the rule {schedule.rrule!r} would need one DTSTART and one RRULE, in the zone UTC")
    parts = dict(part.split("=") for part in texts["RRULE"].split(";"))
    unit = _SECONDS.get(parts.pop("FREQ"))
    start, interval = _moment(texts["DTSTART"]), int(parts.pop("INTERVAL", 1))
    count, until = parts.pop("COUNT", None), parts.pop("UNTIL", None)
    parts.pop("WKST", None)  # nothing here goes by the week
    if count == "1" and not parts:
        return TransferSchedule.once(start)
    if unit is None or parts:
        raise _other_shape(f"the rule {schedule.rrule!r} has other ticks than one every so many seconds")
    end = _moment(until) if until is not None else None
    if count is not None:  # of ticks, whatever became of them: so it ends at a known moment
        end = start + (int(count) - 1) * dt.timedelta(seconds=interval * unit)
    return TransferSchedule.every(interval * unit, start=start, until=end)


def _moment(stamp: str) -> dt.datetime:
    return dt.datetime.fromisoformat(stamp).replace(tzinfo=dt.UTC)


def _is_utc(zone: str | None) -> bool:
    return zone is None or zone in _UTC


def _other_shape(reason: str) -> InvalidInputError:
    return InvalidInputError(reason=f"This schedule of Prefect has no fixed interval: {reason}")
