"""What all flow runs with the same login share: Globus' limits on its tasks and its requests."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager

from prefect_globus.blocks import GlobusCredentials
from prefect_globus.globus.rate import Pace
from prefect_globus.globus.service import GlobusService
from prefect_globus.tasks.global_limits import GlobalLimit, LimitError
from prefect_globus.tasks.prefect_client import has_server
from prefect_globus.tasks.slots import SharedSlots, Slots

_log = logging.getLogger(__name__)

# What other processes may take of the account's requests at once, and from then on: contract, section 10, with a rest
# for those who are too quiet to ask.
_SHARED_FLOW = 0.8


@contextmanager
def connected(credentials: GlobusCredentials, *, at_once: bool = True) -> Iterator[GlobusService]:
    """Globus Transfer with these credentials, at the pace of their account; see `GlobusService`."""
    with ExitStack() as stack:
        yield stack.enter_context(
            closing(GlobusService(credentials.get_transfer_client, _pace_for(credentials, stack), at_once=at_once))
        )


def slots_for(credentials: GlobusCredentials, globus: GlobusService) -> Slots:
    """The places of the account among its Globus tasks, for one transfer; as many as wanted without a server."""
    if not has_server():
        return Slots()
    limit = GlobalLimit(f"globus-tasks-{credentials.account}", credentials.max_tasks)
    return SharedSlots(limit, globus.unfinished)


def _pace_for(credentials: GlobusCredentials, stack: ExitStack) -> Pace | None:
    per_second = credentials.pace
    if per_second is None:
        return None
    account = credentials.account
    if not has_server():
        return Pace(account, per_second)
    limit = GlobalLimit(f"globus-requests-{account}", per_second, per_second * _SHARED_FLOW)
    stack.callback(limit.close)
    return Pace(account, per_second, _Borrowing(limit).borrow)


class _Borrowing:
    """Asks the Prefect server whether the other processes leave room for more requests."""

    def __init__(self, limit: GlobalLimit) -> None:
        self._limit = limit
        self._said = False

    def borrow(self, requests: int) -> bool:
        try:
            return self._limit.occupy(requests)
        except LimitError as error:
            if not self._said:
                self._said = True
                _log.warning("Prefect's server does not meter the requests to Globus: %s", error)
            return True
