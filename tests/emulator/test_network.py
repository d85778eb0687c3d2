"""Who may reach the emulator, how fast and how often; and lists that come in pages."""

from __future__ import annotations

import http.client
import threading
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import globus_sdk
import pytest
import requests

from emulator.conftest import TRANSFER_SCOPE, Lab
from prefect_globus.emulator import Answer, Controls, Drop, RefusedError, RequestFault, running_emulator
from prefect_globus.emulator.access import is_loopback

if TYPE_CHECKING:
    from prefect_globus.emulator import Emulator

CLIENT = ("11111111-1111-4111-8111-111111111111", "hush")
DROP = {"kind": "request", "effect": {"kind": "drop"}, "client": "nobody"}
LATENCY = 50  # milliseconds
MANY_COLLECTIONS = 230
MANY_FILES = 10_500  # one page of successful transfers has 10,000


NAMES = ("localhost", "LOCALHOST:8911", "localhost.", "localhost:", "127.0.0.1", "127.0.0.1:80", "127.9.9.9", "[::1]:1")
OTHERS = (
    "",
    "example.org",
    "example.org:80",
    "localhost.example.org",
    "127.0.0.1.example.org",
    "192.168.0.1",
    "0.0.0.0",
)
NONSENSE = ("::1", "[::1", "::1]", "[127.0.0.1]", "[::2]:80", "localhost:http", ":80", "1", "127.1", "localhost:\u0661")


@pytest.mark.parametrize("host", [*NAMES, *OTHERS, *NONSENSE])
def test_names_of_the_loopback(host: str) -> None:
    """With a port or without; not what a browser could be led here by, nor what makes no sense."""
    assert is_loopback(host) is (host in NAMES)


@pytest.mark.parametrize(
    "path", ["/", "/v0.10/task_list", "/v2/oauth2/token", "/jobs/", "/emulator/faults", "/nothing"]
)
def test_a_rebound_name_reaches_nothing(lab: Lab, path: str) -> None:
    """A web page whose own name leads here gets no answer of ours, whatever it asks for."""
    answer = lab.raw("GET", path, headers={"Host": f"rebound.example.org:{urlsplit(lab.emulator.url).port}"})
    assert (answer.status_code, answer.json()["code"]) == (421, "MisdirectedRequest")


def test_a_request_without_a_host(lab: Lab) -> None:
    """HTTP/1.1 wants one."""
    url = urlsplit(lab.emulator.url)
    connection = http.client.HTTPConnection(url.hostname or "", url.port, timeout=30)
    connection.putrequest("GET", "/v0.10/task_list", skip_host=True)
    connection.endheaders()
    assert 400 <= connection.getresponse().status < 500
    connection.close()


@pytest.mark.parametrize("kind", [None, "text/plain", "application/x-www-form-urlencoded", "multipart/form-data"])
@pytest.mark.parametrize("path", ["/emulator/faults", "/emulator/tasks/6b9a7bd2-1c4e-4f0b-9d38-2f3f36f0b9a1/pause"])
def test_what_a_web_page_can_post_unasked_is_refused(lab: Lab, path: str, kind: str | None) -> None:
    """Only application/json, for which a browser would ask first; and the answer to that is no."""
    headers = {"Content-Type": kind} if kind else {}
    answer = requests.post(lab.emulator.url + path, data=b'{"kind": "request"}', headers=headers, timeout=30)
    assert answer.status_code == 415
    asked = requests.options(lab.emulator.url + path, headers={"Origin": "http://example.org"}, timeout=30)
    assert (asked.status_code, "Access-Control-Allow-Origin" in asked.headers) == (405, False)


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"{", b"\xff", b"null", b'"' + b"\\ud800" + b'"', b"[" * 100_000],
    ids=["empty", "list", "half", "no text", "null", "surrogate", "deep"],
)
def test_a_body_that_is_no_object_is_refused(lab: Lab, body: bytes) -> None:
    """With an error document."""
    headers = {"Content-Type": "application/json; charset=utf-8"}
    answer = requests.post(f"{lab.emulator.url}/emulator/faults", data=body, headers=headers, timeout=30)
    assert (answer.status_code, answer.json()["code"]) == (400, "ClientError.BadRequest")


