"""The command line: what it says, what it refuses, and how it ends."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import globus_sdk
import pytest
import requests

from prefect_globus.emulator.process import EmulatorProcessError, running_emulator

COMMAND = [sys.executable, "-m", "prefect_globus.emulator", "serve"]


Serve = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Starts the command in a folder that holds `one` and `two`."""
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    started = []

    def start(*arguments: Any) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [*COMMAND, "--port", "0", *arguments],
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.terminate()
        process.communicate()


def refusal(process: subprocess.Popen[str]) -> str:
    """Return the one line with which a command refused."""
    output, errors = process.communicate(timeout=20)
    assert (process.returncode, output) == (2, "")
    assert "Traceback" not in errors
    assert len(errors.splitlines()) == 1, errors
    return errors


def test_it_says_where_it_is(serve: Serve, tmp_path: Path) -> None:
    """One line when it is ready, and one for each collection."""
    known = str(uuid.uuid4())
    process = serve("--collection", "one=one", "--collection", f"two@{known.upper()}=two")
    ready, *lines = [process.stdout.readline().rstrip("\n") for _ in range(3)]
    assert ready.startswith("Globus emulator ready at http://127.0.0.1:")
    assert lines[0].split("  ")[1::2] == ["one", str(tmp_path / "one")]
    assert lines[1] == f"  two  {known}  {tmp_path / 'two'}"
    assert requests.get(ready.split()[-1], timeout=5).status_code == 200


def test_a_uuid_that_is_not_given_is_always_the_same(serve: Serve) -> None:
    """It is made of the name and the folder."""
    first, second = (serve("--collection", "one=one") for _ in range(2))
    lines = [process.stdout.readline() and process.stdout.readline() for process in (first, second)]
    assert lines[0] == lines[1]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_cleanly(serve: Serve, number: signal.Signals) -> None:
    """Status 0, no traceback, and nothing more to say."""
    process = serve("--collection", "one=one")
    process.stdout.readline()
    process.stdout.readline()
    process.send_signal(number)
    assert (*process.communicate(timeout=10), process.returncode) == ("", "", 0)


def test_localhost_is_this_machine(serve: Serve) -> None:
    """It is the name of an address, and so is its address."""
    process = serve("--collection", "one=one", "--host", "localhost")
    assert process.stdout.readline().startswith("Globus emulator ready at http://127.0.0.1:")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "--collection"),
        (["--collection", "one"], "NAME=DIR"),
        (["--collection", "=one"], "NAME=DIR"),
        (["--collection", "one=none"], "no folder none"),
        (["--collection", "one=/dev/null"], "/dev/null is not a folder"),
        (["--collection", "one@x=one"], "'x' is not a UUID"),
        (["--collection", "one=one", "--collection", "one=two"], "given twice"),
        (
            [f"--collection={name}@11111111-1111-1111-1111-111111111111={name}" for name in ("one", "two")],
            "the same UUID",
        ),
        (["--collection", "one=one", "--host", "10.0.0.1"], "not a loopback address"),
        (["--collection", "one=one", "--host", "example.org"], "not a loopback address"),
        (["--collection", "one=one", "--time-scale", "nan"], "such as --time-scale 100"),
        (["--collection", "one=one", "--time-scale", "inf"], "such as --time-scale 100"),
        (["--collection", "one=one", "--time-scale", "1e10"], "up to 1,000,000,000"),
        (["--collection", "one=one", "--client", "me"], "ID:SECRET"),
        (["--collection", "one=one", "--state", "none/state"], "Name another file"),
    ],
)
def test_refusals_say_what_to_do(serve: Serve, arguments: list[str], words: str) -> None:
    """Exit status 2 and one line."""
    assert words in refusal(serve(*arguments))


