"""What no client library would send: broken HTTP, broken JSON, absurd values. The answer is an error document."""

from __future__ import annotations

import json
import socket
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
import requests

from prefect_globus.emulator.app import SERVICES
from prefect_globus.emulator.auth.service import CLIENT_ROUTES, PAGE_ROUTES
from prefect_globus.emulator.web import LARGEST_BODY
from support.watched import Watched, watched_emulator

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prefect_globus.emulator.web import Operation, Service

PATIENCE = 20.0  # seconds for one answer, on a busy machine
OPERATIONS = [(service, operation) for service in SERVICES for operation in service.operations]
WITH_BODY = [pair for pair in OPERATIONS if pair[1].method in ("POST", "PUT", "PATCH")]
FORM_ROUTES = [(verb, path) for verb, path, _ in (*CLIENT_ROUTES, *PAGE_ROUTES) if verb == "POST" or "auth" in path]
WITH_QUERY = [pair for pair in OPERATIONS if pair[1].query]


class Bad:
    """A client that does not behave."""

    def __init__(self, emulator: Watched) -> None:
        self.emulator = emulator
        self.tokens = emulator.tokens()
        self.session = requests.Session()
        self.known = {"endpoint": emulator.collections["source"], "identity": emulator.client_id}

    def headers(self, service: Service) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.tokens[service.resource_server]}"}

    def ask(self, service: Service, operation: Operation, **options: Any) -> requests.Response:
        """Ask for a thing that exists, where that is known, but as `options` say."""
        path = operation.path
        for name, value in self.known.items():
            path = path.replace(f"{{{name}}}", value)
        headers = self.headers(service) | options.pop("headers", {})
        return self.session.request(
            operation.method,
            self.emulator.url + path.replace("{", "").replace("}", ""),
            headers=headers,
            timeout=PATIENCE,
            allow_redirects=False,
            **options,
        )

    def say(self, words: bytes) -> bytes:
        """Send bytes; return all that comes back until the other side closes or has said enough."""
        answer = b""
        try:
            with socket.create_connection(("127.0.0.1", self.emulator.port), PATIENCE) as line:
                line.sendall(words)
                line.shutdown(socket.SHUT_WR)
                while chunk := line.recv(65536):
                    answer += chunk
        except TimeoutError:
            raise
        except OSError:  # it may hang up while we speak
            pass
        return answer


@pytest.fixture(scope="module")
def bad(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bad]:
    root = tmp_path_factory.mktemp("bad")
    with watched_emulator(root, "--time-scale", "1000") as emulator:
        (root / "source" / "file").write_bytes(b"content")
        yield Bad(emulator)
        assert emulator.complaints() == []


def check(answer: requests.Response, what: object) -> None:
    """An answer of the API: its own status, in JSON; if it is the collection that failed, with its code."""
    asked = f"{answer.request.method} {answer.request.path_url[:200]} {str(what)[:200]}"
    said = f"{asked}: {answer.status_code} {answer.text[:300]}"
    assert answer.status_code < 500 or answer.status_code == 502, said
    kind = "" if answer.is_redirect else answer.headers["content-type"]
    assert answer.is_redirect or kind.startswith(("application/json", "text/html")), said
    if kind.startswith("application/json"):
        document = answer.json()
        assert isinstance(document, dict), said
        if answer.status_code == 502:
            assert document["code"].startswith(("EndpointError", "ExternalError.")), said


