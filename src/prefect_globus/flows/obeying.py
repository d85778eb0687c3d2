"""Obeying: what a driver does that was told to stop, or to pause."""

from __future__ import annotations

from prefect_globus.tasks.driver import Driver
from prefect_globus.tasks.finishing import end_attempts
from prefect_globus.tasks.logs import run_logger
from prefect_globus.tasks.stopping import StopReason
from prefect_globus.transfers.errors import (
    LeaseLostError,
    TransferCanceledError,
    TransferError,
    TransferPausedError,
    TransferStoppedError,
)
from prefect_globus.transfers.model import PausedBy, Request
from prefect_globus.transfers.states import FINAL_TRANSFER_STATUSES, TransferStatus

_PAUSED_BECAUSE = {
    PausedBy.REQUEST: "somebody has asked for it",
    PausedBy.PREFECT: "its flow run was suspended in Prefect",
}


def obeyed(driver: Driver) -> TransferError:
    """Do what the driver was stopped for; the error that says so. To be called again if it is interrupted."""
    transfer, reason = driver.transfer, driver.stop.why
    if reason is StopReason.LEASE_LOST:
        return LeaseLostError(transfer_id=transfer.id, token=driver.lease.token)
    if driver.drives and transfer.status not in FINAL_TRANSFER_STATUSES:
        try:
            if reason is StopReason.CANCELED:
                return _canceled(driver)
            if reason in (StopReason.PAUSED, StopReason.SUSPENDED):
                return _paused(driver, reason)
        except TransferStoppedError:  # for another reason, such as a cancel that came while it was being paused
            return obeyed(driver)
    return TransferStoppedError(transfer_id=transfer.id)


def _canceled(driver: Driver) -> TransferCanceledError:
    end_attempts(driver, StopReason.CANCELED)
    driver.update(status=TransferStatus.CANCELED, error=None, paused_by=None)
    ledger = driver.ledger()
    return TransferCanceledError(transfer_id=driver.transfer.id, transferred=ledger.transferred, items=ledger.items)


def _paused(driver: Driver, reason: StopReason) -> TransferError:
    request = driver.pending_request()
    if request is Request.PAUSE_NOW:
        end_attempts(driver, reason)
    by = PausedBy.PREFECT if reason is StopReason.SUSPENDED and request is None else PausedBy.REQUEST
    driver.pause(by, _PAUSED_BECAUSE[by])
    if driver.pending_request() is Request.CANCEL:  # it came while this was done
        return _canceled(driver)
    return TransferPausedError(transfer_id=driver.transfer.id, reason=_PAUSED_BECAUSE[by])


def answer_late_pause(driver: Driver) -> None:
    """Say that there was nothing left to pause, rather than have the next run paused for it."""
    request = driver.pending_request()
    if request is not None and request.pauses:
        status = driver.transfer.status
        run_logger().warning("Somebody has asked to pause %s, but it is %s already", driver.transfer.id, status)
        driver.withdraw_pause()
