"""`prefect-globus login`, `whoami` and `logout`, with a person in front of the emulator's pages."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import globus_sdk
import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings
from shells import Shell, call

from prefect_globus import GlobusCredentials, log_in
from prefect_globus.blocks.token_store import TokenStore
from prefect_globus.emulator.process import Emulator, running_emulator
from prefect_globus.globus.scopes import timers_scope, transfer_scope
from prefect_globus.transfers.errors import GlobusAuthError, GlobusNotFoundError, InvalidInputError
from support.person import copy_code

PAGE = Path(__file__).parents[2] / "docs/login.md"
NAMES = ("first", "second", "plain")
APP = "0c2b7f0e-6f5a-4c84-9c0b-6b6c3a1f9d10"


@pytest.fixture(scope="module")
def globus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    """An emulator with two collections that ask for a consent of their own, and a plain one."""
    root = tmp_path_factory.mktemp("globus")
    for name in NAMES:
        (root / name).mkdir()
        (root / name / "file").write_text(name)
    with running_emulator({name: root / name for name in NAMES}, data_access=NAMES[:2]) as running:
        yield running


@pytest.fixture
def led(globus: Emulator, here: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """This process, led to the emulator."""
    for name, value in (globus.environment() | {"GLOBUS_CLIENT_ID": APP}).items():
        monkeypatch.setenv(name, value)
    return here


class Person:
    """Answers every page, and counts them."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def __call__(self, why: str, address: str) -> str:
        self.asked.append(why)
        return copy_code(address)


