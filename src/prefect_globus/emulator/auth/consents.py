"""Consents: what an identity lets a client, and the services behind it, do in its name (contract section 8).

A consent stands in a tree, as the scopes of a login do: that Transfer may read a collection is a consent below the one
that the client may use Transfer. Tokens say nothing of what is below their own scope, so services ask here.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

from prefect_globus.emulator.auth.scopes import TIMER, TRANSFER_ACTION, TRANSFER_ALL, data_access, scope_string
from prefect_globus.emulator.errors import ApiError

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Sequence

    from prefect_globus.emulator.auth.scopes import Path, Scope
    from prefect_globus.emulator.auth.tokens import TokenStore
    from prefect_globus.emulator.collections.model import CollectionSpec
    from prefect_globus.emulator.database import Database

ROOT = 0  # the parent of a consent that has none
MISSING_DATA_ACCESS = "Missing required data_access consent"  # contract section 2

TRANSFER_PATHS: tuple[Path, ...] = ((TRANSFER_ALL,),)
# What a timer may go through. The first is what Timers names when a consent is missing, for it is what the SDK and the
# CLI ask for, and can check. The last is what the canned `inactive_gare` names: an older action had a scope of its own.
TIMER_PATHS: tuple[Path, ...] = (
    (TIMER, TRANSFER_ALL),
    (TIMER, TRANSFER_ACTION, TRANSFER_ALL),
    (TRANSFER_ACTION, TRANSFER_ALL),
)


class ConsentRequired(ApiError):  # noqa: N818 -- named as the code that it answers
    """The caller's client lacks consents; the answer says for which scopes (contract section 2)."""

    def __init__(self, required_scopes: Sequence[str]) -> None:
        parameters = {"required_scopes": list(required_scopes), "session_message": MISSING_DATA_ACCESS}
        facts = {"required_scopes": list(required_scopes), "authorization_parameters": parameters}
        super().__init__(403, "ConsentRequired", MISSING_DATA_ACCESS, facts)


class Consent(NamedTuple):
    """One consent; times are in seconds since the epoch, `parent` is 0 for one that stands at the root."""

    number: int
    identity: str
    client_id: str
    parent: int
    scope_name: str
    optional: bool
    allows_refresh: bool
    created: float
    updated: float


class ConsentStore:
    """The consents of a state file."""

    def __init__(self, database: Database, tokens: TokenStore) -> None:
        self._database = database
        self._tokens = tokens

    def grant(self, identity: str, client_id: str, scopes: Sequence[Scope], *, allows_refresh: bool) -> None:
        """Record that an identity lets a client have scopes, parents first. What was granted before stays."""
        now = time.time()
        numbers: dict[Path, int] = {(): ROOT}
        with self._database.transaction() as connection:
            for scope in scopes:
                parent = numbers[scope.path[:-1]]
                row = connection.execute(
                    "INSERT INTO consents (identity, client_id, parent, scope_name, optional, allows_refresh, created,"
                    " updated) VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (identity, client_id, parent, scope_name)"
                    " DO UPDATE SET updated = excluded.updated, allows_refresh = allows_refresh OR"
                    " excluded.allows_refresh RETURNING number",
                    (identity, client_id, parent, scope.name, scope.optional, allows_refresh, now, now),
                ).fetchone()
                numbers[scope.path] = row["number"]

    def of(self, identity: str, client_id: str | None = None) -> list[Consent]:
        """Return what an identity has consented to, parents first; only for one client if it is given."""
        found = self._database.rows(
            "SELECT * FROM consents WHERE identity = ? AND client_id = coalesce(?, client_id) ORDER BY number",
            (identity, client_id),
        )
        return [_consent(row) for row in found]

    def holds(self, identity: str, client_id: str | None, path: Sequence[str]) -> bool:
        """Return whether an identity has consented to a path of scopes, for one client or, with None, for any."""
        parents = {ROOT}
        consents = self.of(identity, client_id)
        for name in path:
            parents = {one.number for one in consents if one.scope_name == name and one.parent in parents}
        return bool(parents)

    def missing(
        self, identity: str, client_id: str | None, collection: str, paths: Sequence[Path] = TRANSFER_PATHS
    ) -> str | None:
        """Return the scope string that lacks a consent for the data of a collection, or None if nothing does.

        Args:
            identity: whose consent is needed.
            client_id: the client that the consent was given to, or None for any.
            collection: UUID of a collection that needs data_access; whether it does is for the caller to know.
            paths: through which scopes it may be reached. One is enough; the first is the one that is named.
        """
        scope = data_access(collection)
        if any(self.holds(identity, client_id, (*path, scope)) for path in paths):
            return None
        return scope_string((*paths[0], scope))

    def all_missing(
        self,
        identity: str,
        client_id: str | None,
        collections: Iterable[CollectionSpec],
        paths: Sequence[Path] = TRANSFER_PATHS,
    ) -> list[str]:
        """Return the `required_scopes` that lack a consent for some collections; those that need none do not count."""
        uuids = dict.fromkeys(one.uuid for one in collections if one.data_access)
        found = (self.missing(identity, client_id, uuid, paths) for uuid in uuids)
        return [scope for scope in found if scope is not None]

    def require(self, identity: str, client_id: str, *collections: CollectionSpec) -> None:
        """Check that a client may reach the data of collections through Transfer. Raises ConsentRequired."""
        missing = self.all_missing(identity, client_id, collections)
        if missing:
            raise ConsentRequired(missing)

    def rescind(self, number: int) -> bool:
        """Take a consent back, with all below it. Return whether there was one.

        A consent that is not optional takes its parent along. Where that reaches the root, the client's tokens for that
        scope are revoked, too [inferred].
        """
        with self._database.transaction() as connection:
            return self._rescind(connection, number)

    def rescind_scope(self, scope: str) -> int:
        """Take back every consent to a scope, whoever has given it, as `rescind` does. Return how many there were."""
        with self._database.transaction() as connection:
            found = connection.execute("SELECT number FROM consents WHERE scope_name = ?", (scope,)).fetchall()
            return sum(self._rescind(connection, row["number"]) for row in found)

    def _rescind(self, connection: sqlite3.Connection, number: int) -> bool:
        consent = _find(connection, number)
        if consent is None:
            return False
        while consent.parent != ROOT and not consent.optional:
            above = _find(connection, consent.parent)
            if above is None:
                break
            consent = above
        connection.execute(
            "WITH RECURSIVE gone (number) AS (VALUES (?) UNION "
            "SELECT consents.number FROM consents JOIN gone ON consents.parent = gone.number) "
            "DELETE FROM consents WHERE number IN (SELECT number FROM gone)",
            (consent.number,),
        )
        if consent.parent == ROOT:
            self._tokens.revoke_scope(connection, consent.identity, consent.client_id, consent.scope_name)
        return True


def _find(connection: sqlite3.Connection, number: int) -> Consent | None:
    row = connection.execute("SELECT * FROM consents WHERE number = ?", (number,)).fetchone()
    return None if row is None else _consent(row)


def _consent(row: sqlite3.Row) -> Consent:
    return Consent(
        number=row["number"],
        identity=row["identity"],
        client_id=row["client_id"],
        parent=row["parent"],
        scope_name=row["scope_name"],
        optional=bool(row["optional"]),
        allows_refresh=bool(row["allows_refresh"]),
        created=row["created"],
        updated=row["updated"],
    )
