"""Runs the flow once, as a process that a test can kill, with the parameters in its one argument. Says "begins"."""

from __future__ import annotations

import json
import sys

from prefect_globus import TransferOptions, resumable_transfer

parameters = json.loads(sys.argv[1])
parameters["options"] = TransferOptions.model_validate(parameters["options"])
call = resumable_transfer
print("begins", flush=True)
print(call(**parameters).status, flush=True)
