"""Tasks that are held, suspended or canceled from outside: pause rules, activity managers, and lost credentials."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import globus_sdk
import pytest

from prefect_globus.emulator.tasks.model import TRANSITIONS, UNFINISHED, Status
from prefect_globus.emulator.tasks.pausing import PAUSABLE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.emulator.conftest import Lab

Document = dict[str, Any]


def refused(call: Callable[..., Any], *args: Any, **options: Any) -> tuple[int, str]:
    with pytest.raises(globus_sdk.TransferAPIError) as caught:
        call(*args, **options)
    return caught.value.http_status, caught.value.code


@contextmanager
def rule(lab: Lab, endpoint: str, *paused: str, **fields: Any) -> Iterator[str]:
    """A pause rule for the lab's client only, that holds nothing but `paused`."""
    body = {"DATA_TYPE": "pause_rule", "message": "maintenance", "endpoint_id": endpoint, "identity_id": lab.client_id}
    body |= {what: what in paused for what in PAUSABLE} | fields
    created = lab.client.endpoint_manager_create_pause_rule(body)
    try:
        yield str(created["id"])
    finally:
        lab.client.endpoint_manager_delete_pause_rule(created["id"])


def hours_left(task: Document) -> float:
    return (datetime.fromisoformat(task["deadline"]) - datetime.now(UTC)) / timedelta(hours=1)


def standing(task: Document) -> Document:
    """A task's document without what changes with the time."""
    return {name: value for name, value in task.items() if name != "effective_bytes_per_second"}


def delete(lab: Lab, name: str) -> str:
    data = globus_sdk.DeleteData(lab.destination_id)
    data.add_item(lab.path(name))
    return str(lab.client.submit_delete(data)["task_id"])


def test_a_rule_and_its_document(lab: Lab) -> None:
    """What a rule does not say it pauses; whom it concerns, and where, stays; a deleted one is not found."""
    client = lab.client
    given = {
        "DATA_TYPE": "pause_rule",
        "message": "why",
        "endpoint_id": lab.source_id,
        "identity_id": str(uuid.uuid4()),
        "start_time": None,
    }
    created = client.endpoint_manager_create_pause_rule(given)
    assert {name: created[name] for name in given} == given
    assert (created["editable"], created["created_by_host_manager"]) == (True, False)
    got = client.endpoint_manager_get_pause_rule(created["id"])
    assert got.data == created.data
    assert (got["modified_by_id"], got["endpoint_display_name"]) == (lab.client_id, "source")
    assert all(got[what] is True for what in PAUSABLE)
    change = {"message": "new", "pause_ls": False, "pause_task_transfer_read": False, "endpoint_id": "ignored"}
    updated = client.endpoint_manager_update_pause_rule(created["id"], change)
    assert (updated["message"], updated["endpoint_id"]) == ("new", lab.source_id)
    assert [what for what in PAUSABLE if not updated[what]] == ["pause_ls", "pause_task_transfer_read"]
    for endpoint, expected in ((lab.source_id, [updated.data]), (lab.destination_id, [])):
        listed = client.endpoint_manager_pause_rule_list(filter_endpoint=endpoint)
        assert listed["DATA_TYPE"] == "pause_rule_list"
        assert [one for one in listed if one["id"] == created["id"]] == expected
    assert client.endpoint_manager_delete_pause_rule(created["id"])["code"] == "Deleted"
    for call in (client.endpoint_manager_get_pause_rule, client.endpoint_manager_delete_pause_rule):
        assert refused(call, created["id"]) == (404, "PauseRuleNotFound")
    assert refused(client.endpoint_manager_update_pause_rule, "nonsense", change) == (404, "PauseRuleNotFound")


@pytest.mark.parametrize(
    "changes",
    [
        {"message": None},
        {"message": ""},
        {"message": 1},
        {"identity_id": "x"},
        {"pause_ls": "no"},
        {"pause_ls": None},
        {"start_time": "tomorrow"},
        {"start_time": 5},
        {"DATA_TYPE": "rule"},
    ],
)
def test_bad_rules_are_400(lab: Lab, changes: Document) -> None:
    """Nothing is paused by a document that is wrong."""
    body = {"message": "why", "endpoint_id": lab.source_id, "identity_id": lab.client_id} | changes
    assert refused(lab.client.endpoint_manager_create_pause_rule, body) == (400, "ClientError.BadRequest")
    unknown = body | {"message": "why", "endpoint_id": str(uuid.uuid4())}
    assert refused(lab.client.endpoint_manager_create_pause_rule, unknown) == (404, "EndpointNotFound")
    assert not [one for one in lab.client.endpoint_manager_pause_rule_list() if one["identity_id"] == lab.client_id]


