"""Globus Auth: the token endpoint and its grants (contract section 8)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from prefect_globus.emulator.auth import openid
from prefect_globus.emulator.auth.clients import Caller, authenticate, confidential
from prefect_globus.emulator.auth.errors import OAuthError
from prefect_globus.emulator.auth.logins import proves
from prefect_globus.emulator.auth.scopes import (
    DATA_ACCESS,
    Scope,
    ScopeError,
    parse_scopes,
    resource_server,
    roots,
)
from prefect_globus.emulator.auth.tokens import REFRESH_SECONDS, Token
from prefect_globus.emulator.identities import TokenOwner

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from prefect_globus.emulator.auth.logins import Login
    from prefect_globus.emulator.site import Site

Document = dict[str, Any]

DEPENDENT_TOKEN = "urn:globus:auth:grant_type:dependent_token"  # noqa: S105 -- the name of a grant


class GrantRequest(NamedTuple):
    """A token request: where it came to, who has sent it, and its form."""

    site: Site
    origin: str
    caller: Caller
    form: Mapping[str, str]

    def required(self, name: str) -> str:
        """Return a field of the form. Raises OAuthError if it is missing."""
        value = self.form.get(name)
        if not value:
            raise OAuthError(400, "invalid_request", f"{name} is missing")
        return value

    @property
    def offline(self) -> bool:
        """Whether refresh tokens are wanted."""
        return self.form.get("access_type") == "offline"


def grant(site: Site, origin: str, authorization: str, form: Mapping[str, str]) -> Document | list[Document]:
    """Answer a token request: one token for each resource server that the scopes belong to. Raises OAuthError."""
    request = GrantRequest(site, origin, authenticate(site, authorization, form), form)
    name = request.required("grant_type")
    if name not in GRANTS:
        raise OAuthError(400, "unsupported_grant_type", f"grant_type must be one of {', '.join(GRANTS)}")
    return GRANTS[name](request)


def read_scopes(site: Site, text: str) -> list[Scope]:
    """Return the scopes that are asked for, parents first. Raises OAuthError.

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


def _client_credentials(request: GrantRequest) -> Document:
    site, client_id = request.site, confidential(request.caller).client_id
    scopes = read_scopes(site, request.form.get("scope", ""))
    identity = site.identities.client(client_id).id
    site.consents.grant(identity, client_id, scopes, allows_refresh=False)
    owners = _owners(client_id, identity, roots(scopes))
    return _with_id_token(request, _answer(site, owners), owners, nonce=None)


def _authorization_code(request: GrantRequest) -> Document:
    """Exchange a code. Whatever is wrong with the request, the code is used up."""
    site, code = request.site, request.required("code")
    login = site.logins.take_code(code)
    if login is None:
        site.tokens.revoke(code)  # whoever used it first may have stolen it (RFC 6749, section 4.1.2)
        raise OAuthError(400, "invalid_grant", "The code is unknown, has expired, or was used before")
    _check_code(request, login)
    owners = _owners(request.caller.client_id, login.identity, roots(read_scopes(site, login.request.scope)))
    answer = _answer(site, owners, parent=code, offline=login.request.offline)
    if login.request.state is not None:
        answer["state"] = login.request.state
    return _with_id_token(request, answer, owners, login.request.nonce)


def _check_code(request: GrantRequest, login: Login) -> None:
    asked, caller = login.request, request.caller
    if asked.client_id != caller.client_id:
        raise OAuthError(400, "invalid_grant", "The code was given to another client")
    if asked.redirect_uri != request.form.get("redirect_uri"):
        raise OAuthError(400, "invalid_grant", "redirect_uri is not the one of the login")
    if asked.challenge is not None:
        if not proves(request.form.get("code_verifier", ""), asked.challenge):
            raise OAuthError(400, "invalid_grant", "code_verifier does not belong to the code_challenge of the login")
    else:
        confidential(caller)


def _refresh_token(request: GrantRequest) -> Document:
    """Renew one token. The refresh token stays the same, and is good for another six months."""
    site, secret = request.site, request.required("refresh_token")
    found = site.tokens.find(secret)
    if found is None or not found.is_refresh or found.owner.client_id != request.caller.client_id:
        raise OAuthError(400, "invalid_grant", "The refresh token is unknown, has expired, or was revoked")
    site.tokens.used(secret, REFRESH_SECONDS)
    owner = found.owner._replace(scope=_narrowed(found.owner, request.form.get("scope")))
    return _token(site, owner, parent=secret) | {"refresh_token": secret, "other_tokens": []}


