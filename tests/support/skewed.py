"""Runs the flow once, on a machine whose clock is wrong: a process that a test can stop, wake up and kill.

Arguments: source, destination, transfer id, options as JSON, seconds that the clock is fast, and the store: the URL of
a database, or a folder.
"""

from __future__ import annotations

import sys
from datetime import datetime, timedelta
from pathlib import Path

from prefect_globus import FileCheckpointStore, SqlCheckpointStore, TransferOptions, resumable_transfer
from prefect_globus.blocks import file_store, sql_rows
from prefect_globus.transfers import records

source, destination, transfer_id, options, fast, where = sys.argv[1:]
real_now = records.now


def now() -> datetime:
    """The time by this machine's clock."""
    return real_now() + timedelta(seconds=float(fast))


for module in (records, file_store, sql_rows):
    module.now = now  # type: ignore[attr-defined]

store = SqlCheckpointStore(url=where) if "://" in where else FileCheckpointStore(basepath=Path(where))
call = resumable_transfer
print("begins", flush=True)
result = call(
    source,
    destination,
    options=TransferOptions.model_validate_json(options),
    transfer_id=transfer_id,
    checkpoints=store,
)
print(result.status, flush=True)
