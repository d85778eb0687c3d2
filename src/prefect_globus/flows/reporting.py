"""The report of a transfer: read from the checkpoint by whoever asks, and shown in Prefect when a run has ended."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

from httpx import HTTPError
from prefect.client.schemas.actions import ArtifactCreate
from prefect.context import FlowRunContext

from prefect_globus.blocks import CheckpointStore
from prefect_globus.flows.blocks import find_checkpoints
from prefect_globus.flows.gallery import is_open
from prefect_globus.tasks.driver import Driver
from prefect_globus.tasks.prefect_client import impatient_client
from prefect_globus.transfers.naming import artifact_key
from prefect_globus.transfers.telling.pages import as_markdown
from prefect_globus.transfers.telling.report import AT_REST, TransferReport

_log = logging.getLogger(__name__)

_OTHER_GLOBUS = "GLOBUS_SDK_SERVICE_URL_TRANSFER"  # whose tasks Globus' web app does not show
_ANSWER_SECONDS = 5.0
_TRIES = 3
_BUSY_SECONDS = 0.5


def transfer_report(
    transfer_id: str, checkpoints: CheckpointStore | str | None = None, *, has_links: bool | None = None
) -> TransferReport:
    """What a transfer has done: what was moved, left out or lost and why, when, how fast, and by whom.

    Args:
        transfer_id: which.
        checkpoints: a block or its name; the default database when left out.
        has_links: whether Globus' web app knows its tasks; when left out, unless the environment names another service.

    Raises:
        TransferNotFoundError: there is no such transfer.
    """
    store = find_checkpoints(checkpoints)
    links = _OTHER_GLOBUS not in os.environ if has_links is None else has_links
    return TransferReport.of(store.load_transfer(transfer_id), store.list_batches(transfer_id), has_links=links)


@contextmanager
def reported(driver: Driver) -> Iterator[None]:
    """Show the report in Prefect when the block has ended, however it has."""
    try:
        yield
    finally:
        tell_report(driver)


def tell_report(driver: Driver) -> None:
    """Show the report in Prefect, if the transfer has come to rest. It may be missing there; that is no error."""
    context, transfer = FlowRunContext.get(), driver.transfer
    if context is None or context.flow_run is None or not is_open():
        return
    if not driver.drives or transfer.status not in AT_REST:
        return
    try:
        batches = driver.store.list_batches(transfer.id)
        report = TransferReport.of(transfer, batches, has_links=driver.globus.is_at_globus)
        _show(
            ArtifactCreate(
                key=artifact_key("report", transfer.id),
                type="markdown",
                description=f"What transfer {transfer.id} did",
                data=as_markdown(report),
                flow_run_id=context.flow_run.id,
            )
        )
    except Exception as error:  # noqa: BLE001 - whatever it is, the transfer is none the worse for it
        _log.warning("The report of transfer %s is not shown in Prefect: %s", transfer.id, error)


def _show(artifact: ArtifactCreate) -> None:
    for left in reversed(range(_TRIES)):
        try:
            with impatient_client(_ANSWER_SECONDS) as client:
                client.create_artifact(artifact)
        except HTTPError:  # a server on SQLite is busy for milliseconds
            if not left:
                raise
            time.sleep(_BUSY_SECONDS)
        else:
            return
