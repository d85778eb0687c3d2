"""The Auth API: who is who, what a token stands for, and what was consented to."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import globus_sdk
import pytest
import requests
from globus_sdk.scopes import AuthScopes, GCSCollectionScopes, TimersScopes, TransferScopes

from prefect_globus.emulator.injection.client import RefusedError
from prefect_globus.emulator.process import Emulator, running_emulator
from support.person import copy_code

TRANSFER, AUTH, TIMERS = "transfer.api.globus.org", "auth.globus.org", TimersScopes.resource_server
GROUPS = "urn:globus:auth:scope:groups.api.globus.org:all"
IDENTITY = [AuthScopes.openid, AuthScopes.profile, AuthScopes.email, AuthScopes.view_identity_set]
CLIENT_OF_TRANSFER = str(uuid.uuid5(uuid.NAMESPACE_URL, f"prefect-globus-emulator:client:{TRANSFER}"))
OWNER = "3f8a7d54-0a0c-4f6c-9e4e-6d0a4e0c51aa"


@pytest.fixture(scope="module")
def mapped(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Emulator, Path]]:
    """An emulator with a collection that needs the consent and a plain one, and slow tasks."""
    root = tmp_path_factory.mktemp("mapped")
    for name in ("secret", "plain"):
        (root / name).mkdir()
    folders = {name: root / name for name in ("secret", "plain")}
    with running_emulator(folders, time_scale=200.0, data_access=["secret"], rate=900_000) as emulator:
        yield emulator, root


class Client:
    """A confidential client that acts for itself."""

    def __init__(self, emulator: Emulator, client_id: str = "") -> None:
        self.emulator = emulator
        self.id = client_id or str(uuid.uuid4())
        self.login = globus_sdk.ConfidentialAppAuthClient(self.id, "secret", base_url=emulator.url)
        self.auth = self.api(self.token(*IDENTITY))

    def token(self, *scopes: Any, server: str = AUTH) -> str:
        answer = self.login.oauth2_client_credentials_tokens(list(scopes))
        return str(answer.by_resource_server[server]["access_token"])

    def api(self, token: str) -> globus_sdk.AuthClient:
        authorizer = globus_sdk.AccessTokenAuthorizer(token)
        return globus_sdk.AuthClient(base_url=self.emulator.url, authorizer=authorizer)

    def transfers(self, *scopes: Any) -> globus_sdk.TransferClient:
        authorizer = globus_sdk.AccessTokenAuthorizer(self.token(*scopes, server=TRANSFER))
        return globus_sdk.TransferClient(base_url=self.emulator.url, authorizer=authorizer)


@pytest.fixture
def client(mapped: tuple[Emulator, Path]) -> Client:
    return Client(mapped[0])


def data_access(emulator: Emulator) -> Any:
    return GCSCollectionScopes(emulator.collections["secret"]).data_access


def test_userinfo_of_a_client(client: Client) -> None:
    """A client that acts for itself is an identity, too: `globus whoami` shows it."""
    info = client.auth.userinfo()
    assert (info["sub"], info["preferred_username"]) == (client.id, f"{client.id}@clients.auth.globus.org")
    assert [one["sub"] for one in info["identity_set"]] == [client.id]
    posted = client.auth.post("/v2/oauth2/userinfo")
    assert posted.data == info.data


def test_userinfo_shows_what_the_scopes_allow(client: Client) -> None:
    """Without `profile` and `email` only the id; without `openid` nothing; without a token nothing at all."""
    assert client.api(client.token("openid")).userinfo().data == {"sub": client.id}
    for token, status, code in ((client.token("email"), 403, "FORBIDDEN"), ("wrong", 401, "UNAUTHORIZED")):
        with pytest.raises(globus_sdk.AuthAPIError) as caught:
            client.api(token).userinfo()
        assert (caught.value.http_status, caught.value.code) == (status, code)
        assert caught.value.request_id


def test_client_credentials_give_an_id_token_for_openid(client: Client) -> None:
    """As the canned answer shows it; the SDK can verify it."""
    answer = client.login.oauth2_client_credentials_tokens([TransferScopes.all, AuthScopes.openid])
    assert answer["resource_server"] == AUTH
    assert answer.decode_id_token()["sub"] == client.id


def test_identities_are_found_by_id_and_by_name(client: Client) -> None:
    """Those who were seen here; the owner of the collections is one who may log in, as well."""
    native = globus_sdk.NativeAppAuthClient(str(uuid.uuid4()), base_url=client.emulator.url)
    native.oauth2_start_flow(IDENTITY)
    tokens = native.oauth2_exchange_code_for_tokens(copy_code(native.oauth2_get_authorize_url(), "emulator"))
    assert tokens.decode_id_token()["sub"] == OWNER
    by_id = client.auth.get_identities(ids=[OWNER, client.id, uuid.uuid4()])["identities"]
    assert {one["id"] for one in by_id} == {OWNER, client.id}
    by_name = client.auth.get_identities(usernames="Emulator@localhost,nobody@localhost")["identities"]
    assert [one["id"] for one in by_name] == [OWNER]
    assert globus_sdk.IdentityMap(client.auth, [OWNER])[OWNER]["username"] == "emulator@localhost"
    one = client.auth.get(f"/v2/api/identities/{OWNER}", query_params={"include": "identity_provider"}).data
    provider = one["included"]["identity_providers"][0]
    assert provider["id"] == one["identity"]["identity_provider"]
    assert client.auth.get_identity_providers(ids=provider["id"])["identity_providers"] == [provider]
    assert client.auth.get_identity_providers(domains="localhost")["identity_providers"] == [provider]


def test_names_can_be_provisioned(client: Client) -> None:
    """With `provision`, whoever is asked for by name becomes an identity; the same as at a login later."""
    name = f"{uuid.uuid4().hex}@example.org"
    assert client.auth.get_identities(usernames=name)["identities"] == []
    made = client.auth.get_identities(usernames=name, provision=True)["identities"]
    assert [one["username"] for one in made] == [name]
    assert client.auth.get_identities(usernames=name)["identities"] == made


@pytest.mark.parametrize(
    ("path", "query", "status"),
    [
        ("/v2/api/identities", {}, 400),
        ("/v2/api/identities", {"ids": OWNER, "usernames": "x"}, 400),
        ("/v2/api/identities", {"ids": "x," * 501}, 400),
        ("/v2/api/identities", {"usernames": "x", "provision": "perhaps"}, 400),
        ("/v2/api/identities/nobody", {}, 404),
        ("/v2/api/identity_providers", {}, 400),
        (f"/v2/api/identities/{OWNER}/consents", {}, 403),
    ],
)
def test_errors_have_the_shape_of_auth(client: Client, path: str, query: dict[str, str], status: int) -> None:
    """The SDK reads code, message and id out of `errors`."""
    with pytest.raises(globus_sdk.AuthAPIError) as caught:
        client.auth.get(path, query_params=query)
    assert caught.value.http_status == status
    assert set(caught.value.raw_json["errors"][0]) == {"id", "status", "code", "title", "detail"}
    assert caught.value.message


def test_client_may_look_identities_up_by_its_secret(client: Client) -> None:
    """Basic authentication is as good as a token of Auth; a token of another service is not."""
    basic = globus_sdk.BasicAuthorizer(client.id, "secret")
    found = globus_sdk.AuthClient(base_url=client.emulator.url, authorizer=basic).get_identities(ids=client.id)
    assert [one["id"] for one in found["identities"]] == [client.id]
    with pytest.raises(globus_sdk.AuthAPIError) as caught:
        client.api(client.token(TransferScopes.all, server=TRANSFER)).get_identities(ids=client.id)
    assert caught.value.http_status == 401


def test_introspection_tells_what_a_token_stands_for(client: Client) -> None:
    """To any client that shows its secret; of a token that is unknown or revoked, only that."""
    token = client.token(TransferScopes.all, server=TRANSFER)
    told = client.login.oauth2_token_introspect(token, include="identity_set,session_info").data
    assert (told["active"], told["sub"], told["client_id"]) == (True, client.id, client.id)
    assert (told["scope"], told["aud"]) == (str(TransferScopes.all), [TRANSFER, client.id])
    assert told["exp"] - told["iat"] == 172_800
    assert (told["identity_set"], told["session_info"]["authentications"]) == ([client.id], {})
    assert client.login.post("/v2/oauth2/token/validate", data={"token": token}, encoding="form")["active"] is True
    client.login.oauth2_revoke_token(token)
    assert client.login.oauth2_token_introspect(token).data == {"active": False}
    assert client.login.post("/v2/oauth2/token/validate", data={"token": token}, encoding="form")["active"] is False
    form = {"token": token, "client_id": client.id}
    answer = requests.post(f"{client.emulator.url}/v2/oauth2/token/introspect", form, timeout=10)
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")


def test_consents_are_a_forest(client: Client) -> None:
    """The SDK builds its trees out of them: timer -> transfer -> data_access, and each request adds to them."""
    wanted = TimersScopes.timer.with_dependency(
        TransferScopes.all.with_dependency(data_access(client.emulator).with_optional(True))
    )
    client.login.oauth2_client_credentials_tokens(TransferScopes.all)
    forest = client.auth.get_consents(client.id).to_forest()
    assert not forest.meets_scope_requirements(wanted)
    client.login.oauth2_client_credentials_tokens(wanted)
    answer = client.auth.get_consents(client.id)
    forest = answer.to_forest()
    assert forest.meets_scope_requirements([wanted, TransferScopes.all, *IDENTITY])
    assert max(tree.max_depth for tree in forest.trees) == 3
    names = {one["scope_name"]: one for one in answer["consents"]}
    leaf = names[str(data_access(client.emulator))]
    assert (leaf["atomically_revocable"], leaf["client"]) == (True, CLIENT_OF_TRANSFER)
    assert {one["client"] for one in answer["consents"] if len(one["dependency_path"]) == 1} == {client.id}
    assert {one["client"] for one in answer["consents"] if len(one["dependency_path"]) == 2} == {TIMERS}


def test_consents_of_all_clients(client: Client) -> None:
    """A user sees those of the client that asks or, with `all`, of every client."""
    seen = []
    username = uuid.uuid4().hex[:20]
    for scopes in ([*IDENTITY, TransferScopes.all], IDENTITY):
        native = globus_sdk.NativeAppAuthClient(str(uuid.uuid4()), base_url=client.emulator.url)
        native.oauth2_start_flow(scopes, refresh_tokens=scopes is IDENTITY)
        tokens = native.oauth2_exchange_code_for_tokens(copy_code(native.oauth2_get_authorize_url(), username))
        api, sub = client.api(tokens.by_resource_server[AUTH]["access_token"]), tokens.decode_id_token()["sub"]
        seen.append([len(api.get_consents(sub, all=every)["consents"]) for every in (False, True)])
        assert all(one["allows_refresh"] is (scopes is IDENTITY) for one in api.get_consents(sub)["consents"])
    assert seen == [[5, 5], [4, 9]]


def wait(transfers: globus_sdk.TransferClient, task: str, field: str, test: Callable[[Any], bool]) -> None:
    deadline = time.monotonic() + 60
    while not test(seen := transfers.get_task(task)[field]):
        assert time.monotonic() < deadline, f"{field} is {seen}"
        time.sleep(0.02)


def rescind(client: Client, scope: Any) -> None:
    found = [one for one in client.auth.get_consents(client.id)["consents"] if one["scope_name"] == str(scope)]
    client.auth.delete(f"/v2/api/identities/{client.id}/consents/{found[-1]['id']}")


def test_rescinding_closes_the_collection_again(client: Client) -> None:
    """One that is optional goes alone; the client may use the rest as before."""
    transfers = client.transfers(TransferScopes.all.with_dependency(data_access(client.emulator).with_optional(True)))
    collection = client.emulator.collections["secret"]
    transfers.operation_ls(collection)
    rescind(client, data_access(client.emulator))
    with pytest.raises(globus_sdk.TransferAPIError) as caught:
        transfers.operation_ls(collection)
    assert caught.value.code == "ConsentRequired"


def test_rescinding_the_root_revokes_the_tokens(client: Client) -> None:
    """So does rescinding a dependency that is not optional, as its parent goes with it."""
    for rescinded in (TransferScopes.all, data_access(client.emulator)):
        transfers = client.transfers(TransferScopes.all.with_dependency(data_access(client.emulator)))
        transfers.operation_ls(client.emulator.collections["secret"])
        rescind(client, rescinded)
        with pytest.raises(globus_sdk.TransferAPIError) as caught:
            transfers.operation_ls(client.emulator.collections["secret"])
        assert caught.value.http_status == 401
        assert not client.auth.get_consents(client.id).to_forest().meets_scope_requirements(TransferScopes.all)


def test_all_consents_for_a_collection_can_be_rescinded_at_once(client: Client) -> None:
    """For tests: by the collection's name, whoever has given them."""
    scope = TransferScopes.all.with_dependency(data_access(client.emulator).with_optional(True))
    clients = [client.transfers(scope), Client(client.emulator).transfers(scope)]
    assert client.emulator.rescind_consents("secret") >= len(clients)
    assert client.emulator.rescind_consents(client.emulator.collections["secret"]) == 0
    for transfers in clients:
        with pytest.raises(globus_sdk.TransferAPIError) as caught:
            transfers.operation_ls(client.emulator.collections["secret"])
        assert caught.value.code == "ConsentRequired"
    with pytest.raises(RefusedError, match="No such endpoint 'nowhere'"):
        client.emulator.rescind_consents("nowhere")


