"""A checkpoint store for a rehearsal: what is written there is gone afterwards, what others have on record is seen."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from pydantic import PrivateAttr, SecretStr

from prefect_globus.blocks.checkpoints import CheckpointStore
from prefect_globus.blocks.sql_engine import checked_url, dispose_engine
from prefect_globus.blocks.sql_store import SqlCheckpointStore
from prefect_globus.transfers.batches import Batch
from prefect_globus.transfers.items import Item
from prefect_globus.transfers.model import Transfer


class ScratchStore(SqlCheckpointStore):
    """A SQLite file that is deleted in the end, in front of the store that the transfers really are in.

    All writes go to the file, so memory stays bounded by a batch however large the tree is.
    """

    _block_type_name = "Scratch Checkpoint Store"
    _block_type_slug = "prefect-globus-scratch-store"  # another one than its parent's, which Prefect looks up by this

    _behind: CheckpointStore = PrivateAttr()
    _own: set[str] = PrivateAttr(default_factory=set)

    def create_transfer(self, transfer: Transfer) -> None:
        """See `CheckpointStore.create_transfer`."""
        super().create_transfer(transfer)
        self._own.add(transfer.id)

    def load_transfer(self, transfer_id: str) -> Transfer:
        """See `CheckpointStore.load_transfer`."""
        return super().load_transfer(transfer_id) if self._has(transfer_id) else self._behind.load_transfer(transfer_id)

    def list_transfers(self) -> Iterator[Transfer]:
        """See `CheckpointStore.list_transfers`; those that are rehearsed are the newest."""
        yield from super().list_transfers()
        yield from self._behind.list_transfers()

    def load_batch(self, transfer_id: str, number: int) -> Batch:
        """See `CheckpointStore.load_batch`."""
        if self._has(transfer_id):
            return super().load_batch(transfer_id, number)
        return self._behind.load_batch(transfer_id, number)

    def list_batches(self, transfer_id: str) -> Iterator[Batch]:
        """See `CheckpointStore.list_batches`."""
        return super().list_batches(transfer_id) if self._has(transfer_id) else self._behind.list_batches(transfer_id)

    def load_manifest(self, transfer_id: str, number: int) -> list[Item]:
        """See `CheckpointStore.load_manifest`."""
        if self._has(transfer_id):
            return super().load_manifest(transfer_id, number)
        return self._behind.load_manifest(transfer_id, number)

    def load_paths(self, transfer_id: str, number: int) -> list[str]:
        """See `CheckpointStore.load_paths`."""
        if self._has(transfer_id):
            return super().load_paths(transfer_id, number)
        return self._behind.load_paths(transfer_id, number)

    def _has(self, transfer_id: str) -> bool:
        return transfer_id in self._own


@contextmanager
def scratch_in_front_of(behind: CheckpointStore) -> Iterator[ScratchStore]:
    """A scratch store for as long as the block lasts."""
    with TemporaryDirectory(prefix="prefect-globus-plan-", ignore_cleanup_errors=True) as folder:
        url = f"sqlite:///{Path(folder) / 'scratch.db'}"
        store = ScratchStore(url=SecretStr(url))
        store._behind = behind  # noqa: SLF001 - a store is no field of a block that is saved
        try:
            yield store
        finally:
            dispose_engine(checked_url(url))
