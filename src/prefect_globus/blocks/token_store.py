"""Where the tokens of a user's login are kept: a file of globus-sdk's, which threads and processes share."""

from __future__ import annotations

import os
import sqlite3
import stat
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import requests
from globus_sdk.services.auth import OAuthTokenResponse
from globus_sdk.token_storage import SQLiteTokenStorage, TokenStorageData
from platformdirs import user_data_path

from prefect_globus.blocks.authorizers import AccessToken, ClientLogin
from prefect_globus.blocks.safe_files import locked
from prefect_globus.transfers.errors import LoginExpiredError, NotLoggedInError, TokenFileError

TOKEN_FILE_VARIABLE = "PREFECT_GLOBUS_TOKEN_FILE"  # noqa: S105 - a name, not a secret
_LOCK_SECONDS = 120.0  # longer than a process needs that renews a token while Globus Auth is slow
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


def default_token_file() -> Path:
    """The token file that PREFECT_GLOBUS_TOKEN_FILE names, or else one in the user's data folder."""
    named = os.environ.get(TOKEN_FILE_VARIABLE)
    return Path(named).expanduser() if named else user_data_path("prefect-globus") / "login" / "tokens.db"


class StoredLogin(NamedTuple):
    """What is kept of a login: who has logged in with which client, and the tokens, by the name of their service."""

    client_id: str
    tokens: Mapping[str, TokenStorageData]

    def __repr__(self) -> str:
        return f"StoredLogin({self.client_id!r}, {list(self.tokens)!r})"

    @property
    def identity(self) -> str | None:
        """The identity that has logged in; None when that was not asked for."""
        return next((token.identity_id for token in self.tokens.values() if token.identity_id), None)


class TokenStore:
    """The login that a file keeps for one Globus Auth. Only its owner can read the file.

    Whoever reads or writes holds a lock, also while it renews a token: so no two processes use up one refresh token,
    and each finds what another has renewed. SQLite keeps a write whole.

    Args:
        path: the file; it need not exist.
        auth_url: the Globus Auth that has given the tokens: they are shown to no other.
    """

    def __init__(self, path: Path, auth_url: str) -> None:
        self.path = path.expanduser()
        self._auth_url = auth_url
        self._origin = urlsplit(auth_url)._replace(path="", query="", fragment="").geturl().lower()

    def login(self) -> StoredLogin | None:
        """The login that is kept; None when there is none.

        Raises:
            TokenFileError: the file cannot be read, or others can read it.
        """
        with self._opened() as storage:
            return self._find(storage) if storage is not None else None

    def keep(self, client_id: str, tokens: OAuthTokenResponse) -> None:
        """Keep a login in place of the one before."""
        with self._opened(make=True) as storage:
            assert storage is not None  # noqa: S101 - it was to be made
            self._remove(storage)
            storage.namespace = self._namespace(client_id)
            storage.store_token_response(tokens)

    def remove(self) -> None:
        """Forget the login; no error when there is none."""
        with self._opened() as storage:
            if storage is not None:
                self._remove(storage)
                if next(storage.iter_namespaces(), None) is None:
                    self.path.unlink()  # SQLite leaves what was deleted in the file

    def access_token(self, resource_server: str, refused: str) -> AccessToken:
        """A token for a service: the one that is kept, or a new one when that has expired or is the ``refused`` one.

        Raises:
            NotLoggedInError: there is no login, or none for this service.
            LoginExpiredError: the token is of no use any more and cannot be renewed.
            TokenFileError: the file cannot be read or written.
        """
        with self._opened() as storage:
            login = self._find(storage) if storage is not None else None
            if storage is None or login is None or resource_server not in login.tokens:
                raise NotLoggedInError(path=self.path, auth_url=self._auth_url, service=resource_server)
            kept = login.tokens[resource_server]
            token = AccessToken(kept.access_token, kept.expires_at_seconds)
            if token.is_fresh and token.secret != refused:
                return token
            if kept.refresh_token is None:
                raise LoginExpiredError(path=self.path, service=resource_server)
            renewed = self._renewed(login.client_id, kept)
            storage.namespace = self._namespace(login.client_id)
            storage.store_token_data_by_resource_server({resource_server: renewed})
            return AccessToken(renewed.access_token, renewed.expires_at_seconds)

    def _renewed(self, client_id: str, kept: TokenStorageData) -> TokenStorageData:
        answer = ClientLogin(client_id, None, kept.refresh_token, self._auth_url).ask(kept.scope)
        token = answer.by_resource_server[kept.resource_server]
        return TokenStorageData(
            resource_server=kept.resource_server,
            identity_id=kept.identity_id,
            scope=token["scope"],
            access_token=token["access_token"],
            refresh_token=token.get("refresh_token") or kept.refresh_token,
            expires_at_seconds=token["expires_at_seconds"],
            token_type=token.get("token_type"),
        )

    def _namespace(self, client_id: str) -> str:
        return f"{self._origin} {client_id}"

    def _find(self, storage: SQLiteTokenStorage) -> StoredLogin | None:
        for namespace in storage.iter_namespaces():
            origin, _, client_id = namespace.rpartition(" ")
            if origin == self._origin:
                storage.namespace = namespace
                try:
                    return StoredLogin(client_id, storage.get_token_data_by_resource_server())
                except (ValueError, TypeError, AttributeError) as error:
                    raise TokenFileError(path=self.path, reason=f"{type(error).__name__} in what it holds") from error
        return None

    def _remove(self, storage: SQLiteTokenStorage) -> None:
        while (login := self._find(storage)) is not None:
            for resource_server in login.tokens:
                storage.remove_token_data(resource_server)

    @contextmanager
    def _opened(self, *, make: bool = False) -> Iterator[SQLiteTokenStorage | None]:
        """The file, locked; None when there is none and it is not to be made."""
        if not make and not self.path.exists():
            yield None
            return
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with locked(self.path.with_name(f"{self.path.name}.lock"), _LOCK_SECONDS):
                if self.path.exists() and self.path.stat().st_mode & _OTHERS:
                    reason = f"others than its owner can read it. Mend that with: chmod 600 {self.path}"
                    raise TokenFileError(path=self.path, reason=reason)
                if self.path.exists() and not self.path.stat().st_size:
                    self.path.unlink()  # whoever made it was killed before anything was in it
                with closing(SQLiteTokenStorage(self.path)) as storage:
                    yield storage
        except requests.RequestException:  # an OSError, but Globus Auth's
            raise
        except (OSError, sqlite3.Error) as error:
            raise TokenFileError(path=self.path, reason=str(error) or type(error).__name__) from error


class FileLogin(NamedTuple):
    """The login in a token file."""

    path: Path
    auth_url: str

    @property
    def acts_for_itself(self) -> bool:
        """See `prefect_globus.blocks.authorizers.Login`: no, a user has to consent."""
        return False

    def token(self, scope: str, resource_server: str, refused: str) -> AccessToken:  # noqa: ARG002 - it is for what was asked at the login
        """See `prefect_globus.blocks.authorizers.Login`."""
        return TokenStore(self.path, self.auth_url).access_token(resource_server, refused)