def test_requests_are_counted(lab: Lab) -> None:
    """By operation, refused ones too; asking for the count is none."""
    before = lab.emulator.requests()
    for _ in range(3):
        lab.client.get_submission_id()
    lab.client.operation_ls(lab.source_id, path=lab.path())
    lab.raw("GET", f"/v0.10/task/{uuid.uuid4()}", headers={"Authorization": "Bearer nobody"})
    assert lab.emulator.requests() - before == {
        "GET /v0.10/submission_id": 3,
        "GET /v0.10/operation/endpoint/{endpoint}/ls": 1,
        "GET /v0.10/task/{task}": 1,
    }


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    """An emulator with one client, few requests a second, and slow."""
    folder = tmp_path_factory.mktemp("guarded")
    with running_emulator({"source": folder}, client=CLIENT, requests_per_second=2, latency=LATENCY) as emulator:
        yield emulator


def test_requests_wait_side_by_side(guarded: Emulator) -> None:
    """The latency of one holds up no other: sixteen that come at once take no longer than a few, one by one, would."""

    def ask(_: int) -> float:
        requests.get(f"{guarded.url}/v0.10/task_list", timeout=30)
        return time.monotonic()

    began = time.monotonic()
    one_by_one = [ask(number) for number in range(16)][-1] - began
    with ThreadPoolExecutor(16) as pool:
        began = time.monotonic()
        at_once = max(pool.map(ask, range(16))) - began
    assert at_once < one_by_one / 2


@pytest.mark.parametrize("credentials", [None, ("", ""), (CLIENT[0], "wrong"), ("wrong", CLIENT[1]), ("\u00e9", "x")])
def test_strangers_have_no_control(guarded: Emulator, credentials: tuple[str, str] | None) -> None:
    """Where only one client gets a token, only that client has control; a browser asks for its name and secret."""
    encoded = tuple(word.encode() for word in credentials) if credentials else None
    for method, path in (("GET", "/emulator/faults"), ("DELETE", "/emulator/faults"), ("POST", "/emulator/faults")):
        answer = requests.request(method, guarded.url + path, json=DROP, auth=encoded, timeout=30)
        assert answer.status_code == 401
        assert answer.headers["WWW-Authenticate"].startswith("Basic ")
    with pytest.raises(RefusedError, match="--client"):
        Controls(guarded.url, "somebody:else").inject(RequestFault(Drop()))


def test_the_client_has_control(guarded: Emulator) -> None:
    """Through its emulator, or through controls of its own."""
    controls = Controls(guarded.url, ":".join(CLIENT))
    with guarded.fault(RequestFault(Drop(), client="nobody")) as fault_id:
        assert [one.id for one in controls.faults()] == [fault_id]
        controls.clear()
    assert guarded.faults() == []


def test_latency_keeps_no_two_requests_apart(guarded: Emulator) -> None:
    """Each request waits, but not for another: ten at once take much less than ten in turn."""
    count, answered = 10, []

    def ask() -> None:
        answered.append(requests.get(f"{guarded.url}/v2/oauth2/userinfo", timeout=30).status_code)

    before = time.monotonic()
    for _ in range(count):
        ask()
    in_turn = time.monotonic() - before
    threads = [threading.Thread(target=ask) for _ in range(count)]
    before = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    at_once = time.monotonic() - before
    assert answered == [401] * 2 * count
    assert in_turn >= count * LATENCY / 1000
    assert at_once < in_turn / 2


def test_too_many_requests(guarded: Emulator) -> None:
    """Ten seconds' worth may come at once; then the SDK is told when to ask again, does so, and gets through."""
    login = globus_sdk.ConfidentialAppAuthClient(*CLIENT, base_url=guarded.url)
    authorizer = globus_sdk.ClientCredentialsAuthorizer(login, TRANSFER_SCOPE)
    client = globus_sdk.TransferClient(authorizer=authorizer, base_url=guarded.url)
    headers = {"Authorization": authorizer.get_authorization_header()}
    with requests.Session() as session:
        statuses = []
        while 429 not in statuses:
            answer = session.get(f"{guarded.url}/v0.10/task_list", headers=headers, timeout=30)
            statuses.append(answer.status_code)
    assert statuses[:20] == [200] * 20
    assert (answer.headers["Retry-After"], answer.json()["code"]) == ("1", "TooManyRequests")
    for _ in range(2):
        assert list(client.task_list()) == []
    timers = globus_sdk.TimersClient(
        authorizer=globus_sdk.ClientCredentialsAuthorizer(login, globus_sdk.TimersClient.scopes.timer),
        base_url=guarded.url,
    )
    with timers.retry_config.tune(max_retries=0):
        for _ in range(3):
            assert timers.list_jobs()["jobs"] == []


