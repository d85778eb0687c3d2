"""A plan adds up what would become of each item; an estimate goes by past runs, and by nothing else."""

from __future__ import annotations

from datetime import timedelta
from uuid import uuid4

import hypothesis.strategies as st
import pytest
from hypothesis import given

from prefect_globus.transfers.batches import Attempt, Batch
from prefect_globus.transfers.estimating import Estimate, PastRun
from prefect_globus.transfers.items import UNTRANSFERABLE, Item, ItemType, Outcome
from prefect_globus.transfers.location import Location
from prefect_globus.transfers.options import SyncLevel, TransferOptions
from prefect_globus.transfers.plan_words import lines, markdown
from prefect_globus.transfers.planning import (
    DELIVERED,
    PREDICTED,
    Amount,
    Foresight,
    PlannedItem,
    Share,
    TransferPlan,
    leaves_alone,
)
from prefect_globus.transfers.records import now
from support.trees import trees

PLACE = Location.parse("6c54cade-bde5-45c1-bdea-f4bd71dba2cc:/x")
LIMIT = 3


@given(data=st.data(), manifest=trees(), level=st.sampled_from([None, *SyncLevel]))
def test_a_foresight_is_the_sum_of_what_becomes_of_each_item(
    data: st.DataObject, manifest: list[Item], level: SyncLevel | None
) -> None:
    """In batches of any size, with little in memory: each item is in one sum, and only the largest are named."""
    kinds = st.sampled_from([ItemType.FILE, ItemType.FILE, *UNTRANSFERABLE])
    manifest = [each if each.type is ItemType.DIRECTORY else each._replace(type=data.draw(kinds)) for each in manifest]
    there = {
        each.path: Item(each.path, data.draw(st.integers(0, 3)), data.draw(st.integers(0, 3)))
        for each in manifest
        if data.draw(st.booleans())
    }
    known = bytes(data.draw(st.sampled_from([Outcome.REMAINING, Outcome.UNCHANGED])) for _ in manifest)
    foresight = Foresight(TransferOptions(sync_level=level), LIMIT)
    step = data.draw(st.integers(1, 5))
    tasks = 0
    for first in range(0, len(manifest), step):
        some = manifest[first : first + step]
        foresight.add(some, known[first : first + step], there.get)
        tasks += any(map(_is_sent, some, known[first : first + step]))

    sent = [item for item, outcome in zip(manifest, known, strict=True) if _is_sent(item, outcome)]
    moved = [item for item in sent if not leaves_alone(level, item, there.get(item.path))]
    assert foresight.tasks == tasks
    assert foresight.total == Amount(items=len(manifest), bytes=sum(each.size for each in manifest))
    assert foresight.to_move == Amount(items=len(moved), bytes=sum(each.size for each in moved))
    others = sum(each.items for each in foresight.left_alone.values()) + sum(foresight.not_moved.values())
    assert others + len(moved) == len(manifest)
    assert set(foresight.left_alone) <= {DELIVERED, PREDICTED.get(level, DELIVERED) if level else DELIVERED}
    assert [each.size for each in foresight.largest] == sorted((each.size for each in moved), reverse=True)[:LIMIT]
    shares, more = foresight.directories
    assert len(shares) + more == len({_top(each) for each in moved})
    assert len(shares) <= LIMIT
    for share in shares:
        inside = [each for each in moved if _top(each) == share.directory]
        assert (share.items, share.bytes) == (len(inside), sum(each.size for each in inside))
    assert [share.bytes for share in shares] == sorted((share.bytes for share in shares), reverse=True)


def _is_sent(item: Item, outcome: int) -> bool:
    return outcome == Outcome.REMAINING and item.type not in UNTRANSFERABLE


def _top(item: Item) -> str:
    return item.path.partition("/")[0] if "/" in item.path or item.type is ItemType.DIRECTORY else ""


@pytest.mark.parametrize(
    ("level", "size", "mtime", "left"),
    [
        (None, 5, 9, False),
        (SyncLevel.EXISTS, 1, 1, True),
        (SyncLevel.SIZE, 5, 1, True),
        (SyncLevel.SIZE, 4, 9, False),
        (SyncLevel.MTIME, 4, 7, True),
        (SyncLevel.MTIME, 5, 6, False),
        (SyncLevel.MTIME, 5, 0, None),
        (SyncLevel.CHECKSUM, 5, 1, None),
        (SyncLevel.CHECKSUM, 4, 1, False),
    ],
)
def test_what_globus_would_leave_alone(level: SyncLevel | None, size: int, mtime: int, left: bool | None) -> None:
    """By the levels of the contract; None where only Globus can know."""
    item = Item("a", 5, 7)
    assert leaves_alone(level, item, Item("a", size, mtime)) is left
    assert leaves_alone(level, item, None) is False
    assert leaves_alone(level, item, Item("a", size, mtime, ItemType.DIRECTORY)) is False


