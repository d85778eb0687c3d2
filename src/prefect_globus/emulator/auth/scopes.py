"""Scope strings: `A[B[*C]] D` is A, which depends on B, which depends on C, and D (contract section 8)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

TRANSFER_SERVER = "transfer.api.globus.org"
AUTH_SERVER = "auth.globus.org"
TIMERS_SERVER = "524230d7-ea86-4a52-8312-86065a9e0417"
TRANSFER_ALL = f"urn:globus:auth:scope:{TRANSFER_SERVER}:all"
TIMER = f"https://auth.globus.org/scopes/{TIMERS_SERVER}/timer"
TRANSFER_ACTION = "https://auth.globus.org/scopes/actions.globus.org/transfer/transfer"
VIEW_IDENTITY_SET = "urn:globus:auth:scope:auth.globus.org:view_identity_set"
OPENID_SCOPES = frozenset({"openid", "profile", "email"})

# Services whose scopes carry the id of a client, while their tokens carry a name (the SDK's FlowsScopes, ComputeScopes)
NAMED_SERVERS = {
    "eec9b274-0c81-4334-bdc2-54e90e689b9a": "flows.globus.org",
    "facd7ccc-c5f4-42aa-916b-a0e270e2c2a9": "funcx_service",
}
URN_SCOPE = re.compile(r"urn:globus:auth:scope:([^:\s]+):\S+")
URL_SCOPE = re.compile(r"https://auth\.globus\.org/scopes/([^/\s]+)/\S+")
DATA_ACCESS = re.compile(r"https://auth\.globus\.org/scopes/([^/\s]+)/data_access")
SYMBOL = re.compile(r"[\[\]]|[^\s\[\]]+")

LONGEST_TEXT = 20_000  # characters; what a header or a URL could carry anyway
DEEPEST = 16

Path = tuple[str, ...]


class ScopeError(ValueError):
    """The scope string is malformed, or names a scope that is not known."""


class Scope(NamedTuple):
    """One scope of a string.

    Attributes:
        path: the scopes from the root to this one, itself included.
        optional: whether it was written with a `*`: its consent can be rescinded without that of its parent.
    """

    path: Path
    optional: bool

    @property
    def name(self) -> str:
        """The scope itself."""
        return self.path[-1]


def parse_scopes(text: str) -> list[Scope]:
    """Return every scope of a string, each after the one it depends on, and each once. Raises ScopeError."""
    if len(text) > LONGEST_TEXT:
        raise ScopeError(f"The scopes are longer than {LONGEST_TEXT} characters")
    found: dict[Path, Scope] = {}
    above: list[Path] = [()]
    last: Path = ()
    for symbol in SYMBOL.findall(text):
        if symbol == "[":
            if not last or len(above) > DEEPEST:
                raise ScopeError("A bracket opens where no scope stands before it, or too deep")
            above.append(last)
            last = ()
        elif symbol == "]":
            if len(above) == 1 or not last:
                raise ScopeError("Brackets of the scope do not match, or are empty")
            last = above.pop()
        else:
            name = symbol.removeprefix("*")
            _check(name)
            last = (*above[-1], name)
            known = found.get(last)
            found[last] = Scope(last, symbol.startswith("*") and (known is None or known.optional))
    if len(above) != 1:
        raise ScopeError("Brackets of the scope do not match")
    return list(found.values())


def roots(scopes: Sequence[Scope]) -> list[str]:
    """Return the scopes that depend on no other: those that are granted."""
    return [scope.name for scope in scopes if len(scope.path) == 1]


def resource_server(scope: str) -> str:
    """Return the service that a scope belongs to. Raises ScopeError."""
    if scope in OPENID_SCOPES:
        return AUTH_SERVER
    found = URN_SCOPE.fullmatch(scope) or URL_SCOPE.fullmatch(scope)
    if found is None:
        raise ScopeError(f"Unknown scope: {scope[:200]}")
    return NAMED_SERVERS.get(found[1], found[1])


def data_access(collection: str) -> str:
    """Return the scope that lets a service read and write a mapped collection."""
    return f"https://auth.globus.org/scopes/{collection}/data_access"


def scope_string(path: Sequence[str]) -> str:
    """Return a path as a scope string: A, B, C is `A[B[*C]]`, in the way of the service's own documents."""
    *parents, name = path
    if not parents:
        return name
    return "[".join(parents) + f"[*{name}" + "]" * len(parents)


def _check(name: str) -> None:
    if not name or "*" in name:
        raise ScopeError("A '*' must stand right before a scope")
    resource_server(name)
