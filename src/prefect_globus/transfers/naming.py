"""What Prefect's runs, tags and artifacts are called for a transfer."""

from __future__ import annotations

import re
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from prefect_globus.transfers.ledger import Ledger
from prefect_globus.transfers.model import Transfer
from prefect_globus.transfers.quantities import count, size

_NOT_IN_KEYS = re.compile(r"[^a-z0-9]+")
_UUID = re.compile(r"\b([0-9a-f]{8})(?:-?[0-9a-f]{4}){3}-?[0-9a-f]{12}\b", re.IGNORECASE)


def first_run_name(parameters: Mapping[str, Any]) -> str:
    """A flow run of `resumable_transfer` with these parameters, before more is known."""
    return str(parameters.get("transfer_id") or between(parameters))


def between(parameters: Mapping[str, Any]) -> str:
    """From where to where: ``6c54cade…:/raw to 31ce9ba0…:/backup``. Whole ids would leave no room for what differs."""
    return _UUID.sub(r"\1…", f"{parameters['source']} to {parameters['destination']}")


def run_name(transfer: Transfer, ledger: Ledger) -> str:
    """A flow run, once it is known what it moves: ``backup-20261122: 12,480 files, 3.1 TiB``."""
    return f"{transfer.id}: {_amount(ledger)}"


def batch_name(number: int, batches: int | None, ledger: Ledger | None) -> str:
    """A task run: ``batch 17 of 212: 4,096 files, 38.0 GiB``.

    Args:
        number: the batch's.
        batches: how many there are; None as long as the scan goes on.
        ledger: of the batch; None where it is not at hand.
    """
    name = f"batch {number:,}" if batches is None else f"batch {number:,} of {batches:,}"
    return name if ledger is None else f"{name}: {_amount(ledger)}"


def tags_of(transfer: Transfer) -> list[str]:
    """What all flow runs of a transfer, or of a schedule, are found by."""
    tags = [f"transfer:{transfer.id}"]
    return tags if transfer.scheduled is None else [*tags, f"schedule:{transfer.scheduled.schedule}"]


def artifact_key(kind: str, transfer_id: str) -> str:
    """The key of one of its artifacts; always the same, so that Prefect shows those of all its runs as a history.

    Prefect allows lower-case letters, digits and dashes only, so an id with others is told apart by a few digits.
    """
    plain = _NOT_IN_KEYS.sub("-", transfer_id.lower()).strip("-")
    told_apart = [] if plain == transfer_id else [sha256(transfer_id.encode()).hexdigest()[:8]]
    return "-".join([kind, *filter(None, [plain]), *told_apart])


def _amount(ledger: Ledger) -> str:
    return f"{count(ledger.items, 'file')}, {size(ledger.bytes_total)}"
