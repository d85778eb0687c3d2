"""Logins of users: the consent page, codes, refresh tokens, and who has logged in."""

from __future__ import annotations

import builtins
import threading
import uuid
import webbrowser
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import globus_sdk
import pytest
import requests
from globus_sdk.login_flows import LocalServerLoginFlowManager
from globus_sdk.scopes import AuthScopes, TimersScopes, TransferScopes

from prefect_globus.emulator.auth import logins
from prefect_globus.emulator.auth.logins import Login, LoginRequest, LoginStore
from prefect_globus.emulator.database import Database
from prefect_globus.emulator.process import Emulator, running_emulator
from support.person import Form, answer_login, copy_code

if TYPE_CHECKING:
    from pathlib import Path

    from globus_sdk import OAuthTokenResponse
    from globus_sdk.login_flows.local_server_login_flow_manager.local_server import RedirectHTTPServer
    from tests.emulator.conftest import Lab

TRANSFER, AUTH = "transfer.api.globus.org", "auth.globus.org"
SCOPES = [AuthScopes.openid, AuthScopes.profile, AuthScopes.email, TransferScopes.all]


@pytest.fixture
def emulator(shared: tuple[Emulator, Path, Path]) -> Emulator:
    return shared[0]


@pytest.fixture
def native(emulator: Emulator) -> Iterator[globus_sdk.NativeAppAuthClient]:
    with globus_sdk.NativeAppAuthClient(str(uuid.uuid4()), base_url=emulator.url) as client:
        yield client


@pytest.fixture
def confidential(emulator: Emulator) -> Iterator[globus_sdk.ConfidentialAppAuthClient]:
    with globus_sdk.ConfidentialAppAuthClient(str(uuid.uuid4()), "secret", base_url=emulator.url) as client:
        yield client


def log_in(
    client: globus_sdk.NativeAppAuthClient, *scopes: Any, username: str = "anna", refresh_tokens: bool = False
) -> OAuthTokenResponse:
    client.oauth2_start_flow(list(scopes or SCOPES), refresh_tokens=refresh_tokens)
    return client.oauth2_exchange_code_for_tokens(copy_code(client.oauth2_get_authorize_url(), username))


def api(emulator: Emulator, token: str) -> globus_sdk.AuthClient:
    return globus_sdk.AuthClient(base_url=emulator.url, authorizer=globus_sdk.AccessTokenAuthorizer(token))


def error_of(address: str) -> str:
    return parse_qs(urlsplit(address).query)["error"][0]


def exchange(emulator: Emulator, **form: str) -> requests.Response:
    return requests.post(f"{emulator.url}/v2/oauth2/token", form, timeout=10)


def test_native_client_gets_one_token_for_each_service(native: globus_sdk.NativeAppAuthClient) -> None:
    """The flow of the SDK, with the code copied from the page."""
    tokens = log_in(native, *SCOPES, TimersScopes.timer)
    assert set(tokens.by_resource_server) == {AUTH, TRANSFER, TimersScopes.resource_server}
    assert tokens["resource_server"] == AUTH
    assert tokens["scope"] == "openid profile email"
    assert tokens["state"] == "_default"
    assert all(one["refresh_token"] is None for one in tokens.by_resource_server.values())


def test_id_token_is_verified_by_the_sdk(native: globus_sdk.NativeAppAuthClient, emulator: Emulator) -> None:
    """Signed with RS512 by the key of the JWKS, for this client, with who has logged in."""
    claims = log_in(native, username="Bob@Example.org").decode_id_token()
    assert claims["iss"] == emulator.url
    assert claims["aud"] == native.client_id
    assert claims["exp"] > claims["iat"]
    assert claims["preferred_username"] == claims["email"] == "bob@example.org"
    assert (claims["name"], claims["organization"]) == ("bob", "Local Globus emulator")
    assert claims["at_hash"]


def test_same_name_is_the_same_identity(
    native: globus_sdk.NativeAppAuthClient, confidential: globus_sdk.ConfidentialAppAuthClient
) -> None:
    """Whichever client they use, and however they write themselves."""
    confidential.oauth2_start_flow("http://localhost:1/back", SCOPES)
    sent = answer_login(confidential.oauth2_get_authorize_url(), " ANNA@localhost ")
    code = parse_qs(urlsplit(sent).query)["code"][0]
    there = confidential.oauth2_exchange_code_for_tokens(code).decode_id_token()["sub"]
    assert log_in(native, username="anna").decode_id_token()["sub"] == there
    assert log_in(native, username="bob").decode_id_token()["sub"] != there


