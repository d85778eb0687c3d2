"""The states of a transfer, a batch and an attempt, with their transition tables as data."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import TypeVar

from prefect_globus.transfers.errors import InvalidTransitionError


class TransferStatus(StrEnum):
    """Where a transfer stands."""

    CREATED = "CREATED"  # the checkpoint exists; nothing was listed yet
    SCANNING = "SCANNING"  # the source is being listed; nothing was submitted yet
    TRANSFERRING = "TRANSFERRING"  # at least one batch was intended; the scan may still go on
    PAUSED = "PAUSED"  # stands still until somebody, or something, lets it go on
    COMPLETED = "COMPLETED"  # final: every item is accounted for and none is missing
    FAILED = "FAILED"  # ended with something missing; may be resumed
    CANCELED = "CANCELED"  # final: somebody canceled it


class BatchStatus(StrEnum):
    """Where a batch stands."""

    PENDING = "PENDING"  # in the manifest; never tried
    ACTIVE = "ACTIVE"  # an attempt was intended and the batch is not settled
    DONE = "DONE"  # every item was transferred, unchanged or skipped
    PARTIAL = "PARTIAL"  # given up with items remaining or dead; a resume tries again


class AttemptStatus(StrEnum):
    """How one Globus task for one batch went."""

    INTENDED = "INTENDED"  # the submission_id is on record; the POST may or may not have happened
    SUBMITTED = "SUBMITTED"  # Globus has accepted the task
    SUCCEEDED = "SUCCEEDED"  # the Globus task succeeded
    FAILED = "FAILED"  # the Globus task failed, or Globus refused the submission
    CANCELED = "CANCELED"  # the Globus task was canceled
    LOST = "LOST"  # Globus no longer knows the task


S = TypeVar("S", bound=StrEnum)

_T, _B, _A = TransferStatus, BatchStatus, AttemptStatus

TRANSFER_TRANSITIONS: Mapping[TransferStatus, frozenset[TransferStatus]] = {
    _T.CREATED: frozenset({_T.SCANNING, _T.FAILED, _T.CANCELED}),
    _T.SCANNING: frozenset({_T.TRANSFERRING, _T.PAUSED, _T.COMPLETED, _T.FAILED, _T.CANCELED}),
    _T.TRANSFERRING: frozenset({_T.PAUSED, _T.COMPLETED, _T.FAILED, _T.CANCELED}),
    _T.PAUSED: frozenset({_T.SCANNING, _T.TRANSFERRING, _T.FAILED, _T.CANCELED}),
    _T.FAILED: frozenset({_T.SCANNING, _T.TRANSFERRING, _T.CANCELED}),
    _T.COMPLETED: frozenset(),
    _T.CANCELED: frozenset(),
}

BATCH_TRANSITIONS: Mapping[BatchStatus, frozenset[BatchStatus]] = {
    _B.PENDING: frozenset({_B.ACTIVE, _B.DONE, _B.PARTIAL}),
    _B.ACTIVE: frozenset({_B.DONE, _B.PARTIAL}),
    _B.PARTIAL: frozenset({_B.ACTIVE, _B.DONE}),
    _B.DONE: frozenset(),
}

ATTEMPT_TRANSITIONS: Mapping[AttemptStatus, frozenset[AttemptStatus]] = {
    _A.INTENDED: frozenset({_A.SUBMITTED, _A.FAILED, _A.CANCELED}),
    _A.SUBMITTED: frozenset({_A.SUCCEEDED, _A.FAILED, _A.CANCELED, _A.LOST}),
    _A.SUCCEEDED: frozenset(),
    _A.FAILED: frozenset(),
    _A.CANCELED: frozenset(),
    _A.LOST: frozenset(),
}

FINAL_TRANSFER_STATUSES = frozenset(s for s, after in TRANSFER_TRANSITIONS.items() if not after)
LIVE_ATTEMPT_STATUSES = frozenset(s for s, after in ATTEMPT_TRANSITIONS.items() if after)


def check_transition(table: Mapping[S, frozenset[S]], what: str, before: S, after: S) -> None:
    """Refuse a change of state that the table does not allow; staying in a state is no change.

    Raises:
        InvalidTransitionError: ``after`` cannot follow ``before``.
    """
    if before != after and after not in table[before]:
        raise InvalidTransitionError(what=what, before=before, after=after)


def predecessors(table: Mapping[S, frozenset[S]], after: S) -> frozenset[S]:
    """The states from which ``after`` may be written, itself among them: the WHERE of a guarded write."""
    return frozenset(before for before, allowed in table.items() if after in allowed) | {after}