def test_a_busy_port_is_refused(serve: Serve) -> None:
    """Another program has it."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        line = refusal(serve("--collection", "one=one", "--port", str(other.getsockname()[1])))
    assert "Choose another port" in line


def test_a_state_is_served_once_at_a_time(serve: Serve, tmp_path: Path) -> None:
    """The refusal names the process that holds it, and the state is free again after a kill."""
    state = ["--state", "state.sqlite"]
    first = serve("--collection", "one=one", *state)
    collection = first.stdout.readline() and first.stdout.readline()
    assert f"process {first.pid}." in refusal(serve(*state))
    first.kill()
    first.wait()
    second = serve(*state)
    assert second.stdout.readline()
    assert second.stdout.readline() == collection
    assert (tmp_path / "state.sqlite").exists()


def test_a_file_that_is_no_state_is_refused(serve: Serve, tmp_path: Path) -> None:
    """It is left as it is."""
    (tmp_path / "notes").write_text("not a database, but long enough to look at" * 100)
    assert "Name another file" in refusal(serve("--collection", "one=one", "--state", "notes"))
    assert (tmp_path / "notes").read_text().startswith("not a database")


def test_a_collection_keeps_its_uuid_in_a_state(serve: Serve) -> None:
    """A folder may move; its tasks refer to the UUID."""
    first = serve("--collection", "one=one", "--state", "s")
    before = first.stdout.readline() and first.stdout.readline()
    first.terminate()
    first.wait()
    second = serve("--collection", "one=two", "--state", "s")
    after = second.stdout.readline() and second.stdout.readline()
    assert before.split()[1] == after.split()[1]
    assert after.endswith("/two\n")
    second.terminate()
    second.wait()
    assert "Leave the UUID out" in refusal(
        serve("--collection", "one@11111111-1111-1111-1111-111111111111=one", "--state", "s")
    )


def test_prefect_is_not_imported() -> None:
    """The emulator stands alone, so that it starts in a moment."""
    program = "import sys, prefect_globus.emulator.command as c; assert c.serve; sys.exit('prefect' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_environment_leads_the_sdk_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the three variables set, clients need no base_url."""
    with running_emulator({"one": tmp_path}) as emulator:
        for name, value in emulator.environment().items():
            monkeypatch.setenv(name, value)
        app = globus_sdk.ClientApp("test", client_id=str(uuid.uuid4()), client_secret="secret")
        client = globus_sdk.TransferClient(app=app)
        assert client.get_endpoint(emulator.collections["one"])["display_name"] == "one"


def test_an_emulator_that_cannot_start_says_why(tmp_path: Path) -> None:
    """The refusal of the command is the message of the exception."""
    with pytest.raises(EmulatorProcessError, match="no folder"), running_emulator({"one": tmp_path / "none"}):
        pass


@pytest.mark.parametrize(
    "arguments",
    [{"collections": "one=one"}, {"client": "me:secret"}, {"data_access": "one"}],
    ids=lambda arguments: next(iter(arguments)),
)
def test_a_text_is_not_taken_for_its_letters(tmp_path: Path, arguments: dict[str, Any]) -> None:
    """Where several are meant, a single text is refused, and the refusal says what to give."""
    with (
        pytest.raises(TypeError, match=f"{next(iter(arguments))} must not be a single text: give"),
        running_emulator(**{"collections": {"one": tmp_path}} | arguments),
    ):
        pass


def test_specs_may_carry_uuids_and_names_spaces(tmp_path: Path) -> None:
    """A list of specs is passed on as it is."""
    known = str(uuid.uuid4())
    (tmp_path / "a  b=c").mkdir()
    with running_emulator([f"my name@{known}={tmp_path / 'a  b=c'}"]) as emulator:
        assert emulator.collections == {"my name": known}


def test_the_state_is_for_its_owner_only(tmp_path: Path) -> None:
    """It holds the key that signs logins."""
    with running_emulator({"only": tmp_path}, state=str(tmp_path / "state.sqlite")) as emulator:
        requests.get(emulator.url, timeout=30).raise_for_status()
        files = list(tmp_path.glob("state.sqlite*"))
        assert len(files) > 1
        assert {path.stat().st_mode & 0o777 for path in files} == {0o600}
