"""One of Prefect's global concurrency limits: what all processes share that ask the same Prefect server."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from contextvars import copy_context
from http import HTTPStatus
from typing import NamedTuple, ParamSpec, TypeVar
from uuid import UUID

from httpx import HTTPError, HTTPStatusError
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import GlobalConcurrencyLimitUpdate
from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound

from prefect_globus.tasks.prefect_client import impatient_client

LEASE_SECONDS = 60.0  # the shortest that Prefect gives

_TIMEOUT_SECONDS = 10.0
# All places are taken, or there are fewer than were asked for.
_DENIED = (HTTPStatus.LOCKED, HTTPStatus.UNPROCESSABLE_ENTITY)
_P = ParamSpec("_P")
_T = TypeVar("_T")


class LimitError(Exception):
    """Prefect's server does not answer, or not as it should."""


class _RefusedError(LimitError):
    """It refuses what it is asked for, with this status."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class Room(NamedTuple):
    """The places of a limit: how many are taken, of how many."""

    taken: int
    size: int

    @property
    def free(self) -> int:
        """How many are left."""
        return self.size - self.taken


class GlobalLimit:
    """A global concurrency limit, by its name. Every method may be called from any thread and raises LimitError.

    Args:
        name: of the limit, which is made when it is first asked for.
        size: how many places it has.
        decay: how many places become free by themselves in a second; 0 for those that are leased.
    """

    def __init__(self, name: str, size: int, decay: float = 0.0) -> None:
        self._name = name
        self._size = size
        self._decay = decay
        self._made = False
        self._opened = ExitStack()
        # A context of our own for all calls: Prefect's retries are long sleeps that no stop can interrupt.
        self._context = copy_context()
        self._client = self._context.run(self._open)

    def _open(self) -> SyncPrefectClient:
        return self._opened.enter_context(impatient_client(_TIMEOUT_SECONDS))

    def close(self) -> None:
        """Close the connections; places that are leased stay so until their leases expire."""
        self._context.run(self._opened.close)

    def room(self) -> Room:
        """How many places are taken, and how many there are."""
        self._make()
        try:
            limit = self._ask(self._client.read_global_concurrency_limit_by_name, self._name)
        except _RefusedError:
            self._made = False  # somebody may have deleted it: it is made again when it is next asked for
            raise
        return Room(limit.active_slots, limit.limit)

    def lease(self) -> UUID | None:
        """Take a place, for `LEASE_SECONDS` unless it is renewed; None when all are taken."""
        try:
            answer = self._ask(
                self._client.increment_concurrency_slots_with_lease, [self._name], 1, "concurrency", LEASE_SECONDS
            )
        except _RefusedError as error:
            if error.status not in _DENIED:
                raise
            return None
        return UUID(answer.json()["lease_id"])

    def renew(self, lease: UUID) -> bool:
        """Keep a place for another `LEASE_SECONDS`; False when the lease is gone."""
        try:
            self._ask(self._client.renew_concurrency_lease, lease, LEASE_SECONDS)
        except _RefusedError as error:
            if error.status != HTTPStatus.GONE:
                raise
            return False
        return True

    def release(self, lease: UUID) -> None:
        """Give a place back; no error when its lease is gone."""
        self._ask(self._client.release_concurrency_slots_with_lease, lease)

    def uncount(self) -> None:
        """Count one place less as taken, whose lease the server has forgotten."""
        self._ask(self._client.release_concurrency_slots, [self._name], 1, 1.0)

    def correct(self, taken: int) -> None:
        """Have ``taken`` places count as taken."""
        self._ask(
            self._client.update_global_concurrency_limit, self._name, GlobalConcurrencyLimitUpdate(active_slots=taken)
        )

    def occupy(self, places: int) -> bool:
        """Take several places that become free by themselves; False when there are not that many."""
        self._make()
        try:
            self._ask(self._client.increment_concurrency_slots, [self._name], places, "rate_limit")
        except _RefusedError as error:
            if error.status not in _DENIED:
                raise
            return False
        return True

    def _make(self) -> None:
        if not self._made:
            try:
                self._ask(self._client.upsert_global_concurrency_limit_by_name, self._name, self._size, self._decay)
            except _RefusedError as error:
                if error.status != HTTPStatus.CONFLICT:  # another process was faster
                    raise
            self._made = True

    def _ask(self, call: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        try:
            return self._context.copy().run(call, *args, **kwargs)
        except ObjectNotFound as error:
            raise _RefusedError(HTTPStatus.NOT_FOUND, str(error)) from error
        except ObjectAlreadyExists as error:
            raise _RefusedError(HTTPStatus.CONFLICT, str(error)) from error
        except HTTPStatusError as error:
            raise _RefusedError(error.response.status_code, str(error).partition("\n")[0]) from error
        except HTTPError as error:
            raise LimitError(f"{type(error).__name__}: {error}") from error
