"""Tokens: given out once, kept as digests, and looked up on every request."""

from __future__ import annotations

import hashlib
import secrets
import time
from typing import TYPE_CHECKING, NamedTuple

from prefect_globus.emulator.identities import TokenOwner

if TYPE_CHECKING:
    import sqlite3

    from prefect_globus.emulator.database import Database

ACCESS_SECONDS = 172_800  # contract section 8
REFRESH_SECONDS = 183 * 86_400  # unused; six months


class Token(NamedTuple):
    """A token that is good: whose it is, and since when and until when, in seconds since the epoch."""

    owner: TokenOwner
    is_refresh: bool
    issued_at: float
    expires_at: float


class TokenStore:
    """The tokens of a state file.

    A token remembers what it came from, its `parent`: a refresh token, or the code of a login. What revokes that
    revokes it.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def issue(self, owner: TokenOwner, seconds: float, *, is_refresh: bool = False, parent: str | None = None) -> str:
        """Return a new token, good for some seconds, and forget those that have expired."""
        token = f"Ag{secrets.token_urlsafe(48)}"
        now = time.time()
        with self._database.transaction() as connection:
            connection.execute("DELETE FROM tokens WHERE expires_at < ?", (now,))
            connection.execute(
                "INSERT INTO tokens VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (digest(token), *owner, is_refresh, now, now + seconds, digest(parent) if parent else None),
            )
        return token

    def find(self, token: str) -> Token | None:
        """Return what a token stands for, or None if it is unknown, revoked or has expired."""
        found = self._database.rows(
            "SELECT * FROM tokens WHERE digest = ? AND expires_at > ?", (digest(token), time.time())
        )
        return _token(found[0]) if found else None

    def owner(self, token: str) -> TokenOwner | None:
        """Return whose access token this is, or None if it is none that is good."""
        found = self.find(token)
        return found.owner if found is not None and not found.is_refresh else None

    def used(self, token: str, seconds: float) -> None:
        """Let a token be good for some seconds from now on."""
        with self._database.transaction() as connection:
            connection.execute(
                "UPDATE tokens SET expires_at = ? WHERE digest = ?", (time.time() + seconds, digest(token))
            )

    def revoke(self, secret: str) -> None:
        """Revoke a token, and what came from it; or, if this is the code of a login, what came from that."""
        with self._database.transaction() as connection:
            connection.execute(
                "WITH RECURSIVE gone (digest) AS (VALUES (?) UNION "
                "SELECT tokens.digest FROM tokens JOIN gone ON tokens.parent = gone.digest) "
                "DELETE FROM tokens WHERE digest IN (SELECT digest FROM gone)",
                (digest(secret),),
            )

    def revoke_scope(self, connection: sqlite3.Connection, identity: str, client_id: str, scope: str) -> None:
        """Revoke, within a transaction, the tokens that a client has for a scope of an identity."""
        connection.execute(
            "DELETE FROM tokens WHERE identity = ? AND client_id = ? AND instr(' ' || scope || ' ', ?)",
            (identity, client_id, f" {scope} "),
        )


def digest(secret: str) -> str:
    """Return what is kept of a secret."""
    return hashlib.sha256(secret.encode(errors="surrogatepass")).hexdigest()


def _token(row: sqlite3.Row) -> Token:
    owner = TokenOwner(row["client_id"], row["identity"], row["resource_server"], row["scope"])
    return Token(owner, bool(row["is_refresh"]), row["issued_at"], row["expires_at"])
