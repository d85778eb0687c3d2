"""A user's own flows, with a transfer as one of their steps."""

from __future__ import annotations

from typing import Any

from prefect import flow

from prefect_globus import TransferOptions, landing, resumable_transfer


@flow(name="etl")
def etl(
    source: str,
    destination: str,
    options: dict[str, Any],
    transfer_id: str,
    credentials: str,
    checkpoints: str,
) -> int:
    """Transfer, and load what has come."""
    result = resumable_transfer(source, destination, TransferOptions(**options), transfer_id, credentials, checkpoints)
    return result.items_transferred


@flow(name="etl-by-batch")
def etl_by_batch(
    source: str,
    destination: str,
    options: dict[str, Any],
    transfer_id: str,
    credentials: str,
    checkpoints: str,
) -> int:
    """Transfer, and load each batch as it comes."""
    how = TransferOptions(**options)
    with landing(source, destination, transfer_id, how, credentials, checkpoints) as batches:
        return sum(len(batch.items) for batch in batches)
