"""The file that keeps the login of a user: who may read it, who renews it, and what is said when it will not do."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from uuid import uuid4

import globus_sdk
import pytest
from globus_sdk.token_storage import SQLiteTokenStorage, TokenStorageData
from prefect.settings import PREFECT_API_URL, temporary_settings
from pydantic import SecretStr, ValidationError

from prefect_globus.blocks import GlobusCredentials, authorizers, saved_login
from prefect_globus.blocks.token_store import TokenStore
from prefect_globus.transfers.errors import (
    LoginExpiredError,
    MissingCredentialsError,
    NotLoggedInError,
    TokenFileError,
)
from support.token_server import TIMERS, TRANSFER, TokenServer

SUPPORT = Path(__file__).parents[1] / "support"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[TokenServer]:
    """A Globus Auth whose refresh tokens are good once."""
    monkeypatch.setattr(authorizers, "_shared", {})
    with TokenServer() as server:
        server.rotates = True
        for service in ("AUTH", "TRANSFER", "TIMER"):
            monkeypatch.setenv(f"GLOBUS_SDK_SERVICE_URL_{service}", server.url)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def write_login(path: Path, server: TokenServer, *, seconds: int = -1, refresh_token: str | None = "refresh-0") -> None:
    """A login for Transfer alone, whose token expires in so many seconds."""
    path.parent.mkdir(parents=True, exist_ok=True)
    storage = SQLiteTokenStorage(path, namespace=f"{server.url.rstrip('/')} native")
    expires_at = int(time.time()) + seconds
    token = TokenStorageData(TRANSFER, None, "scope", "kept-token", refresh_token, expires_at, "Bearer")
    storage.store_token_data_by_resource_server({TRANSFER: token})
    storage.close()


def ask(credentials: GlobusCredentials) -> str:
    with credentials.get_transfer_client() as client:
        return str(client.get("/whoami")["token"])


def test_threads_and_processes_use_up_one_refresh_token(server: TokenServer, tmp_path: Path) -> None:
    """Of two processes with eight threads each, one thread renews the login, and the others find what it has got."""
    path = tmp_path / "tokens.db"
    write_login(path, server)
    server.pause = 0.2
    command = [sys.executable, str(SUPPORT / "renewing.py"), str(path), server.url]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        with ThreadPoolExecutor(9) as pool:
            theirs = pool.submit(process.communicate, "go\n", timeout=120)
            ours = set(pool.map(lambda _: TokenStore(path, server.url).access_token(TRANSFER, "").secret, range(8)))
            said = theirs.result()[0].split()
    assert (ours, said) == ({f"token-0-{TRANSFER}"}, [f"token-0-{TRANSFER}"])
    assert [login["refresh_token"] for login in server.logins] == ["refresh-0"]
    server.good.clear()  # revoked: the next who is told so renews it, with the token that came with the last
    assert ask(GlobusCredentials(token_file=path)) == f"token-1-{TRANSFER}"
    assert [login["refresh_token"] for login in server.logins] == ["refresh-0", "refresh-1"]
    kept = TokenStore(path, server.url).login()
    assert kept is not None
    assert kept.tokens[TRANSFER].refresh_token == "refresh-2"


def test_credentials_without_anything_use_the_login(server: TokenServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client with a secret in the environment comes first; a login at another Globus Auth is none."""
    with pytest.raises(MissingCredentialsError, match="prefect-globus login"):
        GlobusCredentials().get_transfer_client()
    home = Path.home() / "data/prefect-globus/login/tokens.db"
    write_login(home, server, seconds=3600)
    home.chmod(0o600)
    server.good.add("kept-token")
    assert ask(GlobusCredentials()) == "kept-token"
    accounts = {GlobusCredentials().account, GlobusCredentials(token_file=home).account}
    assert len(accounts) == 1
    with pytest.raises(MissingCredentialsError):
        GlobusCredentials(auth_url="http://127.0.0.1:9").get_transfer_client()
    monkeypatch.setenv("GLOBUS_CLIENT_ID", "client")
    monkeypatch.setenv("GLOBUS_CLIENT_SECRET", "hunter2-secret")
    server.rotates = False
    assert ask(GlobusCredentials()) == f"token-0-{TRANSFER}"


