"""What every checkpoint store checks before it writes, so that all of them refuse alike."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime

from prefect_globus.transfers.batches import Batch
from prefect_globus.transfers.errors import CorruptCheckpointError, InvalidTransitionError, LeaseHeldError
from prefect_globus.transfers.model import Lease, Transfer
from prefect_globus.transfers.states import (
    BATCH_TRANSITIONS,
    TRANSFER_TRANSITIONS,
    BatchStatus,
    TransferStatus,
    check_transition,
)


def check_transfer(status: TransferStatus, batches: int, transfer: Transfer, batch: Batch | None = None) -> None:
    """Refuse a transfer that cannot follow the stored one.

    Args:
        status: the stored status.
        batches: how many batches are stored.
        transfer: what is to be stored.
        batch: the one batch that it has more, if it has one.

    Raises:
        InvalidTransitionError: the status cannot follow, or the batches are not those that are stored and ``batch``:
            who writes has an old view, and would lose a part of the manifest.
    """
    check_transition(TRANSFER_TRANSITIONS, f"Transfer {transfer.id!r}", status, transfer.status)
    expected = batches if batch is None else batches + 1
    number = expected if batch is None else batch.number
    if not transfer.batches == expected == number:
        what = f"The manifest of transfer {transfer.id!r}"
        raise InvalidTransitionError(
            what=what, before=f"{batches} batches", after=f"{transfer.batches}, batch {number}"
        )


def check_batch(status: BatchStatus, batch: Batch) -> None:
    """Refuse a batch whose status cannot follow the stored one, or that has two Globus tasks at once.

    Raises:
        InvalidTransitionError: so it is.
    """
    what = f"Batch {batch.number} of transfer {batch.transfer_id!r}"
    check_transition(BATCH_TRANSITIONS, what, status, batch.status)
    if sum(attempt.live for attempt in batch.attempts) > 1:
        raise InvalidTransitionError(what=what, before="one live attempt", after="several")


def unexpired(lease: Lease | None, now: datetime) -> Lease | None:
    """``lease``, unless it has expired by the store's clock."""
    return None if lease is None or lease.expires_at <= now else lease


def check_free(lease: Lease | None, now: datetime) -> None:
    """Refuse to go on while somebody drives the transfer.

    Raises:
        LeaseHeldError: ``lease`` has not expired.
    """
    if held := unexpired(lease, now):
        raise LeaseHeldError(
            transfer_id=held.transfer_id,
            holder=held.holder.description,
            expires_at=held.expires_at.isoformat(" ", "seconds"),
        )


def readable_first(transfers: Iterable[Transfer], corrupt: CorruptCheckpointError | None) -> Iterator[Transfer]:
    """Yield ``transfers``, and only then raise what is wrong with another one: it hinders none of these."""
    yield from transfers
    if corrupt is not None:
        raise corrupt
