"""The tutorial "Scheduling a Repeating Transfer" of docs.globus.org, statement by statement.

Only `UserApp` is imported from where it is now, and the name of a timer stands on one line. The environment has the
addresses of the services; collections and paths are the tutorial's own.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import globus_sdk
import pytest
from globus_sdk.scopes import TimersScopes

from prefect_globus.emulator.process import Emulator, running_emulator
from support.person import copy_code

if TYPE_CHECKING:
    from typing import IO

SOURCE = "6c54cade-bde5-45c1-bdea-f4bd71dba2cc"
DESTINATION = "31ce9ba0-176d-45a5-add3-f37d233ba47d"
CLIENT = "61338d24-54d5-408f-a10d-66c06b59f6d2"
PATIENCE = 30.0

BEGINNING = f"""
import datetime

import globus_sdk
from globus_sdk import UserApp

NATIVE_CLIENT_ID = "{CLIENT}"
SRC_COLLECTION = "{SOURCE}"
DST_COLLECTION = "{DESTINATION}"
DST_PATH = "/~/example-timer-destination.txt"

schedule = globus_sdk.RecurringTimerSchedule(
    interval_seconds=3600,
    end={{
        "condition": "time",
        "datetime": datetime.datetime.now() + datetime.timedelta(days=3),
    }},
)
"""

CREATING = (
    BEGINNING
    + """
SRC_PATH = "/share/godata/file1.txt"

transfer_request = globus_sdk.TransferData(SRC_COLLECTION, DST_COLLECTION)
transfer_request.add_item(SRC_PATH, DST_PATH)

with UserApp("manage-timers-example", client_id=NATIVE_CLIENT_ID) as app:
    with globus_sdk.TimersClient(app=app) as timers_client:
        timers_client.add_app_transfer_data_access_scope((SRC_COLLECTION, DST_COLLECTION))
        timer = timers_client.create_timer(
            globus_sdk.TransferTimer(
                name=f"create-timer-example [created at {datetime.datetime.now().isoformat()}]",
                body=transfer_request,
                schedule=schedule,
            )
        )
        print("Finished submitting timer.")
        print(f"timer_id: {timer['timer']['job_id']}")
"""
)

DISCOVERING = (
    BEGINNING
    + """
SRC_PATH = "/home/share/godata/file1.txt"


def uses_data_access(client: globus_sdk.TransferClient, collection_id: str) -> bool:
    doc = client.get_endpoint(collection_id)
    if doc["entity_type"] != "GCSv5_mapped_collection":
        return False
    if doc["high_assurance"]:
        return False
    return True


with UserApp("manage-timers-example", client_id=NATIVE_CLIENT_ID) as app:
    transfer_request = globus_sdk.TransferData(SRC_COLLECTION, DST_COLLECTION)
    transfer_request.add_item(SRC_PATH, DST_PATH)

    with (
        globus_sdk.TransferClient(app=app) as transfer_client,
        globus_sdk.TimersClient(app=app) as timers_client,
    ):
        if uses_data_access(transfer_client, SRC_COLLECTION):
            timers_client.add_app_transfer_data_access_scope(SRC_COLLECTION)
        if uses_data_access(transfer_client, DST_COLLECTION):
            timers_client.add_app_transfer_data_access_scope(DST_COLLECTION)
        timer = timers_client.create_timer(
            globus_sdk.TransferTimer(
                name=f"create-timer-example [created at {datetime.datetime.now().isoformat()}]",
                body=transfer_request,
                schedule=schedule,
            )
        )
        print("Finished submitting timer.")
        print(f"timer_id: {timer['timer']['job_id']}")
