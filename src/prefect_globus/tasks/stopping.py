"""The one stop event that reaches every thread of a driver."""

from __future__ import annotations

import threading
import time
from enum import StrEnum

from prefect_globus.transfers.errors import TransferStoppedError
from prefect_globus.transfers.model import Request


class StopReason(StrEnum):
    """Why a driver stops before its transfer has ended."""

    CANCELED = "canceled"  # somebody asked for it: what runs at Globus is canceled, too
    PAUSED = "paused"  # somebody asked for it: what runs at Globus has finished, or is canceled
    SUSPENDED = "suspended"  # the flow run is, in Prefect: what runs at Globus goes on
    LEASE_LOST = "lease lost"  # another process drives the transfer now
    INTERRUPTED = "interrupted"  # the process is told to end; the transfer is resumable
    FAILED = "failed"  # an error that no batch can get around


class Stop:
    """Set once, with its reason. Waiting threads wake up at once.

    Before that the driver may drain: what runs goes on to its end, and nothing new is begun.
    """

    def __init__(self, transfer_id: str) -> None:
        self.transfer_id = transfer_id
        self.reason: StopReason | None = None
        self._stopped = threading.Event()
        self._nothing_new = threading.Event()
        self._lock = threading.Lock()
        self._obeyed: StopReason | None = None

    @property
    def why(self) -> StopReason | None:
        """What it was stopped for, whether or not that is being obeyed already."""
        return self.reason or self._obeyed

    @property
    def draining(self) -> bool:
        """Whether nothing new is to be begun."""
        return self._nothing_new.is_set()

    def ask(self, request: Request | None) -> None:
        """Do what somebody has asked of the driver."""
        if request is Request.CANCEL:
            self.request(StopReason.CANCELED)
        elif request is Request.PAUSE_NOW:
            self.request(StopReason.PAUSED)
        elif request is Request.PAUSE:
            self._nothing_new.set()

    def request(self, reason: StopReason) -> None:
        """Tell every thread to stop; the first reason stays. One that was obeyed is not heard again."""
        with self._lock:
            if reason is not self._obeyed:
                self.reason = self.reason or reason
                self._nothing_new.set()
                self._stopped.set()

    def obey(self, reason: StopReason) -> None:
        """Go on, to clear up what ``reason`` has left; only another reason stops that."""
        with self._lock:
            self._obeyed = reason
            if self.reason in (None, reason):
                self.reason = None
                self._stopped.clear()

    def wait(self, seconds: float) -> None:
        """Sleep for ``seconds``, or raise TransferStoppedError as soon as a stop is requested."""
        if self._stopped.wait(seconds):
            raise TransferStoppedError(transfer_id=self.transfer_id)

    def check(self) -> None:
        """Raise TransferStoppedError if a stop was requested."""
        self.wait(0)

    def wait_before_new(self, seconds: float) -> None:
        """Sleep for ``seconds``, or raise TransferStoppedError as soon as nothing new is to be begun."""
        if self._obeyed is not None:  # what is left to do is to clear up
            self.wait(seconds)
        elif self._nothing_new.wait(seconds):
            raise TransferStoppedError(transfer_id=self.transfer_id)

    def check_new(self) -> None:
        """Raise TransferStoppedError if nothing new is to be begun."""
        self.wait_before_new(0)

    def pause(self, seconds: float) -> None:
        """Sleep for ``seconds``, or less when a stop is requested meanwhile; for what goes on nevertheless."""
        if not self._stopped.is_set():
            self._stopped.wait(seconds)
        else:
            time.sleep(seconds)
