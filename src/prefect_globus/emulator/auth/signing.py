"""The key that tokens are signed with. Imported when it is first needed: the cryptography takes a while to load."""

from __future__ import annotations

import json
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

KEY_BITS = 2048


def make_key() -> str:
    """Return a new private key, as PEM."""
    key = rsa.generate_private_key(65537, KEY_BITS)
    plain = serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain).decode()


def signed(pem: str, kid: str, algorithm: str, claims: dict[str, Any]) -> str:
    """Return claims as a token, signed with a key."""
    return jwt.encode(claims, _private(pem), algorithm, {"kid": kid})


def public_part(pem: str) -> dict[str, str]:
    """Return what a JWKS document says of a key."""
    public = json.loads(RSAAlgorithm.to_jwk(_private(pem).public_key()))
    return {name: public[name] for name in ("kty", "n", "e")}


def _private(pem: str) -> rsa.RSAPrivateKey:
    key = serialization.load_pem_private_key(pem.encode(), None)
    if not isinstance(key, rsa.RSAPrivateKey):
        raise TypeError("The signing key of the state is no RSA key")
    return key
