"""Classes of errors: by HTTP status, Globus code and event code, never by message text."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum

from prefect_globus.transfers.records import Record


class FaultClass(StrEnum):
    """What an error means for the transfer."""

    TRANSIENT = "transient"  # the same again may work: wait and retry
    PERMANENT_ITEM = "permanent for an item"  # this item will never work; the rest of its batch goes on
    PERMANENT_ALL = "permanent for all"  # nothing of the transfer will work until a person has done something
    NEEDS_PERSON = "needs a person"  # goes on by itself when a person has mended it
    CONFLICT = "conflict"  # another unfinished task covers the same paths


class Fault(Record):
    """An error that Globus reported.

    Args:
        code: Globus' error or event code, such as ``EndpointError`` or ``FILE_NOT_FOUND``; empty when there is none.
        status: the HTTP status of an answer; 0 when none came; None for the event of a task.
    """

    code: str = ""
    status: int | None = None


Rule = Callable[[Fault], FaultClass | None]

_ITEM_EVENTS = frozenset(
    {
        "AMBIGUOUS_PATH",
        "EXTERNAL_CHECKSUM_MISMATCH",
        "FILE_NOT_FOUND",
        "INVALID_PATH_NAME",
        "INVALID_SYMLINK",
        "PERMISSION_DENIED",
    }
)
_PERSON_EVENTS = frozenset({"AUTH", "GC_PAUSED", "PAUSED", "PAUSED_BY_ADMIN"})
_PERSON_CODES = frozenset({"ConsentRequired", "AuthPolicyFailed", "OperationPaused"})
_CLIENT_ERRORS = range(400, 500)
_SERVER_ERRORS = range(500, 600)


def no_answer(fault: Fault) -> FaultClass | None:
    """Refused or reset connections, and timeouts."""
    return FaultClass.TRANSIENT if fault.status == 0 else None


def identical_paths(fault: Fault) -> FaultClass | None:
    """A 409 at submission (contract, section 2)."""
    return FaultClass.CONFLICT if fault.status == 409 else None  # noqa: PLR2004


def consent_or_policy(fault: Fault) -> FaultClass | None:
    """A consent, a session policy or an administrator's pause (contract, section 2)."""
    return FaultClass.NEEDS_PERSON if fault.status is not None and fault.code in _PERSON_CODES else None


def too_busy(fault: Fault) -> FaultClass | None:
    """Rate limits and full queues (contract, sections 2 and 10)."""
    return FaultClass.TRANSIENT if fault.status in (408, 425, 429) or fault.code == "TooManyPendingJobs" else None


def path_on_collection(fault: Fault) -> FaultClass | None:
    """A collection's refusal of one path, however the service wraps it (contract, section 2)."""
    ends = ("PermissionDenied", "NotDirectory", "SizeLimit", ".Exists")
    wrapped = fault.status is not None and fault.code.endswith(ends) and fault.code.startswith("ExternalError")
    return FaultClass.PERMANENT_ITEM if wrapped or fault.code == "EndpointPermissionDenied" else None


def client_error(fault: Fault) -> FaultClass | None:
    """Any other 4xx: the request itself will not do."""
    return FaultClass.PERMANENT_ALL if fault.status in _CLIENT_ERRORS else None


def server_error(fault: Fault) -> FaultClass | None:
    """Any other 5xx."""
    return FaultClass.TRANSIENT if fault.status in _SERVER_ERRORS else None


def item_event(fault: Fault) -> FaultClass | None:
    """Events that only another path or another permission will end (task behaviour, section 4)."""
    return FaultClass.PERMANENT_ITEM if fault.status is None and fault.code in _ITEM_EVENTS else None


def person_event(fault: Fault) -> FaultClass | None:
    """Events that wait for a person."""
    return FaultClass.NEEDS_PERSON if fault.status is None and fault.code in _PERSON_EVENTS else None


RULES: tuple[Rule, ...] = (
    no_answer,
    identical_paths,
    consent_or_policy,
    too_busy,
    path_on_collection,
    client_error,
    server_error,
    item_event,
    person_event,
)


def classify(fault: Fault) -> FaultClass:
    """The class that the first matching rule gives; TRANSIENT when none does, as Globus itself retries the unknown."""
    for rule in RULES:
        if (verdict := rule(fault)) is not None:
            return verdict
    return FaultClass.TRANSIENT