DEEP = 100_000
BODIES: dict[str, bytes] = {
    "nothing": b"",
    "blank": b" ",
    "not JSON": b"{",
    "null": b"null",
    "a list": b"[]",
    "a number": b"1",
    "a text": b'"text"',
    "deep lists": b"[" * DEEP,
    "deep objects": b'{"DATA":' * DEEP,
    "deep and whole": b'{"DATA":' + b"[" * DEEP + b"]" * DEEP + b"}",
    "NaN": b'{"DATA_TYPE": NaN}',
    "Infinity": b'{"sync_level": -Infinity}',
    "a lone surrogate": b'{"label": "\\ud800", "name": "\\ud800", "path": "/\\udfff"}',
    "a lone surrogate as a key": b'{"\\ud800": 1}',
    "a null byte": b'{"path": "/a\\u0000b", "label": "\\u0000", "name": "\\u0000"}',
    "not UTF-8": b'{"label": "\xff\xfe"}',
    "UTF-16": '{"label": "a"}'.encode("utf-16"),
    "a byte order mark": b'\xef\xbb\xbf{"label": "a"}',
    "a key twice": b'{"DATA_TYPE": "task", "DATA_TYPE": 1}',
    "gzip": b"\x1f\x8b\x08\x00\x00\x00\x00\x00",
    "a large number": b'{"label": %s, "sync_level": %s, "deadline": %s}' % ((b"9" * 5000,) * 3),
    "a large exponent": b'{"label": 1e400, "sync_level": 1e400}',
    "a form": b"label=a&path=/file",
}
ODD: list[Any] = [
    None,
    True,
    -1,
    10**30,
    1.5,
    "",
    "\x00",
    "/" + "a/" * 20_000,
    "/../../etc/passwd",
    "0001-01-01T00:00:00-23:59",
    "2026-01-01T00:00:00+99:99",
    [None],
    {},
]


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_broken_bodies(bad: Bad, body: bytes) -> None:
    """Each operation that takes a body says that it cannot read this one, or does not look at it."""
    for service, operation in WITH_BODY:
        check(bad.ask(service, operation, data=body, headers={"Content-Type": "application/json"}), body)


def whole(bad: Bad, operation: Operation) -> dict[str, Any]:
    """A body that most operations take, so that the odd value is the only thing wrong."""
    collections = bad.emulator.collections
    transfer = {
        "DATA": [
            {"DATA_TYPE": "transfer_item", "source_path": "/file", "destination_path": "/copy", "recursive": False}
        ],
        "source_endpoint": collections["source"],
        "destination_endpoint": collections["destination"],
        "label": "odd",
        "deadline": "2099-12-31T00:00:00Z",
        "sync_level": 1,
        "filter_rules": [{"method": "exclude", "name": "a", "type": "file"}],
        "notify_on_failed": True,
        "recursive_symlinks": "keep",
    }
    item = {"DATA": [{"DATA_TYPE": "delete_item", "path": "/none"}]}
    collection = {"endpoint": collections["source"], "endpoint_id": collections["source"]}
    schedule = {
        "type": "recurring",
        "interval_seconds": 86400,
        "start": later(),
        "end": {"condition": "iterations", "count": 2},
    }
    bodies = {
        "/v2/timer": {"timer": {"timer_type": "transfer", "name": "odd", "schedule": schedule, "body": transfer}},
        "/v0.10/delete": collection
        | item
        | {"submission_id": str(uuid4()), "recursive": False, "interpret_globs": True},
        "/v0.10/transfer": transfer | {"submission_id": str(uuid4())},
    }
    paths = {"path": "/file", "old_path": "/file", "new_path": "/none/file"}
    names = {
        "name": "odd",
        "message": "odd",
        "label": "odd",
        "identity_id": str(uuid4()),
        "task_id_list": [str(uuid4())],
    }
    return bodies.get(operation.path, collection | paths | names | {"update_credentials": True})


def later() -> str:
    return (datetime.now(UTC) + timedelta(days=30)).isoformat()


def oddities(document: dict[str, Any], value: Any) -> Iterator[dict[str, Any]]:
    """The document with one of its fields replaced, at every level."""
    for name, inner in document.items():
        yield document | {name: value}
        if isinstance(inner, dict):
            yield from (document | {name: odd} for odd in oddities(inner, value))
        if isinstance(inner, list) and inner and isinstance(inner[0], dict):
            yield from (document | {name: [odd]} for odd in oddities(inner[0], value))


@pytest.mark.parametrize("operation", WITH_BODY, ids=lambda pair: f"{pair[1].method} {pair[1].path}")
def test_odd_values_in_bodies(bad: Bad, operation: tuple[Service, Operation]) -> None:
    """Any field may hold anything."""
    for value in ODD:
        for body in oddities(whole(bad, operation[1]), value):
            check(bad.ask(*operation, json=body), body)


