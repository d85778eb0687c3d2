"""Faults that requests meet on demand, as the SDK and a plain HTTP client see them."""

from __future__ import annotations

import json
import threading
import time
import uuid
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import globus_sdk
import pytest
import requests
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from prefect_globus.emulator import (
    Answer,
    Delay,
    Drop,
    FailFile,
    HalfBody,
    InjectedFault,
    MalformedBody,
    RefusedError,
    RequestFault,
    TaskFault,
)
from prefect_globus.emulator.web import LARGEST_BODY

if TYPE_CHECKING:
    from emulator.conftest import Lab

SUBMIT = "/v0.10/transfer"
FAULTS = "/emulator/faults"
AT_ONCE = {"backoff": lambda _: 0.01}


def fault(lab: Lab, effect: Any, **match: Any) -> Any:
    """A fault that only the client of this lab meets."""
    return lab.emulator.fault(RequestFault(effect, client=lab.client_id, **match))


def found(lab: Lab, fault_id: str) -> InjectedFault:
    return next(one for one in lab.emulator.faults() if one.id == fault_id)


def ls(lab: Lab, name: str = "") -> list[str]:
    return [entry["name"] for entry in lab.client.operation_ls(lab.source_id, path=lab.path(name))]


@pytest.mark.parametrize("effect", [Drop(after=True), HalfBody()])
def test_a_lost_answer_leads_to_a_duplicate(lab: Lab, effect: Drop | HalfBody) -> None:
    """The SDK submits again by itself, and is told of the one task that the first request has made."""
    lab.put("file")
    with fault(lab, effect, method="POST", path=SUBMIT, times=1) as fault_id:
        answer = lab.client.submit_transfer(lab.data("file"))
        assert found(lab, fault_id).fired == 1
    assert answer["code"] == "Duplicate"
    assert [task["task_id"] for task in lab.client.task_list()] == [answer["task_id"]]
    assert lab.wait(answer["task_id"])["status"] == "SUCCEEDED"


def test_a_request_that_is_dropped_before_has_no_effect(lab: Lab) -> None:
    """What the SDK sends again is then the first that the service hears of."""
    lab.put("file")
    with fault(lab, Drop(), method="POST", path=SUBMIT, times=1):
        answer = lab.client.submit_transfer(lab.data("file"))
    assert answer["code"] == "Accepted"


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("size", [10, 5_000_000])
def test_a_dropped_connection_is_a_connection_error(lab: Lab, after: bool, size: int) -> None:
    """The peer is gone; there is no answer of any kind, however large the request is."""
    with fault(lab, Drop(after=after), path="/v0.10/*"), pytest.raises(requests.ConnectionError):
        lab.raw("POST", SUBMIT, json={"label": "x" * size})


def test_half_an_answer(lab: Lab) -> None:
    """The headers promise more than comes."""
    with fault(lab, HalfBody(), path="/v0.10/*"), pytest.raises(requests.exceptions.ChunkedEncodingError):
        lab.raw("GET", "/v0.10/task_list")


def test_malformed_json(lab: Lab) -> None:
    """The request has had its effect, and the SDK can make nothing of the answer."""
    with fault(lab, MalformedBody(), path="*/mkdir"):
        answer = lab.client.operation_mkdir(lab.source_id, lab.path("made"))
        assert (answer.http_status, answer.text[:1], answer.data) == (200, "{", None)
    assert ls(lab) == ["made"]


def test_permanently_unavailable(lab: Lab) -> None:
    """The SDK gives up after its retries; each of them has met the fault."""
    with (
        fault(lab, Answer(503, "ServiceUnavailable", "Down"), path="/v0.10/task_list") as fault_id,
        lab.client.retry_config.tune(**AT_ONCE),
        pytest.raises(globus_sdk.TransferAPIError) as caught,
    ):
        lab.client.task_list()
    assert (caught.value.http_status, caught.value.code, caught.value.message) == (503, "ServiceUnavailable", "Down")
    assert lab.client.retry_config.max_retries == 5
    assert fault_id not in {one.id for one in lab.emulator.faults()}  # the block has lifted it


def test_retries_are_counted(lab: Lab) -> None:
    """A fault tells how often it was met: six times by a client that never gets through."""
    with lab.client.retry_config.tune(**AT_ONCE), fault(lab, Answer(500), path="/v0.10/task_list") as fault_id:
        with pytest.raises(globus_sdk.TransferAPIError):
            lab.client.task_list()
        assert (found(lab, fault_id).matched, found(lab, fault_id).fired) == (6, 6)


