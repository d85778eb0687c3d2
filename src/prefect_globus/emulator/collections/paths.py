"""Paths inside a collection, as the API spells them: absolute, separated by `/`, and `/~/` is the top.

The help of globus-cli writes `~/data`, too. It is taken as `/~/data`: how Globus shows it is not known [inferred].
"""

from __future__ import annotations

import re

Parts = tuple[str, ...]

FORBIDDEN = re.compile(r"[\0\r\n]")


def absolute_path(path: str) -> str:
    """Return `path` with the `/` that `~/data` lacks."""
    return f"/{path}" if path.startswith("~/") else path


def path_problem(path: str) -> str | None:
    """Return why `path` cannot be used in a request, or None (contract section 5, names)."""
    if not path.startswith("/"):
        return f"Path must be absolute, beginning with '/' or '~/': {path!r}"
    if FORBIDDEN.search(path):
        return f"Path contains a character that is not allowed: {path!r}"
    if ".." in path and ".." in path.split("/"):
        return f"Path must not contain '..': {path!r}"
    return None


def path_parts(path: str) -> Parts:
    """Return the names along `path`, from the top of the collection."""
    parts = [part for part in path.split("/") if part and part != "."]
    if parts and parts[0] == "~":
        del parts[0]
    return tuple(parts)


def child_path(directory: str, name: str) -> str:
    """Return the path of `name` in `directory`, spelled as the directory was."""
    return f"{directory.rstrip('/')}/{name}"