QUERIES = [
    "",
    "-1",
    "0",
    "1",
    "1.5",
    "9" * 5000,
    "٣",
    "\uff11",
    "²",
    "true",
    "\x00",
    "/",
    "a:b",
]
QUERIES += ["name:", ":", "//", "status:ACTIVE/status:FAILED", "label:!", "label:~[", "name:~[z-a]", "request_time:,"]
QUERIES += [
    "request_time:x,y",
    "last_modified:9999-99-99",
    "name DESC,",
    "name DESC DESC",
    ",",
    "a" * 20_000,
    "/~",
    "/..",
]


@pytest.mark.parametrize("operation", WITH_QUERY, ids=lambda pair: pair[1].path)
def test_odd_queries(bad: Bad, operation: tuple[Service, Operation]) -> None:
    """Any parameter may hold anything, and be there twice."""
    for name in operation[1].query:
        for value in QUERIES:
            check(bad.ask(*operation, params={name: value}), value)
        for pair in (["1", "2"], ["", "x"], ["%ff", "\udcff"]):
            check(bad.ask(*operation, params=[(name, one.encode(errors="surrogateescape")) for one in pair]), pair)


FORMS: dict[str, Any] = {
    "client_id": str(uuid4()),
    "client_secret": "secret",
    "code": "code",
    "code_challenge": "a" * 43,
    "code_challenge_method": "S256",
    "code_verifier": "a" * 43,
    "decision": "allow",
    "grant_type": "client_credentials",
    "redirect_uri": "http://localhost:1/",
    "refresh_token": "token",
    "response_type": "code",
    "scope": "openid",
    "state": "state",
    "token": "token",
    "username": "anna",
}
FORM_WORDS = ["", " ", "\x00", "[", "A[B]]", "*", "[" * 50_000, "A[" * 20_000 + "]" * 20_000, "\udcff", "<script>"]
FORM_WORDS += ["\r\nLocation: http://elsewhere", "http://[::1", "javascript:1", "http://localhost:99999999"]


@pytest.mark.parametrize("name", FORMS)
def test_odd_forms(bad: Bad, name: str) -> None:
    """The endpoints of logins take forms and queries, from clients, browsers, and who knows whom."""
    for word in FORM_WORDS:
        fields = {key: value.encode(errors="surrogateescape") for key, value in (FORMS | {name: word}).items()}
        for verb, path in FORM_ROUTES:
            url = bad.emulator.url + path.replace("{client}", str(FORMS["client_id"]))
            sent = {"data": fields} if verb == "POST" else {"params": {key: one[:5000] for key, one in fields.items()}}
            check(bad.session.request(verb, url, timeout=PATIENCE, allow_redirects=False, **sent), word)


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_broken_bodies_of_controls_and_logins(bad: Bad, body: bytes) -> None:
    """The control API, and all that takes a form or a document without a token."""
    paths = [path for verb, path in FORM_ROUTES if verb == "POST"]
    for path in [*paths, "/emulator/faults", f"/emulator/tasks/{uuid4()}/pause"]:
        for kind in ("application/json", "application/x-www-form-urlencoded"):
            answer = bad.session.post(
                bad.emulator.url + path, body, headers={"Content-Type": kind}, timeout=PATIENCE, allow_redirects=False
            )
            check(answer, body)


def test_paths_that_lead_nowhere(bad: Bad) -> None:
    """Percent-encoded, doubled, not UTF-8: a 4xx with a document."""
    names = ("%00", "%ff%fe", "%2e%2e", "%2f", "a" * 5000, "%", "%zz", "%E2%82%AC", "", "{endpoint}", "null")
    for service, operation in OPERATIONS:
        before, brace, _ = operation.path.partition("{")
        if not brace:
            continue
        for name in names:
            answer = bad.session.request(
                operation.method,
                bad.emulator.url + before + name + operation.path.partition("}")[2],
                headers=bad.headers(service),
                timeout=PATIENCE,
            )
            check(answer, name)


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "", "a/b; c=\xe9"]
)
def test_other_content_types(bad: Bad, kind: str) -> None:
    """What a body calls itself does not matter to us; what is in it does."""
    for service, operation in WITH_BODY:
        body = json.dumps(whole(bad, operation)).encode()
        check(bad.ask(service, operation, data=body, headers={"Content-Type": kind.encode("latin-1")}), kind)


