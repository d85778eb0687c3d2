"""Globus Auth: the client credentials grant (contract section 8)."""

from __future__ import annotations

import base64
import binascii
import hmac
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from prefect_globus.emulator.auth.scopes import DATA_ACCESS, Scope, ScopeError, parse_scopes, resource_server, roots
from prefect_globus.emulator.auth.tokens import ACCESS_SECONDS, TokenOwner
from prefect_globus.emulator.identities import identity_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from prefect_globus.emulator.site import Site


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
    scopes = _read_scopes(site, form.get("scope", ""))
    identity = identity_of(client_id)
    site.consents.grant(identity, client_id, scopes, allows_refresh=False)
    return _answer(site, client_id, identity, scopes)


def _read_scopes(site: Site, text: str) -> list[Scope]:
    """Return the scopes that are asked for. Raises OAuthError.

    A data_access scope is known only for a collection that needs it, as the SDK says of the real service.
    """
    try:
        scopes = parse_scopes(text)
    except ScopeError as error:
        raise OAuthError(400, "invalid_scope", str(error)) from error
    if not scopes:
        raise OAuthError(400, "invalid_scope", "A scope is required")
    for scope in scopes:
        found = DATA_ACCESS.fullmatch(scope.name)
        collection = site.collections.get(found[1]) if found else None
        if found and (collection is None or not collection.data_access):
            raise OAuthError(400, "invalid_scope", f"Unknown scope: {scope.name}")
    return scopes


def _answer(site: Site, client_id: str, identity: str, scopes: list[Scope]) -> dict[str, Any]:
    granted: dict[str, list[str]] = {}
    for scope in roots(scopes):
        granted.setdefault(resource_server(scope), []).append(scope)
    owners = [TokenOwner(client_id, identity, server, " ".join(names)) for server, names in granted.items()]
    first, *others = [_token(site, owner) for owner in owners]
    return first | {"other_tokens": others}


def _token(site: Site, owner: TokenOwner) -> dict[str, Any]:
    return {
        "access_token": site.tokens.issue(owner, ACCESS_SECONDS),
        "scope": owner.scope,
        "expires_in": ACCESS_SECONDS,
        "token_type": "Bearer",
        "resource_server": owner.resource_server,
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
