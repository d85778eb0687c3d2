"""Reading the documents of faults that come over HTTP: checked whole before anything happens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from prefect_globus.emulator.errors import BadRequest
from prefect_globus.emulator.injection.matching import collection_id
from prefect_globus.emulator.injection.model import FAULTS, Fault, RequestFault
from prefect_globus.emulator.tasks.submission import canonical_uuid

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pydantic_core import ErrorDetails

    from prefect_globus.emulator.site import Site

Document = dict[str, Any]
Kind = TypeVar("Kind")

WILDCARDS = frozenset("*?[")
ADAPTERS: dict[type, TypeAdapter[Any]] = {
    kind: TypeAdapter(kind) for fault in FAULTS.values() for kind in (fault, *fault.EFFECTS.values())
}


def read_fault(document: Document, site: Site, is_served: Callable[[str, str | None], bool]) -> Fault:
    """Return the fault of a document.

    Args:
        document: what a client has sent.
        site: whose collections and tasks it may name.
        is_served: tells whether a path of a URL, with a method or with any, leads to anything.

    Raises:
        BadRequest: if it is no fault, or one that can never match.
    """
    fault = _chosen(document, "kind", FAULTS)
    effect_document = document.get("effect")
    if not isinstance(effect_document, dict):
        raise BadRequest("'effect' must be an object")
    effect: object = _read(_chosen(effect_document, "effect.kind", fault.EFFECTS), effect_document, "effect.")
    read = _read(fault, document | {"effect": effect}, "")
    _check_can_match(read, site, is_served)
    return read


def _chosen(document: Document, name: str, known: Mapping[str, Kind]) -> Kind:
    kind = document.get("kind")
    if not isinstance(kind, str) or kind not in known:
        raise BadRequest(f"'{name}' must be one of {', '.join(known)}")
    return known[kind]


def _read(kind: type[Kind], document: Document, prefix: str) -> Kind:
    try:
        read: Kind = ADAPTERS[kind].validate_python(document)
    except ValidationError as error:
        raise BadRequest("; ".join(_problem(prefix, one) for one in error.errors())) from error
    return read


def _problem(prefix: str, error: ErrorDetails) -> str:
    where = f"{prefix}{'.'.join(map(str, error['loc']))}".strip(".")
    message = error["msg"].removeprefix("Value error, ")
    return f"{where}: {message}" if where else message


def _check_can_match(fault: Fault, site: Site, is_served: Callable[[str, str | None], bool]) -> None:
    if fault.collection is not None and collection_id(site.collections, fault.collection) is None:
        names = ", ".join(sorted(site.names.values()))
        raise BadRequest(f"'collection' can never match: {fault.collection!r} is not served. Served are {names}")
    if isinstance(fault, RequestFault):
        path, method = fault.path, fault.method
        if path is not None and not WILDCARDS.intersection(path) and not is_served(path, method):
            asked = path if method is None else f"{method} {path}"
            raise BadRequest(f"'path' can never match: this emulator does not serve {asked}")
    elif fault.task is not None and canonical_uuid(fault.task) != fault.task:
        raise BadRequest(f"'task' can never match: {fault.task!r} is no task id")
