"""The body of a submission: what globus-sdk itself would send, made for many items at once."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from uuid import UUID

import globus_sdk
import pytest

from prefect_globus.globus.submission import submission_body
from prefect_globus.transfers.batches import Batch
from prefect_globus.transfers.items import Item, ItemType
from prefect_globus.transfers.location import Location
from prefect_globus.transfers.model import Transfer
from prefect_globus.transfers.options import SyncLevel, TransferOptions

HERE, THERE = (UUID(int=number) for number in (1, 2))
SUBMISSION = UUID(int=3)
DEADLINE = datetime(2026, 11, 22, tzinfo=UTC)
FILES = [Item("a/ü", 1, 0), Item("b", 2, 0)]


def sent_by_globus_sdk(data: globus_sdk.TransferData) -> object:
    """What it makes of a document on the wire."""
    client = globus_sdk.TransferClient()
    request = client.transport.representation_providers["json"].encode("POST", "http://localhost", None, data, {})
    return json.loads(request.prepare().body or "")


@pytest.mark.parametrize(
    ("source", "destination", "items"),
    [
        ("/", "/~/", FILES),
        ("/from", "/to/", [*FILES, Item("empty", 0, 0, ItemType.DIRECTORY)]),
        ("/from/file", "/to/file", [Item("", 1, 0)]),
    ],
)
def test_the_body_is_that_of_globus_sdk(source: str, destination: str, items: list[Item]) -> None:
    """With and without directories, and for a source that is one file."""
    options = TransferOptions(sync_level=SyncLevel.SIZE, encrypt_data=True)
    ends = {
        "source": Location(collection=HERE, path=source),
        "destination": Location(collection=THERE, path=destination),
    }
    transfer = Transfer(id="test", options=options, **ends)
    batch = Batch.cut("test", 7, items).intend(SUBMISSION, DEADLINE)
    data = globus_sdk.TransferData(
        HERE,
        THERE,
        label="test, batch 7",
        submission_id=SUBMISSION,
        sync_level="size",
        deadline="2026-11-22T00:00:00+00:00",
        verify_checksum=options.verify_checksum,
        preserve_timestamp=options.preserve_timestamp,
        encrypt_data=True,
        skip_source_errors=True,
        fail_on_quota_errors=options.fail_on_quota_errors,
        notify_on_succeeded=False,
        notify_on_failed=False,
        notify_on_inactive=False,
    )
    for item in items:
        paths = ends["source"].join(item.path), ends["destination"].join(item.path)
        data.add_item(*paths, recursive=item.type is ItemType.DIRECTORY)
        if item.type is ItemType.DIRECTORY:
            data.add_filter_rule("*", method="exclude")
    assert json.loads(json.dumps(submission_body(transfer, batch, items))) == sent_by_globus_sdk(data)
