"""Listing directories before a walk comes to them, several at once, within bounded memory."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future
from contextvars import copy_context
from heapq import heappop, heappush
from types import TracebackType
from typing import Generic, Protocol, Self, TypeVar

from prefect_globus.transfers.items import scan_order

MOST_AT_ONCE = 16  # listings; at the 20 requests a second that Globus allows, that is enough for 0.8 s of latency
MOST_HELD = 100_000  # entries, as many as one listing may have


class Found(Protocol):
    """What was found in a directory."""

    @property
    def width(self) -> int:
        """How many entries it holds in memory."""

    @property
    def ahead(self) -> Sequence[str]:
        """The paths of the directories in it that the walk is going to enter."""


_F = TypeVar("_F", bound=Found)


class LookAhead(Generic[_F]):
    """Looks into directories in the order in which a walk will, as far ahead as there is room.

    Room is bounded by `MOST_AT_ONCE`, and by `MOST_HELD`: what was found and not yet taken, and what is on its way, of
    which no more is asked for than twice what was found last. What has more than that, and what fails, is not tried
    again here: the walk asks for itself when it comes there, so it meets errors in order, and until it was answered
    nothing else is asked for. Large directories are left to the walk, too: they take long to read and not to ask for,
    and each thread that has read one would keep its memory.
    """

    def __init__(self, pool: Executor | None, look: Callable[[str, int], _F | None]) -> None:
        """A look-ahead that knows of no directory yet.

        Args:
            pool: whose threads look; None to look at nothing.
            look: looks into the directory with this path, once; None where it has as many entries as asked for.
        """
        self._pool = pool
        self._look = look
        self._lock = threading.RLock()
        self._known: list[str] = []  # not yet asked for: a heap of keys that sort as the walk goes
        self._asked: dict[str, Future[_F | None]] = {}
        self._in_flight = 0
        self._held = 0  # in memory, or kept free for what is on its way
        self._usual = _widest()  # so that it begins slowly
        self._rests = pool is None

    def take(self, path: str) -> _F | None:
        """What was found in the directory ``path``, waiting for it; None where the walk has to ask for itself.

        The walk has then left behind whatever comes before ``path``.
        """
        with self._lock:
            asked = self._asked.pop(path, None)
            while self._known and self._known[0] <= scan_order(path):
                heappop(self._known)
        if asked is None or asked.exception() is not None:
            return None
        found = asked.result()
        if found is not None:
            with self._lock:
                self._held -= found.width
        self._fill()
        return found

    def go_on(self, found: _F) -> None:
        """Look into the directories in what the walk has found for itself, too."""
        self._rests = self._pool is None
        self._note(found)
        self._fill()

    def _note(self, found: _F) -> None:
        with self._lock:
            self._usual = max(found.width, self._usual // 2)
            for path in found.ahead:
                heappush(self._known, scan_order(path))

    def _fill(self) -> None:
        with self._lock:
            while self._known and self._has_room and self._pool is not None:
                path, most = heappop(self._known).replace("\0", "/"), self._most
                self._in_flight += 1
                self._held += most
                self._asked[path] = self._pool.submit(copy_context().run, self._found, path, most)

    @property
    def _most(self) -> int:
        """How many entries to ask for, as an answer is in memory before it is known how large it is."""
        return min(_widest(), max(_widest() // 2, 2 * self._usual))

    @property
    def _has_room(self) -> bool:
        rests = self._rests or self._usual > _widest()
        return not rests and self._in_flight < MOST_AT_ONCE and self._held + self._most <= MOST_HELD

    def _found(self, path: str, most: int) -> _F | None:
        try:
            found = self._look(path, most)
        except BaseException:
            self._rests = True
            raise
        else:
            if found is None:
                self._rests = True
            else:
                with self._lock:
                    self._held += found.width
                self._note(found)
            return found
        finally:
            with self._lock:
                self._held -= most
                self._in_flight -= 1
            self._fill()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            self._pool = None
            for asked in self._asked.values():
                asked.cancel()
            self._asked.clear()


def _widest() -> int:
    """From how many entries on a directory is large."""
    return MOST_HELD // MOST_AT_ONCE
