"""Events: Prefect hears how a transfer goes, so that automations can act on it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from typing import Any

from prefect.context import FlowRunContext
from prefect.events import emit_event

from prefect_globus.tasks.driver import Driver
from prefect_globus.tasks.prefect_client import has_server
from prefect_globus.transfers.model import Transfer
from prefect_globus.transfers.states import TransferStatus

_log = logging.getLogger(__name__)

PREFIX = "prefect-globus.transfer"

EVENTS: Mapping[str, str] = {
    "started": "a run has begun to drive it",
    "progress": "a quarter, a half or three quarters are done; `percent` says which",
    "stalled": "nothing has moved for ten minutes, or half of `stall_seconds` if that is less; once for each such time",
    "paused": "it waits for somebody; `error` says for what",
    "resumed": "it goes on after that, within the same run",
    "completed": "nothing is missing",
    "completed-with-skips": "the same, and something was skipped; comes after `completed`",
    "failed": "something is missing; `error` says what",
    "canceled": "somebody has canceled it",
}
"""What is told of a transfer, and when."""

_AT_WORK = (TransferStatus.SCANNING, TransferStatus.TRANSFERRING)
_BEGINNINGS = ("started", "resumed")
_ENDS = {
    TransferStatus.PAUSED: "paused",
    TransferStatus.COMPLETED: "completed",
    TransferStatus.FAILED: "failed",
    TransferStatus.CANCELED: "canceled",
}


class Announcer:
    """Emits the `EVENTS` of one transfer, those of its status when that is on record.

    Prefect relates them to the flow run. An event may be lost where the process is killed, or Prefect's server is gone,
    just then; it never holds up the transfer.

    Args:
        driver: of the transfer.
        drives: whether this process does the transfer, rather than what somebody has asked of it meanwhile.
    """

    def __init__(self, driver: Driver, *, drives: bool = True) -> None:
        self._progress = driver.progress
        self._drives = drives
        self._last: str | None = None
        self._lock = threading.Lock()

    def __call__(self, transfer: Transfer) -> None:
        """Tell how ``transfer`` stands, which was just written, if that has changed."""
        with self._lock:
            name, before = self._name(transfer.status), self._last
            self._last = name
        if name is None or name == before or (name in _BEGINNINGS and not self._drives):
            return
        self.tell(name, transfer)
        if name == "completed" and self._progress.ledger().skipped:
            self.tell("completed-with-skips", transfer)

    def tell(self, name: str, transfer: Transfer, **more: object) -> None:
        """Emit the event ``name``; ``more`` goes into its payload."""
        if FlowRunContext.get() is None or not has_server():
            return
        payload = self._payload(transfer) | more
        labels = _resource(transfer, payload)
        try:
            emit_event(f"{PREFIX}.{name}", resource=labels, related=_related(transfer), payload=payload)
        except Exception as error:  # noqa: BLE001 - whatever it is, the transfer is none the worse for it
            _log.warning("Prefect was not told that transfer %s is %s: %s", transfer.id, name, error)

    def _name(self, status: TransferStatus) -> str | None:
        if status not in _AT_WORK:
            return _ENDS.get(status)
        if self._last == "paused":
            return "resumed"
        return self._last or "started"

    def _payload(self, transfer: Transfer) -> dict[str, Any]:
        """What an automation may want to hand on; the names are those of `TransferResult`."""
        ledger = self._progress.ledger()
        payload: dict[str, Any] = {
            "transfer_id": transfer.id,
            "status": transfer.status.value,
            "source": str(transfer.source),
            "destination": str(transfer.destination),
            "label": transfer.options.label,
            "error": transfer.error,
            "items_total": ledger.items,
            "items_transferred": ledger.transferred,
            "items_unchanged": ledger.unchanged,
            "items_skipped": ledger.skipped,
            "items_failed": ledger.dead,
            "items_remaining": ledger.remaining,
            "bytes_total": ledger.bytes_total,
            "bytes_transferred": ledger.bytes_transferred,
        }
        if transfer.scheduled is not None:
            payload["scheduled"] = transfer.scheduled.model_dump(mode="json")
        return payload


def _resource(transfer: Transfer, payload: Mapping[str, Any]) -> dict[str, str]:
    """What the event is about, with the labels that a trigger can match: it cannot match the payload."""
    labels = {
        "prefect.resource.id": f"{PREFIX}.{transfer.id}",
        "prefect.resource.name": transfer.id,
        "prefect-globus.source": str(transfer.source),
        "prefect-globus.destination": str(transfer.destination),
        "prefect-globus.items-skipped": str(payload["items_skipped"]),
        "prefect-globus.items-failed": str(payload["items_failed"]),
    }
    if "percent" in payload:
        labels["prefect-globus.percent"] = str(payload["percent"])
    if transfer.scheduled is not None:
        labels["prefect-globus.schedule"] = transfer.scheduled.schedule
    return labels


def _related(transfer: Transfer) -> list[dict[str, str]]:
    """The two collections; to these Prefect adds the flow run, its flow and its deployment."""
    ends = {"source": transfer.source, "destination": transfer.destination}
    return [
        {"prefect.resource.id": f"globus.collection.{place.collection}", "prefect.resource.role": f"{end}-collection"}
        for end, place in ends.items()
    ]
