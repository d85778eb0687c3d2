"""Removals: what may be deleted at the source because it was delivered, or at the destination because it is extra.

Whatever is not certain stays, and its code says why.
"""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, NamedTuple, Self
from uuid import UUID

from prefect_globus.transfers.batches import SOURCE_CHANGED, Attempt, Batch
from prefect_globus.transfers.comparing import ALTERED, SOURCE_VANISHED, Check, difference
from prefect_globus.transfers.delivered import FORGOTTEN, Delivery
from prefect_globus.transfers.errors import InvalidInputError, InvalidTransitionError
from prefect_globus.transfers.items import (
    TOO_LARGE_TO_LIST,
    Item,
    ItemType,
    Outcome,
    decode_manifest,
    encode_manifest,
)
from prefect_globus.transfers.location import Location
from prefect_globus.transfers.options import SyncLevel, TransferOptions
from prefect_globus.transfers.records import Record, now
from prefect_globus.transfers.states import ATTEMPT_TRANSITIONS, AttemptStatus, check_transition

if TYPE_CHECKING:
    from prefect_globus.transfers.model import Transfer

# Why something stays; besides what `comparing` finds at the destination, and TOO_LARGE_TO_LIST.
NOT_DELIVERED = "NOT_DELIVERED"  # it was skipped
DIRECTORY = "DIRECTORY"  # Globus can delete one only with whatever is in it by then
SYMLINK = "SYMLINK"  # it is a symbolic link, has one in it, or lies behind one
SAME_NAME = "SAME_NAME"  # another name differs in case or in its accents' form only: one copy may stand for both
AT_SOURCE = "AT_SOURCE"  # it is not in the manifest, but it is at the source now
SOURCE_EMPTY = "SOURCE_EMPTY"  # its directory is empty at the source, as it is when a disk is not mounted
OTHERS = "OTHERS"  # another transfer on record delivers there, to it or to something in it
SOURCE_UNKNOWN = "SOURCE_UNKNOWN"  # its directory cannot be listed at the source any more
UNLISTABLE = "UNLISTABLE"  # it is a directory that cannot be listed
NOT_A_FILE = "NOT_A_FILE"  # a device, a pipe or a socket
NOT_UNICODE = "NOT_UNICODE"  # Globus cannot be told of a name that is no text


class RemovalKind(StrEnum):
    """What is deleted."""

    SOURCE = "source"  # the files at the source that were delivered
    EXTRA = "extra"  # what is at the destination and not at the source


class Removal(Record):
    """How far the deleting has come, as the checkpoint has it. One Globus delete task at a time works for it.

    Args:
        kind: what is deleted.
        complete: whether all was looked at, and what was to be deleted is.
        deleted: files, or at the destination whole directories, that are gone.
        size: of these, in bytes, as they were listed.
        kept: how many stay, by the code that says why; when it was completed last.
        tasks: the Globus tasks of earlier attempts.
        attempt: the latest one.
        chunk: the paths that it is sent, packed, so that a repeated submission has the same body.
    """

    kind: RemovalKind
    complete: bool = False
    deleted: int = 0
    size: int = 0
    kept: Mapping[str, int] = {}
    tasks: tuple[UUID, ...] = ()
    attempt: Attempt | None = None
    chunk: str = ""

    @property
    def live(self) -> bool:
        """Whether its latest Globus task may still be deleting."""
        return self.attempt is not None and self.attempt.live

    @property
    def items(self) -> list[Item]:
        """What the latest attempt is sent."""
        return decode_manifest(base64.b64decode(self.chunk))

    @property
    def task_ids(self) -> tuple[UUID, ...]:
        """All Globus tasks that it has started."""
        latest = self.attempt.task_id if self.attempt is not None else None
        return self.tasks if latest is None else (*self.tasks, latest)

    def intend(self, submission_id: UUID, items: Sequence[Item]) -> Self:
        """The removal with one more attempt on record, which is to delete ``items``.

        Raises:
            InvalidTransitionError: an attempt is still live.
        """
        number = 1
        if self.attempt is not None:
            number += self.attempt.number
            if self.live:
                raise InvalidTransitionError(what=self._name, before=self.attempt.status, after=AttemptStatus.INTENDED)
        return self.evolve(
            complete=False,
            tasks=self.task_ids,
            attempt=Attempt(number=number, submission_id=submission_id),
            chunk=base64.b64encode(encode_manifest(items)).decode("ascii"),
        )

    def submitted(self, task_id: UUID) -> Self:
        """The removal with its latest attempt accepted by Globus as ``task_id``."""
        return self._with_attempt(AttemptStatus.SUBMITTED, task_id=task_id, submitted_at=now())

    def ending(self, error: str) -> Self:
        """The removal with its latest attempt to be ended for ``error``, which is on record before that happens."""
        return self._with_attempt(AttemptStatus.SUBMITTED, error=error)

    def ended(self, status: AttemptStatus, gone: Iterable[Item] = (), error: str | None = None) -> Self:
        """The removal after its latest attempt, which has deleted what is ``gone``."""
        known, gone = self.attempt.error if self.attempt is not None else None, list(gone)
        after = self._with_attempt(status, ended_at=now(), error=known or error)
        size = self.size + sum(item.size for item in gone)
        return after.evolve(deleted=self.deleted + len(gone), size=size, chunk="")

    @property
    def _name(self) -> str:
        return f"The removal of what is {self.kind}"

    def _with_attempt(self, status: AttemptStatus, **changes: object) -> Self:
        if self.attempt is None:
            raise InvalidTransitionError(what=self._name, before="no attempt", after=status)
        check_transition(ATTEMPT_TRANSITIONS, self._name, self.attempt.status, status)
        return self.evolve(attempt=self.attempt.evolve(status=status, **changes))


