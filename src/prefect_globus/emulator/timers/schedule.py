"""When a timer runs: arithmetic without any state (contract section 7).

A timer is due at its ticks: tick n+1 is at start + n * interval. Every moment here is real, in seconds since the epoch.

With a time scale s, what a client asks for is drawn together around the moment when it asks: a start in two hours comes
in two hours / s, ticks follow at interval / s, and the end comes (end - start) / s after the start. So `next_run` and
every other time of a document, but for the schedule itself, tells when a thing really happens.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

SHORTEST_INTERVAL = 60
LONGEST_INTERVAL = 365 * 86_400
FURTHEST_START = 365 * 86_400.0  # from the creation of the timer

LONGEST_RETRY = 45 * 60.0
SHORTEST_RETRIED_INTERVAL = 120.0


def real_moment(asked: float, now: float, scale: float) -> float:
    """Return when a moment really comes that a client has asked for at `now`."""
    return now + (asked - now) / scale


def retry_window(interval: float | None) -> float:
    """Return for how many seconds of Globus time a run is tried to be started, if what hinders it may pass.

    Args:
        interval: seconds of Globus time from tick to tick, or None for a timer that runs once.
    """
    if interval is None:
        return LONGEST_RETRY
    return min(interval / 2, LONGEST_RETRY) if interval >= SHORTEST_RETRIED_INTERVAL else 0.0


@dataclass(frozen=True, slots=True)
class Schedule:
    """The ticks of a timer.

    Attributes:
        start: the first tick.
        interval: real seconds from tick to tick, or None if there is only one.
        ends_at: there are no ticks after this moment.
        count: how many runs there are at most. A tick that was skipped is no run.
    """

    start: float
    interval: float | None = None
    ends_at: float | None = None
    count: int | None = None

    def tick(self, number: int) -> float | None:
        """Return when a tick comes, the first being number 0, or None if there is no such tick."""
        if number and self.interval is None:
            return None
        moment = self.start + number * (self.interval or 0.0)
        return None if self.ends_at is not None and moment > self.ends_at else moment

    def tick_after(self, moment: float) -> float | None:
        """Return the first tick that comes after a moment, or None if there is none."""
        if moment < self.start:
            return self.tick(0)
        if self.interval is None:
            return None
        number = math.floor((moment - self.start) / self.interval)
        while (found := self.tick(number)) is not None and found <= moment:  # a quotient may be rounded down
            number += 1
        return found

    def next_run(self, moment: float, runs: int) -> float | None:
        """Return when the next run is due after a moment and so many runs, or None if there are to be no more."""
        return None if self.count is not None and runs >= self.count else self.tick_after(moment)
