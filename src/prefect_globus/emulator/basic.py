"""HTTP Basic authentication (RFC 7617)."""

from __future__ import annotations

import base64
import binascii
import hmac


def basic_credentials(authorization: str) -> tuple[str, str] | None:
    """Return the user name and the password of an Authorization header; both are empty if they cannot be read.

    Returns None for a header that is not of the Basic scheme.
    """
    scheme, _, encoded = authorization.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        name, _, password = base64.b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        return "", ""
    return name, password


def is_same(one: str, other: str) -> bool:
    """Compare two secrets, in a time that tells nothing of them."""
    return hmac.compare_digest(one.encode(), other.encode())
