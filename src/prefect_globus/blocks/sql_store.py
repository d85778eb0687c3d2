"""The checkpoint store in a SQL database: SQLite for one, PostgreSQL for a team."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from datetime import timedelta
from typing import Any, ClassVar, Self, TypeVar

from prefect_sqlalchemy import SqlAlchemyConnector  # type: ignore[import-untyped]
from pydantic import ConfigDict, Field, SecretStr, field_validator, model_validator
from sqlalchemy import URL, Connection, Row, bindparam, case, delete, func, select, update

from prefect_globus.blocks.checkpoints import CheckpointStore
from prefect_globus.blocks.guards import check_batch, check_free, check_transfer, readable_first, unexpired
from prefect_globus.blocks.record_text import corrupt_if_unreadable
from prefect_globus.blocks.sql_engine import checked_url, default_url, engine_for, shown, transaction, url_of
from prefect_globus.blocks.sql_rows import (
    clock,
    insert_batch,
    lease_of,
    read_batches,
    stored_state,
    transfer_of,
    transfer_row,
    update_batch,
    upsert,
    write_lease,
)
from prefect_globus.blocks.sql_schema import BATCHES, COUNTERS, RESULTS, TRANSFERS
from prefect_globus.transfers.batches import Batch
from prefect_globus.transfers.errors import (
    CorruptCheckpointError,
    LeaseLostError,
    TransferExistsError,
    TransferNotFoundError,
)
from prefect_globus.transfers.forms import InForm
from prefect_globus.transfers.items import Item, decode_manifest, decode_paths, encode_manifest
from prefect_globus.transfers.ledger import Ledger
from prefect_globus.transfers.location import check_transfer_id
from prefect_globus.transfers.model import Holder, Lease, Request, Transfer
from prefect_globus.transfers.states import (
    BatchStatus,
    TransferStatus,
)

_OF_TRANSFER = TRANSFERS.c.id == bindparam("of_transfer")
_TRANSFER = select(TRANSFERS).where(_OF_TRANSFER)
_LOCKED_TRANSFER = _TRANSFER.with_for_update()
_UPDATE_TRANSFER = update(TRANSFERS).where(_OF_TRANSFER)
_MANIFEST = select(BATCHES.c.manifest, BATCHES.c["items"]).where(
    BATCHES.c.transfer_id == bindparam("of_transfer"), BATCHES.c.number == bindparam("of_batch")
)
_T = TypeVar("_T")

_PAGE = 50  # batches read at once, with at most 1 MB of outcomes
# The form shows it with what does not match: so it begins with what would. Whoever edits a block sees asterisks.
_URL_IN_FORM = (
    r"(?#such as sqlite:////path/to/file.db or postgresql://user:password@host/database)"
    r"^(?:(?:sqlite|postgres|postgresql)(?:\+\w+)?://.*|\s*|\*+)$"
)


class SqlCheckpointStore(InForm, CheckpointStore):
    """Keeps the checkpoints of resumable transfers in a SQL database: SQLite for one machine, PostgreSQL for a team.

    Without a connector and a URL it is the database that the environment variable PREFECT_GLOBUS_DATABASE_URL names,
    or else a SQLite file in the user's data folder.

    Example:
        Load a configured store:
        ```python
        from prefect_globus.blocks import SqlCheckpointStore

        store = SqlCheckpointStore.load("BLOCK_NAME")
        for transfer in store.list_transfers():
            print(transfer.id, transfer.status)
        ```
    """

    _block_type_name = "SQL Checkpoint Store"
    _block_type_slug = "sql-checkpoint-store"
    _logo_url = "https://cdn.sanity.io/images/3ugk85nk/production/3c7dff04f70aaf4528e184a3b028f9e40b98d68c-250x250.png"  # type: ignore[assignment]
    _documentation_url = "https://docs.prefect.io/integrations/prefect-sqlalchemy"  # type: ignore[assignment]

    # an error of validation would show the URL, and so its password
    model_config: ClassVar[ConfigDict] = ConfigDict(hide_input_in_errors=True)

    connector: SqlAlchemyConnector | None = Field(
        default=None,
        repr=False,  # it would show the password in a URL
        title="Connector",
        description="A block that is configured for the database, best by components: they hide the password.",
    )
    url: SecretStr | None = Field(
        default=None,
        title="Database URL",
        description="Instead of a connector: the address of the database, with its password.",
        examples=["sqlite:////path/to/file.db", "postgresql://user:password@host/database"],
        json_schema_extra={"pattern": _URL_IN_FORM},
    )

    @field_validator("url")
    @classmethod
    def _given(cls, url: SecretStr | None) -> SecretStr | None:
        """An empty field of a form is none at all."""
        if url is None or not url.get_secret_value().strip():
            return None
        checked_url(url.get_secret_value())
        return url

    @model_validator(mode="after")
    def _one_database(self) -> Self:
        if self.connector is not None and self.url is not None:
            raise ValueError("give a connector or a url, not both")
        if self.connector is not None:
            url_of(self.connector)
        return self

    # --- transfers

    def create_transfer(self, transfer: Transfer) -> None:
        """See `CheckpointStore.create_transfer`."""
        check_transfer_id(transfer.id)
        row = {**transfer_row(transfer), "lease_token": 0}
        with self._transaction(writes=True) as connection:
            if not upsert(connection, TRANSFERS, row, replace=False):
                raise TransferExistsError(transfer_id=transfer.id, store=self.shown)

    def load_transfer(self, transfer_id: str) -> Transfer:
        """See `CheckpointStore.load_transfer`."""
        with self._transaction() as connection:
            return self._transfer_of(self._row(connection, transfer_id))

    def list_transfers(self) -> Iterator[Transfer]:
        """See `CheckpointStore.list_transfers`."""
        query = select(TRANSFERS).order_by(TRANSFERS.c.created_at.desc(), TRANSFERS.c.id)
        with self._transaction() as connection, corrupt_if_unreadable(self.shown, "a transfer"):
            rows = connection.execute(query).all()
        found, corrupt = [], None
        for row in rows:
            try:
                found.append(self._transfer_of(row))
            except CorruptCheckpointError as error:
                corrupt = error
        return readable_first(found, corrupt)

    def delete_transfer(self, transfer_id: str) -> None:
        """See `CheckpointStore.delete_transfer`."""
        with self._transaction(writes=True) as connection:
            row = self._row(connection, transfer_id, lock=True)
            check_free(self._lease(row), clock(connection))
            connection.execute(delete(TRANSFERS).where(TRANSFERS.c.id == transfer_id))

    def post_request(self, transfer_id: str, request: Request) -> None:
        """See `CheckpointStore.post_request`."""
        with self._transaction(writes=True) as connection:
            if self._row(connection, transfer_id, lock=True).request != Request.CANCEL.value:
                self._write_request(connection, transfer_id, request.value)

    def withdraw_request(self, transfer_id: str, request: Request) -> None:
        """See `CheckpointStore.withdraw_request`."""
        with self._transaction(writes=True) as connection:
            if self._row(connection, transfer_id, lock=True).request == request.value:
                self._write_request(connection, transfer_id, None)

    def pending_request(self, transfer_id: str) -> Request | None:
        """See `CheckpointStore.pending_request`."""
        with self._transaction() as connection:
            request = self._row(connection, transfer_id).request
        with corrupt_if_unreadable(self.shown, f"the request to transfer {transfer_id!r}"):
            return None if request is None else Request(request)

    # --- the lease

    def acquire_lease(self, transfer_id: str, holder: Holder, seconds: float, *, replacing: int | None = None) -> Lease:
        """See `CheckpointStore.acquire_lease`."""
        with self._transaction(writes=True) as connection:
            row = self._row(connection, transfer_id, lock=True)
            if row.lease_token != replacing:
                check_free(self._lease(row), clock(connection))
            connection.execute(update(COUNTERS).where(COUNTERS.c.name == "lease").values(value=COUNTERS.c.value + 1))
            token = connection.execute(select(COUNTERS.c.value).where(COUNTERS.c.name == "lease")).scalar_one()
            expires_at = clock(connection) + timedelta(seconds=seconds)
            lease = Lease(transfer_id=transfer_id, token=token, holder=holder, expires_at=expires_at)
            write_lease(connection, lease)
            return lease

    def renew_lease(self, lease: Lease, seconds: float) -> Lease:
        """See `CheckpointStore.renew_lease`."""
        with self._transaction(writes=True) as connection:
            self._fenced(connection, lease, lease.transfer_id)
            renewed = lease.evolve(expires_at=clock(connection) + timedelta(seconds=seconds))
            write_lease(connection, renewed)
            return renewed

    def release_lease(self, lease: Lease) -> None:
        """See `CheckpointStore.release_lease`."""
        with self._transaction(writes=True) as connection:
            connection.execute(
                update(TRANSFERS)
                .where(TRANSFERS.c.id == lease.transfer_id, TRANSFERS.c.lease_token == lease.token)
                .values(lease_holder=None, lease_expires_at=None)
            )

    def current_lease(self, transfer_id: str) -> Lease | None:
        """See `CheckpointStore.current_lease`."""
        with self._transaction() as connection:
            return unexpired(self._lease(self._row(connection, transfer_id)), clock(connection))

    # --- what the driver writes

    def save_transfer(self, lease: Lease, transfer: Transfer) -> None:
        """See `CheckpointStore.save_transfer`."""
        with self._transaction(writes=True) as connection:
            self._save_transfer(connection, self._fenced(connection, lease, transfer.id), transfer)

    def append_batch(self, lease: Lease, transfer: Transfer, batch: Batch, items: Sequence[Item]) -> None:
        """See `CheckpointStore.append_batch`."""
        manifest = encode_manifest(items)
        with self._transaction(writes=True) as connection:
            self._save_transfer(connection, self._fenced(connection, lease, transfer.id), transfer, batch)
            insert_batch(connection, batch, manifest)

    def save_batch(self, lease: Lease, batch: Batch) -> None:
        """See `CheckpointStore.save_batch`."""
        with self._transaction(writes=True) as connection:
            self._fenced(connection, lease, batch.transfer_id)
            stored = stored_state(connection, batch.transfer_id, batch.number)
            if stored is None:
                raise TransferNotFoundError(transfer_id=f"{batch.transfer_id}/{batch.number}", store=self.shown)
            check_batch(stored.status, batch)
            update_batch(connection, batch, stored)

    # --- what everybody reads

    def load_batch(self, transfer_id: str, number: int) -> Batch:
        """See `CheckpointStore.load_batch`."""
        with self._transaction() as connection:
            batches = self._batches(connection, transfer_id, number, 1)
        if not batches or batches[0].number != number:
            raise TransferNotFoundError(transfer_id=f"{transfer_id}/{number}", store=self.shown)
        return batches[0]

    def list_batches(self, transfer_id: str) -> Iterator[Batch]:
        """See `CheckpointStore.list_batches`."""
        start = 1
        while True:
            with self._transaction() as connection:
                if start == 1:
                    self._row(connection, transfer_id)
                batches = self._batches(connection, transfer_id, start, _PAGE)
            yield from batches
            if len(batches) < _PAGE:
                return
            start = batches[-1].number + 1

    def load_manifest(self, transfer_id: str, number: int) -> list[Item]:
        """See `CheckpointStore.load_manifest`."""
        return self._manifest(transfer_id, number, decode_manifest)

    def load_paths(self, transfer_id: str, number: int) -> list[str]:
        """See `CheckpointStore.load_paths`."""
        return self._manifest(transfer_id, number, decode_paths)

    def _manifest(self, transfer_id: str, number: int, decode: Callable[[bytes], list[_T]]) -> list[_T]:
        which = {"of_transfer": transfer_id, "of_batch": number}
        with self._transaction() as connection:
            row = connection.execute(_MANIFEST, which).one_or_none()
        if row is None:
            raise TransferNotFoundError(transfer_id=f"{transfer_id}/{number}", store=self.shown)
        with corrupt_if_unreadable(self.shown, f"the manifest of batch {number} of transfer {transfer_id!r}"):
            decoded = decode(row.manifest)
            if len(decoded) != row.items:
                raise ValueError(f"it has {len(decoded)} items instead of {row.items}")
            return decoded

    def ledger(self, transfer_id: str) -> Ledger:
        """See `CheckpointStore.ledger`; here one query, however many batches there are."""
        done = case((BATCHES.c.status == BatchStatus.DONE.value, 1), else_=0)
        same = ("items", "transferred", "unchanged", "skipped", "dead", "remaining", "bytes_transferred")
        sums = [func.sum(BATCHES.c[name]).label(name) for name in same]
        sums += [func.sum(BATCHES.c.size).label("bytes_total"), func.sum(done).label("batches_done")]
        query = select(*sums, func.count().label("batches")).where(BATCHES.c.transfer_id == transfer_id)
        with self._transaction() as connection:
            self._row(connection, transfer_id)
            row = connection.execute(query).one()
        return Ledger(**{name: int(value or 0) for name, value in row._mapping.items()})  # noqa: SLF001 - SQLAlchemy's public name

    # --- results

    def read_result(self, key: str) -> bytes:
        """See `CheckpointStore.read_result`."""
        with self._transaction() as connection:
            content = connection.scalar(select(RESULTS.c.content).where(RESULTS.c.key == key))
        if content is None:
            raise FileNotFoundError(key)
        return bytes(content)

    def write_result(self, key: str, content: bytes) -> None:
        """See `CheckpointStore.write_result`."""
        with self._transaction(writes=True) as connection:
            upsert(connection, RESULTS, {"key": key, "content": content}, replace=True)

    # --- within

    @property
    def shown(self) -> str:
        """The database for people, without its password."""
        return shown(self._url())

    def _url(self) -> URL:
        if self.connector is not None:
            return url_of(self.connector)
        return default_url() if self.url is None else checked_url(self.url.get_secret_value())

    def _transaction(self, *, writes: bool = False) -> AbstractContextManager[Connection]:
        url = self._url()
        return transaction(engine_for(url, self.connector), shown(url), writes=writes)

    def _write_request(self, connection: Connection, transfer_id: str, request: str | None) -> None:
        connection.execute(update(TRANSFERS).where(TRANSFERS.c.id == transfer_id).values(request=request))

    def _row(self, connection: Connection, transfer_id: str, *, lock: bool = False) -> Row[Any]:
        """The row of a transfer, for a writer locked until its transaction ends."""
        # SQLite needs no lock of a row: BEGIN IMMEDIATE has locked the database already
        query = _LOCKED_TRANSFER if lock else _TRANSFER
        with corrupt_if_unreadable(self.shown, f"transfer {transfer_id!r}"):
            row = connection.execute(query, {"of_transfer": transfer_id}).one_or_none()
        if row is None:
            raise TransferNotFoundError(transfer_id=transfer_id, store=self.shown)
        return row

    def _fenced(self, connection: Connection, lease: Lease, transfer_id: str) -> Row[Any]:
        """The locked row of the transfer that ``lease`` may write; nobody can take it over before the commit."""
        row = self._row(connection, transfer_id, lock=True)
        if (row.id, row.lease_token) != (lease.transfer_id, lease.token) or row.lease_holder is None:
            raise LeaseLostError(transfer_id=lease.transfer_id, token=lease.token)
        return row

    def _lease(self, row: Row[Any]) -> Lease | None:
        with corrupt_if_unreadable(self.shown, f"the lease of transfer {row.id!r}"):
            return lease_of(row)

    def _save_transfer(
        self, connection: Connection, row: Row[Any], transfer: Transfer, batch: Batch | None = None
    ) -> None:
        check_transfer(TransferStatus(row.status), row.batches, transfer, batch)
        connection.execute(_UPDATE_TRANSFER, {"of_transfer": transfer.id} | transfer_row(transfer))

    def _transfer_of(self, row: Row[Any]) -> Transfer:
        with corrupt_if_unreadable(self.shown, f"transfer {row.id!r}"):
            return transfer_of(row)

    def _batches(self, connection: Connection, transfer_id: str, start: int, limit: int) -> list[Batch]:
        with corrupt_if_unreadable(self.shown, f"a batch of transfer {transfer_id!r}"):
            return read_batches(connection, transfer_id, start, limit)