def test_nonce_comes_back(native: globus_sdk.NativeAppAuthClient) -> None:
    """In the id_token, as OpenID Connect wants it."""
    native.oauth2_start_flow(SCOPES)
    url = native.oauth2_get_authorize_url(query_params={"nonce": "one time"})
    assert native.oauth2_exchange_code_for_tokens(copy_code(url)).decode_id_token()["nonce"] == "one time"


def test_discovery_names_this_origin(emulator: Emulator, native: globus_sdk.NativeAppAuthClient) -> None:
    """Every address of the document is ours, and the key is one that the SDK can read."""
    document = native.get_openid_configuration().data
    assert document["issuer"] == emulator.url
    addresses = [value for name, value in document.items() if name.endswith(("_endpoint", "_uri"))]
    assert all(address.startswith(f"{emulator.url}/") for address in addresses)
    key = native.get_jwk()["keys"][0]
    assert {"kty", "n", "e", "alg", "use"} <= set(key)
    assert not {"d", "p", "q"} & set(key)


def test_user_app_logs_in_on_the_command_line(
    emulator: Emulator,
    native: globus_sdk.NativeAppAuthClient,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The real UserApp prints an address, the person comes back with a code, and Transfer is open."""

    def person(_: str) -> str:
        printed = capsys.readouterr().out
        return copy_code(next(line for line in printed.splitlines() if line.startswith("http")))

    monkeypatch.setattr(builtins, "input", person)
    config = globus_sdk.GlobusAppConfig(token_storage="memory", request_refresh_tokens=True)
    with (
        globus_sdk.UserApp("test", login_client=native, config=config) as app,
        globus_sdk.TransferClient(app=app, base_url=emulator.url) as transfers,
    ):
        assert transfers.task_list()["DATA"] == []
        assert not app.login_required()
        app.logout()
        assert app.login_required()


class ClosingManager(LocalServerLoginFlowManager):
    """The SDK leaves the socket of its server to the garbage collector."""

    @contextmanager
    def background_local_server(self) -> Iterator[RedirectHTTPServer]:
        with super().background_local_server() as server:
            yield server
        server.server_close()


def test_user_app_logs_in_through_its_local_server(
    emulator: Emulator, native: globus_sdk.NativeAppAuthClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The browser is sent back to the server that the SDK has started on this machine."""
    browsers = []

    def browser(url: str, *_: Any, **__: Any) -> bool:
        browsers.append(threading.Thread(target=lambda: requests.get(answer_login(url), timeout=30)))
        browsers[-1].start()
        return True

    class Browser:
        name = "test"
        open = staticmethod(browser)

    monkeypatch.setattr(webbrowser, "get", lambda *_: Browser())
    monkeypatch.delenv("SSH_TTY", raising=False)
    monkeypatch.delenv("SSH_CONNECTION", raising=False)
    manager = ClosingManager(native)
    config = globus_sdk.GlobusAppConfig(token_storage="memory", login_flow_manager=manager)
    with (
        globus_sdk.UserApp("test", login_client=native, config=config) as app,
        globus_sdk.TransferClient(app=app, base_url=emulator.url) as transfers,
    ):
        assert transfers.task_list()["DATA"] == []
    for one in browsers:
        one.join(30)
    assert len(browsers) == 1


def test_refresh_token_gives_new_access_tokens(emulator: Emulator, native: globus_sdk.NativeAppAuthClient) -> None:
    """One for its service, as the SDK's authorizer wants it; the refresh token stays."""
    token = log_in(native, refresh_tokens=True).by_resource_server[TRANSFER]
    renewed = native.oauth2_refresh_token(token["refresh_token"]).by_resource_server
    assert list(renewed) == [TRANSFER]
    assert renewed[TRANSFER]["access_token"] != token["access_token"]
    assert renewed[TRANSFER]["refresh_token"] == token["refresh_token"]
    authorizer = globus_sdk.RefreshTokenAuthorizer(token["refresh_token"], native)
    with globus_sdk.TransferClient(authorizer=authorizer, base_url=emulator.url) as transfers:
        assert transfers.task_list()["DATA"] == []


def test_refresh_gives_no_more_than_was_granted(emulator: Emulator, native: globus_sdk.NativeAppAuthClient) -> None:
    """Fewer scopes may be asked for, others not; nor by another client, nor with an access token."""
    tokens = log_in(native, refresh_tokens=True).by_resource_server[AUTH]
    form = {
        "grant_type": "refresh_token",
        "refresh_token": tokens["refresh_token"],
        "client_id": native.client_id or "",
    }
    assert exchange(emulator, **form, scope="openid").json()["scope"] == "openid"
    assert exchange(emulator, **form, scope="openid urn:x").json()["error"] == "invalid_scope"
    assert exchange(emulator, **form | {"client_id": "other"}).json()["error"] == "invalid_grant"
    assert exchange(emulator, **form | {"refresh_token": tokens["access_token"]}).json()["error"] == "invalid_grant"


def test_revoked_tokens_are_of_no_use(emulator: Emulator, native: globus_sdk.NativeAppAuthClient) -> None:
    """401 on the next use. Who revokes a refresh token revokes what came from it."""
    tokens = log_in(native, refresh_tokens=True)
    one, other = tokens.by_resource_server[AUTH], tokens.by_resource_server[TRANSFER]
    assert api(emulator, one["access_token"]).userinfo()["preferred_username"] == "anna@localhost"
    for revoked in (one["access_token"], other["refresh_token"]):
        assert native.oauth2_revoke_token(revoked)["active"] is False
    with pytest.raises(globus_sdk.AuthAPIError) as caught:
        api(emulator, one["access_token"]).userinfo()
    assert (caught.value.http_status, caught.value.code) == (401, "UNAUTHORIZED")
    headers = {"Authorization": f"Bearer {other['access_token']}"}
    assert requests.get(f"{emulator.url}/v0.10/task_list", headers=headers, timeout=10).status_code == 401
    with pytest.raises(globus_sdk.AuthAPIError) as refused:
        native.oauth2_refresh_token(other["refresh_token"])
    assert refused.value.http_status == 400
    assert native.oauth2_refresh_token(one["refresh_token"])["access_token"]


def test_code_is_good_once(emulator: Emulator, native: globus_sdk.NativeAppAuthClient) -> None:
    """Who comes second gets nothing, and takes away what the first has got (RFC 6749, section 4.1.2)."""
    native.oauth2_start_flow(SCOPES)
    code = copy_code(native.oauth2_get_authorize_url())
    tokens = native.oauth2_exchange_code_for_tokens(code).by_resource_server
    with pytest.raises(globus_sdk.AuthAPIError) as caught:
        native.oauth2_exchange_code_for_tokens(code)
    assert caught.value.raw_json == {
        "error": "invalid_grant",
        "error_description": "The code is unknown, has expired, or was used before",
    }
    with pytest.raises(globus_sdk.AuthAPIError):
        api(emulator, tokens[AUTH]["access_token"]).userinfo()


@pytest.mark.parametrize(
    "wrong",
    [
        {"client_id": "other"},
        {"code_verifier": "x" * 43},
        {"code_verifier": ""},
        {"redirect_uri": "http://localhost:2"},
    ],
)
def test_code_is_bound_to_its_login(
    emulator: Emulator, native: globus_sdk.NativeAppAuthClient, wrong: dict[str, str]
) -> None:
    """To the client, its PKCE challenge, and the address that it was sent to; a wrong guess uses it up."""
    flow = native.oauth2_start_flow(SCOPES)
    right = {
        "grant_type": "authorization_code",
        "client_id": native.client_id or "",
        "code": copy_code(native.oauth2_get_authorize_url()),
        "code_verifier": flow.verifier,
        "redirect_uri": str(flow.redirect_uri),
    }
    refused = exchange(emulator, **right | wrong)
    assert (refused.status_code, refused.json()["error"]) == (400, "invalid_grant")
    assert exchange(emulator, **right).json()["error"] == "invalid_grant"


def test_code_without_a_challenge_needs_a_secret(
    emulator: Emulator, confidential: globus_sdk.ConfidentialAppAuthClient
) -> None:
    """Whoever catches the code of a confidential client cannot use it."""
    confidential.oauth2_start_flow("http://127.0.0.1:1/back?kept=1", SCOPES)
    sent = answer_login(confidential.oauth2_get_authorize_url())
    query = parse_qs(urlsplit(sent).query)
    assert (query["kept"], query["state"]) == (["1"], ["_default"])
    refused = exchange(
        emulator,
        grant_type="authorization_code",
        client_id=confidential.client_id or "",
        code=query["code"][0],
        redirect_uri="http://127.0.0.1:1/back?kept=1",
    )
    assert (refused.status_code, refused.json()["error"]) == (401, "invalid_client")


def test_denied_login_is_told_to_the_client(native: globus_sdk.NativeAppAuthClient) -> None:
    """error=access_denied, with the state, and no code."""
    native.oauth2_start_flow(SCOPES, redirect_uri="http://[::1]:1/", state="mine")
    sent = answer_login(native.oauth2_get_authorize_url(), choice="deny")
    query = parse_qs(urlsplit(sent).query)
    assert (query["error"], query["state"], "code" in query) == (["access_denied"], ["mine"], False)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"scope": "nonsense"}, "invalid_scope"),
        ({"scope": ""}, "invalid_scope"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"code_challenge": "short"}, "invalid_request"),
        ({"prompt": "none"}, "login_required"),
    ],
)
def test_wrong_login_is_told_to_the_client(
    native: globus_sdk.NativeAppAuthClient, change: dict[str, str], error: str
) -> None:
    """By a redirect, before anybody is asked."""
    native.oauth2_start_flow(SCOPES, redirect_uri="http://localhost:1/")
    assert error_of(answer_login(native.oauth2_get_authorize_url(query_params=change))) == error


