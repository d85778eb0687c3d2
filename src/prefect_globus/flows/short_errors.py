"""Our own errors in Prefect's log: in a line, which says what to do. Tracebacks are for what nobody foresaw."""

from __future__ import annotations

import logging

from prefect_globus.transfers.errors import TransferError

# What Prefect logs the end of a run with: in the run's own log, and in that of its process.
_LOGGERS = ("prefect.flow_runs", "prefect.task_runs", "prefect.engine")

# In a flow of somebody else's the traceback tells which of its lines has called us.
FLOWS = frozenset(
    {
        *("resumable-transfer", "scheduled-transfer", "transfer-and-catalogue", "resume-incomplete"),
        *("redrive-transfer", "verify-transfer", "delete-source", "delete-extra", "purge-transfers"),
        *("preflight-transfer", "plan-transfer"),
    }
)


# Before the flow is known, and once more of the same error at the end of its process
_UNNAMED = frozenset({None, "<unknown>"})


def shorten() -> None:
    """Leave tracebacks of our own errors out of Prefect's log, unless that is to tell everything (DEBUG)."""
    for name in _LOGGERS:
        logging.getLogger(name).addFilter(_short)  # twice is once


def _short(record: logging.LogRecord) -> bool:
    error = record.exc_info[1] if record.exc_info else None
    is_ours = getattr(record, "flow_name", None) in FLOWS | _UNNAMED
    if isinstance(error, TransferError) and is_ours and not logging.getLogger(record.name).isEnabledFor(logging.DEBUG):
        record.exc_info = None
    return True
