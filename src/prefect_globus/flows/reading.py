"""Look at transfers: where they stand, their items and their history, all from the checkpoint alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice

from prefect_globus.blocks import CheckpointStore
from prefect_globus.flows.blocks import find_checkpoints
from prefect_globus.tasks.standing import result_of
from prefect_globus.transfers.items import Outcome
from prefect_globus.transfers.reports import BatchHistory, Choice, ItemReport
from prefect_globus.transfers.result import TransferResult
from prefect_globus.transfers.states import TransferStatus


def transfer_status(transfer_id: str, checkpoints: CheckpointStore | str | None = None) -> TransferResult:
    """Where a transfer stands; raise TransferNotFoundError if there is none."""
    return result_of(find_checkpoints(checkpoints), transfer_id)


def list_transfers(
    checkpoints: CheckpointStore | str | None = None,
    statuses: Iterable[TransferStatus] | None = None,
    limit: int | None = None,
) -> list[TransferResult]:
    """Where all transfers stand, or those with one of ``statuses``; the newest first, and no more than ``limit``."""
    store = find_checkpoints(checkpoints)
    wanted = None if statuses is None else frozenset(statuses)
    chosen = (each.id for each in store.list_transfers() if wanted is None or each.status in wanted)
    return [result_of(store, each) for each in islice(chosen, limit)]


def transfer_items(
    transfer_id: str,
    *,
    failed: bool = False,
    skipped: bool = False,
    remaining: bool = False,
    changed: bool = False,
    match: str | None = None,
    code: str | None = None,
    checkpoints: CheckpointStore | str | None = None,
) -> Iterator[ItemReport]:
    """The items of a transfer in scan order, with what became of each; one batch is in memory at a time.

    Args:
        transfer_id: which.
        failed: those that failed for good: the dead letters.
        skipped: those that were skipped.
        remaining: those that still need work.
        changed: those that were transferred, but had changed since they were scanned.
        match: a pattern for their paths, as those of ``options.include``.
        code: the code of the fault that explains how they stand, such as ``PERMISSION_DENIED``.
        checkpoints: a block or its name; the default database when left out.

    Returns:
        An iterator over those that any of the four flags names, or over all when none is given.

    Raises:
        TransferNotFoundError: there is no such transfer.
    """
    store = find_checkpoints(checkpoints)
    store.load_transfer(transfer_id)  # now, rather than when the first item is asked for
    flags = {Outcome.DEAD: failed, Outcome.SKIPPED: skipped, Outcome.REMAINING: remaining}
    outcomes = frozenset(outcome for outcome, wanted in flags.items() if wanted)
    return chosen_items(store, transfer_id, Choice(outcomes=outcomes, changed=changed, match=match, code=code))


def chosen_items(store: CheckpointStore, transfer_id: str, choice: Choice) -> Iterator[ItemReport]:
    """The items of a transfer that ``choice`` takes."""
    for batch in store.list_batches(transfer_id):
        if choice.may_be_in(batch):
            yield from choice.items(batch, store.load_manifest(transfer_id, batch.number))


def transfer_history(transfer_id: str, checkpoints: CheckpointStore | str | None = None) -> Iterator[BatchHistory]:
    """Every attempt of every batch of a transfer, and all that was noted of its items; batch by batch.

    Args:
        transfer_id: which.
        checkpoints: a block or its name; the default database when left out.

    Raises:
        TransferNotFoundError: there is no such transfer.
    """
    store = find_checkpoints(checkpoints)
    store.load_transfer(transfer_id)
    return (BatchHistory.of(batch) for batch in store.list_batches(transfer_id))
