"""Bad input is refused before anything moves, with a message that says what to do."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
import sqlalchemy
from pydantic import ValidationError

from prefect_globus import GlobusCredentials, SqlCheckpointStore, TransferOptions, resumable_transfer
from prefect_globus.transfers import errors
from prefect_globus.transfers.location import Location
from prefect_globus.transfers.model import Transfer
from support.world import CLIENT_ID, CLIENT_SECRET, World, tree


@pytest.fixture(autouse=True)
def nothing_moves(world: World) -> Iterator[None]:
    """Whatever the input, nothing is at the destination afterwards, and Globus has no task."""
    world.write({"folder/a": "1", "file": "2"})
    (world.destination / "taken").write_text("here")
    yield
    assert set(tree(world.destination)) == {"taken"}
    assert world.tasks() == []


def call(world: World, source: str, destination: str, **changes: Any) -> None:
    arguments = {"transfer_id": "test", "credentials": world.credentials, "checkpoints": world.store} | changes
    resumable_transfer(source, destination, **arguments)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("no-colon", "COLLECTION_UUID:/absolute/path"),
        ("not-a-uuid:/path", "is not a UUID"),
        ("{uuid}:relative", "must begin with '/'"),
        ("{uuid}:/up/../and/down", "has a '..'"),
        ("{uuid}:/new\nline", "control character"),
        ("", "there is no ':'"),
    ],
)
def test_malformed_locations(world: World, source: str, message: str) -> None:
    """On either side."""
    good, bad = world.location("source"), source.replace("{uuid}", world.emulator.collections["source"])
    for pair in ((bad, world.location("destination")), (good, bad)):
        with pytest.raises(errors.InvalidLocationError, match=message):
            call(world, *pair)
    assert list(world.store.list_transfers()) == []


def test_an_unknown_collection(world: World) -> None:
    """It is named."""
    unknown = str(uuid4())
    with pytest.raises(errors.GlobusNotFoundError, match=unknown):
        call(world, f"{unknown}:/", world.location("destination"))
    with pytest.raises(errors.GlobusNotFoundError, match=unknown):
        call(world, world.location("source"), f"{unknown}:/")


def test_a_missing_source(world: World) -> None:
    """The id is free afterwards for the corrected call."""
    with pytest.raises(errors.SourceNotFoundError, match="Check the path"):
        call(world, world.location("source", "/missing"), world.location("destination"))
    assert list(world.store.list_transfers()) == []


def test_a_destination_inside_the_source(world: World) -> None:
    """On the same collection it would copy its own copies."""
    for path in ("/folder/below", "/folder"):
        with pytest.raises(errors.OverlappingLocationsError, match="outside the source"):
            call(world, world.location("source", "/folder"), world.location("source", path))


def test_a_file_and_a_directory_do_not_mix(world: World) -> None:
    """A directory cannot become a file, nor a file take the name of a directory."""
    with pytest.raises(errors.InvalidInputError, match="is a file"):
        call(world, world.location("source", "/folder"), world.location("destination", "/taken"))
    with pytest.raises(errors.InvalidInputError, match=r"name the file, as in .*:/file"):
        call(world, world.location("source", "/file"), world.location("destination", "/"))


@pytest.mark.parametrize("transfer_id", ["a/b", "..", "../etc", "a..b", "tab\t", "new\nline", " ", "x" * 129, "-a"])
def test_transfer_ids(world: World, transfer_id: str) -> None:
    """An id names a row, a folder and a label, so it may not leave any of them."""
    with pytest.raises(errors.InvalidTransferIdError, match="letters, digits"):
        call(world, world.location("source"), world.location("destination"), transfer_id=transfer_id)


@pytest.mark.parametrize(
    "options",
    [
        {"batch_size": 0},
        {"batch_size": -1},
        {"batch_bytes": 0},
        {"max_concurrency": 0},
        {"retry_limit": -1},
        {"deadline_seconds": 0},
        {"sync_level": 4},
        {"sync_level": "sometimes"},
        {"min_size": -1},
        {"symlinks": "maybe"},
        {"label": "x" * 129},
        {"label": "two\nlines"},
        {"no_such_option": 1},
    ],
)
def test_options(options: dict[str, Any]) -> None:
    """A wrong value is refused where it is written, and named."""
    with pytest.raises(ValidationError, match=next(iter(options))):
        TransferOptions(**options)


def test_an_unreachable_service(world: World) -> None:
    """It says which setting to look at."""
    nowhere = "http://127.0.0.1:9"
    lost = GlobusCredentials(access_token="x", transfer_url=nowhere, auth_url=nowhere)
    with pytest.raises(errors.GlobusUnreachableError, match="GLOBUS_SDK_SERVICE_URL_TRANSFER"):
        call(world, world.location("source"), world.location("destination"), credentials=lost)


def test_wrong_credentials(world: World) -> None:
    """A token that Globus does not know."""
    wrong = GlobusCredentials(access_token="made-up", transfer_url=world.emulator.url, auth_url=world.emulator.url)
    with pytest.raises(errors.GlobusAuthError, match="Check the client id and secret") as caught:
        call(world, world.location("source"), world.location("destination"), credentials=wrong)
    assert "made-up" not in str(caught.value)


@pytest.mark.parametrize("emulator_options", [{"client": (CLIENT_ID, CLIENT_SECRET)}])
def test_a_wrong_secret(world: World) -> None:
    """The login itself is refused, and the secret is not in the message."""
    url = world.emulator.url
    wrong = GlobusCredentials(client_id=CLIENT_ID, client_secret="not-it-at-all", transfer_url=url, auth_url=url)
    with pytest.raises(errors.GlobusAuthError, match="Check the client id and secret") as caught:
        call(world, world.location("source"), world.location("destination"), credentials=wrong)
    assert "not-it-at-all" not in str(caught.value)


def test_no_credentials(world: World) -> None:
    """It says which variables to set."""
    with pytest.raises(errors.MissingCredentialsError, match="GLOBUS_CLIENT_ID"):
        call(world, world.location("source"), world.location("destination"), credentials=None)


def test_a_block_that_does_not_exist(world: World) -> None:
    """It says what would be there."""
    with pytest.raises(errors.InvalidInputError, match="SqlCheckpointStore"):
        call(world, world.location("source"), world.location("destination"), checkpoints="no-such-store")


def test_a_store_that_cannot_be_opened(world: World) -> None:
    """A path that is no database."""
    (world.folder / "text").write_text("this is no database, and longer than the header of one " * 100)
    for url in (f"sqlite:///{world.folder / 'text'}", f"sqlite:///{world.folder / 'text' / 'below'}"):
        store = SqlCheckpointStore(url=url)
        with pytest.raises(errors.StoreUnavailableError):
            call(world, world.location("source"), world.location("destination"), checkpoints=store)


def test_a_database_of_a_newer_version(world: World) -> None:
    """It is left alone."""
    assert list(world.store.list_transfers()) == []
    engine = sqlalchemy.create_engine(world.database)
    with engine.begin() as connection:
        connection.execute(sqlalchemy.text("INSERT INTO prefect_globus_schema VALUES (99, '')"))
    engine.dispose()
    newer = SqlCheckpointStore(url=world.database.replace("sqlite:///", "sqlite:////"))
    with pytest.raises(errors.StoreSchemaTooNewError, match="Upgrade prefect-globus"):
        call(world, world.location("source"), world.location("destination"), checkpoints=newer)


def test_an_id_that_exists_with_other_locations(world: World) -> None:
    """An id stands for one pair of locations."""
    source, destination = world.location("source", "/folder"), world.location("destination", "/new")
    taken = Transfer(id="test", source=Location.parse(source), destination=Location.parse(destination))
    world.store.create_transfer(taken)
    with pytest.raises(errors.DifferentTransferError, match="already exists with destination"):
        call(world, source, world.location("destination", "/other"))
    with pytest.raises(errors.DifferentTransferError, match="already exists with source"):
        call(world, world.location("source", "/file"), destination)
