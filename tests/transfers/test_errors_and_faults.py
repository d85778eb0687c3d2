"""Errors say what happened and what to do; faults are classified by their codes."""

from __future__ import annotations

import copy
import pickle
import re
import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prefect_globus.transfers import errors
from prefect_globus.transfers.errors import StoreUnavailableError, TransferError, TransferNotFoundError, first_line
from prefect_globus.transfers.faults import RULES, Fault, FaultClass, classify

CLASSES = sorted(
    (one for one in vars(errors).values() if isinstance(one, type) and issubclass(one, TransferError)),
    key=lambda one: one.__name__,
)


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_an_error_says_its_facts_and_survives_a_pickle(kind: type[TransferError]) -> None:
    names = {name for _, name, _, _ in string.Formatter().parse(kind.template()) if name}
    facts = {name: f"<{name} with {{braces}}>" for name in names}
    error = kind(**facts)
    assert "\n" not in str(error)
    assert "  " not in str(error)
    assert re.search(r"(\.|>|prefect-globus [^.]*)$", str(error))  # a sentence, or a command to be copied
    for name, value in facts.items():
        assert value in str(error) or repr(value) in str(error)
        assert getattr(error, name) == value
    for copied in (pickle.loads(pickle.dumps(error)), copy.copy(error), copy.deepcopy(error)):
        assert type(copied) is kind
        assert (str(copied), copied.facts, copied.retryable) == (str(error), facts, error.retryable)


def test_an_error_has_no_other_facts() -> None:
    error = StoreUnavailableError(store="s", reason="r")
    with pytest.raises(AttributeError):
        _ = error.host
    with pytest.raises(KeyError):
        StoreUnavailableError(store="s")


def test_a_missing_transfer_is_a_key_error_without_its_quotes() -> None:
    error = TransferNotFoundError(transfer_id="t", store="s")
    assert isinstance(error, KeyError)
    assert str(error).startswith("There is no transfer 't'")


def test_the_first_line_is_for_people() -> None:
    assert first_line(ValueError("\n one \ntwo")) == "one "
    assert first_line(ValueError()) == "ValueError"


TRANSIENT, ITEM, ALL = FaultClass.TRANSIENT, FaultClass.PERMANENT_ITEM, FaultClass.PERMANENT_ALL
PERSON, CONFLICT = FaultClass.NEEDS_PERSON, FaultClass.CONFLICT

# Where no answer came: the class of what is behind requests' errors (tests/faults/test_network.py provokes them).
NO_ANSWER = {
    "untrusted": (
        ALL,
        ["SSLCertVerificationError", "CertificateError", "InvalidURL", "MissingSchema", "InvalidSchema"],
    ),
    "no_answer": (
        TRANSIENT,
        [
            *("ConnectionResetError", "BrokenPipeError", "ConnectionRefusedError", "ConnectionAbortedError"),
            *("RemoteDisconnected", "TimeoutError", "ConnectTimeoutError", "ReadTimeoutError", "gaierror"),
            *("IncompleteRead", "SSLEOFError", "SSLZeroReturnError", "SSLError", "NewConnectionError"),
            *("ProtocolError", "ProxyError", "OSError", ""),
        ],
    ),
}

# What Globus answers, by status and code (contract, section 2).
ANSWERS = {
    "login": (PERSON, [(401, "AuthenticationFailed"), (401, "ClientError.AuthenticationFailed"), (401, "")]),
    "consent_or_policy": (
        PERSON,
        [(403, "ConsentRequired"), (403, "AuthPolicyFailed"), (403, "OperationPaused"), (409, "OperationPaused")],
    ),
    "collection_login": (PERSON, [(502, "ExternalError.DirListingFailed.LoginFailed")]),
    "identical_paths": (CONFLICT, [(409, "Conflict"), (409, "ClientError.Conflict"), (409, "")]),
    "too_busy": (TRANSIENT, [(408, ""), (425, ""), (429, ""), (429, "TooManyRequests"), (400, "TooManyPendingJobs")]),
    "path_on_collection": (
        ITEM,
        [
            (403, "EndpointPermissionDenied"),
            (403, "ExternalError.MkdirFailed.PermissionDenied"),
            (502, "ExternalError.MkdirFailed.Exists"),
            (502, "ExternalError.DirListingFailed.PermissionDenied"),
            (502, "ExternalError.DirListingFailed.NotDirectory"),
            (502, "ExternalError.DirListingFailed.SizeLimit"),
            (400, "InvalidPath"),
        ],
    ),
    "unsupported": (ALL, [(501, ""), (501, "NotImplemented"), (502, "NotSupported"), (400, "NotSupported")]),
    "client_error": (
        ALL,
        [
            *((400, "BadRequest"), (400, "ClientError.BadRequest"), (400, "ClientError.BadRequest.NoTransferItems")),
            *((403, "PermissionDenied"), (404, "NotFound"), (404, "ClientError.NotFound"), (404, "EndpointNotFound")),
            *((404, "EndpointDeleted"), (405, ""), (413, ""), (422, "")),
        ],
    ),
    "server_error": (
        TRANSIENT,
        [
            *((500, ""), (500, "InternalError"), (502, ""), (502, "EndpointError"), (503, "ServiceUnavailable")),
            *((502, "ExternalError.DirListingFailed"), (502, "ExternalError.DirListingFailed.GCDisconnected")),
            *((502, "ExternalError.DirListingFailed.ConnectFailed"), (504, "")),
            (500, "FILE_NOT_FOUND"),  # the code of an event means nothing in an answer
        ],
    ),
}

