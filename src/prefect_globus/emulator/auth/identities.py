"""Identities: the users who have logged in, the clients that act for themselves, and the owner of the collections."""

from __future__ import annotations

import re
import uuid
from typing import TYPE_CHECKING, Any, NamedTuple

from prefect_globus.emulator.identities import OWNER_ID, OWNER_NAME, identity_of

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

    from prefect_globus.emulator.database import Database

DEFAULT_USER = "user@localhost"
USERNAME = re.compile(r"[a-z0-9][a-z0-9._+-]{0,63}@[a-z0-9][a-z0-9.-]{0,99}")
ORGANIZATION = "Local Globus emulator"
CLIENT_DOMAIN = "clients.auth.globus.org"

Document = dict[str, Any]


class Provider(NamedTuple):
    """Who vouches for identities."""

    id: str
    name: str
    short_name: str
    domain: str

    @property
    def document(self) -> Document:
        """The document of an identity provider, as the SDK's canned one."""
        return {
            "id": self.id,
            "name": self.name,
            "short_name": self.short_name,
            "alternative_names": [],
            "domains": [self.domain],
        }


USERS = Provider("8f2a4d7e-3f51-5f0e-9b51-6c1de24aa001", "Local users of the emulator", "local", "localhost")
CLIENTS = Provider("8f2a4d7e-3f51-5f0e-9b51-6c1de24aa002", "Clients of the emulator", "clients", CLIENT_DOMAIN)
PROVIDERS = (USERS, CLIENTS)


class Identity(NamedTuple):
    """Someone who can own tasks and give consents."""

    id: str
    username: str
    name: str | None
    email: str | None
    organization: str | None
    is_client: bool

    @property
    def provider(self) -> Provider:
        """Who vouches for it."""
        return CLIENTS if self.is_client else USERS

    @property
    def document(self) -> Document:
        """The document of an identity, as the SDK's canned one."""
        return {
            "id": self.id,
            "username": self.username,
            "name": self.name,
            "email": self.email,
            "organization": self.organization,
            "identity_provider": self.provider.id,
            "identity_type": "login",
            "status": "used",
        }


class IdentityStore:
    """The identities of a state file. Whoever was seen once is remembered."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def user(self, username: str) -> Identity:
        """Return the user of a name that `read_username` has returned; the same name is always the same identity."""
        made_up = uuid.uuid5(uuid.NAMESPACE_URL, f"prefect-globus-emulator:user:{username}")
        identifier = OWNER_ID if username == OWNER_NAME else str(made_up)
        return self._remember(
            Identity(identifier, username, username.partition("@")[0], username, ORGANIZATION, is_client=False)
        )

    def client(self, client_id: str) -> Identity:
        """Return the identity of a client that acts for itself."""
        identifier = identity_of(client_id)
        return self._remember(
            Identity(identifier, f"{identifier}@{CLIENT_DOMAIN}", client_id, None, None, is_client=True)
        )

    def find(self, identifier: str) -> Identity | None:
        """Return an identity by its id, or None if it was never seen."""
        found = self._select("id", [identifier])
        return found[0] if found else None

    def with_ids(self, ids: Sequence[str]) -> list[Identity]:
        """Return the identities with some ids, as far as they were seen."""
        return self._select("id", ids)

    def with_usernames(self, usernames: Sequence[str]) -> list[Identity]:
        """Return the identities with some names, as far as they were seen."""
        return self._select("username", usernames)

    def _select(self, column: str, values: Sequence[str]) -> list[Identity]:
        marks = ", ".join("?" * len(values))
        query = f"SELECT * FROM identities WHERE {column} IN ({marks}) ORDER BY username"  # noqa: S608 -- ours
        return [_identity(row) for row in self._database.rows(query, tuple(values))]

    def _remember(self, identity: Identity) -> Identity:
        with self._database.transaction() as connection:
            connection.execute("INSERT OR IGNORE INTO identities VALUES (?, ?, ?, ?, ?, ?)", identity)
        return identity


def read_username(text: str) -> str | None:
    """Return a user name in its one form, `name@domain` in small letters, or None if it is none."""
    name = text.strip().lower()
    name = name if "@" in name else f"{name}@{USERS.domain}"
    return name if USERNAME.fullmatch(name) else None


def is_of_client(username: str) -> bool:
    """Tell whether a name is one that clients have, and no user."""
    return username.endswith(f"@{CLIENTS.domain}")


def _identity(row: sqlite3.Row) -> Identity:
    return Identity(
        id=row["id"],
        username=row["username"],
        name=row["name"],
        email=row["email"],
        organization=row["organization"],
        is_client=bool(row["is_client"]),
    )
