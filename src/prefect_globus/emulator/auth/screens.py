"""What a user sees of Globus Auth: the page that asks for a consent, the code to be copied, and the logout."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

from starlette.responses import RedirectResponse, Response

from prefect_globus.emulator.auth.clients import may_log_users_in
from prefect_globus.emulator.auth.errors import OAuthError
from prefect_globus.emulator.auth.grants import read_scopes
from prefect_globus.emulator.auth.identities import DEFAULT_USER, is_of_client, read_username
from prefect_globus.emulator.auth.logins import (
    CODE_SECONDS,
    Login,
    LoginError,
    LoginRefusal,
    LoginRequest,
    check_login,
    read_login,
)
from prefect_globus.emulator.auth.scopes import DATA_ACCESS, TIMER, TRANSFER_ACTION, TRANSFER_ALL, VIEW_IDENTITY_SET
from prefect_globus.emulator.pages import page

if TYPE_CHECKING:
    from collections.abc import Mapping

    from prefect_globus.emulator.auth.scopes import Scope
    from prefect_globus.emulator.site import Site

WEB_ADDRESS = re.compile(r"https?://[^\s]+")
SEE_OTHER = 303
BAD_REQUEST = 400
FORBIDDEN = 403

MEANINGS = {
    "openid": "Know who you are",
    "profile": "Know your name, user name and organization",
    "email": "Know your email address",
    VIEW_IDENTITY_SET: "Know your linked identities",
    TRANSFER_ALL: "Transfer files, and manage your collections",
    TIMER: "Create timers, and run them for you",
    TRANSFER_ACTION: "Run transfers for you",
}


class PageCall(NamedTuple):
    """A request of a browser.

    Attributes:
        site: what is served.
        origin: the address that the request came to, without a path.
        headers: by name, in small letters.
        fields: its query, or the form that was sent.
    """

    site: Site
    origin: str
    headers: Mapping[str, str]
    fields: Mapping[str, str]


def authorize(call: PageCall) -> Response:
    """Answer GET /v2/oauth2/authorize with the page that asks the user."""
    try:
        request = read_login(call.fields)
    except LoginError as error:
        return _stopped(f"{error}")
    if not may_log_users_in(call.site, request.client_id):
        return _stopped("This client is not known here. With --client, only that client may log users in.")
    return _asked(call, request)


def _stopped(text: str) -> Response:
    return page("message.html", BAD_REQUEST, heading="This login cannot go on", text=text, link=None)


def _asked(call: PageCall, request: LoginRequest) -> Response:
    try:
        check_login(request, call.fields)
        read_scopes(call.site, request.scope)
    except LoginRefusal as refusal:
        return _back(request, error=refusal.error, error_description=refusal.description)
    except OAuthError as error:
        return _back(request, error=error.error, error_description=str(error))
    return _consent_page(call, request, DEFAULT_USER)


def decide(call: PageCall) -> Response:
    """Answer POST /v2/oauth2/authorize: what the user has decided."""
    if not _is_from_here(call):
        return page(
            "message.html",
            FORBIDDEN,
            heading="This login cannot go on",
            text="This form was sent by another site.",
            link=None,
        )
    request = call.site.logins.take_page(call.fields.get("ticket", ""))
    if request is None:
        return _stopped("This page was used before, or is too old. Start the login again where you came from.")
    if call.fields.get("choice") != "allow":
        return _back(request, error="access_denied", error_description="The user has denied the request")
    typed = call.fields.get("username", "")
    username = read_username(typed)
    if username is None or is_of_client(username):
        wrong = (
            "A user name is like anna or anna@example.org, of letters, digits and . _ + -, and not that of a client."
        )
        return _consent_page(call, request, typed[:200], wrong)
    return _allowed(call, request, username)


def _allowed(call: PageCall, request: LoginRequest, username: str) -> Response:
    identity = call.site.identities.user(username)
    scopes = read_scopes(call.site, request.scope)
    call.site.consents.grant(identity.id, request.client_id, scopes, allows_refresh=request.offline)
    return _back(request, code=call.site.logins.make_code(Login(request, identity.id)))


def _consent_page(call: PageCall, request: LoginRequest, username: str, wrong: str | None = None) -> Response:
    instance = call.site.clients.find(request.client_id)
    name = request.label or (instance.name if instance else f"The client {request.client_id}")
    return page(
        "consent.html",
        BAD_REQUEST if wrong else 200,
        client=name[:200],
        message=request.message,
        scopes=[_line(call.site, scope) for scope in read_scopes(call.site, request.scope)],
        offline=request.offline,
        ticket=call.site.logins.open_page(request),
        username=username,
        wrong=wrong,
        destination=urlsplit(request.destination)._replace(query="").geturl(),
    )


def _line(site: Site, scope: Scope) -> dict[str, Any]:
    found = DATA_ACCESS.fullmatch(scope.name)
    text = (
        f"Read and write the collection {site.names[found[1]]}" if found else MEANINGS.get(scope.name, "Use a service")
    )
    return {"text": text, "name": scope.name, "depth": min(len(scope.path) - 1, 3)}


def show_code(call: PageCall) -> Response:
    """Answer GET /v2/web/auth-code: the code of a login, for a program that cannot be redirected to."""
    error = call.fields.get("error_description") or call.fields.get("error") or "This page shows the code of a login."
    return page("code.html", code=call.fields.get("code"), error=error, minutes=CODE_SECONDS // 60)


def logout(call: PageCall) -> Response:
    """Answer GET /v2/web/logout. There is no session in the browser to end."""
    link = call.fields.get("redirect_uri", "")
    is_link = WEB_ADDRESS.fullmatch(link) is not None
    return page(
        "message.html",
        heading="You are logged out",
        text="This emulator keeps no login in your browser; programs keep their tokens until they revoke them.",
        link=link if is_link else None,
        link_text=f"Continue to {call.fields.get('redirect_name') or link}",
    )


def _is_from_here(call: PageCall) -> bool:
    """Return whether a form was sent by a page of this origin, as far as the browser tells."""
    origin, site = call.headers.get("origin"), call.headers.get("sec-fetch-site")
    return origin in (None, call.origin) and site in (None, "same-origin", "none")


def _back(request: LoginRequest, **parameters: str) -> Response:
    return RedirectResponse(request.back(**parameters), SEE_OTHER, {"Cache-Control": "no-store"})
