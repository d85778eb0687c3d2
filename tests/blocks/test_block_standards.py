"""Our blocks are good citizens of Prefect, and can be filled in in its UI."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.error import URLError
from uuid import uuid4

import pytest
from prefect.blocks.core import Block
from prefect.blocks.system import Secret
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import BlockDocumentCreate
from prefect.filesystems import LocalFileSystem
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.testing.standard_test_suites import BlockStandardTestSuite
from prefect.utilities.schema_tools.validation import validate
from prefect_sqlalchemy import ConnectionComponents, SqlAlchemyConnector, SyncDriver

from prefect_globus.blocks import FileCheckpointStore, GlobusCredentials, SqlCheckpointStore
from prefect_globus.flows.blocks import find_checkpoints, find_credentials
from prefect_globus.transfers.errors import InvalidInputError

BLOCKS: list[type[Block]] = [GlobusCredentials, SqlCheckpointStore, FileCheckpointStore]


@pytest.mark.parametrize("block", BLOCKS)
class TestStandards(BlockStandardTestSuite):
    @pytest.fixture
    def block(self) -> type[Block]:
        raise NotImplementedError("the parameter takes its place")

    def test_has_a_valid_image(self, block: type[Block]) -> None:
        """Prefect takes a web address only, and the suite follows it."""
        try:
            super().test_has_a_valid_image(block)
        except URLError as error:
            pytest.skip(f"no way to the web from here: {error.reason}")

    def test_the_schema_can_be_registered(self, block: type[Block]) -> None:
        schema = block.model_json_schema()
        assert schema["block_type_slug"] == block.get_block_type_slug()
        assert block._calculate_schema_checksum().startswith("sha256:")

    def test_each_field_has_a_title_a_sentence_and_its_place(self, block: type[Block]) -> None:
        """And one input: what may be left empty has no tab for None, but for a block, which is chosen from a list."""
        fields = block.model_json_schema()["properties"]
        for place, (name, field) in enumerate(fields.items()):
            assert field["title"] != name
            assert field["description"]
            assert field["position"] == place
            assert "anyOf" not in field or name == "connector"

    def test_secrets_are_hidden(self, block: type[Block]) -> None:
        """In the form while they are typed, and by the server, which is told which fields they are."""
        schema = block.model_json_schema()
        hidden = {name for name, field in schema["properties"].items() if field.get("format") == "password"}
        assert hidden == {name for name in schema["secret_fields"] if "." not in name}
        secret = ("secret", "token", "password", "url")
        plain = {"token_file", "transfer_url", "auth_url", "timers_url"}
        assert hidden == {name for name in schema["properties"] if any(map(name.__contains__, secret))} - plain


def test_the_logos_are_those_that_prefect_shows_itself() -> None:
    """So a link is dead only where that of Prefect's own block is dead, too."""
    own = {str(block._logo_url) for block in (Secret, SqlAlchemyConnector, LocalFileSystem)}
    assert {str(block._logo_url) for block in BLOCKS} == own


@pytest.mark.parametrize("block", [SqlCheckpointStore, FileCheckpointStore])
def test_a_store_can_be_result_storage(block: type[Block]) -> None:
    assert block.get_block_capabilities() >= {"read-path", "write-path"}


# --- on a server


@pytest.fixture
def client(prefect_api: str) -> Iterator[SyncPrefectClient]:
    with temporary_settings({PREFECT_API_URL: prefect_api}), get_client(sync_client=True) as client:
        yield client


def test_a_server_knows_them_from_its_start(client: SyncPrefectClient) -> None:
    """By the entry point, where the package is installed; with all that their page shows."""
    for block in BLOCKS:
        known = client.read_block_type_by_slug(block.get_block_type_slug())
        assert (known.name, known.description) == (block.get_block_type_name(), block.get_description())
        assert known.logo_url
        assert known.documentation_url
        assert f'{block.__name__}.load("BLOCK_NAME")' in str(known.code_example)


