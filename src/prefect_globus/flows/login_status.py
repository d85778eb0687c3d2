"""Who is logged in to Globus, until when, and with which consents."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple
from uuid import UUID

from globus_sdk.scopes import TimersScopes, TransferScopes
from globus_sdk.scopes.consents import ConsentForest
from globus_sdk.token_storage import TokenStorageData

from prefect_globus.blocks import GlobusCredentials
from prefect_globus.blocks.authorizers import ClientLogin, Login
from prefect_globus.blocks.token_store import FileLogin, TokenStore
from prefect_globus.flows.account import connected
from prefect_globus.flows.blocks import find_credentials
from prefect_globus.globus.errors import translated
from prefect_globus.transfers.logins import LoginStatus, ServiceLogin

_SERVICES = {TransferScopes.resource_server: "transfer", TimersScopes.resource_server: "timers"}
_ROOTS = {str(TransferScopes.all): "transfer", str(TimersScopes.timer): "timers"}
_DATA_ACCESS = re.compile(r"https://auth\.globus\.org/scopes/([0-9a-f-]{36})/data_access")


class _Person(NamedTuple):
    """What Globus Auth says of a login."""

    claims: Mapping[str, Any]
    consents: Mapping[str, list[UUID]]


def login_status(credentials: GlobusCredentials | str | None = None) -> LoginStatus:
    """Who is logged in, until when, and for which collections consents were given. Globus is asked whether it works.

    Args:
        credentials: a block or its name; as `resumable_transfer` logs in by default when left out.

    Raises:
        InvalidInputError: there is no login, or no such block.
        GlobusError: Globus does not accept the login, or is out of reach.
    """
    given = find_credentials(credentials)
    login = given.login(TransferScopes.resource_server)
    with connected(given) as globus:
        globus.unfinished()  # renews the token, and shows whether it is good for anything
    person = _person(given) if _has_auth(login) else None
    claims = person.claims if person else {}
    return LoginStatus(
        how=_how(login),
        client_id=_client_of(login),
        username=claims.get("preferred_username"),
        identity=claims.get("sub"),
        services=_services(given, login, person.consents if person else {}),
    )


def _has_auth(login: Login | None) -> bool:
    return isinstance(login, FileLogin) or (isinstance(login, ClientLogin) and login.acts_for_itself)


def _person(credentials: GlobusCredentials) -> _Person:
    with credentials.get_auth_client() as auth, translated("a look at the login"):
        claims = auth.userinfo().data
        return _Person(claims, _consents(auth.get_consents(claims["sub"]).to_forest()))


def _consents(forest: ConsentForest) -> dict[str, list[UUID]]:
    """The collections whose data may be reached, by the service that was asked first."""
    found = defaultdict(list)
    for consent in forest.nodes:
        service = _ROOTS.get(forest.get_node(consent.dependency_path[0]).scope_name)
        collection = _DATA_ACCESS.fullmatch(consent.scope_name)
        if service and collection:
            found[service].append(UUID(collection[1]))
    return found


def _how(login: Login | None) -> str:
    if login is None:
        return "an access token"
    if isinstance(login, FileLogin):
        return f"the token file {login.path}"
    return "a client with its secret" if login.acts_for_itself else "a refresh token"


def _client_of(login: Login | None) -> str | None:
    if isinstance(login, FileLogin):
        stored = TokenStore(login.path, login.auth_url).login()
        return stored.client_id if stored else None
    return login.client_id if isinstance(login, ClientLogin) else None


def _services(
    credentials: GlobusCredentials, login: Login | None, consents: Mapping[str, list[UUID]]
) -> tuple[ServiceLogin, ...]:
    if login is None:
        return (ServiceLogin(service="transfer", renews=False),)
    tokens = {}
    if isinstance(login, FileLogin):
        stored = TokenStore(login.path, login.auth_url).login()
        tokens = dict(stored.tokens) if stored else {}
        names = [server for server in _SERVICES if server in tokens]
    elif login.acts_for_itself:
        names = list(_SERVICES)
    else:
        has = (credentials.refresh_token, credentials.timers_refresh_token)
        names = [server for server, token in zip(_SERVICES, has, strict=True) if token]
    return tuple(_service(_SERVICES[name], tokens.get(name), consents.get(_SERVICES[name], [])) for name in names)


def _service(name: str, token: TokenStorageData | None, consents: list[UUID]) -> ServiceLogin:
    if token is None or token.refresh_token is not None:
        return ServiceLogin(service=name, renews=True, consents=tuple(consents))
    ends = datetime.fromtimestamp(token.expires_at_seconds, UTC)
    return ServiceLogin(service=name, renews=False, expires_at=ends, consents=tuple(consents))
