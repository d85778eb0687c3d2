"""Submitting: what is accepted, once, and what is refused."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import globus_sdk
import pytest

from prefect_globus.emulator.web import LARGEST_BODY

if TYPE_CHECKING:
    from tests.emulator.conftest import Lab

Document = dict[str, Any]


def document(lab: Lab, **changes: Any) -> Document:
    item = {"DATA_TYPE": "transfer_item", "source_path": lab.path("a"), "destination_path": lab.path("a")}
    return {
        "DATA_TYPE": "transfer",
        "submission_id": str(uuid.uuid4()),
        "source_endpoint": lab.source_id,
        "destination_endpoint": lab.destination_id,
        "DATA": [item | changes.pop("item", {})],
    } | changes


def submit(lab: Lab, **changes: Any) -> tuple[int, str]:
    answer = lab.raw("POST", "/v0.10/transfer", json=document(lab, **changes))
    return answer.status_code, answer.json()["code"]


def test_submission_id_is_a_uuid(lab: Lab) -> None:
    """The service makes the ids."""
    assert uuid.UUID(lab.client.get_submission_id()["value"])


def test_accepted(lab: Lab) -> None:
    """The answer has the task's id, a version 1 UUID, and a link to it."""
    lab.put("a")
    answer = lab.raw("POST", "/v0.10/transfer", json=document(lab))
    result = answer.json()
    assert (answer.status_code, result["code"], result["DATA_TYPE"]) == (202, "Accepted", "transfer_result")
    assert uuid.UUID(result["task_id"]).version == 1
    assert result["task_link"]["href"] == f"task/{result['task_id']}?format=json"


def test_the_same_submission_id_is_the_same_task(lab: Lab) -> None:
    """Whatever is sent with it, while the task runs and after it has ended."""
    lab.put("a")
    first = lab.client.submit_transfer(lab.data("a"))
    assert lab.wait(first["task_id"])["status"] == "SUCCEEDED"
    answer = lab.raw("POST", "/v0.10/transfer", json={"submission_id": first["submission_id"].upper()})
    assert (answer.status_code, answer.json()["code"]) == (200, "Duplicate")
    assert answer.json()["task_id"] == first["task_id"]
    assert set(answer.json()) == set(first.data)


def test_identical_unfinished_paths_conflict(lab: Lab) -> None:
    """One pair of paths in common is enough, until the task has ended; other owners and pairs are free."""
    lab.put("b")
    blocked = lab.submit("a")
    with pytest.raises(globus_sdk.TransferAPIError) as caught:
        lab.submit("b", "a")
    assert (caught.value.http_status, caught.value.code) == (409, "Conflict")
    assert "identical paths" in caught.value.message
    assert blocked not in caught.value.message
    assert lab.transfer("b")["status"] == "SUCCEEDED"
    lab.client.cancel_task(blocked)
    lab.put("a")
    assert lab.transfer("b", "a")["status"] == "SUCCEEDED"


def test_one_pair_twice_in_a_submission(lab: Lab) -> None:
    """A repeated item is moved twice and conflicts with nothing."""
    lab.put("a")
    assert lab.transfer("a", "a")["files_transferred"] == 2


@pytest.mark.parametrize(
    "changes",
    [
        {"DATA_TYPE": "delete"},
        {"submission_id": None},
        {"submission_id": "x"},
        {"submission_id": 5},
        {"source_endpoint": None},
        {"source_endpoint": "x\0"},
        {"DATA": None},
        {"DATA": {}},
        {"DATA": [1]},
        {"DATA": [{}]},
        {"label": "x" * 129},
        {"label": " x"},
        {"label": "a\nb"},
        {"label": 7},
        {"deadline": "tomorrow"},
        {"deadline": "2001-01-01"},
        {"deadline": "9999-12-31T23:59:59-23:59"},
        {"deadline": 10**30},
        {"sync_level": 4},
        {"sync_level": True},
        {"sync_level": "checksum"},
        {"sync_level": 1e300},
        {"verify_checksum": "yes"},
        {"notify_on_failed": 1},
        {"delete_destination_extra": "yes"},
        {"source_local_user": 1},
        {"recursive_symlinks": "follow"},
        {"filter_rules": "x"},
        {"filter_rules": [1]},
        {"filter_rules": [{"name": ""}]},
        {"filter_rules": [{"name": "a", "method": "drop"}]},
        {"filter_rules": [{"name": "a", "type": "link"}]},
        {"item": {"source_path": "relative"}},
        {"item": {"source_path": "~a"}},
        {"item": {"source_path": "/a/../b"}},
        {"item": {"destination_path": "/a\0"}},
        {"item": {"destination_path": "/a\r\n"}},
        {"item": {"destination_path": None}},
        {"item": {"recursive": "yes"}},
        {"item": {"recursive": True, "external_checksum": "00"}},
        {"item": {"checksum_algorithm": "CRC0"}},
        {"item": {"checksum_algorithm": "shake_128"}},
        {"item": {"DATA_TYPE": "delete_item"}},
    ],
)
def test_bad_documents_are_400(lab: Lab, changes: dict[str, Any]) -> None:
    """Nothing is made up for a document that is wrong, and nothing breaks."""
    assert submit(lab, **changes) == (400, "ClientError.BadRequest")
    assert list(lab.client.task_list()) == []


def test_no_items_has_a_code_of_its_own(lab: Lab) -> None:
    """An empty DATA is the one 400 that the contract names."""
    assert submit(lab, DATA=[]) == (400, "ClientError.BadRequest.NoTransferItems")


def test_unknown_endpoints_are_404(lab: Lab) -> None:
    """Both ends must exist."""
    for end in ("source_endpoint", "destination_endpoint"):
        assert submit(lab, **{end: str(uuid.uuid4())}) == (404, "EndpointNotFound")


def test_unknown_and_old_fields_are_ignored(lab: Lab) -> None:
    """Older clients send more than the contract has, and null for what is not set."""
    lab.put("a")
    extra = {"perf_cc": 4, "skip_activation_check": True, "deadline": None, "label": None, "sync_level": None}
    assert submit(lab, **extra) == (202, "Accepted")


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"5", b"\xff", b'{"submission_id": "\\ud800"}', b"[" * 100_000, b'{"a":' * 5000, b"1" * 10_000],
)
def test_bodies_that_are_no_document_are_400(lab: Lab, body: bytes) -> None:
    """Whatever the bytes, the answer is an error document."""
    answer = lab.raw("POST", "/v0.10/transfer", data=body)
    assert (answer.status_code, answer.json()["code"]) == (400, "ClientError.BadRequest")


def test_a_body_that_is_too_large_is_refused(lab: Lab) -> None:
    """Memory is bounded."""
    answer = lab.raw("POST", "/v0.10/transfer", data=b" " * (LARGEST_BODY + 1))
    assert (answer.status_code, answer.json()["code"]) == (413, "RequestEntityTooLarge")


def test_more_than_the_pending_limit_is_refused(make_lab: Callable[..., Lab]) -> None:
    """Three are active and a hundred wait; there is no room for more."""
    lab = make_lab()
    for number in range(103):
        lab.submit(f"none{number}")
    with pytest.raises(globus_sdk.TransferAPIError) as caught:
        lab.submit("one too many")
    assert caught.value.code == "TooManyPendingJobs"
