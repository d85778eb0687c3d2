"""The login to Globus, as a Prefect block that is safe to use from the threads of a task runner."""

from __future__ import annotations

import os
from typing import ClassVar, Self

import globus_sdk
from globus_sdk.authorizers import GlobusAuthorizer
from globus_sdk.config import get_service_url
from globus_sdk.scopes import Scope, TimersScopes, TransferScopes
from prefect.blocks.core import Block
from pydantic import ConfigDict, Field, SecretStr, field_validator, model_validator

from prefect_globus.blocks.authorizers import Login, shared_authorizer
from prefect_globus.transfers.errors import MissingCredentialsError

CLIENT_ID_VARIABLE = "GLOBUS_CLIENT_ID"
CLIENT_SECRET_VARIABLE = "GLOBUS_CLIENT_SECRET"  # noqa: S105 - a name, not a secret


class GlobusCredentials(Block):
    """Logs in to Globus, in one of three ways: a client id with its secret, an access token, or a refresh token.

    A block without any of them takes the client id and secret from the environment variables GLOBUS_CLIENT_ID and
    GLOBUS_CLIENT_SECRET.

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
    _logo_url = "https://raw.githubusercontent.com/PrefectHQ/prefect/420d0d6a78bb6df1fc18bcf188fdad43c1d22ea9/assets/block-logos/filesystem.png"  # type: ignore[assignment]
    _documentation_url = "https://docs.globus.org/api/auth/"  # type: ignore[assignment]

    # an error of validation would show what was given, and so the secrets
    model_config: ClassVar[ConfigDict] = ConfigDict(hide_input_in_errors=True)

    client_id: str | None = Field(
        default=None, title="Client ID", description="UUID of an application registered with Globus Auth."
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
    transfer_url: str | None = Field(
        default=None,
        title="Transfer URL",
        description="Address of the Transfer service, where it is not the one that globus-sdk knows.",
    )
    auth_url: str | None = Field(
        default=None,
        title="Auth URL",
        description="Address of the Auth service, where it is not the one that globus-sdk knows.",
    )
    timers_url: str | None = Field(
        default=None,
        title="Timers URL",
        description="Address of the Timers service, where it is not the one that globus-sdk knows.",
    )

    @field_validator("client_id", "client_secret", "access_token", "refresh_token", mode="after")
    @classmethod
    def _one_word(cls, value: str | SecretStr | None) -> str | SecretStr | None:
        """An empty field of a form is none at all; a pasted line break would be shown by an error of requests."""
        text = value.get_secret_value() if isinstance(value, SecretStr) else value
        if text and not (text.isascii() and text.isprintable() and " " not in text):
            raise ValueError("it has spaces, line breaks or characters that no credential has")
        return value if text else None

    @model_validator(mode="after")
    def _one_way_to_log_in(self) -> Self:
        if self.access_token and (self.refresh_token or self.client_id or self.client_secret):
            raise ValueError("give an access token alone; it is a login of its own")
        if self.client_secret and not self.client_id:
            raise ValueError("a client secret needs its client id")
        if self.refresh_token and not self.client_id:
            raise ValueError("a refresh token needs the client id that it was issued to")
        if self.client_id and not (self.client_secret or self.refresh_token):
            raise ValueError("a client id needs its client secret, or a refresh token")
        return self

    @classmethod
    def from_environment(cls, **urls: str | None) -> Self:
        """The credentials in GLOBUS_CLIENT_ID and GLOBUS_CLIENT_SECRET.

        Args:
            urls: ``transfer_url``, ``auth_url`` and ``timers_url``, where they are not those that globus-sdk knows.

        Raises:
            MissingCredentialsError: one of the two is not set.
        """
        client_id = os.environ.get(CLIENT_ID_VARIABLE, "").strip()
        client_secret = os.environ.get(CLIENT_SECRET_VARIABLE, "").strip()
        if not client_id or not client_secret:
            raise MissingCredentialsError
        return cls(client_id=client_id, client_secret=SecretStr(client_secret), **urls)

    def get_transfer_client(self) -> globus_sdk.TransferClient:
        """A new client of Globus Transfer with a session of its own: use it in one thread, and close it.

        Raises:
            MissingCredentialsError: nothing is given here or in the environment.
        """
        authorizer = self._authorizer(TransferScopes.all, TransferScopes.resource_server)
        return globus_sdk.TransferClient(authorizer=authorizer, base_url=self.transfer_url)

    def get_timers_client(self) -> globus_sdk.TimersClient:
        """A new client of Globus Timers with a session of its own: use it in one thread, and close it.

        Raises:
            MissingCredentialsError: nothing is given here or in the environment.
        """
        authorizer = self._authorizer(TimersScopes.timer, TimersScopes.resource_server)
        return globus_sdk.TimersClient(authorizer=authorizer, base_url=self.timers_url)

    def _authorizer(self, scope: Scope, resource_server: str) -> GlobusAuthorizer:
        if self.access_token is not None:
            return globus_sdk.AccessTokenAuthorizer(self.access_token.get_secret_value())
        if self.client_id is None:
            return type(self).from_environment(auth_url=self.auth_url)._authorizer(scope, resource_server)  # noqa: SLF001
        secret = self.client_secret.get_secret_value() if self.client_secret else None
        refresh_token = self.refresh_token.get_secret_value() if self.refresh_token else None
        login = Login(self.client_id, secret, refresh_token, self.auth_url or get_service_url("auth"))
        return shared_authorizer(login, scope, resource_server)
