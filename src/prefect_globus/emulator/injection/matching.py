"""Whether a request is one that a fault is for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from urllib.parse import parse_qsl

import orjson

from prefect_globus.emulator.collections.model import CollectionSpec
from prefect_globus.emulator.collections.paths import absolute_path, path_parts
from prefect_globus.emulator.injection.model import InjectedFault, RequestFault
from prefect_globus.emulator.tasks.submission import canonical_uuid

COLLECTION_KEYS = frozenset({"source_endpoint", "destination_endpoint", "endpoint"})
FILE_KEYS = frozenset({"path", "old_path", "new_path", "source_path", "destination_path"})


def collection_id(collections: Mapping[str, CollectionSpec], asked: str) -> str | None:
    """Return the UUID of a collection by its name or its UUID, or None if it is not served.

    Args:
        collections: what is served, by UUID.
        asked: the name or the UUID.
    """
    identifier = canonical_uuid(asked)
    if identifier in collections:
        return identifier
    return next((one.uuid for one in collections.values() if one.name == asked), None)


@dataclass(frozen=True, slots=True)
class Names:
    """The collections and the paths in them that a request names."""

    collections: frozenset[str]
    files: tuple[str, ...]

    @classmethod
    def of(cls, path: str, query: bytes, body: bytes) -> Names:
        """Read them out of a URL and a body, which may be anything at all."""
        named = [*_pairs(_loaded(body)), *parse_qsl(query.decode("latin-1"), errors="replace")]
        collections = {value.lower() for key, value in named if key in COLLECTION_KEYS}
        files = tuple(value for key, value in named if key in FILE_KEYS)
        return cls(frozenset(collections | {part.lower() for part in path.split("/")}), files)


@dataclass(frozen=True, slots=True)
class RequestFacts:
    """What of a request can be matched."""

    method: str
    path: str
    client: str | None
    names: Names

    def is_meant_by(self, found: InjectedFault, collections: Mapping[str, CollectionSpec]) -> bool:
        """Tell whether a fault is for this request. `collections` are those that are served."""
        fault = found.fault
        return (
            isinstance(fault, RequestFault)
            and fault.method in (None, self.method)
            and (fault.path is None or fnmatchcase(self.path, fault.path))
            and fault.client in (None, self.client)
            and (fault.collection is None or collection_id(collections, fault.collection) in self.names.collections)
            and file_matches(fault.file, self.names.files)
        )


def file_matches(glob: str | None, paths: Iterable[str]) -> bool:
    """Tell whether a glob matches one of these paths, as it is spelled or from the top of its collection."""
    return glob is None or any(
        fnmatchcase(absolute_path(path), glob) or fnmatchcase("/" + "/".join(path_parts(path)), glob) for path in paths
    )


def _loaded(body: bytes) -> object:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return None


def _pairs(document: object) -> Iterator[tuple[str, str]]:
    """Yield every key of a document, at any depth, whose value is a text."""
    waiting = [document]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            yield from ((key, value) for key, value in one.items() if isinstance(value, str))
        if isinstance(one, (dict, list)):
            waiting.extend(one.values() if isinstance(one, dict) else one)