"""
)


class World:
    """An emulator with the tutorial's collections, and a person at a terminal."""

    def __init__(self, emulator: Emulator, root: Path) -> None:
        self.emulator = emulator
        self.source = root / "source"
        self.destination = root / "destination"
        self.home = root / "home"
        self.home.mkdir()

    def put(self, path: str) -> None:
        file = self.source / path.lstrip("/")
        file.parent.mkdir(parents=True)
        file.write_bytes(b"one file of the tutorial")

    def run(self, script: str) -> tuple[str, int]:
        """Run a script as a person would; return the id of its timer, and how often one had to log in."""
        environment = os.environ | self.emulator.environment() | {"HOME": str(self.home)}
        process = subprocess.Popen(
            [sys.executable, "-u", "-c", script],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        with process, closing(process.stdin), closing(process.stdout):
            try:
                lines = self.attend(process.stdin, process.stdout)
                assert process.wait(PATIENCE) == 0
            finally:
                process.kill()
        said = [line for line in lines if not line.startswith(f"{self.emulator.url}/")]
        assert said[-2].endswith("Finished submitting timer.")
        return said[-1].removeprefix("timer_id: "), len(lines) - len(said)

    def attend(self, keyboard: IO[str], screen: IO[str]) -> list[str]:
        """Read what is said until the end; whenever an address is shown, log in there and type the code."""
        lines = []
        for line in screen:
            lines.append(line.rstrip())
            if line.startswith(f"{self.emulator.url}/v2/oauth2/authorize"):
                keyboard.write(copy_code(line.strip()) + "\n")
                keyboard.flush()
        return lines

    def wait(self, job_id: str, until: Callable[[Any], bool]) -> dict[str, Any]:
        """Wait until something holds of a timer of the person."""
        login = globus_sdk.NativeAppAuthClient(CLIENT, base_url=self.emulator.url)
        login.oauth2_start_flow(TimersScopes.timer)
        tokens = login.oauth2_exchange_code_for_tokens(copy_code(login.oauth2_get_authorize_url()))
        authorizer = globus_sdk.AccessTokenAuthorizer(
            tokens.by_resource_server[TimersScopes.resource_server]["access_token"]
        )
        timers = globus_sdk.TimersClient(authorizer=authorizer, base_url=self.emulator.url)
        deadline = time.monotonic() + PATIENCE
        while not until(job := timers.get_job(job_id).data):
            assert time.monotonic() < deadline, f"Waited in vain, last seen {job}"
            time.sleep(0.05)
        return dict(job)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Callable[..., World]]:
    """Makes the world of a test, in which some of the collections need the data_access consent."""
    running = []

    def make(*data_access: str) -> World:
        collections = [
            f"source@{SOURCE}={tmp_path / 'source'}",
            f"destination@{DESTINATION}={tmp_path / 'destination'}",
        ]
        for name in ("source", "destination"):
            (tmp_path / name).mkdir()
        running.append(running_emulator(collections, data_access=list(data_access)))
        return World(running[-1].__enter__(), tmp_path)

    yield make
    for context in running:
        context.__exit__(None, None, None)


def has_run(job: dict[str, Any]) -> bool:
    return job["n_runs"] == 1 and job["results"]["data"][0]["run_status"] != "ACTIVE"


def test_creating_a_transfer_timer(world: Callable[..., World]) -> None:
    """One login consents to everything, and the first run moves the file."""
    here = world("source", "destination")
    here.put("/share/godata/file1.txt")
    job_id, logins = here.run(CREATING)
    assert logins == 1
    job = here.wait(job_id, has_run)
    assert (job["status"], job["n_errors"], job["interval"]) == ("loaded", 0, 3600.0)
    assert job["name"].startswith("create-timer-example [created at ")
    assert job["results"]["data"][0]["data"]["details"]["status"] == "SUCCEEDED"
    assert (here.destination / "example-timer-destination.txt").read_bytes() == b"one file of the tutorial"


def test_discovering_data_access(world: Callable[..., World]) -> None:
    """A second login, as one collection turns out to need data_access; but only the first time."""
    here = world("source")
    here.put("/home/share/godata/file1.txt")
    job_id, first = here.run(DISCOVERING)
    assert first == 2
    job = here.wait(job_id, has_run)
    assert (job["status"], job["n_errors"]) == ("loaded", 0)
    assert (here.destination / "example-timer-destination.txt").read_bytes() == b"one file of the tutorial"
    again, second = here.run(DISCOVERING)
    assert (again != job_id, second) == (True, 0)
