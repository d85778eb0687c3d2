"""Patience: calling Globus, or the checkpoint store, again while it is out of reach."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable
from typing import TypeVar

from prefect_globus.tasks.counting import count_retry
from prefect_globus.tasks.stopping import Stop, StopReason
from prefect_globus.transfers.errors import GlobusTransientError, StoreUnavailableError
from prefect_globus.transfers.options import TransferOptions

_log = logging.getLogger(__name__)
_T = TypeVar("_T")

# How long what was done already may keep a process that is told to end, so that it is on record.
_LAST_WORDS_SECONDS = 5.0


def patiently(
    options: TransferOptions, stop: Stop, call: Callable[..., _T], *args: object, although_stopping: bool = False
) -> _T:
    """Call ``call``, and again while what it needs is out of reach, for as long as ``patience`` says.

    Args:
        options: patience, and how long to wait between two calls.
        stop: ends the waiting.
        call: what to call; it must be harmless to call it again.
        args: with what.
        although_stopping: whether to go on for some seconds when a stop is requested: for what is to be written down.

    Raises:
        GlobusTransientError: patience is at its end.
        StoreUnavailableError: the same.
        TransferStoppedError: the driver is told to stop.
    """
    give_up = time.monotonic() + options.patience
    retry = 0
    while True:
        if not although_stopping:
            stop.check()
        try:
            return call(*args)
        except (GlobusTransientError, StoreUnavailableError) as error:
            retry += 1
            wait = options.api_retry_wait(retry, random.random())  # noqa: S311 - jitter, no secret
            if stop.reason is StopReason.LEASE_LOST:
                raise
            if stop.reason is not None and although_stopping:
                give_up = min(give_up, time.monotonic() + _LAST_WORDS_SECONDS)
                wait = min(wait, 1.0)
            if time.monotonic() + wait > give_up:
                raise
            count_retry(error)
            _log.warning("%s Trying again in %.1f s.", error, wait)
        if although_stopping:
            stop.pause(wait)
        else:
            stop.wait(wait)
