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
        self._obeyed: StopReason | None = None
        self.reason: StopReason | None = None

    def request(self, reason: StopReason) -> None:
        """Tell every thread to stop; the first reason stays. One that was obeyed is not heard again."""
        with self._lock:
            if reason is not self._obeyed:
                self.reason = self.reason or reason
                self._event.set()

    def obey(self, reason: StopReason) -> None:
        """Go on, to clear up what ``reason`` has left; only another reason stops that."""
        with self._lock:
            self._obeyed = reason
            if self.reason in (None, reason):
                self.reason = None
                self._event.clear()

    def wait(self, seconds: float) -> None:
        """Sleep for ``seconds``, or raise TransferStoppedError as soon as a stop is requested."""
        if self._event.wait(seconds):
            raise TransferStoppedError(transfer_id=self._transfer_id)

    def check(self) -> None:
        """Raise TransferStoppedError if a stop was requested."""
        self.wait(0)
