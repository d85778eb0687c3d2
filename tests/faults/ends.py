"""What becomes of an item by what its task meets, as data: the tests hold it to this; the docs are made of it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Literal

from prefect_globus.transfers.faults import ITEM_CODES, SKIPPABLE_CODES

PERSON = ("AUTH", "GC_PAUSED")
PASSING = (
    *("CONNECTION_BROKEN", "CONNECTION_RESET", "CONNECT_FAILED", "ENDPOINT_ERROR", "ENDPOINT_TOO_BUSY"),
    *("FILE_SIZE_CHANGED", "GC_NOT_CONNECTED", "NO_APPEND_FILESYSTEM", "QUOTA_EXCEEDED", "TIMEOUT", "UNKNOWN"),
    "VERIFY_CHECKSUM",
)

Side = Literal["source", "destination"]


class Fate(Enum):
    """What becomes of the item, and of the transfer; its words in the docs."""

    ARRIVES = "arrives when it passes; past `patience` a new attempt is made"
    ARRIVES_MENDED = "PAUSED until it is mended, then arrives"
    DEAD = "dead letter; the rest arrives"
    SKIPPED = "skipped; COMPLETED"


@dataclass(frozen=True)
class ItemCase:
    """One item of a batch meets an event of this code.

    Args:
        code: of the event.
        side: the collection that it happens on.
        skip: whether skip_source_errors was asked for.
    """

    code: str
    side: Side
    skip: bool

    @property
    def fate(self) -> Fate:
        """The cell of the table."""
        if self.code in PERSON:
            return Fate.ARRIVES_MENDED
        if self.code in PASSING:
            return Fate.ARRIVES
        named = self.skip and self.side == "source" and self.code in SKIPPABLE_CODES
        return Fate.SKIPPED if named else Fate.DEAD


ITEM_CASES = tuple(
    ItemCase(code, side, skip)
    for code in (*sorted(ITEM_CODES), *PERSON, *PASSING)
    for side in ("source", "destination")
    for skip in (False, True)
)


@dataclass(frozen=True)
class TaskEnd:
    """One way for a task to end, or to stand.

    Args:
        name: in the docs, and of its test.
        becomes: what becomes of the transfer, in words.
    """

    name: str
    becomes: str


AGAIN = "a further attempt is sent what remains; what was moved is not moved again"
TASK_ENDS = (
    TaskEnd("succeeds", "COMPLETED"),
    TaskEnd("is canceled by somebody", AGAIN),
    TaskEnd("meets its deadline", AGAIN),
    TaskEnd("stands without a fault for `stall_seconds`", AGAIN),
    TaskEnd("is older than Globus' record of it", AGAIN),
    TaskEnd("is not shown though it must be on record", "FAILED, `TaskNotVisibleError`: it may still be running"),
    TaskEnd("becomes INACTIVE", "PAUSED until it is active again, then goes on"),
    TaskEnd("is paused by an administrator", "PAUSED with what the administrator says, until it is resumed"),
    TaskEnd("is paused for longer than `pause_limit`", "the run ends with `TransferPausedError`; PAUSED, resumable"),
)
