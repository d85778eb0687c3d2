"""What was delivered, recalled and compared: pure rules, held against simple ones that keep everything in memory."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from prefect_globus.transfers.batches import SOURCE_CHANGED, Batch, ItemFault, Settlement
from prefect_globus.transfers.comparing import (
    ALTERED,
    MISSING,
    OTHER_SIZE,
    SOURCE_NEW,
    SOURCE_VANISHED,
    TRUNCATED,
    WRONG_TYPE,
    Check,
    compare,
    difference,
)
from prefect_globus.transfers.delivered import FORGOTTEN, Delivery, Recall, deliveries_of, merged
from prefect_globus.transfers.items import Item, ItemType, Outcome, scan_order
from prefect_globus.transfers.states import AttemptStatus, BatchStatus
from support.trees import PATHS, trees

CHECK = Check(transfer_id="test")
UNHURRIED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
ENDED = datetime(2026, 11, 22, 12, tzinfo=UTC)


RECORDS = trees().flatmap(
    lambda items: st.tuples(*(st.builds(Delivery, st.just(item), st.sampled_from(Outcome)) for item in items)).map(list)
)


@UNHURRIED
@given(st.sets(PATHS))
def test_the_scan_order_is_that_of_the_components(paths: set[str]) -> None:
    """A slash comes before every other character."""
    assert sorted(paths, key=scan_order) == sorted(paths, key=lambda path: path.split("/"))


@UNHURRIED
@given(st.lists(RECORDS, max_size=4))
def test_of_each_path_the_newest_record_decides(records: list[list[Delivery]]) -> None:
    """However many there are, in one scan order."""
    expected: dict[str, Delivery] = {}
    for record in reversed(records):
        expected |= {delivery.item.path: delivery for delivery in record}
    assert list(merged(records)) == sorted(expected.values(), key=lambda each: scan_order(each.item.path))


@UNHURRIED
@given(st.lists(RECORDS, max_size=3), trees(), st.data())
def test_what_was_delivered_before_is_recalled(
    records: list[list[Delivery]], scan: list[Item], data: st.DataObject
) -> None:
    """By path, size and time, wherever the scan is cut into batches, and wherever it was cut off and goes on."""
    newest: dict[str, Delivery] = {}
    for record in reversed(records):
        newest |= {delivery.item.path: delivery for delivery in record}

    def delivered(item: Item) -> bool:
        known = newest.get(item.path)
        if known is None or known.outcome not in (Outcome.TRANSFERRED, Outcome.UNCHANGED):
            return False
        return known.item == item if item.type is ItemType.FILE else known.item.type is item.type

    expected = bytes(Outcome.UNCHANGED if delivered(item) else Outcome.REMAINING for item in scan)
    size = data.draw(st.integers(1, 5))

    def record() -> Iterator[list[Item]]:
        known = [delivery.item for delivery in merged(records) if delivery.is_sound]
        return (known[begin : begin + size] for begin in range(0, len(known), size))

    recall = Recall(record())
    cut = data.draw(st.integers(0, len(scan)))
    assert recall.outcomes(scan[:cut]) + recall.outcomes(scan[cut:]) == expected
    assert Recall(record()).outcomes(scan[cut:]) == expected[cut:]


@UNHURRIED
@given(RECORDS, trees(), trees())
def test_a_comparison_finds_what_a_simple_one_finds(
    record: list[Delivery], destination: list[Item], source: list[Item]
) -> None:
    """Each difference of each side, and nothing else, in scan order."""
    there = {item.path: item for item in destination}
    now = {item.path: item for item in source}
    before = {delivery.item.path: delivery for delivery in record}

    def within(path: str, paths: dict[str, Item]) -> bool:
        return any(other.startswith(f"{path}/") for other in paths)

    expected: dict[str, list[str]] = {}
    for path, delivery in before.items():
        if not delivery.is_delivered:
            continue
        codes = [difference(delivery, there.get(path), CHECK)]
        if path not in now:
            is_filled = delivery.item.type is ItemType.DIRECTORY and within(path, now)
            codes.append(None if is_filled else SOURCE_VANISHED)
        elif not delivery.item.type is now[path].type is ItemType.DIRECTORY:
            codes.append(SOURCE_CHANGED if now[path] != delivery.item else None)
        if found := [code for code in codes if code]:
            expected[path] = found
    for path, item in now.items():
        is_emptied = item.type is ItemType.DIRECTORY and any(other.startswith(f"{path}/") for other in before)
        if path not in before and not is_emptied:
            expected[path] = [SOURCE_NEW]
    asked: list[str] = []

    def look(path: str) -> Item | None:
        asked.append(path)
        return there.get(path)

    findings = list(compare(CHECK, record, look, source))
    assert {finding.item.path: list(finding.codes) for finding in findings} == expected
    in_order = sorted(expected, key=scan_order)
    assert [finding.item.path for finding in findings] == in_order
    assert asked == sorted(asked, key=scan_order), "the destination is listed in one pass"


FILE = Item("a", 10, 1000)


@pytest.mark.parametrize(
    ("found", "code"),
    [
        (None, MISSING),
        (FILE, None),
        (FILE._replace(type=ItemType.DIRECTORY), WRONG_TYPE),
        (FILE._replace(type=ItemType.OTHER), WRONG_TYPE),
        (FILE._replace(size=9), TRUNCATED),
        (FILE._replace(size=11), OTHER_SIZE),
        (FILE._replace(mtime=1001), ALTERED),
        (FILE._replace(mtime=999), ALTERED),
        (FILE._replace(mtime=0), None),  # the listing does not tell
    ],
    ids=["missing", "same", "directory", "device", "shorter", "longer", "later", "earlier", "no-time"],
)
def test_the_codes_of_a_destination(found: Item | None, code: str | None) -> None:
    """Where the time was preserved."""
    delivery = Delivery(FILE, Outcome.TRANSFERRED, ended_at=ENDED, size=10, keeps_mtime=True)
    assert difference(delivery, found, CHECK) == code


@pytest.mark.parametrize(("seconds", "altered"), [(-3600, False), (0, False), (59, False), (62, True), (3600, True)])
def test_a_time_that_was_not_preserved(seconds: int, *, altered: bool) -> None:
    """Is only too late when it is later than the transfer by more than clocks differ."""
    delivery = Delivery(FILE, Outcome.TRANSFERRED, ended_at=ENDED, size=10)
    found = FILE._replace(mtime=int((ENDED + timedelta(seconds=seconds)).timestamp()))
    assert (difference(delivery, found, CHECK) == ALTERED) is altered
    assert difference(delivery, found, CHECK.evolve(mtime=False)) is None


def test_a_directory_that_cannot_be_listed_hides_what_is_in_it() -> None:
    """Nobody knows what became of that, so it has not vanished."""
    record = [Delivery(Item(path, 1, 1), Outcome.TRANSFERRED, size=1) for path in ("a/b", "a/c/d", "ab", "b")]
    there = {delivery.item.path: delivery.item for delivery in record}
    source = [Item("a", 0, 1, ItemType.UNLISTABLE), Item("b", 1, 1)]
    found = {finding.item.path: finding.codes for finding in compare(CHECK, record, there.get, source)}
    assert found == {"ab": (SOURCE_VANISHED,)}


def test_what_a_batch_knows_of_its_items() -> None:
    """The size is the one that was moved; a preserved time only counts for what was moved as it was scanned."""
    items = [Item(name, 10, 1000) for name in "abcd"]
    batch = Batch.cut("test", 1, items).intend(uuid4(), None).submitted(uuid4())
    moved = {"a": 10, "b": 12}
    batch = batch.settle(
        items, Settlement(status=AttemptStatus.SUCCEEDED, moved=moved, skipped={"c": "FILE_NOT_FOUND"})
    )
    known = {each.item.path: each for each in deliveries_of(batch, items, {"b": 12}, preserve_timestamp=True)}
    outcomes = {path: each.outcome for path, each in known.items()}
    assert outcomes == dict(zip("abcd", [Outcome.TRANSFERRED] * 2 + [Outcome.SKIPPED, Outcome.UNCHANGED], strict=True))
    assert [known[path].size for path in "abd"] == [10, 12, 10]
    assert [known[path].keeps_mtime for path in "abd"] == [True, False, False]
    assert [known[path].stands_for(known[path].item) for path in "abcd"] == [True, False, False, True]
    forgotten = ItemFault(path="a", outcome=Outcome.TRANSFERRED, code=FORGOTTEN, attempt=0)
    after = batch.evolve(faults=(*batch.faults, forgotten))
    assert not next(iter(deliveries_of(after, items, {}, preserve_timestamp=True))).stands_for(items[0])


def test_a_batch_that_is_born_with_outcomes() -> None:
    """It is done when nothing remains, and what is noted of its items stays."""
    items = [Item(name, 10, 1000) for name in "ab"]
    done = Batch.cut("test", 1, items, bytes([Outcome.UNCHANGED] * 2))
    assert (done.status, done.ledger.unchanged, done.ledger.balances) == (BatchStatus.DONE, 2, True)
    fault = ItemFault(path="b", outcome=Outcome.REMAINING, code=MISSING, attempt=0)
    half = Batch.cut("test", 1, items, bytes([Outcome.UNCHANGED, Outcome.REMAINING]), [fault])
    assert (half.status, half.remaining, half.noted, half.faults) == (BatchStatus.PENDING, 1, {}, (fault,))