def test_a_failure_of_the_collection_is_not_retried(lab: Lab) -> None:
    """The SDK takes an ExternalError for final."""
    effect = Answer(502, "ExternalError.DirListingFailed.GCDisconnected", "Not connected")
    with fault(lab, effect, path="*/ls") as fault_id:
        with pytest.raises(globus_sdk.TransferAPIError):
            ls(lab)
        assert found(lab, fault_id).fired == 1


def test_retry_after_is_obeyed(lab: Lab) -> None:
    """The SDK waits for as long as the header says, which is longer than its own first wait."""
    with fault(lab, Answer(429, headers={"Retry-After": "1"}), times=1):
        before = time.monotonic()
        lab.client.task_list()
        assert time.monotonic() - before >= 1


def test_consent_required(lab: Lab) -> None:
    """Further fields of the error document are told as they were given."""
    fields = {"required_scopes": ["foo"], "authorization_parameters": {"required_scopes": ["foo"]}}
    with fault(lab, Answer(403, "ConsentRequired", fields=fields)):
        with pytest.raises(globus_sdk.TransferAPIError) as caught:
            lab.client.task_list()
        assert caught.value.info.consent_required.required_scopes == ["foo"]


def test_a_token_that_is_refused_once_is_renewed(lab: Lab) -> None:
    """The SDK asks for another token, and then gets through."""
    with fault(lab, Answer(401, "AuthenticationFailed"), path="/v0.10/*", times=1):
        before = lab.client.authorizer.access_token
        assert list(lab.client.task_list()) == []
        assert lab.client.authorizer.access_token != before


def test_auth_and_timers_answer_in_their_own_shapes(lab: Lab) -> None:
    """The SDK's error of each service can read the code and the message."""
    login = globus_sdk.ConfidentialAppAuthClient(lab.client_id, "secret", base_url=lab.emulator.url)
    timers = globus_sdk.TimersClient(base_url=lab.emulator.url, authorizer=lab.client.authorizer)
    calls = [(login, lambda: login.oauth2_client_credentials_tokens(["openid"])), (timers, timers.list_jobs)]
    for client, call in calls:
        with (
            client.retry_config.tune(max_retries=0),
            fault(lab, Answer(503, "ServiceUnavailable", "Down")),
            pytest.raises(globus_sdk.GlobusAPIError) as caught,
        ):
            call()
        assert (caught.value.http_status, caught.value.code, caught.value.messages) == (
            (503, "ServiceUnavailable", ["Down"])
        )


def test_the_third_call_fails_twice(lab: Lab) -> None:
    """`after` lets calls pass, `times` is how many then fail, and a spent fault stays on the list."""
    with fault(lab, Answer(500), path="/v0.10/submission_id", after=2, times=2) as fault_id:
        assert [lab.raw("GET", "/v0.10/submission_id").status_code for _ in range(6)] == [200, 200, 500, 500, 200, 200]
        one = found(lab, fault_id)
        assert (one.matched, one.fired, one.is_spent) == (4, 2, True)


MATCHES: list[tuple[dict[str, Any], bool]] = [
    ({"method": "GET"}, True),
    ({"method": "POST"}, False),
    ({"path": "/v0.10/operation/endpoint/*/ls"}, True),
    ({"path": "/v0.10/operation/endpoint/*/stat"}, False),
    ({"collection": "source"}, True),
    ({"collection": "destination"}, False),
    ({"file": "*/some*"}, True),
    ({"file": "*/other*"}, False),
    ({"client": "somebody"}, False),
]


@pytest.mark.parametrize(("match", "expected"), MATCHES, ids=str)
def test_a_url_is_matched(lab: Lab, match: dict[str, Any], expected: bool) -> None:
    """Everything that a fault names must be so, the collection by its name and the path in it too."""
    (lab.source / "something").mkdir()
    with lab.emulator.fault(RequestFault(Answer(404), **{"client": lab.client_id} | match)):
        answer = lab.raw("GET", f"/v0.10/operation/endpoint/{lab.source_id}/ls", params={"path": lab.path("something")})
    assert (answer.status_code == 404) is expected


