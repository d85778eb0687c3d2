"""Clients: who asks for tokens, and how it proves who it is.

Without `--client` any client id is a client, and any secret is the right one: the emulator is a place for tests. A
client that sends no secret is a native one, and proves itself by PKCE. With `--client` there is one client, which
always needs its secret, and native clients are refused.
"""

from __future__ import annotations

import secrets
import uuid
from typing import TYPE_CHECKING, NamedTuple

from prefect_globus.emulator.auth.errors import OAuthError
from prefect_globus.emulator.auth.scopes import AUTH_SERVER
from prefect_globus.emulator.auth.tokens import digest
from prefect_globus.emulator.basic import basic_credentials, is_same
from prefect_globus.emulator.identities import TokenOwner, identity_of

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping

    from prefect_globus.emulator.database import Database
    from prefect_globus.emulator.site import Site

LONGEST_ID = 200


class Caller(NamedTuple):
    """A client that has shown who it is; one without a secret is a native client."""

    client_id: str
    has_secret: bool


class Instance(NamedTuple):
    """A confidential client that was made from a native one, as globus-cli does at a login."""

    id: str
    name: str
    template: str
    credential: str


class ClientStore:
    """The instances of a state file."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def create(self, template: str, name: str) -> tuple[Instance, str]:
        """Return a new instance of a native client, and its secret."""
        instance = Instance(str(uuid.uuid4()), name, template, str(uuid.uuid4()))
        secret = secrets.token_urlsafe(32)
        with self._database.transaction() as connection:
            connection.execute("INSERT INTO clients VALUES (?, ?, ?, ?, ?)", (*instance, digest(secret)))
        return instance, secret

    def find(self, client_id: str) -> Instance | None:
        """Return an instance, or None if this client is none."""
        row = self._row(client_id)
        return None if row is None else Instance(*row[:-1])

    def accepts(self, client_id: str, secret: str | None) -> bool:
        """Return whether this is the secret of the client: any is, and none, for a client that is no instance."""
        row = self._row(client_id)
        return row is None or (secret is not None and is_same(row["digest"], digest(secret)))

    def delete(self, client_id: str) -> None:
        """Forget an instance."""
        with self._database.transaction() as connection:
            connection.execute("DELETE FROM clients WHERE id = ?", (client_id,))

    def _row(self, client_id: str) -> sqlite3.Row | None:
        found = self._database.rows("SELECT * FROM clients WHERE id = ?", (client_id,))
        return found[0] if found else None


def authenticate(site: Site, authorization: str, form: Mapping[str, str]) -> Caller:
    """Return the client that sent a request, by Basic authentication or by its form. Raises OAuthError."""
    given = basic_credentials(authorization) or (form.get("client_id", ""), form.get("client_secret", ""))
    client_id, secret = given[0], given[1] or None
    if not is_client_id(client_id):
        raise OAuthError(401, "invalid_client", "A client id is required")
    if not _is_right(site, client_id, secret):
        raise OAuthError(401, "invalid_client", "Client authentication failed")
    return Caller(client_id, has_secret=secret is not None)


def as_itself(site: Site, authorization: str) -> TokenOwner | None:
    """Return what a client may do at Globus Auth by Basic authentication alone, or None if that is none or wrong."""
    try:
        caller = confidential(authenticate(site, authorization, {}))
    except OAuthError:
        return None
    return TokenOwner(caller.client_id, identity_of(caller.client_id), AUTH_SERVER, "")


def confidential(caller: Caller) -> Caller:
    """Return a client that has shown a secret. Raises OAuthError for a native one."""
    if not caller.has_secret:
        raise OAuthError(401, "invalid_client", "A client id and a client secret are required")
    return caller


def may_log_users_in(site: Site, client_id: str) -> bool:
    """Return whether a client may send users to the login page."""
    return is_client_id(client_id) and (site.client is None or is_same(site.client[0], client_id))


def is_client_id(text: str) -> bool:
    """Return whether a text can be the id of a client."""
    return 0 < len(text) <= LONGEST_ID and text.isprintable()


def _is_right(site: Site, client_id: str, secret: str | None) -> bool:
    if site.client is None:
        return site.clients.accepts(client_id, secret)
    return is_same(site.client[0], client_id) & is_same(site.client[1], secret or "")
