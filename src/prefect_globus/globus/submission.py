"""The body of a submission: a pure function of the checkpoint, so that a repeated one is the same to the letter."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import globus_sdk

from prefect_globus.transfers.items import Item, ItemType
from prefect_globus.transfers.model import Attempt, Batch, Transfer
from prefect_globus.transfers.options import SyncLevel

_LABEL_LIMIT = 128


def submission_body(transfer: Transfer, batch: Batch, items: Sequence[Item]) -> dict[str, Any]:
    """The transfer document for the latest attempt of ``batch`` (contract, section 3).

    Args:
        transfer: whose locations and options apply.
        batch: with the attempt on record.
        items: those of its items that still need work.
    """
    attempt = batch.attempts[-1]
    options = transfer.options
    data = globus_sdk.TransferData(
        transfer.source.collection,
        transfer.destination.collection,
        label=_label(transfer, batch),
        submission_id=attempt.submission_id,
        verify_checksum=options.verify_checksum,
        preserve_timestamp=options.preserve_timestamp,
        encrypt_data=options.encrypt_data,
        skip_source_errors=options.skip_source_errors,
        fail_on_quota_errors=options.fail_on_quota_errors,
        # a transfer of hundreds of tasks must not send hundreds of mails
        notify_on_succeeded=False,
        notify_on_failed=False,
        notify_on_inactive=False,
    )
    level = sync_level(transfer, attempt)
    if level is not None:
        data["sync_level"] = level.number
    if attempt.deadline is not None:
        data["deadline"] = attempt.deadline.isoformat(timespec="seconds")
    if any(item.type is ItemType.DIRECTORY for item in items):
        # a directory was empty when it was listed; what has appeared in it is neither selected nor counted
        data.add_filter_rule("*", method="exclude")
    for item in items:
        source, destination = transfer.source.join(item.path), transfer.destination.join(item.path)
        data.add_item(source, destination, recursive=item.type is ItemType.DIRECTORY)
    return dict(data)


def sync_level(transfer: Transfer, attempt: Attempt) -> SyncLevel | None:
    """The sync level of an attempt.

    After a first attempt the destination may hold half-written files, which exists, size and mtime can take for
    whole ones (invariant 8), so every later attempt compares checksums or nothing.
    """
    asked = transfer.options.sync_level
    return asked if asked is None or attempt.number == 1 else SyncLevel.CHECKSUM


def _label(transfer: Transfer, batch: Batch) -> str:
    suffix = f", batch {batch.number}"
    return (transfer.options.label or transfer.id)[: _LABEL_LIMIT - len(suffix)] + suffix
