"""What an incremental transfer leaves out is at the destination, whatever has happened before."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any
from uuid import UUID, uuid4

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule
from pydantic import ValidationError

from prefect_globus.tasks.incremental import delivered_before, items_gone, last_completed, recalled
from prefect_globus.transfers.batches import Batch, Settlement
from prefect_globus.transfers.delivered import Recall
from prefect_globus.transfers.incremental import Inspection, looks_the_same, why_unknown
from prefect_globus.transfers.items import Item, ItemType, Outcome
from prefect_globus.transfers.location import Location
from prefect_globus.transfers.model import Transfer
from prefect_globus.transfers.options import TransferOptions
from prefect_globus.transfers.purging import PURGEABLE_STATUSES, candidates
from prefect_globus.transfers.records import now
from prefect_globus.transfers.selecting import Selection
from prefect_globus.transfers.states import AttemptStatus, TransferStatus
from support.trees import trees

UNHURRIED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
SOURCE, DESTINATION = (Location(collection=UUID(int=number), path="/") for number in (1, 2))
PATHS = "abc"
VERSIONS = (1, 2)
HALF = 0  # a version that is no file's: half of one
LATER = 9
ACTIVE = (TransferStatus.CREATED, TransferStatus.TRANSFERRING)
ENDS = [TransferStatus.COMPLETED, TransferStatus.FAILED]
KINDS = {
    "full": {},
    "exists": {"sync_level": "exists"},
    "manifest": {"mode": "incremental"},
    "destination": {"mode": "incremental", "compare_with": "destination"},
}


class Memory:
    """As much of a checkpoint store as is read, and the patience of one who needs none."""

    def __init__(self) -> None:
        self.transfers: dict[str, Transfer] = {}
        self.batches: dict[str, list[Batch]] = {}
        self.manifests: dict[str, list[list[Item]]] = {}
        self.store: Any = SimpleNamespace(
            list_transfers=lambda: iter(sorted(self.transfers.values(), key=lambda each: each.created_at)[::-1]),
            load_transfer=lambda transfer_id: self.transfers[transfer_id],
            load_batch=lambda transfer_id, number: self.batches[transfer_id][number - 1],
            list_batches=lambda transfer_id: iter(self.batches[transfer_id]),
            load_manifest=lambda transfer_id, number: self.manifests[transfer_id][number - 1],
            load_paths=lambda transfer_id, number: [item.path for item in self.manifests[transfer_id][number - 1]],
        )

    def patiently(self, call: Callable[..., Any], *args: object) -> Any:
        return call(*args)

    def update(self, transfer: Transfer, **changes: object) -> None:
        self.transfers[transfer.id] = transfer.evolve(**changes, updated_at=now())

    def add(self, transfer: Transfer, items: list[Item], outcome: Outcome, size: int = 3) -> Transfer:
        """One more transfer with all its ``items``, in batches of ``size``, all of one outcome."""
        manifests = [items[first : first + size] for first in range(0, len(items), size)]
        outcomes = [bytes([outcome]) * len(each) for each in manifests]
        self.batches[transfer.id] = [
            Batch.cut(transfer.id, number, *each)
            for number, each in enumerate(zip(manifests, outcomes, strict=True), start=1)
        ]
        self.manifests[transfer.id] = manifests
        added = transfer.evolve(batches=len(manifests), scan_complete=True)
        self.transfers[transfer.id] = added
        return added

    def having(self, wanted: Callable[[Transfer, Batch], bool]) -> list[tuple[str, int]]:
        """The batches that are wanted, by transfer and index."""
        return [
            (transfer_id, index)
            for transfer_id, batches in self.batches.items()
            for index, batch in enumerate(batches)
            if wanted(self.transfers[transfer_id], batch)
        ]


class Histories(RuleBasedStateMachine):
    """Transfers of one pair of locations, one after the other and side by side, that end in whatever way.

    A file's size and time are its version, and so are its contents. What is half-written looks whole to a listing.
    """

    def __init__(self) -> None:
        super().__init__()
        self.memory = Memory()
        self.source: dict[str, int] = dict.fromkeys(PATHS, 1)
        self.destination: dict[str, int] = {}

    # --- the source

    @rule(path=st.sampled_from(PATHS), version=st.sampled_from((*VERSIONS, None)))
    def change(self, path: str, version: int | None) -> None:
        """Also back to what it was."""
        if version is None:
            self.source.pop(path, None)
        else:
            self.source[path] = version

    # --- the engine, step by step

    @rule(kind=st.sampled_from([*KINDS, "manifest", "destination"]))
    def begin(self, kind: str) -> None:
        self._begin(kind)

    def _begin(self, kind: str) -> str:
        name = str(len(self.memory.transfers))
        options = TransferOptions.model_validate(KINDS[kind])
        transfer = Transfer(id=name, source=SOURCE, destination=DESTINATION, options=options)
        if options.mode == "incremental" and (last := last_completed(self.memory, transfer)) is not None:
            transfer = transfer.evolve(since=last.id)
        self.memory.transfers[name] = transfer
        self.memory.batches[name], self.memory.manifests[name] = [], []
        return name

    @rule(kind=st.sampled_from([*KINDS, "manifest", "destination"]), status=st.sampled_from(ENDS))
    def run(self, kind: str, status: TransferStatus) -> None:
        """A transfer that meets no trouble, from its begin to its end."""
        name = self._begin(kind)
        while name in self._scanning():
            self._scan(name, 2)
        for index, batch in enumerate(self.memory.batches[name]):
            if batch.remaining:
                self._send(name, index)
                self._end(name, index, list(self._writes(name, index)), succeeds=True)
        self._finish(name, status)

    def _scanning(self) -> list[str]:
        return [each.id for each in self.memory.transfers.values() if each.status in ACTIVE and not each.scan_complete]

    @precondition(lambda self: self._scanning())
    @rule(data=st.data(), length=st.integers(1, len(PATHS)))
    def scan(self, data: st.DataObject, length: int) -> None:
        """One more batch, as by a driver that has just resumed it."""
        self._scan(data.draw(st.sampled_from(self._scanning())), length)

    def _scan(self, name: str, length: int) -> None:
        transfer = self.memory.transfers[name]
        left = [path for path in sorted(self.source) if transfer.cursor is None or path > transfer.cursor]
        items = [Item(path, self.source[path], self.source[path]) for path in left[:length]]
        if not items:
            self.memory.update(transfer, scan_complete=True, status=TransferStatus.TRANSFERRING)
            return
        outcomes = self._judged(transfer, items)
        for item, outcome in zip(items, outcomes, strict=True):
            if outcome == Outcome.UNCHANGED:
                assert self.destination.get(item.path) == item.size, f"{item.path} is lost by {name}"
        batch = Batch.cut(name, transfer.batches + 1, items, outcomes)
        self.memory.batches[name].append(batch)
        self.memory.manifests[name].append(items)
        written = {"batches": batch.number, "cursor": batch.last_path}
        self.memory.update(transfer, **written, status=TransferStatus.TRANSFERRING)

    def _judged(self, transfer: Transfer, items: list[Item]) -> bytes:
        if transfer.options.mode == "full":
            return bytes(len(items))
        if transfer.options.compare_with == "manifest":
            return Recall(delivered_before(self.memory, transfer)).outcomes(items)
        return Inspection(recalled(self.memory, transfer), self._look, preserve_timestamp=False).outcomes(items)

    def _look(self, path: str) -> Item | None:
        if path not in self.destination:
            return None
        return Item(path, self.destination[path] or self.source[path], LATER)

    def _unsent(self) -> list[tuple[str, int]]:
        return self.memory.having(lambda each, batch: each.status in ACTIVE and batch.remaining > 0 and not batch.live)

    @precondition(lambda self: self._unsent())
    @rule(data=st.data())
    def send(self, data: st.DataObject) -> None:
        self._send(*data.draw(st.sampled_from(self._unsent())))

    def _send(self, name: str, index: int) -> None:
        batch = self.memory.batches[name][index]
        self.memory.batches[name][index] = batch.intend(uuid4(), None).submitted(uuid4())

    def _live(self) -> list[tuple[str, int]]:
        return self.memory.having(lambda _, batch: batch.live)

    def _writes(self, name: str, index: int) -> Iterator[str]:
        """What the Globus task of a batch writes to."""
        lax = self.memory.transfers[name].options.sync_level is not None
        for item in self.memory.batches[name][index].left(self.memory.manifests[name][index]):
            if item.path in self.source and not (lax and item.path in self.destination):
                yield item.path

    @precondition(lambda self: self._live())
    @rule(data=st.data(), whole=st.booleans())
    def write(self, data: st.DataObject, *, whole: bool) -> None:
        """Globus writes a file, or half of it, whether or not somebody drives the transfer."""
        if paths := list(self._writes(*data.draw(st.sampled_from(self._live())))):
            path = data.draw(st.sampled_from(paths))
            self.destination[path] = self.source[path] if whole else HALF

    @precondition(lambda self: self._live())
    @rule(data=st.data(), succeeds=st.booleans())
    def end(self, data: st.DataObject, *, succeeds: bool) -> None:
        """The Globus task of a batch ends, and its driver sees what it has moved."""
        name, index = data.draw(st.sampled_from(self._live()))
        done = list(self._writes(name, index))
        if not succeeds and done:
            done = data.draw(st.lists(st.sampled_from(done), unique=True))
        self._end(name, index, done, succeeds=succeeds)

    def _end(self, name: str, index: int, done: list[str], *, succeeds: bool) -> None:
        batch, items = self.memory.batches[name][index], self.memory.manifests[name][index]
        self.destination |= {path: self.source[path] for path in done}
        vanished = {item.path: "FILE_NOT_FOUND" for item in items if item.path not in self.source}
        settlement = Settlement(
            status=AttemptStatus.SUCCEEDED if succeeds else AttemptStatus.FAILED,
            moved={path: self.source[path] for path in done},
            skipped=vanished if succeeds else {},
            skipped_as=Outcome.DEAD,
        )
        self.memory.batches[name][index] = batch.settle(items, settlement)

    @precondition(lambda self: self.memory.transfers)
    @rule(data=st.data(), status=st.sampled_from(ENDS))
    def finish(self, data: st.DataObject, status: TransferStatus) -> None:
        self._finish(self._any(data), status)

    def _finish(self, name: str, status: TransferStatus) -> None:
        """COMPLETED only if it is; FAILED at any time, though a task may run on that nobody has seen the end of."""
        transfer = self.memory.transfers[name]
        outcomes = b"".join(batch.outcomes for batch in self.memory.batches[name])
        is_complete = transfer.scan_complete and {*outcomes} <= {Outcome.TRANSFERRED, Outcome.UNCHANGED}
        if transfer.status in ACTIVE and (is_complete or status is TransferStatus.FAILED):
            self.memory.update(transfer, status=status)

    @precondition(lambda self: self.memory.transfers)
    @rule(data=st.data())
    def resume(self, data: st.DataObject) -> None:
        transfer = self.memory.transfers[self._any(data)]
        if transfer.status is TransferStatus.FAILED:
            self.memory.update(transfer, status=TransferStatus.TRANSFERRING)

    @precondition(lambda self: self.memory.transfers)
    @rule(data=st.data())
    def delete_extra(self, data: st.DataObject) -> None:
        """What is neither in a complete manifest nor at the source is deleted at the destination."""
        transfer = self.memory.transfers[self._any(data)]
        if transfer.scan_complete:
            known = {item.path for items in self.memory.manifests[transfer.id] for item in items} | {*self.source}
            self.destination = {path: each for path, each in self.destination.items() if path in known}
            self.memory.update(transfer)

    def _any(self, data: st.DataObject) -> str:
        return data.draw(st.sampled_from(list(self.memory.transfers)))


Histories.TestCase.settings = settings(UNHURRIED, max_examples=150, stateful_step_count=30)
TestHistories = Histories.TestCase


# --- a chain, by simple rules that keep everything in memory


ROOT = {"source": SOURCE, "destination": DESTINATION}
INCREMENTAL = TransferOptions(mode="incremental")


@UNHURRIED
@given(trees(), trees(), st.integers(1, 5))
def test_what_is_new_or_changed_is_moved_and_what_is_gone_is_known(
    before: list[Item], after: list[Item], size: int
) -> None:
    """Exactly that, however the manifests are cut into batches."""
    memory = Memory()
    memory.add(Transfer(id="first", status=TransferStatus.COMPLETED, **ROOT), before, Outcome.TRANSFERRED, size)
    own = Transfer(id="second", options=INCREMENTAL, since="first", **ROOT)
    was = {item.path: item for item in before}

    def is_same(item: Item) -> bool:
        known = was.get(item.path)
        return known == item or (known is not None and known.type is item.type is ItemType.DIRECTORY)

    expected = [Outcome.UNCHANGED if is_same(item) else Outcome.REMAINING for item in after]
    assert list(Recall(delivered_before(memory, own)).outcomes(after)) == expected

    own = memory.add(own, after, Outcome.UNCHANGED, size)
    now = {item.path for item in after}
    filled = {item.path for item in before if any(path.startswith(f"{item.path}/") for path in now)}
    filled = {path for path in filled if was[path].type is ItemType.DIRECTORY}
    assert [item.path for item in items_gone(memory, own)] == [path for path in was if path not in now | filled]


PATTERNS = st.lists(st.sampled_from(["a", "b", "a*", "*.b", "a/*", "b/a/*", "[!a]*"]), max_size=2)


@UNHURRIED
@given(trees(), trees(), PATTERNS, PATTERNS)
def test_what_patterns_leave_out_is_not_gone(
    before: list[Item], after: list[Item], include: list[str], exclude: list[str]
) -> None:
    """Nothing that is still there is said to be gone, and no file that is wanted and gone is missed."""
    options = TransferOptions(mode="incremental", include=include, exclude=exclude)
    selection = Selection(options, 0)

    def is_selected(item: Item) -> bool:
        parts = item.path.split("/")
        return all(selection.enters("/".join(parts[:end])) for end in range(1, len(parts))) and selection.takes(item)

    memory = Memory()
    memory.add(Transfer(id="first", status=TransferStatus.COMPLETED, **ROOT), before, Outcome.TRANSFERRED)
    own = Transfer(id="second", options=options, since="first", **ROOT)
    own = memory.add(own, list(filter(is_selected, after)), Outcome.UNCHANGED)
    found = {item.path for item in items_gone(memory, own)}
    there = {item.path for item in after}
    assert not found & there
    assert not {path for path in found if any(each.startswith(f"{path}/") for each in there)} - {
        item.path for item in before if item.type is ItemType.FILE
    }
    files = {item.path for item in before if item.type is ItemType.FILE and is_selected(item)}
    assert files - there <= found


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"min_age_seconds": 300}, "min_age_seconds may have left out"),
        ({"min_size": 1, "max_size": 5}, "min_size and max_size may have left out"),
        ({}, "symbolic links that were followed before"),
        ({"symlinks": "follow", "exclude": ["*.tmp"]}, None),
    ],
    ids=["age", "size", "links", "patterns"],
)
def test_nobody_guesses_what_is_gone(options: dict[str, Any], words: str | None) -> None:
    """What goes by the state of a file leaves out what may still be there."""
    before = Transfer(id="first", options=TransferOptions(symlinks="follow"), **ROOT)
    own = Transfer(id="second", options=TransferOptions(mode="incremental", **options), scan_complete=True, **ROOT)
    why = why_unknown(own, [before])
    assert why is None if words is None else words in str(why)
    assert "its scan is not complete" in str(why_unknown(own.evolve(scan_complete=False)))
    assert "was deleted" in str(why_unknown(own.evolve(since="first"), []))
    assert "filter callback" in str(why_unknown(own.evolve(filtered=True)))


FILE = Item("a", 10, 1000)


@pytest.mark.parametrize(
    ("found", "same", "same_if_preserved"),
    [
        (None, False, False),
        (FILE, True, True),
        (FILE._replace(mtime=1001), True, False),
        (FILE._replace(mtime=999), False, False),
        (FILE._replace(size=9), False, False),
        (FILE._replace(mtime=0), False, False),  # the listing does not tell
        (FILE._replace(type=ItemType.DIRECTORY), False, False),
    ],
    ids=["missing", "same", "later", "earlier", "shorter", "no-time", "directory"],
)
def test_what_looks_the_same_at_the_destination(found: Item | None, *, same: bool, same_if_preserved: bool) -> None:
    """A file of the same size that is not older; or as old, where times are preserved."""
    assert looks_the_same(FILE, found, preserve_timestamp=False) is same
    assert looks_the_same(FILE, found, preserve_timestamp=True) is same_if_preserved


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"idempotency": "checksum", "sync_level": "mtime"}, "contradict each other"),
        ({"idempotency": "checksum", "sync_level": "exists"}, "contradict each other"),
        ({"idempotency": "checksum", "sync_level": "checksum"}, None),
        ({"idempotency": "checksum"}, None),
        ({"mode": "incremental", "idempotency": "mtime"}, "choose one"),
        ({"mode": "incremental", "sync_level": "size"}, "known to have changed"),
        ({"mode": "incremental", "sync_level": "checksum"}, None),
        ({"compare_with": "destination"}, "choose the mode incremental"),
    ],
    ids=lambda value: "-".join(value.values()) if isinstance(value, dict) else "",
)
def test_options_that_contradict_each_other_are_refused(options: dict[str, Any], words: str | None) -> None:
    """Before anything has moved, with what to do."""
    if words is None:
        TransferOptions.model_validate(options)
        return
    with pytest.raises(ValidationError, match=words):
        TransferOptions.model_validate(options)


def test_a_purge_keeps_what_the_next_incremental_transfer_needs() -> None:
    """The last complete one, and what may have spoiled since then what that had delivered."""
    began, day = datetime(2026, 11, 1, tzinfo=UTC), timedelta(days=1)
    ended = {
        "canceled before": TransferStatus.CANCELED,
        "first": TransferStatus.COMPLETED,
        "second": TransferStatus.COMPLETED,
        "canceled after": TransferStatus.CANCELED,
        "failed after": TransferStatus.FAILED,
    }
    transfers = [
        Transfer(id=name, status=status, options=INCREMENTAL, created_at=moment, updated_at=moment, **ROOT)
        for moment, (name, status) in zip((began + number * day for number in range(5)), ended.items(), strict=True)
    ]
    found = list(candidates(transfers, PURGEABLE_STATUSES, began + 10 * day))
    assert [each.transfer.id for each in found if each.needed is None] == ["canceled before", "first"]


def test_what_was_begun_before_the_last_completed_one_only_contradicts() -> None:
    """It may be outlived by others that nobody asks any more, though it was at work since. Found by the histories."""
    began, day = datetime(2026, 11, 1, tzinfo=UTC), timedelta(days=1)
    how = {"status": TransferStatus.COMPLETED, "updated_at": began + 9 * day, **ROOT}
    memory = Memory()
    memory.add(Transfer(id="older", created_at=began, **how), [Item("b", 1, 1)], Outcome.TRANSFERRED)
    lax = TransferOptions(sync_level="exists")
    memory.add(Transfer(id="last", created_at=began + day, options=lax, **how), [Item("b", 2, 2)], Outcome.UNCHANGED)
    own = Transfer(id="own", options=INCREMENTAL, since="last", **ROOT)
    assert Recall(delivered_before(memory, own)).outcomes([Item("b", 1, 1)]) == bytes([Outcome.REMAINING])
