"""Holds: what a person has to mend before a transfer can go on."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from prefect_globus.tasks.stopping import Stop
from prefect_globus.transfers.errors import TransferPausedError, TransferStoppedError
from prefect_globus.transfers.options import TransferOptions

_log = logging.getLogger(__name__)

_FREE_SECONDS = 0.2


class Holds:
    """The holds of one driver; from the first to the last of them its transfer is PAUSED.

    Args:
        stop: ends the waiting.
        write: puts the reason of the newest hold on record, and None when there is none any more.
    """

    def __init__(self, stop: Stop, write: Callable[[str | None], None]) -> None:
        self._stop = stop
        self._write = write
        self._lock = threading.RLock()
        self._reasons: dict[Hold, str] = {}
        self._given_up = False

    def hold(self, reason: str, options: TransferOptions) -> Hold:
        """A hold for ``reason``, to be entered."""
        return Hold(self, self._stop, reason, options)

    def wait_until_free(self) -> None:
        """Wait until there is none; TransferStoppedError if nothing new is to be begun."""
        while True:
            self._stop.check_new()
            with self._lock:
                if not self._reasons:
                    return
            self._stop.wait_before_new(_FREE_SECONDS)

    def add(self, hold: Hold) -> None:
        """Take in a new hold."""
        with self._lock:
            self._reasons[hold] = hold.reason
            try:
                self._write(hold.reason)
            except BaseException:
                del self._reasons[hold]  # it is not entered, so nobody would remove it
                raise

    def remove(self, hold: Hold, *, mended: bool) -> None:
        """Drop a hold; one that was not mended leaves the transfer PAUSED."""
        with self._lock:
            self._given_up = self._given_up or not mended
            del self._reasons[hold]
            if not self._given_up:
                self._write(next(reversed(self._reasons.values()), None))


class Hold:
    """One thing that a person has to mend, while the block lasts."""

    def __init__(self, holds: Holds, stop: Stop, reason: str, options: TransferOptions) -> None:
        self.reason = reason
        self._holds = holds
        self._stop = stop
        self._options = options
        self._waits = 0
        self._began = time.monotonic()

    def wait(self) -> None:
        """Wait a while, before another look at whether it is mended.

        Raises:
            TransferPausedError: nobody has mended it within ``pause_limit``.
            TransferStoppedError: the driver is told to stop.
        """
        self._waits += 1
        left = self._began + self._options.pause_limit - time.monotonic()
        if left <= 0:
            raise TransferPausedError(transfer_id=self._stop.transfer_id, reason=self.reason)
        self._stop.wait_before_new(min(left, self._options.api_retry_wait(self._waits, 0.0)))

    def __enter__(self) -> Self:
        _log.warning("Paused: %s. It goes on by itself when that is mended.", self.reason.rstrip("."))
        self._holds.add(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # any other error is of one batch, or is written down as what the transfer failed of
        stops = isinstance(error, (TransferPausedError, TransferStoppedError))
        self._holds.remove(self, mended=not stops and isinstance(error, Exception | None))
