"""Standing in for a driver: what is done about a transfer that nobody drives, apart from a run."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing, contextmanager

from globus_sdk import TransferClient

from prefect_globus.blocks import CheckpointStore, GlobusCredentials
from prefect_globus.flows.blocks import find_credentials
from prefect_globus.flows.events import Announcer
from prefect_globus.flows.obeying import answer_late_pause, obeyed
from prefect_globus.globus.service import GlobusService
from prefect_globus.tasks.driver import Driver, driving
from prefect_globus.tasks.removing import end_removals
from prefect_globus.tasks.standing import result_of
from prefect_globus.tasks.stopping import StopReason
from prefect_globus.transfers.errors import LeaseHeldError
from prefect_globus.transfers.model import Request
from prefect_globus.transfers.result import TransferResult
from prefect_globus.transfers.states import FINAL_TRANSFER_STATUSES, TransferStatus

_LOOK_SECONDS = 0.5
_PATIENCE_SECONDS = 60.0

Credentials = GlobusCredentials | str | None


@contextmanager
def standing_in(store: CheckpointStore, transfer_id: str, credentials: Credentials) -> Iterator[Driver]:
    """Drive a transfer for as long as the block lasts. Globus is only logged in to when it is needed.

    Args:
        store: where it is.
        transfer_id: which.
        credentials: a block or its name; those that the transfer was begun with when left out.

    Raises:
        TransferNotFoundError: there is no such transfer.
        LeaseHeldError: another process drives it.
    """
    transfer = store.load_transfer(transfer_id)
    # whoever is waiting for this would rather be told than wait
    patience = min(transfer.options.patience, _PATIENCE_SECONDS)
    options = transfer.options.evolve(max_lock_wait=0.0, pause_limit=0.0, patience=patience)

    def connect() -> TransferClient:
        return find_credentials(credentials or transfer.credentials).get_transfer_client()

    with closing(GlobusService(connect, at_once=False)) as globus:
        driver = Driver(store, globus, transfer, options)
        driver.on_status = Announcer(driver, drives=False)  # it only obeys
        with driving(driver):
            driver.take_over()
            yield driver


def obey_requests(driver: Driver) -> None:
    """Do what was asked of a transfer while nobody drove it, as its driver would."""
    request, status = driver.pending_request(), driver.transfer.status
    if request is Request.CANCEL and status in FINAL_TRANSFER_STATUSES:
        cancel_removals(driver)
    elif request is None or status in FINAL_TRANSFER_STATUSES:
        driver.withdraw_pause()
    elif request is Request.CANCEL:
        driver.stop.request(StopReason.CANCELED)
        obeyed(driver)
    elif status is TransferStatus.FAILED:
        answer_late_pause(driver)
    else:
        if status is TransferStatus.CREATED:
            driver.update(status=TransferStatus.SCANNING)  # only from there it can be paused
        driver.stop.request(StopReason.PAUSED)
        obeyed(driver)


def cancel_removals(driver: Driver) -> None:
    """Cancel what is being deleted for a transfer that is final, which stays so."""
    driver.stop.obey(StopReason.CANCELED)
    end_removals(driver)
    driver.store.withdraw_request(driver.transfer.id, Request.CANCEL)


def ask(
    store: CheckpointStore, transfer_id: str, request: Request, credentials: Credentials, wait: float
) -> TransferResult:
    """Put ``request`` on record and have it obeyed: by the driver if there is one, and else by this process.

    Args:
        store: where the transfer is.
        transfer_id: which.
        request: what is asked of it.
        credentials: see `standing_in`.
        wait: how long the driver may take to obey, in seconds.

    Raises:
        LeaseHeldError: it has not obeyed yet; the request stays on record.
    """
    store.post_request(transfer_id, request)
    give_up = time.monotonic() + wait
    while True:
        try:
            with standing_in(store, transfer_id, credentials) as driver:
                obey_requests(driver)
            return result_of(store, transfer_id)
        except LeaseHeldError:
            if time.monotonic() > give_up:
                raise
        time.sleep(_LOOK_SECONDS)