def test_operations_are_refused(lab: Lab) -> None:
    """Each by its own word, with the message of the rule, and only for whom it concerns."""
    client, source = lab.client, lab.source_id
    lab.put("file")
    calls = {
        "pause_ls": lambda: client.operation_ls(source, path=lab.path()),
        "pause_mkdir": lambda: client.operation_mkdir(source, lab.path(uuid.uuid4().hex)),
        "pause_rename": lambda: client.operation_rename(source, lab.path("file"), lab.path("file2")),
    }
    for what, call in calls.items():
        with rule(lab, source, what) as rule_id:
            with pytest.raises(globus_sdk.TransferAPIError, match="maintenance") as caught:
                call()
            assert (caught.value.http_status, caught.value.code) == (409, "OperationPaused")
            effective = client.get(f"/v0.10/endpoint/{source}/my_effective_pause_rule_list")
            assert [one["id"] for one in effective["DATA"]] == [rule_id]
            assert "modified_by_id" not in effective["DATA"][0]
            client.operation_stat(source, lab.path("file"))
        with rule(lab, source, *(set(PAUSABLE) - {what})):
            call()
            lab.source.joinpath("file").touch()
    with rule(lab, source, *PAUSABLE, identity_id=str(uuid.uuid4())):
        client.operation_ls(source, path=lab.path())


def test_a_rule_holds_tasks(lab: Lab) -> None:
    """Held for 90 days, told why, then it goes on with 24 hours; a deletion there is no transfer there."""
    lab.put("file")
    with rule(lab, lab.destination_id, "pause_task_transfer_write") as rule_id:
        task_id = lab.submit("file")
        task = lab.wait(task_id, lambda task: task["is_paused"])
        assert (task["status"], task["nice_status"], task["is_ok"]) == ("ACTIVE", "PAUSED_BY_ADMIN", False)
        assert task["nice_status_short_description"] == "paused by admin"
        assert 89 * 24 < hours_left(task) <= 90 * 24
        info = lab.client.task_pause_info(task_id)
        assert info["DATA_TYPE"] == "pause_info_limited"
        assert [info[f"{end}_pause_message"] for end in ("source", "destination")] == [None, None]
        assert [(one["DATA_TYPE"], one["id"], one["message"]) for one in info["pause_rules"]] == [
            ("pause_rule_limited", rule_id, "maintenance")
        ]
        assert lab.client.endpoint_manager_task_pause_info(task_id).data == info.data
        assert lab.wait(delete(lab, "none"))["fatal_error"]["code"] == "FILE_NOT_FOUND"
        event = lab.client.task_event_list(task_id)["DATA"][0]
        assert (event["code"], event["details"]) == ("PAUSED", "maintenance")
    task = lab.wait(task_id)
    assert (task["status"], task["is_paused"], task["nice_status"]) == ("SUCCEEDED", False, None)
    assert lab.events(task_id) == ["SUCCEEDED", "STARTED", "UNPAUSED", "PAUSED"]
    assert lab.client.task_pause_info(task_id)["pause_rules"] == []


@pytest.mark.parametrize(
    ("end", "what", "transfer", "deletion"),
    [
        ("source", "pause_task_transfer_read", True, False),
        ("source", "pause_task_transfer_write", False, False),
        ("destination", "pause_task_transfer_read", False, False),
        ("destination", "pause_task_delete", False, True),
    ],
)
def test_what_holds_which_task(lab: Lab, end: str, what: str, transfer: bool, deletion: bool) -> None:
    """A transfer reads at its source and writes at its destination."""
    with rule(lab, getattr(lab, f"{end}_id"), what):
        for task_id, expected in (
            (lab.submit("none", skip_source_errors=True), transfer),
            (delete(lab, "x"), deletion),
        ):
            task = lab.wait(task_id, lambda task: task["is_paused"] or task["status"] != "ACTIVE")
            assert task["is_paused"] is expected


