"""Rows and records: how the SQL checkpoint store writes down what it keeps, and reads it back."""

from __future__ import annotations

import zlib
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, Table, func, insert, select, update
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
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    statement = dialect.insert(table).values(**row)
    if replace:
        key = [column.name for column in table.primary_key]
        statement = statement.on_conflict_do_update(index_elements=key, set_=row)
    else:
        statement = statement.on_conflict_do_nothing()
    # without the option SQLAlchemy does not ask PostgreSQL how many rows an INSERT has written
    return connection.execute(statement, execution_options={"preserve_rowcount": True}).rowcount > 0


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
    connection.execute(insert(BATCHES).values(**row, **_state_row(batch)))
    _save_attempts(connection, batch)
    _save_faults(connection, batch)


def update_batch(connection: Connection, batch: Batch) -> None:
    """Write what has changed of a batch."""
    which = (BATCHES.c.transfer_id == batch.transfer_id) & (BATCHES.c.number == batch.number)
    connection.execute(update(BATCHES).where(which).values(**_state_row(batch)))
    _save_attempts(connection, batch)
    _save_faults(connection, batch)


def read_batches(connection: Connection, transfer_id: str, start: int, limit: int) -> list[Batch]:
    """At most ``limit`` batches in order, from number ``start``; ValueError when one is damaged."""
    columns = [column for column in BATCHES.c if column.name != "manifest"]
    rows = connection.execute(
        select(*columns)
        .where(BATCHES.c.transfer_id == transfer_id, BATCHES.c.number >= start)
        .order_by(BATCHES.c.number)
        .limit(limit)
    ).all()
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
    query = select(table).where(table.c.transfer_id == transfer_id, table.c.batch.between(first, last))
    for row in connection.execute(query.order_by(*table.primary_key)):
        found[row.batch].append(row)
    return found


def _save_attempts(connection: Connection, batch: Batch) -> None:
    stored = _children(connection, ATTEMPTS, batch.transfer_id, batch.number, batch.number)[batch.number]
    before = {row.number: _attempt_of(row) for row in stored}
    for attempt in batch.attempts:
        if before.get(attempt.number) != attempt:
            upsert(connection, ATTEMPTS, _attempt_row(batch, attempt), replace=True)


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


def _save_faults(connection: Connection, batch: Batch) -> None:
    """Add what is new; what was noted of an item once is never changed."""
    which = (ITEM_FAULTS.c.transfer_id == batch.transfer_id) & (ITEM_FAULTS.c.batch == batch.number)
    stored = connection.scalar(select(func.count()).select_from(ITEM_FAULTS).where(which)) or 0
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
        connection.execute(insert(ITEM_FAULTS), rows)