# What the events of a task say (task behaviour, section 4; contract, section 4).
EVENTS = {
    "item_event": (
        ITEM,
        [
            *("PERMISSION_DENIED", "FILE_NOT_FOUND", "AMBIGUOUS_PATH", "INVALID_PATH_NAME", "INVALID_SYMLINK"),
            *("EXTERNAL_CHECKSUM_MISMATCH", "IS_A_DIRECTORY", "NOT_A_DIRECTORY"),
        ],
    ),
    "person_event": (PERSON, ["AUTH", "GC_PAUSED", "PAUSED", "PAUSED_BY_ADMIN"]),
    "": (
        TRANSIENT,
        [
            *("CONNECT_FAILED", "CONNECTION_BROKEN", "CONNECTION_RESET", "ENDPOINT_ERROR", "ENDPOINT_TOO_BUSY"),
            *("FILE_SIZE_CHANGED", "GC_NOT_CONNECTED", "NO_APPEND_FILESYSTEM", "TIMEOUT", "UNKNOWN", "UNPAUSED"),
            *("VERIFY_CHECKSUM", "QUOTA_EXCEEDED", "CANCELED", "EXPIRED", "STARTED", "SOMETHING_NEW", ""),
        ],
    ),
}
ENDS = {
    "full_quota": (ALL, ["QUOTA_EXCEEDED"]),
    "item_event": (ITEM, ["AMBIGUOUS_PATH", "INVALID_PATH_NAME", "INVALID_SYMLINK", "EXTERNAL_CHECKSUM_MISMATCH"]),
    "": (TRANSIENT, ["CANCELED", "EXPIRED", "UNKNOWN"]),
}

CASES = [
    *((rule, verdict, Fault(code=code, status=0)) for rule, (verdict, codes) in NO_ANSWER.items() for code in codes),
    *(
        (rule, verdict, Fault(code=code, status=status))
        for rule, (verdict, answers) in ANSWERS.items()
        for status, code in answers
    ),
    *((rule, verdict, Fault(code=code)) for rule, (verdict, codes) in EVENTS.items() for code in codes),
    *((rule, verdict, Fault(code=code, fatal=True)) for rule, (verdict, codes) in ENDS.items() for code in codes),
]


@pytest.mark.parametrize(
    ("rule", "verdict", "fault"), CASES, ids=lambda one: f"{one.status}-{one.code}" if isinstance(one, Fault) else None
)
def test_a_fault_is_classified_by_the_first_rule_that_matches(rule: str, verdict: FaultClass, fault: Fault) -> None:
    speaks = next((one.__name__ for one in RULES if one(fault) is not None), "")
    assert (speaks, classify(fault)) == (rule, verdict)


def test_every_rule_has_its_cases() -> None:
    assert {rule for rule, *_ in CASES} - {""} == {rule.__name__ for rule in RULES}


@settings(deadline=None)  # a busy machine takes its time
@given(st.builds(Fault, code=st.text(), status=st.none() | st.integers(0, 999), fatal=st.booleans()))
def test_anything_has_a_class(fault: Fault) -> None:
    """However odd an answer or an event is; one that nobody has heard of is no reason to give up."""
    assert classify(fault) in FaultClass
    assert classify(Fault(code=fault.code.lower())) is TRANSIENT
