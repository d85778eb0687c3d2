"""The login to Globus, as a Prefect block that is safe to use from the threads of a task runner."""

from __future__ import annotations

import os
from hashlib import sha256
from pathlib import Path
from typing import ClassVar, Self
from urllib.parse import urlsplit

import globus_sdk
from globus_sdk.authorizers import GlobusAuthorizer
from globus_sdk.config import get_service_url
from globus_sdk.scopes import AuthScopes, Scope, TimersScopes, TransferScopes
from prefect.blocks.core import Block
from pydantic import ConfigDict, Field, SecretStr, ValidationError, field_validator, model_validator

from prefect_globus.blocks.authorizers import ClientLogin, ConsentingTransferClient, Login, shared_authorizer
from prefect_globus.blocks.saved_login import SavedLogin
from prefect_globus.blocks.token_store import FileLogin, TokenStore, default_token_file
from prefect_globus.transfers.errors import InvalidInputError, MissingCredentialsError
from prefect_globus.transfers.forms import InForm

CLIENT_ID_VARIABLE = "GLOBUS_CLIENT_ID"
CLIENT_SECRET_VARIABLE = "GLOBUS_CLIENT_SECRET"  # noqa: S105 - a name, not a secret
GLOBUS_REQUESTS_PER_SECOND = 20  # contract, section 10
_ACCOUNT_DIGITS = 12