def test_one_user_does_not_use_up_the_requests_of_another(tmp_path: Path) -> None:
    """Each identity has its own allowance."""
    with running_emulator({"source": tmp_path, "destination": tmp_path}, requests_per_second=1) as emulator:
        one, other = (Lab(emulator, tmp_path, tmp_path, str(uuid.uuid4())) for _ in range(2))
        while one.raw("GET", "/v0.10/task_list").status_code == 200:
            pass
        assert other.raw("GET", "/v0.10/task_list").status_code == 200


@pytest.fixture(scope="module")
def crowded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """An emulator with many collections, one of them with many files."""
    folder = tmp_path_factory.mktemp("crowded")
    collections = {f"few-{number:03}": "synthetic:files=1" for number in range(MANY_COLLECTIONS)}
    shape = f"synthetic:files={MANY_FILES},dirs=5,size=1"
    with running_emulator({**collections, "source": shape, "destination": shape}, time_scale=200) as emulator:
        yield Lab(emulator, folder, folder, str(uuid.uuid4()))


def test_successful_transfers_come_in_pages(crowded: Lab) -> None:
    """The SDK asks for each next page by its marker, though one of the answers is lost, and has every file once."""
    task = crowded.transfer("")
    assert task["files_transferred"] == MANY_FILES
    path = "*/successful_transfers"
    with crowded.emulator.fault(RequestFault(Drop(after=True), path=path, after=1, times=1)) as fault_id:
        pages = list(crowded.client.paginated.task_successful_transfers(task["task_id"]))
        assert [one.fired for one in crowded.emulator.faults() if one.id == fault_id] == [1]
    assert [len(page["DATA"]) for page in pages] == [10_000, MANY_FILES - 10_000]
    assert len({row["destination_path"] for page in pages for row in page}) == MANY_FILES


def test_endpoint_search_comes_in_pages(crowded: Lab) -> None:
    """The SDK asks for as long as there is a next page."""
    pages = list(crowded.client.paginated.endpoint_search(filter_scope="all"))
    assert len(pages) > 1
    names = [one["display_name"] for page in pages for one in page]
    assert len(names) == len(set(names)) == MANY_COLLECTIONS + 2


def test_task_list_and_events_come_in_pages(crowded: Lab) -> None:
    """By limit and offset, each task and each event once, newest first."""
    with crowded.emulator.fault(RequestFault(Answer(503), path="/v0.10/task_list", times=1)):
        submitted = []
        for number in range(25):
            data = globus_sdk.TransferData(crowded.source_id, crowded.destination_id, label=f"task {number}")
            data.add_item(f"/nothing-{number}", f"/nothing-{number}")
            submitted.append(crowded.client.submit_transfer(data)["task_id"])
        listed = list(crowded.client.paginated.task_list(filter="label:~task *").items())
    assert [task["task_id"] for task in listed] == submitted[::-1]
    by_hand: list[Any] = []
    while page := crowded.client.task_list(filter="label:~task *", limit=10, offset=len(by_hand))["DATA"]:
        by_hand += page
    assert [task["task_id"] for task in by_hand] == submitted[::-1]
    crowded.wait(submitted[0], lambda task: task["faults"] >= 3)
    for task_id in submitted:
        crowded.client.cancel_task(task_id)
    events = [event["code"] for event in crowded.client.paginated.task_event_list(submitted[0]).items()]
    assert (events[0], events[1], events[-1]) == ("CANCELED", "FILE_NOT_FOUND", "STARTED")
    paged = [crowded.client.task_event_list(submitted[0], limit=1, offset=number) for number in range(len(events))]
    assert [page["DATA"][0]["code"] for page in paged] == events
