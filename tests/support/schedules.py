"""Random schedules, near the days when clocks change."""

from __future__ import annotations

import datetime as dt

from hypothesis import strategies as st

from prefect_globus import TransferSchedule

START = dt.datetime(2026, 11, 22, 2, tzinfo=dt.UTC)

_CLOCKS_CHANGE = (dt.datetime(2026, 3, 29, 1, tzinfo=dt.UTC), dt.datetime(2026, 10, 25, 1, tzinfo=dt.UTC), START)
_INTERVALS = (1, 7, 59, 60, 61, 90, 3_599, 3_600, 5_400, 86_400, 90_000, 604_800, 31_536_000)


def moments() -> st.SearchStrategy[dt.datetime]:
    """Within some days of a change of clocks."""
    seconds = st.integers(-5 * 86_400, 5 * 86_400)
    return st.builds(lambda day, after: day + dt.timedelta(seconds=after), st.sampled_from(_CLOCKS_CHANGE), seconds)


@st.composite
def schedules(draw: st.DrawFn) -> TransferSchedule:
    """A schedule of any kind, with a beginning."""
    start = draw(moments())
    if draw(st.booleans()) and draw(st.booleans()):
        return TransferSchedule.once(start)
    seconds = draw(st.one_of(st.sampled_from(_INTERVALS), st.integers(1, 10**6)))
    end = draw(st.sampled_from(["never", "count", "time"]))
    if end == "count":
        return TransferSchedule.every(seconds, start=start, count=draw(st.integers(1, 100)))
    if end == "time":
        lasts = draw(st.integers(0, 30)) * seconds + draw(st.integers(0, seconds - 1))
        return TransferSchedule.every(seconds, start=start, until=start + dt.timedelta(seconds=lasts))
    return TransferSchedule.every(seconds, start=start)