def _narrowed(owner: TokenOwner, text: str | None) -> str:
    """Return the scopes of a token, or those of them that are asked for. Raises OAuthError."""
    if not text:
        return owner.scope
    asked = dict.fromkeys(text.split())
    if not owner.scopes.issuperset(asked):
        raise OAuthError(400, "invalid_scope", "A refresh token gives no more scopes than it was given for")
    return " ".join(asked)


def _dependent_token(request: GrantRequest) -> list[Document]:
    """Give a service tokens for the services that it needs, in the name of whoever has sent it a token.

    What lies below becomes a consent to the service itself [inferred], as Transfer asks for the consents of its caller.
    """
    site, service = request.site, confidential(request.caller).client_id
    found = site.tokens.find(request.required("token"))
    if found is None or found.is_refresh or found.owner.resource_server != service:
        raise OAuthError(400, "invalid_grant", "The token is unknown, has expired, or was given for another service")
    scopes = _dependencies(site, found)
    wanted = set(request.form.get("scope", "").split()) or set(roots(scopes))
    if not wanted.issubset(roots(scopes)):
        raise OAuthError(400, "invalid_scope", "There is no consent to such a dependent scope")
    scopes = [scope for scope in scopes if scope.path[0] in wanted]
    identity = found.owner.identity
    site.consents.grant(identity, service, scopes, allows_refresh=request.offline)
    owners = _owners(service, identity, roots(scopes))
    return _tokens(site, owners, parent=request.required("token"), offline=request.offline)


def _dependencies(site: Site, token: Token) -> list[Scope]:
    """Return what is consented to below the scopes of a token, as scopes of their own."""
    paths: dict[int, tuple[str, ...]] = {}
    scopes = []
    for consent in site.consents.of(token.owner.identity, token.owner.client_id):
        path = (*paths.get(consent.parent, ()), consent.scope_name)
        paths[consent.number] = path
        if len(path) > 1 and path[0] in token.owner.scopes:
            scopes.append(Scope(path[1:], consent.optional and len(path) > 2))  # noqa: PLR2004 -- a root is not optional
    return scopes


GRANTS: dict[str, Callable[[GrantRequest], Document | list[Document]]] = {
    "authorization_code": _authorization_code,
    "refresh_token": _refresh_token,
    "client_credentials": _client_credentials,
    DEPENDENT_TOKEN: _dependent_token,
}


def _owners(client_id: str, identity: str, scopes: Iterable[str]) -> list[TokenOwner]:
    """Return one owner for each resource server of some scopes, Auth's first, as its token goes with the id_token."""
    by_server: dict[str, list[str]] = {}
    for scope in sorted(scopes, key=lambda scope: scope != "openid"):
        by_server.setdefault(resource_server(scope), []).append(scope)
    return [TokenOwner(client_id, identity, server, " ".join(names)) for server, names in by_server.items()]


def _answer(site: Site, owners: list[TokenOwner], *, parent: str | None = None, offline: bool = False) -> Document:
    first, *others = _tokens(site, owners, parent=parent, offline=offline)
    return first | {"other_tokens": others}


def _tokens(site: Site, owners: list[TokenOwner], *, parent: str | None, offline: bool) -> list[Document]:
    return [_refreshable(site, owner, parent) if offline else _token(site, owner, parent) for owner in owners]


def _refreshable(site: Site, owner: TokenOwner, parent: str | None) -> Document:
    refresh_token = site.tokens.issue(owner, REFRESH_SECONDS, is_refresh=True, parent=parent)
    return _token(site, owner, refresh_token) | {"refresh_token": refresh_token}


def _token(site: Site, owner: TokenOwner, parent: str | None) -> Document:
    return {
        "access_token": site.tokens.issue(owner, site.token_lifetime, parent=parent),
        "scope": owner.scope,
        "expires_in": site.token_lifetime,
        "token_type": "Bearer",
        "resource_server": owner.resource_server,
    }


def _with_id_token(request: GrantRequest, answer: Document, owners: list[TokenOwner], nonce: str | None) -> Document:
    """Return the answer, with an id_token if openid was asked for."""
    first = owners[0]
    identity = request.site.identities.find(first.identity)
    if "openid" not in first.scopes or identity is None:
        return answer
    claims = openid.id_token_claims(
        openid.claims(identity, first.scopes),
        issuer=request.origin,
        client_id=first.client_id,
        access_token=answer["access_token"],
        seconds=request.site.token_lifetime,
    )
    extra = {} if nonce is None else {"nonce": nonce}
    return answer | {"id_token": request.site.signing_keys.sign(claims | extra)}
