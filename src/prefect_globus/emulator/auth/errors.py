"""Errors of Globus Auth: those of OAuth, and those of its own API."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from uuid import uuid4

if TYPE_CHECKING:
    from prefect_globus.emulator.errors import ApiError


class OAuthError(Exception):
    """The grant is refused; the answer has the shape of RFC 6749, section 5.2.

    An `invalid_grant` is answered with 400, as that section says; Globus' own status is not on record [inferred].
    """

    def __init__(self, status: int, error: str, description: str) -> None:
        super().__init__(description)
        self.status = status
        self.error = error
        self.document = {"error": error, "error_description": description}


def auth_error_document(error: ApiError, _: str) -> dict[str, Any]:
    """Return the error document of the Auth API, as the SDK's canned `userinfo` shows it."""
    status = HTTPStatus(error.status)
    is_token = status is HTTPStatus.UNAUTHORIZED
    one = {
        "id": str(uuid4()),
        "status": str(status.value),
        "code": status.name,
        "title": status.phrase,
        "detail": "Call must be authenticated" if is_token else error.message,
    }
    return {"errors": [one], "error": status.name.lower(), "error_description": status.phrase}
