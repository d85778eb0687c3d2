"""A checkpoint store of one's own: documents in a table, as any database with transactions can keep them.

It passes the contract that the package ships, as tests/examples/test_own_store.py shows, and takes a transfer from its
first write to its last. Run it with `python examples/own_store.py`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import timedelta
from pathlib import Path

from prefect_globus import CheckpointStore, Item
from prefect_globus.blocks.guards import check_batch, check_free, check_transfer, readable_first, unexpired
from prefect_globus.blocks.record_text import corrupt_if_unreadable, from_text, to_text
from prefect_globus.transfers.batches import Batch
from prefect_globus.transfers.errors import (
    CorruptCheckpointError,
    LeaseLostError,
    StoreUnavailableError,
    TransferExistsError,
    TransferNotFoundError,
)
from prefect_globus.transfers.items import decode_manifest, encode_manifest
from prefect_globus.transfers.location import check_transfer_id
from prefect_globus.transfers.model import Holder, Lease, Request, Transfer
from prefect_globus.transfers.records import now

TABLE = "CREATE TABLE IF NOT EXISTS documents (owner TEXT, name TEXT, body BLOB, PRIMARY KEY (owner, name))"
NOBODY = ""  # who owns what belongs to no transfer


class Documents:
    """The documents, within one transaction."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def get(self, owner: str, name: str) -> bytes | None:
        """One document."""
        row = self._connection.execute("SELECT body FROM documents WHERE owner = ? AND name = ?", (owner, name))
        return next((body for (body,) in row), None)

    def put(self, owner: str, name: str, body: str | bytes) -> None:
        """Write one document."""
        content = body.encode() if isinstance(body, str) else body
        self._connection.execute("INSERT OR REPLACE INTO documents VALUES (?, ?, ?)", (owner, name, content))

    def remove(self, owner: str, name: str = "%") -> None:
        """Delete one document, or all of an owner."""
        self._connection.execute("DELETE FROM documents WHERE owner = ? AND name LIKE ?", (owner, name))

    def called(self, name: str) -> list[bytes]:
        """The documents of this name, whoever owns them."""
        return [body for (body,) in self._connection.execute("SELECT body FROM documents WHERE name = ?", (name,))]