def test_each_service_has_its_own_refresh_token_in_a_block(server: TokenServer) -> None:
    """Globus Auth issues one for each."""
    server.rotates = False
    credentials = GlobusCredentials(
        client_id="native", refresh_token=SecretStr("for-transfer"), timers_refresh_token=SecretStr("for-timers")
    )
    ask(credentials)
    with credentials.get_timers_client() as timers, pytest.raises(ValueError, match="not for 524230d7"):
        timers.get("/whoami")  # this server always gives a token for Transfer
    assert [login["refresh_token"] for login in server.logins] == ["for-transfer", "for-timers"]


@pytest.mark.parametrize(
    "given",
    [
        {"token_file": "t.db", "client_id": "a", "client_secret": "b"},
        {"token_file": "t.db", "access_token": "a"},
        {"token_file": "t.db", "client_id": "a", "timers_refresh_token": "b"},
        {"timers_refresh_token": "b"},
    ],
)
def test_two_ways_to_log_in_are_refused(given: dict[str, str]) -> None:
    """When the block is made."""
    with pytest.raises(ValidationError, match=r"token file alone|access token alone|needs the client id"):
        GlobusCredentials.model_validate(given)


def test_what_is_wrong_with_the_file_is_said(server: TokenServer, tmp_path: Path) -> None:
    """No login, one for another service, one that cannot be renewed, one that others can read, and no login file."""
    path = tmp_path / "tokens.db"
    store = TokenStore(path, server.url)
    assert store.login() is None
    with pytest.raises(NotLoggedInError, match="Log in with: prefect-globus login"):
        store.access_token(TRANSFER, "")
    assert not path.exists()
    path.touch(0o600)  # whoever made it was killed at once
    assert store.login() is None
    path.unlink()
    write_login(path, server, refresh_token=None)
    with pytest.raises(NotLoggedInError, match=TIMERS):
        store.access_token(TIMERS, "")
    with pytest.raises(LoginExpiredError, match="cannot be renewed") as expired:
        store.access_token(TRANSFER, "")
    assert expired.value.needs_person
    assert "kept-token" not in f"{expired.value!r} {store.login()!r}"
    path.chmod(0o640)
    with pytest.raises(TokenFileError, match=f"chmod 600 {path}"):
        store.login()
    path.write_bytes(b"no database" * 100)
    path.chmod(0o600)
    with pytest.raises(TokenFileError, match="not a database"):
        store.login()
    path.unlink()
    path.mkdir()
    with pytest.raises(TokenFileError):
        GlobusCredentials(token_file=path).get_transfer_client().get("/whoami")


def test_a_refresh_token_that_is_refused_is_kept(server: TokenServer, tmp_path: Path) -> None:
    """Globus Auth may think better of it; nothing of it is shown."""
    path = tmp_path / "tokens.db"
    write_login(path, server, refresh_token="revoked-secret")
    with pytest.raises(globus_sdk.AuthAPIError) as caught:
        ask(GlobusCredentials(token_file=path))
    assert "revoked-secret" not in f"{caught.value} {caught.value!r}"
    assert TokenStore(path, server.url).login() is not None


def test_a_block_keeps_what_was_renewed(server: TokenServer, prefect_api: str) -> None:
    """Another process that has loaded it before finds it there; so does one that waits for a new login."""
    name = f"renewed-{uuid4().hex}"
    with temporary_settings({PREFECT_API_URL: prefect_api}):
        GlobusCredentials(client_id="native", refresh_token=SecretStr("refresh-0"), max_tasks=7).save(name)
        one, other = (GlobusCredentials.load(name) for _ in range(2))
        assert ask(one) == f"token-0-{TRANSFER}"
        saved: Any = GlobusCredentials.load(name)
        assert (saved.refresh_token.get_secret_value(), saved.max_tasks) == ("refresh-1", 7)
        authorizers._shared.clear()
        saved_login._newest.clear()  # as in another process
        assert ask(other) == f"token-1-{TRANSFER}"
        server.good.clear()
        assert ask(other) == f"token-2-{TRANSFER}"
        server.refresh_token, server.good = "of-a-new-login", set()
        with pytest.raises(globus_sdk.AuthAPIError):
            ask(other)
        GlobusCredentials(client_id="native", refresh_token=SecretStr("of-a-new-login")).save(name, overwrite=True)
        assert ask(other) == f"token-3-{TRANSFER}"
    assert "refresh-" not in repr(authorizers._shared)
