"""Authorizers that many threads share: globus-sdk's own renew their tokens without a lock."""

from __future__ import annotations

import time
from collections.abc import Sequence
from threading import Lock, local
from typing import Any, NamedTuple, Protocol

import globus_sdk
from globus_sdk.authorizers import GlobusAuthorizer
from globus_sdk.scopes import Scope
from globus_sdk.services.auth import OAuthTokenResponse
from globus_sdk.transport import RetryConfig

from prefect_globus.transfers.errors import InvalidInputError

_EARLY_SECONDS = 60  # renew this long before a token expires: clocks differ, and requests take their time
_TIMEOUT_SECONDS = 30.0
_RETRIES = 2  # few, because all threads wait meanwhile; a driver of a transfer has its own patience
_CONSENTS = 2  # how often one request asks for consents: another thread may have been given others in between


class AccessToken(NamedTuple):
    """A token for one service, and when it expires, in seconds since the epoch."""

    secret: str
    expires_at: float

    def __repr__(self) -> str:
        return f"AccessToken(expires_at={self.expires_at!r})"

    @property
    def is_fresh(self) -> bool:
        """Whether it is good for a while still."""
        return time.time() < self.expires_at - _EARLY_SECONDS


class Login(Protocol):
    """A way to get tokens. The same login has the same hash, and so one authorizer for all threads of a process."""

    @property
    def acts_for_itself(self) -> bool:
        """Whether it is a client without a user behind it, which gives consents by asking for their scopes."""

    def token(self, scope: str, resource_server: str, refused: str) -> AccessToken:
        """A token for a service.

        Args:
            scope: what it is to be good for, where the login can choose.
            resource_server: the service, as Globus Auth names it.
            refused: the token that the service does not take any more; empty when there is none.
        """


class ClientLogin(NamedTuple):
    """A client that shows its secret, a refresh token, or both."""

    client_id: str
    client_secret: str | None
    refresh_token: str | None
    auth_url: str

    def __repr__(self) -> str:
        return f"ClientLogin({self.client_id!r}, {self.auth_url!r})"

    @property
    def acts_for_itself(self) -> bool:
        """See `Login`."""
        return self.refresh_token is None

    def token(self, scope: str, resource_server: str, refused: str) -> AccessToken:  # noqa: ARG002 - as `Login` has it
        """See `Login`."""
        return token_of(self.ask(scope), resource_server)

    def ask(self, scope: str) -> OAuthTokenResponse:
        """New tokens for ``scope``; with a refresh token, for what that was issued for."""
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


def token_of(tokens: OAuthTokenResponse, resource_server: str) -> AccessToken:
    """The token for one service out of those that a login has given.

    Raises:
        InvalidInputError: there is none.
    """
    servers = tokens.by_resource_server
    if resource_server not in servers:
        found = ", ".join(servers) or "nothing"
        raise InvalidInputError(reason=f"the login gives a token for {found}, not for {resource_server}")
    token = servers[resource_server]
    return AccessToken(token["access_token"], float(token["expires_at_seconds"]))


class SharedAuthorizer(GlobusAuthorizer):
    """Logs in at the first request and renews the token when it expires or is refused, once for all threads."""

    def __init__(self, login: Login, scope: Scope | str, resource_server: str) -> None:
        """Args: ``resource_server``: the service that the token is for, as Globus Auth names it."""
        self._login = login
        self._scope = str(scope)
        self._resource_server = resource_server
        self._lock = Lock()
        self._token = AccessToken("", 0.0)
        self._refused = ""
        self._sent = local()

    def get_authorization_header(self) -> str:
        """The header for a request of this thread."""
        with self._lock:
            if not self._token.is_fresh or self._token.secret == self._refused:
                self._token = self._login.token(self._scope, self._resource_server, self._refused)
            self._sent.token = self._token.secret
            return f"Bearer {self._token.secret}"

    def handle_missing_authorization(self) -> bool:
        """Have the token renewed after a 401, unless another thread has renewed it since this one sent it."""
        with self._lock:
            if self._is_current:
                self._refused = self._token.secret
            return True

    def consent(self, scopes: Sequence[str]) -> bool:
        """Give the consents for whose lack a request of this thread was refused; whether to make it again.

        A client that acts for itself gives them by asking for a token with these scopes (contract, section 8). No other
        thread asks for the same: one that finds a newer token than it has sent looks first whether that will do.

        Args:
            scopes: the ``required_scopes`` of the refusal.
        """
        if not self._login.acts_for_itself:
            return False
        with self._lock:
            if self._is_current:
                wanted = " ".join(dict.fromkeys([self._scope, *scopes]))
                self._token = self._login.token(wanted, self._resource_server, "")
            return True

    @property
    def _is_current(self) -> bool:
        return getattr(self._sent, "token", None) == self._token.secret


class ConsentingTransferClient(globus_sdk.TransferClient):
    """Makes a request again that was refused for the lack of a consent which its login can give itself."""

    def request(self, *arguments: Any, **options: Any) -> globus_sdk.GlobusHTTPResponse:  # noqa: ANN401 - as it is
        """See `globus_sdk.BaseClient.request`."""
        for _ in range(_CONSENTS):
            try:
                return super().request(*arguments, **options)
            except globus_sdk.TransferAPIError as error:
                if not self._consents(error):
                    raise
        return super().request(*arguments, **options)

    def _consents(self, refusal: globus_sdk.TransferAPIError) -> bool:
        consents = refusal.info.consent_required
        if not consents or not isinstance(self.authorizer, SharedAuthorizer):
            return False
        try:
            return self.authorizer.consent(consents.required_scopes)
        except globus_sdk.AuthAPIError:
            return False  # it may not: what was refused says best what is missing


_shared: dict[tuple[Login, str], SharedAuthorizer] = {}
_shared_lock = Lock()


def shared_authorizer(login: Login, scope: Scope | str, resource_server: str) -> SharedAuthorizer:
    """The one authorizer of this process for ``login`` and ``resource_server``."""
    with _shared_lock:
        key = (login, resource_server)
        if key not in _shared:
            _shared[key] = SharedAuthorizer(login, scope, resource_server)
        return _shared[key]
