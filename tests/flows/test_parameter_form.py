"""The form in which Prefect's UI asks for the parameters of a flow, and what is refused there or before anything moves.

Prefect makes the form from a JSON schema, has its server check by the same what was filled in, and checks once more
when a flow run is created.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from prefect import Flow
from prefect.client.orchestration import get_client
from prefect.exceptions import ParameterTypeError, PrefectHTTPStatusError
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.states import Cancelled
from pydantic import SecretStr

from prefect_globus import FileCheckpointStore, GlobusCredentials, TransferOptions, TransferSchedule, flows
from prefect_globus.flows.resumable_transfer import resumable_transfer
from prefect_globus.flows.scheduled_transfer import scheduled_transfer


def _flows() -> Iterator[Flow[..., Any]]:
    for found in pkgutil.iter_modules(flows.__path__, f"{flows.__name__}."):
        module = importlib.import_module(found.name)
        yield from (
            each for each in vars(module).values() if isinstance(each, Flow) and each.fn.__module__ == found.name
        )


FLOWS = {flow.name: flow for flow in _flows()}
LAB, ARCHIVE = "6c54cade-bde5-45c1-bdea-f4bd71dba2cc", "31ce9ba0-176d-45a5-add3-f37d233ba47d"
PLACES = {"source": f"{LAB}:/data", "destination": f"{ARCHIVE}:/~/data"}


# --- what the form says


def _fields(schema: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The parameters, and the fields of each record that one of them may be."""
    records = schema.get("definitions", {}).items()
    fields = {f"{name}.{key}": field for name, record in records for key, field in record.get("properties", {}).items()}
    return schema["properties"] | fields


def _needs_an_example(field: dict[str, Any]) -> bool:
    faces = field.get("anyOf", [field])
    chosen = ("enum", "$ref", "items")  # from a list, or with fields of its own
    return not any(face["type"] == "boolean" or any(key in face for key in chosen) for face in faces if "type" in face)


@pytest.mark.parametrize("name", sorted(FLOWS))
def test_each_field_has_a_title_a_sentence_and_an_example(name: str) -> None:
    """And a default, if it is not one of the few that have to be filled in."""
    schema = FLOWS[name].parameters.model_dump_for_openapi()
    for key, field in _fields(schema).items():
        assert field["title"][0].isupper(), f"{key} has no title"
        assert field["title"] != key
        assert field["description"][0].isupper() or field["description"].startswith(("full:", "mtime:")), key
        assert "``" not in field["description"], f"{key}: the form shows no Markdown"
        if _needs_an_example(field) and "$ref" not in str(field.get("anyOf")):
            assert "For example:" in field["description"], f"{key} has no example"
    assert set(schema.get("required", [])) <= {"source", "destination", "transfer_id", "database"}


@pytest.mark.parametrize("name", sorted(FLOWS))
def test_the_fields_have_a_place(name: str) -> None:
    """Also on a server whose database keeps no order of keys."""
    schema = FLOWS[name].parameters.model_dump_for_openapi()
    for each in (schema, *schema.get("definitions", {}).values()):
        if "properties" in each:
            places = [field["position"] for field in each["properties"].values()]
            assert places == list(range(len(places)))


def test_what_belongs_together_stands_together() -> None:
    """By what comes before the colon of a title; and what most people choose comes first, without any."""
    titles = [field["title"] for field in TransferOptions.model_json_schema()["properties"].values()]
    groups = [name for name, _ in groupby(titles, lambda title: title.partition(": ")[0] if ": " in title else "")]
    assert groups[0] == ""
    assert len(set(groups)) == len(groups)
    assert len(set(titles)) == len(titles)
    page = (Path(__file__).parents[2] / "docs/start-from-the-ui.md").read_text()
    rows = page.partition("| group |")[2].splitlines()[2 : 2 + len(groups)]
    assert [row.split("|")[1].strip() for row in rows] == ["the common ones", *groups[1:]]


def test_no_secret_can_be_a_parameter() -> None:
    """A login is chosen from the saved blocks, or named: there is no field for it."""
    for flow in FLOWS.values():
        assert "secret" not in str(flow.parameters.properties).replace("GLOBUS_CLIENT_SECRET", "").lower()
        records = flow.parameters.definitions
        assert "properties" not in records.get("GlobusCredentials", {})
        assert "SqlAlchemyConnector" not in records


# --- what is refused, and where


@pytest.fixture(scope="module")
def server(prefect_api: str) -> Iterator[str]:
    with temporary_settings({PREFECT_API_URL: prefect_api}):
        yield prefect_api


@pytest.fixture(scope="module")
def begin(server: str) -> Iterator[Callable[..., None]]:  # noqa: ARG001 - it must be there
    """Begin a flow run of a deployment, as the form, the CLI and other flows do; it is over at once."""
    with get_client(sync_client=True) as client, _deployed(client) as deployments:

        def begin(parameters: dict[str, Any], flow: Flow[..., Any] = resumable_transfer) -> None:
            client.create_flow_run_from_deployment(deployments[flow.name], parameters=parameters, state=Cancelled())

        yield begin


@contextmanager
def _deployed(client: Any) -> Iterator[dict[str, Any]]:
    made = {
        flow.name: client.create_deployment(
            client.create_flow(flow),
            f"form-{uuid4().hex}",
            parameter_openapi_schema=flow.parameters.model_dump_for_openapi(),
            enforce_parameter_schema=True,
        )
        for flow in (resumable_transfer, scheduled_transfer)
    }
    yield made
    for deployment in made.values():
        client.delete_deployment(deployment)