def test_they_can_be_registered_by_hand(prefect_api: str) -> None:
    """With a server that is started elsewhere."""
    command = [sys.executable, "-m", "prefect", "block", "register", "-m", "prefect_globus"]
    environment = {**os.environ, "PREFECT_API_URL": prefect_api, "COLUMNS": "120"}
    said = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
    assert all(block.get_block_type_name() in said for block in BLOCKS), said


def _filled_in(client: SyncPrefectClient, block: type[Block], values: dict[str, object]) -> str:
    """Save what a person has filled in, as the form does; the name."""
    schema_id = client.read_block_schema_by_checksum(block._calculate_schema_checksum()).id
    type_id = client.read_block_type_by_slug(block.get_block_type_slug()).id
    name = f"form-{uuid4().hex}"
    document = BlockDocumentCreate(name=name, data=values, block_schema_id=schema_id, block_type_id=type_id)
    client.create_block_document(document)
    return name


def test_a_store_can_be_made_of_a_connector_in_the_form(client: SyncPrefectClient, tmp_path: Path) -> None:
    """The connector is a block of its own, chosen from a list; a change of it is a change for the store."""
    database = ConnectionComponents(driver=SyncDriver.SQLITE_PYSQLITE, database=str(tmp_path / "checkpoints.db"))
    connector_id = SqlAlchemyConnector(connection_info=database).save(f"form-{uuid4().hex}")
    name = _filled_in(client, SqlCheckpointStore, {"connector": {"$ref": {"block_document_id": str(connector_id)}}})
    store = SqlCheckpointStore.load(name)
    assert isinstance(store, SqlCheckpointStore)
    assert list(store.list_transfers()) == []
    assert (tmp_path / "checkpoints.db").exists()


def test_a_login_can_be_filled_in_and_its_secret_is_not_shown(client: SyncPrefectClient) -> None:
    """Fields that are left empty are not sent at all."""
    name = _filled_in(client, GlobusCredentials, {"client_id": "4fde6f2c", "client_secret": "hush", "max_tasks": 12})
    shown = client.read_block_document_by_name(name, "globus-credentials", include_secrets=False)
    assert shown.data["client_id"] == "4fde6f2c"
    assert set(shown.data["client_secret"]) == {"*"}
    login = GlobusCredentials.load(name)
    assert isinstance(login, GlobusCredentials)
    assert login.client_secret is not None
    assert login.client_secret.get_secret_value() == "hush"


def test_what_was_filled_in_wrongly_is_named_by_its_block_and_field(client: SyncPrefectClient) -> None:
    """Prefect saves it all the same, and says of it no more than that it is not valid; the value may be a secret."""
    name = _filled_in(client, SqlCheckpointStore, {"url": "nonsense:hush"})
    expected = f"^The block sql-checkpoint-store/{name} cannot be used: url: the database URL is malformed; write "
    with pytest.raises(InvalidInputError, match=expected) as caught:
        find_checkpoints(name)
    assert "hush" not in str(caught.value)
    name = _filled_in(client, GlobusCredentials, {"client_id": "a", "max_tasks": 0})
    with pytest.raises(InvalidInputError, match=f"credentials/{name} cannot be used: max_tasks: .*greater than"):
        find_credentials(name)


@pytest.mark.parametrize(
    ("url", "is_taken"),
    [
        ("nonsense", False),
        ("mysql://user@host/database", False),
        ("sqlite:////path/to/file.db", True),
        ("postgresql+psycopg://user:password@host/database", True),
        ("********", True),
    ],
)
def test_the_form_takes_no_address_that_is_none(url: str, *, is_taken: bool) -> None:
    """As Prefect's server checks it; whoever edits a block sends asterisks for what they were not shown."""
    errors = validate({"url": url}, SqlCheckpointStore.model_json_schema())
    assert ["such as sqlite:////" in error.message for error in errors] == [True] * (not is_taken)
