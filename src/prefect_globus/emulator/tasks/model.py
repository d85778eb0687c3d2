"""The words of tasks: their states, their work, and the policies that drive them, as data."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import NamedTuple

HOUR = 3600.0
DAY = 24 * HOUR


class TaskType(StrEnum):
    """What a task does (contract section 4)."""

    TRANSFER = "TRANSFER"
    DELETE = "DELETE"


class Status(StrEnum):
    """Where a task stands (contract section 4). There is no CANCELED: such a task is FAILED with code CANCELED.

    Nor is there a PAUSED: an activity manager's pause is a flag of an unfinished task, whatever its status.
    """

    ACTIVE = "ACTIVE"
    INACTIVE = "INACTIVE"  # its credentials are lost: suspended until a person has mended them
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"


TRANSITIONS: dict[Status, frozenset[Status]] = {
    Status.ACTIVE: frozenset({Status.INACTIVE, Status.SUCCEEDED, Status.FAILED}),
    Status.INACTIVE: frozenset({Status.ACTIVE, Status.FAILED}),
    Status.SUCCEEDED: frozenset(),
    Status.FAILED: frozenset(),
}
UNFINISHED = frozenset(status for status, following in TRANSITIONS.items() if following)


class Phase(StrEnum):
    """What the engine does with an unfinished task right now. Only RUNNING holds one of its owner's places."""

    QUEUED = "QUEUED"  # ready, but its owner's places are taken
    RUNNING = "RUNNING"  # worked on
    WAITING = "WAITING"  # backs off
    PAUSED = "PAUSED"  # held by an activity manager, or by a pause rule
    INACTIVE = "INACTIVE"  # its credentials are lost


class Kind(StrEnum):
    """What a piece of work is about."""

    ITEM = "item"  # submitted, not looked at yet: a file or a directory
    FILE = "file"
    DIRECTORY = "directory"
    SYMLINK = "symlink"
    GLOB = "glob"  # submitted for deletion, with wildcards in its last name
    EXTRA = "extra"  # at the destination only, and to be deleted there


class Outcome(StrEnum):
    """How a piece of work stands: PENDING, MOVING or DELETING becomes one of the rest, once."""

    PENDING = "pending"
    MOVING = "moving"  # the sync level has decided; after a crash it would see our own file and decide otherwise
    DELETING = "deleting"  # what is there was counted; after a crash it would not all be there any more
    DONE = "done"
    UNCHANGED = "unchanged"  # left alone by the sync level
    SKIPPED = "skipped"  # given up by skip_source_errors


class Code:
    """Event and fatal error codes (contract section 4). The last group is our choice: [inferred]."""

    STARTED = "STARTED"
    PROGRESS = "PROGRESS"
    SUCCEEDED = "SUCCEEDED"
    CANCELED = "CANCELED"
    PERMISSION_DENIED = "PERMISSION_DENIED"
    FILE_NOT_FOUND = "FILE_NOT_FOUND"
    FILE_SIZE_CHANGED = "FILE_SIZE_CHANGED"
    VERIFY_CHECKSUM = "VERIFY_CHECKSUM"
    AMBIGUOUS_PATH = "AMBIGUOUS_PATH"
    INVALID_PATH_NAME = "INVALID_PATH_NAME"
    INVALID_SYMLINK = "INVALID_SYMLINK"
    EXTERNAL_CHECKSUM_MISMATCH = "EXTERNAL_CHECKSUM_MISMATCH"
    PAUSED = "PAUSED"
    UNPAUSED = "UNPAUSED"
    AUTH = "AUTH"
    UNKNOWN = "UNKNOWN"

    EXPIRED = "EXPIRED"
    QUOTA_EXCEEDED = "QUOTA_EXCEEDED"
    IS_A_DIRECTORY = "IS_A_DIRECTORY"
    NOT_A_DIRECTORY = "NOT_A_DIRECTORY"


SKIPPABLE_CODES = frozenset({Code.PERMISSION_DENIED, Code.FILE_NOT_FOUND, Code.AMBIGUOUS_PATH})
FATAL_CODES = frozenset(
    {Code.AMBIGUOUS_PATH, Code.INVALID_PATH_NAME, Code.INVALID_SYMLINK, Code.EXTERNAL_CHECKSUM_MISMATCH}
)
# Of deletions these are fatal as well (contract section 4); IS_A_DIRECTORY is [inferred].
FATAL_DELETE_CODES = FATAL_CODES | {Code.FILE_NOT_FOUND, Code.IS_A_DIRECTORY}


@dataclass(frozen=True, slots=True)
class Policy:
    """Every limit and wait of task-behavior.txt, in seconds of Globus time; `scale` shortens them all."""

    scale: float = 1.0
    active_tasks: int = 3
    pending_tasks: int = 100
    first_deadline: float = 24 * HOUR
    progress_deadline: float = 72 * HOUR
    queued_deadline: float = 24 * HOUR
    paused_deadline: float = 90 * DAY
    unpaused_deadline: float = 24 * HOUR
    history: float = 30 * DAY
    first_backoff: float = 30.0
    longest_backoff: float = 300.0
    backoff_window: float = 2 * HOUR
    skip_wait: float = 10.0
    queued_error_window: float = 900.0
    progress_interval: float = 60.0
    events_per_round: int = 100  # [inferred] a round of ten thousand missing files does not write ten thousand events
    file_delay: float = 0.0  # real seconds, for demos and tests
    rate: int = 0  # real bytes per second of one task, 0 for no limit

    def real(self, seconds: float) -> float:
        """Return how long a wait of Globus seconds lasts here, in real seconds."""
        return seconds / self.scale

    def backoff(self, errors: int) -> float:
        """Return the wait in Globus seconds after `errors` errors within the window (task-behavior.txt 4.3)."""
        doublings = min(max(errors - 1, 0), 10)
        return min(self.first_backoff * (1 << doublings), self.longest_backoff)


