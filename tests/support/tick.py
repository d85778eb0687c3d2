"""Runs a flow run of scheduled_transfer, as a process that a test can kill. Says "begins", and waits for a line."""

from __future__ import annotations

import sys
from uuid import UUID

from prefect.client.orchestration import get_client
from prefect.flow_engine import run_flow

from prefect_globus.flows.scheduled_transfer import scheduled_transfer

with get_client(sync_client=True) as client:
    run = client.read_flow_run(UUID(sys.argv[1]))
print("begins", flush=True)
sys.stdin.readline()
state = run_flow(scheduled_transfer, flow_run=run, parameters=run.parameters, return_type="state")
print(state.name, flush=True)
