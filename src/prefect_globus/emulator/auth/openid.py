"""OpenID Connect: who has logged in, signed (contract section 8)."""

from __future__ import annotations

import base64
import hashlib
import time
import uuid
from typing import TYPE_CHECKING, Any

from prefect_globus.emulator.auth.scopes import VIEW_IDENTITY_SET

if TYPE_CHECKING:
    from collections.abc import Collection

    from prefect_globus.emulator.auth.identities import Identity
    from prefect_globus.emulator.database import Database

ALGORITHM = "RS512"

Document = dict[str, Any]


class SigningKeyStore:
    """The key of a state file. It is made when it is first needed, as that takes a moment."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def sign(self, claims: Document) -> str:
        """Return claims as a signed token."""
        from prefect_globus.emulator.auth import signing  # noqa: PLC0415 -- see there

        kid, pem = self._key()
        return signing.signed(pem, kid, ALGORITHM, claims)

    def public(self) -> Document:
        """Return the JWKS document, with the one key."""
        from prefect_globus.emulator.auth import signing  # noqa: PLC0415

        kid, pem = self._key()
        return {"keys": [signing.public_part(pem) | {"kid": kid, "alg": ALGORITHM, "use": "sig"}]}

    def _key(self) -> tuple[str, str]:
        found = self._database.rows("SELECT kid, pem FROM signing_keys LIMIT 1")
        if not found:
            self._make()
            return self._key()
        return found[0]["kid"], found[0]["pem"]

    def _make(self) -> None:
        from prefect_globus.emulator.auth import signing  # noqa: PLC0415

        pem = signing.make_key()
        with self._database.transaction() as connection:  # of two threads that make one, the first has made it
            connection.execute(
                "INSERT INTO signing_keys SELECT ?, ? WHERE NOT EXISTS (SELECT 1 FROM signing_keys)",
                (str(uuid.uuid4()), pem),
            )


def configuration(origin: str) -> Document:
    """Return the discovery document, with the fields and values of the real one but for the origin."""
    return {
        "issuer": origin,
        "authorization_endpoint": f"{origin}/v2/oauth2/authorize",
        "userinfo_endpoint": f"{origin}/v2/oauth2/userinfo",
        "token_endpoint": f"{origin}/v2/oauth2/token",
        "revocation_endpoint": f"{origin}/v2/oauth2/token/revoke",
        "jwks_uri": f"{origin}/jwk.json",
        "response_types_supported": ["code"],
        "id_token_signing_alg_values_supported": [ALGORITHM],
        "scopes_supported": ["openid", "email", "profile"],
        "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post", "none"],
        "code_challenge_methods_supported": ["S256"],
        "claims_supported": [
            "at_hash",
            "aud",
            "email",
            "exp",
            "iat",
            "iss",
            "name",
            "nonce",
            "organization",
            "preferred_username",
            "sub",
        ],
        "subject_types_supported": ["public"],
    }


def claims(identity: Identity, scopes: Collection[str]) -> Document:
    """Return what is told of an identity for some scopes."""
    told: Document = {"sub": identity.id}
    if "profile" in scopes:
        told |= {
            "preferred_username": identity.username,
            "name": identity.name,
            "organization": identity.organization,
            "identity_provider": identity.provider.id,
            "identity_provider_display_name": identity.provider.name,
        }
    if "email" in scopes:
        told["email"] = identity.email
    if VIEW_IDENTITY_SET in scopes:
        told["identity_set"] = [identity_set_entry(identity)]
    return told


def identity_set_entry(identity: Identity) -> Document:
    """Return an identity as an identity set shows it. Here nobody has more than one."""
    return {
        "sub": identity.id,
        "username": identity.username,
        "name": identity.name,
        "email": identity.email,
        "organization": identity.organization,
        "identity_provider": identity.provider.id,
        "identity_provider_display_name": identity.provider.name,
    }


def id_token_claims(told: Document, *, issuer: str, client_id: str, access_token: str, seconds: int) -> Document:
    """Return the claims of an id_token, which is good for some seconds."""
    now = int(time.time())
    return told | {
        "iss": issuer,
        "aud": client_id,
        "iat": now,
        "exp": now + seconds,
        "at_hash": _half_hash(access_token),
    }


def _half_hash(access_token: str) -> str:
    """Return the left half of the SHA-512 of a token (OpenID Connect Core, section 3.1.3.6)."""
    half = hashlib.sha512(access_token.encode()).digest()[:32]
    return base64.urlsafe_b64encode(half).decode().rstrip("=")