class FilterRule(NamedTuple):
    """One filter rule of a transfer (contract section 3): the first that matches a name decides."""

    method: str
    name: str
    type: str | None

    def matches(self, name: str, *, is_directory: bool) -> bool:
        """Tell whether the rule is about a name."""
        return (self.type is None or (self.type == "dir") == is_directory) and fnmatchcase(name, self.name)


@dataclass(frozen=True, slots=True)
class Options:
    """The options of a submitted document that act on its items (contract section 3).

    Those from `recursive` on are of delete tasks only, the rest but `source_local_user` of transfers only.
    """

    sync_level: int | None = None
    verify_checksum: bool = False
    preserve_timestamp: bool = False
    encrypt_data: bool = False
    skip_source_errors: bool = False
    fail_on_quota_errors: bool = False
    recursive_symlinks: str = "ignore"
    filter_rules: tuple[FilterRule, ...] | None = None
    delete_destination_extra: bool = False
    source_base_path: str | None = None
    destination_base_path: str | None = None
    source_local_user: str | None = None
    destination_local_user: str | None = None
    recursive: bool = False
    ignore_missing: bool = False
    interpret_globs: bool = False

    def includes(self, name: str, *, is_directory: bool) -> bool:
        """Tell whether the filter rules let a name through, which is so if none is about it."""
        for rule in self.filter_rules or ():
            if rule.matches(name, is_directory=is_directory):
                return rule.method == "include"
        return True


class Item(NamedTuple):
    """One submitted item: a pair of paths of a transfer, or the `source_path` of what is to be deleted."""

    kind: Kind
    source_path: str
    destination_path: str
    recursive: bool | None = None
    external_checksum: str | None = None
    checksum_algorithm: str | None = None


@dataclass(frozen=True, slots=True)
class Submission:
    """A checked transfer or delete document; the endpoint of a deletion is its `source_endpoint`."""

    type: TaskType
    submission_id: str
    source_endpoint: str
    destination_endpoint: str | None
    label: str | None
    deadline: float | None
    options: Options
    items: tuple[Item, ...]


COUNTERS = (
    "files",
    "directories",
    "symlinks",
    "files_skipped",
    "files_transferred",
    "bytes_transferred",
    "bytes_checksummed",
    "faults",
    "subtasks_total",
    "subtasks_succeeded",
    "subtasks_skipped_errors",
    "subtasks_canceled",
    "subtasks_expired",
    "subtasks_failed",
)


@dataclass(frozen=True, slots=True)
class Task:
    """A task as the state holds it. Times are seconds since the epoch.

    `deadline` is what documents show; `expires_at` is when the task really ends, with the time scale applied.
    `pause_message` is what the activity manager said who has paused this very task; `is_paused` tells that it is at
    rest, for that or for a pause rule. `is_held_inactive` tells that it stays INACTIVE until `Engine.reactivate`.
    """

    number: int
    task_id: str
    type: TaskType
    owner_id: str
    submission_id: str
    source_endpoint: str
    destination_endpoint: str | None
    label: str | None
    status: Status
    options: Options
    request_time: float
    completion_time: float | None
    deadline: float
    expires_at: float
    deadline_fixed: bool
    started: bool
    cancel_requested: bool
    canceled_by_admin: str | None
    canceled_by_admin_message: str | None
    is_paused: bool
    pause_message: str | None
    is_held_inactive: bool
    history_deleted: bool
    ready_at: float
    error_code: str | None
    error_time: float | None
    fatal_code: str | None
    fatal_description: str | None
    counters: dict[str, int] = field(default_factory=dict)

    @property
    def is_finished(self) -> bool:
        """Tell whether it has succeeded or failed."""
        return self.status not in UNFINISHED


class Trouble(NamedTuple):
    """Why a task cannot go on without a person: its credentials are lost."""

    code: str
    details: str


class Work(NamedTuple):
    """One piece of a task's work: a submitted item, or what the walk of a directory found."""

    seq: int
    kind: Kind
    source_path: str
    destination_path: str
    recursive: bool | None = None
    external_checksum: str | None = None
    checksum_algorithm: str | None = None
    is_decided: bool = False  # that it is to be moved, whatever the sync level, or that it was counted for deletion
    size: int = 0  # of work that was counted for deletion: how many subtasks it is


class Result(NamedTuple):
    """The outcome of one piece of work."""

    seq: int
    kind: Kind
    outcome: Outcome
    size: int = 0
    checksum: str | None = None
    checksum_algorithm: str | None = None
    error_code: str | None = None
    error_details: str | None = None


class MovedFile(NamedTuple):
    """A file that was moved, by its number in the work of the task, and the checksum if one was taken."""

    seq: int
    size: int
    checksum: str | None = None
    algorithm: str | None = None


class Event(NamedTuple):
    """One entry of a task's event list; `backs_off` says that it counts for the backoff."""

    time: float
    code: str
    is_error: bool
    details: str
    backs_off: bool = False
