"""A transfer by the login of a user, or of a client, whose consent is taken back while it runs."""

from __future__ import annotations

import sqlite3
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from prefect.client.orchestration import get_client
from prefect.settings import PREFECT_API_URL, PREFECT_LOGGING_LEVEL, temporary_settings

from prefect_globus import GlobusCredentials, TransferOptions, TransferResult, log_in, resumable_transfer
from prefect_globus.blocks.token_store import TokenStore
from prefect_globus.transfers.errors import GlobusConsentError
from prefect_globus.transfers.states import TransferStatus
from support.background import check_once, status_of, submitted, wait_for
from support.person import copy_code
from support.world import QUICK, World

SLOW = [{"data_access": ("destination",), "file_delay": 0.5}]


@pytest.fixture
def user(world: World, monkeypatch: pytest.MonkeyPatch) -> Callable[..., GlobusCredentials]:
    """Logs a user in, in this world."""
    for name, value in world.emulator.environment().items():
        monkeypatch.setenv(name, value)
    client_id = str(uuid.uuid4())

    def log_in_here(*collections: str) -> GlobusCredentials:
        path = world.folder / "tokens.db"
        return log_in(lambda _, address: copy_code(address), client_id, collections, token_file=path)

    return log_in_here


def run(world: World, credentials: GlobusCredentials) -> TransferResult:
    with temporary_settings({PREFECT_API_URL: world.prefect_api, PREFECT_LOGGING_LEVEL: "WARNING"}):
        return resumable_transfer(
            world.location("source"),
            world.location("destination"),
            options=TransferOptions(**QUICK, batch_size=1, max_concurrency=2),
            transfer_id="test",
            credentials=credentials,
            checkpoints=world.store,
        )


@pytest.mark.parametrize("emulator_options", SLOW)
def test_a_run_waits_for_the_consent_of_a_user(
    world: World, user: Callable[..., GlobusCredentials], caplog: pytest.LogCaptureFixture
) -> None:
    """It says by which command, goes on when the user has logged in again, and shows no token to anybody."""
    caplog.set_level("DEBUG")
    world.write({str(number): "x" for number in range(6)})
    collection = world.emulator.collections["destination"]
    command = f"prefect-globus login --collection {collection}"
    credentials = user()
    with pytest.raises(GlobusConsentError, match=command):
        run(world, credentials)
    assert status_of(world) is None
    user(collection)
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(run, world, credentials)
        wait_for(lambda: submitted(world) or future.done(), "a first task")
        world.emulator.rescind_consents("destination")
        wait_for(lambda: status_of(world) is TransferStatus.PAUSED or future.done(), "the pause")
        assert command in str(world.store.load_transfer("test").error)
        user(collection)
        assert future.result(120).status is TransferStatus.COMPLETED
    with ThreadPoolExecutor(1) as pool:  # its records belong to the client of the login
        pool.submit(check_by, world, credentials).result()
    check_no_token_shows(world, caplog.text)


def check_by(world: World, credentials: GlobusCredentials) -> None:
    """Each file was moved once, by the record of who has submitted the tasks."""
    with credentials.get_transfer_client() as client:
        tasks = [task["task_id"] for task in client.task_list(limit=100)["DATA"]]
        moved = [row["source_path"] for task in tasks for row in client.task_successful_transfers(task)["DATA"]]
    assert sorted(moved) == sorted(f"/{item.path}" for item in world.store.iter_items("test"))


def check_no_token_shows(world: World, log: str) -> None:
    login = TokenStore(world.folder / "tokens.db", world.emulator.url).login()
    assert login is not None
    secrets = [text for token in login.tokens.values() for text in (token.access_token, token.refresh_token) if text]
    with get_client(sync_client=True) as client:
        records = [each.model_dump_json() for each in client.read_flow_runs()]
    with sqlite3.connect(world.folder / "checkpoints.db") as connection:
        records += connection.iterdump()
    connection.close()
    shown = "\n".join([log, repr(login), *records])
    assert len(secrets) == 6
    assert not any(secret in shown for secret in secrets)


@pytest.mark.parametrize("emulator_options", SLOW)
def test_a_client_gives_its_consent_itself(world: World) -> None:
    """At the start, and again when it was taken back: nobody is needed."""
    world.write({str(number): "x" for number in range(6)})
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(run, world, world.credentials)
        wait_for(lambda: submitted(world) or future.done(), "a first task")
        assert world.emulator.rescind_consents("destination") == 1
        assert future.result(120).status is TransferStatus.COMPLETED
    check_once(world)


@pytest.mark.parametrize("emulator_options", [{"data_access": ("source", "destination")}])
def test_many_threads_that_lack_a_consent_all_go_on(world: World) -> None:
    """Whichever of two consents each of them lacks."""
    credentials = GlobusCredentials(
        **{**world.credentials.model_dump(), "client_id": str(uuid.uuid4()), "client_secret": "x"}
    )

    def look(number: int) -> int:
        with credentials.get_transfer_client() as client:
            return len(client.operation_ls(world.emulator.collections[("source", "destination")[number % 2]])["DATA"])

    with ThreadPoolExecutor(10) as pool:
        assert set(pool.map(look, range(20))) == {0}