HEAD = b"GET /v0.10/submission_id HTTP/1.1\r\nHost: localhost\r\n"
POST = b"POST /v0.10/transfer HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
CLOSE = b"Connection: close\r\n"
WORDS: dict[str, bytes] = {
    "nothing": b"",
    "garbage": bytes(range(256)),
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "HTTP/9.9": b"GET / HTTP/9.9\r\n\r\n",
    "no version": b"GET /\r\n\r\n",
    "no host": b"GET /v0.10/submission_id HTTP/1.1\r\n\r\n",
    "no colon": HEAD + b"nonsense\r\n\r\n",
    "half a head": HEAD,
    "a byte that is not ASCII in the path": b"GET /\xff\xfe HTTP/1.1\r\nHost: localhost\r\n" + CLOSE + b"\r\n",
    "a byte that is not ASCII in the token": HEAD + b"Authorization: Bearer \xff\xfe\r\n" + CLOSE + b"\r\n",
    "a byte that is not ASCII in the login": HEAD + b"Authorization: Basic \xff\r\n" + CLOSE + b"\r\n",
    "a long path": b"GET /" + b"a" * 200_000 + b" HTTP/1.1\r\nHost: localhost\r\n" + CLOSE + b"\r\n",
    "a long header": HEAD + b"X: " + b"a" * 200_000 + b"\r\n" + CLOSE + b"\r\n",
    "many headers": HEAD + b"".join(b"X-%d: 1\r\n" % number for number in range(5000)) + CLOSE + b"\r\n",
    "an unknown method": b"BREW /v0.10/transfer HTTP/1.1\r\nHost: localhost\r\n" + CLOSE + b"\r\n",
    "a negative length": POST + b"Content-Length: -1\r\n\r\n{}",
    "a length that is none": POST + b"Content-Length: many\r\n\r\n{}",
    "two lengths": POST + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n{}",
    "length and chunks": POST + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n" + CLOSE + b"\r\n0\r\n\r\n",
    "a broken chunk": POST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n",
    "a body that ends early": POST + b"Content-Length: 1000\r\n\r\n{",
    "a body where there is none": HEAD + b"Content-Length: 2\r\n" + CLOSE + b"\r\n{}",
    "two requests, one broken": HEAD + b"\r\n" + b"garbage\r\n\r\n",
    "expectations": POST + b"Expect: 200-maybe\r\nContent-Length: 2\r\n" + CLOSE + b"\r\n{}",
    "upgrade": HEAD + b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
}


@pytest.mark.parametrize("words", WORDS.values(), ids=WORDS)
def test_broken_http(bad: Bad, words: bytes) -> None:
    """A 4xx, or a closed connection; and the next client is served."""
    answer = bad.say(words)
    assert b"Traceback" not in answer
    assert answer == b"" or b" 4" in answer.partition(b"\r\n")[0], answer[:300]
    service, operation = next(pair for pair in OPERATIONS if pair[1].path == "/v0.10/submission_id")
    assert bad.ask(service, operation).status_code == 200


def test_a_body_without_end(bad: Bad) -> None:
    """A body is bounded, whatever it says of its length: 413 while the client still sends."""
    with socket.create_connection(("127.0.0.1", bad.emulator.port), PATIENCE) as line:
        token = bad.tokens["transfer.api.globus.org"].encode()
        line.sendall(POST + b"Authorization: Bearer " + token + b"\r\nTransfer-Encoding: chunked\r\n\r\n")
        chunk = b"%x\r\n" % (1 << 20) + b" " * (1 << 20) + b"\r\n"
        for _ in range(LARGEST_BODY // (1 << 20) + 2):
            line.sendall(chunk)
        assert b" 413 " in line.recv(65536).partition(b"\r\n")[0]


def test_those_who_keep_a_line_open(bad: Bad) -> None:
    """Clients that never finish their request keep nobody else waiting."""
    lines = [socket.create_connection(("127.0.0.1", bad.emulator.port), PATIENCE) for _ in range(100)]
    try:
        for number, line in enumerate(lines):
            line.sendall(HEAD if number % 2 else POST + b"Content-Length: 100\r\n\r\n{")
        service, operation = next(pair for pair in OPERATIONS if pair[1].path == "/v0.10/submission_id")
        assert bad.ask(service, operation).status_code == 200
    finally:
        for line in lines:
            line.close()
