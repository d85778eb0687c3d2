"""Runs the flow once, as a process that a test can kill. Says "begins" when Prefect is imported."""

from __future__ import annotations

import sys

from prefect_globus import TransferOptions, resumable_transfer

source, destination, transfer_id, options = sys.argv[1:]
call = resumable_transfer
print("begins", flush=True)
result = call(source, destination, options=TransferOptions.model_validate_json(options), transfer_id=transfer_id)
print(result.status, flush=True)
