"""The login to Globus, against a real HTTP server that gives out tokens, and against the emulator."""

from __future__ import annotations

import logging
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import globus_sdk
import pytest
from pydantic import SecretStr, ValidationError

from prefect_globus.blocks import GlobusCredentials, authorizers
from prefect_globus.transfers.errors import InvalidInputError, MissingCredentialsError
from support.token_server import SECRET, TIMERS, TRANSFER, TokenServer


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[TokenServer]:
    """The services, where globus-sdk finds them."""
    monkeypatch.setattr(authorizers, "_shared", {})
    with TokenServer() as server:
        for service in ("AUTH", "TRANSFER", "TIMER"):
            monkeypatch.setenv(f"GLOBUS_SDK_SERVICE_URL_{service}", server.url)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def confidential(**urls: str) -> GlobusCredentials:
    return GlobusCredentials(client_id="client", client_secret=SecretStr(SECRET), **urls)


def ask(credentials: GlobusCredentials) -> str:
    """The token that a request to Transfer arrives with."""
    with credentials.get_transfer_client() as client:
        return str(client.get("/whoami")["token"])


# --- ways to log in


def test_a_client_id_and_secret_log_in_once(server: TokenServer) -> None:
    assert ask(confidential()) == ask(confidential()) == f"token-0-{TRANSFER}"
    assert len(server.logins) == 1
    assert server.logins[0]["grant_type"] == "client_credentials"
    assert server.logins[0]["scope"] == "urn:globus:auth:scope:transfer.api.globus.org:all"


def test_timers_have_a_token_of_their_own(server: TokenServer) -> None:
    ask(confidential())
    with confidential().get_timers_client() as client:
        assert client.get("/whoami")["token"] == f"token-1-{TIMERS}"
    assert len(server.logins) == 2


def test_an_access_token_is_sent_as_it_is(server: TokenServer) -> None:
    server.good.add("mine")
    assert ask(GlobusCredentials(access_token=SecretStr("mine"))) == "mine"
    assert server.logins == []
    with pytest.raises(globus_sdk.TransferAPIError) as caught:
        ask(GlobusCredentials(access_token=SecretStr("expired")))
    assert caught.value.http_status == 401


@pytest.mark.parametrize("secret", [None, SecretStr(SECRET)])
def test_a_refresh_token_is_renewed(server: TokenServer, secret: SecretStr | None) -> None:
    client_id = "client" if secret else "native"
    credentials = GlobusCredentials(client_id=client_id, client_secret=secret, refresh_token=SecretStr("again"))
    assert ask(credentials) == f"token-0-{TRANSFER}"
    assert server.logins[0]["grant_type"] == "refresh_token"
    assert server.logins[0]["refresh_token"] == "again"


def test_a_refresh_token_of_another_service_is_explained(server: TokenServer) -> None:
    credentials = GlobusCredentials(client_id="native", refresh_token=SecretStr("again"))
    with credentials.get_timers_client() as client, pytest.raises(InvalidInputError, match="not for 524230d7"):
        client.get("/whoami")
    assert len(server.logins) == 1


