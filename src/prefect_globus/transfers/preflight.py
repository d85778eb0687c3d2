"""What a look before a transfer has found: whether it could begin, and what a person would have to mend first."""

from __future__ import annotations

from enum import StrEnum
from typing import Self

from prefect_globus.transfers.errors import (
    GlobusAuthError,
    GlobusConsentError,
    GlobusError,
    GlobusNotFoundError,
    GlobusOperationPausedError,
    GlobusRefusedPathError,
    GlobusTransientError,
    GlobusUnreachableError,
    TransferError,
    first_line,
)
from prefect_globus.transfers.records import Record

# What a person can do about an error of Globus; the first that fits. A consent's own words name the collection.
_MENDS: tuple[tuple[type[GlobusError], str], ...] = (
    (GlobusAuthError, "Log in again with: prefect-globus login; or correct the client id and secret"),
    (GlobusOperationPausedError, "Wait until its administrator, whose words these are, ends the pause"),
    (GlobusNotFoundError, "Check the UUID of the collection"),
    (GlobusRefusedPathError, "Check the permissions of the path, and that the login may use it"),
    (GlobusUnreachableError, "Check the network, and GLOBUS_SDK_SERVICE_URL_TRANSFER if you set it"),
    (GlobusTransientError, "Wait until the collection can be reached again"),
)


class Level(StrEnum):
    """How much a finding matters."""

    OK = "OK"
    UNKNOWN = "UNKNOWN"  # it shows only in the transfer, or what it depends on is missing
    WARNING = "WARNING"  # the transfer can begin, and may stop over it
    PROBLEM = "PROBLEM"  # the transfer cannot begin


class Finding(Record):
    """What one check has found.

    Args:
        check: what was looked at, such as ``source``.
        level: how much it matters.
        words: what is so.
        mend: what a person can do about it; None where there is nothing to do.
    """

    check: str
    level: Level
    words: str
    mend: str | None = None

    @classmethod
    def of(cls, check: str, error: TransferError) -> Self:
        """The problem that an error is; errors of other kinds than Globus' say themselves what to do."""
        if not isinstance(error, GlobusError) or "reason" not in error.facts:
            return cls(check=check, level=Level.PROBLEM, words=first_line(error))
        words = f"{error.operation}: {error.reason} ({error.code})"
        if isinstance(error, GlobusConsentError):
            return cls(check=check, level=Level.PROBLEM, words=words, mend=error.mend)
        mend = next((mend for kind, mend in _MENDS if isinstance(error, kind)), None)
        return cls(check=check, level=Level.PROBLEM, words=words, mend=mend)


class Preflight(Record):
    """All that was found before a transfer.

    Args:
        source: as it was given.
        destination: as it was given.
        findings: one or more for each check, in the order of the checks.
    """

    source: str
    destination: str
    findings: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        """Whether the transfer can begin, as far as can be known."""
        return not self.problems

    @property
    def problems(self) -> tuple[Finding, ...]:
        """What keeps it from beginning."""
        return tuple(finding for finding in self.findings if finding.level is Level.PROBLEM)
