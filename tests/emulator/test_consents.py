"""Consents: what a client may reach, and what it is told when it may not."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import globus_sdk
import pytest
from globus_sdk.gare import to_gare
from globus_sdk.scopes import GCSCollectionScopes, TimersScopes, TransferScopes

from prefect_globus.emulator.process import Emulator, running_emulator

if TYPE_CHECKING:
    from globus_sdk.globus_app import ClientApp

SECRETS = ("secret-one", "secret-two")


@pytest.fixture(scope="module")
def mapped(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    """An emulator with two collections that need the consent, and a plain one."""
    root = tmp_path_factory.mktemp("mapped")
    folders = {name: root / name for name in (*SECRETS, "plain")}
    for folder in folders.values():
        folder.mkdir()
        (folder / "file").write_text("content")
    with running_emulator(folders, time_scale=200.0, data_access=SECRETS) as emulator:
        yield emulator


@pytest.fixture
def login(mapped: Emulator) -> globus_sdk.ConfidentialAppAuthClient:
    return globus_sdk.ConfidentialAppAuthClient(str(uuid.uuid4()), "secret", base_url=mapped.url)


def scope(mapped: Emulator, *names: str) -> str:
    return str(
        TransferScopes.all.with_dependencies(
            GCSCollectionScopes(mapped.collections[name]).data_access.with_optional(True) for name in names
        )
    )


def client(mapped: Emulator, login: globus_sdk.ConfidentialAppAuthClient, *names: str) -> globus_sdk.TransferClient:
    tokens = login.oauth2_client_credentials_tokens(scope(mapped, *names)).by_resource_server
    authorizer = globus_sdk.AccessTokenAuthorizer(tokens["transfer.api.globus.org"]["access_token"])
    return globus_sdk.TransferClient(authorizer=authorizer, base_url=mapped.url)


def transfer(mapped: Emulator, source: str, destination: str) -> globus_sdk.TransferData:
    data = globus_sdk.TransferData(mapped.collections[source], mapped.collections[destination])
    data.add_item("/file", f"/{uuid.uuid4()}")
    return data


@pytest.mark.parametrize(
    "operation",
    [
        lambda client, one: client.operation_ls(one),
        lambda client, one: client.operation_stat(one, "/file"),
        lambda client, one: client.operation_mkdir(one, "/new"),
        lambda client, one: client.operation_rename(one, "/file", "/other"),
    ],
)
def test_operations_say_which_consent_is_missing(
    mapped: Emulator, login: globus_sdk.ConfidentialAppAuthClient, operation: Callable[..., Any]
) -> None:
    """403 ConsentRequired, in the shape that the SDK reads as a requirement of Globus Auth."""
    with pytest.raises(globus_sdk.TransferAPIError) as caught:
        operation(client(mapped, login), mapped.collections["secret-one"])
    error, wanted = caught.value, [scope(mapped, "secret-one")]
    assert (error.http_status, error.code) == (403, "ConsentRequired")
    assert error.info.consent_required.required_scopes == wanted
    gare = to_gare(error)
    assert gare is not None
    assert gare.authorization_parameters.required_scopes == wanted
    assert gare.authorization_parameters.session_message == "Missing required data_access consent"


def test_submission_names_every_missing_consent(mapped: Emulator, login: globus_sdk.ConfidentialAppAuthClient) -> None:
    """A transfer between two such collections needs both; what was consented to is not named again."""
    data = transfer(mapped, *SECRETS)
    for given in ((), ("secret-two",)):
        with pytest.raises(globus_sdk.TransferAPIError) as caught:
            client(mapped, login, *given).submit_transfer(data)
        missing = [scope(mapped, name) for name in SECRETS if name not in given]
        assert caught.value.info.consent_required.required_scopes == missing
    assert client(mapped, login, *SECRETS).submit_transfer(data)["code"] == "Accepted"


def test_collection_document_and_plain_collections_need_no_consent(
    mapped: Emulator, login: globus_sdk.ConfidentialAppAuthClient
) -> None:
    """Anybody may look up what a collection is."""
    plain = client(mapped, login)
    assert plain.get_endpoint(mapped.collections["secret-one"])["entity_type"] == "GCSv5_mapped_collection"
    assert len(list(plain.operation_ls(mapped.collections["plain"]))) >= 1


def test_consent_of_one_client_is_none_of_another(
    mapped: Emulator, login: globus_sdk.ConfidentialAppAuthClient
) -> None:
    """A consent belongs to the client that it was given to; an old token of it is good for it, too."""
    before = client(mapped, login)
    client(mapped, login, "secret-one")
    assert before.operation_ls(mapped.collections["secret-one"])["DATA"]
    other = globus_sdk.ConfidentialAppAuthClient(str(uuid.uuid4()), "secret", base_url=mapped.url)
    with pytest.raises(globus_sdk.TransferAPIError):
        client(mapped, other).operation_ls(mapped.collections["secret-one"])


def test_consent_under_timers_is_none_for_transfer(
    mapped: Emulator, login: globus_sdk.ConfidentialAppAuthClient
) -> None:
    """The way to a consent counts: what Timers may do through Transfer, the client may not do itself."""
    login.oauth2_client_credentials_tokens(f"{TimersScopes.timer}[{scope(mapped, 'secret-one')}]")
    with pytest.raises(globus_sdk.TransferAPIError):
        client(mapped, login).operation_ls(mapped.collections["secret-one"])


@pytest.mark.parametrize("collection", ["plain", None])
def test_data_access_of_other_collections_is_an_unknown_scope(
    mapped: Emulator, login: globus_sdk.ConfidentialAppAuthClient, collection: str | None
) -> None:
    """As the SDK warns: such a scope exists for mapped collections only."""
    identifier = mapped.collections[collection] if collection else str(uuid.uuid4())
    with pytest.raises(globus_sdk.AuthAPIError) as caught:
        login.oauth2_client_credentials_tokens(
            str(TransferScopes.all.with_dependency(GCSCollectionScopes(identifier).data_access))
        )
    assert caught.value.http_status == 400


def client_app(mapped: Emulator, **config: Any) -> ClientApp:
    login = globus_sdk.ConfidentialAppAuthClient(str(uuid.uuid4()), "secret", base_url=mapped.url)
    settings = globus_sdk.GlobusAppConfig(token_storage="memory", **config)
    return globus_sdk.ClientApp("test", login_client=login, config=settings)


def test_client_app_gets_through_by_itself(mapped: Emulator) -> None:
    """With `auto_redrive_gares` the SDK asks for what is missing and tries again."""
    with (
        client_app(mapped, auto_redrive_gares=True) as app,
        globus_sdk.TransferClient(app=app, base_url=mapped.url) as transfers,
    ):
        assert transfers.operation_ls(mapped.collections["secret-one"])["DATA"]
        assert transfers.submit_transfer(transfer(mapped, *SECRETS))["code"] == "Accepted"


def test_client_app_gets_through_with_the_scope_added(mapped: Emulator) -> None:
    """`add_app_data_access_scope` asks beforehand."""
    with client_app(mapped) as app, globus_sdk.TransferClient(app=app, base_url=mapped.url) as transfers:
        transfers.add_app_data_access_scope([mapped.collections[name] for name in SECRETS])
        assert transfers.operation_ls(mapped.collections["secret-two"])["DATA"]


def test_consents_outlive_a_kill(tmp_path: Path) -> None:
    """What was granted is in the state before it is answered."""
    (tmp_path / "folder").mkdir()
    with running_emulator({"secret": tmp_path / "folder"}, data_access=("secret",)) as emulator:
        login = globus_sdk.ConfidentialAppAuthClient(str(uuid.uuid4()), "secret", base_url=emulator.url)
        transfers = client(emulator, login, "secret")
        emulator.kill()
        emulator.start()
        assert transfers.operation_ls(emulator.collections["secret"])["DATA"] == []
