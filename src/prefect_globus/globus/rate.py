"""The pace of requests: Globus meters those of a user over 10 seconds (contract, section 10)."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from typing import Any

import globus_sdk
from requests import PreparedRequest, Response
from requests.adapters import BaseAdapter

from prefect_globus.telemetry.metrics import metrics

# In any 10 seconds a full bucket and what flows in make the 10 seconds' worth that Globus allows: 1 + 10 * 0.9 = 10.
_FLOW = 0.9
_QUIET_FLOW = 0.05
_QUIET_BURST = 0.5
_BULK = 0.5  # of a second's worth is asked of the others at once
_LOOK_SECONDS = 0.4
_MOST_SECONDS = 10.0


class Bucket:
    """A token bucket, for all threads: ``burst`` at once, then ``per_second``."""

    def __init__(self, per_second: float, burst: float) -> None:
        self._per_second = per_second
        self._burst = burst
        self._left = burst
        self._at = time.monotonic()
        self._lock = threading.Lock()

    def draw(self) -> float:
        """Draw the next token; how long to wait for it, in seconds. Who draws first is served first."""
        with self._lock:
            self._left = self._now() - 1.0
            return max(0.0, -self._left / self._per_second)

    def draw_if_any(self) -> bool:
        """Draw a token if there is one."""
        with self._lock:
            self._left = self._now()
            if self._left < 1.0:
                return False
            self._left -= 1.0
            return True

    def _now(self) -> float:
        before, self._at = self._at, time.monotonic()
        return min(self._burst, self._left + (self._at - before) * self._per_second)


class Pace:
    """How fast one service may make its requests.

    All services of this process that have the same account draw from one bucket. With other processes they share by
    ``borrow``, which is asked in bulk, and only by who is not quiet: what makes a request now and then pays nothing.

    Args:
        account: names the login.
        per_second: how many requests a second the account may make.
        borrow: whether so many requests may be made now, as far as others are concerned.
    """

    def __init__(self, account: str, per_second: float, borrow: Callable[[int], bool] | None = None) -> None:
        self._bucket = _bucket_of(account, per_second)
        self._borrow = borrow
        self._quiet = Bucket(per_second * _QUIET_FLOW, max(1.0, per_second * _QUIET_BURST))
        self._bulk = max(1, int(per_second * _BULK))
        self._borrowed = 0
        self._lock = threading.Lock()

    def wait(self) -> None:
        """Wait until the next request may be made."""
        time.sleep(self._bucket.draw())
        if self._borrow is None or self._quiet.draw_if_any():
            return
        with self._lock:
            give_up = time.monotonic() + _MOST_SECONDS  # Globus itself refuses what is too much, and says for how long
            while not self._borrowed:
                if self._borrow(self._bulk) or time.monotonic() > give_up:
                    self._borrowed = self._bulk
                else:
                    time.sleep(_LOOK_SECONDS * random.uniform(0.5, 1.0))  # noqa: S311 - no secret
            self._borrowed -= 1

    def hold(self, client: globus_sdk.TransferClient) -> None:
        """Have every request of ``client`` wait, those that globus-sdk makes again included."""
        session = client.transport.session
        for scheme, adapter in list(session.adapters.items()):
            session.mount(scheme, _Paced(adapter, self))


class _Paced(BaseAdapter):
    """Sends requests as another adapter does, when it is time for them."""

    def __init__(self, adapter: BaseAdapter, pace: Pace) -> None:
        super().__init__()
        self._adapter = adapter
        self._pace = pace
        self._metrics = metrics()

    def send(self, request: PreparedRequest, **options: Any) -> Response:  # type: ignore[override] # noqa: ANN401
        began = time.monotonic()
        self._pace.wait()
        if self._metrics is not None:
            self._metrics.paced.inc(time.monotonic() - began)
        return self._adapter.send(request, **options)

    def close(self) -> None:
        self._adapter.close()


_buckets: dict[tuple[str, float], Bucket] = {}
_buckets_lock = threading.Lock()


def _bucket_of(account: str, per_second: float) -> Bucket:
    with _buckets_lock:
        key = (account, per_second)
        if key not in _buckets:
            _buckets[key] = Bucket(per_second * _FLOW, max(1.0, per_second))
        return _buckets[key]
