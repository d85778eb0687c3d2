"""Taking, keeping and giving back the lease of a transfer."""

from __future__ import annotations

import logging
import threading
import time
from types import TracebackType
from typing import Self

from prefect_globus.blocks.checkpoints import CheckpointStore
from prefect_globus.tasks.processes import is_gone, this_holder
from prefect_globus.tasks.stopping import Stop, StopReason
from prefect_globus.transfers.errors import LeaseHeldError, LeaseLostError, StoreError
from prefect_globus.transfers.model import Holder, Lease

_log = logging.getLogger(__name__)

_RETRY_SECONDS = 0.5
_HEARTBEAT_SECONDS = 2.0


def take_lease(
    store: CheckpointStore, transfer_id: str, seconds: float, wait: float, holder: Holder | None = None
) -> Lease:
    """Take the lease, waiting up to ``wait`` seconds while another process holds it.

    A lease whose holder is known to be dead is taken over at once.

    Args:
        store: where the transfer is.
        transfer_id: which.
        seconds: until it expires.
        wait: for how long to wait for it, in seconds.
        holder: who takes it; the same one again when the answer was lost. This process when left out.

    Raises:
        LeaseHeldError: it is still held.
    """
    give_up = time.monotonic() + wait
    holder = holder or this_holder()
    while True:
        try:
            return store.acquire_lease(transfer_id, holder, seconds, replacing=_replaceable(store, transfer_id, holder))
        except LeaseHeldError:
            if time.monotonic() >= give_up:
                raise
        time.sleep(min(_RETRY_SECONDS, max(0.0, give_up - time.monotonic())))


def _replaceable(store: CheckpointStore, transfer_id: str, holder: Holder) -> int | None:
    """The token of a lease that is in nobody's way: its holder is dead, or it is our own and its answer was lost."""
    lease = store.current_lease(transfer_id)
    return lease.token if lease is not None and (lease.holder == holder or is_gone(lease.holder)) else None


class Tenure:
    """The time for which a driver has its lease: a thread of its own renews it until the end, when it is given back.

    The same heartbeat looks for a request to pause or cancel. A lost lease and such a request set ``stop``.

    Args:
        store: where the transfer is.
        lease: as it was taken.
        seconds: for how long each renewal is.
        stop: of the driver.
    """

    def __init__(self, store: CheckpointStore, lease: Lease, seconds: float, stop: Stop) -> None:
        self.lease = lease
        self._store = store
        self._seconds = seconds
        self._stop = stop
        self._certain_until = 0.0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._beat, name=f"lease of {lease.transfer_id}", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()
        try:
            self._store.release_lease(self.lease)
        except StoreError as failure:
            _log.warning("The lease could not be released and will expire by itself: %s", failure)

    def ensure(self) -> None:
        """Make certain that the lease is still ours: before what no store can refuse, as a request to Globus.

        It asks the store only when the lease may have expired since it was renewed last, as it does for a process
        that was suspended, or a machine that slept.

        Raises:
            LeaseLostError: another process drives the transfer now.
            StoreUnavailableError: that cannot be known.
        """
        if _clock() >= self._certain_until:
            self._renew()

    def _renew(self) -> None:
        asked = _clock()
        try:
            self._store.renew_lease(self.lease, self._seconds)
        except LeaseLostError:
            self._stop.request(StopReason.LEASE_LOST)
            raise
        self._certain_until = asked + self._seconds

    def _beat(self) -> None:
        while not self._ended.wait(min(_HEARTBEAT_SECONDS, self._seconds / 4)):
            try:
                self._renew()
                self._stop.ask(self._store.pending_request(self.lease.transfer_id))
            except LeaseLostError as error:
                _log.warning("%s", error)
                return
            except StoreError as error:
                # every write is fenced by the lease, so going on without a heartbeat is safe; the next one may work
                _log.warning("The lease could not be renewed: %s", error)


def _clock() -> float:
    """Seconds of a clock that goes on while this process is suspended and, on Linux, while the machine sleeps."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()
