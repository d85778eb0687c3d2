"""What a user may turn: the options of a transfer, each with a default and a sentence."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    AliasChoices,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    WithJsonSchema,
    field_validator,
    model_validator,
)
from pydantic.json_schema import SkipJsonSchema

from prefect_globus.transfers.forms import InForm
from prefect_globus.transfers.items import Item
from prefect_globus.transfers.quantities import SIZE, SPAN, Duration, Size
from prefect_globus.transfers.records import Record

ProgressCallback = Callable[[int, int, int, bool], None]
"""Called with (items accounted for, items known, bytes transferred, done)."""

FilterCallback = Callable[[Item], bool]
"""Called with each item of the scan; the item is left out when it returns False."""


ApprovalCallback = Callable[[Any], bool]
"""Called with the `TransferPlan`, before anything is submitted; the transfer is canceled when it returns False."""


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
    is_number = not isinstance(value, bool) and text.isascii() and text.isdecimal()
    if is_number and int(text) < len(levels):
        return levels[int(text)]
    return value


def _printable(label: str) -> str:
    if not label.isprintable():
        raise ValueError("a label is one line of text: leave out what cannot be printed")
    return label


Label = Annotated[
    str,
    StringConstraints(strip_whitespace=True, max_length=128, pattern=r"^[^\r\n]*$"),
    AfterValidator(_printable),
]


_LONGEST_SECONDS = 100 * 366 * 86_400

_SYNC_LEVELS = {
    "anyOf": [
        {"type": "null", "title": "Transfer every file"},
        {"type": "string", "title": "Leave alone, judged by", "enum": [level.value for level in SyncLevel]},
        {"type": "integer", "title": "By number", "minimum": 0, "maximum": len(SyncLevel) - 1},
    ]
}


class TransferOptions(InForm, Record):
    """How a transfer is done. All fields have a default.

    Sizes are bytes and times are seconds; both may be given with a unit, as in ``max_size="500 MiB"``. The fields stand
    in the order in which a form shows them: the common ones first, and then by what comes before the colon of a title.
    """

    model_config = ConfigDict(allow_inf_nan=False)

    # --- the common ones

    sync_level: Annotated[SyncLevel | None, BeforeValidator(_sync_level), WithJsonSchema(_SYNC_LEVELS)] = Field(
        default=None,
        title="What is there already",
        description="Leave a file alone when the destination already has it, judged by: exists, size, mtime or "
        "checksum. By default every file is transferred. What a failed Globus task has left is always judged by "
        "checksum, as files may be half-written: so one that differs is overwritten then, also with exists.",
    )
    preserve_timestamp: bool = Field(
        default=False,
        title="Keep modification times",
        description="Give files at the destination the modification time that they have at the source.",
    )
    verify_checksum: bool = Field(
        default=True,
        title="Verify checksums",
        description="Have Globus compare checksums after each file was transferred.",
    )
    encrypt_data: bool = Field(default=False, title="Encrypt", description="Encrypt the data on its way.")
    skip_source_errors: bool = Field(
        default=False,
        title="Skip what cannot be read",
        description="Go on without files that cannot be read at the source, and count them as skipped.",
    )
    symlinks: Literal["ignore", "follow"] = Field(
        default="ignore",
        title="Symbolic links",
        description="What to do with symbolic links at the source: ignore them, or follow them and transfer what they "
        "point to.",
    )
    label: Label | None = Field(
        default=None,
        title="Label",
        description="Label of the Globus tasks, at most 128 characters. By default the transfer id and batch number.",
        examples=["nightly backup of lab 3"],
    )
    deadline_seconds: Annotated[int, Field(gt=0, le=_LONGEST_SECONDS), SPAN] | None = Field(
        default=None,
        title="Deadline",
        description="When Globus gives up a task, counted from its submission. By default Globus decides.",
        examples=["3d"],
    )
    fail_on_quota_errors: bool = Field(
        default=False,
        title="Fail when a quota is full",
        description="Fail at once when the destination's quota is full, instead of trying again.",
    )

    approval: bool = Field(
        default=False,
        title="Approval",
        description="Scan all of the source, show what would be done, and wait until a person has approved it in "
        "Prefect, for as long as the patience with a person lasts; nothing is submitted before.",
    )

    # --- which files

    include: tuple[str, ...] = Field(
        default=(),
        title="Filter: only",
        description="Transfer only files that match one of these patterns (* ? [] as in a shell; a pattern with a / "
        "is compared with the whole relative path, one without with the name).",
        examples=["*.h5"],
    )
    exclude: tuple[str, ...] = Field(
        default=(),
        title="Filter: leave out",
        description="Leave out files and whole directories that match one of these patterns.",
        examples=["*.tmp", ".cache"],
    )
    min_size: Size | None = Field(
        default=None,
        title="Filter: smallest size",
        description="Leave out files smaller than this.",
        examples=["1 KiB"],
    )
    max_size: Size | None = Field(
        default=None,
        title="Filter: largest size",
        description="Leave out files larger than this.",
        examples=["500 MiB"],
    )
    min_age_seconds: Duration | None = Field(
        default=None,
        title="Filter: smallest age",
        description="Leave out files modified less than this long before the transfer began.",
        examples=["15 min"],
    )
    max_age_seconds: Duration | None = Field(
        default=None,
        title="Filter: largest age",
        description="Leave out files modified more than this long before the transfer began.",
        examples=["30d"],
    )

    # --- what earlier transfers have done

    mode: Literal["full", "incremental"] = Field(
        default="full",
        title="Incremental: mode",
        description="full: everything is looked at anew. incremental: only what is new or has changed is moved, "
        "compared as is said below. Unlike idempotency, this compares with one complete state of the source, so that "
        "it also knows what was deleted since. For a destination that stays the same.",
    )
    compare_with: Literal["manifest", "destination"] = Field(
        default="manifest",
        title="Incremental: compare with",
        description="What an incremental transfer is compared with. manifest: the last completed transfer between the "
        "same two locations, by size and modification time in its checkpoint. destination: what is there now, by a "
        "listing: a file of the same size that is not older, or as old where times are kept, is left alone.",
    )
    idempotency: Literal["off", "mtime", "checksum"] = Field(
        default="off",
        title="Incremental: idempotency",
        description="Leave out what earlier transfers between the same two locations have delivered. mtime: what has "
        "the same path, size and modification time in the checkpoints of the latest 20 of them, although somebody may "
        "have taken it away from the destination since; a change within a second that keeps the size is not seen. "
        "checksum: what Globus finds to have the same contents at the destination now, whoever has brought it there.",
    )

    # --- what is deleted when all was delivered

    after: Literal["keep_source", "delete_source"] = Field(
        default="keep_source",
        title="Deletion: the source",
        description="What becomes of the source when all of it was delivered: keep_source, or delete_source, which "
        "deletes the files that are proven to be delivered and are still as they were scanned. Directories stay.",
    )
    delete_destination_extra: bool = Field(
        default=False,
        title="Deletion: what is extra at the destination",
        description="When all was delivered, delete from the destination what is not at the source. Only for a "
        "directory, and not together with options that leave out a part of it.",
    )

    # --- batches

    batch_size: int | None = Field(
        default=None,
        gt=0,
        title="Batches: most items",
        description="Items in one Globus task. By default it grows with the tree, from 100 up.",
        examples=[1000],
    )
    batch_bytes: Annotated[int, Field(gt=0), SIZE] | None = Field(
        default=None,
        title="Batches: most bytes",
        description="Bytes in one Globus task. By default it grows with the tree, from 10 GiB up.",
        examples=["100 GiB"],
    )
    max_concurrency: int = Field(
        default=6,
        gt=0,
        le=100,
        title="Batches: at once",
        description="Globus tasks submitted at once. Globus works on 3 of a user at a time and queues the others.",
        examples=[3],
    )

    # --- trying again

    retry_limit: int = Field(
        default=3,
        ge=0,
        le=50,
        title="Retries: how many",
        description="How often a batch that failed is tried again.",
        examples=[5],
    )
    retry_delay: Duration = Field(
        default=30.0,
        title="Retries: first wait",
        description="How long to wait before the first of these retries. Each further one waits twice as long, up to "
        "the longest wait, and longer at random by the jitter.",
        examples=["1 min"],
    )
    retry_max_delay: Duration = Field(
        default=600.0, title="Retries: longest wait", description="Longest wait before a retry.", examples=["1h"]
    )
    retry_jitter: float = Field(
        default=0.5,
        ge=0,
        le=1,
        title="Retries: jitter",
        description="By which part of itself a wait is made longer at random, from 0 to 1, so that what failed "
        "together does not come back together.",
        examples=[0.2],
    )
    api_retry_delay: Duration = Field(
        default=0.5,
        title="Requests: first wait",
        description="How long to wait before a request to Globus, or to the checkpoint store, is made again that found "
        "it out of reach. Each further one waits twice as long, up to the longest wait.",
        examples=["2s"],
    )
    api_retry_max_delay: Duration = Field(
        default=30.0,
        title="Requests: longest wait",
        description="Longest wait before a request is made again.",
        examples=["1 min"],
    )

    # --- patience

    poll_interval: Annotated[float, Field(gt=0), SPAN] = Field(
        default=10.0,
        title="Patience: between two looks",
        description="Longest time between two looks at a running Globus task. The first looks come sooner.",
        examples=["1 min"],
    )
    patience: Duration = Field(
        default=3600.0,
        title="Patience: with passing faults",
        description="How long a fault may be taken for a passing one: Globus or the checkpoint store out of reach, or "
        "a Globus task that meets faults and makes no progress. Then the batch counts as failed and is tried again.",
        examples=["2h"],
    )
    fault_grace: Duration = Field(
        default=15.0,
        title="Patience: with files that fail for good",
        description="How long a Globus task may go on without progress after a fault that one of its files will meet "
        "for ever, such as PERMISSION_DENIED. Then that file is set aside and the rest goes on.",
        examples=["1 min"],
    )
    stall_seconds: Annotated[float, Field(gt=0), SPAN] = Field(
        default=21_600.0,
        title="Patience: without progress",
        description="How long a Globus task may stand without progress, though it reports no fault, before it is ended "
        "and tried again. Waiting in Globus' queue does not count.",
        examples=["1d"],
    )
    isolation_limit: int = Field(
        default=20,
        ge=0,
        title="Patience: tasks spent on finding faulty files",
        description="How many Globus tasks may be spent on finding the files of one batch that fail for good, where "
        "Globus does not name them. Then all that are under suspicion count as failed.",
        examples=[50],
    )
    conflict_wait: Duration = Field(
        default=3600.0,
        title="Patience: with somebody else's task",
        description="How long to wait for somebody else's Globus task that has the same paths.",
        examples=["6h"],
    )
    pause_limit: Duration = Field(
        default=86_400.0,
        title="Patience: with a person",
        description="How long a run waits for a person to mend what has paused it, such as a missing consent. Then the "
        "run ends; the transfer stays PAUSED, and the resume-incomplete flow looks after it.",
        examples=["3d"],
    )
    lock_stale_after: Annotated[float, Field(ge=1), SPAN] = Field(
        default=60.0,
        # as it was called in checkpoints before schema version 2
        validation_alias=AliasChoices("lock_stale_after", "lease_seconds"),
        title="Patience: with a driver that is gone",
        description="How long the right to drive a transfer lasts without being renewed: after a crash another process "
        "may take over when it has passed.",
        examples=["2 min"],
    )
    max_lock_wait: Duration = Field(
        default=0.0,
        title="Patience: with a driver at work",
        description="How long to wait for a transfer that another process is driving. By default it is refused at "
        "once.",
        examples=["10 min"],
    )
    approval_callback: SkipJsonSchema[ApprovalCallback | None] = Field(default=None, exclude=True, repr=False)
    progress_callback: SkipJsonSchema[ProgressCallback | None] = Field(default=None, exclude=True, repr=False)
    filter_callback: SkipJsonSchema[FilterCallback | None] = Field(default=None, exclude=True, repr=False)

    @field_validator("*")
    @classmethod
    def _check_times(cls, value: Any) -> Any:  # noqa: ANN401 - any field
        """Refuse a time that no clock could wait for."""
        if isinstance(value, float) and value > _LONGEST_SECONDS:
            raise ValueError("it is longer than a hundred years")
        return value

    @model_validator(mode="after")
    def _check_ranges(self) -> Self:
        for low, high in (("min_size", "max_size"), ("min_age_seconds", "max_age_seconds")):
            least, most = getattr(self, low), getattr(self, high)
            if least is not None and most is not None and least > most:
                raise ValueError(f"{low} is larger than {high}, so nothing would be transferred")
        if self.approval_callback is not None and not self.approval:
            raise ValueError("approval_callback decides on what needs an approval: set approval=True as well")
        if self.idempotency == "checksum" and self.sync_level not in (None, SyncLevel.CHECKSUM):
            raise ValueError(f"idempotency by checksum and a sync_level of {self.sync_level} contradict each other")
        self._check_mode()
        if self.delete_destination_extra:
            self._check_extras()
        return self

    def _check_extras(self) -> None:
        """Refuse what would make a part of the source look as if it were not there."""
        if self.after == "delete_source":
            raise ValueError(
                "a source that is deleted leaves nothing that the destination could be compared with, so "
                "delete_destination_extra and after=delete_source cannot go together"
            )
        if hiding := self.hiding:
            raise ValueError(
                f"what {', '.join(hiding)} leaves out would look extra at the destination, and be deleted "
                f"there: drop {'it' if len(hiding) == 1 else 'them'}, or delete_destination_extra"
            )

    @property
    def hiding(self) -> list[str]:
        """The names of those in use that leave out a part of the source."""
        # by identity: a max_size of 0 leaves out a lot
        nothing = (None, False)
        values = {name: getattr(self, name) for name in _HIDING}
        return [name for name, value in values.items() if value != () and not any(value is each for each in nothing)]

    def _check_mode(self) -> None:
        if self.mode == "full":
            if self.compare_with != "manifest":
                raise ValueError("compare_with is for incremental transfers: choose the mode incremental, or drop it")
            return
        if self.idempotency != "off":
            raise ValueError(
                "the mode incremental and idempotency are two ways to leave out what was delivered: choose one"
            )
        if self.sync_level not in (None, SyncLevel.CHECKSUM):
            raise ValueError(
                f"with the mode incremental a sync_level of {self.sync_level} would leave alone files that are known "
                "to have changed: drop it, or choose checksum"
            )

    def differences(self, other: TransferOptions) -> list[str]:
        """The names of the options that say what is transferred and differ from ``other``; sorted."""
        return sorted(name for name in WHAT_OPTIONS if getattr(self, name) != getattr(other, name))

    def retry_wait(self, retry: int, chance: float) -> float:
        """The wait before a retry of a batch, in seconds: exponential, capped, and longer at random.

        Args:
            retry: 1 for the first.
            chance: a random number from 0 to 1.
        """
        return self._wait(self.retry_delay, self.retry_max_delay, retry, chance)

    def api_retry_wait(self, retry: int, chance: float) -> float:
        """The same before a request is made again."""
        return self._wait(self.api_retry_delay, self.api_retry_max_delay, retry, chance)

    def _wait(self, first: float, most: float, retry: int, chance: float) -> float:
        doublings = min(retry - 1, _MOST_DOUBLINGS)
        return min(most, first * 2.0**doublings) * (1 + chance * self.retry_jitter)


_MOST_DOUBLINGS = 60  # far beyond any cap, and far from the end of a float


_HIDING = (
    *("include", "exclude", "min_size", "max_size", "min_age_seconds", "max_age_seconds"),
    *("filter_callback", "skip_source_errors"),
)


WHAT_OPTIONS = frozenset(
    {
        "approval",
        "after",
        "delete_destination_extra",
        "label",
        "fail_on_quota_errors",
        "sync_level",
        "idempotency",
        "mode",
        "compare_with",
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
