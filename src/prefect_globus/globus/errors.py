"""From what globus-sdk raises to our errors: by class, HTTP status and code, never by message text."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import globus_sdk
import requests

from prefect_globus.transfers.errors import (
    DirectoryTooLargeError,
    GlobusAuthError,
    GlobusConflictError,
    GlobusConsentError,
    GlobusError,
    GlobusInvalidRequestError,
    GlobusNotFoundError,
    GlobusOperationPausedError,
    GlobusRefusedPathError,
    GlobusTransientError,
    GlobusUnreachableError,
    GlobusUntrustedError,
    TransferError,
)
from prefect_globus.transfers.faults import Fault, FaultClass, classify

_DATA_ACCESS = re.compile(r"/scopes/([0-9a-fA-F-]{36})/data_access")
_BY_CLASS: dict[FaultClass, type[GlobusError]] = {
    FaultClass.TRANSIENT: GlobusTransientError,
    FaultClass.CONFLICT: GlobusConflictError,
    FaultClass.PERMANENT_ITEM: GlobusRefusedPathError,
}
_FOR_A_PERSON: dict[str, type[GlobusError]] = {
    "ConsentRequired": GlobusConsentError,
    "AuthPolicyFailed": GlobusConsentError,
    "OperationPaused": GlobusOperationPausedError,
}
_BY_STATUS: dict[int, type[GlobusError]] = {
    400: GlobusInvalidRequestError,
    404: GlobusNotFoundError,
    422: GlobusInvalidRequestError,
}


@contextmanager
def translated(operation: str) -> Iterator[None]:
    """Raise our errors for those that globus-sdk raises inside, and for answers that cannot be read.

    Args:
        operation: what is being done, for the message, such as ``the listing of UUID:/path``.
    """
    try:
        yield
    except TransferError:
        raise
    except globus_sdk.AuthAPIError as error:
        raise _from_api(_kind_of_login(error), operation, error) from error
    except globus_sdk.GlobusAPIError as error:
        raise _from_api(_kind(error), operation, error) from error
    except globus_sdk.NetworkError as error:
        raise _unreachable(operation, error.underlying_exception) from error
    except requests.RequestException as error:
        raise _unreachable(operation, error) from error
    except UnicodeEncodeError as error:
        facts = {"operation": operation, "reason": "its path is not Unicode", "code": "not sent", "status": 0}
        raise GlobusInvalidRequestError(**facts) from error
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        # globus-sdk reads bodies lazily: one that is truncated, no JSON or another document surfaces where it is read
        if classify(Fault(code=type(error).__name__, status=0)) is not FaultClass.TRANSIENT:
            raise _unreachable(operation, error) from error  # urllib3's errors of an address are ValueErrors
        facts = {"operation": operation, "reason": "the answer is malformed", "code": "none", "status": 200}
        raise GlobusTransientError(**facts) from error


def _kind(error: globus_sdk.GlobusAPIError) -> type[GlobusError]:
    verdict = classify(Fault(code=error.code or "", status=error.http_status))
    if verdict is FaultClass.NEEDS_PERSON:
        return _FOR_A_PERSON.get(error.code or "", GlobusAuthError)
    if verdict is FaultClass.PERMANENT_ITEM and (error.code or "").endswith("SizeLimit"):
        return DirectoryTooLargeError
    return _BY_CLASS.get(verdict) or _BY_STATUS.get(error.http_status, GlobusError)


def _kind_of_login(error: globus_sdk.GlobusAPIError) -> type[GlobusError]:
    """A refused token request is no 401: the token service answers 400 or 403, in OAuth's own form."""
    passes = classify(Fault(status=error.http_status)) is FaultClass.TRANSIENT
    return GlobusTransientError if passes else GlobusAuthError


def _from_api(kind: type[GlobusError], operation: str, error: globus_sdk.GlobusAPIError) -> GlobusError:
    reason = (error.message or "no message").strip().partition("\n")[0].rstrip(".")
    facts = {"operation": operation, "reason": reason, "code": error.code or "no code", "status": error.http_status}
    if kind is GlobusConsentError:
        facts["mend"] = _mend(error)
    return kind(**facts)


def _mend(error: globus_sdk.GlobusAPIError) -> str:
    """What a user has to do. A client with a secret has tried already to give the consent itself."""
    consents = error.info.consent_required
    if not consents:
        return "Log in as that demands, with: prefect-globus login"
    collections = dict.fromkeys(_DATA_ACCESS.findall(" ".join(consents.required_scopes)))
    flags = "".join(f" --collection {each}" for each in collections)
    return f"Give it with: prefect-globus login{flags or ' --collection UUID'}"


def _unreachable(operation: str, error: BaseException) -> GlobusError:
    root = _root(error)
    for one in (root, error):  # requests says of an address what urllib3 has said before, or says it alone
        if classify(Fault(code=type(one).__name__, status=0)) is not FaultClass.TRANSIENT:
            return GlobusUntrustedError(**_no_answer(operation, one))
    return GlobusUnreachableError(**_no_answer(operation, root))


def _no_answer(operation: str, error: BaseException) -> dict[str, object]:
    return {"operation": operation, "reason": type(error).__name__, "code": "no answer", "status": 0}


def _root(error: BaseException) -> BaseException:
    """What is behind the errors that requests and urllib3 wrap around each other."""
    seen = [error]
    while True:
        inner = getattr(error, "reason", None) or next(iter(error.args), None)
        following = inner if isinstance(inner, BaseException) else error.__cause__ or error.__context__
        if following is None or following in seen:
            return error
        error = following
        seen.append(error)