def test_consent_of_another_cannot_be_rescinded(client: Client) -> None:
    """Nor one that there is not."""
    for identity, number, status in ((OWNER, "1", 403), (client.id, "999999999", 404), (client.id, "x", 404)):
        with pytest.raises(globus_sdk.AuthAPIError) as caught:
            client.auth.delete(f"/v2/api/identities/{identity}/consents/{number}")
        assert caught.value.http_status == status


def test_task_is_suspended_while_its_consent_is_rescinded(mapped: tuple[Emulator, Path], client: Client) -> None:
    """It becomes INACTIVE, and goes on by itself when the consent is given again."""
    emulator, root = mapped
    scope = TransferScopes.all.with_dependency(data_access(emulator).with_optional(True))
    transfers = client.transfers(scope)
    name = uuid.uuid4().hex
    (root / "plain" / name).write_bytes(bytes(2_000_000))
    data = globus_sdk.TransferData(emulator.collections["plain"], emulator.collections["secret"])
    data.add_item(f"/{name}", f"/{name}")
    task = transfers.submit_transfer(data)["task_id"]
    wait(transfers, task, "bytes_transferred", lambda moved: moved > 0)
    rescind(client, data_access(emulator))
    wait(transfers, task, "status", lambda status: status == "INACTIVE")
    event = next(one for one in transfers.task_event_list(task) if one["is_error"])
    assert (event["code"], str(data_access(emulator)) in event["details"]) == ("AUTH", True)
    client.login.oauth2_client_credentials_tokens(scope)
    wait(transfers, task, "status", lambda status: status == "SUCCEEDED")
    assert (root / "secret" / name).read_bytes() == bytes(2_000_000)


