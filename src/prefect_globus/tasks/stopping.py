"""The one stop event that reaches every thread of a driver."""

from __future__ import annotations

import threading
from enum import StrEnum

from prefect_globus.transfers.errors import TransferStoppedError


class StopReason(StrEnum):
    """Why a driver stops before its transfer has ended."""

    CANCELED = "canceled"  # somebody asked for it: what runs at Globus is canceled, too
    LEASE_LOST = "lease lost"  # another process drives the transfer now
    INTERRUPTED = "interrupted"  # the process is told to end; the transfer is resumable
    FAILED = "failed"  # an error that no batch can get around


class Stop:
    """Set once, with its reason. Waiting threads wake up at once."""

    def __init__(self, transfer_id: str) -> None:
        self._transfer_id = transfer_id
        self._event = threading.Event()
        self._lock = threading.Lock()
        self.reason: StopReason | None = None

    def request(self, reason: StopReason) -> None:
        """Tell every thread to stop; the first reason stays."""
        with self._lock:
            self.reason = self.reason or reason
        self._event.set()

    def clear(self) -> None:
        """Go on: the stop has been obeyed, and what is left is to clear up."""
        with self._lock:
            self.reason = None
            self._event.clear()

    def wait(self, seconds: float) -> None:
        """Sleep for ``seconds``, or raise TransferStoppedError as soon as a stop is requested."""
        if self._event.wait(seconds):
            raise TransferStoppedError(transfer_id=self._transfer_id)

    def check(self) -> None:
        """Raise TransferStoppedError if a stop was requested."""
        self.wait(0)
