"""The checkpoint store in files: a folder for each transfer, for those who have no database and want none."""

from __future__ import annotations

import base64
import hashlib
import shutil
import zlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

from platformdirs import user_data_path
from pydantic import Field

from prefect_globus.blocks.checkpoints import CheckpointStore
from prefect_globus.blocks.guards import check_batch, check_free, check_transfer, readable_first, unexpired
from prefect_globus.blocks.record_text import corrupt_if_unreadable, from_text, to_text
from prefect_globus.blocks.safe_files import locked, make_folder, read_file, sync_folder, write_file
from prefect_globus.transfers.batches import Batch
from prefect_globus.transfers.errors import (
    CorruptCheckpointError,
    InvalidTransferIdError,
    LeaseLostError,
    StoreUnavailableError,
    TransferExistsError,
    TransferNotFoundError,
)
from prefect_globus.transfers.forms import InForm
from prefect_globus.transfers.items import Item, decode_manifest, encode_manifest
from prefect_globus.transfers.location import check_transfer_id
from prefect_globus.transfers.model import Holder, Lease, Request, Transfer
from prefect_globus.transfers.records import Record, now


class _LeaseFile(Record):
    """The newest lease of a transfer, or what is left of it: its token, so that it can never write again."""

    token: int
    lease: Lease | None


class _BatchFile(Record):
    """The state of a batch; its outcomes are compressed, and in base64."""

    batch: Batch
    outcomes: str


# The folders in which this process has found a transfer. Where one of them is missing, as when a network is gone, its
# transfers are out of reach, and not unknown.
_used: set[Path] = set()


