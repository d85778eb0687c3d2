"""Finish: account for every item, and give the transfer its last status."""

from __future__ import annotations

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.logging import get_run_logger

from prefect_globus.tasks.batches import look, settled, submitted
from prefect_globus.tasks.driver import Driver, current_driver
from prefect_globus.tasks.stopping import StopReason
from prefect_globus.transfers.errors import GlobusError
from prefect_globus.transfers.ledger import Ledger
from prefect_globus.transfers.model import Batch
from prefect_globus.transfers.states import TransferStatus

_LOOK_SECONDS = 0.5


@task(name="finish-transfer", task_run_name="finish {transfer_id}", cache_policy=NO_CACHE)
def finish_transfer(transfer_id: str) -> Ledger:
    """Close the books of a transfer whose batches have all had their try.

    The transfer becomes COMPLETED when nothing is missing, and FAILED otherwise.
    """
    driver = current_driver()
    ledger = driver.store.ledger(transfer_id)
    if not ledger.items and not driver.transfer.source_is_file:
        driver.patiently(driver.globus.make_directories, driver.transfer.destination)
    if ledger.complete:
        driver.update(status=TransferStatus.COMPLETED, error=None)
    else:
        driver.update(status=TransferStatus.FAILED, error=shortfall(ledger))
    get_run_logger().info(
        "%s is %s: %s transferred, %s unchanged, %s skipped, %s dead, %s remaining of %s items",
        *(transfer_id, driver.transfer.status, ledger.transferred, ledger.unchanged),
        *(ledger.skipped, ledger.dead, ledger.remaining, ledger.items),
    )
    return ledger


def shortfall(ledger: Ledger) -> str:
    """What is missing, for people."""
    counts = {"remaining": ledger.remaining, "failed for good": ledger.dead}
    parts = [f"{count} {'item' if count == 1 else 'items'} {what}" for what, count in counts.items() if count]
    return " and ".join(parts) or "the ledger does not balance"


def cancel_attempts(driver: Driver) -> None:
    """Cancel every Globus task that may still run, wait for its end, and record what it had done (invariant 7).

    To be called when the batch tasks have ended; from here on the driver does not stop for the cancel any more.
    """
    driver.stop.obey(StopReason.CANCELED)
    for batch in driver.store.list_batches(driver.transfer.id):
        if batch.live:
            _cancel_attempt(driver, batch)
    driver.update(status=TransferStatus.CANCELED)


def _cancel_attempt(driver: Driver, batch: Batch) -> None:
    items = driver.store.load_manifest(batch.transfer_id, batch.number)
    # whether an intended attempt has reached Globus is not known; submitting it again gives the one task to cancel
    try:
        batch = submitted(driver, batch, items)
    except GlobusError:
        if driver.store.load_batch(batch.transfer_id, batch.number).attempts[-1].live:
            raise
        return  # Globus refuses the submission, so there is no task
    view = look(driver, batch)
    if view is not None and not view.ended:
        driver.patiently(driver.globus.cancel, view.task_id)
    while (view := look(driver, batch)) is not None and not view.ended:
        driver.stop.wait(_LOOK_SECONDS)
    settled(driver, batch, items, view)
