"""The SDK's own canned documents as a yardstick: whatever keys Globus answered with once, we answer with."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("responses", reason="the SDK's canned documents need it")

from globus_sdk.testing import get_response_set

if TYPE_CHECKING:
    from tests.emulator.conftest import Lab


def canned(name: str, case: str = "default") -> Any:
    return get_response_set(f"transfer.{name}").lookup(case).json


def missing(expected: Iterable[str], answer: Iterable[str]) -> list[str]:
    return sorted(set(expected) - set(answer))


def test_documents_have_every_key(lab: Lab) -> None:
    """Endpoint, file, task list, results, and error."""
    lab.put("file")
    task = lab.transfer("file")
    listing = lab.client.task_list()
    checks = {
        "get_endpoint": lab.client.get_endpoint(lab.source_id).data,
        "operation_stat": lab.client.operation_stat(lab.source_id, lab.path("file")).data,
        "operation_mkdir": lab.client.operation_mkdir(lab.source_id, lab.path("new")).data,
        "operation_rename": lab.client.operation_rename(lab.source_id, lab.path("new"), lab.path("old")).data,
        "task_list": listing.data,
        "cancel_task": lab.client.cancel_task(task["task_id"]).data,
        "get_submission_id": lab.client.get_submission_id().data,
        "submit_transfer": lab.client.submit_transfer(lab.data("file")).data,
    }
    assert {name: missing(canned(name), answer) for name, answer in checks.items()} == {name: [] for name in checks}
    assert missing(canned("task_list")["DATA"][0], listing["DATA"][0]) == []
    error = lab.raw("GET", f"/v0.10/operation/endpoint/{lab.source_id}/stat?path=/none").json()
    assert set(canned("operation_stat", "not_found")) == set(error)