@pytest.mark.parametrize(
    "redirect_uri",
    [
        "https://evil.example/",
        "http://localhost.evil.example/",
        "http://localhost@evil.example/",
        "http://localhost:x/",
        "javascript:alert(1)",
        "//localhost/",
        "http://localhost:1/#x",
        "http://localhost\\@evil.example/",
        "http://[::1/",
        "",
    ],
)
def test_users_are_sent_nowhere_else(native: globus_sdk.NativeAppAuthClient, redirect_uri: str) -> None:
    """A code leaves for an address of this machine only; for any other the user is told, and stays."""
    native.oauth2_start_flow(SCOPES)
    answer = requests.get(
        native.oauth2_get_authorize_url(query_params={"redirect_uri": redirect_uri}), timeout=10, allow_redirects=False
    )
    assert answer.status_code == 400
    assert "redirect_uri must be" in answer.text


def test_page_says_who_asks_for_what(native: globus_sdk.NativeAppAuthClient) -> None:
    """What a stranger puts into it is text, and no browser may load, run or frame anything."""
    native.oauth2_start_flow(SCOPES, prefill_named_grant="<b>My app</b>", refresh_tokens=True)
    url = native.oauth2_get_authorize_url(
        prompt="login", session_message="<script>alert(1)</script>", session_required_mfa=True
    )
    page = requests.get(url, timeout=10)
    texts = " ".join(Form(page.text).texts)
    for said in (
        "<b>My app</b>",
        "<script>alert(1)</script>",
        "Transfer files",
        str(TransferScopes.all),
        "Know who you are",
    ):
        assert said in texts
    assert "<script" not in page.text
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert "frame-ancestors 'none'" in page.headers["content-security-policy"]
    assert page.headers["cache-control"] == "no-store"