def test_a_rule_begins_when_it_says(make_lab: Callable[..., Lab]) -> None:
    """Until then tasks run; the wait obeys the time scale."""
    lab = make_lab(time_scale=100)
    start = (datetime.now(UTC) + timedelta(seconds=100)).isoformat()
    with rule(lab, lab.source_id, "pause_ls", "pause_task_transfer_read", start_time=start):
        lab.client.operation_ls(lab.source_id)
        task_id = lab.submit("none")
        assert lab.wait(task_id, lambda task: task["faults"] > 0)["is_paused"] is False
        assert lab.wait(task_id, lambda task: task["is_paused"])["nice_status"] == "PAUSED_BY_ADMIN"
        assert refused(lab.client.operation_ls, lab.source_id) == (409, "OperationPaused")


def test_a_task_paused_in_the_middle_of_a_file_goes_on(make_lab: Callable[..., Lab]) -> None:
    """It stops at its next chunk, gives up its place, survives a kill, and does not move again what it had moved."""
    lab = make_lab(rate=400_000, time_scale=1000)
    lab.put("a", b"x" * 100)
    lab.put("big", b"x" * 1_000_000)
    task_id = lab.submit("a", "big", label="one")
    lab.wait(task_id, lambda task: task["bytes_transferred"] > 1000)
    answer = lab.client.endpoint_manager_pause_tasks([task_id], "wait for me")
    assert (answer["DATA_TYPE"], answer["code"]) == ("result", "PauseAccepted")
    task = lab.task(task_id)
    assert (task["is_paused"], task["bytes_transferred"], task["files_transferred"]) == (True, 100, 1)
    info = lab.client.task_pause_info(task_id)
    assert (info["source_pause_message"], info["destination_pause_message"]) == ("wait for me", "wait for me")
    assert lab.arrived() == ["a"]
    lab.emulator.kill()
    lab.emulator.start()
    assert lab.client.task_pause_info(task_id).data == info.data
    moved_at = (lab.destination / "a").stat().st_mtime_ns
    time.sleep(0.3)
    assert standing(lab.task(task_id)) == standing(task)
    assert lab.client.endpoint_manager_resume_tasks([task_id])["code"] == "ResumeAccepted"
    assert 23 < hours_left(lab.task(task_id)) <= 72
    task = lab.wait(task_id)
    assert (task["status"], task["faults"], task["bytes_transferred"]) == ("SUCCEEDED", 0, 1_000_100)
    assert (lab.destination / "a").stat().st_mtime_ns == moved_at
    events = [code for code in lab.events(task_id) if code != "PROGRESS"]
    assert events == ["SUCCEEDED", "UNPAUSED", "PAUSED", "STARTED"]


def test_paused_tasks_give_up_their_places(make_lab: Callable[..., Lab]) -> None:
    """Three that are held leave room, and they are pending all the same; resumed twice is resumed once."""
    lab = make_lab(file_delay=0.5)
    for number in range(4):
        lab.put(f"f{number}")
    held = [lab.submit(f"f{number}") for number in range(3)]
    lab.client.endpoint_manager_pause_tasks(held, "wait")
    assert lab.transfer("f3")["status"] == "SUCCEEDED"
    assert {lab.task(task)["is_paused"] for task in held} == {True}
    for _ in range(2):
        lab.client.endpoint_manager_resume_tasks(held)
    assert {lab.wait(task)["status"] for task in held} == {"SUCCEEDED"}
    assert [lab.events(task).count("UNPAUSED") for task in held] == [1, 1, 1]


def test_resume_does_not_lift_a_rule(lab: Lab) -> None:
    """Held for two reasons, a task goes on when both are gone."""
    with rule(lab, lab.source_id, "pause_task_transfer_read"):
        task_id = lab.submit("none")
        lab.client.endpoint_manager_pause_tasks([task_id], "wait")
        lab.client.endpoint_manager_resume_tasks([task_id])
        assert lab.task(task_id)["is_paused"] is True
    assert lab.wait(task_id, lambda task: task["faults"] > 0)["is_paused"] is False


