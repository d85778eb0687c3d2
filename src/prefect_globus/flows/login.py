"""Log in to Globus as a user, log out, and see who is logged in. Nothing here is a Prefect flow: a person answers."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID

import globus_sdk
import jwt
from globus_sdk.config import get_service_url
from globus_sdk.scopes import AuthScopes
from globus_sdk.services.auth import OAuthTokenResponse
from pydantic import SecretStr

from prefect_globus.blocks import GlobusCredentials
from prefect_globus.blocks.credentials import CLIENT_ID_VARIABLE, CLIENT_SECRET_VARIABLE
from prefect_globus.blocks.token_store import TokenStore, default_token_file
from prefect_globus.flows.account import connected
from prefect_globus.flows.blocks import find_credentials
from prefect_globus.globus.errors import translated
from prefect_globus.globus.scopes import timers_scope, transfer_scope
from prefect_globus.transfers.errors import (
    GlobusAuthError,
    InvalidInputError,
    MissingClientIdError,
    MissingCredentialsError,
)

Ask = Callable[[str, str], str]
"""Shows a person why to log in, and the address to open in a browser; returns the code that the page gives."""

_FIRST = "Log in to Globus"
_AGAIN = "Now that you are logged in, it is known that these collections ask for a consent of their own: {}. Once more"

_TRANSFER, _TIMERS = "transfer.api.globus.org", "524230d7-ea86-4a52-8312-86065a9e0417"  # contract, section 8


def log_in(
    ask: Ask,
    client_id: str | None = None,
    collections: Iterable[UUID | str] = (),
    token_file: Path | None = None,
    block: str | None = None,
    renews: bool = True,
) -> GlobusCredentials:
    """Log a user in, with the code flow for native apps and PKCE, and keep the tokens.

    It is for Globus Transfer and Globus Timers. Which collections need a consent of their own can only be asked by who
    is logged in, so where nobody is yet and one does, the user is asked twice.

    Args:
        ask: shows why and the address, and returns the code.
        client_id: a native app that you have registered with Globus; that of GLOBUS_CLIENT_ID when left out.
        collections: those whose data is to be reached; others can be added by another login later.
        token_file: where the tokens are kept; where credentials without anything look for them when left out.
        block: keep them in the GlobusCredentials block of this name instead, which flows of other machines can load.
        renews: False for a login that ends by itself when its tokens expire.

    Returns:
        The credentials to use it by.

    Raises:
        InvalidInputError: there is no client id, a client with a secret needs no login, or no such collection.
        GlobusError: the code was wrong or too old, or Globus is out of reach.
        TokenFileError: the file cannot be written.
    """
    client_id = _client_of(client_id, in_block=block is not None)
    if block is not None and not renews:
        raise InvalidInputError(reason="a block keeps refresh tokens, so its login renews itself: use a token file")
    asked = [_uuid(each) for each in collections]
    store = TokenStore(token_file or default_token_file(), get_service_url("auth"))
    known = _known(store, client_id, asked)

    def keep(tokens: OAuthTokenResponse) -> GlobusCredentials:
        if block is not None:
            return _kept_in_block(block, client_id, tokens)
        store.keep(client_id, tokens)
        return GlobusCredentials(token_file=store.path)

    with globus_sdk.NativeAppAuthClient(client_id) as client, _translated():
        tokens = _logged_in(client, ask, _FIRST, known or (), renews=renews)
        credentials = keep(tokens)
        if known is None and (found := _using_data_access(_bare(tokens), asked)):
            why = _AGAIN.format(", ".join(map(str, found)))
            credentials = keep(_logged_in(client, ask, why, found, renews=renews))
    return credentials


def _client_of(client_id: str | None, *, in_block: bool) -> str:
    if not in_block and os.environ.get(CLIENT_ID_VARIABLE) and os.environ.get(CLIENT_SECRET_VARIABLE):
        reason = f"{CLIENT_ID_VARIABLE} and {CLIENT_SECRET_VARIABLE} are set: a client with a secret needs no login"
        raise InvalidInputError(reason=f"{reason}, and comes first. Unset the secret to log in as a user")
    client_id = (client_id or os.environ.get(CLIENT_ID_VARIABLE, "")).strip()
    if not client_id:
        raise MissingClientIdError
    return client_id


def _uuid(text: UUID | str) -> UUID:
    try:
        return UUID(str(text).strip())
    except ValueError:
        raise InvalidInputError(reason=f"{text!r} is not the UUID of a collection") from None


def _known(store: TokenStore, client_id: str, collections: list[UUID]) -> list[UUID] | None:
    """Those of ``collections`` that need a consent, as the login says that there is; None if there is none."""
    if not collections:
        return []
    login = store.login()
    if login is None or login.client_id != client_id:
        return None
    try:
        return _using_data_access(GlobusCredentials(token_file=store.path), collections)
    except GlobusAuthError:  # it is over, which is why somebody logs in
        return None


def _using_data_access(credentials: GlobusCredentials, collections: list[UUID]) -> list[UUID]:
    if not collections:
        return []
    with connected(credentials) as globus:
        return [each for each in dict.fromkeys(collections) if globus.uses_data_access(each)]


def _bare(tokens: OAuthTokenResponse) -> GlobusCredentials:
    return GlobusCredentials(access_token=SecretStr(tokens.by_resource_server[_TRANSFER]["access_token"]))


def _logged_in(
    client: globus_sdk.NativeAppAuthClient, ask: Ask, why: str, collections: Iterable[UUID], *, renews: bool
) -> OAuthTokenResponse:
    who = [AuthScopes.openid, AuthScopes.profile, AuthScopes.email]
    below = list(collections)
    client.oauth2_start_flow([*who, transfer_scope(below), timers_scope(below)], refresh_tokens=renews)
    code = ask(why, client.oauth2_get_authorize_url()).strip()
    if not code:
        raise InvalidInputError(reason="no code was given, so nobody is logged in")
    return client.oauth2_exchange_code_for_tokens(code)


def _kept_in_block(name: str, client_id: str, tokens: OAuthTokenResponse) -> GlobusCredentials:
    try:
        before = find_credentials(name)
    except InvalidInputError:
        before = GlobusCredentials()
    kept = before.model_copy(
        update={
            "client_id": client_id,
            "client_secret": None,
            "access_token": None,
            "token_file": None,
            "refresh_token": SecretStr(tokens.by_resource_server[_TRANSFER]["refresh_token"]),
            "timers_refresh_token": SecretStr(tokens.by_resource_server[_TIMERS]["refresh_token"]),
        }
    )
    kept.save(name, overwrite=True, _sync=True)  # type: ignore[call-arg] # Prefect's own switch for its sync form
    return kept


@contextmanager
def _translated() -> Iterator[None]:
    try:
        with translated("the login"):
            yield
    except jwt.PyJWTError as error:
        facts = {"operation": "the login", "code": type(error).__name__, "status": 200}
        raise GlobusAuthError(reason="its id token is not right", **facts) from error


def log_out(token_file: Path | None = None) -> str:
    """Revoke the tokens of a login and forget them.

    Args:
        token_file: where they are kept; where credentials without anything look for them when left out.

    Returns:
        The client id of the login.

    Raises:
        MissingCredentialsError: nobody is logged in.
        GlobusError: Globus is out of reach, so the tokens could not be revoked; they are kept.
    """
    store = TokenStore(token_file or default_token_file(), get_service_url("auth"))
    login = store.login()
    if login is None:
        raise MissingCredentialsError
    with globus_sdk.NativeAppAuthClient(login.client_id) as client, translated("the end of the login"):
        for token in login.tokens.values():
            for secret in filter(None, (token.refresh_token, token.access_token)):
                client.oauth2_revoke_token(secret)
    store.remove()
    return login.client_id