@pytest.mark.parametrize(
    ("match", "expected"),
    [
        ({"collection": "destination"}, True),
        ({"file": "*/one"}, True),
        ({"file": "/*/t?o"}, True),
        ({"file": "*/three"}, False),
    ],
    ids=str,
)
def test_a_body_is_matched(lab: Lab, match: dict[str, Any], expected: bool) -> None:
    """The collections and paths that a submission names are in its body, which the service still gets whole."""
    with fault(lab, Answer(404), method="POST", **match) as fault_id:
        items = [{"source_path": lab.path(name), "destination_path": lab.path(name)} for name in ("one", "two")]
        ends = {"source_endpoint": lab.source_id, "destination_endpoint": lab.destination_id}
        answer = lab.raw("POST", SUBMIT, json={"submission_id": str(uuid.uuid4()), "DATA": items} | ends)
        assert answer.status_code == (404 if expected else 202)
        assert found(lab, fault_id).fired == expected


def test_a_collection_is_matched_by_its_uuid(lab: Lab) -> None:
    """Whichever way it is spelled."""
    with fault(lab, Answer(404), collection=lab.source_id.upper()):
        assert lab.raw("GET", f"/v0.10/endpoint/{lab.source_id}").status_code == 404
        assert lab.raw("GET", f"/v0.10/endpoint/{lab.destination_id}").status_code == 200


