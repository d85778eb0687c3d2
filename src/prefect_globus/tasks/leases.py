"""Taking and keeping the lease of a transfer."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from prefect_globus.blocks.checkpoints import CheckpointStore
from prefect_globus.tasks.processes import is_gone, this_holder
from prefect_globus.tasks.stopping import Stop, StopReason
from prefect_globus.transfers.errors import LeaseHeldError, LeaseLostError, StoreError
from prefect_globus.transfers.model import Lease, Request

_log = logging.getLogger(__name__)

_RETRY_SECONDS = 0.5
_HEARTBEAT_SECONDS = 2.0


def take_lease(store: CheckpointStore, transfer_id: str, seconds: float, wait: float) -> Lease:
    """Take the lease, waiting up to ``wait`` seconds while another process holds it.

    A lease whose holder is known to be dead is taken over at once.

    Raises:
        LeaseHeldError: it is still held.
    """
    give_up = time.monotonic() + wait
    while True:
        try:
            return store.acquire_lease(transfer_id, this_holder(), seconds, replacing=_dead(store, transfer_id))
        except LeaseHeldError:
            if time.monotonic() >= give_up:
                raise
        time.sleep(min(_RETRY_SECONDS, max(0.0, give_up - time.monotonic())))


def _dead(store: CheckpointStore, transfer_id: str) -> int | None:
    lease = store.current_lease(transfer_id)
    return lease.token if lease is not None and is_gone(lease.holder) else None


@contextmanager
def kept(store: CheckpointStore, lease: Lease, seconds: float, stop: Stop) -> Iterator[None]:
    """Renew ``lease`` in a thread of its own until the end, then release it.

    The same heartbeat looks for a request to cancel. A lost lease and such a request set ``stop``.
    """
    ended = threading.Event()
    thread = threading.Thread(target=_beat, args=(store, lease, seconds, stop, ended), daemon=True)
    thread.name = f"lease of {lease.transfer_id}"
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        _release(store, lease)


def _beat(store: CheckpointStore, lease: Lease, seconds: float, stop: Stop, ended: threading.Event) -> None:
    while not ended.wait(min(_HEARTBEAT_SECONDS, seconds / 4)):
        try:
            store.renew_lease(lease, seconds)
            if store.pending_request(lease.transfer_id) is Request.CANCEL:
                stop.request(StopReason.CANCELED)
        except LeaseLostError as error:
            _log.warning("%s", error)
            stop.request(StopReason.LEASE_LOST)
            return
        except StoreError as error:
            # every write is fenced by the lease, so going on without a heartbeat is safe; the next one may work
            _log.warning("The lease could not be renewed: %s", error)


def _release(store: CheckpointStore, lease: Lease) -> None:
    try:
        store.release_lease(lease)
    except StoreError as error:
        _log.warning("The lease could not be released and will expire by itself: %s", error)
