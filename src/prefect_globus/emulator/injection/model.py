"""Faults on demand as data: what they match and what they do.

These classes are the one definition: they are what Python gives to `Emulator.inject`, what the HTTP documents are made
of (a field is a key, `kind` tells which class it is), and what the state keeps. All times are real seconds, which the
time scale does not touch. A glob is one of `fnmatch`: `*` matches any text, `/` included.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar, Literal

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
BODILESS = frozenset({204, 205, 304})
FRAMING_HEADERS = frozenset({"content-length", "transfer-encoding", "connection", "content-encoding", "upgrade"})
HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
HEADER_VALUE = re.compile(r"[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?")
LONGEST_DELAY = 3600.0
LARGEST_COUNT = 2**53
LONGEST_GLOB = 4096
DEEPEST_FIELD = 50

# What a file can fail with (contract section 4, events). The last line is the emulator's own choice: [inferred].
FILE_ERRORS = frozenset(
    {
        *("PERMISSION_DENIED", "FILE_NOT_FOUND", "FILE_SIZE_CHANGED", "VERIFY_CHECKSUM", "NO_APPEND_FILESYSTEM"),
        *("AMBIGUOUS_PATH", "INVALID_PATH_NAME", "INVALID_SYMLINK", "EXTERNAL_CHECKSUM_MISMATCH"),
        *("AUTH", "CONNECT_FAILED", "CONNECTION_BROKEN", "CONNECTION_RESET", "ENDPOINT_ERROR", "ENDPOINT_TOO_BUSY"),
        *("GC_NOT_CONNECTED", "GC_PAUSED", "TIMEOUT", "UNKNOWN"),
        *("QUOTA_EXCEEDED", "IS_A_DIRECTORY", "NOT_A_DIRECTORY"),
    }
)

Side = Literal["source", "destination"]


class _Record:
    """What all have in common: they are read from documents strictly."""

    __slots__ = ()
    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid", "allow_inf_nan": False}


@dataclass(frozen=True, slots=True)
class Answer(_Record):
    """Answer with a status and an error document, in the shape of the service that was asked. Nothing else happens.

    Attributes:
        status: HTTP status, from 200 to 599.
        code: the code in the error document.
        message: the message in it.
        headers: headers of the answer, such as `{"Retry-After": "1"}`.
        fields: what else is in the document, such as `{"required_scopes": [...]}`.
    """

    status: int
    code: str = "InjectedFault"
    message: str = "This fault was asked for"
    headers: dict[str, str] = field(default_factory=dict)
    fields: dict[str, Any] = field(default_factory=dict)
    kind: Literal["answer"] = "answer"

    def __post_init__(self) -> None:
        is_status = isinstance(self.status, int) and 200 <= self.status <= 599  # noqa: PLR2004 -- said in words below
        _require(is_status, f"status must be from 200 to 599, not {self.status!r}")
        _require(_depth(self.fields) <= DEEPEST_FIELD, f"fields must not be nested deeper than {DEEPEST_FIELD}")
        for name, value in self.headers.items():
            _require(HEADER_NAME.fullmatch(name) is not None, f"{name!r} cannot be the name of a header")
            _require(HEADER_VALUE.fullmatch(value) is not None, f"{value!r} cannot be the value of header {name}")
            _require(name.lower() not in FRAMING_HEADERS, f"header {name} belongs to the connection")


@dataclass(frozen=True, slots=True)
class Delay(_Record):
    """Let the request wait for real seconds, then go on."""

    seconds: float
    kind: Literal["delay"] = "delay"

    def __post_init__(self) -> None:
        is_number = isinstance(self.seconds, (int, float)) and math.isfinite(self.seconds)
        is_possible = is_number and 0 < self.seconds <= LONGEST_DELAY
        _require(is_possible, f"seconds must be more than 0 and at most {LONGEST_DELAY:.0f}, not {self.seconds!r}")


@dataclass(frozen=True, slots=True)
class Drop(_Record):
    """Drop the connection without an answer: before the request has had its effect, or `after`, so it is lost."""

    after: bool = False
    kind: Literal["drop"] = "drop"


@dataclass(frozen=True, slots=True)
class MalformedBody(_Record):
    """Let the request have its effect, and answer with a body that is no JSON."""

    kind: Literal["malformed_body"] = "malformed_body"


@dataclass(frozen=True, slots=True)
class HalfBody(_Record):
    """Let the request have its effect, send the first half of the answer, and drop the connection."""

    kind: Literal["half_body"] = "half_body"


RequestEffect = Answer | Delay | Drop | MalformedBody | HalfBody


@dataclass(frozen=True, slots=True)
class FailFile(_Record):
    """A path fails with an event code; the rules of tasks say whether that is retried, skipped or fatal.

    Attributes:
        code: an error code of contract section 4, such as `PERMISSION_DENIED`.
        side: the collection that it happens on.
        message: the details of the event.
    """

    code: str
    side: Side = "source"
    message: str = "This fault was asked for"
    kind: Literal["fail_file"] = "fail_file"

    def __post_init__(self) -> None:
        _require(self.code in FILE_ERRORS, f"code {self.code!r} is unknown; there are {_listed(FILE_ERRORS)}")
        _require(self.side in ("source", "destination"), f"side must be source or destination, not {self.side!r}")


@dataclass(frozen=True, slots=True)
class AlterFile(_Record):
    """The source file itself, on disk, is altered while it is moved. A synthetic file cannot be.

    Attributes:
        how: `change` writes other bytes over it, of the same length; `grow` appends to it; `shrink` cuts it in half;
            `vanish` deletes it, which is noticed only when it is `found`: an open file can be read to its end.
        when: `found` is before it is opened, `opened` is after that, `moving` is after its first chunk was moved,
            `written` is before it is verified and gets its name.
    """

    how: Literal["change", "grow", "shrink", "vanish"]
    when: Literal["found", "opened", "moving", "written"] = "opened"
    kind: Literal["alter_file"] = "alter_file"

    def __post_init__(self) -> None:
        hows, whens = ("change", "grow", "shrink", "vanish"), ("found", "opened", "moving", "written")
        _require(self.how in hows, f"how must be one of {_listed(hows)}, not {self.how!r}")
        _require(self.when in whens, f"when must be one of {_listed(whens)}, not {self.when!r}")


@dataclass(frozen=True, slots=True)
class FlipBit(_Record):
    """One bit of what was written is flipped before it is verified. An empty file has none."""

    kind: Literal["flip_bit"] = "flip_bit"


@dataclass(frozen=True, slots=True)
class FillDisk(_Record):
    """The quota of the destination is used up once tasks have written so many bytes since: QUOTA_EXCEEDED."""

    after_bytes: int = 0
    kind: Literal["fill_disk"] = "fill_disk"

    def __post_init__(self) -> None:
        _require_count("after_bytes", self.after_bytes)


@dataclass(frozen=True, slots=True)
class PauseTask(_Record):
    """The task is paused, as by an administrator, once it has moved so many files."""

    files: int = 0
    message: str = "Paused on demand"
    kind: Literal["pause_task"] = "pause_task"

    def __post_init__(self) -> None:
        _require_count("files", self.files)


@dataclass(frozen=True, slots=True)
class InactivateTask(_Record):
    """The task loses its credentials and becomes INACTIVE once it has moved so many files."""

    files: int = 0
    message: str = "Credentials are gone on demand"
    kind: Literal["inactivate_task"] = "inactivate_task"

    def __post_init__(self) -> None:
        _require_count("files", self.files)


@dataclass(frozen=True, slots=True)
class ExpireTask(_Record):
    """The deadline of the task passes once it has moved so many files."""

    files: int = 0
    kind: Literal["expire_task"] = "expire_task"

    def __post_init__(self) -> None:
        _require_count("files", self.files)


TaskEffect = FailFile | AlterFile | FlipBit | FillDisk | PauseTask | InactivateTask | ExpireTask


@dataclass(frozen=True, slots=True)
class RequestFault(_Record):
    """What requests shall meet. All that is given must match; `/emulator/...` itself meets nothing.

    Attributes:
        effect: what happens.
        method: HTTP method.
        path: glob over the path of the URL, such as `/v0.10/operation/endpoint/*/ls`.
        collection: name or UUID of a collection that the request names, in its URL or its body.
        file: glob over the paths in collections that the request names, in its query or its body.
        client: id of the client that asks.
        after: how many matching requests pass first.
        times: how many it then meets; None is for as long as the fault is there.
    """

    effect: RequestEffect
    method: str | None = None
    path: str | None = None
    collection: str | None = None
    file: str | None = None
    client: str | None = None
    after: int = 0
    times: int | None = None
    kind: Literal["request"] = "request"

    EFFECTS: ClassVar[dict[str, type]] = {
        "answer": Answer,
        "delay": Delay,
        "drop": Drop,
        "malformed_body": MalformedBody,
        "half_body": HalfBody,
    }

    def __post_init__(self) -> None:
        _check_effect(self.effect, self.EFFECTS)
        is_method = self.method is None or self.method in METHODS
        _require(is_method, f"method {self.method!r} is unknown; methods are {_listed(METHODS)}")
        _check_glob("path", self.path)
        is_ours = self.path is not None and self.path.startswith("/emulator/")
        _require(not is_ours, "path: requests for /emulator/... meet no faults")
        _check_glob("file", self.file)
        _check_counts(self.after, self.times)


@dataclass(frozen=True, slots=True)
class TaskFault(_Record):
    """What tasks shall meet. All that is given must match a path that a task is about to work on.

    A task meets it once for each path it tries: an item, and each file and directory that is found in it; `alter_file`,
    `flip_bit` and `fill_disk` only for files that are really moved.

    Attributes:
        effect: what happens.
        collection: name or UUID of the source or the destination; of the latter for `fill_disk`.
        file: glob over the path at the source and at the destination.
        task: task id.
        label: glob over the label of the task.
        after: how many matching paths pass first.
        times: how many it then meets; None is for as long as the fault is there. A task that is to be paused or
            suspended just once needs `times=1`, or the next path has it paused again.
    """

    effect: TaskEffect
    collection: str | None = None
    file: str | None = None
    task: str | None = None
    label: str | None = None
    after: int = 0
    times: int | None = None
    kind: Literal["task"] = "task"

    EFFECTS: ClassVar[dict[str, type]] = {
        "fail_file": FailFile,
        "alter_file": AlterFile,
        "flip_bit": FlipBit,
        "fill_disk": FillDisk,
        "pause_task": PauseTask,
        "inactivate_task": InactivateTask,
        "expire_task": ExpireTask,
    }

    def __post_init__(self) -> None:
        _check_effect(self.effect, self.EFFECTS)
        _check_glob("file", self.file)
        _check_length("label", self.label)
        _check_counts(self.after, self.times)


Fault = RequestFault | TaskFault
FAULTS: dict[str, type[Fault]] = {"request": RequestFault, "task": TaskFault}


@dataclass(frozen=True, slots=True)
class InjectedFault:
    """A fault that is in force, and what came of it.

    Attributes:
        id: its id.
        fault: the fault.
        matched: how many requests or paths it has matched; it looks at none once it is spent.
        fired: how many of these met it.
        bytes: how many bytes were written to the disk that it is to fill.
    """

    id: str
    fault: Fault
    matched: int = 0
    fired: int = 0
    bytes: int = 0

    @property
    def is_spent(self) -> bool:
        """Whether it will never fire again."""
        return self.fault.times is not None and self.fired >= self.fault.times

    def document(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return asdict(self) | {"is_spent": self.is_spent}


def fault_of(document: dict[str, Any]) -> Fault:
    """Return the fault of a document that this package has made."""
    fault, effect = FAULTS[document["kind"]], document["effect"]
    return fault(**document | {"effect": fault.EFFECTS[effect["kind"]](**effect)})


def injected_of(document: dict[str, Any]) -> InjectedFault:
    """Return the injected fault of a document that this package has made."""
    known = {name: value for name, value in document.items() if name != "is_spent"}
    return InjectedFault(**known | {"fault": fault_of(document["fault"])})


def _check_effect(effect: object, known: dict[str, type]) -> None:
    names = _listed(one.__name__ for one in known.values())
    _require(isinstance(effect, tuple(known.values())), f"effect must be one of {names}, not {type(effect).__name__}")


def _depth(value: object) -> int:
    """Return how deep lists and objects are nested, but not how much deeper than may be."""
    depth, here = 0, [value]
    while here and depth <= DEEPEST_FIELD:
        depth += 1
        here = [
            inner
            for one in here
            if isinstance(one, (dict, list))
            for inner in (one.values() if isinstance(one, dict) else one)
        ]
    return depth


def _check_glob(name: str, glob: str | None) -> None:
    _check_length(name, glob)
    is_possible = glob is None or glob.startswith(("/", "*", "?", "["))
    _require(is_possible, f"{name} {glob!r} can never match: every path begins with '/'")


def _check_length(name: str, glob: str | None) -> None:
    _require(glob is None or len(glob) <= LONGEST_GLOB, f"{name} must have at most {LONGEST_GLOB} characters")


def _check_counts(after: int, times: int | None) -> None:
    _require_count("after", after)
    is_count = times is None or (isinstance(times, int) and 1 <= times <= LARGEST_COUNT)
    _require(is_count, "times must be 1 or more, or nothing for no end")


def _require_count(name: str, value: int) -> None:
    is_count = isinstance(value, int) and 0 <= value <= LARGEST_COUNT
    _require(is_count, f"{name} must be a whole number, 0 or more, not {value!r}")


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise ValueError(message)


def _listed(words: Iterable[str]) -> str:
    return ", ".join(sorted(words))