def test_other_sites_cannot_press_the_button(emulator: Emulator, native: globus_sdk.NativeAppAuthClient) -> None:
    """A post from elsewhere is refused, as is one without the ticket of a page, and one with a ticket used before."""
    native.oauth2_start_flow(SCOPES)
    address = f"{emulator.url}/v2/oauth2/authorize"
    form = Form(requests.get(native.oauth2_get_authorize_url(), timeout=10).text).fields | {"choice": "allow"}
    for headers in ({"Origin": "https://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}):
        assert requests.post(address, form, headers=headers, timeout=10, allow_redirects=False).status_code == 403
    guess = form | {"ticket": "guessed"}
    assert requests.post(address, guess, timeout=10, allow_redirects=False).status_code == 400
    assert requests.post(address, form, timeout=10, allow_redirects=False).status_code == 303
    assert requests.post(address, form, timeout=10, allow_redirects=False).status_code == 400


def test_wrong_name_is_asked_for_again(emulator: Emulator, native: globus_sdk.NativeAppAuthClient) -> None:
    """The page comes back with what was typed, and says what a name is like."""
    native.oauth2_start_flow(SCOPES)
    form = Form(requests.get(native.oauth2_get_authorize_url(), timeout=10).text)
    data = form.fields | {"choice": "allow", "username": '"><i>no name'}
    again = requests.post(emulator.url + form.action, data, timeout=10)
    assert again.status_code == 400
    assert Form(again.text).fields["username"] == '"><i>no name'
    data = Form(again.text).fields | {"choice": "allow", "username": "anna"}
    assert requests.post(emulator.url + form.action, data, timeout=10, allow_redirects=False).status_code == 303


def test_logout_page_leads_on(emulator: Emulator) -> None:
    """To an address of the web, and to no script."""
    page = f"{emulator.url}/v2/web/logout"
    on = requests.get(page, {"redirect_uri": "http://localhost:1/", "redirect_name": "My app"}, timeout=10).text
    assert 'href="http://localhost:1/"' in on
    assert "Continue to My app" in on
    for odd in ("javascript:alert(1)", "http:", ""):
        answer = requests.get(page, {"redirect_uri": odd}, timeout=10)
        assert (answer.status_code, "href" in answer.text) == (200, False)


def test_tasks_belong_to_the_user(emulator: Emulator, lab: Lab) -> None:
    """Two clients of one user see the same tasks, and another user does not."""
    lab.put("file")
    seen = {}
    for username in ("carl", "carl", "dora"):
        native = globus_sdk.NativeAppAuthClient(str(uuid.uuid4()), base_url=emulator.url)
        token = log_in(native, username=username).by_resource_server[TRANSFER]["access_token"]
        client = globus_sdk.TransferClient(base_url=emulator.url, authorizer=globus_sdk.AccessTokenAuthorizer(token))
        if not seen:
            client.task_wait(client.submit_transfer(lab.data("file"))["task_id"], polling_interval=1, timeout=30)
        seen[username] = client.task_list()["total"]
    assert seen == {"carl": 1, "dora": 0}


@pytest.fixture
def private(tmp_path: Path) -> Iterator[Emulator]:
    """An emulator for one client only."""
    (tmp_path / "folder").mkdir()
    with running_emulator({"folder": tmp_path / "folder"}, client=("me", "mine")) as emulator:
        yield emulator


def test_native_clients_are_refused_where_there_is_one_client(private: Emulator) -> None:
    """With --client, users log in to that client, with its secret, and to no other."""
    stranger = globus_sdk.NativeAppAuthClient(str(uuid.uuid4()), base_url=private.url)
    stranger.oauth2_start_flow(SCOPES)
    page = requests.get(stranger.oauth2_get_authorize_url(), timeout=10)
    assert (page.status_code, "With --client" in page.text) == (400, True)
    native = globus_sdk.NativeAppAuthClient("me", base_url=private.url)
    native.oauth2_start_flow(SCOPES)
    code = copy_code(native.oauth2_get_authorize_url())
    with pytest.raises(globus_sdk.AuthAPIError) as caught:
        native.oauth2_exchange_code_for_tokens(code)
    assert caught.value.http_status == 401
    owner = globus_sdk.ConfidentialAppAuthClient("me", "mine", base_url=private.url)
    owner.oauth2_start_flow("http://localhost:1/", SCOPES)
    sent = answer_login(owner.oauth2_get_authorize_url())
    assert owner.oauth2_exchange_code_for_tokens(parse_qs(urlsplit(sent).query)["code"][0])["access_token"]
    with pytest.raises(globus_sdk.AuthAPIError) as refused:
        native.create_native_app_instance(str(uuid.uuid4()), "instance")
    assert refused.value.http_status == 403


def test_logins_outlive_a_kill(make_lab: Callable[..., Lab]) -> None:
    """Page, code and key are in the state: whatever was begun goes on."""
    lab = make_lab()
    native = globus_sdk.NativeAppAuthClient(str(uuid.uuid4()), base_url=lab.emulator.url)
    native.oauth2_start_flow(SCOPES, refresh_tokens=True)
    form = Form(requests.get(native.oauth2_get_authorize_url(), timeout=10).text)
    keys = native.get_jwk()
    lab.emulator.kill()
    lab.emulator.start()
    answer = form.fields | {"choice": "allow"}
    sent = requests.post(lab.emulator.url + form.action, answer, timeout=10, allow_redirects=False)
    lab.emulator.kill()
    lab.emulator.start()
    tokens = native.oauth2_exchange_code_for_tokens(parse_qs(urlsplit(sent.headers["location"]).query)["code"][0])
    assert tokens.decode_id_token(native.get_openid_configuration(), native.get_jwk(as_pem=True))
    assert native.get_jwk() == keys


def test_a_code_that_is_too_old_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However right it is, and it is used up."""
    request = LoginRequest("client", "http://localhost/", "openid", None, "challenge", False, None, None, None)
    with closing(Database(tmp_path / "state")) as database:
        store = LoginStore(database)
        assert store.take_code(store.make_code(Login(request, "me"))) == Login(request, "me")
        monkeypatch.setattr(logins, "CODE_SECONDS", -0.001)
        assert store.take_code(store.make_code(Login(request, "me"))) is None


def test_nobody_logs_in_as_a_client(confidential: globus_sdk.ConfidentialAppAuthClient) -> None:
    """Whose name is taken already: the page asks again."""
    confidential.oauth2_start_flow("http://localhost:1/back", SCOPES)
    with pytest.raises(AssertionError, match="not that of a client"):
        answer_login(confidential.oauth2_get_authorize_url(), f"{uuid.uuid4()}@clients.auth.globus.org")
