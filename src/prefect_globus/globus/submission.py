"""The body of a submission: a pure function of the checkpoint, so that a repeated one is the same to the letter."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import globus_sdk

from prefect_globus.transfers.batches import Attempt, Batch
from prefect_globus.transfers.items import Item, ItemType
from prefect_globus.transfers.location import Location
from prefect_globus.transfers.model import Transfer
from prefect_globus.transfers.options import SyncLevel, TransferOptions
from prefect_globus.transfers.removals import Removal, RemovalKind
from prefect_globus.transfers.wholes import excluded_names

_LABEL_LIMIT = 128
_RECURSIVE = (ItemType.DIRECTORY, ItemType.TREE)


def submission_body(transfer: Transfer, batch: Batch, items: Sequence[Item]) -> dict[str, Any]:
    """The transfer document for the latest attempt of ``batch`` (contract, section 3).

    Args:
        transfer: whose locations and options apply.
        batch: with the attempt on record.
        items: those of its items that the attempt is sent.
    """
    attempt = batch.attempts[-1]
    options = transfer.options
    body: dict[str, Any] = {
        "DATA_TYPE": "transfer",
        "submission_id": str(attempt.submission_id),
        "source_endpoint": str(transfer.source.collection),
        "destination_endpoint": str(transfer.destination.collection),
        "label": task_label(transfer, batch),
        "verify_checksum": options.verify_checksum,
        "preserve_timestamp": options.preserve_timestamp,
        "encrypt_data": options.encrypt_data,
        # Globus then names what it cannot read and goes on at once; otherwise it would try again until the deadline.
        # To those who have not asked for the option, what it names is a dead letter.
        "skip_source_errors": True,
        "fail_on_quota_errors": options.fail_on_quota_errors,
        # a transfer of hundreds of tasks must not send hundreds of mails
        "notify_on_succeeded": False,
        "notify_on_failed": False,
        "notify_on_inactive": False,
    }
    level = sync_level(transfer, attempt, whole=batch.is_whole)
    if level is not None:
        body["sync_level"] = level.number
    if attempt.deadline is not None:
        body["deadline"] = attempt.deadline.isoformat(timespec="seconds")
    if batch.is_whole:
        body |= _what_is_wanted(options)
    elif any(item.type is ItemType.DIRECTORY for item in items):
        # a directory was empty when it was listed; what has appeared in it is neither selected nor counted
        body["filter_rules"] = [_excluded("*")]
    return body | {"DATA": _documents(transfer, items)}


def _documents(transfer: Transfer, items: Sequence[Item]) -> list[dict[str, Any]]:
    """What is to go where; not by globus-sdk, which takes ten times as long for each item."""
    source, destination = transfer.source.joint, transfer.destination.joint
    return [
        {
            "DATA_TYPE": "transfer_item",
            "source_path": source + item.path if item.path else transfer.source.path,
            "destination_path": destination + item.path if item.path else transfer.destination.path,
            "recursive": item.type in _RECURSIVE,
        }
        for item in items
    ]


def _what_is_wanted(options: TransferOptions) -> dict[str, Any]:
    """What of a directory that is transferred as a whole is wanted, as the walk would have chosen it."""
    wanted: dict[str, Any] = {}
    if names := excluded_names(options):
        wanted["filter_rules"] = list(map(_excluded, names))
    if options.symlinks == "follow":
        wanted["recursive_symlinks"] = "copy"
    return wanted


def _excluded(name: str) -> dict[str, Any]:
    return {"DATA_TYPE": "filter_rule", "method": "exclude", "name": name}


def sync_level(transfer: Transfer, attempt: Attempt, *, whole: bool = False) -> SyncLevel | None:
    """The sync level of an attempt.

    After a first attempt the destination may hold half-written files, which exists, size and mtime can take for
    whole ones (invariant 8), so every later attempt compares checksums or nothing. A directory that is transferred as a
    ``whole`` is sent again with all that has arrived, and where others are left out by what is on record: there
    checksums are compared, as an earlier transfer may have left half-written files in it that nobody has on record.
    """
    options = transfer.options
    if options.idempotency == "checksum":
        return SyncLevel.CHECKSUM
    asked = options.sync_level
    is_first = attempt.number == 1
    if whole:
        recalls = options.mode == "incremental" or options.idempotency == "mtime" or transfer.repairs is not None
        return asked if is_first and not recalls else SyncLevel.CHECKSUM
    return asked if asked is None or is_first else SyncLevel.CHECKSUM


def task_label(transfer: Transfer, batch: Batch) -> str:
    """What a person sees of a Globus task of ``batch``."""
    suffix = f", batch {batch.number}"
    return (transfer.options.label or transfer.id)[: _LABEL_LIMIT - len(suffix)] + suffix


def removal_body(transfer: Transfer, removal: Removal) -> dict[str, Any]:
    """The delete document for the latest attempt of ``removal`` (contract, section 3).

    A directory can only be deleted with what is in it; so at the source, where something new may be in it by then,
    there is none. What is not there any more is no error, so that a repeated deletion is harmless.
    """
    items, place = removal.items, place_of(transfer, removal.kind)
    data = globus_sdk.DeleteData(
        place.collection,
        label=removal_label(transfer, removal),
        submission_id=removal.attempt.submission_id if removal.attempt is not None else globus_sdk.MISSING,
        recursive=any(item.type is ItemType.DIRECTORY for item in items),
        ignore_missing=True,
        interpret_globs=False,
        notify_on_succeeded=False,
        notify_on_failed=False,
        notify_on_inactive=False,
    )
    for item in items:
        data.add_item(place.join(item.path))
    return dict(data)


def place_of(transfer: Transfer, kind: RemovalKind) -> Location:
    """Where a removal deletes."""
    return transfer.source if kind is RemovalKind.SOURCE else transfer.destination


def removal_label(transfer: Transfer, removal: Removal) -> str:
    """What a person sees of the Globus task of ``removal``, and by which it is found."""
    number = removal.attempt.number if removal.attempt is not None else 0
    suffix = f", delete {removal.kind} {number}"
    return transfer.id[: _LABEL_LIMIT - len(suffix)] + suffix