def test_a_held_task_ends(lab: Lab) -> None:
    """It can be canceled by its owner, and its deadline can be set and is met."""
    with rule(lab, lab.source_id, "pause_task_transfer_read"):
        tasks = [lab.submit("none"), lab.submit("none2")]
        for task_id in tasks:
            lab.wait(task_id, lambda task: task["is_paused"])
        assert lab.client.cancel_task(tasks[0])["code"] == "Canceled"
        deadline = (datetime.now(UTC) + timedelta(seconds=60)).isoformat()
        lab.client.update_task(tasks[1], {"DATA_TYPE": "task", "deadline": deadline, "label": "held"})
        ended = [lab.wait(task_id) for task_id in tasks]
    assert [task["fatal_error"]["code"] for task in ended] == ["CANCELED", "EXPIRED"]
    assert [task["is_paused"] for task in ended] == [False, False]
    assert (ended[1]["label"], ended[0]["canceled_by_admin"]) == ("held", None)


def test_an_activity_manager_cancels(lab: Lab) -> None:
    """Another client sees the tasks, cancels them with a message, and asks how far it is."""
    manager = type(lab)(lab.emulator, lab.source.parent, lab.destination.parent, str(uuid.uuid4()), lab.base).client
    with rule(lab, lab.destination_id, "pause_task_delete"):
        tasks = [lab.submit("none"), delete(lab, "x")]
        answer = manager.endpoint_manager_cancel_tasks(tasks, "no longer")
        assert (answer["DATA_TYPE"], type(answer["id"])) == ("admin_cancel", int)
        ended = [lab.wait(task_id) for task_id in tasks]
    status = manager.endpoint_manager_cancel_status(answer["id"])
    assert (status["id"], status["done"], status["task_id_list"]) == (answer["id"], True, tasks)
    assert [task["canceled_by_admin"] for task in ended] == ["BOTH", "SOURCE"]
    assert {task["canceled_by_admin_message"] for task in ended} == {"no longer"}
    assert {task["fatal_error"]["code"] for task in ended} == {"CANCELED"}
    late = manager.endpoint_manager_cancel_tasks(tasks, "again")
    assert late["done"] is True
    assert lab.task(tasks[0])["canceled_by_admin_message"] == "no longer"
    for unknown in ("0", "999999", "x", "9" * 40):
        assert refused(manager.endpoint_manager_cancel_status, unknown) == (404, "ClientError.NotFound")


def test_bad_requests_of_managers(lab: Lab) -> None:
    """Unknown tasks, no tasks and no message are refused, and nothing is done."""
    task_id = lab.submit("none")
    client = lab.client
    for call in (client.endpoint_manager_pause_tasks, client.endpoint_manager_cancel_tasks):
        assert refused(call, [task_id], "") == (400, "ClientError.BadRequest")
        assert refused(call, [], "why") == (400, "ClientError.BadRequest")
        assert refused(call, [task_id, str(uuid.uuid4())], "why") == (404, "ClientError.NotFound")
    assert refused(client.endpoint_manager_resume_tasks, ["x"]) == (404, "ClientError.NotFound")
    for path in ("admin_pause", "admin_cancel", "admin_resume"):
        body = {"task_id_list": task_id, "message": "why"}
        assert refused(client.post, f"/v0.10/endpoint_manager/{path}", data=body) == (400, "ClientError.BadRequest")
    task = lab.task(task_id)
    assert (task["status"], task["is_paused"]) == ("ACTIVE", False)