def of_kind(removals: Iterable[Removal], kind: RemovalKind) -> Removal:
    """The one of ``kind``, which may only be about to begin."""
    return next((each for each in removals if each.kind is kind), Removal(kind=kind))


class Verdict(NamedTuple):
    """What is done about one item.

    Args:
        item: it; of a directory the size is that of all its files.
        code: why it stays, or SOURCE_VANISHED for one that is gone already; None for one that is to be deleted.
    """

    item: Item
    code: str | None = None


class Plan(Record):
    """What is to be deleted.

    Args:
        kind: where, and why.
        trusting: of the source, whether a file is deleted whose copy is not looked at, as Globus has compared checksums
            when it was delivered; otherwise the copy must also be there now.
        emptied: of the destination, whether what is in directories that are empty at the source is deleted, too.
    """

    kind: RemovalKind
    trusting: bool = True
    emptied: bool = False

    @classmethod
    def of(cls, options: TransferOptions) -> Self | None:
        """What a transfer with these options is to delete when it has delivered everything; None for nothing."""
        if options.after == "delete_source":
            return cls(kind=RemovalKind.SOURCE)
        return cls(kind=RemovalKind.EXTRA) if options.delete_destination_extra else None


class RemovedItem(Record):
    """One thing that was deleted, or that stays.

    Args:
        path: relative to the location.
        type: what it is.
        size: bytes; of a directory those of all that is in it, if it is deleted.
        code: why it stays; None if it is deleted.
    """

    path: str
    type: ItemType
    size: int
    code: str | None = None


class RemovalReport(Record):
    """What was deleted, or would be.

    Args:
        id: the transfer's.
        kind: what.
        location: where.
        dry_run: whether nothing was done.
        items_deleted: how many files, or whole directories, are gone by this, or would be.
        bytes_deleted: their sizes.
        items_gone: how many of what was delivered were not at the source any more already.
        kept: how many stay, by the code that says why.
        deleted: the first of what was chosen to be deleted.
        stayed: the first of what stays.
        task_ids: the Globus tasks that have ever worked for it.
    """

    id: str
    kind: RemovalKind
    location: Location
    dry_run: bool
    items_deleted: int = 0
    bytes_deleted: int = 0
    items_gone: int = 0
    kept: Mapping[str, int] = {}
    deleted: tuple[RemovedItem, ...] = ()
    stayed: tuple[RemovedItem, ...] = ()
    task_ids: tuple[UUID, ...] = ()


