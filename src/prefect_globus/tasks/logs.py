"""Where the engine logs: with the run that it works for, so that the Prefect UI shows it there."""

from __future__ import annotations

import logging

from prefect.exceptions import MissingContextError
from prefect.logging import get_run_logger

_log = logging.getLogger(__name__)


def run_logger() -> logging.Logger | logging.LoggerAdapter[logging.Logger]:
    """The logger of the current flow or task run; a plain one outside of any, as for who drives the engine by hand."""
    try:
        return get_run_logger()
    except MissingContextError:
        return _log
