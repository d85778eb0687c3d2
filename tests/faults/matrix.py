"""What a transfer does about each fault of a request, as data: the tests hold it to this; the docs are made of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from faults.lab import HTTP_TIMEOUT, Lab
from prefect_globus.emulator import Answer, Delay, Drop, FailFile, HalfBody, MalformedBody, PauseTask
from prefect_globus.transfers.errors import (
    GlobusAuthError,
    GlobusConsentError,
    GlobusError,
    GlobusInvalidRequestError,
    GlobusOperationPausedError,
    GlobusTransientError,
    GlobusUnreachableError,
    TransferError,
)


class Kind(Enum):
    """What a fault asks of the transfer; its words in the docs."""

    PASSES = "goes on"
    PERSON = "PAUSED meanwhile, then goes on"
    FINAL = "FAILED"
    REFUSED = "refused"


@dataclass(frozen=True)
class HttpFault:
    """One fault that a request meets.

    Args:
        name: in the docs.
        effect: the emulator's.
        kind: what is to become of a transfer that is under way.
        error: what it is to the engine.
        times: how many requests meet it: more than globus-sdk itself tries again.
        login: the same at the token service, where it is something else.
    """

    name: str
    effect: Any
    kind: Kind
    error: type[TransferError]
    times: int = 4
    login: tuple[Kind, type[TransferError]] | None = None

    @property
    def has_effect(self) -> bool:
        """Whether the request is done all the same, so that it may not be made again."""
        return self.effect in (Drop(after=True), HalfBody(), MalformedBody())


_A_LOGIN = (Kind.PERSON, GlobusAuthError)

FAULTS = (
    HttpFault("429", Answer(429, "TooManyRequests"), Kind.PASSES, GlobusTransientError),
    HttpFault("429, Retry-After", Answer(429, headers={"Retry-After": "0"}), Kind.PASSES, GlobusTransientError),
    HttpFault("500", Answer(500, "InternalError"), Kind.PASSES, GlobusTransientError),
    HttpFault("502", Answer(502, "EndpointError"), Kind.PASSES, GlobusTransientError),
    HttpFault("503", Answer(503, "ServiceUnavailable"), Kind.PASSES, GlobusTransientError),
    HttpFault("504", Answer(504, "GatewayTimeout"), Kind.PASSES, GlobusTransientError),
    HttpFault("no answer in time", Delay(2 * HTTP_TIMEOUT), Kind.PASSES, GlobusUnreachableError, times=3),
    HttpFault("reset before the effect", Drop(), Kind.PASSES, GlobusUnreachableError),
    HttpFault("reset after the effect", Drop(after=True), Kind.PASSES, GlobusUnreachableError),
    HttpFault("reset after the effect, once", Drop(after=True), Kind.PASSES, GlobusUnreachableError, times=1),
    HttpFault("half an answer", HalfBody(), Kind.PASSES, GlobusUnreachableError),
    HttpFault("no JSON", MalformedBody(), Kind.PASSES, GlobusTransientError),
    HttpFault("401", Answer(401, "AuthenticationFailed"), Kind.PERSON, GlobusAuthError),
    HttpFault("403 ConsentRequired", Answer(403, "ConsentRequired"), Kind.PERSON, GlobusConsentError, login=_A_LOGIN),
    HttpFault("403 AuthPolicyFailed", Answer(403, "AuthPolicyFailed"), Kind.PERSON, GlobusConsentError, login=_A_LOGIN),
    HttpFault(
        "409 OperationPaused", Answer(409, "OperationPaused"), Kind.PERSON, GlobusOperationPausedError, login=_A_LOGIN
    ),
    HttpFault("403 PermissionDenied", Answer(403, "PermissionDenied"), Kind.FINAL, GlobusError, 1, login=_A_LOGIN),
    HttpFault("400", Answer(400, "BadRequest"), Kind.FINAL, GlobusInvalidRequestError, 1, login=_A_LOGIN),
    HttpFault("501", Answer(501, "NotImplemented"), Kind.FINAL, GlobusError, 1, login=_A_LOGIN),
)


Situation = Callable[[Lab], AbstractContextManager[None]]


@contextmanager
def _files(lab: Lab) -> Iterator[None]:
    lab.write("a", "d/b")
    yield


@contextmanager
def _nothing(_: Lab) -> Iterator[None]:
    yield


@contextmanager
def _faulty_task(lab: Lab) -> Iterator[None]:
    lab.write("a", "b")
    lab.fail(FailFile("CONNECT_FAILED"), "a", times=2)
    yield


@contextmanager
def _several_tasks(lab: Lab) -> Iterator[None]:
    lab.write("a", "b", "c")
    for name in ("a", "b", "c"):
        lab.fail(FailFile("CONNECT_FAILED"), name, times=2)  # so that they are at work at once
    yield


@contextmanager
def _paused_task(lab: Lab) -> Iterator[None]:
    lab.write("a")
    lab.fail(PauseTask(message="Storage is moved"), times=1)
    with lab.person(lambda: lab.emulator.resume_task(lab.running())):
        yield


@contextmanager
def _conflict(lab: Lab) -> Iterator[None]:
    lab.write("a")
    with lab.fault(Answer(409, "Conflict"), method="POST", path="/v0.10/transfer", times=1):
        yield


@contextmanager
def _poison(lab: Lab) -> Iterator[None]:
    lab.write("a", "b")
    lab.fail(FailFile("PERMISSION_DENIED", side="destination"), "b")
    yield


@contextmanager
def _one_in_sync(lab: Lab) -> Iterator[None]:
    lab.write("new", "same")
    lab.destination.mkdir(parents=True)
    (lab.destination / "same").write_text("same")
    yield


@contextmanager
def _unreadable(lab: Lab) -> Iterator[None]:
    lab.write("a", "b")
    lab.fail(FailFile("PERMISSION_DENIED"), "b")
    yield


@dataclass(frozen=True)
class Endpoint:
    """One request that the engine makes, and a situation in which it makes it.

    Args:
        name: in the docs.
        method: HTTP method.
        path: glob.
        situation: what there is to transfer, and what else is amiss.
        options: of the transfer.
        spared: how many such requests come before the one that is meant.
        before: whether it is made before anything is on record: then only what Globus itself says is waited for.
        dead: how many dead letters the situation itself leaves.
        informs: whether the transfer can do without the answer.
    """

    name: str
    method: str
    path: str
    situation: Situation = _files
    options: dict[str, Any] = field(default_factory=dict)
    spared: int = 0
    before: bool = False
    dead: int = 0
    informs: bool = False

    @property
    def is_login(self) -> bool:
        return self.path.endswith("/token")

    @property
    def is_of_a_task(self) -> bool:
        return self.path.startswith("/v0.10/task")

    @property
    def renews(self) -> bool:
        """Whether it is only made where tokens expire in mid-run."""
        return self.is_login and not self.before


_TASK = "/v0.10/task/*"
_AT_ONCE = {"batch_size": 1, "max_concurrency": 3, "fault_grace": 30.0}

ENDPOINTS = (
    Endpoint("the login", "POST", "/v2/oauth2/token", before=True),
    Endpoint("a collection", "GET", "/v0.10/endpoint/*", before=True),
    Endpoint("stat of both locations", "GET", "*/stat", before=True),
    # what lists ahead of the walk passes over a fault, so this one comes when that is over
    Endpoint("the renewal of a token", "POST", "/v2/oauth2/token", spared=8),
    Endpoint("ls", "GET", "*/ls"),
    Endpoint("stat", "GET", "*/stat", _nothing, spared=2),
    Endpoint("mkdir", "POST", "*/mkdir", _nothing),
    Endpoint("a submission id", "GET", "/v0.10/submission_id"),
    Endpoint("the submission", "POST", "/v0.10/transfer"),
    Endpoint("the list of tasks after a conflict", "GET", "/v0.10/task_list", _conflict),
    Endpoint("the tasks at work", "GET", "/v0.10/task_list", _several_tasks, _AT_ONCE),
    Endpoint("a task", "GET", f"{_TASK[:-1]}????????-????-????-????-????????????"),
    Endpoint("the events of a task", "GET", f"{_TASK}/event_list", _faulty_task, {"fault_grace": 30.0}),
    Endpoint("why a task is paused", "GET", f"{_TASK}/pause_info", _paused_task, informs=True),
    Endpoint("the end of a task that is stuck", "POST", f"{_TASK}/cancel", _poison, dead=1),
    Endpoint("what a task has moved", "GET", f"{_TASK}/successful_transfers", _one_in_sync, {"sync_level": "size"}),
    Endpoint("what a task has skipped", "GET", f"{_TASK}/skipped_errors", _unreadable, {"skip_source_errors": True}),
)


@dataclass(frozen=True)
class Expected:
    """What is to become of a transfer one of whose requests meets a fault."""

    kind: Kind
    error: type[TransferError]

    def __str__(self) -> str:
        if self.kind in (Kind.FINAL, Kind.REFUSED):
            return f"{self.kind.value}, {self.error.__name__}"
        return self.kind.value


def expected(endpoint: Endpoint, fault: HttpFault) -> Expected:
    """The cell of the table."""
    kind, error = fault.login if endpoint.is_login and fault.login else (fault.kind, fault.error)
    waits = fault.times == 1 or error is not GlobusUnreachableError
    if endpoint.before and not (kind is Kind.PASSES and waits):
        kind = Kind.REFUSED
    elif kind is Kind.FINAL and endpoint.informs:
        kind = Kind.PASSES
    return Expected(kind, error)
