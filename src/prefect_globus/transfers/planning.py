"""A plan: what a transfer would do, and how long that may take, before anything is submitted.

A plan is made of sums and of the first few items of a sort, so it is as small for ten million items as for ten.
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from pydantic import AwareDatetime, Field

from prefect_globus.transfers.estimating import Estimate
from prefect_globus.transfers.items import Item, ItemType, Outcome, untransferable
from prefect_globus.transfers.location import Location
from prefect_globus.transfers.options import SyncLevel, TransferOptions
from prefect_globus.transfers.records import Record, now
from prefect_globus.transfers.removals import RemovalReport
from prefect_globus.transfers.result import TransferResult

# Why an item is left alone. What is on record, or was seen, decides the first two before Globus is asked.
DELIVERED = "DELIVERED"  # an earlier transfer has delivered it, by the checkpoints
AT_DESTINATION = "AT_DESTINATION"  # an incremental transfer has looked, and the destination has it
ARRIVED = "ARRIVED"  # this transfer has moved it, and somebody is asked again
# The others are predictions: Globus looks again when it comes to the file.
PRESENT = "PRESENT"  # there is a file of its name (sync_level exists)
SAME_SIZE = "SAME_SIZE"  # and of its size (sync_level size)
NOT_OLDER = "NOT_OLDER"  # and it is not older (sync_level mtime)

PREDICTED = {SyncLevel.EXISTS: PRESENT, SyncLevel.SIZE: SAME_SIZE, SyncLevel.MTIME: NOT_OLDER}

Look = Callable[[str], Item | None]
"""What is at this relative path of the destination; called in scan order."""


class Amount(Record):
    """So many items, and their sizes in bytes."""

    items: int = 0
    bytes: int = 0

    def __add__(self, other: Amount) -> Amount:
        return Amount(items=self.items + other.items, bytes=self.bytes + other.bytes)


class PlannedItem(Record):
    """One item of a plan.

    Args:
        path: relative to the source; empty when the source is itself one file.
        type: what it is.
        size: bytes.
        code: why it cannot be moved; None for one that would be.
    """

    path: str
    type: ItemType
    size: int
    code: str | None = None


class Share(Record):
    """What would be moved of one directory at the top of the source, with all that is below; "" for what is in none."""

    directory: str
    items: int
    bytes: int


class TransferPlan(Record):
    """What a transfer would do. Sizes are bytes, times are aware and in UTC.

    Args:
        source: what would be transferred.
        destination: where to.
        total: all that the source has and the options select.
        to_move: what would be sent to Globus and moved, as far as can be told now.
        new: of that, what the destination has nothing of; None when it was not looked at.
        replacing: of that, what would take the place of something; None when the destination was not looked at.
        undecided: of that, what Globus may still leave alone when it has compared checksums: files of the same size.
        left_alone: what would not be moved, by the code that says why.
        not_moved: what cannot be transferred, by its code: how many. These would be skipped, but for INVALID_SYMLINK,
            which would fail for good.
        first_not_moved: the first of these.
        wholes: how many directories have more entries than Globus lists: each is one item, transferred as a whole.
        first_wholes: the first of these.
        largest: of what would be moved, the largest.
        directories: where most of what would be moved is, by directories at the top of the source.
        directories_more: how many others of these there are.
        batches: how many the manifest has.
        tasks: how many Globus tasks that takes, if none has to be repeated.
        since: the transfer that an incremental one is compared with; None when it is not, or there is none.
        deleted: how many items of that one the source has no more; None where nobody can tell.
        removal: what would be deleted at the destination because it is extra; None if nothing is to be.
        moved_away: what would be deleted at the source when it has arrived, at most; None if nothing is to be.
        compared: whether the destination was looked at.
        estimate: how long it may take, by past runs, without what is transferred as a whole; None when there is nothing
            else to move, or no past run.
        problems: what would go wrong, a sentence each.
        made_at: when it was looked at.
    """

    source: Location
    destination: Location
    total: Amount = Amount()
    to_move: Amount = Amount()
    new: Amount | None = None
    replacing: Amount | None = None
    undecided: Amount = Amount()
    left_alone: Mapping[str, Amount] = {}
    not_moved: Mapping[str, int] = {}
    first_not_moved: tuple[PlannedItem, ...] = ()
    wholes: int = 0
    first_wholes: tuple[PlannedItem, ...] = ()
    largest: tuple[PlannedItem, ...] = ()
    directories: tuple[Share, ...] = ()
    directories_more: int = 0
    batches: int = 0
    tasks: int = 0
    since: str | None = None
    deleted: int | None = None
    removal: RemovalReport | None = None
    moved_away: Amount | None = None
    compared: bool = True
    estimate: Estimate | None = None
    problems: tuple[str, ...] = ()
    made_at: AwareDatetime = Field(default_factory=now)

    @property
    def does_nothing(self) -> bool:
        """Whether no Globus task would be submitted."""
        deletes = self.removal is not None and self.removal.items_deleted > 0
        moves_away = self.moved_away is not None and self.moved_away.items > 0
        return not (self.tasks or deletes or moves_away)


class DryRun(TransferResult):
    """The result of a dry run: a transfer that was not begun and is not on record, with its plan."""

    plan: TransferPlan


class _Ranked(NamedTuple):
    """Something among the largest of its kind; of two that are alike, the first is the larger."""

    size: int
    age: int
    item: Item


class Foresight:
    """Adds up what would become of the items of a manifest, a batch at a time.

    Args:
        options: of the transfer.
        limit: how many items of a sort it names.
    """

    def __init__(self, options: TransferOptions, limit: int) -> None:
        self.total = self.to_move = self.counted = self.new = self.replacing = self.undecided = Amount()
        self.delivered_files = Amount()
        self.left_alone: dict[str, Amount] = defaultdict(Amount)
        self.not_moved: dict[str, int] = defaultdict(int)
        self.first_not_moved: list[PlannedItem] = []
        self.batches = self.tasks = self.wholes = 0
        self.first_wholes: list[PlannedItem] = []
        self._limit = limit
        self._largest: list[_Ranked] = []
        self._tops = _Tops(limit)
        self._known = AT_DESTINATION if _looks(options) else DELIVERED
        self._level = SyncLevel.CHECKSUM if options.idempotency == "checksum" else options.sync_level

    @property
    def largest(self) -> tuple[PlannedItem, ...]:
        """The largest of what would be moved."""
        return tuple(
            PlannedItem(path=each.item.path, type=each.item.type, size=each.item.size)
            for each in sorted(self._largest, reverse=True)
        )

    @property
    def directories(self) -> tuple[tuple[Share, ...], int]:
        """Where most of what would be moved is, and how many directories are not named."""
        return self._tops.shares()

    def add(self, items: Sequence[Item], outcomes: bytes, look: Look | None) -> None:
        """Count a batch.

        Args:
            items: its manifest.
            outcomes: what is known of them already, one `Outcome` a byte.
            look: sees the destination; None when nobody looks.
        """
        sent = [self._sends(item, Outcome(known), look) for item, known in zip(items, outcomes, strict=True)]
        self.batches += 1
        self.tasks += any(sent)

    def _sends(self, item: Item, known: Outcome, look: Look | None) -> bool:
        """Count one item; whether Globus is asked to move it."""
        amount = Amount(items=1, bytes=item.size)
        self.total += amount
        if known in (Outcome.UNCHANGED, Outcome.TRANSFERRED):
            self._stays(self._known if known is Outcome.UNCHANGED else ARRIVED, item, amount)
            return False
        if found_out := untransferable(item):
            _, code = found_out
            self.not_moved[code] += 1
            if len(self.first_not_moved) < self._limit:
                self.first_not_moved.append(PlannedItem(path=item.path, type=item.type, size=item.size, code=code))
            return False
        if item.type is ItemType.TREE:
            self.wholes += 1
            if len(self.first_wholes) < self._limit:
                self.first_wholes.append(PlannedItem(path=item.path, type=item.type, size=item.size))
        found = look(item.path) if look is not None else None
        verdict = leaves_alone(self._level, item, found)
        if verdict and self._level is not None:
            self._stays(PREDICTED[self._level], item, amount)
        else:
            self._moves(item, amount, found, undecided=verdict is None)
        return True

    def _stays(self, code: str, item: Item, amount: Amount) -> None:
        self.left_alone[code] += amount
        if item.type is ItemType.FILE:
            self.delivered_files += amount

    def _moves(self, item: Item, amount: Amount, found: Item | None, *, undecided: bool) -> None:
        self.to_move += amount
        if item.type is not ItemType.TREE:
            self.counted += amount
        if undecided:
            self.undecided += amount
        if found is None:
            self.new += amount
        if item.type is ItemType.FILE:
            self.delivered_files += amount
            if found is not None:
                self.replacing += amount
        self._tops.add(item)
        if self._limit:
            ranked = _Ranked(item.size, -self.total.items, item)
            push = heapq.heappush if len(self._largest) < self._limit else heapq.heappushpop
            push(self._largest, ranked)


_DIRECTORIES = (ItemType.DIRECTORY, ItemType.TREE)


class _Tops:
    """Sums by directory at the top of the source, of which only the largest are kept.

    In scan order all that is in one directory comes at a stretch, so one sum at a time grows.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._count = 0
        self._kept: list[tuple[int, int, int, str]] = []
        self._top: str | None = None
        self._sum = self._loose = Amount()

    def add(self, item: Item) -> None:
        """Count one item."""
        top, slash, _ = item.path.partition("/")
        amount = Amount(items=1, bytes=item.size)
        if not slash and item.type not in _DIRECTORIES:
            self._loose += amount
            return
        if top != self._top:
            self._close()
            self._top = top
        self._sum += amount

    def shares(self) -> tuple[tuple[Share, ...], int]:
        """The largest, and how many others there are."""
        self._close()
        kept = [*self._kept]
        if self._loose.items:
            kept.append((self._loose.bytes, self._loose.items, 0, ""))
        count = self._count + bool(self._loose.items)
        largest = heapq.nlargest(self._limit, kept)
        shares = tuple(Share(directory=name, items=items, bytes=size) for size, items, _, name in largest)
        return shares, count - len(shares)

    def _close(self) -> None:
        if self._top is None:
            return
        self._count += 1
        entry = (self._sum.bytes, self._sum.items, -self._count, self._top)
        if len(self._kept) < self._limit:
            heapq.heappush(self._kept, entry)
        elif self._limit:
            heapq.heappushpop(self._kept, entry)
        self._top, self._sum = None, Amount()


def _looks(options: TransferOptions) -> bool:
    return options.mode == "incremental" and options.compare_with == "destination"


def leaves_alone(level: SyncLevel | None, item: Item, found: Item | None) -> bool | None:
    """Whether Globus would leave ``item`` alone because of ``found``, which is at the destination.

    By the levels of the contract, section 3. A listing tells times in whole seconds; one that it does not tell is 0.
    None where only Globus can know.
    """
    if level is None or found is None or not found.type is item.type is ItemType.FILE:
        return False
    if level is SyncLevel.MTIME:
        return found.mtime >= item.mtime if found.mtime and item.mtime else None
    if level is SyncLevel.EXISTS or found.size != item.size:
        return level is SyncLevel.EXISTS
    return True if level is SyncLevel.SIZE else None
