"""Logins of users: a page that waits for a person, and a code that waits for its client (contract section 8)."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
import secrets
import time
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import parse_qsl, urlencode, urlsplit

from prefect_globus.emulator.auth.tokens import digest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from prefect_globus.emulator.database import Database

PAGE_SECONDS = 3600
CODE_SECONDS = 600
LONGEST_VALUE = 20_000  # characters of one parameter
CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}")  # 32 bytes in base64url (RFC 7636, section 4.2)
# globus-sdk puts it together like this if the URL of the service ends without a slash
CODE_PAGE = re.compile(r"(http://[^/@]+:[0-9]+)(v2/web/auth-code)")
LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")


class LoginError(Exception):
    """The login cannot be brought to its end, and the client must not be told: a person reads the message."""


class LoginRefusal(Exception):  # noqa: N818 -- it is an answer
    """The login is refused, and the client is told by a redirect (RFC 6749, section 4.1.2.1)."""

    def __init__(self, error: str, description: str) -> None:
        super().__init__(description)
        self.error = error
        self.description = description


class LoginRequest(NamedTuple):
    """What a client wants of a user.

    Attributes:
        client_id: the client.
        redirect_uri: where the user is sent afterwards, an address of this machine.
        scope: the scopes that are asked for.
        state: what the client wants to hear again, or None.
        challenge: the PKCE challenge (S256), or None if the client will show its secret.
        offline: whether refresh tokens are wanted.
        nonce: what the id_token shall repeat, or None.
        label: how the client calls itself, or None.
        message: why the service asks for this login, or None.
    """

    client_id: str
    redirect_uri: str
    scope: str
    state: str | None
    challenge: str | None
    offline: bool
    nonce: str | None
    label: str | None
    message: str | None

    @property
    def destination(self) -> str:
        """Where `redirect_uri` means to go."""
        return CODE_PAGE.sub(r"\1/\2", self.redirect_uri)

    def back(self, **parameters: str) -> str:
        """Return the address that takes the user back to the client, with its state."""
        parts = urlsplit(self.destination)
        query = [*parse_qsl(parts.query, keep_blank_values=True), *parameters.items()]
        if self.state is not None:
            query.append(("state", self.state))
        return parts._replace(query=urlencode(query)).geturl()


class Login(NamedTuple):
    """A user who has allowed what a client wants."""

    request: LoginRequest
    identity: str


def read_login(query: Mapping[str, str]) -> LoginRequest:
    """Return what a client asks for at the login page.

    The parameters of sessions (`prompt=login`, `session_required_...`) are accepted: whoever gets to the page
    authenticates there.

    Raises:
        LoginError: if it is not clear where to send the user afterwards, or that is not on this machine.
    """
    for name, value in query.items():
        if len(value) > LONGEST_VALUE:
            raise LoginError(f"{name} is too long.")
    request = LoginRequest(
        client_id=query.get("client_id", ""),
        redirect_uri=query.get("redirect_uri", ""),
        scope=query.get("scope", ""),
        state=query.get("state"),
        challenge=query.get("code_challenge") or None,
        offline=query.get("access_type") == "offline",
        nonce=query.get("nonce") or None,
        label=query.get("prefill_named_grant") or None,
        message=query.get("session_message") or None,
    )
    if not _is_local(request.destination):
        raise LoginError(
            "redirect_uri must be an http address of this machine: http://localhost, http://127.0.0.1 or http://[::1], "
            "with any port and path."
        )
    return request


def check_login(request: LoginRequest, query: Mapping[str, str]) -> None:
    """Check what a client asks for, as far as it may be told. Raises LoginRefusal."""
    if query.get("response_type") != "code":
        raise LoginRefusal("unsupported_response_type", "response_type must be code")
    if request.challenge is not None:
        if query.get("code_challenge_method") != "S256":
            raise LoginRefusal("invalid_request", "code_challenge_method must be S256")
        if not CHALLENGE.fullmatch(request.challenge):
            raise LoginRefusal("invalid_request", "code_challenge is no SHA-256 in base64url")
    if query.get("prompt") == "none":
        raise LoginRefusal("login_required", "This emulator keeps no session: a person must log in")


def proves(verifier: str, challenge: str) -> bool:
    """Return whether a verifier belongs to a challenge (RFC 7636, section 4.6)."""
    hashed = hashlib.sha256(verifier.encode(errors="replace")).digest()
    return hmac.compare_digest(base64.urlsafe_b64encode(hashed).rstrip(b"="), challenge.encode())


class LoginStore:
    """The logins of a state file that are under way. Pages and codes are good for one use, and not for long.

    A page carries a secret of its own, its ticket. A web page of another origin cannot read it, and so cannot press
    the button for its visitor.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def open_page(self, request: LoginRequest) -> str:
        """Return the ticket of a new page."""
        return self._keep(request, None, PAGE_SECONDS)

    def take_page(self, ticket: str) -> LoginRequest | None:
        """Return what the page of a ticket asks for, once; None if the ticket is unknown, used or too old."""
        found = self._take(ticket, is_code=False)
        return None if found is None else found[0]

    def make_code(self, login: Login) -> str:
        """Return a code for a login that was allowed."""
        return self._keep(login.request, login.identity, CODE_SECONDS)

    def take_code(self, code: str) -> Login | None:
        """Return the login of a code, once; None if the code is unknown, used or too old."""
        found = self._take(code, is_code=True)
        return None if found is None or found[1] is None else Login(found[0], found[1])

    def _keep(self, request: LoginRequest, identity: str | None, seconds: float) -> str:
        secret = secrets.token_urlsafe(24)
        now = time.time()
        with self._database.transaction() as connection:
            connection.execute("DELETE FROM logins WHERE expires_at < ?", (now,))
            connection.execute(
                "INSERT INTO logins VALUES (?, ?, ?, ?, ?)",
                (digest(secret), identity is not None, json.dumps(request), identity, now + seconds),
            )
        return secret

    def _take(self, secret: str, *, is_code: bool) -> tuple[LoginRequest, str | None] | None:
        with self._database.transaction() as connection:
            found = connection.execute(
                "DELETE FROM logins WHERE digest = ? AND is_code = ? RETURNING request, identity, expires_at",
                (digest(secret), is_code),
            ).fetchone()
        if found is None or found["expires_at"] < time.time():
            return None
        return LoginRequest(*json.loads(found["request"])), found["identity"]


def _is_local(address: str) -> bool:
    try:
        parts = urlsplit(address)
        _ = parts.port  # raises if it is none
    except ValueError:
        return False
    plain = address.isascii() and address.isprintable() and " " not in address and "\\" not in address
    return (
        plain
        and parts.scheme == "http"
        and parts.hostname in LOOPBACK_NAMES
        and "@" not in parts.netloc
        and not parts.fragment
    )
