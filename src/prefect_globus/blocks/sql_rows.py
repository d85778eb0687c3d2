"""Rows and records: how the SQL checkpoint store writes down what it keeps, and reads it back."""

from __future__ import annotations

import zlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Any, NamedTuple

from sqlalchemy import Connection, Executable, Insert, Integer, Row, Table, bindparam, func, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite

from prefect_globus.blocks.record_text import from_text, to_text
from prefect_globus.blocks.sql_schema import ATTEMPTS, BATCHES, ITEM_FAULTS, TRANSFERS
from prefect_globus.transfers.batches import Attempt, Batch, ItemFault
from prefect_globus.transfers.items import Outcome
from prefect_globus.transfers.model import Holder, Lease, Transfer
from prefect_globus.transfers.records import now
from prefect_globus.transfers.states import BatchStatus

_TRANSFER_COLUMNS = {"id", "status", "batches", "created_at", "updated_at"}
_ATTEMPT_COLUMNS = {"number", "submission_id", "task_id", "status"}


def clock(connection: Connection) -> datetime:
    """The time by the store's clock: the server's, or for a file that of this machine."""
    if connection.dialect.name == "postgresql":
        time: datetime = connection.execute(select(func.clock_timestamp())).scalar_one()
        return time
    return now()


def upsert(connection: Connection, table: Table, row: dict[str, Any], *, replace: bool) -> bool:
    """Insert ``row``; where its key is there already, replace it or leave it. Returns whether anything was written."""
    statement = _upsert_into(table, connection.dialect.name, replace=replace)
    # without the option SQLAlchemy does not ask PostgreSQL how many rows an INSERT has written
    return connection.execute(statement, row, execution_options={"preserve_rowcount": True}).rowcount > 0


# Statements are made once: to make one takes SQLAlchemy longer than to execute it.
@cache
def _upsert_into(table: Table, dialect: str, *, replace: bool) -> Insert:
    statement: postgresql.Insert | sqlite.Insert
    statement = postgresql.insert(table) if dialect == "postgresql" else sqlite.insert(table)
    if not replace:
        return statement.on_conflict_do_nothing()
    key = [column.name for column in table.primary_key]
    new = {column.name: column for column in statement.excluded if column.name not in key}
    return statement.on_conflict_do_update(index_elements=key, set_=new)


def transfer_row(transfer: Transfer) -> dict[str, Any]:
    """The columns of ``transfer``."""
    return {
        "id": transfer.id,
        "status": transfer.status.value,
        "batches": transfer.batches,
        "created_at": transfer.created_at,
        "updated_at": transfer.updated_at,
        "record": to_text(transfer, exclude=_TRANSFER_COLUMNS),
    }


def transfer_of(row: Row[Any]) -> Transfer:
    """The transfer of a row of TRANSFERS; ValueError when it is damaged."""
    return from_text(Transfer, row.record, **{name: getattr(row, name) for name in _TRANSFER_COLUMNS})


def write_lease(connection: Connection, lease: Lease) -> None:
    """Put ``lease`` into the row of its transfer."""
    connection.execute(
        update(TRANSFERS)
        .where(TRANSFERS.c.id == lease.transfer_id)
        .values(lease_token=lease.token, lease_holder=to_text(lease.holder), lease_expires_at=lease.expires_at)
    )


def lease_of(row: Row[Any]) -> Lease | None:
    """The lease in a row of TRANSFERS, expired or not; ValueError when it is damaged."""
    if row.lease_holder is None:
        return None
    holder = from_text(Holder, row.lease_holder)
    return Lease(transfer_id=row.id, token=row.lease_token, holder=holder, expires_at=row.lease_expires_at)


def insert_batch(connection: Connection, batch: Batch, manifest: bytes) -> None:
    """Write a new batch."""
    row = {
        "transfer_id": batch.transfer_id,
        "number": batch.number,
        "items": batch.items,
        "size": batch.size,
        "first_path": batch.first_path,
        "last_path": batch.last_path,
        "manifest": manifest,
    }
    connection.execute(_INSERT_BATCH, row | _state_row(batch))
    _save_attempts(connection, batch, {})
    _save_faults(connection, batch, 0)


class StoredState(NamedTuple):
    """What is stored of a batch that may have to be written: its status, its attempts as rows, how many faults."""

    status: BatchStatus
    attempts: Mapping[int, Mapping[str, Any]]
    faults: int


def stored_state(connection: Connection, transfer_id: str, number: int) -> StoredState | None:
    """What is stored of a batch; None when there is none."""
    rows = connection.execute(_STORED_STATE, {"of_transfer": transfer_id, "of_batch": number}).mappings().all()
    if not rows:
        return None
    attempts = {row["number"]: {name: row[name] for name in _ATTEMPT_ROW} for row in rows if row["number"] is not None}
    return StoredState(BatchStatus(rows[0]["batch_status"]), attempts, rows[0]["faults"])


def update_batch(connection: Connection, batch: Batch, stored: StoredState) -> None:
    """Write what has changed of a batch."""
    which = {"of_transfer": batch.transfer_id, "of_batch": batch.number}
    connection.execute(_UPDATE_BATCH, which | _state_row(batch))
    _save_attempts(connection, batch, stored.attempts)
    _save_faults(connection, batch, stored.faults)


