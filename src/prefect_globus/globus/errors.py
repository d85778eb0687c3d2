"""From what globus-sdk raises to our errors: by class, HTTP status and code, never by message text."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import globus_sdk
import requests

from prefect_globus.transfers.errors import (
    GlobusAuthError,
    GlobusConflictError,
    GlobusConsentError,
    GlobusError,
    GlobusInvalidRequestError,
    GlobusNotFoundError,
    GlobusRefusedPathError,
    GlobusTransientError,
    GlobusUnreachableError,
    TransferError,
)
from prefect_globus.transfers.faults import Fault, FaultClass, classify

_BY_CLASS: dict[FaultClass, type[GlobusError]] = {
    FaultClass.TRANSIENT: GlobusTransientError,
    FaultClass.CONFLICT: GlobusConflictError,
    FaultClass.NEEDS_PERSON: GlobusConsentError,
    FaultClass.PERMANENT_ITEM: GlobusRefusedPathError,
}
_BY_STATUS: dict[int, type[GlobusError]] = {
    400: GlobusInvalidRequestError,
    401: GlobusAuthError,
    404: GlobusNotFoundError,
    422: GlobusInvalidRequestError,
}


@contextmanager
def translated(operation: str) -> Iterator[None]:
    """Raise our errors for those that globus-sdk raises inside.

    Args:
        operation: what is being done, for the message, such as ``the listing of UUID:/path``.
    """
    try:
        yield
    except globus_sdk.AuthAPIError as error:
        # a refused token request is no 401: the token service answers 400 or 403, in OAuth's own form
        kind = GlobusTransientError if error.http_status >= 500 else GlobusAuthError  # noqa: PLR2004
        raise _from_api(kind, operation, error) from error
    except globus_sdk.GlobusAPIError as error:
        raise _from_api(_kind(error), operation, error) from error
    except globus_sdk.NetworkError as error:
        raise _unreachable(operation, error.underlying_exception) from error
    except requests.RequestException as error:
        raise _unreachable(operation, error) from error
    except ValueError as error:
        # globus-sdk reads bodies lazily; a truncated or malformed one surfaces as a ValueError of the JSON decoder
        if isinstance(error, TransferError):
            raise
        facts = {"operation": operation, "reason": f"the answer is malformed: {error}", "code": "none", "status": 200}
        raise GlobusTransientError(**facts) from error


def _kind(error: globus_sdk.GlobusAPIError) -> type[GlobusError]:
    verdict = classify(Fault(code=error.code or "", status=error.http_status))
    return _BY_CLASS.get(verdict) or _BY_STATUS.get(error.http_status, GlobusError)


def _from_api(kind: type[GlobusError], operation: str, error: globus_sdk.GlobusAPIError) -> GlobusError:
    reason = (error.message or "no message").strip().partition("\n")[0].rstrip(".")
    return kind(operation=operation, reason=reason, code=error.code or "no code", status=error.http_status)


def _unreachable(operation: str, error: BaseException) -> GlobusUnreachableError:
    return GlobusUnreachableError(operation=operation, reason=type(error).__name__, code="no answer", status=0)