class Tally:
    """Counts verdicts, and keeps the first of them.

    Args:
        limit: how many of a sort it keeps.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.chosen = self.size = self.gone = 0
        self.kept: Counter[str] = Counter()
        self.deleted: list[RemovedItem] = []
        self.stayed: list[RemovedItem] = []

    def add(self, verdict: Verdict) -> None:
        """Count one."""
        item, code = verdict
        if code == SOURCE_VANISHED:
            self.gone += 1
            return
        if code is None:
            self.chosen, self.size = self.chosen + 1, self.size + item.size
        else:
            self.kept[code] += 1
        first = self.deleted if code is None else self.stayed
        if len(first) < self.limit:
            first.append(RemovedItem(path=item.path, type=item.type, size=item.size, code=code))

    def report(self, transfer: Transfer, kind: RemovalKind, **facts: Any) -> RemovalReport:  # noqa: ANN401 - any field
        """What it amounts to; ``facts`` are what is known better than by these verdicts."""
        location = transfer.source if kind is RemovalKind.SOURCE else transfer.destination
        counted = {"items_deleted": self.chosen, "bytes_deleted": self.size, "items_gone": self.gone}
        first = {"deleted": tuple(self.deleted), "stayed": tuple(self.stayed), "kept": dict(self.kept)}
        return RemovalReport(id=transfer.id, kind=kind, location=location, **(counted | first | facts))


def check_may_delete(transfer: Transfer, kind: RemovalKind) -> None:
    """Refuse to delete what could be something else than what it seems to be.

    Raises:
        InvalidInputError: so it is.
    """
    if transfer.destination.contains(transfer.source):
        reason = f"the source {transfer.source} lies inside the destination {transfer.destination}, where it would be"
        reason += " taken for something extra" if kind is RemovalKind.EXTRA else " among what was delivered"
        raise InvalidInputError(reason=f"Nothing can be deleted: {reason}. Choose locations apart from each other")
    if kind is not RemovalKind.EXTRA:
        return
    if transfer.source_is_file:
        reason = f"The source {transfer.source} is one file, so nothing at the destination can be extra"
        raise InvalidInputError(reason=f"{reason}: leave out delete_destination_extra")
    hiding = [*transfer.options.hiding, *(["filter_callback"] if transfer.filtered else [])]
    if transfer.repairs is not None or hiding:
        what = ", ".join(dict.fromkeys(hiding)) or "repairing another one"
        reason = f"Transfer {transfer.id!r} has left out a part of the source ({what})"
        raise InvalidInputError(reason=f"{reason}, so what is extra at the destination is not known")


def compared_outcomes(options: TransferOptions, batch: Batch) -> frozenset[Outcome]:
    """The outcomes by which Globus itself says that it has compared the checksums of an item of ``batch``."""
    if not batch.attempts or any(attempt.adopted for attempt in batch.attempts):
        return frozenset()  # of an adopted task nobody knows how it was submitted
    outcomes = {Outcome.TRANSFERRED} if options.verify_checksum else set()
    # an item that was left out by records of ours, not by Globus, is UNCHANGED, too
    recalled = options.idempotency == "mtime" or options.mode != "full"
    if not recalled and SyncLevel.CHECKSUM in (options.sync_level, options.idempotency):
        outcomes.add(Outcome.UNCHANGED)
    return frozenset(outcomes)


@dataclass(frozen=True)
class Sight:
    """What is at a path of a location now.

    Args:
        item: it; None when there is nothing, and a TREE where nobody can tell.
        linked: whether it is a symbolic link, or behind one.
        ambiguous: whether there is another name there, of it or of a directory above it, that some file systems could
            not tell from this one.
    """

    item: Item | None
    linked: bool = False
    ambiguous: bool = False


def why_kept(
    delivery: Delivery, *, compared: bool, source: Callable[[str], Sight], destination: Callable[[str], Item | None]
) -> str | None:
    """Why an item stays at the source; None if it is proven to be delivered, and still what was delivered.

    Args:
        delivery: what the checkpoint knows of it.
        compared: whether Globus has compared its checksums, so that the destination is not looked at.
        source: what is there now.
        destination: what is there now.
    """
    item = delivery.item
    known = _in_checkpoint(delivery) or _at_source(item, source(item.path))
    return known if known or compared else _at_destination(delivery, destination(item.path))


def _in_checkpoint(delivery: Delivery) -> str | None:
    if not delivery.is_delivered:
        return NOT_DELIVERED
    if noted := sorted(delivery.codes & {FORGOTTEN, SOURCE_CHANGED}):
        return noted[0]
    if delivery.item.type is ItemType.TREE:
        return TOO_LARGE_TO_LIST
    return None if delivery.item.type is ItemType.FILE else DIRECTORY


def _at_source(item: Item, sight: Sight) -> str | None:
    if sight.item is None:
        return SOURCE_VANISHED
    if sight.item.type is ItemType.TREE:
        return TOO_LARGE_TO_LIST
    if sight.linked:
        return SYMLINK
    if sight.ambiguous:
        return SAME_NAME
    return None if sight.item == item else SOURCE_CHANGED


def _at_destination(delivery: Delivery, found: Item | None) -> str | None:
    code = difference(delivery, found, Check(transfer_id=""))
    if code is None and found is not None and delivery.outcome is Outcome.UNCHANGED:
        # not moved by us: Globus itself would only trust one that is not older than the source (sync level mtime)
        return ALTERED if found.mtime < delivery.item.mtime else None
    return code