def test_the_task_list_of_a_manager(lab: Lab) -> None:
    """Everybody's tasks, newest first, by filters that must go together as the SDK says."""
    lab.put("file")
    done = lab.transfer("file")["task_id"]
    deleted = lab.wait(delete(lab, "none"))["task_id"]
    stuck = lab.submit("none")
    lab.wait(stuck, lambda task: task["faults"] > 0)
    held = lab.submit("none2")
    lab.client.endpoint_manager_pause_tasks([held], "wait")
    call = lab.client.endpoint_manager_task_list
    mine = {"filter_owner_id": lab.client_id}

    def ids(**filters: Any) -> list[str]:
        return [task["task_id"] for task in call(**filters)]

    assert ids(filter_status="ACTIVE", **mine) == [held, stuck]
    assert ids(filter_status=["ACTIVE", "INACTIVE"], filter_is_paused=True, **mine) == [held]
    assert ids(filter_status="ACTIVE", filter_is_paused=False, **mine) == [stuck]
    source, destination = lab.source_id, lab.destination_id
    assert ids(filter_endpoint=source, **mine) == [held, stuck, done]
    assert ids(filter_endpoint=destination, **mine) == [held, stuck, deleted, done]
    assert ids(filter_endpoint=destination, filter_endpoint_use="source", **mine) == [deleted]
    assert ids(filter_endpoint=destination, filter_min_faults=1, **mine)[-2:] == [stuck, deleted]
    assert ids(filter_endpoint=destination, filter_min_faults=1000, **mine) == []
    assert ids(filter_endpoint=source, filter_completion_time=("2000-01-01", "2001-01-01"), **mine) == []
    assert ids(filter_endpoint=source, filter_completion_time="2000-01-01,2100-01-01", **mine) == [done]
    assert ids(filter_endpoint=source, filter_completion_time="2000-01-01,", **mine) == [held, stuck, done]
    assert set(ids(filter_task_id=[done, stuck])) == {done, stuck}
    document = lab.client.endpoint_manager_get_task(done)
    assert ids(filter_endpoint=source, filter_local_user=document["source_local_user"], **mine) == [held, stuck, done]
    assert ids(filter_endpoint=source, filter_local_user="nobody at all", **mine) == []
    assert document["owner_string"] == f"{lab.client_id}@clients.auth.globus.org"
    assert document["destination_local_user_status"] == "OK"
    assert lab.client.endpoint_manager_get_task(deleted)["destination_local_user_status"] == "NO_ENDPOINT"
    assert len(list(lab.client.endpoint_manager_task_successful_transfers(done))) == 1
    assert list(lab.client.endpoint_manager_task_skipped_errors(done)) == []
    events = lab.client.endpoint_manager_task_event_list
    assert [one["code"] for one in events(done)] == ["SUCCEEDED", "STARTED"]
    assert {one["code"] for one in events(stuck, filter_is_error=True)} == {"FILE_NOT_FOUND"}
    assert refused(events, stuck, filter_is_error=False) == (400, "ClientError.BadRequest")
    for filters in (
        {},
        {"filter_status": "FAILED"},
        {"filter_is_paused": True, "filter_endpoint": source},
        {"filter_task_id": done, "filter_status": "ACTIVE"},
        {"filter_task_id": [done] * 51},
        {"filter_status": "ACTIVE", "filter_local_user": "x"},
        {"filter_endpoint": source, "filter_endpoint_use": "both"},
    ):
        assert refused(call, **filters) == (400, "ClientError.BadRequest"), filters
    assert refused(call, filter_endpoint=str(uuid.uuid4())) == (404, "EndpointNotFound")
    assert refused(lab.client.endpoint_manager_get_task, "x") == (404, "ClientError.NotFound")


def test_the_task_list_of_a_manager_has_pages(make_lab: Callable[..., Lab]) -> None:
    """By last_key, each task once."""
    lab = make_lab()
    tasks: list[str] = []
    for _ in range(2):
        tasks += [lab.submit(f"none{number}") for number in range(60)]
        lab.client.endpoint_manager_cancel_tasks(tasks, "room for more")
    pages = list(lab.client.paginated.endpoint_manager_task_list(filter_endpoint=lab.source_id))
    assert [len(page["DATA"]) for page in pages] == [100, 20]
    assert [page["has_next_page"] for page in pages] == [True, False]
    assert [task["task_id"] for page in pages for task in page] == tasks[::-1]


def test_lost_credentials_suspend_a_task(lab: Lab) -> None:
    """INACTIVE, with an error, until they are back; the SDK's own waiting ends there."""
    lab.put("later")
    lab.submit("none")
    task_id = lab.submit("later", "none1", label="suspended")
    lab.wait(task_id, lambda task: task["faults"] > 0)
    lab.emulator.inactivate_task(task_id, "The consent was rescinded")
    task = lab.task(task_id)
    assert (task["status"], task["nice_status"], task["is_ok"]) == ("INACTIVE", "AUTH", False)
    assert (task["completion_time"], task["fatal_error"], task["nice_status_expires_in"]) == (None, None, 0)
    event = lab.client.task_event_list(task_id)["DATA"][0]
    assert (event["code"], event["is_error"], event["details"]) == ("AUTH", True, "The consent was rescinded")
    assert lab.client.task_wait(task_id, timeout=1, polling_interval=1) is True
    assert [one["task_id"] for one in lab.client.task_list(filter="status:INACTIVE")] == [task_id]
    assert refused(lab.client.task_successful_transfers, task_id) == (400, "ClientError.BadRequest")
    with pytest.raises(globus_sdk.TransferAPIError, match="identical paths"):
        lab.submit("later")
    lab.put("none1")
    time.sleep(0.2)
    assert lab.task(task_id)["status"] == "INACTIVE"
    lab.emulator.reactivate_task(task_id)
    task = lab.wait(task_id)
    assert (task["status"], task["files_transferred"]) == ("SUCCEEDED", 2)