def test_a_body_that_is_too_large_is_refused_all_the_same(lab: Lab) -> None:
    """A fault that looks into bodies reads no more of one than the service would."""
    with fault(lab, Answer(404), file="/nothing"):
        too_much = [b" " * 1024**2] * (LARGEST_BODY // 1024**2 + 1)
        assert lab.raw("POST", SUBMIT, data=iter(too_much)).status_code == 413


def test_a_delay_keeps_nobody_else_waiting(lab: Lab) -> None:
    """The request that is delayed has its answer last."""
    with fault(lab, Delay(1.5), path="/v0.10/submission_id", times=1) as fault_id:
        answered = []
        slow = threading.Thread(target=lambda: answered.append(lab.raw("GET", "/v0.10/submission_id").status_code))
        slow.start()
        while not found(lab, fault_id).fired:
            time.sleep(0.01)
        assert lab.raw("GET", "/v0.10/submission_id").status_code == 200
        assert answered == []
        slow.join()
        assert answered == [200]


def test_delays_come_before_what_else_is_met(lab: Lab) -> None:
    """A request waits, and then meets the first other fault; those behind it do not count it."""
    with (
        fault(lab, Delay(0.2)) as delay,
        fault(lab, Answer(500, "First")) as first,
        fault(lab, Answer(500, "Second")) as second,
    ):
        before = time.monotonic()
        assert lab.raw("GET", "/v0.10/task_list").json()["code"] == "First"
        assert time.monotonic() - before >= 0.2
        assert [found(lab, one).matched for one in (delay, first, second)] == [1, 1, 0]


@pytest.mark.parametrize("status", [200, 204, 304, 418, 599])
def test_any_status_can_be_answered(lab: Lab, status: int) -> None:
    """Also those that have no body, and those that nobody knows, by every service."""
    with fault(lab, Answer(status, headers={"X-Why": "because"})):
        for path in ("/v0.10/task_list", "/jobs/", "/v2/oauth2/userinfo", "/.well-known/openid-configuration"):
            answer = lab.raw("GET", path)
            assert (answer.status_code, answer.headers.get("X-Why")) == (status, "because")


def test_faults_survive_a_kill(make_lab: Callable[..., Lab]) -> None:
    """What was injected, and what came of it, is committed before anybody feels it."""
    lab = make_lab()
    lab.emulator.inject(RequestFault(Answer(500), path="/v0.10/task_list", after=1, times=2))
    lab.emulator.inject(TaskFault(FailFile("PERMISSION_DENIED", "destination"), file="*.tmp", label="a*"))
    assert [lab.raw("GET", "/v0.10/task_list").status_code for _ in range(2)] == [200, 500]
    before = lab.emulator.faults()
    lab.emulator.kill()
    lab.emulator.start()
    assert lab.emulator.faults() == before
    assert [lab.raw("GET", "/v0.10/task_list").status_code for _ in range(2)] == [500, 200]
    assert lab.emulator.faults()[0].is_spent
    lab.emulator.clear()
    assert lab.emulator.faults() == []


def test_faults_are_listed_and_lifted_over_http(lab: Lab) -> None:
    """A document has every field of the fault, so it can be sent again."""
    url = lab.emulator.url + FAULTS
    document = {"kind": "request", "effect": {"kind": "drop", "after": True}, "client": "nobody", "times": 3}
    made = requests.post(url, json=document, timeout=30)
    assert made.status_code == 201
    one = made.json()
    assert (one["matched"], one["fired"], one["is_spent"]) == (0, 0, False)
    assert one["fault"].items() >= document.items()
    assert one in requests.get(url, timeout=30).json()["faults"]
    assert requests.get(f"{url}/{one['id']}", timeout=30).json() == one
    again = requests.post(url, json=one["fault"], timeout=30).json()
    assert again["fault"] == one["fault"]
    for fault_id in (one["id"], again["id"]):
        assert requests.delete(f"{url}/{fault_id}", timeout=30).status_code == 200
        assert requests.delete(f"{url}/{fault_id}", timeout=30).status_code == 404
        assert requests.get(f"{url}/{fault_id}", timeout=30).status_code == 404


def nested(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


REFUSED = [
    ({}, "kind"),
    ({"kind": "request"}, "effect"),
    ({"kind": "request", "effect": "drop"}, "effect"),
    ({"kind": "request", "effect": {}}, "effect.kind"),
    ({"kind": "request", "effect": {"kind": "explode"}}, "effect.kind"),
    ({"kind": "request", "effect": {"kind": ["drop"]}}, "effect.kind"),
    ({"kind": "request", "effect": {"kind": "fail_file", "code": "UNKNOWN"}}, "effect.kind"),
    ({"kind": "task", "effect": {"kind": "drop"}}, "effect.kind"),
    ({"kind": "task", "effect": {"kind": "fail_file", "code": "BOO"}}, "BOO"),
    ({"kind": "task", "effect": {"kind": "fail_file", "code": "SUCCEEDED"}}, "SUCCEEDED"),
    ({"kind": "task", "effect": {"kind": "fail_file", "code": "UNKNOWN", "side": "left"}}, "side"),
    ({"kind": "task", "effect": {"kind": "alter_file", "how": "paint"}}, "how"),
    ({"kind": "task", "effect": {"kind": "fill_disk", "after_bytes": -1}}, "after_bytes"),
    ({"kind": "task", "effect": {"kind": "flip_bit"}, "task": "no-task"}, "task"),
    ({"kind": "request", "effect": {"kind": "drop"}, "colour": "red"}, "colour"),
    ({"kind": "request", "effect": {"kind": "drop", "colour": "red"}}, "effect.colour"),
    ({"kind": "request", "effect": {"kind": "drop"}, "method": "FETCH"}, "FETCH"),
    ({"kind": "request", "effect": {"kind": "drop"}, "path": "v0.10/task_list"}, "never match"),
    ({"kind": "request", "effect": {"kind": "drop"}, "path": "/v0.10/tasks"}, "never match"),
    ({"kind": "request", "effect": {"kind": "drop"}, "path": "/v0.10/task_list", "method": "POST"}, "never match"),
    ({"kind": "request", "effect": {"kind": "drop"}, "path": "/emulator/faults"}, "no faults"),
    ({"kind": "request", "effect": {"kind": "drop"}, "collection": "nowhere"}, "never match"),
    ({"kind": "request", "effect": {"kind": "drop"}, "file": "relative"}, "never match"),
    ({"kind": "request", "effect": {"kind": "drop"}, "times": 0}, "times"),
    ({"kind": "request", "effect": {"kind": "drop"}, "times": 10**30}, "times"),
    ({"kind": "request", "effect": {"kind": "drop"}, "after": -1}, "after"),
    ({"kind": "request", "effect": {"kind": "delay", "seconds": 0}}, "seconds"),
    ({"kind": "request", "effect": {"kind": "delay", "seconds": 1e300}}, "seconds"),
    ({"kind": "request", "effect": {"kind": "answer"}}, "effect.status"),
    ({"kind": "request", "effect": {"kind": "answer", "status": 500, "fields": {"a": nested(60)}}}, "nested"),
    ({"kind": "request", "effect": {"kind": "answer", "status": 500, "fields": {"a": nested(900)}}}, "nested"),
    ({"kind": "request", "effect": {"kind": "drop"}, "path": "/" + "*a" * 5000}, "characters"),
    ({"kind": "request", "effect": {"kind": "answer", "status": 100}}, "status"),
    ({"kind": "request", "effect": {"kind": "answer", "status": 500, "headers": {"A": "b\r\nC: d"}}}, "header"),
    ({"kind": "request", "effect": {"kind": "answer", "status": 500, "headers": {"A b": "c"}}}, "header"),
    ({"kind": "request", "effect": {"kind": "answer", "status": 500, "headers": {"Content-Length": "1"}}}, "header"),
]


@pytest.mark.parametrize(("document", "said"), REFUSED, ids=[str(one)[:90] for one, _ in REFUSED])
def test_a_fault_that_makes_no_sense_is_refused(lab: Lab, document: dict[str, Any], said: str) -> None:
    """The answer says what is wrong with it, and nothing has happened."""
    before = lab.emulator.faults()
    answer = requests.post(lab.emulator.url + FAULTS, json=document, timeout=30)
    assert answer.status_code == 400
    assert said in answer.json()["message"]
    assert lab.emulator.faults() == before


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=8,
)
COUNT = st.integers(-1, 3)
WORD = st.text(max_size=10)
FIELDS = {
    "method": st.sampled_from(["GET", "get", ""]),
    "path": st.sampled_from(["*", "/v0.10/*", "/v0.10/nothing", "["]),
    "collection": st.sampled_from(["source", "nowhere"]),
    "file": st.sampled_from(["*", "/[", "x"]),
    "client": WORD,
    "label": WORD,
    "task": st.uuids().map(str) | WORD,
    "after": COUNT,
    "times": COUNT,
}
EFFECT_FIELDS = {
    "status": st.integers(99, 601),
    "code": WORD,
    "message": WORD,
    "headers": st.dictionaries(st.sampled_from(["A", "Retry-After", "Content-Length", " "]), WORD, max_size=2),
    "fields": st.dictionaries(WORD, JSON, max_size=2),
    "seconds": st.floats(),
    "after": st.booleans(),
    "side": st.sampled_from(["source", "left"]),
    "how": st.sampled_from(["grow", "paint"]),
    "files": COUNT,
}
EFFECTS = sorted(RequestFault.EFFECTS) + sorted(TaskFault.EFFECTS)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    kind=st.sampled_from(["request", "request", "task"]),
    effect=st.fixed_dictionaries(
        {"kind": st.sampled_from(EFFECTS)}, optional={name: likely | JSON for name, likely in EFFECT_FIELDS.items()}
    ),
    fields=st.fixed_dictionaries({}, optional={name: likely | JSON for name, likely in FIELDS.items()}),
)
def test_no_fault_however_odd_breaks_anything(lab: Lab, kind: str, effect: Any, fields: dict[str, Any]) -> None:
    """Whatever is sent is taken or refused, and what is taken can be listed, met and lifted."""
    with requests.Session() as session:
        url = lab.emulator.url + FAULTS
        body = json.dumps({"kind": kind, "effect": effect} | fields)  # with NaN, and with half a surrogate pair
        made = session.post(url, body, headers={"Content-Type": "application/json"}, timeout=30)
        assert made.status_code in (201, 400)
        if made.status_code == 201:
            assert session.get(url, timeout=30).status_code == 200
            if effect["kind"] != "delay":
                try:
                    answer = session.get(f"{lab.emulator.url}/v0.10/nothing", timeout=30).status_code
                    assert answer in (404, int(effect.get("status", 404)))
                except requests.RequestException:
                    assert effect["kind"] in ("drop", "half_body")
            assert session.delete(f"{url}/{made.json()['id']}", timeout=30).status_code == 200


