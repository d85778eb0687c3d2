"""Tokens: given out once, kept as digests, and looked up on every request."""

from __future__ import annotations

import hashlib
import time
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from prefect_globus.emulator.database import Database


class TokenOwner(NamedTuple):
    """Whom a token was given to, and for which service."""

    client_id: str
    resource_server: str


class TokenStore:
    """The tokens of a state file."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def save(self, token: str, owner: TokenOwner, expires_at: float) -> None:
        """Keep a token until `expires_at`, in seconds since the epoch, and forget those that have expired."""
        with self._database.transaction() as connection:
            connection.execute("DELETE FROM tokens WHERE expires_at < ?", (time.time(),))
            connection.execute("INSERT INTO tokens VALUES (?, ?, ?, ?)", (_digest(token), *owner, expires_at))

    def owner(self, token: str) -> TokenOwner | None:
        """Return whose token this is, or None if it is unknown or has expired."""
        found = self._database.rows(
            "SELECT client_id, resource_server FROM tokens WHERE digest = ? AND expires_at > ?",
            (_digest(token), time.time()),
        )
        return TokenOwner(*found[0]) if found else None


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
