"""The documents of injected answers, in the shape of the service that was asked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from prefect_globus.emulator import web
from prefect_globus.emulator.timers import documents as timers

if TYPE_CHECKING:
    from prefect_globus.emulator.errors import ApiError

TIMERS = ("/jobs", "/v2/timer")
AUTH = ("/v2/", "/.well-known/")


def error_document(error: ApiError, path: str) -> dict[str, Any]:
    """Return the error document of the service that a path belongs to (contract sections 2, 7 and 8)."""
    if path.startswith(TIMERS):
        return timers.error_document(error, path) | error.facts
    if path.startswith(AUTH):
        one = {"code": error.code, "detail": error.message, "status": str(error.status), "title": error.code}
        return {"errors": [one], "error": error.code, "error_description": error.message, **error.facts}
    return web.error_document(error, path)
