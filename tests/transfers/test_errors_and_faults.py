"""Errors say what happened and what to do; faults are classified by their codes."""

from __future__ import annotations

import copy
import pickle
import string

import pytest

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
    assert str(error)[-1] in ".>"  # a sentence, or a command to be copied, which ends in a fact
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


@pytest.mark.parametrize(
    ("rule", "fault", "verdict"),
    [
        ("no_answer", Fault(status=0), FaultClass.TRANSIENT),
        ("identical_paths", Fault(status=409, code="ClientError.Conflict"), FaultClass.CONFLICT),
        ("consent_or_policy", Fault(status=403, code="ConsentRequired"), FaultClass.NEEDS_PERSON),
        ("consent_or_policy", Fault(status=403, code="AuthPolicyFailed"), FaultClass.NEEDS_PERSON),
        ("consent_or_policy", Fault(status=409, code="OperationPaused"), None),
        ("too_busy", Fault(status=429), FaultClass.TRANSIENT),
        ("too_busy", Fault(status=408), FaultClass.TRANSIENT),
        ("too_busy", Fault(status=400, code="TooManyPendingJobs"), FaultClass.TRANSIENT),
        ("path_on_collection", Fault(status=403, code="EndpointPermissionDenied"), FaultClass.PERMANENT_ITEM),
        ("path_on_collection", Fault(status=502, code="ExternalError.MkdirFailed.Exists"), FaultClass.PERMANENT_ITEM),
        (
            "path_on_collection",
            Fault(status=502, code="ExternalError.DirListingFailed.PermissionDenied"),
            FaultClass.PERMANENT_ITEM,
        ),
        ("client_error", Fault(status=400, code="ClientError.BadRequest"), FaultClass.PERMANENT_ALL),
        ("client_error", Fault(status=401, code="AuthenticationFailed"), FaultClass.PERMANENT_ALL),
        ("client_error", Fault(status=404, code="EndpointNotFound"), FaultClass.PERMANENT_ALL),
        ("server_error", Fault(status=502, code="ExternalError.DirListingFailed.GCDisconnected"), FaultClass.TRANSIENT),
        ("server_error", Fault(status=500), FaultClass.TRANSIENT),
        ("item_event", Fault(code="FILE_NOT_FOUND"), FaultClass.PERMANENT_ITEM),
        ("item_event", Fault(code="PERMISSION_DENIED"), FaultClass.PERMANENT_ITEM),
        ("item_event", Fault(code="AMBIGUOUS_PATH"), FaultClass.PERMANENT_ITEM),
        ("item_event", Fault(code="INVALID_SYMLINK"), FaultClass.PERMANENT_ITEM),
        ("item_event", Fault(code="INVALID_PATH_NAME"), FaultClass.PERMANENT_ITEM),
        ("item_event", Fault(code="EXTERNAL_CHECKSUM_MISMATCH"), FaultClass.PERMANENT_ITEM),
        ("person_event", Fault(code="AUTH"), FaultClass.NEEDS_PERSON),
        ("person_event", Fault(code="PAUSED_BY_ADMIN"), FaultClass.NEEDS_PERSON),
        ("", Fault(code="CONNECT_FAILED"), FaultClass.TRANSIENT),
        ("", Fault(code="ENDPOINT_TOO_BUSY"), FaultClass.TRANSIENT),
        ("", Fault(code="SOMETHING_NEW"), FaultClass.TRANSIENT),
        ("", Fault(), FaultClass.TRANSIENT),
    ],
)
def test_a_fault_is_classified_by_the_first_rule_that_matches(
    rule: str, fault: Fault, verdict: FaultClass | None
) -> None:
    if verdict is None:  # an earlier rule speaks first
        assert classify(fault) is FaultClass.CONFLICT
        return
    speaks = next((one.__name__ for one in RULES if one(fault) is not None), "")
    assert speaks == rule
    assert classify(fault) is verdict


def test_a_code_of_an_event_means_nothing_in_an_answer() -> None:
    assert classify(Fault(code="FILE_NOT_FOUND", status=500)) is FaultClass.TRANSIENT
