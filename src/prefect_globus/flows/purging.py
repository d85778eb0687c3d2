"""Clean-up: forget the checkpoints of transfers that ended long ago."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Sequence
from datetime import timedelta
from typing import Annotated

from prefect import flow
from prefect.logging import get_run_logger

from prefect_globus.blocks import CheckpointStore
from prefect_globus.flows.blocks import find_checkpoints
from prefect_globus.flows.control import delete_transfer
from prefect_globus.flows.parameters import Checkpoints, titled
from prefect_globus.tasks.processes import is_gone
from prefect_globus.transfers.errors import (
    CorruptCheckpointError,
    InvalidInputError,
    LeaseHeldError,
    TransferActiveError,
    TransferNotFoundError,
    first_line,
)
from prefect_globus.transfers.model import Transfer
from prefect_globus.transfers.purging import PURGEABLE_STATUSES, Ended, Kept, Purged, candidates
from prefect_globus.transfers.records import now
from prefect_globus.transfers.states import FINAL_TRANSFER_STATUSES, TransferStatus

_log = logging.getLogger(__name__)

_MOST_DAYS = 36_500


@flow(name="purge-transfers")
def purge_transfers(
    older_than_days: Annotated[float, titled("Older than, in days")] = 30.0,
    statuses: Annotated[Sequence[TransferStatus], titled("Statuses")] = (
        TransferStatus.COMPLETED,
        TransferStatus.CANCELED,
    ),
    dry_run: Annotated[bool, titled("Dry run")] = True,
    checkpoints: Checkpoints = None,
) -> Purged:
    """Forget transfers that ended long ago, and all that is recorded of them. What they have delivered stays.

    Never forgotten are a transfer that somebody drives, one that may have a Globus task running, the last complete one
    between two locations, with which the next one may be compared, its repairs, and one by which the runs of a
    schedule are counted. It does no harm while transfers run, nor when two of it run at once.

    Args:
        older_than_days: Only transfers that have not changed for so long. For example: 90
        statuses: Only transfers of these: COMPLETED, CANCELED or FAILED. What has FAILED could still be resumed.
        dry_run: Delete nothing, and say what would be deleted.
        checkpoints: Where transfers are kept on record: a saved block or its name. When left out the default
            database where the run is. For example: sql-checkpoint-store/team

    Returns:
        What was deleted, and what was kept and why; ``str()`` of it is for people.

    Raises:
        InvalidInputError: the input will not do; nothing was deleted.
        StoreError: the checkpoints cannot be listed or deleted.
    """
    if not 0 <= older_than_days <= _MOST_DAYS:
        reason = f"older_than_days is {older_than_days}, but must be a number of days from 0 to {_MOST_DAYS}"
        raise InvalidInputError(reason=reason)
    purged = purge(find_checkpoints(checkpoints), timedelta(days=older_than_days), statuses, dry_run=dry_run)
    get_run_logger().info("%s", purged)
    return purged


def purge(
    store: CheckpointStore,
    older_than: timedelta,
    statuses: Iterable[TransferStatus],
    *,
    dry_run: bool,
    only: Collection[str] | None = None,
) -> Purged:
    """As `purge_transfers`, without Prefect.

    Args:
        store: whose transfers.
        older_than: see ``older_than_days``.
        statuses: see there.
        dry_run: see there.
        only: delete none but these, by their ids: what a person has seen and agreed to.
    """
    wanted = frozenset(statuses)
    if unended := sorted(wanted - PURGEABLE_STATUSES):
        said = f"A transfer that is {unended[0]} has not ended, so it is not purged: cancel it first"
        raise InvalidInputError(reason=f"{said}, or choose from {', '.join(sorted(PURGEABLE_STATUSES))}")
    ended: list[Ended] = []
    kept: list[Kept] = []
    for transfer, needed in candidates(_all_of(store), wanted, now() - older_than):
        if only is not None and transfer.id not in only:
            continue
        try:
            reason = needed or _at_work(store, transfer) or (None if dry_run else _delete(store, transfer))
        except TransferNotFoundError:  # another purge was faster
            continue
        if reason is None:
            ended.append(Ended(transfer_id=transfer.id, status=transfer.status, updated_at=transfer.updated_at))
        else:
            kept.append(Kept(transfer_id=transfer.id, reason=reason))
    return Purged(dry_run=dry_run, transfers=tuple(ended), kept=tuple(kept))


def _all_of(store: CheckpointStore) -> list[Transfer]:
    found: list[Transfer] = []
    try:
        found.extend(store.list_transfers())
    except CorruptCheckpointError as error:  # it comes last; nobody knows how old that one is, so it stays
        _log.warning("%s", error)
    return found


def _at_work(store: CheckpointStore, transfer: Transfer) -> str | None:
    """Who or what still works on ``transfer``, which only one that is not final can have."""
    lease = store.current_lease(transfer.id)
    if lease is not None and not is_gone(lease.holder):
        return f"{lease.holder.description} drives it"
    if transfer.status in FINAL_TRANSFER_STATUSES:
        return None
    live = sum(batch.live for batch in store.list_batches(transfer.id))
    live += sum(removal.live for removal in transfer.removals)
    tasks = "1 Globus task" if live == 1 else f"{live} Globus tasks"
    return f"{tasks} of it may still be running" if live else None


def _delete(store: CheckpointStore, transfer: Transfer) -> str | None:
    """Delete ``transfer``, unless it is not as it was found; why it was not deleted."""
    if store.load_transfer(transfer.id) != transfer:
        return "it has changed in the meantime"
    try:
        delete_transfer(transfer.id, store)
    except (LeaseHeldError, TransferActiveError) as error:
        return first_line(error)
    return None
