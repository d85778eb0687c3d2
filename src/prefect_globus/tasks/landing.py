"""Looking at a checkpoint from outside for the batches that have landed since the last look."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from prefect_globus.blocks.checkpoints import CheckpointStore
from prefect_globus.tasks.patience import patiently
from prefect_globus.tasks.stopping import Stop
from prefect_globus.transfers.landed import LandedBatch
from prefect_globus.transfers.model import Transfer
from prefect_globus.transfers.options import TransferOptions
from prefect_globus.transfers.states import FINAL_TRANSFER_STATUSES, BatchStatus, TransferStatus

_T = TypeVar("_T")

# FAILED is not final, but nothing happens any more until somebody resumes it.
ENDED_STATUSES = FINAL_TRANSFER_STATUSES | {TransferStatus.FAILED}


class Landing:
    """The batches of one transfer, each yielded once, when it is done.

    Args:
        store: where the transfer is.
        transfer_id: which.
        after: the numbers of the batches that are known already.
    """

    def __init__(self, store: CheckpointStore, transfer_id: str, after: Iterable[int] = ()) -> None:
        self._store = store
        self._transfer_id = transfer_id
        self._seen = set(after)
        self._lowest = 1  # all below it were seen

    def look(self) -> Iterator[LandedBatch]:
        """The batches that have landed since the last look, in scan order; one is in memory at a time.

        Raises:
            TransferNotFoundError: there is no such transfer.
        """
        transfer = self.transfer()
        pending = 0
        for number in self._unseen(transfer.batches):
            batch = self._read(transfer.options, self._store.load_batch, transfer.id, number)
            if batch.status is BatchStatus.DONE:
                manifest = self._read(transfer.options, self._store.load_manifest, transfer.id, number)
                self._note(number)
                yield LandedBatch.of(transfer, batch, manifest)
            pending += batch.status is BatchStatus.PENDING
            if pending > transfer.options.max_concurrency and transfer.status not in ENDED_STATUSES:
                return  # batches are begun in order, so those behind are not begun yet

    def transfer(self) -> Transfer:
        """The transfer, as last written."""
        return self._read(TransferOptions(), self._store.load_transfer, self._transfer_id)

    def _unseen(self, last: int) -> list[int]:
        return [number for number in range(self._lowest, last + 1) if number not in self._seen]

    def _note(self, number: int) -> None:
        self._seen.add(number)
        while self._lowest in self._seen:
            self._seen.remove(self._lowest)
            self._lowest += 1

    def _read(self, options: TransferOptions, call: Callable[..., _T], *args: object) -> _T:
        """Read the checkpoint, and again while the store is out of reach."""
        return patiently(options, Stop(self._transfer_id), call, *args)
