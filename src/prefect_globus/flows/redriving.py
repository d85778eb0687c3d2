"""Redrive: try dead letters again, all of them or some."""

from __future__ import annotations

from collections import Counter
from typing import Annotated

from prefect import flow
from prefect.logging import get_run_logger

from prefect_globus.blocks import CheckpointStore
from prefect_globus.flows.blocks import find_checkpoints
from prefect_globus.flows.control import resume_transfer, withdraw_pause
from prefect_globus.flows.parameters import Checkpoints, Credentials, Options, OrNone, TransferId, titled
from prefect_globus.flows.reading import chosen_items
from prefect_globus.flows.standing_in import standing_in
from prefect_globus.tasks.driver import Driver
from prefect_globus.transfers.batches import Batch, ItemFault
from prefect_globus.transfers.errors import NoDeadLettersError, NothingToRedriveError
from prefect_globus.transfers.items import Outcome
from prefect_globus.transfers.reports import Choice
from prefect_globus.transfers.result import TransferResult
from prefect_globus.transfers.states import FINAL_TRANSFER_STATUSES, TransferStatus

_DEAD = frozenset({Outcome.DEAD})


@flow(name="redrive-transfer", flow_run_name="redrive {transfer_id}")
def redrive_transfer(
    transfer_id: TransferId,
    match: Annotated[str | None, OrNone("All", "Those that match"), titled("Paths")] = None,
    code: Annotated[str | None, OrNone("Any", "This one"), titled("Error code")] = None,
    options: Options = None,
    credentials: Credentials = None,
    checkpoints: Checkpoints = None,
) -> TransferResult:
    """Try dead letters of a transfer again, and with them what remains of it. What is known of them stays on record.

    Args:
        transfer_id: Which transfer. For example: backup-20261122
        match: A pattern for the paths of those to be tried, as those of the option include; all when left out.
            For example: raw/*.h5
        code: The code for which those have failed; any when left out. For example: PERMISSION_DENIED
        options: How they are transferred from now on; as recorded when left out.
        credentials: The login to Globus: a saved block or its name. When left out the one that the transfer was begun
            with. For example: globus-credentials/lab
        checkpoints: Where the transfer is kept on record: a saved block or its name. When left out the default
            database where the run is. For example: sql-checkpoint-store/team

    Returns:
        As `resumable_transfer`, when no dead letter is left.

    Raises:
        TransferNotFoundError: there is no such transfer.
        NothingToRedriveError: it is COMPLETED or CANCELED.
        NoDeadLettersError: it has none that match; nothing was run.
        LeaseHeldError: a process drives it.
        TransferError: as `resumable_transfer`; other dead letters make it FAILED again.
    """
    marked = mark_for_redrive(find_checkpoints(checkpoints), transfer_id, match, code)
    get_run_logger().info("%s dead letters of transfer %s are tried again", marked, transfer_id)
    return resume_transfer(transfer_id, options, credentials, checkpoints)


def mark_for_redrive(
    store: CheckpointStore, transfer_id: str, match: str | None = None, code: str | None = None
) -> int:
    """Have the next run of a transfer try its dead letters again, those that match; return how many.

    Raises:
        TransferError: as `redrive_transfer`; nothing has changed.
    """
    choice = Choice(outcomes=_DEAD, match=match, code=code)
    status = store.load_transfer(transfer_id).status
    if status in FINAL_TRANSFER_STATUSES:
        raise NothingToRedriveError(transfer_id=transfer_id, status=status)
    with standing_in(store, transfer_id, None) as driver:
        batches = [batch for batch in driver.batches() if choice.may_be_in(batch) and not batch.live]
        marked = sum(_marked(driver, batch, choice) for batch in batches)
        if not marked:
            raise _none_match(store, transfer_id, match, code)
        withdraw_pause(store, transfer_id)
        if driver.transfer.status is TransferStatus.FAILED:  # a resume of a FAILED one would try all of them again
            driver.update(status=driver.status_at_work(), error=None, paused_by=None)
    return marked


def _marked(driver: Driver, batch: Batch, choice: Choice) -> int:
    def chosen(fault: ItemFault) -> bool:
        return choice.takes(fault.path, Outcome.DEAD, fault)

    again = batch.redrive(driver.load_manifest(batch.number), chosen)
    if again != batch:
        driver.save_batch(again)
    return again.remaining - batch.remaining


def _none_match(store: CheckpointStore, transfer_id: str, match: str | None, code: str | None) -> NoDeadLettersError:
    counts = Counter(item.code for item in chosen_items(store, transfer_id, Choice(outcomes=_DEAD)))
    wanted = [f"match {match!r}"] if match is not None else []
    wanted += [f"have the code {code!r}"] if code is not None else []
    that = f" that {' and '.join(wanted)}" if wanted else ""
    has = ", ".join(f"{number} with the code {name}" for name, number in counts.most_common())
    return NoDeadLettersError(transfer_id=transfer_id, that=that, has=f" It has {has}." if has else "")
