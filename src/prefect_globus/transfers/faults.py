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
    """An error that Globus reported, or that kept it from being asked.

    Args:
        code: Globus' error or event code, such as ``EndpointError`` or ``FILE_NOT_FOUND``; where no answer came, the
            name of the error's class, such as ``ConnectTimeout``; empty when there is none.
        status: the HTTP status of an answer; 0 when none came; None for the event of a task.
        fatal: whether the task has ended with it.
    """

    code: str = ""
    status: int | None = None
    fatal: bool = False


Rule = Callable[[Fault], FaultClass | None]

# Task behaviour, sections 4.1 and 4.2; the last two are in no public list: a file where a directory should be, or
# the other way round, under whatever name.
ITEM_CODES = frozenset(
    {
        "AMBIGUOUS_PATH",
        "EXTERNAL_CHECKSUM_MISMATCH",
        "FILE_NOT_FOUND",
        "INVALID_PATH_NAME",
        "INVALID_SYMLINK",
        "PERMISSION_DENIED",
        "IS_A_DIRECTORY",
        "NOT_A_DIRECTORY",
    }
)
SKIPPABLE_CODES = frozenset({"AMBIGUOUS_PATH", "FILE_NOT_FOUND", "PERMISSION_DENIED"})  # task behaviour, section 4.1
PERSON_CODES = frozenset({"AUTH", "GC_PAUSED", "PAUSED", "PAUSED_BY_ADMIN"})
_PERSON_ANSWERS = frozenset({"ConsentRequired", "AuthPolicyFailed", "OperationPaused"})
_PATH_ANSWERS = frozenset({"EndpointPermissionDenied", "InvalidPath"})
_UNTRUSTED = frozenset(
    {
        *("CertificateError", "SSLCertVerificationError"),
        *("InvalidProxyURL", "InvalidSchema", "InvalidURL", "LocationParseError", "MissingSchema"),
        *("ProxySchemeUnknown", "ProxySchemeUnsupported", "URLSchemeUnknown"),
    }
)
_CLIENT_ERRORS = range(400, 500)
_SERVER_ERRORS = range(500, 600)


def untrusted(fault: Fault) -> FaultClass | None:
    """The other side is not who it should be, or the address is none: a person must look."""
    return FaultClass.PERMANENT_ALL if fault.status == 0 and fault.code in _UNTRUSTED else None


def no_answer(fault: Fault) -> FaultClass | None:
    """Refused, reset, aborted or broken connections, timeouts of every kind, and answers that end too early."""
    return FaultClass.TRANSIENT if fault.status == 0 else None


def identical_paths(fault: Fault) -> FaultClass | None:
    """A 409 at submission (contract, section 2)."""
    return FaultClass.CONFLICT if fault.status == 409 else None  # noqa: PLR2004


def login(fault: Fault) -> FaultClass | None:
    """A token that is missing, expired or wrong (contract, section 2)."""
    return FaultClass.NEEDS_PERSON if fault.status == 401 else None  # noqa: PLR2004


def consent_or_policy(fault: Fault) -> FaultClass | None:
    """A consent, a session policy or an administrator's pause (contract, section 2)."""
    return FaultClass.NEEDS_PERSON if fault.status is not None and fault.code in _PERSON_ANSWERS else None


def collection_login(fault: Fault) -> FaultClass | None:
    """A collection to which its own storage no longer gives access (contract, section 2)."""
    refused = fault.code.startswith("ExternalError") and fault.code.endswith("LoginFailed")
    return FaultClass.NEEDS_PERSON if refused else None


def too_busy(fault: Fault) -> FaultClass | None:
    """Rate limits and full queues (contract, sections 2 and 10)."""
    return FaultClass.TRANSIENT if fault.status in (408, 425, 429) or fault.code == "TooManyPendingJobs" else None


def path_on_collection(fault: Fault) -> FaultClass | None:
    """A collection's refusal of one path, however the service wraps it (contract, section 2)."""
    ends = ("PermissionDenied", "NotDirectory", "SizeLimit", ".Exists")
    wrapped = fault.status is not None and fault.code.endswith(ends) and fault.code.startswith("ExternalError")
    return FaultClass.PERMANENT_ITEM if wrapped or fault.code in _PATH_ANSWERS else None


def unsupported(fault: Fault) -> FaultClass | None:
    """What this service, or this collection, cannot do at all (contract, section 2)."""
    never = fault.status == 501 or fault.code == "NotSupported"  # noqa: PLR2004
    return FaultClass.PERMANENT_ALL if never and fault.status is not None else None


def client_error(fault: Fault) -> FaultClass | None:
    """Any other 4xx: the request itself will not do."""
    return FaultClass.PERMANENT_ALL if fault.status in _CLIENT_ERRORS else None


def server_error(fault: Fault) -> FaultClass | None:
    """Any other 5xx."""
    return FaultClass.TRANSIENT if fault.status in _SERVER_ERRORS else None


def item_event(fault: Fault) -> FaultClass | None:
    """Events that only another path or another permission will end (task behaviour, section 4)."""
    return FaultClass.PERMANENT_ITEM if fault.status is None and fault.code in ITEM_CODES else None


def person_event(fault: Fault) -> FaultClass | None:
    """Events that wait for a person."""
    return FaultClass.NEEDS_PERSON if fault.status is None and fault.code in PERSON_CODES else None


def full_quota(fault: Fault) -> FaultClass | None:
    """A full quota that has ended a task, as fail_on_quota_errors asks; no public list names its code."""
    ended = fault.status is None and fault.fatal and "QUOTA" in fault.code
    return FaultClass.PERMANENT_ALL if ended else None


RULES: tuple[Rule, ...] = (
    untrusted,
    no_answer,
    login,
    consent_or_policy,
    collection_login,
    identical_paths,
    too_busy,
    path_on_collection,
    unsupported,
    client_error,
    server_error,
    item_event,
    person_event,
    full_quota,
)


def classify(fault: Fault) -> FaultClass:
    """The class that the first matching rule gives; TRANSIENT when none does, as Globus itself retries the unknown."""
    for rule in RULES:
        if (verdict := rule(fault)) is not None:
            return verdict
    return FaultClass.TRANSIENT


def ends_an_item(code: str) -> bool:
    """Whether an event of this code, or a task that ended with it, means that one of the paths will never work."""
    return classify(Fault(code=code)) is FaultClass.PERMANENT_ITEM
