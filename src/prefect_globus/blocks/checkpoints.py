"""What a checkpoint store is: the contract that every store keeps, in SQL, in files or of a user's own."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

from prefect.filesystems import WritableFileSystem
from prefect.results import ResultRecord, ResultRecordMetadata  # type: ignore[attr-defined] # imported there, not listed
from prefect.serializers import JSONSerializer

from prefect_globus.transfers.batches import Batch
from prefect_globus.transfers.errors import TransferNotFoundError
from prefect_globus.transfers.items import Item
from prefect_globus.transfers.ledger import Ledger
from prefect_globus.transfers.model import Holder, Lease, Request, Transfer
from prefect_globus.transfers.states import BatchStatus

_RESULT_PREFIX = "prefect-globus"


class CheckpointStore(WritableFileSystem, ABC):
    """Keeps the checkpoints of resumable transfers, and serves Prefect as the cache of their batches.

    To write your own store, implement the abstract methods and let
    `prefect_globus.blocks.store_contract.CheckpointStoreContract` test it. What they promise together:

    - A write is permanent when its method returns, and either all of it is there or none.
    - Methods are safe to call from several threads, processes and machines at once.
    - A write that takes a `Lease` is refused with `LeaseLostError`, and changes nothing, when a newer lease of that
      transfer was ever given out, the lease was released, or its transfer was deleted and made anew. (An expired
      lease that nobody took over still writes.)
    - What cannot be reached or opened raises `StoreUnavailableError`; what cannot be read, `CorruptCheckpointError`;
      what a newer version wrote, `StoreSchemaTooNewError`; an unknown id, `TransferNotFoundError`.
    """

    _block_schema_capabilities: ClassVar[list[str]] = ["read-path", "write-path"]

    # --- transfers

    @abstractmethod
    def create_transfer(self, transfer: Transfer) -> None:
        """Store a new transfer.

        Raises:
            TransferExistsError: there is one with this id.
        """

    @abstractmethod
    def load_transfer(self, transfer_id: str) -> Transfer:
        """Return the transfer ``transfer_id``, or raise TransferNotFoundError."""

    @abstractmethod
    def list_transfers(self) -> Iterator[Transfer]:
        """Yield all transfers, the newest first.

        Raises:
            CorruptCheckpointError: after the last one, when there are others that cannot be read.
        """

    @abstractmethod
    def delete_transfer(self, transfer_id: str) -> None:
        """Remove a transfer and all that belongs to it.

        Raises:
            TransferNotFoundError: there is none.
            LeaseHeldError: somebody drives it.
        """

    @abstractmethod
    def post_request(self, transfer_id: str, request: Request) -> None:
        """Put ``request`` on record for the driver; from any process, without a lease.

        It takes the place of an earlier one, but for a CANCEL, which stays.
        """

    @abstractmethod
    def withdraw_request(self, transfer_id: str, request: Request) -> None:
        """Take ``request`` off record, as it was obeyed or is not wanted any more; no error when it is not there."""

    @abstractmethod
    def pending_request(self, transfer_id: str) -> Request | None:
        """What was asked of the driver, or None."""

    # --- the lease: at most one driver, by the store's clock

    @abstractmethod
    def acquire_lease(self, transfer_id: str, holder: Holder, seconds: float, *, replacing: int | None = None) -> Lease:
        """Take the right to drive a transfer, for ``seconds`` from now, under a higher token than any before.

        Args:
            transfer_id: which.
            holder: who takes it.
            seconds: until it expires.
            replacing: the token of a lease that may be replaced though it has not expired, because its holder is
                known to be dead.

        Raises:
            LeaseHeldError: another lease has not expired.
        """

    @abstractmethod
    def renew_lease(self, lease: Lease, seconds: float) -> Lease:
        """Let ``lease`` expire ``seconds`` from now instead, or raise LeaseLostError."""

    @abstractmethod
    def release_lease(self, lease: Lease) -> None:
        """Give ``lease`` back; no error when it was lost already."""

    @abstractmethod
    def current_lease(self, transfer_id: str) -> Lease | None:
        """The lease that has not expired, or None when nobody drives the transfer."""

    # --- what the driver writes

    @abstractmethod
    def save_transfer(self, lease: Lease, transfer: Transfer) -> None:
        """Write the changed ``transfer``.

        Raises:
            LeaseLostError: ``lease`` is not the newest.
            InvalidTransitionError: its status cannot follow the stored one (`TRANSFER_TRANSITIONS`), or ``batches``
                is not the number of stored batches, because ``transfer`` is older than the last of them.
        """

    @abstractmethod
    def append_batch(self, lease: Lease, transfer: Transfer, batch: Batch, items: Sequence[Item]) -> None:
        """Write one more batch with its manifest, and the ``transfer`` whose cursor and count include it, as one.

        Raises:
            LeaseLostError: ``lease`` is not the newest.
            InvalidTransitionError: the status cannot follow the stored one, or ``batch.number`` and
                ``transfer.batches`` are not the next number.
        """

    @abstractmethod
    def save_batch(self, lease: Lease, batch: Batch) -> None:
        """Write the changed ``batch`` with its outcomes, attempts and faults; never its manifest.

        Raises:
            LeaseLostError: ``lease`` is not the newest.
            InvalidTransitionError: its status cannot follow the stored one (`BATCH_TRANSITIONS`), or it has more than
                one live attempt.
            TransferNotFoundError: there is no such batch.
        """

    # --- what everybody reads

    @abstractmethod
    def load_batch(self, transfer_id: str, number: int) -> Batch:
        """One batch, or raise TransferNotFoundError."""

    @abstractmethod
    def list_batches(self, transfer_id: str) -> Iterator[Batch]:
        """Yield the batches of a transfer, in order."""

    @abstractmethod
    def load_manifest(self, transfer_id: str, number: int) -> list[Item]:
        """The items of one batch, in order; raise TransferNotFoundError or CorruptCheckpointError."""

    def load_paths(self, transfer_id: str, number: int) -> list[str]:
        """The paths of the items of one batch; see `load_manifest`, which takes longer."""
        return [item.path for item in self.load_manifest(transfer_id, number)]

    # --- results of other tasks, for those who choose the store as result storage of their own flows

    @abstractmethod
    def read_result(self, key: str) -> bytes:
        """The bytes stored under ``key``, or raise FileNotFoundError."""

    @abstractmethod
    def write_result(self, key: str, content: bytes) -> None:
        """Store ``content`` under ``key``, replacing what was there."""

    # --- built on these

    def ledger(self, transfer_id: str) -> Ledger:
        """The sums over all batches of a transfer."""
        return Ledger.total(batch.ledger for batch in self.list_batches(transfer_id))

    def iter_items(self, transfer_id: str) -> Iterator[Item]:
        """Yield every item of a transfer in scan order, with one batch in memory at a time."""
        for batch in self.list_batches(transfer_id):
            yield from self.load_manifest(transfer_id, batch.number)

    def read_path(self, path: str, _sync: bool | None = None) -> bytes:  # type: ignore[override] # Prefect calls it both ways
        """Prefect's read of a result: for a batch of ours, the record that the checkpoint itself implies.

        Raises:
            FileNotFoundError: there is no such result, or the batch is not done.
        """
        batch = _batch_of(path)
        return self.read_result(path) if batch is None else self._batch_record(path, *batch)

    def write_path(self, path: str, content: bytes, _sync: bool | None = None) -> None:  # type: ignore[override]
        """Prefect's write of a result. That of a batch of ours needs no writing: the checkpoint says it already."""
        if _batch_of(path) is None:
            self.write_result(path, content)

    def _resolve_path(self, path: str) -> None:
        """Tell Prefect, which asks a store that was not saved as a block document, that our keys are no paths."""

    async def aread_path(self, path: str) -> bytes:
        """As `read_path`, for Prefect's asynchronous engine."""
        return await asyncio.to_thread(self.read_path, path)

    async def awrite_path(self, path: str, content: bytes) -> None:
        """As `write_path`, for Prefect's asynchronous engine."""
        await asyncio.to_thread(self.write_path, path, content)

    def _batch_record(self, key: str, transfer_id: str, number: int) -> bytes:
        try:
            batch = self.load_batch(transfer_id, number)
        except TransferNotFoundError as error:
            raise FileNotFoundError(key) from error
        if batch.status is not BatchStatus.DONE:
            raise FileNotFoundError(key)
        metadata = ResultRecordMetadata(storage_key=key, serializer=JSONSerializer())
        record: ResultRecord[Any] = ResultRecord(result=batch.ledger, metadata=metadata)
        return record.serialize()


def batch_result_key(transfer_id: str, number: int) -> str:
    """The key under which Prefect finds the result of a batch."""
    return f"{_RESULT_PREFIX}/{transfer_id}/{number}"


def _batch_of(key: str) -> tuple[str, int] | None:
    parts = key.replace("\\", "/").split("/")[-3:]
    if len(parts) == 3 and parts[0] == _RESULT_PREFIX and parts[2].isdecimal():  # noqa: PLR2004
        return parts[1], int(parts[2])
    return None