def batch(*spans: tuple[float, float], files: int = 10, size: int = 1000) -> Batch:
    """One whose tasks were submitted and had ended so many seconds after some moment."""
    begin = now()
    attempts = tuple(
        Attempt(
            number=number,
            submission_id=uuid4(),
            submitted_at=begin + timedelta(seconds=first),
            ended_at=begin + timedelta(seconds=last),
            files_transferred=files,
            bytes_transferred=size,
        )
        for number, (first, last) in enumerate(spans, start=1)
    )
    return Batch.cut("x", 1, [Item("a", 1, 1)]).evolve(attempts=attempts)


def test_a_past_run_took_as_long_as_a_task_of_it_was_under_way() -> None:
    """Tasks at once are not counted twice, and pauses between them not at all."""
    run = PastRun.of([batch((0, 10), (5, 12)), batch((100, 108))])
    assert run is not None
    assert (run.files, run.bytes, run.tasks) == (30, 3000, 3)
    assert run.seconds == pytest.approx(20, abs=0.01)
    assert PastRun.of([]) is None
    assert PastRun.of([batch((0, 5), files=0)]) is None


def test_without_past_runs_nothing_is_estimated() -> None:
    assert Estimate.of(10, 10, []) is None
    assert Estimate.of(0, 0, [PastRun(files=1, bytes=1, seconds=1, tasks=1)]) is None


def test_an_estimate_is_in_proportion_to_the_median_of_runs_with_files_of_that_size() -> None:
    """Of others only where there is nothing else, and then it says so."""
    small = [PastRun(files=100, bytes=100_000, seconds=seconds, tasks=2) for seconds in (10, 20, 60)]
    large = PastRun(files=10, bytes=10**12, seconds=10_000, tasks=1)
    estimate = Estimate.of(1000, 1_000_000, [large, *small])
    assert estimate is not None
    assert (estimate.seconds, estimate.least, estimate.most) == (200, 150, 400)
    assert (estimate.runs, estimate.tasks, estimate.alike) == (3, 6, True)
    assert (estimate.files_per_second, estimate.bytes_per_second) == (5, 5000)
    other = Estimate.of(1000, 1_000_000, [large])
    assert other is not None
    assert not other.alike
    assert other.seconds == pytest.approx(1_000_000)  # by its files, which is slower than by its bytes


def test_empty_files_take_time_too() -> None:
    estimate = Estimate.of(100, 0, [PastRun(files=50, bytes=0, seconds=5, tasks=1)])
    assert estimate is not None
    assert (estimate.seconds, estimate.alike) == (10, True)


def whole(path: str, **facts: object) -> TransferPlan:
    """A plan with a directory that is transferred as a whole."""
    places = {"source": PLACE, "destination": PLACE.evolve(path="/y"), "batches": 1, "tasks": 1}
    amounts = {"total": Amount(items=1, bytes=0), "to_move": Amount(items=1, bytes=0)}
    item = PlannedItem(path=path, type=ItemType.TREE, size=0)
    return TransferPlan.model_validate(places | amounts | facts | {"wholes": 1, "first_wholes": (item,)})


def test_no_time_is_told_for_what_nobody_has_counted() -> None:
    """Neither alone nor beside what is counted; the one that is the source has no name of its own."""
    past = [PastRun(files=10, bytes=100, seconds=60, tasks=1)]
    foresight = Foresight(TransferOptions(), LIMIT)
    foresight.add([Item("big", 0, 1, ItemType.TREE)], bytes(1), None)
    foresight.add([Item("c", 10, 1)], bytes(1), None)
    assert (foresight.to_move.items, foresight.counted) == (2, Amount(items=1, bytes=10))
    assert [each.directory for each in foresight.directories[0]] == ["", "big"]
    text = "\n".join(lines(whole("", estimate=None)))
    assert "not counted: the source itself\n" in text
    assert "not known: nobody has counted what there is to move" in text
    beside = whole("big", to_move=foresight.to_move, estimate=Estimate.of(1, 10, past))
    assert "about 6 s without what is transferred as a whole, by the median" in "\n".join(lines(beside))


def test_a_plan_in_words_stays_on_its_lines() -> None:
    """Whatever the names of files are, in a terminal and in Markdown."""
    evil = "a|b\n# c\x1b[31m \udcff*"
    item = PlannedItem(path=evil, type=ItemType.FILE, size=5)
    plan = TransferPlan(
        source=PLACE,
        destination=PLACE.evolve(path="/y"),
        total=Amount(items=3, bytes=15),
        to_move=Amount(items=2, bytes=10),
        new=Amount(items=1, bytes=5),
        replacing=Amount(items=1, bytes=5),
        left_alone={DELIVERED: Amount(items=1, bytes=5)},
        largest=(item, item),
        directories=(Share(directory=evil, items=2, bytes=10),),
        batches=1,
        tasks=1,
        problems=(f"1 directory cannot be listed: {evil!r}",),
    )
    shown = list(lines(plan))
    assert all(line.isprintable() for line in shown), shown
    text = "\n".join(shown)
    assert "1 new, 1 in the place of what is there" in text
    assert "not known: there is no past run between these collections" in text
    rows = [line for line in markdown(plan).splitlines() if line.startswith("|")]
    assert all(line.count("|") - line.count("\\|") in (3, 4) for line in rows), rows
    assert "\x1b" not in markdown(plan)
    assert not plan.does_nothing
    assert TransferPlan.model_validate(plan.model_dump(mode="json")) == plan
