"""Who is who: the identity of a client, and the one that owns every collection."""

from __future__ import annotations

import base64
import uuid
from typing import NamedTuple

OWNER_ID = "3f8a7d54-0a0c-4f6c-9e4e-6d0a4e0c51aa"  # the made-up identity that owns every collection
OWNER_NAME = "emulator@localhost"


def identity_of(client_id: str) -> str:
    """Return the identity of a client: its own id, which Globus makes a UUID, or one derived from any other text."""
    try:
        return str(uuid.UUID(client_id))
    except ValueError:
        return str(uuid.uuid5(uuid.NAMESPACE_URL, f"prefect-globus-emulator:client:{client_id}"))


def username(identity: str) -> str:
    """Return the deprecated user name `u_...` of an identity (contract section 4)."""
    return "u_" + base64.b32encode(uuid.UUID(identity).bytes).decode().rstrip("=").lower()


class TokenOwner(NamedTuple):
    """Whom a token was given to, for which service, and what for.

    Attributes:
        client_id: the client that asked for it.
        identity: whom it acts for: the client itself, or a user who has consented.
        resource_server: the service that it is for.
        scope: the scopes that were granted, separated by blanks.
    """

    client_id: str
    identity: str
    resource_server: str
    scope: str

    @property
    def scopes(self) -> frozenset[str]:
        """The scopes that were granted."""
        return frozenset(self.scope.split())
