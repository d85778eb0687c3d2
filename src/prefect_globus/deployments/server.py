"""The Prefect server that deployments are kept on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import httpx
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.deployments.runner import DeploymentApplyError
from prefect.exceptions import PrefectException
from prefect.settings import PREFECT_API_URL, PREFECT_CLIENT_MAX_RETRIES, temporary_settings

from prefect_globus.transfers.errors import NoPrefectServerError, PrefectServerError, first_line

_RETRIES = 2


@contextmanager
def prefect_server() -> Iterator[SyncPrefectClient]:
    """A client of the Prefect server that is configured.

    Raises:
        NoPrefectServerError: none is; one of our own would end with us, and nothing would be due on it.
        PrefectServerError: it does not answer, or refuses.
    """
    if not PREFECT_API_URL.value():
        raise NoPrefectServerError
    try:
        with get_client(sync_client=True) as client:
            # by default Prefect tries for half a minute, in which nobody is told anything; one that answers may be busy
            with temporary_settings({PREFECT_CLIENT_MAX_RETRIES: _RETRIES}):
                client.hello()
            yield client
    except httpx.TransportError as error:
        where = f"Look whether it runs at {PREFECT_API_URL.value()}, or correct PREFECT_API_URL"
        raise PrefectServerError(reason=f"{first_line(error)}. {where}") from error
    except (httpx.HTTPError, PrefectException, DeploymentApplyError) as error:
        raise PrefectServerError(reason=first_line(error)) from error
