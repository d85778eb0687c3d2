"""Isolation finds the poisoned items of a batch, all of them and no others, in a bounded number of attempts."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from uuid import uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prefect_globus.transfers.batches import Batch, Settlement
from prefect_globus.transfers.isolation import goes_on, is_poisoned, isolated, next_span
from prefect_globus.transfers.items import Item, Outcome
from prefect_globus.transfers.states import AttemptStatus

CODES = ["PERMISSION_DENIED", "INVALID_PATH_NAME", "FILE_NOT_FOUND"]
UNHURRIED = settings(deadline=None)  # a busy machine takes its time
Moves = Callable[[Sequence[str]], Sequence[str]]


def manifest(number: int) -> list[Item]:
    return [Item(f"{position:04}", 1, 0) for position in range(number)]


class Globus:
    """What Globus does of a task in which some paths are poisoned.

    Args:
        poisons: the code that each of them meets for ever.
        moves: which of the good ones it moves before it ends, if there is a poisoned one; all by default.
        skips: the paths that it names and leaves out, with their codes.
    """

    def __init__(self, poisons: dict[str, str], moves: Moves = tuple, skips: dict[str, str] | None = None) -> None:
        self.poisons = poisons
        self.moves = moves
        self.skips = skips or {}
        self.sent: list[list[str]] = []

    def settle(self, paths: list[str]) -> Settlement:
        self.sent.append(paths)
        skipped = {path: self.skips[path] for path in paths if path in self.skips}
        met = [self.poisons[path] for path in paths if path in self.poisons]
        good = [path for path in paths if path not in self.poisons and path not in skipped]
        moved = dict.fromkeys(self.moves(good) if met else good, 1)
        status = AttemptStatus.FAILED if met else AttemptStatus.SUCCEEDED
        error = met[0] if met else None
        return Settlement(status=status, moved=moved, skipped=skipped, skipped_as=Outcome.DEAD, error=error)


def drive(batch: Batch, items: list[Item], globus: Globus, *, limit: int = 10_000, most: int = 10_000) -> Batch:
    """The loop of `drive_batch`, for at most so many attempts; each goes through a store and back."""
    poisoned = 0
    while batch.remaining and most:
        most -= 1
        batch = batch.intend(uuid4(), None, next_span(batch)).submitted(uuid4())
        before = Batch.model_validate(batch.model_dump())
        after = before.settle(items, globus.settle([item.path for item in before.sent(items)]))
        batch = isolated(after, before, items, give_up=poisoned >= limit)
        poisoned += is_poisoned(batch.attempts[-1])
    return batch


def dead(batch: Batch) -> dict[str, str]:
    return {path: fault.code for path, fault in batch.noted.items() if fault.outcome is Outcome.DEAD}


@st.composite
def poisoned_batches(draw: st.DrawFn) -> tuple[list[Item], dict[str, str], Moves]:
    items = manifest(draw(st.integers(1, 130)))
    paths = [item.path for item in items]
    poisons = draw(st.dictionaries(st.sampled_from(paths), st.sampled_from(CODES), max_size=8))
    share = draw(st.floats(0, 1))
    return items, poisons, lambda good: good[: int(len(good) * share)]


def bound(items: int, poisons: int) -> float:
    """How many attempts finding so many may take: one halving for each, and one more to see that it was the last."""
    return 1 + poisons * (math.log2(items) + 3)


@UNHURRIED
@given(poisoned_batches())
def test_any_set_of_poisons_is_found_exactly(case: tuple[list[Item], dict[str, str], Moves]) -> None:
    """However much a task does before it ends; each with its own code, and in a bounded number of attempts."""
    items, poisons, moves = case
    batch = drive(Batch.cut("t", 1, items), items, Globus(poisons, moves))
    assert dead(batch) == poisons
    assert batch.ledger.transferred == len(items) - len(poisons)
    assert batch.remaining == 0
    assert len(batch.attempts) <= bound(len(items), len(poisons))


@UNHURRIED
@given(poisoned_batches())
def test_nothing_that_was_moved_is_sent_again(case: tuple[list[Item], dict[str, str], Moves]) -> None:
    """Nor what is dead."""
    items, poisons, moves = case
    globus = Globus(poisons, moves)
    drive(Batch.cut("t", 1, items), items, globus)
    done: set[str] = set()
    for paths in globus.sent:
        assert not done & set(paths)
        met = [path for path in paths if path in poisons]
        good = [path for path in paths if path not in poisons]
        done |= set(moves(good) if met else good)


@pytest.mark.parametrize("number", [1, 2, 3, 10, 100, 1000, 20_000])
@pytest.mark.parametrize("where", [0.0, 0.37, 1.0])
def test_one_poison_in_a_batch_is_found_by_halving(number: int, where: float) -> None:
    """In at most 2 log2(n) + 3 attempts, even when a task that meets it moves nothing at all."""
    items = manifest(number)
    path = items[int(where * (number - 1))].path
    batch = drive(Batch.cut("t", 1, items), items, Globus({path: CODES[0]}, lambda _: ()))
    assert dead(batch) == {path: CODES[0]}
    assert batch.ledger.transferred == number - 1
    assert len(batch.attempts) <= 2 * math.log2(number) + 3


@UNHURRIED
@given(poisoned_batches(), st.integers(1, 40), st.data())
def test_the_search_goes_on_after_a_crash(
    case: tuple[list[Item], dict[str, str], Moves], most: int, data: st.DataObject
) -> None:
    """Where it stands follows from what is on record; also when the next driver has a mind of its own."""
    items, poisons, moves = case
    globus = Globus(poisons, moves)
    batch = drive(Batch.cut("t", 1, items), items, globus, most=most)
    mended = data.draw(st.sets(st.sampled_from(sorted(poisons)))) if poisons else set()
    already = set(dead(batch))
    globus.poisons = {path: code for path, code in poisons.items() if path not in mended}
    batch = drive(batch, items, globus)
    assert set(dead(batch)) == already | set(globus.poisons)
    assert batch.remaining == 0


@UNHURRIED
@given(poisoned_batches(), st.data())
def test_what_is_driven_again_is_found_again(
    case: tuple[list[Item], dict[str, str], Moves], data: st.DataObject
) -> None:
    """Whoever has mended some of them gets those delivered, and the others named once more."""
    items, poisons, moves = case
    globus = Globus(poisons, moves)
    batch = drive(Batch.cut("t", 1, items), items, globus)
    mended = data.draw(st.sets(st.sampled_from(sorted(poisons)))) if poisons else set()
    globus.poisons = {path: code for path, code in poisons.items() if path not in mended}
    before = len(batch.attempts)
    again = drive(batch.redrive(items), items, globus)
    assert dead(again) == globus.poisons
    assert again.faults[: len(batch.faults)] == batch.faults
    assert len(again.attempts) - before <= bound(max(1, len(poisons)), len(globus.poisons)) + len(mended)


@UNHURRIED
@given(poisoned_batches(), st.data())
def test_what_globus_names_is_no_suspect(case: tuple[list[Item], dict[str, str], Moves], data: st.DataObject) -> None:
    """Skipped source errors are dead letters at once, also with the code that others have met."""
    items, poisons, moves = case
    free = sorted({item.path for item in items} - set(poisons))
    skips = data.draw(st.dictionaries(st.sampled_from(free), st.sampled_from(CODES))) if free else {}
    batch = drive(Batch.cut("t", 1, items), items, Globus(poisons, moves, skips))
    assert dead(batch) == poisons | skips
    assert batch.remaining == 0
    assert len(batch.attempts) <= bound(len(items), len(poisons)) + 1


@pytest.mark.parametrize("limit", [0, 1, 5, 40])
def test_the_search_ends_at_its_limit(limit: int) -> None:
    """Where everything is refused, all that is under suspicion is dead in the end, in some more attempts than that."""
    items = manifest(500)
    poisons = dict.fromkeys((item.path for item in items), "PERMISSION_DENIED")
    batch = drive(Batch.cut("t", 1, items), items, Globus(poisons), limit=limit)
    assert dead(batch) == poisons
    assert len(batch.attempts) <= limit + math.log2(len(items)) + 2


@pytest.mark.parametrize("code", ["ENDPOINT_TOO_BUSY", "CANCELED", "EXPIRED", "QUOTA_EXCEEDED", "STALLED", None])
def test_other_ends_are_no_poison(code: str | None) -> None:
    """What failed for another reason is sent again as a whole."""
    items = manifest(4)
    before = Batch.cut("t", 1, items).intend(uuid4(), None).submitted(uuid4())
    after = before.settle(items, Settlement(status=AttemptStatus.FAILED, error=code))
    assert not is_poisoned(after.attempts[-1])
    assert isolated(after, before, items, give_up=True) == after
    assert next_span(after) is None


def test_a_live_attempt_is_not_judged() -> None:
    """Also one whose end is on record before it was asked for."""
    items = manifest(1)
    batch = Batch.cut("t", 1, items).intend(uuid4(), None).submitted(uuid4())
    assert not is_poisoned(batch.ending("PERMISSION_DENIED", {}).attempts[-1])


def test_a_passing_fault_in_one_half_does_not_keep_the_other_from_telling() -> None:
    """The poison is found and all that is good arrives, though one item meets a fault that may pass, each time."""
    items = manifest(40)
    for sick, poisoned in ((0, 39), (39, 0), (10, 11), (11, 10), (3, 30)):
        globus = Globus({items[poisoned].path: "INVALID_PATH_NAME"}, moves=lambda good: good[:0])
        batch, tries = Batch.cut("t", 1, items), 0
        while batch.remaining > 1:
            tries += 1
            batch = batch.intend(uuid4(), None, next_span(batch)).submitted(uuid4())
            paths = [item.path for item in batch.sent(items)]
            settlement = globus.settle(paths)
            if items[sick].path in paths and settlement.error is None:
                moved = {path: 1 for path in paths if path != items[sick].path}
                settlement = Settlement(status=AttemptStatus.CANCELED, moved=moved, error="TIMEOUT")
            batch = isolated(batch.settle(items, settlement), batch, items, give_up=False)
            assert goes_on(batch) or batch.remaining == 1, "what is good would wait for a retry"
        assert dead(batch) == {items[poisoned].path: "INVALID_PATH_NAME"}
        assert [item.path for item in batch.left(items)] == [items[sick].path]
        assert tries <= bound(40, 2)


def test_both_halves_with_passing_faults_wait_for_a_retry() -> None:
    """Nothing more is to be learned at once; the next try begins where this one has stopped."""
    items = manifest(8)
    batch = Batch.cut("t", 1, items)
    ends = [("INVALID_PATH_NAME", True), ("TIMEOUT", True), ("TIMEOUT", False), ("TIMEOUT", True), ("TIMEOUT", False)]
    spans = []
    for error, more in ends:
        batch = batch.intend(uuid4(), None, next_span(batch)).submitted(uuid4())
        spans.append(batch.attempts[-1].span)
        batch = batch.settle(items, Settlement(status=AttemptStatus.FAILED, error=error))
        assert goes_on(batch) is more
    assert spans == [None, (0, 4), (4, 8), (0, 4), (4, 8)]
