"""Finish: account for every item, and give the transfer its last status."""

from __future__ import annotations

from contextlib import suppress

from prefect import task
from prefect.cache_policies import NO_CACHE

from prefect_globus.tasks.driver import Driver, current_driver
from prefect_globus.tasks.journal import tell_end
from prefect_globus.tasks.logs import run_logger
from prefect_globus.tasks.manifests import Manifest
from prefect_globus.tasks.removing import end_removals
from prefect_globus.tasks.stopping import StopReason
from prefect_globus.tasks.submitting import submitted_if_possible
from prefect_globus.tasks.watching import ended
from prefect_globus.transfers.batches import Batch
from prefect_globus.transfers.errors import GlobusNotFoundError, TransferError, TransferStoppedError, first_line
from prefect_globus.transfers.ledger import Ledger
from prefect_globus.transfers.quantities import count
from prefect_globus.transfers.states import AttemptStatus, TransferStatus


@task(name="finish-transfer", task_run_name="finish", cache_policy=NO_CACHE)
def finish_transfer(transfer_id: str) -> Ledger:  # noqa: ARG001 - Prefect shows the id
    """Close the books of a transfer whose batches have all had their try.

    The transfer becomes COMPLETED when nothing is missing, and FAILED otherwise.
    """
    driver = current_driver()
    ledger = driver.ledger()
    if not ledger.items and not driver.transfer.source_is_file:
        driver.patiently(driver.globus.make_directories, driver.transfer.destination)
    if driver.transfer.status is TransferStatus.PAUSED:  # the store was out of reach when the hold ended
        driver.update(status=driver.status_at_work(), error=None, paused_by=None)
    if ledger.complete:
        driver.update(status=TransferStatus.COMPLETED, error=None, paused_by=None)
    else:
        trouble = f" ({first_line(driver.trouble).rstrip('.')})" if driver.trouble is not None else ""
        driver.update(status=TransferStatus.FAILED, error=shortfall(ledger) + trouble)
    tell_end(driver, ledger)
    return ledger


def shortfall(ledger: Ledger) -> str:
    """What is missing, for people."""
    counts = {"remaining": ledger.remaining, "failed for good": ledger.dead}
    parts = [f"{count} {'item' if count == 1 else 'items'} {what}" for what, count in counts.items() if count]
    return " and ".join(parts) or "the ledger does not balance"


def end_attempts(driver: Driver, reason: StopReason) -> None:
    """Cancel every Globus task that may still run, wait for its end, and record what it had done (invariant 7).

    To be called when the batch tasks have ended; from here on the driver does not stop for ``reason`` any more.
    """
    driver.stop.obey(reason)
    live = [batch for batch in driver.batches() if batch.live]
    live.sort(key=lambda batch: batch.attempts[-1].status is AttemptStatus.INTENDED)  # what is known to run comes first
    if live:
        run_logger().info("%s may still run, and are canceled", count(len(live), "Globus task"))
    canceled: list[Batch] = []
    failures: list[TransferError] = []
    for batch in live:  # all of them, before the end of any
        try:
            canceled += _canceled(driver, batch)
        except TransferStoppedError:
            raise
        except TransferError as error:  # one that cannot be canceled does not keep the others running
            failures.append(error)
    for batch in canceled:
        ended(driver, batch, Manifest(driver, batch.number))
    end_removals(driver)
    if failures:
        raise failures[0]


def _canceled(driver: Driver, batch: Batch) -> list[Batch]:
    """``batch``, whose task was told to end; none if it has no task."""
    # whether an intended attempt has reached Globus is not known; submitting it again gives the one task
    known = submitted_if_possible(driver, batch, driver.load_manifest(batch.number))
    if known is None:
        return []
    with suppress(GlobusNotFoundError):  # what that means is found out when its end is looked for
        driver.act(driver.globus.cancel, known.attempts[-1].task_id)
    return [known]