def answer(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    """Be the person in front of the command until it ends."""
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    said = ""
    for line in process.stderr:
        said += line
        if line.startswith("http"):
            process.stdin.write(copy_code(line.strip()) + "\n")
            process.stdin.flush()
    return process.wait(60), process.stdout.read(), said


def test_a_login_is_made_used_and_ended(globus: Emulator, shell: Shell) -> None:
    """By the real commands: asked twice for a consent that nobody knew of; a transfer runs with it; nothing is left."""
    shell.environment |= {**globus.environment(), "GLOBUS_CLIENT_ID": APP}
    first, plain = globus.collections["first"], globus.collections["plain"]
    code, out, asked = answer(shell.start("login", "--collection", first, "--collection", plain, stdin=subprocess.PIPE))
    assert (code, asked.count("http://")) == (0, 2)
    assert f"ask for a consent of their own: {first}." in asked
    assert out.splitlines()[0].startswith("anna@localhost, by the token file ")
    assert out.count(f"may use the data of {first}") == 2
    (file,) = shell.home.rglob("tokens.db")
    assert (file.stat().st_mode & 0o777, file.parent.stat().st_mode & 0o777) == (0o600, 0o700)

    run = shell.run("transfer", f"{plain}:/", f"{first}:/copy", "--id", "by-login", "-q")
    assert run.returncode == 0, run.stderr
    login = TokenStore(file, globus.url).login()
    assert login is not None
    secrets = [text for token in login.tokens.values() for text in (token.refresh_token, token.access_token) if text]
    everything = "".join([out, asked, run.stdout, run.stderr, repr(login)])
    assert not any(secret in everything for secret in secrets)

    ended = shell.run("logout")
    assert ended.returncode == 0, ended.stderr
    assert not file.exists()
    with globus_sdk.NativeAppAuthClient(APP, base_url=globus.url) as client:
        for token in login.tokens.values():
            with pytest.raises(globus_sdk.AuthAPIError):
                client.oauth2_refresh_token(str(token.refresh_token))


def test_a_known_user_is_asked_once(globus: Emulator, led: Path) -> None:
    """Whether a consent is needed can then be asked before; the consents of before stay. Auth itself knows them."""
    person = Person()
    file = led / "a/b/tokens.db"
    log_in(person, token_file=file)
    credentials = log_in(person, collections=[globus.collections["first"]], token_file=file)
    log_in(person, collections=[globus.collections["plain"], globus.collections["second"]], token_file=file)
    assert len(person.asked) == 3
    ids = [globus.collections[name] for name in NAMES[:2]]
    with credentials.get_auth_client() as auth:
        consents = auth.get_consents(auth.userinfo()["sub"]).to_forest()
    assert consents.meets_scope_requirements([transfer_scope(ids), timers_scope(ids)])
    with credentials.get_timers_client() as timers:
        assert timers.list_jobs()["jobs"] == []
    said = call("whoami", "--token-file", str(file), "--json")
    services = {each["service"]: each for each in json.loads(said.out)["services"]}
    assert set(services) == {"transfer", "timers"}
    assert all(sorted(each["consents"]) == sorted(ids) and each["renews"] for each in services.values())
    assert GlobusCredentials(token_file=file).account == credentials.account


def test_a_login_that_is_not_renewed_says_when_it_ends(globus: Emulator, led: Path) -> None:
    """For who wants it to end."""
    file = led / "tokens.db"
    log_in(Person(), token_file=file, renews=False)
    said = call("whoami", "--token-file", str(file))
    assert said.out.count("until 20") == 2
    login = TokenStore(file, globus.url).login()
    assert login is not None
    assert all(token.refresh_token is None for token in login.tokens.values())


@pytest.fixture
def prefect(prefect_api: str) -> Iterator[None]:
    """Prefect's API, for this process."""
    with temporary_settings({PREFECT_API_URL: prefect_api}):
        yield


@pytest.mark.usefixtures("prefect")
def test_a_block_keeps_a_login(globus: Emulator, led: Path) -> None:
    """With the other fields of the block as they were, and its secrets hidden; for Transfer and for Timers."""
    name = f"login-{uuid.uuid4().hex}"
    before = GlobusCredentials(client_id="x", client_secret="y", max_tasks=7)  # type: ignore[arg-type] # as a form has it
    before.save(name)
    log_in(Person(), block=name, collections=[globus.collections["first"]])
    kept: Any = GlobusCredentials.load(name)
    assert (kept.client_id, kept.client_secret, kept.max_tasks) == (APP, None, 7)
    with kept.get_transfer_client() as client, kept.get_timers_client() as timers:
        assert client.operation_ls(globus.collections["first"])["DATA"]
        assert timers.list_jobs()["jobs"] == []
    assert kept.refresh_token.get_secret_value() not in f"{kept!r} {kept.model_dump_json()}"
    said = call("whoami", "--credentials", name)
    assert said.code == 0, said.err
    assert "by a refresh token, client" in said.out
    assert list(led.rglob("tokens.db")) == []


def test_what_keeps_a_user_from_logging_in_is_said(led: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In one line that says what to do; what was kept before stays."""
    assert list(led.rglob("tokens.db")) == []
    person = Person()
    with pytest.raises(GlobusAuthError, match="the login"):
        log_in(lambda *_: "no-such-code")
    with pytest.raises(InvalidInputError, match="no code was given"):
        log_in(lambda *_: " \n")
    with pytest.raises(InvalidInputError, match="is not the UUID"):
        log_in(person, collections=["nonsense"])
    with pytest.raises(InvalidInputError, match="a block keeps refresh tokens"):
        log_in(person, block="x", renews=False)
    assert person.asked == []
    with pytest.raises(GlobusNotFoundError):
        log_in(person, collections=[uuid.uuid4()])
    assert call("whoami").code == 0  # who is known to Globus stays so, without the consent
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))
    assert call("login", "--no-browser").code == 2
    monkeypatch.setenv("GLOBUS_CLIENT_SECRET", "secret")
    said = call("login")
    assert (said.code, said.out) == (2, "")
    assert "a client with a secret needs no login" in said.err
    for name in ("GLOBUS_CLIENT_ID", "GLOBUS_CLIENT_SECRET"):
        monkeypatch.delenv(name)
    assert "register one as a native app" in call("login").err
    assert call("logout").code == 0
    for command in ("logout", "whoami"):
        assert call(command).code == 2
    assert call("login", "--collection").code == 2


def test_the_python_of_the_page_runs(globus: Emulator, led: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As it stands, with a person in front of it."""
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    code = code.replace("6c54cade-bde5-45c1-bdea-f4bd71dba2cc", globus.collections["first"])
    printed: list[str] = []
    monkeypatch.setattr("builtins.input", lambda shown: copy_code(shown.split()[-2]))
    exec(code.replace("...", APP), {"print": printed.append})
    assert printed == ["anna@localhost"]
    assert list(led.rglob("tokens.db"))