def test_the_python_side_says_at_once_what_is_wrong(lab: Lab) -> None:
    """What no emulator would take is refused before it is sent, and what this one does not serve by itself."""
    with pytest.raises(ValueError, match="times must be 1 or more"):
        RequestFault(Drop(), times=0)
    for wrong in ("2", 1.5):
        with pytest.raises(ValueError, match="times must be 1 or more"):
            RequestFault(Drop(), times=wrong)  # type: ignore[arg-type]  # that is the point
        with pytest.raises(ValueError, match="after must be a whole number"):
            RequestFault(Drop(), after=wrong)  # type: ignore[arg-type]  # that is the point
    with pytest.raises(ValueError, match="status must be from 200 to 599, not '503'"):
        Answer("503")  # type: ignore[arg-type]  # that is the point
    with pytest.raises(ValueError, match="seconds must be more than 0"):
        Delay("3")  # type: ignore[arg-type]  # that is the point
    with pytest.raises(ValueError, match="effect must be one of"):
        TaskFault(Drop())  # type: ignore[arg-type]  # that is the point
    with pytest.raises(ValueError, match="code 'OOPS' is unknown"):
        FailFile("OOPS")
    with pytest.raises(RefusedError, match="'collection' can never match"):
        lab.emulator.inject(RequestFault(Drop(), collection="nowhere"))
    lab.emulator.clear("no such fault")
