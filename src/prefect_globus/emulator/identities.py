"""Who is who: the identity of a client, and the one that owns every collection."""

from __future__ import annotations

import base64
import uuid

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