def test_an_inactive_task_ends(lab: Lab) -> None:
    """It can be canceled, updated, and meets its deadline."""
    tasks = [lab.submit(f"none{number}") for number in range(3)]
    for task_id in tasks:
        lab.emulator.inactivate_task(task_id)
    assert lab.client.cancel_task(tasks[0])["code"] == "Canceled"
    deadline = (datetime.now(UTC) + timedelta(seconds=60)).isoformat()
    assert lab.client.update_task(tasks[1], {"label": "new", "deadline": deadline})["code"] == "Updated"
    lab.emulator.expire_task(tasks[2])
    ended = [lab.wait(task_id, lambda task: task["status"] == "FAILED") for task_id in tasks]
    assert [task["fatal_error"]["code"] for task in ended] == ["CANCELED", "EXPIRED", "EXPIRED"]
    assert ended[1]["label"] == "new"


def test_a_running_task_is_suspended_and_survives_a_kill(make_lab: Callable[..., Lab]) -> None:
    """It stops at its next chunk, gives up its place, and stays as it is."""
    lab = make_lab(rate=400_000)
    lab.put("big", b"x" * 400_000)
    task_id = lab.submit("big")
    lab.wait(task_id, lambda task: task["bytes_transferred"] > 0)
    lab.emulator.inactivate_task(task_id)
    task = lab.task(task_id)
    assert (task["status"], task["bytes_transferred"], lab.arrived()) == ("INACTIVE", 0, [])
    lab.emulator.kill()
    lab.emulator.start()
    assert standing(lab.task(task_id)) == standing(task)
    lab.emulator.reactivate_task(task_id)
    assert lab.wait(task_id)["status"] == "SUCCEEDED"


def test_held_inactive_for_two_reasons(make_lab: Callable[..., Lab]) -> None:
    """Without its consent, and inactivated, too: it stays so when the consent is back, also after a kill."""
    lab = make_lab(data_access=["source"], time_scale=100)
    login = globus_sdk.ConfidentialAppAuthClient(lab.client_id, "secret", base_url=lab.emulator.url)
    scope = f"urn:globus:auth:scope:transfer.api.globus.org:all[*https://auth.globus.org/scopes/{lab.source_id}/data_access]"
    login.oauth2_client_credentials_tokens(scope)
    held, other = lab.submit("one"), lab.submit("two")
    lab.emulator.rescind_consents("source")
    for task_id in (held, other):
        lab.wait(task_id, lambda task: task["status"] == "INACTIVE")
    lab.emulator.inactivate_task(held)
    lab.emulator.kill()
    lab.emulator.start()
    login.oauth2_client_credentials_tokens(scope)
    lab.wait(other, lambda task: task["status"] == "ACTIVE")
    assert lab.task(held)["status"] == "INACTIVE"
    lab.emulator.reactivate_task(held)
    assert lab.task(held)["status"] == "ACTIVE"


def test_paused_and_inactive_at_once(lab: Lab) -> None:
    """Two reasons to rest are two: it goes on when both are gone."""
    task_id = lab.submit("none")
    lab.emulator.inactivate_task(task_id)
    lab.client.endpoint_manager_pause_tasks([task_id], "wait")
    task = lab.task(task_id)
    assert (task["status"], task["is_paused"], task["nice_status"]) == ("INACTIVE", True, "AUTH")
    lab.emulator.reactivate_task(task_id)
    assert (lab.task(task_id)["status"], lab.task(task_id)["nice_status"]) == ("ACTIVE", "PAUSED_BY_ADMIN")
    lab.put("none")
    lab.client.endpoint_manager_resume_tasks([task_id])
    assert lab.wait(task_id)["status"] == "SUCCEEDED"


def test_transitions() -> None:
    """What has ended stays as it is; what is suspended ends only by way of ACTIVE, or unfinished."""
    assert set(TRANSITIONS) == set(Status)
    assert {status for status in Status if not TRANSITIONS[status]} == {Status.SUCCEEDED, Status.FAILED}
    assert {status.value for status in UNFINISHED} == {"ACTIVE", "INACTIVE"}
    assert Status.SUCCEEDED not in TRANSITIONS[Status.INACTIVE]
