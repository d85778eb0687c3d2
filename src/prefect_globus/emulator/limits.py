"""How the network treats requests: their latency, how many of them a user may make, and how much one may list."""

from __future__ import annotations

import math
import threading
import time
from dataclasses import dataclass

from prefect_globus.emulator.errors import ApiError

METERED_SECONDS = 10.0  # contract section 10
LARGEST_METER = 10_000
LARGEST_LISTING = 100_000  # contract section 5


@dataclass(frozen=True, slots=True)
class Network:
    """What a request meets on its way, in real seconds, which the time scale does not touch.

    Attributes:
        latency: seconds that every request waits before it is looked at.
        requests_per_second: how many requests a second a user may make of the Transfer API; 0 for no limit.
        listing_limit: how many entries a directory may have that is listed.
    """

    latency: float = 0.0
    requests_per_second: int = 0
    listing_limit: int = LARGEST_LISTING


class TooManyRequests(ApiError):  # noqa: N818 -- as the others
    """A user makes too many requests. The code is our choice: [inferred]."""

    def __init__(self, retry_after: int) -> None:
        message = f"Too many requests. Ask again in {retry_after} s"
        super().__init__(429, "TooManyRequests", message, headers={"Retry-After": str(retry_after)})


class RequestMeter:
    """Meters the requests of each identity over 10 seconds: so many may come at once, then `per_second` [inferred].

    A full allowance is 10 seconds' worth. Each request takes one from it, and it fills up again as time goes by.
    """

    def __init__(self, per_second: int) -> None:
        self._per_second = per_second
        self._full = per_second * METERED_SECONDS
        self._lock = threading.Lock()
        self._left: dict[str, tuple[float, float]] = {}  # by identity: the allowance, and when that was so

    def check(self, identity: str) -> None:
        """Count a request. Raises TooManyRequests, with the whole seconds until the next may come."""
        if not self._per_second:
            return
        now = time.monotonic()
        with self._lock:
            left = self._now(identity, now)
            if left < 1.0:
                raise TooManyRequests(math.ceil((1.0 - left) / self._per_second))
            if len(self._left) >= LARGEST_METER:
                self._left = {one: kept for one, kept in self._left.items() if self._now(one, now) < self._full}
            self._left[identity] = (left - 1.0, now)

    def _now(self, identity: str, now: float) -> float:
        left, then = self._left.get(identity, (self._full, now))
        return min(self._full, left + (now - then) * self._per_second)
