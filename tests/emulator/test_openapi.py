"""The emulator against its own OpenAPI document: whatever is asked, the answer is one that the document allows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from schemathesis.specs.openapi import checks

from prefect_globus.emulator.app import SERVICES
from support.watched import Watched, watched_emulator

if TYPE_CHECKING:
    from collections.abc import Iterator

TRANSFER, TIMERS = "transfer.api.globus.org", "524230d7-ea86-4a52-8312-86065a9e0417"
SERVERS = {service.name: service.resource_server for service in SERVICES}
LONGEST = 20.0  # seconds for one answer, on a busy machine

# Not among the checks, each with its reason:
# - positive_data_acceptance: what a schema allows need not be there (a path, a task);
# - negative_data_rejection: Globus ignores what it does not know, and so do we; bodies have tests of their own.
CHECKS = [
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_schema_conformance,
    checks.ignored_auth,
    checks.unsupported_method,
]


def not_a_defect(_: schemathesis.CheckContext, response: schemathesis.Response, case: schemathesis.Case) -> None:
    """A 5xx is one of those that Globus answers when a collection fails, with its code."""
    if response.status_code >= 500:
        document = response.json()
        code = str(document.get("code") or document.get("error", {}).get("code"))
        assert response.status_code in (502, 503), (case.as_curl_command(), document)
        assert code.startswith(("ExternalError.", "EndpointError", "ServiceUnavailable")), document


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    root = tmp_path_factory.mktemp("openapi")
    with watched_emulator(root, "--time-scale", "1000") as running:
        (root / "source" / "folder").mkdir()
        (root / "source" / "file").write_bytes(b"content")
        yield running
        assert running.complaints() == []


@pytest.fixture(scope="module")
def tokens(emulator: Watched) -> dict[str, str]:
    """The tokens of the one client that asks, by resource server."""
    return emulator.tokens()


@pytest.fixture(scope="module")
def known(emulator: Watched, tokens: dict[str, str]) -> dict[str, list[str]]:
    """What exists, by the name of a parameter of a path or of a field of a body."""

    def make(server: str, path: str, document: dict[str, Any]) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {tokens[server]}"}
        answer = requests.post(f"{emulator.url}{path}", json=document, headers=headers, timeout=LONGEST)
        answer.raise_for_status()
        return dict(answer.json())

    source, destination = emulator.collections["source"], emulator.collections["destination"]
    pair = {"source_endpoint": source, "destination_endpoint": destination}
    tasks, timers = [], []
    for path in ("/file", "/none"):  # one that ends, and one that does not because its file is missing
        transfer = pair | {"DATA": [{"source_path": path, "destination_path": path}]}
        task = make(TRANSFER, "/v0.10/transfer", transfer | {"submission_id": str(uuid4())})
        tasks.append(task["task_id"])
        timer = {"timer_type": "transfer", "schedule": {"type": "once"}, "body": transfer}
        timers.append(make(TIMERS, "/v2/timer", {"timer": timer})["timer"]["job_id"])
    nobody = {"endpoint_id": source, "identity_id": str(uuid4()), "message": "Nobody may"}
    rules = [make(TRANSFER, "/v0.10/endpoint_manager/pause_rule", nobody)["id"] for _ in range(2)]
    ended = {"task_id_list": tasks[:1], "message": "Enough"}
    canceled = make(TRANSFER, "/v0.10/endpoint_manager/admin_cancel", ended)
    return {
        **{name: [source, destination] for name in ("endpoint", "source_endpoint", "destination_endpoint")},
        **{name: [source, destination] for name in ("endpoint_id", "filter_endpoint")},
        **{name: ["/", "/~/", "/file", "/folder", "/none"] for name in ("path", "old_path", "source_path")},
        "cancel": [str(canceled["id"])],
        "checksum_algorithm": ["MD5", "SHA256"],
        "deadline": ["2099-12-31T00:00:00Z", "2099-12-31 00:00:00"],
        "identity": [emulator.client_id],
        "job_id": timers,
        "rule": rules,
        "task": tasks,
    }


def partly_known(value: Any, known: dict[str, list[str]]) -> st.SearchStrategy[Any]:
    """A request's document with some of its values replaced by ones that exist."""
    if isinstance(value, list):
        return st.tuples(*(partly_known(one, known) for one in value)).map(list)
    if not isinstance(value, dict):
        return st.just(value)
    choices = {
        name: st.sampled_from([one, *known[name] * 3]) if name in known else partly_known(one, known)
        for name, one in value.items()
    }
    return st.fixed_dictionaries(choices)