def test_the_environment_is_used_when_nothing_is_given(server: TokenServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GLOBUS_CLIENT_ID", "client")
    monkeypatch.setenv("GLOBUS_CLIENT_SECRET", f"{SECRET}\n")
    assert ask(GlobusCredentials()) == ask(GlobusCredentials.from_environment()) == f"token-0-{TRANSFER}"
    assert len(server.logins) == 1


@pytest.mark.parametrize("present", [{}, {"GLOBUS_CLIENT_ID": "a"}, {"GLOBUS_CLIENT_SECRET": "b"}])
def test_nothing_at_all_says_what_to_do(present: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in present.items():
        monkeypatch.setenv(name, value)
    for call in (
        GlobusCredentials().get_transfer_client,
        GlobusCredentials().get_timers_client,
        GlobusCredentials.from_environment,
    ):
        with pytest.raises(MissingCredentialsError, match="Set GLOBUS_CLIENT_ID and GLOBUS_CLIENT_SECRET"):
            call()


@pytest.mark.parametrize(("client", "secret", "named"), [("i d", "s", "CLIENT_ID"), ("id", "s s", "CLIENT_SECRET")])
def test_a_variable_that_is_no_credential_is_named_and_not_shown(
    client: str, secret: str, named: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GLOBUS_CLIENT_ID", client)
    monkeypatch.setenv("GLOBUS_CLIENT_SECRET", secret)
    with pytest.raises(InvalidInputError, match=f"^GLOBUS_{named} cannot be used: it has spaces") as raised:
        GlobusCredentials.from_environment()
    assert client not in str(raised.value)
    assert secret not in str(raised.value).split()


@pytest.mark.parametrize(
    ("given", "hint"),
    [
        ({"client_id": "a"}, "needs its client secret"),
        ({"client_secret": SECRET}, "needs its client id"),
        ({"refresh_token": SECRET}, "needs the client id"),
        ({"access_token": SECRET, "client_id": "a"}, "alone"),
        ({"access_token": SECRET, "refresh_token": SECRET}, "alone"),
        ({"access_token": SECRET, "client_secret": SECRET, "client_id": "a"}, "alone"),
        ({"access_token": f"{SECRET}\n"}, "line breaks"),
        ({"client_id": "a", "client_secret": f"{SECRET} b"}, "spaces"),
    ],
)
def test_half_or_contradictory_logins_are_refused(given: dict[str, str], hint: str) -> None:
    with pytest.raises(ValidationError, match=hint) as caught:
        GlobusCredentials.model_validate(given)
    assert SECRET not in f"{caught.value} {caught.value!r}"


def test_an_empty_field_of_a_form_is_none() -> None:
    given = {"client_id": "", "client_secret": "", "refresh_token": "", "access_token": "mine"}
    credentials = GlobusCredentials.model_validate(given)
    assert (credentials.client_id, credentials.client_secret, credentials.refresh_token) == (None, None, None)


# --- addresses


def test_addresses_default_to_those_of_globus_sdk(server: TokenServer, monkeypatch: pytest.MonkeyPatch) -> None:
    with confidential().get_transfer_client() as transfer, confidential().get_timers_client() as timers:
        assert (transfer.base_url, timers.base_url) == (server.url, server.url)
    for service in ("AUTH", "TRANSFER", "TIMER"):
        monkeypatch.delenv(f"GLOBUS_SDK_SERVICE_URL_{service}")
    with confidential().get_transfer_client() as transfer, confidential().get_timers_client() as timers:
        assert transfer.base_url == "https://transfer.api.globus.org/"
        assert timers.base_url == "https://timer.automate.globus.org/"


def test_addresses_that_are_given_come_first(server: TokenServer, monkeypatch: pytest.MonkeyPatch) -> None:
    for service in ("AUTH", "TRANSFER", "TIMER"):
        monkeypatch.setenv(f"GLOBUS_SDK_SERVICE_URL_{service}", "http://127.0.0.1:9/")
    credentials = confidential(auth_url=server.url, transfer_url=server.url, timers_url=f"{server.url}timers/")
    assert ask(credentials) == f"token-0-{TRANSFER}"
    with credentials.get_timers_client() as timers:
        assert timers.base_url == f"{server.url}timers/"


# --- threads


def test_each_client_is_new_and_has_its_own_session(server: TokenServer) -> None:
    with confidential().get_transfer_client() as one, confidential().get_transfer_client() as other:
        assert one.base_url == server.url
        assert one.transport.session is not other.transport.session
        assert one.authorizer is other.authorizer


def test_ten_threads_that_start_at_once_log_in_once(server: TokenServer) -> None:
    server.pause = 0.1
    with ThreadPoolExecutor(10) as pool:
        tokens = set(pool.map(lambda _: ask(confidential()), range(10)))
    assert len(tokens) == len(server.logins) == 1


def test_ten_threads_that_meet_an_expired_token_renew_it_once(server: TokenServer) -> None:
    server.lifetime = 30  # less than the minute by which tokens are renewed early
    ask(confidential())
    server.lifetime, server.pause = 3600, 0.1
    with ThreadPoolExecutor(10) as pool:
        tokens = set(pool.map(lambda _: ask(confidential()), range(10)))
    assert tokens == {f"token-1-{TRANSFER}"}
    assert len(server.logins) == 2


def test_ten_threads_that_meet_a_revoked_token_renew_it_once(server: TokenServer) -> None:
    barrier = threading.Barrier(10)

    def work(_: int) -> str:
        with confidential().get_transfer_client() as client:
            client.get("/whoami")
            barrier.wait()
            server.good.discard(f"token-0-{TRANSFER}")
            barrier.wait()
            return str(client.get("/whoami")["token"])

    with ThreadPoolExecutor(10) as pool:
        tokens = set(pool.map(work, range(10)))
    assert tokens == {f"token-1-{TRANSFER}"}
    assert len(server.logins) == 2


# --- what goes wrong


def test_a_wrong_secret_comes_out_of_the_first_request(server: TokenServer) -> None:
    credentials = GlobusCredentials(client_id="client", client_secret=SecretStr("wrong-secret"))
    with credentials.get_transfer_client() as client, pytest.raises(globus_sdk.AuthAPIError) as caught:
        client.get("/whoami")
    assert caught.value.http_status == 401
    assert "wrong-secret" not in f"{caught.value} {caught.value!r}"
    assert server.logins == []


def test_an_unreachable_auth_comes_out_of_the_first_request(server: TokenServer) -> None:
    credentials = confidential(auth_url="http://127.0.0.1:9/", transfer_url=server.url)
    with credentials.get_transfer_client() as client, pytest.raises(globus_sdk.GlobusConnectionError):
        client.get("/whoami")


def test_secrets_never_show(server: TokenServer, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    ask(confidential())
    credentials = GlobusCredentials(client_id="native", refresh_token=SecretStr("refresh-secret"))
    ask(credentials)
    token = GlobusCredentials(access_token=SecretStr("access-secret"))
    shown = " ".join(
        f"{one} {one!r} {one.model_dump()} {one.model_dump_json()}" for one in (confidential(), credentials, token)
    )
    shown += caplog.text + repr(authorizers._shared)
    for secret in (SECRET, "refresh-secret", "access-secret", *server.good):
        assert secret not in shown
    assert set(GlobusCredentials.model_json_schema()["secret_fields"]) == {
        "client_secret",
        "access_token",
        "refresh_token",
        "timers_refresh_token",
    }


def test_the_emulator_lets_its_client_in_and_nobody_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(authorizers, "_shared", {})
    (tmp_path / "data").mkdir()
    (tmp_path / "data/file").write_text("x")
    collection = "11111111-1111-1111-1111-111111111111"
    arguments = ["--port", "0", "--client", f"client:{SECRET}", "--collection", f"a@{collection}={tmp_path}/data"]
    command = [sys.executable, "-m", "prefect_globus.emulator", "serve", *arguments, "--until-stdin-closes"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        found = re.search(r"http://\S+", process.stdout.readline())
        assert found is not None
        for service in ("AUTH", "TRANSFER", "TIMER"):
            monkeypatch.setenv(f"GLOBUS_SDK_SERVICE_URL_{service}", found[0])
        with confidential().get_transfer_client() as client:
            assert [entry["name"] for entry in client.operation_ls(collection, path="/")] == ["file"]
        wrong = GlobusCredentials(client_id="client", client_secret=SecretStr("wrong"))
        with wrong.get_transfer_client() as client, pytest.raises(globus_sdk.AuthAPIError):
            client.operation_ls(collection, path="/")
        process.communicate()


def test_an_account_is_the_same_for_the_same_login_and_shows_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    """However it is configured; another login, or another service, is another account."""
    monkeypatch.setenv("GLOBUS_CLIENT_ID", "some-client")
    monkeypatch.setenv("GLOBUS_CLIENT_SECRET", SECRET)
    here = {"transfer_url": "http://localhost:1"}
    accounts = [
        GlobusCredentials(client_id="some-client", client_secret=SecretStr(SECRET), **here).account,
        GlobusCredentials(client_id="some-client", client_secret=SecretStr("renewed"), **here).account,
        GlobusCredentials(**here).account,
        GlobusCredentials(transfer_url="http://LOCALHOST:1/").account,
    ]
    others = [
        GlobusCredentials().account,
        GlobusCredentials(access_token=SecretStr(SECRET), **here).account,
        GlobusCredentials(client_id="native", refresh_token=SecretStr(SECRET + "1"), **here).account,
        GlobusCredentials(client_id="native", refresh_token=SecretStr(SECRET + "2"), **here).account,
    ]
    assert len(set(accounts)) == 1
    assert len({*accounts, *others}) == 1 + len(others)
    assert all(re.fullmatch(r"[0-9a-f]{12}", account) for account in [*accounts, *others])
    monkeypatch.delenv("GLOBUS_CLIENT_ID")
    with pytest.raises(MissingCredentialsError):
        _ = GlobusCredentials(**here).account


@pytest.mark.parametrize(
    ("transfer_url", "given", "pace"),
    [
        (None, None, 20),
        ("https://transfer.api.globus.org/", None, 20),
        ("https://transfer.api.globus.org/", 5, 5),
        ("http://127.0.0.1:8911", None, None),
        ("https://globus.org.example.com", None, None),
        ("http://127.0.0.1:8911", 5, 5),
    ],
)
def test_the_pace_is_that_of_globus_where_globus_serves(
    transfer_url: str | None, given: int | None, pace: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is no service of Globus' is asked as fast as it answers, unless it is said otherwise."""
    monkeypatch.delenv("GLOBUS_SDK_SERVICE_URL_TRANSFER", raising=False)
    assert GlobusCredentials(transfer_url=transfer_url, requests_per_second=given).pace == pace


@pytest.mark.parametrize("limits", [{"max_tasks": 0}, {"max_tasks": 101}, {"requests_per_second": 0}])
def test_limits_that_would_stop_everything_are_refused(limits: dict[str, int]) -> None:
    """When the block is made."""
    with pytest.raises(ValidationError):
        GlobusCredentials(**limits)  # type: ignore[arg-type]