class DocumentStore(CheckpointStore):
    """Keeps checkpoints as documents in a SQLite file."""

    _block_type_name = "Document Store"
    _block_type_slug = "document-store"

    path: Path

    # --- transfers

    def create_transfer(self, transfer: Transfer) -> None:
        """Two who create the same wait for each other, as a transaction begins by locking."""
        check_transfer_id(transfer.id)
        with self._transaction() as documents:
            if documents.get(transfer.id, "transfer") is not None:
                raise TransferExistsError(transfer_id=transfer.id, store=str(self.path))
            documents.put(transfer.id, "transfer", to_text(transfer))

    def load_transfer(self, transfer_id: str) -> Transfer:
        """One document."""
        with self._transaction() as documents:
            return self._transfer(documents, transfer_id)

    def list_transfers(self) -> Iterator[Transfer]:
        """What cannot be read comes last, so that it hides nothing."""
        found, corrupt = [], None
        with self._transaction() as documents:
            bodies = documents.called("transfer")
        for body in bodies:
            try:
                with corrupt_if_unreadable(str(self.path), "a transfer"):
                    found.append(from_text(Transfer, body))
            except CorruptCheckpointError as error:
                corrupt = error
        return readable_first(sorted(found, key=lambda each: each.created_at, reverse=True), corrupt)

    def delete_transfer(self, transfer_id: str) -> None:
        """All of its documents in one transaction."""
        with self._transaction() as documents:
            self._transfer(documents, transfer_id)
            check_free(self._lease(documents, transfer_id), now())
            documents.remove(transfer_id)

    def post_request(self, transfer_id: str, request: Request) -> None:
        """A CANCEL stays."""
        with self._transaction() as documents:
            if self._request(documents, transfer_id) is not Request.CANCEL:
                documents.put(transfer_id, "request", request.value)

    def withdraw_request(self, transfer_id: str, request: Request) -> None:
        """Only the one that is meant."""
        with self._transaction() as documents:
            if self._request(documents, transfer_id) is request:
                documents.remove(transfer_id, "request")

    def pending_request(self, transfer_id: str) -> Request | None:
        """One document."""
        with self._transaction() as documents:
            return self._request(documents, transfer_id)

    # --- the lease

    def acquire_lease(self, transfer_id: str, holder: Holder, seconds: float, *, replacing: int | None = None) -> Lease:
        """The token comes from one counter for all, so that not even a namesake ever has the same."""
        with self._transaction() as documents:
            self._transfer(documents, transfer_id)
            current = self._lease(documents, transfer_id)
            if current is not None and current.token != replacing:
                check_free(current, now())
            token = int(documents.get(NOBODY, "token") or 0) + 1
            documents.put(NOBODY, "token", str(token))
            expires_at = now() + timedelta(seconds=seconds)
            lease = Lease(transfer_id=transfer_id, token=token, holder=holder, expires_at=expires_at)
            documents.put(transfer_id, "lease", to_text(lease))
            return lease

    def renew_lease(self, lease: Lease, seconds: float) -> Lease:
        """A write like any other: fenced."""
        renewed = lease.evolve(expires_at=now() + timedelta(seconds=seconds))
        with self._fenced(lease, lease.transfer_id) as documents:
            documents.put(lease.transfer_id, "lease", to_text(renewed))
        return renewed

    def release_lease(self, lease: Lease) -> None:
        """Once it is gone, no write gets by."""
        try:
            with self._fenced(lease, lease.transfer_id) as documents:
                documents.remove(lease.transfer_id, "lease")
        except (LeaseLostError, TransferNotFoundError):
            return

    def current_lease(self, transfer_id: str) -> Lease | None:
        """None when it has expired."""
        with self._transaction() as documents:
            self._transfer(documents, transfer_id)
            return unexpired(self._lease(documents, transfer_id), now())

    # --- what the driver writes

    def save_transfer(self, lease: Lease, transfer: Transfer) -> None:
        """Only what may follow."""
        with self._fenced(lease, transfer.id) as documents:
            before = self._transfer(documents, transfer.id)
            check_transfer(before.status, before.batches, transfer)
            documents.put(transfer.id, "transfer", to_text(transfer))

    def append_batch(self, lease: Lease, transfer: Transfer, batch: Batch, items: Sequence[Item]) -> None:
        """Three documents in one transaction."""
        with self._fenced(lease, transfer.id) as documents:
            before = self._transfer(documents, transfer.id)
            check_transfer(before.status, before.batches, transfer, batch)
            documents.put(transfer.id, f"manifest {batch.number}", encode_manifest(items))
            documents.put(transfer.id, f"batch {batch.number}", to_text(batch))
            documents.put(transfer.id, "transfer", to_text(transfer))

    def save_batch(self, lease: Lease, batch: Batch) -> None:
        """Only what may follow."""
        with self._fenced(lease, batch.transfer_id) as documents:
            check_batch(self._batch(documents, batch.transfer_id, batch.number).status, batch)
            documents.put(batch.transfer_id, f"batch {batch.number}", to_text(batch))

    # --- what everybody reads

    def load_batch(self, transfer_id: str, number: int) -> Batch:
        """One document."""
        with self._transaction() as documents:
            return self._batch(documents, transfer_id, number)

    def list_batches(self, transfer_id: str) -> Iterator[Batch]:
        """One in memory at a time, and no transaction between two."""
        for number in range(1, self.load_transfer(transfer_id).batches + 1):
            yield self.load_batch(transfer_id, number)

    def load_manifest(self, transfer_id: str, number: int) -> list[Item]:
        """One document, in the package's own packing."""
        with self._transaction() as documents:
            content = self._needed(documents, transfer_id, f"manifest {number}")
        with corrupt_if_unreadable(str(self.path), f"manifest {number} of {transfer_id}"):
            return decode_manifest(content)

    # --- results

    def read_result(self, key: str) -> bytes:
        """One document."""
        with self._transaction() as documents:
            content = documents.get(NOBODY, f"result {key}")
        if content is None:
            raise FileNotFoundError(key)
        return content

    def write_result(self, key: str, content: bytes) -> None:
        """One document."""
        with self._transaction() as documents:
            documents.put(NOBODY, f"result {key}", content)

    # --- within

    @contextmanager
    def _transaction(self) -> Iterator[Documents]:
        """All or nothing, one after the other, on disk when it ends; what goes wrong is the store's error."""
        try:
            with closing(sqlite3.connect(self.path, timeout=30, isolation_level=None)) as connection, connection:
                connection.execute("BEGIN IMMEDIATE")
                connection.execute(TABLE)
                yield Documents(connection)
        except sqlite3.Error as error:
            raise StoreUnavailableError(store=str(self.path), reason=str(error)) from error

    @contextmanager
    def _fenced(self, lease: Lease, transfer_id: str) -> Iterator[Documents]:
        """A transaction for who holds the newest lease of the transfer, and for nobody else."""
        with self._transaction() as documents:
            self._transfer(documents, transfer_id)
            current = self._lease(documents, transfer_id)
            if lease.transfer_id != transfer_id or current is None or current.token != lease.token:
                raise LeaseLostError(transfer_id=lease.transfer_id, token=lease.token)
            yield documents

    def _needed(self, documents: Documents, transfer_id: str, name: str) -> bytes:
        content = documents.get(transfer_id, name)
        if content is None:
            raise TransferNotFoundError(transfer_id=transfer_id, store=str(self.path))
        return content

    def _transfer(self, documents: Documents, transfer_id: str) -> Transfer:
        content = self._needed(documents, transfer_id, "transfer")
        with corrupt_if_unreadable(str(self.path), f"transfer {transfer_id}"):
            return from_text(Transfer, content)

    def _batch(self, documents: Documents, transfer_id: str, number: int) -> Batch:
        content = self._needed(documents, transfer_id, f"batch {number}")
        with corrupt_if_unreadable(str(self.path), f"batch {number} of {transfer_id}"):
            return from_text(Batch, content)

    def _lease(self, documents: Documents, transfer_id: str) -> Lease | None:
        content = documents.get(transfer_id, "lease")
        with corrupt_if_unreadable(str(self.path), f"the lease of {transfer_id}"):
            return None if content is None else from_text(Lease, content)

    def _request(self, documents: Documents, transfer_id: str) -> Request | None:
        self._transfer(documents, transfer_id)
        content = documents.get(transfer_id, "request")
        return None if content is None else Request(content.decode())


if __name__ == "__main__":
    from playground import playground

    from prefect_globus import resumable_transfer, transfer_items

    with playground() as place:
        store = DocumentStore(path=place.folder / "documents.db")
        result = resumable_transfer(place.source, place.destination, transfer_id="mine", checkpoints=store)
        names = [item.path for item in transfer_items("mine", checkpoints=store)]
        print(f"{result.id} is {result.status}: {result.items_transferred} files, from {names[0]} to {names[-1]}.")
