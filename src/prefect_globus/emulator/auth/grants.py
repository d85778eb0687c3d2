"""Globus Auth: the client credentials grant (contract section 8)."""

from __future__ import annotations

import base64
import binascii
import hmac
import re
import secrets
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from prefect_globus.emulator.auth.tokens import TokenOwner

if TYPE_CHECKING:
    from collections.abc import Mapping

    from prefect_globus.emulator.site import Site

TOKEN_SECONDS = 172_800
TRANSFER_SERVER = "transfer.api.globus.org"
AUTH_SERVER = "auth.globus.org"
OPENID_SCOPES = frozenset({"openid", "profile", "email"})
URN_SCOPE = re.compile(r"urn:globus:auth:scope:([^:\s]+):\S+")
URL_SCOPE = re.compile(r"https://auth\.globus\.org/scopes/([^/\s]+)/\S+")


class OAuthError(Exception):
    """The grant is refused; the answer has the shape of RFC 6749, section 5.2."""

    def __init__(self, status: int, error: str, description: str) -> None:
        super().__init__(description)
        self.status = status
        self.document = {"error": error, "error_description": description}


def grant(site: Site, authorization: str, body: bytes) -> dict[str, Any]:
    """Answer a token request: one token for each resource server that the scopes belong to. Raises OAuthError."""
    form = _form(body)
    client_id, secret = _credentials(authorization, form)
    if site.client is not None and not _same(site.client, (client_id, secret)):
        raise OAuthError(401, "invalid_client", "Client authentication failed")
    if form.get("grant_type") != "client_credentials":
        raise OAuthError(400, "unsupported_grant_type", "Only client_credentials is supported by this emulator")
    granted: dict[str, list[str]] = {}
    for scope in root_scopes(form.get("scope", "")):
        granted.setdefault(resource_server(scope), []).append(scope)
    if not granted:
        raise OAuthError(400, "invalid_scope", "A scope is required")
    first, *others = [_token(site, client_id, server, scopes) for server, scopes in granted.items()]
    return first | {"other_tokens": others}


def root_scopes(text: str) -> list[str]:
    """Return the scopes of a scope string without their dependencies: `A[B[*C]] D` is A and D. Raises OAuthError."""
    depth = 0
    roots = []
    for character in text:
        depth += (character == "[") - (character == "]")
        if depth < 0:
            break
        if depth == 0 and character != "]":
            roots.append(character)
    if depth != 0:
        raise OAuthError(400, "invalid_scope", "Brackets of the scope do not match")
    return list(dict.fromkeys("".join(roots).split()))


def resource_server(scope: str) -> str:
    """Return the service that a scope belongs to. Raises OAuthError."""
    if scope in OPENID_SCOPES:
        return AUTH_SERVER
    found = URN_SCOPE.fullmatch(scope) or URL_SCOPE.fullmatch(scope)
    if found is None:
        raise OAuthError(400, "invalid_scope", f"Unknown scope: {scope[:200]}")
    return found[1]


def _token(site: Site, client_id: str, server: str, scopes: list[str]) -> dict[str, Any]:
    token = f"Ag{secrets.token_urlsafe(48)}"
    site.tokens.save(token, TokenOwner(client_id, server), time.time() + TOKEN_SECONDS)
    return {
        "access_token": token,
        "scope": " ".join(scopes),
        "expires_in": TOKEN_SECONDS,
        "token_type": "Bearer",
        "resource_server": server,
    }


def _form(body: bytes) -> dict[str, str]:
    try:
        return dict(parse_qsl(body.decode(), max_num_fields=100))
    except ValueError as error:
        raise OAuthError(400, "invalid_request", "The body is not a form") from error


def _credentials(authorization: str, form: Mapping[str, str]) -> tuple[str, str]:
    scheme, _, encoded = authorization.partition(" ")
    if scheme.lower() == "basic":
        try:
            client_id, colon, secret = base64.b64decode(encoded, validate=True).decode().partition(":")
        except (binascii.Error, ValueError):
            client_id = colon = secret = ""
    else:
        client_id, colon, secret = form.get("client_id", ""), ":", form.get("client_secret", "")
    if not (client_id and colon and secret):
        raise OAuthError(401, "invalid_client", "A client id and a client secret are required")
    return client_id, secret


def _same(one: tuple[str, str], other: tuple[str, str]) -> bool:
    return all(hmac.compare_digest(mine.encode(), theirs.encode()) for mine, theirs in zip(one, other, strict=True))