def test_service_gets_tokens_for_what_it_depends_on(client: Client) -> None:
    """The dependent grant: a service that was sent a token goes on in the name of its sender, as far as consented."""
    service = Client(client.emulator)
    own = f"https://auth.globus.org/scopes/{service.id}/action"
    sent = client.token(f"{own}[{TransferScopes.all}[*{data_access(client.emulator)}] {GROUPS}]", server=service.id)
    tokens = service.login.oauth2_get_dependent_tokens(sent, refresh_tokens=True).by_resource_server
    assert set(tokens) == {TRANSFER, "groups.api.globus.org"}
    authorizer = globus_sdk.RefreshTokenAuthorizer(tokens[TRANSFER]["refresh_token"], service.login)
    transfers = globus_sdk.TransferClient(base_url=client.emulator.url, authorizer=authorizer)
    assert transfers.operation_ls(client.emulator.collections["secret"])["path"] == "/~/"
    one = service.login.oauth2_get_dependent_tokens(sent, scope=GROUPS).by_resource_server
    assert list(one) == ["groups.api.globus.org"]
    for form in ({"token": sent, "scope": "openid"}, {"token": client.token("openid")}, {"token": "x"}):
        with pytest.raises(globus_sdk.AuthAPIError) as caught:
            service.login.oauth2_get_dependent_tokens(**form)
        assert caught.value.http_status == 400
    with pytest.raises(globus_sdk.AuthAPIError):
        client.login.oauth2_get_dependent_tokens(sent)


