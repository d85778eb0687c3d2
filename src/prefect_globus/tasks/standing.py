"""Where a transfer stands: apart from the driver, as whoever only looks has no need of the engine and its imports."""

from __future__ import annotations

from prefect_globus.blocks.checkpoints import CheckpointStore
from prefect_globus.transfers.result import TransferResult


def result_of(store: CheckpointStore, transfer_id: str) -> TransferResult:
    """Where a transfer stands, by its checkpoint."""
    transfer = store.load_transfer(transfer_id)
    return TransferResult.of(transfer, store.ledger(transfer_id), store.list_batches(transfer_id))