@pytest.fixture(scope="module")
def document(emulator: Watched) -> dict[str, Any]:
    answer = requests.get(f"{emulator.url}/openapi.json", timeout=LONGEST)
    assert answer.headers["content-type"] == "application/json"
    return dict(answer.json())


@pytest.fixture(scope="module")
def api(emulator: Watched, tokens: dict[str, str], known: dict[str, list[str]]) -> schemathesis.BaseSchema:
    """The document as Schemathesis reads it; part of what it asks for exists."""
    schema = schemathesis.openapi.from_url(f"{emulator.url}/openapi.json", wait_for_schema=LONGEST)
    schema.config.generation.update(with_security_parameters=False)  # ignored_auth asks without a token

    @schema.auth()
    class Login:
        def get(self, _: schemathesis.Case, context: schemathesis.AuthContext) -> str:
            return tokens[SERVERS[context.operation.tags[0]]]

        def set(self, case: schemathesis.Case, data: str, _: schemathesis.AuthContext) -> None:
            case.headers["Authorization"] = f"Bearer {data}"

    @schema.hook
    def flatmap_path_parameters(_: schemathesis.HookContext, path_parameters: Any) -> st.SearchStrategy[Any]:
        return partly_known(path_parameters, known)

    @schema.hook
    def flatmap_query(_: schemathesis.HookContext, query: Any) -> st.SearchStrategy[Any]:
        return partly_known(query, known)

    @schema.hook
    def flatmap_body(_: schemathesis.HookContext, body: Any) -> st.SearchStrategy[Any]:
        return partly_known(body, known)

    return schema


QUICK = settings(
    max_examples=15,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.generate],
)
OPERATIONS = [
    pytest.param(operation.path, operation.method, id=f"{operation.method} {operation.path}")
    for service in SERVICES
    for operation in service.operations
]


def ask(api: schemathesis.BaseSchema, path: str, method: str, how_often: settings) -> None:
    """Ask one operation for what its schemas allow, and for what they do not."""
    operation = api[path][method]
    cases = st.one_of(
        operation.as_strategy(generation_mode=schemathesis.GenerationMode.POSITIVE),
        operation.as_strategy(generation_mode=schemathesis.GenerationMode.NEGATIVE),
    )

    @how_often
    @given(case=cases)
    def asked(case: schemathesis.Case) -> None:
        case.call_and_validate(checks=[*CHECKS, not_a_defect], timeout=LONGEST)

    asked()


@pytest.mark.parametrize(("path", "method"), OPERATIONS)
def test_any_request(api: schemathesis.BaseSchema, path: str, method: str) -> None:
    """Whatever is sent, the answer is one that the document allows."""
    ask(api, path, method, QUICK)


@pytest.mark.soak
@pytest.mark.parametrize(("path", "method"), OPERATIONS)
def test_any_request_for_long(api: schemathesis.BaseSchema, path: str, method: str) -> None:
    """The same, with other requests each time."""
    ask(api, path, method, settings(QUICK, max_examples=300, derandomize=False))


def references(document: Any) -> Iterator[str]:
    if isinstance(document, dict):
        if "$ref" in document:
            yield document["$ref"].removeprefix("#/components/schemas/")
        for inner in document.values():
            yield from references(inner)
    if isinstance(document, list):
        for inner in document:
            yield from references(inner)


def test_schemas_are_schemas(document: dict[str, Any]) -> None:
    """Each is valid itself, is there once, and is referred to."""
    found = document["components"]["schemas"]
    for one in found.values():
        Draft202012Validator.check_schema(one)
    assert len(found) == sum(len(service.schemas.components) + 1 for service in SERVICES)
    assert set(references(document)) == set(found)


def test_each_operation_is_in_the_document(document: dict[str, Any]) -> None:
    """By method and path, with a name of its own and a sentence."""
    described = {
        (method.upper(), path): operation
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
    }
    served = {(operation.method, operation.path) for service in SERVICES for operation in service.operations}
    assert set(described) >= served
    names = [operation["operationId"] for operation in described.values()]
    assert len(set(names)) == len(names)
    assert all(operation["summary"].endswith(".") for operation in described.values())