def test_expired_tokens_are_renewed_by_the_sdk(tmp_path: Path) -> None:
    """An access token lives as long as `token_lifetime` says, and is refused after; refresh tokens live on."""
    (tmp_path / "folder").mkdir()
    with running_emulator({"folder": tmp_path / "folder"}, token_lifetime=2) as emulator:
        native = globus_sdk.NativeAppAuthClient(str(uuid.uuid4()), base_url=emulator.url)
        native.oauth2_start_flow([AuthScopes.openid, TransferScopes.all], refresh_tokens=True)
        tokens = native.oauth2_exchange_code_for_tokens(copy_code(native.oauth2_get_authorize_url()))
        found = tokens.by_resource_server[TRANSFER]
        headers = {"Authorization": f"Bearer {found['access_token']}"}
        while requests.get(f"{emulator.url}/v0.10/task_list", headers=headers, timeout=10).status_code != 401:
            time.sleep(0.05)
        authorizer = globus_sdk.RefreshTokenAuthorizer(found["refresh_token"], native)
        with globus_sdk.TransferClient(base_url=emulator.url, authorizer=authorizer) as transfers:
            assert transfers.task_list()["DATA"] == []


def test_instances_of_native_clients(client: Client) -> None:
    """What `globus login` does first: a client of its own, with a secret that is asked for from then on."""
    template = str(uuid.uuid4())
    native = globus_sdk.NativeAppAuthClient(template, base_url=client.emulator.url)
    made = native.create_native_app_instance(template, "My laptop").data
    credential = made["included"]["client_credential"]
    assert (made["client"]["parent_client"], credential["client"]) == (template, made["client"]["id"])
    instance = globus_sdk.ConfidentialAppAuthClient(
        credential["client"], credential["secret"], base_url=client.emulator.url
    )
    assert instance.oauth2_client_credentials_tokens("openid")["access_token"]
    assert instance.get(f"/v2/api/clients/{instance.client_id}")["client"] == made["client"]
    for secret in ("wrong", None):
        form = {"client_id": credential["client"], "grant_type": "client_credentials", "scope": "openid"}
        form |= {"client_secret": secret} if secret else {}
        answer = requests.post(f"{client.emulator.url}/v2/oauth2/token", form, timeout=10)
        assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")
    with pytest.raises(globus_sdk.AuthAPIError) as caught:
        client.login.get(f"/v2/api/clients/{instance.client_id}")
    assert caught.value.http_status == 404
    assert instance.delete(f"/v2/api/clients/{instance.client_id}")["client"]["name"] == "My laptop"


