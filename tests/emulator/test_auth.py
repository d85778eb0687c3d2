"""Tokens: the client credentials grant, and who is let in."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import globus_sdk
import pytest
import requests

from prefect_globus.emulator.auth.scopes import ScopeError, parse_scopes, resource_server, roots

if TYPE_CHECKING:
    from tests.emulator.conftest import Lab

TRANSFER_SCOPE = "urn:globus:auth:scope:transfer.api.globus.org:all"
TIMERS = "524230d7-ea86-4a52-8312-86065a9e0417"
TIMER_SCOPE = f"https://auth.globus.org/scopes/{TIMERS}/timer"


def token(lab: Lab, auth: tuple[str, str] | None = ("id", "secret"), **form: Any) -> requests.Response:
    form = {"grant_type": "client_credentials", "scope": TRANSFER_SCOPE} | form
    return requests.post(f"{lab.emulator.url}/v2/oauth2/token", auth=auth, data=form, timeout=10)


def test_grant_has_the_shape_of_the_contract(lab: Lab) -> None:
    """One token, with everything that the SDK needs to know about it."""
    answer = token(lab).json()
    assert answer.pop("access_token")
    assert answer == {
        "scope": TRANSFER_SCOPE,
        "expires_in": 172800,
        "token_type": "Bearer",
        "resource_server": "transfer.api.globus.org",
        "other_tokens": [],
    }


def test_one_token_for_each_resource_server(lab: Lab) -> None:
    """Scopes of two services give two tokens, and dependencies are not granted by themselves."""
    dependency = "urn:globus:auth:scope:groups.api.globus.org:view_my_groups_and_memberships"
    answer = token(lab, scope=f"{TRANSFER_SCOPE}[*{dependency}] {TIMER_SCOPE}[{TRANSFER_SCOPE}[*{dependency}]]").json()
    assert answer["scope"] == TRANSFER_SCOPE
    assert [(one["resource_server"], one["scope"]) for one in answer["other_tokens"]] == [(TIMERS, TIMER_SCOPE)]


def test_credentials_may_be_in_the_body(lab: Lab) -> None:
    """A client may send its id and secret as form fields."""
    assert token(lab, auth=None, client_id="id", client_secret="secret").status_code == 200


@pytest.mark.parametrize(
    ("form", "status", "error"),
    [
        ({"grant_type": "password"}, 400, "unsupported_grant_type"),
        ({"scope": ""}, 400, "invalid_scope"),
        ({"scope": "a[b"}, 400, "invalid_scope"),
        ({"scope": "nonsense"}, 400, "invalid_scope"),
        ({"auth": None}, 401, "invalid_client"),
        ({"auth": ("id", "")}, 401, "invalid_client"),
    ],
)
def test_refused_grants_say_why(lab: Lab, form: dict[str, Any], status: int, error: str) -> None:
    """A refused grant is an OAuth error document."""
    answer = token(lab, **form)
    assert (answer.status_code, answer.json()["error"]) == (status, error)


def test_basic_header_that_is_no_base64(lab: Lab) -> None:
    """Rubbish in the header is a wrong client, not a failure of ours."""
    headers = {"Authorization": "Basic ???"}
    answer = requests.post(f"{lab.emulator.url}/v2/oauth2/token", headers=headers, data={}, timeout=10)
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")


@pytest.mark.parametrize("header", [None, "Bearer wrong", "Basic x", "Bearer", "bearer \u00e9"])
def test_no_way_in_without_a_token(lab: Lab, header: str | None) -> None:
    """Missing and unknown tokens get the same 401."""
    headers = {"Authorization": header.encode("latin-1")} if header else {}
    answer = requests.get(f"{lab.emulator.url}/v0.10/task_list", headers=headers, timeout=10)
    assert (answer.status_code, answer.json()["code"]) == (401, "AuthenticationFailed")


def test_token_of_another_service_is_refused(lab: Lab) -> None:
    """A Timers token opens no Transfer route."""
    headers = {"Authorization": f"Bearer {token(lab, scope=TIMER_SCOPE).json()['access_token']}"}
    assert requests.get(f"{lab.emulator.url}/v0.10/task_list", headers=headers, timeout=10).status_code == 401


def test_only_the_named_client_gets_a_token(make_lab: Callable[..., Lab]) -> None:
    """With --client, another id or secret is refused as the SDK expects it."""
    with pytest.raises(globus_sdk.AuthAPIError) as caught:
        make_lab(client=("me", "mine"))
    assert caught.value.http_status == 401


def test_scopes_are_read_with_what_they_depend_on() -> None:
    """Each scope knows the way to it; what stands outside of brackets is granted."""
    one, two, three = (f"urn:globus:auth:scope:{name}:all" for name in ("one", "two", "three"))
    scopes = parse_scopes(f"{one}[{two}[*{three}] {three}] openid {one}")
    assert [scope.path for scope in scopes] == [(one,), (one, two), (one, two, three), (one, three), ("openid",)]
    assert [scope.name for scope in scopes if scope.optional] == [three]
    assert roots(scopes) == [one, "openid"]
    assert resource_server("openid") == "auth.globus.org"


def test_every_scope_of_the_sdk_belongs_to_its_service() -> None:
    """So that the SDK and the CLI find the tokens that they have asked for."""
    collections = [getattr(globus_sdk.scopes, name) for name in globus_sdk.scopes.__all__]
    servers = {
        str(scope): found.resource_server
        for found in collections
        if hasattr(found, "resource_server") and not isinstance(found, type)
        for scope in map(found.__getattribute__, dir(found))
        if isinstance(scope, globus_sdk.Scope)
    }
    assert len(servers) > 20
    assert {scope: resource_server(scope) for scope in servers} == servers


@pytest.mark.parametrize(
    "text",
    [
        "openid]",
        "openid[",
        "openid]email[",
        "[openid]",
        "openid[]",
        "openid[*]",
        "open*id",
        "openid[[email]]",
        "nonsense",
        "openid" + "[email" * 50 + "]" * 50,
        "openid " * 5000,
    ],
)
def test_malformed_scopes_are_refused(text: str) -> None:
    """Brackets that do not match, stars in the wrong place, depth and length without end."""
    with pytest.raises(ScopeError):
        parse_scopes(text)
