"""Slots: the places that the batches of all transfers of an account share among its Globus tasks."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from uuid import UUID

from prefect_globus.tasks.global_limits import LEASE_SECONDS, GlobalLimit, LimitError, Room
from prefect_globus.tasks.stopping import Stop
from prefect_globus.transfers.errors import TransferError

_log = logging.getLogger(__name__)

_LOOK_SECONDS = 1.0
_RENEW_SECONDS = 15.0
_TICK_SECONDS = 2.0
_LAST_TRIES = 5
_LAST_SECONDS = 15.0  # for these: what is left then becomes free by itself
_PLENTY = 2  # more free places than these, and nobody waits for one
# A server on SQLite answers 503 while its database is busy, and one that is started again is back in a while.
_BUSY_SECONDS = 15.0
_SILENT_SECONDS = 30.0
# When a place that nobody has is known to be none's: no lease is so old, and Prefect looks for expired ones every 15 s.
_LEAK_SECONDS = LEASE_SECONDS + 30.0
_LEAK_LOOKS = 5


class Slots:
    """As many places as are wanted, where nobody counts them."""

    def take(self, stop: Stop) -> UUID | None:
        """Wait for a place and take it; its lease, or None where there is none.

        Raises:
            TransferStoppedError: nothing new is to be begun.
        """
        stop.check_new()
        return None

    def keep(self, slot: UUID | None) -> None:
        """Keep a place that the last driver has left, with the Globus task for which it had taken it."""

    def free(self, slot: UUID | None) -> None:
        """Give a place back; no error when it was lost."""

    def close(self) -> None:
        """Keep nothing any more. What was not given back expires by itself."""


class SharedSlots(Slots):
    """The places of a global concurrency limit of Prefect, for one transfer.

    Each transfer has one waiter at a time, whatever its concurrency, and one that has had its place lets the waiters
    of others go first when places are short: so the transfers of an account share it fairly.

    Without its server the transfer goes on: a limit of Globus' own makes it queue tasks, and nothing is lost.

    Args:
        limit: the places.
        unfinished: how many unfinished tasks of the account Globus has: the truth, where Prefect has lost count.
    """

    def __init__(self, limit: GlobalLimit, unfinished: Callable[[], int]) -> None:
        self._limit = limit
        self._unfinished = unfinished
        self._kept: dict[UUID, float] = {}  # the leases, with when each was known to be good
        self._forgotten: set[UUID] = set()
        self._unfreed: dict[UUID, Callable[[], None]] = {}
        self._spare: list[UUID] = []  # kept from one batch to the next, as long as nobody else is short of places
        self._plenty = False
        self._lock = threading.Lock()
        self._turn = threading.Lock()
        self._newcomer = True
        self._silent_until = 0.0
        self._said = False
        self._closed = threading.Event()
        self._keeper: threading.Thread | None = None

    def take(self, stop: Stop) -> UUID | None:
        """Wait for a place and take it; its lease, or None while Prefect's server is out of reach."""
        stop.check_new()
        with self._lock:
            if self._spare:
                return self._spare.pop()
        with self._one_waiter(stop):
            if time.monotonic() < self._silent_until:
                return None
            try:
                lease = self._waited_for(stop)
            except LimitError as error:
                self._go_without(error)
                return None
        self._note(lease, time.monotonic())
        return lease

    def keep(self, slot: UUID | None) -> None:
        """Renew a lease of the last driver, if it has not expired."""
        if slot is not None:
            self._note(slot, -LEASE_SECONDS)

    def free(self, slot: UUID | None) -> None:
        """Give a place back, or keep it for the next batch as long as there are plenty."""
        if slot is None:
            return
        with self._lock:
            if slot in self._spare:
                return
            if self._plenty and slot in self._kept and not self._closed.is_set():
                self._spare.append(slot)
                return
        self._give_back(slot)

    def _give_back(self, slot: UUID) -> None:
        """Give a place back for others; one whose lease the server has forgotten is uncounted."""
        with self._lock:
            self._kept.pop(slot, None)
            forgotten = slot in self._forgotten
            self._forgotten.discard(slot)
            self._unfreed[slot] = self._limit.uncount if forgotten else partial(self._limit.release, slot)
        self._free()

    def close(self) -> None:
        """Renew nothing any more, and give back what is still to be given back."""
        self._closed.set()
        if self._keeper is not None:
            self._keeper.join()
        self._give_back_spare()
        give_up = time.monotonic() + _LAST_SECONDS
        for _ in range(_LAST_TRIES):
            if not self._unfreed or time.monotonic() > give_up:
                break
            time.sleep(_LOOK_SECONDS / 4)
            self._free()
        self._limit.close()

    # --- waiting for a place

    @contextmanager
    def _one_waiter(self, stop: Stop) -> Iterator[None]:
        while not self._turn.acquire(timeout=_LOOK_SECONDS / 4):
            stop.check_new()
        try:
            yield
        finally:
            self._turn.release()

    def _waited_for(self, stop: Stop) -> UUID:
        began = answered = time.monotonic()
        left_to_others = 0 if self._newcomer else 1
        counts: list[int] = []
        while True:
            # who lets others go first waits longer than any of them between two looks
            patience = 1.0 if left_to_others else 0.5
            try:
                room = self._limit.room()
                if room.free > left_to_others and (lease := self._limit.lease()) is not None:
                    self._newcomer = False
                    self._plenty = room.free > _PLENTY
                    return lease
                answered = time.monotonic()
                if answered - began > _LEAK_SECONDS:
                    self._find_leaks(room, counts)
            except LimitError:
                if time.monotonic() - answered > _BUSY_SECONDS:
                    raise
                patience = 0.1
            stop.wait_before_new(_LOOK_SECONDS * random.uniform(patience, patience + 0.5))  # noqa: S311 - no secret
            left_to_others = 0

    def _find_leaks(self, room: Room, counts: list[int]) -> None:
        """Give free what Prefect counts as taken though no Globus task has it.

        By default Prefect's server keeps leases in memory only, and its counts in the database: when it is started
        again, what was taken stays so for ever.
        """
        try:
            counts.append(self._unfinished())
        except TransferError as error:
            _log.debug("Globus does not say how many tasks there are: %s", error)
            return
        if len(counts) < _LEAK_LOOKS:  # one that was just taken, and is about to be submitted, is no leak
            return
        most = max(counts)
        counts.clear()
        if most < room.taken and self._limit.room() == room:
            _log.warning("Prefect counts %s Globus tasks, but there are %s: corrected", room.taken, most)
            self._limit.correct(most)

    def _go_without(self, error: LimitError) -> None:
        self._silent_until = time.monotonic() + _SILENT_SECONDS
        if not self._said:
            self._said = True
            _log.warning("Prefect's server does not count the Globus tasks, so the transfer goes on alone: %s", error)

    # --- keeping places

    def _note(self, lease: UUID, good_at: float) -> None:
        with self._lock:
            self._kept[lease] = good_at
            if self._keeper is None:
                self._keeper = threading.Thread(target=self._work, name="places among Globus tasks", daemon=True)
                self._keeper.start()

    def _work(self) -> None:
        while not self._closed.wait(_TICK_SECONDS):
            with self._lock:
                kept = dict(self._kept)
            for lease, good_at in kept.items():
                if self._closed.is_set():
                    return
                now = time.monotonic()
                if now - good_at >= _RENEW_SECONDS:
                    self._renew(lease, good_at, now)
            self._give_back_spare()
            self._free()

    def _give_back_spare(self) -> None:
        """Give back what no batch has taken for a while, and look whether there are still plenty."""
        if self._plenty and not self._closed.is_set():
            try:
                self._plenty = self._limit.room().free > _PLENTY
            except LimitError:
                self._plenty = False
        with self._lock:
            spare, self._spare = self._spare, []
        for slot in spare:
            self._give_back(slot)

    def _free(self) -> None:
        """Give back what is to be given back; what is not for now is left for the next time."""
        with self._lock:
            unfreed, self._unfreed = self._unfreed, {}
        for slot, give_back in unfreed.items():
            try:
                give_back()
            except LimitError as error:
                _log.debug("A place could not be given back yet: %s", error)
                with self._lock:
                    self._unfreed[slot] = give_back

    def _renew(self, lease: UUID, good_at: float, now: float) -> None:
        try:
            renewed = self._limit.renew(lease)
        except LimitError as error:
            _log.debug("A place could not be renewed: %s", error)
            return
        with self._lock:
            if lease not in self._kept:  # given back meanwhile
                return
            if renewed:
                self._kept[lease] = now
                return
            del self._kept[lease]
            if lease in self._spare:
                self._spare.remove(lease)
            if now - good_at < LEASE_SECONDS:  # gone before its time: the server was started again, see `_find_leaks`
                self._forgotten.add(lease)
