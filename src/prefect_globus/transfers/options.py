"""What a user may turn: the options of a transfer, each with a default and a sentence."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, StringConstraints, model_validator
from pydantic.json_schema import SkipJsonSchema

from prefect_globus.transfers.items import Item, ItemType
from prefect_globus.transfers.records import Record

ProgressCallback = Callable[[int, int, int, bool], None]
"""Called with (items accounted for, items known, bytes transferred, done)."""

FilterCallback = Callable[[Item], bool]
"""Called with each item of the scan; the item is left out when it returns False."""


class SyncLevel(StrEnum):
    """When Globus may leave a file alone that is already at the destination."""

    EXISTS = "exists"
    SIZE = "size"
    MTIME = "mtime"
    CHECKSUM = "checksum"

    @property
    def number(self) -> int:
        """The level as the Transfer API counts it, 0 to 3."""
        return list(SyncLevel).index(self)


def _sync_level(value: Any) -> Any:  # noqa: ANN401 - whatever a user writes
    """Accept the numbers of the Transfer API as well as the names of globus-cli."""
    levels = list(SyncLevel)
    text = str(value).strip()
    if value is not None and text.isdecimal() and int(text) < len(levels):
        return levels[int(text)]
    return value


Label = Annotated[str, StringConstraints(strip_whitespace=True, max_length=128, pattern=r"^[^\r\n]*$")]


class TransferOptions(Record):
    """How a transfer is done. All fields have a default; sizes are bytes and times are seconds."""

    label: Label | None = Field(
        default=None,
        description="Label of the Globus tasks, at most 128 characters. By default the transfer id and batch number.",
    )
    sync_level: Annotated[SyncLevel | None, BeforeValidator(_sync_level)] = Field(
        default=None,
        description="Leave a file alone when the destination already has it, judged by: exists, size, mtime or "
        "checksum. By default every file is transferred.",
    )
    preserve_timestamp: bool = Field(
        default=False, description="Give files at the destination the modification time that they have at the source."
    )
    verify_checksum: bool = Field(
        default=True, description="Have Globus compare checksums after each file was transferred."
    )
    encrypt_data: bool = Field(default=False, description="Encrypt the data on its way.")
    deadline_seconds: int | None = Field(
        default=None,
        gt=0,
        description="Seconds after its submission when Globus gives up a task. By default Globus decides.",
    )
    skip_source_errors: bool = Field(
        default=False,
        description="Go on without files that cannot be read at the source, and count them as skipped.",
    )
    fail_on_quota_errors: bool = Field(
        default=False, description="Fail at once when the destination's quota is full, instead of trying again."
    )
    symlinks: Literal["ignore", "follow"] = Field(
        default="ignore",
        description="What to do with symbolic links at the source: ignore them, or follow them and transfer what they "
        "point to.",
    )
    include: tuple[str, ...] = Field(
        default=(),
        description="Transfer only files that match one of these patterns (* ? [] as in a shell; a pattern with a / "
        "is compared with the whole relative path, one without with the name).",
    )
    exclude: tuple[str, ...] = Field(
        default=(), description="Leave out files and whole directories that match one of these patterns."
    )
    min_size: int | None = Field(default=None, ge=0, description="Leave out files smaller than this, in bytes.")
    max_size: int | None = Field(default=None, ge=0, description="Leave out files larger than this, in bytes.")
    min_age_seconds: float | None = Field(
        default=None,
        ge=0,
        description="Leave out files modified less than this many seconds before the transfer began.",
    )
    max_age_seconds: float | None = Field(
        default=None,
        ge=0,
        description="Leave out files modified more than this many seconds before the transfer began.",
    )
    batch_size: int | None = Field(
        default=None, gt=0, description="Items in one Globus task. By default it grows with the tree, from 100 up."
    )
    batch_bytes: int | None = Field(
        default=None, gt=0, description="Bytes in one Globus task. By default it grows with the tree, from 10 GiB up."
    )
    max_concurrency: int = Field(
        default=6,
        gt=0,
        le=100,
        description="Globus tasks submitted at once. Globus works on 3 of a user at a time and queues the others.",
    )
    retry_limit: int = Field(default=3, ge=0, le=50, description="How often a batch that failed is tried again.")
    retry_delay: float = Field(
        default=30.0,
        ge=0,
        description="Seconds before the first of these retries. Each further one waits twice as long, at most "
        "retry_max_delay, and up to half as long again at random.",
    )
    retry_max_delay: float = Field(default=600.0, ge=0, description="Longest wait before a retry, in seconds.")
    poll_interval: float = Field(
        default=10.0,
        gt=0,
        description="Longest time between two looks at a running Globus task, in seconds. The first looks come sooner.",
    )
    patience: float = Field(
        default=3600.0,
        ge=0,
        description="How long Globus may be out of reach, in seconds, before a running batch counts as failed.",
    )
    lease_seconds: float = Field(
        default=60.0,
        ge=1,
        description="How long the right to drive a transfer lasts without being renewed, in seconds: after a crash "
        "another process may take over when it has passed.",
    )
    max_lock_wait: float = Field(
        default=0.0,
        ge=0,
        description="How long to wait for a transfer that another process is driving, in seconds. By default it is "
        "refused at once.",
    )
    progress_callback: SkipJsonSchema[ProgressCallback | None] = Field(default=None, exclude=True, repr=False)
    filter_callback: SkipJsonSchema[FilterCallback | None] = Field(default=None, exclude=True, repr=False)

    @model_validator(mode="after")
    def _check_ranges(self) -> Self:
        for low, high in (("min_size", "max_size"), ("min_age_seconds", "max_age_seconds")):
            least, most = getattr(self, low), getattr(self, high)
            if least is not None and most is not None and least > most:
                raise ValueError(f"{low} is larger than {high}, so nothing would be transferred")
        return self

    def differences(self, other: TransferOptions) -> list[str]:
        """The names of the options that say what is transferred and differ from ``other``; sorted."""
        return sorted(name for name in WHAT_OPTIONS if getattr(self, name) != getattr(other, name))

    def retry_wait(self, retry: int, chance: float) -> float:
        """The wait before a retry of a batch, in seconds: exponential, capped, and up to half as long again.

        Args:
            retry: 1 for the first.
            chance: a random number from 0 to 1, so that batches that failed together do not come back together.
        """
        return min(self.retry_max_delay, self.retry_delay * 2.0 ** (retry - 1)) * (1 + chance / 2)


WHAT_OPTIONS = frozenset(
    {
        "label",
        "fail_on_quota_errors",
        "sync_level",
        "preserve_timestamp",
        "verify_checksum",
        "encrypt_data",
        "skip_source_errors",
        "symlinks",
        "include",
        "exclude",
        "min_size",
        "max_size",
        "min_age_seconds",
        "max_age_seconds",
    }
)
"""The options that say what is transferred; the others say how, and may change when a transfer is resumed."""


class Selection:
    """Which items of a scan are wanted, by patterns, size, age and callback."""

    def __init__(self, options: TransferOptions, began: float) -> None:
        """Args: ``began``: when the transfer began, seconds since 1970; ages are measured from there."""
        self._options = options
        self._oldest = began - options.max_age_seconds if options.max_age_seconds is not None else None
        self._newest = began - options.min_age_seconds if options.min_age_seconds is not None else None

    def enters(self, path: str) -> bool:
        """Whether the directory ``path`` is listed at all."""
        return not any(_matches(path, pattern) for pattern in self._options.exclude)

    def takes(self, item: Item) -> bool:
        """Whether ``item`` is transferred."""
        if not self._by_path(item.path):
            return False
        if item.type is ItemType.FILE and not (self._by_size(item.size) and self._by_age(item.mtime)):
            return False
        return self._options.filter_callback is None or bool(self._options.filter_callback(item))

    def _by_path(self, path: str) -> bool:
        if any(_matches(path, pattern) for pattern in self._options.exclude):
            return False
        include = self._options.include
        return not include or any(_matches(path, pattern) for pattern in include)

    def _by_size(self, size: int) -> bool:
        low, high = self._options.min_size, self._options.max_size
        return (low is None or size >= low) and (high is None or size <= high)

    def _by_age(self, mtime: int) -> bool:
        return (self._oldest is None or mtime >= self._oldest) and (self._newest is None or mtime <= self._newest)


def _matches(path: str, pattern: str) -> bool:
    if "/" in pattern:
        return fnmatchcase(path, pattern.strip("/"))
    return fnmatchcase(path.rpartition("/")[2], pattern)