@pytest.mark.parametrize(
    "body", ["", "[]", "{}", '{"client": 1}', '{"client": {"name": 1}}', '{"client": {"name": "x"}}', "{"]
)
def test_odd_clients_are_refused(client: Client, body: str) -> None:
    """With an error document."""
    answer = requests.post(f"{client.emulator.url}/v2/api/clients", body, timeout=10)
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (400, "BAD_REQUEST")


def test_no_secret_is_in_the_state(tmp_path: Path) -> None:
    """Tokens, codes, refresh tokens and the secrets of instances are kept as digests."""
    (tmp_path / "folder").mkdir()
    state = tmp_path / "state.sqlite"
    with running_emulator({"folder": tmp_path / "folder"}, state=state) as emulator:
        native = globus_sdk.NativeAppAuthClient(str(uuid.uuid4()), base_url=emulator.url)
        flow = native.oauth2_start_flow([AuthScopes.openid, TransferScopes.all], refresh_tokens=True)
        code = copy_code(native.oauth2_get_authorize_url())
        tokens = native.oauth2_exchange_code_for_tokens(code)
        unused = copy_code(native.oauth2_get_authorize_url())
        made = native.create_native_app_instance(str(uuid.uuid4()), "x")
    secrets = [code, unused, flow.verifier, tokens["id_token"], made["included"]["client_credential"]["secret"]]
    for one in tokens.by_resource_server.values():
        secrets += [one["access_token"], one["refresh_token"]]
    kept = b"".join(path.read_bytes() for path in tmp_path.glob("state.sqlite*"))
    assert state.read_bytes()
    assert [secret for secret in secrets if secret.encode() in kept] == []
