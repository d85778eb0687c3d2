"""The arithmetic of timers, for any start, interval, end, count and time scale."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefect_globus.emulator.timers.documents import timestamp
from prefect_globus.emulator.timers.schedule import (
    LONGEST_INTERVAL,
    LONGEST_RETRY,
    SHORTEST_INTERVAL,
    Schedule,
    real_moment,
    retry_window,
)

MOMENTS = st.floats(1.0, 4e9)
INTERVALS = st.integers(SHORTEST_INTERVAL, LONGEST_INTERVAL)
SCALES = st.sampled_from([0.5, 1.0, 7.0, 60.0, 200.0, 1000.0])


@st.composite
def schedules(draw: st.DrawFn) -> Schedule:
    start = draw(MOMENTS)
    interval = draw(INTERVALS) / draw(SCALES)
    ends_at = draw(st.none() | st.integers(0, 50).map(lambda ticks: start + ticks * interval + 1e-3))
    return Schedule(start, interval, ends_at, draw(st.none() | st.integers(1, 50)))


@given(schedules(), st.integers(0, 1000))
def test_tick_n_is_n_intervals_after_the_start(schedule: Schedule, number: int) -> None:
    """Unless that is after the end."""
    moment = schedule.start + number * schedule.interval
    is_over = schedule.ends_at is not None and moment > schedule.ends_at
    assert schedule.tick(number) == (None if is_over else moment)


@given(schedules(), st.integers(-3, 60), st.floats(0, 1))
def test_the_tick_after_a_moment_is_the_first_one_after_it(schedule: Schedule, number: int, fraction: float) -> None:
    """Whether the moment is before the start, right at a tick, or between two."""
    moment = schedule.start + (number + fraction) * schedule.interval
    ticks = [schedule.tick(number) for number in range(100)]
    assert schedule.tick_after(moment) == next((tick for tick in ticks if tick is None or tick > moment), None)


@given(schedules())
def test_a_timer_that_is_always_on_time_runs_at_every_tick(schedule: Schedule) -> None:
    """Each run is at the next tick, none is after the end, and there are as many as were asked for, or fewer."""
    moment, runs = schedule.start, []
    following: float | None = moment
    while following is not None and len(runs) < 60:
        runs.append(following)
        following = schedule.next_run(following, len(runs))
    assert runs == [schedule.start + number * schedule.interval for number in range(len(runs))]
    assert schedule.ends_at is None or runs[-1] <= schedule.ends_at
    assert schedule.count is None or len(runs) <= schedule.count
    if schedule.ends_at is None:
        assert len(runs) == (schedule.count or 60)


@given(schedules(), st.integers(0, 60))
def test_a_skipped_tick_does_not_count(schedule: Schedule, skipped: int) -> None:
    """However many ticks went by, there is a next run as long as there were fewer runs than asked for."""
    endless = Schedule(schedule.start, schedule.interval, None, schedule.count)
    moment = endless.tick(skipped)
    runs = (endless.count or 1) - 1
    assert endless.next_run(moment, runs) == endless.tick(skipped + 1)
    assert endless.count is None or endless.next_run(moment, endless.count) is None


@given(MOMENTS, st.floats(-1e6, 1e6))
def test_a_timer_that_runs_once_has_one_tick(start: float, seconds: float) -> None:
    """At its start."""
    schedule = Schedule(start)
    assert (schedule.tick(0), schedule.tick(1)) == (start, None)
    moment = start + seconds
    assert schedule.tick_after(moment) == (start if moment < start else None)


@given(MOMENTS, st.floats(0, 1e7), SCALES)
def test_the_time_scale_draws_moments_together_around_the_present(now: float, seconds: float, scale: float) -> None:
    """What is so many seconds away comes after these seconds by the scale."""
    assert abs(real_moment(now + seconds, now, scale) - (now + seconds / scale)) < 1e-3
    assert real_moment(now, now, scale) == now


@given(st.none() | INTERVALS)
def test_a_run_is_retried_for_half_the_interval_at_most(interval: int | None) -> None:
    """Nor for more than 45 minutes; and not at all if the interval is shorter than two minutes."""
    window = retry_window(interval)
    if interval is None:
        assert window == LONGEST_RETRY == 2700
    elif interval < 120:
        assert window == 0
    else:
        assert window == min(interval / 2, 2700)


@pytest.mark.parametrize("scale", [1e-9, 1e-300])
def test_a_moment_beyond_all_dates_can_be_told(scale: float) -> None:
    """A time scale far below 1 leads there; the document has the last date then, or the first."""
    now = 1.8e9
    assert timestamp(real_moment(now + 3600, now, scale)) == "9999-12-31T23:59:59+00:00"
    assert timestamp(real_moment(now - 3600, now, scale)) == "0001-01-01T00:00:00+00:00"