def read_batches(connection: Connection, transfer_id: str, start: int, limit: int) -> list[Batch]:
    """At most ``limit`` batches in order, from number ``start``; ValueError when one is damaged."""
    which = {"of_transfer": transfer_id, "first": start, "most": limit}
    rows = connection.execute(_READ_BATCHES, which).all()
    if not rows:
        return []
    attempts = _children(connection, ATTEMPTS, transfer_id, start, rows[-1].number)
    faults = _children(connection, ITEM_FAULTS, transfer_id, start, rows[-1].number)
    return [_batch_of(row, attempts[row.number], faults[row.number]) for row in rows]


def _state_row(batch: Batch) -> dict[str, Any]:
    ledger = batch.ledger
    return {
        "status": batch.status.value,
        "outcomes": zlib.compress(batch.outcomes),
        "transferred": ledger.transferred,
        "unchanged": ledger.unchanged,
        "skipped": ledger.skipped,
        "dead": ledger.dead,
        "remaining": ledger.remaining,
        "bytes_transferred": batch.bytes_transferred,
    }


def _batch_of(row: Row[Any], attempts: Sequence[Row[Any]], faults: Sequence[Row[Any]]) -> Batch:
    outcomes = zlib.decompress(row.outcomes)
    if len(outcomes) != row.items:
        raise ValueError(f"batch {row.number} has {len(outcomes)} outcomes for {row.items} items")
    return Batch(
        transfer_id=row.transfer_id,
        number=row.number,
        items=row.items,
        size=row.size,
        first_path=row.first_path,
        last_path=row.last_path,
        status=BatchStatus(row.status),
        outcomes=outcomes,
        bytes_transferred=row.bytes_transferred,
        attempts=tuple(_attempt_of(attempt) for attempt in attempts),
        faults=tuple(_fault_of(fault) for fault in faults),
    )


def _attempt_of(row: Row[Any]) -> Attempt:
    columns = {name: getattr(row, name) for name in _ATTEMPT_COLUMNS}
    return from_text(Attempt, row.record, **columns)


def _fault_of(row: Row[Any]) -> ItemFault:
    return ItemFault(path=row.path, outcome=Outcome(row.outcome), code=row.code, attempt=row.attempt, at=row.at)


def _children(
    connection: Connection, table: Table, transfer_id: str, first: int, last: int
) -> dict[int, list[Row[Any]]]:
    """The rows of ``table`` that belong to the batches from ``first`` to ``last``, in order, by batch."""
    found: dict[int, list[Row[Any]]] = defaultdict(list)
    which = {"of_transfer": transfer_id, "first": first, "last": last}
    for row in connection.execute(_children_in(table), which):
        found[row.batch].append(row)
    return found


@cache
def _children_in(table: Table) -> Executable:
    batch = table.c.batch.between(bindparam("first"), bindparam("last"))
    query = select(table).where(table.c.transfer_id == bindparam("of_transfer"), batch)
    return query.order_by(*table.primary_key)


def _save_attempts(connection: Connection, batch: Batch, stored: Mapping[int, Mapping[str, Any]]) -> None:
    for attempt in batch.attempts:
        row = _attempt_row(batch, attempt)
        if stored.get(attempt.number) != row:
            upsert(connection, ATTEMPTS, row, replace=True)


def _attempt_row(batch: Batch, attempt: Attempt) -> dict[str, Any]:
    return {
        "transfer_id": batch.transfer_id,
        "batch": batch.number,
        "number": attempt.number,
        "submission_id": str(attempt.submission_id),
        "task_id": str(attempt.task_id) if attempt.task_id else None,
        "status": attempt.status.value,
        "record": to_text(attempt, exclude=_ATTEMPT_COLUMNS),
    }


def _save_faults(connection: Connection, batch: Batch, stored: int) -> None:
    """Add what is new; what was noted of an item once is never changed."""
    rows = [
        {
            "transfer_id": batch.transfer_id,
            "batch": batch.number,
            "position": position,
            "path": fault.path,
            "outcome": int(fault.outcome),
            "code": fault.code,
            "attempt": fault.attempt,
            "at": fault.at,
        }
        for position, fault in enumerate(batch.faults[stored:], start=stored)
    ]
    if rows:
        connection.execute(_INSERT_FAULTS, rows)


_ATTEMPT_ROW = [column.name for column in ATTEMPTS.c]
_OF_BATCH = (BATCHES.c.transfer_id == bindparam("of_transfer")) & (BATCHES.c.number == bindparam("of_batch"))
_INSERT_BATCH = insert(BATCHES)
_INSERT_FAULTS = insert(ITEM_FAULTS)
_UPDATE_BATCH = update(BATCHES).where(_OF_BATCH)
_READ_BATCHES = (
    select(*(column for column in BATCHES.c if column.name != "manifest"))
    .where(BATCHES.c.transfer_id == bindparam("of_transfer"), BATCHES.c.number >= bindparam("first"))
    .order_by(BATCHES.c.number)
    .limit(bindparam("most", type_=Integer))
)
_FAULTS_OF_BATCH = (
    select(func.count())
    .where(ITEM_FAULTS.c.transfer_id == BATCHES.c.transfer_id, ITEM_FAULTS.c.batch == BATCHES.c.number)
    .scalar_subquery()
)
_STORED_STATE = (
    select(BATCHES.c.status.label("batch_status"), _FAULTS_OF_BATCH.label("faults"), ATTEMPTS)
    .join(
        ATTEMPTS,
        (ATTEMPTS.c.transfer_id == BATCHES.c.transfer_id) & (ATTEMPTS.c.batch == BATCHES.c.number),
        isouter=True,
    )
    .where(_OF_BATCH)
)
