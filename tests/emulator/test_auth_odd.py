"""Odd requests to Globus Auth: whatever comes, the answer is a document or a page, and never a failure of ours."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
import requests
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

if TYPE_CHECKING:
    from pathlib import Path

    from prefect_globus.emulator.process import Emulator

FORMS = ("token", "token/introspect", "token/revoke", "token/validate", "authorize")
GRANTS = ("authorization_code", "refresh_token", "client_credentials", "urn:globus:auth:grant_type:dependent_token")
FIELDS = [
    "grant_type",
    "client_id",
    "client_secret",
    "scope",
    "code",
    "code_verifier",
    "redirect_uri",
    "refresh_token",
    "token",
    "access_type",
    "include",
    "response_type",
    "state",
    "code_challenge",
    "code_challenge_method",
    "prompt",
    "nonce",
    "ticket",
    "username",
    "choice",
    "session_message",
]
ODD = st.one_of(
    st.text(max_size=40),
    st.sampled_from(
        [*GRANTS, "x", "\0", "openid", "openid[", "a" * 300, "http://localhost:1/?a=%00", "S256", "allow", "%"]
    ),
)
ODD_FORMS = st.dictionaries(st.sampled_from(FIELDS), ODD)
BROWSER_PAGES = ("v2/oauth2/authorize", "v2/web/auth-code", "v2/web/logout")
FAST = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module")
def http(shared: tuple[Emulator, Path, Path]) -> Iterator[Any]:
    with requests.Session() as session:

        def ask(method: str, path: str, **options: Any) -> requests.Response:
            return session.request(method, f"{shared[0].url}/{path}", timeout=30, allow_redirects=False, **options)

        yield ask


@FAST
@given(path=st.sampled_from(FORMS), form=ODD_FORMS, basic=st.one_of(st.none(), st.tuples(ODD, ODD)))
def test_odd_forms(http: Any, path: str, form: dict[str, str], basic: tuple[str, str] | None) -> None:
    """A form is answered, or refused with a reason."""
    auth = None if basic is None else requests.auth.HTTPBasicAuth(*(one.encode() for one in basic))
    answer = http("POST", f"v2/oauth2/{path}", data=form, auth=auth)
    assert answer.status_code in (200, 303, 400, 401, 403)
    if path != "authorize":
        assert answer.status_code == 200 or set(answer.json()) == {"error", "error_description"}


@FAST
@given(path=st.sampled_from(BROWSER_PAGES), query=ODD_FORMS)
def test_odd_pages(http: Any, path: str, query: dict[str, str]) -> None:
    """A page is shown, or the browser sent on; what was asked is never markup."""
    answer = http("GET", path, params=query | {"error": "<script>", "session_message": "<script>"})
    assert answer.status_code in (200, 303, 400)
    assert "<script>" not in answer.text


@FAST
@given(path=st.sampled_from(FORMS), body=st.binary(max_size=100))
def test_odd_bodies(http: Any, path: str, body: bytes) -> None:
    """Not even a form."""
    answer = http("POST", f"v2/oauth2/{path}", data=body)
    assert answer.status_code in (200, 400, 401, 403)
