"""A client of Prefect's API for what may be left undone: it neither sleeps nor asks again."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus

from httpx import Response
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.settings import PREFECT_API_URL, PREFECT_CLIENT_MAX_RETRIES, temporary_settings

OWN_SERVER = "PREFECT_GLOBUS_OWN_SERVER"  # an environment variable, of commands that have started a server

# What Prefect's client sleeps for before it says so, for seconds, though it is told not to ask again. On SQLite the
# server is busy for milliseconds whenever several runs write at once.
_BUSY = (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.BAD_GATEWAY, HTTPStatus.SERVICE_UNAVAILABLE)


def has_server() -> bool:
    """Whether there is a Prefect server that others may ask, too; an ephemeral one ends with its flow."""
    return bool(PREFECT_API_URL.value())


def has_ui() -> bool:
    """Whether somebody can look at that server, and answer there: one that a command has for itself has no UI."""
    return has_server() and OWN_SERVER not in os.environ


@contextmanager
def impatient_client(seconds: float) -> Iterator[SyncPrefectClient]:
    """A client that raises at once where Prefect's own would sleep and ask again; for the context it is opened in.

    Args:
        seconds: how long an answer may take.
    """
    settings = {"timeout": seconds, "event_hooks": {"response": [_refuse_what_is_busy]}}
    with (
        temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 0}),
        get_client(httpx_settings=settings, sync_client=True) as client,
    ):
        yield client


def _refuse_what_is_busy(response: Response) -> None:
    if response.status_code in _BUSY:
        response.raise_for_status()
