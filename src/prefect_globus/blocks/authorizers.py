"""Authorizers that many threads share: globus-sdk's own renew their tokens without a lock."""

from __future__ import annotations

import time
from threading import Lock, local
from typing import NamedTuple

import globus_sdk
from globus_sdk.authorizers import GlobusAuthorizer
from globus_sdk.scopes import Scope
from globus_sdk.services.auth import OAuthTokenResponse
from globus_sdk.transport import RetryConfig

from prefect_globus.transfers.errors import InvalidInputError

_EARLY_SECONDS = 60  # renew this long before a token expires: clocks differ, and requests take their time
_TIMEOUT_SECONDS = 30.0
_RETRIES = 2  # few, because all threads wait meanwhile; a driver of a transfer has its own patience


class Login(NamedTuple):
    """What Globus Auth wants to know before it gives out a token."""

    client_id: str
    client_secret: str | None
    refresh_token: str | None
    auth_url: str

    def __repr__(self) -> str:
        return f"Login({self.client_id!r}, {self.auth_url!r})"

    def tokens(self, scope: Scope) -> OAuthTokenResponse:
        """New tokens for ``scope``; with a refresh token, for what it was issued for."""
        retry = RetryConfig(max_retries=_RETRIES)
        if self.client_secret is None:
            with globus_sdk.NativeAppAuthClient(self.client_id, base_url=self.auth_url, retry_config=retry) as native:
                native.transport.http_timeout = _TIMEOUT_SECONDS
                return native.oauth2_refresh_token(self.refresh_token or "")
        with globus_sdk.ConfidentialAppAuthClient(
            self.client_id, self.client_secret, base_url=self.auth_url, retry_config=retry
        ) as confidential:
            confidential.transport.http_timeout = _TIMEOUT_SECONDS
            if self.refresh_token is None:
                return confidential.oauth2_client_credentials_tokens(scope)
            return confidential.oauth2_refresh_token(self.refresh_token)


class SharedAuthorizer(GlobusAuthorizer):
    """Logs in at the first request and renews the token when it expires or is refused, once for all threads."""

    def __init__(self, login: Login, scope: Scope, resource_server: str) -> None:
        """Args: ``resource_server``: the service that the token is for, as Globus Auth names it."""
        self._login = login
        self._scope = scope
        self._resource_server = resource_server
        self._lock = Lock()
        self._header = ""
        self._renew_at = 0.0
        self._sent = local()

    def get_authorization_header(self) -> str:
        """The header for a request of this thread."""
        with self._lock:
            if time.time() >= self._renew_at:
                self._renew()
            self._sent.header = self._header
            return self._header

    def handle_missing_authorization(self) -> bool:
        """Have the token renewed after a 401, unless another thread has renewed it since this one sent it."""
        with self._lock:
            if getattr(self._sent, "header", None) == self._header:
                self._renew_at = 0.0
            return True

    def _renew(self) -> None:
        servers = self._login.tokens(self._scope).by_resource_server
        if self._resource_server not in servers:
            found = ", ".join(servers) or "nothing"
            raise InvalidInputError(reason=f"the login gives a token for {found}, not for {self._resource_server}")
        token = servers[self._resource_server]
        self._header = f"Bearer {token['access_token']}"
        self._renew_at = float(token["expires_at_seconds"]) - _EARLY_SECONDS


_shared: dict[tuple[Login, str], SharedAuthorizer] = {}
_shared_lock = Lock()


def shared_authorizer(login: Login, scope: Scope, resource_server: str) -> SharedAuthorizer:
    """The one authorizer of this process for ``login`` and ``resource_server``."""
    with _shared_lock:
        key = (login, resource_server)
        if key not in _shared:
            _shared[key] = SharedAuthorizer(login, scope, resource_server)
        return _shared[key]