class FileCheckpointStore(InForm, CheckpointStore):
    """Keeps the checkpoints of resumable transfers in files, a folder for each transfer.

    The folder must be on a local disk, or on a shared one that honours flock. Its files can only be read by their
    owner.

    Example:
        Load a configured store:
        ```python
        from prefect_globus.blocks import FileCheckpointStore

        store = FileCheckpointStore.load("BLOCK_NAME")
        for transfer in store.list_transfers():
            print(transfer.id, transfer.status)
        ```
    """

    _block_type_name = "File Checkpoint Store"
    _block_type_slug = "file-checkpoint-store"
    _logo_url = "https://raw.githubusercontent.com/PrefectHQ/prefect/420d0d6a78bb6df1fc18bcf188fdad43c1d22ea9/assets/block-logos/filesystem.png"  # type: ignore[assignment]
    _documentation_url = "https://docs.prefect.io/v3/concepts/blocks"  # type: ignore[assignment]

    basepath: Path = Field(
        default_factory=lambda: user_data_path("prefect-globus") / "checkpoints",
        title="Base path",
        description="Folder of the checkpoints. By default it lies in the user's data folder.",
        examples=["/srv/prefect-globus/checkpoints"],
    )

    # --- transfers

    def create_transfer(self, transfer: Transfer) -> None:
        """See `CheckpointStore.create_transfer`."""
        check_transfer_id(transfer.id)
        folder = self._base / "transfers" / transfer.id
        with self._errors(), self._locked_store():
            if (folder / "transfer.json").exists():
                raise TransferExistsError(transfer_id=transfer.id, store=self._store)
            make_folder(folder)
            make_folder(folder / "batches")
            write_file(folder / "transfer.json", to_text(transfer).encode())

    def load_transfer(self, transfer_id: str) -> Transfer:
        """See `CheckpointStore.load_transfer`."""
        with self._errors():
            return self._transfer(self._folder(transfer_id))

    def list_transfers(self) -> Iterator[Transfer]:
        """See `CheckpointStore.list_transfers`."""
        found, corrupt = [], None
        with self._errors():
            root = self._base / "transfers"
            folders = root.iterdir() if root.exists() else ()  # glob would take a folder it may not read for empty
            for folder in folders:
                if folder.name.startswith("."):
                    continue  # deleted
                try:
                    found.append(self._transfer(folder))
                except TransferNotFoundError:  # it is being created, or was deleted just now
                    continue
                except CorruptCheckpointError as error:
                    corrupt = error
        newest_first = sorted(found, key=lambda transfer: (-transfer.created_at.timestamp(), transfer.id))
        return readable_first(newest_first, corrupt)

    def delete_transfer(self, transfer_id: str) -> None:
        """See `CheckpointStore.delete_transfer`."""
        with self._locked(transfer_id) as folder:
            check_free(self._lease_file(folder).lease, now())
            # It is gone in one step; what a process leaves behind that dies while cleaning up, the next one finds.
            folder.rename(folder.with_name(f".deleted-{uuid4().hex}"))
            sync_folder(folder.parent)
            for deleted in folder.parent.glob(".deleted-*"):
                shutil.rmtree(deleted, ignore_errors=True)

    def post_request(self, transfer_id: str, request: Request) -> None:
        """See `CheckpointStore.post_request`."""
        with self._locked(transfer_id) as folder:
            if self._request(folder) is not Request.CANCEL:
                write_file(folder / "request", request.value.encode())

    def withdraw_request(self, transfer_id: str, request: Request) -> None:
        """See `CheckpointStore.withdraw_request`."""
        with self._locked(transfer_id) as folder:
            if self._request(folder) is request:
                (folder / "request").unlink()
                sync_folder(folder)

    def pending_request(self, transfer_id: str) -> Request | None:
        """See `CheckpointStore.pending_request`."""
        with self._errors():
            folder = self._folder(transfer_id)
            self._transfer(folder)
            return self._request(folder)

    # --- the lease

    def acquire_lease(self, transfer_id: str, holder: Holder, seconds: float, *, replacing: int | None = None) -> Lease:
        """See `CheckpointStore.acquire_lease`."""
        with self._locked(transfer_id) as folder:
            current = self._lease_file(folder)
            if current.token != replacing:
                check_free(current.lease, now())
            expires_at = now() + timedelta(seconds=seconds)
            lease = Lease(transfer_id=transfer_id, token=self._next_token(), holder=holder, expires_at=expires_at)
            self._write_lease(folder, lease.token, lease)
            return lease

    def renew_lease(self, lease: Lease, seconds: float) -> Lease:
        """See `CheckpointStore.renew_lease`."""
        with self._fenced(lease, lease.transfer_id) as folder:
            renewed = lease.evolve(expires_at=now() + timedelta(seconds=seconds))
            self._write_lease(folder, renewed.token, renewed)
            return renewed

    def release_lease(self, lease: Lease) -> None:
        """See `CheckpointStore.release_lease`."""
        try:
            with self._fenced(lease, lease.transfer_id) as folder:
                self._write_lease(folder, lease.token, None)
        except (LeaseLostError, TransferNotFoundError):
            return

    def current_lease(self, transfer_id: str) -> Lease | None:
        """See `CheckpointStore.current_lease`."""
        with self._errors():
            folder = self._folder(transfer_id)
            self._transfer(folder)
            return unexpired(self._lease_file(folder).lease, now())

    # --- what the driver writes

    def save_transfer(self, lease: Lease, transfer: Transfer) -> None:
        """See `CheckpointStore.save_transfer`."""
        with self._fenced(lease, transfer.id) as folder:
            before = self._transfer(folder)
            check_transfer(before.status, before.batches, transfer)
            write_file(folder / "transfer.json", to_text(transfer).encode())

    def append_batch(self, lease: Lease, transfer: Transfer, batch: Batch, items: Sequence[Item]) -> None:
        """See `CheckpointStore.append_batch`."""
        manifest = encode_manifest(items)
        with self._fenced(lease, transfer.id) as folder:
            before = self._transfer(folder)
            check_transfer(before.status, before.batches, transfer, batch)
            write_file(_manifest_path(folder, batch.number), manifest)
            self._write_batch(folder, batch)
            # The commit: until here the batch's files are beyond the count, and as good as not there.
            write_file(folder / "transfer.json", to_text(transfer).encode())

    def save_batch(self, lease: Lease, batch: Batch) -> None:
        """See `CheckpointStore.save_batch`."""
        with self._fenced(lease, batch.transfer_id) as folder:
            check_batch(self._batch(folder, batch.number).status, batch)
            self._write_batch(folder, batch)

    # --- what everybody reads

    def load_batch(self, transfer_id: str, number: int) -> Batch:
        """See `CheckpointStore.load_batch`."""
        with self._errors():
            return self._batch(self._folder(transfer_id), number)

    def list_batches(self, transfer_id: str) -> Iterator[Batch]:
        """See `CheckpointStore.list_batches`."""
        for number in range(1, self.load_transfer(transfer_id).batches + 1):
            yield self.load_batch(transfer_id, number)

    def load_manifest(self, transfer_id: str, number: int) -> list[Item]:
        """See `CheckpointStore.load_manifest`."""
        with self._errors():
            folder = self._folder(transfer_id)
            path = _manifest_path(folder, number)
            content = self._read_batch_file(folder, number, path)
        with corrupt_if_unreadable(self._store, str(path)):
            return decode_manifest(content)

    # --- results

    def read_result(self, key: str) -> bytes:
        """See `CheckpointStore.read_result`."""
        with self._errors():
            path = self._result_path(key)
            if path.exists():
                return read_file(path, self._store)
        raise FileNotFoundError(key)

    def write_result(self, key: str, content: bytes) -> None:
        """See `CheckpointStore.write_result`."""
        with self._errors(), self._locked_store():
            write_file(self._result_path(key), content)

    # --- within

    @property
    def _base(self) -> Path:
        return self.basepath.expanduser().absolute()

    @property
    def _store(self) -> str:
        return str(self._base)

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """Turn the errors of the file system into the package's own."""
        try:
            yield
        except OSError as error:
            raise StoreUnavailableError(store=self._store, reason=str(error)) from error

    @contextmanager
    def _locked_store(self) -> Iterator[None]:
        self._base.mkdir(parents=True, exist_ok=True, mode=0o700)
        make_folder(self._base / "transfers")
        make_folder(self._base / "results")
        with locked(self._base / ".lock"):
            yield

    @contextmanager
    def _locked(self, transfer_id: str) -> Iterator[Path]:
        """The folder of a transfer, with no other writer in it."""
        with self._errors():
            folder = self._folder(transfer_id)
            self._transfer(folder)
            with ExitStack() as stack:
                try:
                    stack.enter_context(locked(folder / ".lock"))
                except FileNotFoundError as error:
                    raise TransferNotFoundError(transfer_id=transfer_id, store=self._store) from error
                self._transfer(folder)
                yield folder

    @contextmanager
    def _fenced(self, lease: Lease, transfer_id: str) -> Iterator[Path]:
        """The locked folder of the transfer that ``lease`` may write; nobody can take it over meanwhile."""
        with self._locked(transfer_id) as folder:
            current = self._lease_file(folder)
            if lease.transfer_id != transfer_id or current.token != lease.token or current.lease is None:
                raise LeaseLostError(transfer_id=lease.transfer_id, token=lease.token)
            yield folder

    def _folder(self, transfer_id: str) -> Path:
        """Where a transfer is, or would be; certainly within the store."""
        try:
            folder = self._base / "transfers" / check_transfer_id(transfer_id)
        except InvalidTransferIdError as error:
            raise TransferNotFoundError(transfer_id=transfer_id, store=self._store) from error
        if folder.resolve().parent != folder.parent.resolve():
            raise StoreUnavailableError(store=self._store, reason=f"{folder} leads out of it")
        return folder

    def _transfer(self, folder: Path) -> Transfer:
        path = folder / "transfer.json"
        try:
            content = read_file(path, self._store)
        except FileNotFoundError as error:
            if self._base in _used and not self._base.exists():
                raise StoreUnavailableError(store=self._store, reason="its folder is gone") from error
            raise TransferNotFoundError(transfer_id=folder.name, store=self._store) from error
        _used.add(self._base)
        with corrupt_if_unreadable(self._store, str(path)):
            return from_text(Transfer, content)

    def _request(self, folder: Path) -> Request | None:
        try:
            content = read_file(folder / "request", self._store)
        except FileNotFoundError:
            return None
        with corrupt_if_unreadable(self._store, str(folder / "request")):
            return Request(content.decode())

    def _lease_file(self, folder: Path) -> _LeaseFile:
        path = folder / "lease.json"
        try:
            content = read_file(path, self._store)
        except FileNotFoundError:
            return _LeaseFile(token=0, lease=None)
        with corrupt_if_unreadable(self._store, str(path)):
            return from_text(_LeaseFile, content)

    def _write_lease(self, folder: Path, token: int, lease: Lease | None) -> None:
        write_file(folder / "lease.json", to_text(_LeaseFile(token=token, lease=lease)).encode())

    def _next_token(self) -> int:
        """A lease token that no lease of this store ever had, not even one of a deleted transfer of the same id."""
        path = self._base / "lease-token"
        with self._locked_store(), corrupt_if_unreadable(self._store, str(path)):
            token = int(read_file(path, self._store)) + 1 if path.exists() else 1
            write_file(path, str(token).encode())
            return token

    def _batch(self, folder: Path, number: int) -> Batch:
        path = _batch_path(folder, number)
        content = self._read_batch_file(folder, number, path)
        with corrupt_if_unreadable(self._store, str(path)):
            file = from_text(_BatchFile, content)
            return file.batch.evolve(outcomes=zlib.decompress(base64.b64decode(file.outcomes)))

    def _write_batch(self, folder: Path, batch: Batch) -> None:
        outcomes = base64.b64encode(zlib.compress(batch.outcomes)).decode()
        file = _BatchFile(batch=batch.evolve(outcomes=b""), outcomes=outcomes)
        write_file(_batch_path(folder, batch.number), to_text(file).encode())

    def _read_batch_file(self, folder: Path, number: int, path: Path) -> bytes:
        if not 1 <= number <= self._transfer(folder).batches:
            raise TransferNotFoundError(transfer_id=f"{folder.name}/{number}", store=self._store)
        try:
            return read_file(path, self._store)
        except FileNotFoundError as error:
            self._transfer(folder)  # was it deleted just now?
            raise CorruptCheckpointError(store=self._store, reason=f"{path} is missing") from error

    def _result_path(self, key: str) -> Path:
        return self._base / "results" / hashlib.sha256(key.encode()).hexdigest()


def _manifest_path(folder: Path, number: int) -> Path:
    return folder / "batches" / f"{number:06}.manifest"


def _batch_path(folder: Path, number: int) -> Path:
    return folder / "batches" / f"{number:06}.json"
