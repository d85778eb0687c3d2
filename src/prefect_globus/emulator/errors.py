"""Error answers of the API, with the shape of contract section 2."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


class ApiError(Exception):
    """An answer that is an error document.

    Attributes:
        status: the HTTP status.
        code: the Globus code.
        message: what a person should know.
        facts: further fields of the document, by name.
        headers: further headers of the answer.
    """

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        facts: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.facts = dict(facts or {})
        self.headers = dict(headers or {})


class BadRequest(ApiError):  # noqa: N818 -- named as the code that it answers
    """The request itself is wrong."""

    def __init__(self, message: str, code: str = "ClientError.BadRequest") -> None:
        super().__init__(400, code, message)


class AuthenticationFailed(ApiError):  # noqa: N818
    """The token is missing, unknown, expired, or for another service."""

    def __init__(self) -> None:
        super().__init__(401, "AuthenticationFailed", "Token is missing, unknown, expired or not for this service")


class EndpointNotFound(ApiError):  # noqa: N818
    """No such collection is served."""

    def __init__(self, endpoint: object) -> None:
        super().__init__(404, "EndpointNotFound", f"No such endpoint '{endpoint}'")


class TaskNotFound(ApiError):  # noqa: N818
    """The caller has no such task."""

    def __init__(self, task_id: object) -> None:
        super().__init__(404, "ClientError.NotFound", f"No task found with id '{task_id}'")


class Conflict(ApiError):  # noqa: N818
    """An unfinished task of the owner moves an identical pair of paths."""

    def __init__(self) -> None:
        super().__init__(409, "Conflict", "A transfer with identical paths has not yet completed")


class TooManyPendingJobs(ApiError):  # noqa: N818
    """The owner has as many unfinished tasks of this type as may be (contract section 10; the status is inferred)."""

    def __init__(self, limit: int, task_type: str) -> None:
        super().__init__(400, "TooManyPendingJobs", f"There are {limit} unfinished {task_type} tasks already")


class OperationPaused(ApiError):  # noqa: N818
    """A pause rule of the collection holds the operation (contract section 2; the status is inferred)."""

    def __init__(self, message: str) -> None:
        super().__init__(409, "OperationPaused", f"The operation is paused by a manager of the collection: {message}")


class PauseRuleNotFound(ApiError):  # noqa: N818
    """No such pause rule is there."""

    def __init__(self, rule_id: object) -> None:
        super().__init__(404, "PauseRuleNotFound", f"No pause rule found with id '{rule_id}'")