# What can be typed into the form, and what only comes from elsewhere, as the form has a list or a field for each.
TYPED = [
    ({"source": "lab:/data"}, "'lab:/data' does not match '(?#COLLECTION_UUID:/path)"),
    ({"destination": f"{ARCHIVE}:data"}, "does not match '(?#COLLECTION_UUID:/path)"),
    ({"transfer_id": "../../etc"}, "'../../etc' does not match '(?#such as backup-20261122)"),
    ({"options": {"max_size": "5 parsecs"}}, "'5 parsecs' does not match '(?#such as 500 MiB or 3.1 TB)"),
    ({"options": {"max_size": -1}}, "-1 is less than the minimum of 0"),
    ({"options": {"stall_seconds": "soon"}}, "'soon' does not match '(?#such as 30s, 15 min, 2h or 1d 12h)"),
    ({"options": {"retry_limit": 51}}, "51 is greater than the maximum of 50"),
]
OTHERS = [
    ({"options": {"symlinks": "keep"}}, "'keep' is not one of ['ignore', 'follow']"),
    ({"options": {"exclude": "*.tmp"}}, "'*.tmp' is not of type 'array'"),
    ({"options": {"max_seize": 5}}, "'max_seize' was unexpected"),
    ({"credentials": {"client_id": LAB, "client_secret": "hush"}}, "'$ref' is a required property"),
]


def _validated(server: str, values: dict[str, Any]) -> list[dict[str, Any]]:
    """What the form is told before it is submitted."""
    schema = resumable_transfer.parameters.model_dump_for_openapi()
    answer = httpx.post(f"{server}/ui/schemas/validate", json={"schema": schema, "values": values}, timeout=60)
    errors: list[dict[str, Any]] = answer.json()["errors"]
    return errors


@pytest.mark.parametrize(("parameters", "words"), TYPED, ids=lambda value: str(value)[:60])
def test_what_is_typed_wrong_is_told_at_its_field(server: str, parameters: dict[str, Any], words: str) -> None:
    """With what would be right."""
    errors, values = _validated(server, PLACES | parameters), parameters
    while isinstance(errors[0], dict):
        [error] = errors
        assert error["property"] in values
        errors, values = error["errors"], values[error["property"]]
    [said] = errors
    assert words in str(said)


@pytest.mark.parametrize(("parameters", "words"), TYPED + OTHERS, ids=lambda value: str(value)[:60])
def test_no_run_is_made_of_what_is_wrong(begin: Callable[..., None], parameters: dict[str, Any], words: str) -> None:
    """Whoever asks for it is told the same."""
    with pytest.raises(PrefectHTTPStatusError) as refused:
        begin(PLACES | parameters)
    assert refused.value.response.status_code == 409
    assert words in refused.value.response.json()["detail"]


def test_what_must_be_filled_in_is_asked_for(server: str) -> None:
    assert {each["property"] for each in _validated(server, {})} == {"source", "destination"}


def test_what_is_right_is_taken(begin: Callable[..., None], server: str, tmp_path: Path) -> None:  # noqa: ARG001
    """Numbers, texts with units and nulls, blocks by reference and by name; and they are what the flow gets."""
    login, store = (
        GlobusCredentials(client_id=LAB, client_secret=SecretStr("hush")),
        FileCheckpointStore(basepath=tmp_path),
    )
    name = f"form-{uuid4().hex}"
    login_id, store_id = login.save(name), store.save(name)
    everything = TransferOptions(max_size=10, include=("a",)).model_dump(mode="json")
    for more in (
        {},
        {"options": None, "transfer_id": None, "credentials": None, "checkpoints": None},
        {"options": everything, "transfer_id": "backup-20261122", "credentials": name, "checkpoints": f"x/{name}"},
        {"options": {"max_size": "10 B", "stall_seconds": "6 h", "deadline_seconds": "3d", "sync_level": "size"}},
        {"options": {"max_size": 10, "stall_seconds": 21600, "deadline_seconds": 259200, "sync_level": "size"}},
        {"credentials": {"$ref": str(login_id)}, "checkpoints": {"$ref": {"block_document_id": str(store_id)}}},
    ):
        begin(PLACES | more)
        given = resumable_transfer.validate_parameters(PLACES | more)
        if more.get("credentials") and "$ref" in more["credentials"]:
            assert isinstance(given["credentials"], GlobusCredentials)
            assert isinstance(given["checkpoints"], FileCheckpointStore)
        elif more.get("options"):
            assert given["options"].max_size == 10
    schedule = TransferSchedule.every(3600, count=3).model_dump(mode="json")
    places = {**PLACES, "source": "YOUR-COLLECTION-UUID:/data"}  # to be filled in later, and refused until then
    begin(places | {"schedule": schedule}, scheduled_transfer)
    begin(places | {"schedule": {"type": "recurring", "interval_seconds": "1h"}}, scheduled_transfer)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (
            {"min_size": "1 GiB", "max_size": "1 MB"},
            "min_size is larger than max_size, so nothing would be transferred",
        ),
        ({"pause_limit": "40000 d"}, "it is longer than a hundred years"),
        ({"after": "delete_source", "delete_destination_extra": True}, "cannot go together"),
    ],
)
def test_what_a_form_cannot_see_is_refused_before_the_flow_begins(options: dict[str, Any], words: str) -> None:
    """Prefect checks the parameters first, and fails the run with these words."""
    with pytest.raises(ParameterTypeError, match=words):
        resumable_transfer.validate_parameters(PLACES | {"options": options})