class GlobusCredentials(InForm, Block):
    """Logs in to Globus: with a client id and its secret, an access token, refresh tokens, or a token file.

    A token file is what `prefect-globus login` keeps the login of a user in.

    A block without any of them takes the client id and secret from the environment variables GLOBUS_CLIENT_ID and
    GLOBUS_CLIENT_SECRET, and where they are not set the login of `prefect-globus login`.

    Example:
        Load configured credentials and list a folder:
        ```python
        from prefect_globus.blocks import GlobusCredentials

        credentials = GlobusCredentials.load("BLOCK_NAME")
        with credentials.get_transfer_client() as client:
            for entry in client.operation_ls("COLLECTION_UUID", path="/"):
                print(entry["name"])
        ```
    """

    _block_type_name = "Globus Credentials"
    _block_type_slug = "globus-credentials"
    # Prefect takes web addresses only: so it is one that Prefect shows for a block of its own
    _logo_url = "https://raw.githubusercontent.com/PrefectHQ/prefect/420d0d6a78bb6df1fc18bcf188fdad43c1d22ea9/assets/block-logos/secret.png"  # type: ignore[assignment]
    _documentation_url = "https://docs.globus.org/api/auth/"  # type: ignore[assignment]

    # an error of validation would show what was given, and so the secrets
    model_config: ClassVar[ConfigDict] = ConfigDict(hide_input_in_errors=True)

    client_id: str | None = Field(
        default=None,
        title="Client ID",
        description="UUID of an application registered with Globus Auth.",
        examples=["4fde6f2c-1f0a-4f4e-8f7c-2c9a3b1d5e60"],
    )
    client_secret: SecretStr | None = Field(
        default=None, title="Client Secret", description="Secret of that application."
    )
    access_token: SecretStr | None = Field(
        default=None,
        title="Access Token",
        description="Instead of a client secret: a token for Globus Transfer. It cannot be renewed when it expires.",
    )
    refresh_token: SecretStr | None = Field(
        default=None,
        title="Refresh Token",
        description="Instead of an access token: a token that the client id, and its secret if it has one, renews.",
    )
    timers_refresh_token: SecretStr | None = Field(
        default=None,
        title="Refresh Token for Timers",
        description="Beside the refresh token, which is good for Globus Transfer: one for Globus Timers.",
    )
    token_file: Path | None = Field(
        default=None,
        title="Token File",
        description="Instead of tokens: the file in which `prefect-globus login --token-file` has put them.",
        examples=["/home/etl/globus-tokens.json"],
    )
    transfer_url: str | None = Field(
        default=None,
        title="Transfer URL",
        description="Address of the Transfer service, where it is not the one that globus-sdk knows.",
        examples=["http://127.0.0.1:8911"],
    )
    auth_url: str | None = Field(
        default=None,
        title="Auth URL",
        description="Address of the Auth service, where it is not the one that globus-sdk knows.",
        examples=["http://127.0.0.1:8911"],
    )
    timers_url: str | None = Field(
        default=None,
        title="Timers URL",
        description="Address of the Timers service, where it is not the one that globus-sdk knows.",
        examples=["http://127.0.0.1:8911"],
    )
    max_tasks: int = Field(
        default=12,
        ge=1,
        le=100,
        title="Most Tasks",
        description="How many unfinished Globus tasks all transfers of this login may have at once, where a Prefect "
        "server counts them. Globus works on 3 and queues up to 100; a few in its queue keep it busy.",
    )
    requests_per_second: int | None = Field(
        default=None,
        ge=1,
        title="Requests per Second",
        description="How many requests a second all transfers of this login may make of the Transfer service. "
        "By default 20, which is what Globus allows, and no limit for a service that is not at globus.org.",
        examples=[10],
    )

    @field_validator("client_id", "client_secret", "access_token", "refresh_token", "timers_refresh_token")
    @classmethod
    def _one_word(cls, value: str | SecretStr | None) -> str | SecretStr | None:
        """An empty field of a form is none at all; a pasted line break would be shown by an error of requests."""
        text = value.get_secret_value() if isinstance(value, SecretStr) else value
        if text and not (text.isascii() and text.isprintable() and " " not in text):
            raise ValueError("it has spaces, line breaks or characters that no credential has")
        return value if text else None

    @model_validator(mode="after")
    def _one_way_to_log_in(self) -> Self:
        others = self.refresh_token or self.timers_refresh_token or self.client_id or self.client_secret
        if self.access_token and others:
            raise ValueError("give an access token alone; it is a login of its own")
        if self.token_file and (self.access_token or others):
            raise ValueError("give a token file alone; it holds a login of its own")
        if self.client_secret and not self.client_id:
            raise ValueError("a client secret needs its client id")
        if (self.refresh_token or self.timers_refresh_token) and not self.client_id:
            raise ValueError("a refresh token needs the client id that it was issued to")
        if self.client_id and not (self.client_secret or self.refresh_token or self.timers_refresh_token):
            raise ValueError("a client id needs its client secret, or a refresh token")
        return self

    @classmethod
    def from_environment(cls, **urls: str | None) -> Self:
        """The credentials in GLOBUS_CLIENT_ID and GLOBUS_CLIENT_SECRET.

        Args:
            urls: ``transfer_url``, ``auth_url`` and ``timers_url``, where they are not those that globus-sdk knows.

        Raises:
            MissingCredentialsError: one of the two is not set.
            InvalidInputError: one of them is no credential.
        """
        client_id = os.environ.get(CLIENT_ID_VARIABLE, "").strip()
        client_secret = os.environ.get(CLIENT_SECRET_VARIABLE, "").strip()
        if not client_id or not client_secret:
            raise MissingCredentialsError
        try:
            return cls(client_id=client_id, client_secret=SecretStr(client_secret), **urls)
        except ValidationError as error:
            problem = error.errors(include_url=False)[0]
            variable = {"client_id": CLIENT_ID_VARIABLE, "client_secret": CLIENT_SECRET_VARIABLE}.get(
                str(problem["loc"][0]) if problem["loc"] else "", "One of the URLs of Globus"
            )
            reason = f"{variable} cannot be used: {problem['msg'].removeprefix('Value error, ')}. Set it anew."
            raise InvalidInputError(reason=reason) from None  # what was given is a secret

    @property
    def account(self) -> str:
        """Names who logs in, and where: the same for each block with the same login, and nothing of a secret.

        Raises:
            MissingCredentialsError: nothing is given here or in the environment, and nobody has logged in.
        """
        token = self.access_token or self.refresh_token or self.timers_refresh_token
        who = token.get_secret_value() if token else self._who(self.login(TransferScopes.resource_server))
        return sha256(f"{who} {self._transfer_origin}".encode()).hexdigest()[:_ACCOUNT_DIGITS]

    @staticmethod
    def _who(login: Login | None) -> str | None:
        if isinstance(login, FileLogin):
            stored = TokenStore(login.path, login.auth_url).login()
            return stored and (stored.identity or stored.client_id)
        return login.client_id if isinstance(login, ClientLogin) else None

    @property
    def pace(self) -> int | None:
        """How many requests a second are made of the Transfer service; None for as many as it takes."""
        at_globus = f".{urlsplit(self._transfer_origin).hostname}".endswith(".globus.org")
        return self.requests_per_second or (GLOBUS_REQUESTS_PER_SECOND if at_globus else None)

    @property
    def _transfer_origin(self) -> str:
        return (self.transfer_url or get_service_url("transfer")).rstrip("/").lower()

    def login(self, resource_server: str) -> Login | None:
        """How tokens for a service are come by; None for an access token, which is one.

        Args:
            resource_server: the service, as Globus Auth names it.

        Raises:
            MissingCredentialsError: nothing is given here or in the environment, and nobody has logged in.
        """
        auth_url = self.auth_url or get_service_url("auth")
        if self.access_token is not None:
            return None
        if self.client_id is not None:
            secret = self.client_secret.get_secret_value() if self.client_secret else None
            return ClientLogin(self.client_id, secret, self._refresh_token(resource_server), auth_url)
        if self.token_file is not None:
            return FileLogin(self.token_file, auth_url)
        try:
            return type(self).from_environment(auth_url=auth_url).login(resource_server)
        except MissingCredentialsError:
            path = default_token_file()
            if TokenStore(path, auth_url).login() is None:
                raise
            return FileLogin(path, auth_url)

    def _refresh_token(self, resource_server: str) -> str | None:
        """The one that was issued for a service; of one that is for another Globus Auth's answer tells."""
        own, other = self.refresh_token, self.timers_refresh_token
        if resource_server == TimersScopes.resource_server:
            own, other = other, own
        token = own or other
        return token.get_secret_value() if token else None

    def get_transfer_client(self) -> globus_sdk.TransferClient:
        """A new client of Globus Transfer with a session of its own: use it in one thread, and close it.

        Where Globus asks for a consent, a client id with its secret gives it by itself, once, and the request is made
        again; a user has to give it, with `prefect-globus login --collection UUID`.

        Raises:
            MissingCredentialsError: nothing is given here or in the environment, and nobody has logged in.
        """
        authorizer = self._authorizer(TransferScopes.all, TransferScopes.resource_server)
        return ConsentingTransferClient(authorizer=authorizer, base_url=self.transfer_url)

    def get_timers_client(self) -> globus_sdk.TimersClient:
        """A new client of Globus Timers with a session of its own: use it in one thread, and close it.

        Raises:
            MissingCredentialsError: nothing is given here or in the environment, and nobody has logged in.
        """
        authorizer = self._authorizer(TimersScopes.timer, TimersScopes.resource_server)
        return globus_sdk.TimersClient(authorizer=authorizer, base_url=self.timers_url)

    def get_auth_client(self) -> globus_sdk.AuthClient:
        """A new client of Globus Auth, which tells who has logged in and what was consented to.

        Refresh tokens are for Transfer and Timers, so a block with these has none for Auth.

        Raises:
            MissingCredentialsError: nothing is given here or in the environment, and nobody has logged in.
        """
        authorizer = self._authorizer(f"{AuthScopes.openid} {AuthScopes.profile}", AuthScopes.resource_server)
        return globus_sdk.AuthClient(authorizer=authorizer, base_url=self.auth_url)

    def give_consent(self, scope: Scope) -> bool:
        """Have a client that logs in for itself consent to ``scope`` with all that it depends on.

        Whoever has a secret consents by asking for a token with that scope, and needs no browser for it.

        Returns:
            False if the login is a person's, who has to consent in a browser.

        Raises:
            MissingCredentialsError: nothing is given here or in the environment, and nobody has logged in.
        """
        login = self.login(TransferScopes.resource_server)
        if not isinstance(login, ClientLogin) or not login.acts_for_itself:
            return False
        login.ask(str(scope))
        return True

    def _authorizer(self, scope: Scope | str, resource_server: str) -> GlobusAuthorizer:
        login = self.login(resource_server)
        if login is None:
            token = self.access_token
            return globus_sdk.AccessTokenAuthorizer(token.get_secret_value() if token else "")
        return shared_authorizer(self._saved(login), scope, resource_server)

    def _saved(self, login: Login) -> Login:
        """``login``, as that of a saved block if it is one that may be replaced there."""
        name = self._block_document_name
        if name is None or not isinstance(login, ClientLogin) or login.acts_for_itself:
            return login
        own = self.refresh_token and self.refresh_token.get_secret_value()
        field = "refresh_token" if login.refresh_token == own else "timers_refresh_token"
        return SavedLogin(login, f"{self.get_block_type_slug()}/{name}", field)
