"""The states, and the life of a batch: nothing is done twice, nothing is lost in silence."""

from __future__ import annotations

from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefect_globus.transfers import states
from prefect_globus.transfers.batches import Batch, ItemFault, Settlement, outcome_of
from prefect_globus.transfers.errors import InvalidTransitionError
from prefect_globus.transfers.items import Item, ItemType, Outcome
from prefect_globus.transfers.records import now
from prefect_globus.transfers.states import (
    ATTEMPT_TRANSITIONS,
    BATCH_TRANSITIONS,
    FINAL_TRANSFER_STATUSES,
    LIVE_ATTEMPT_STATUSES,
    TRANSFER_TRANSITIONS,
    AttemptStatus,
    BatchStatus,
    TransferStatus,
    check_transition,
    predecessors,
)

ENDED = sorted(set(AttemptStatus) - LIVE_ATTEMPT_STATUSES)
ITEMS = [Item(name, size, 0) for size, name in enumerate("abcde", start=1)]
NAMES = [item.path for item in ITEMS]
SIZES = {item.path: item.size for item in ITEMS}


def settlements() -> st.SearchStrategy[Settlement]:
    return st.builds(
        Settlement,
        status=st.sampled_from(ENDED),
        moved=st.none() | st.sets(st.sampled_from(NAMES)).map(lambda names: {name: SIZES[name] for name in names}),
        skipped=st.dictionaries(st.sampled_from(NAMES), st.just("FILE_NOT_FOUND")),
    )


def fault(path: str, outcome: Outcome = Outcome.DEAD) -> ItemFault:
    return ItemFault(path=path, outcome=outcome, code="PERMISSION_DENIED", attempt=1)


def cut() -> Batch:
    return Batch.cut("t", 1, ITEMS)


def sent(batch: Batch) -> Batch:
    return batch.intend(uuid4(), None).submitted(uuid4())


# --- tables


@pytest.mark.parametrize(
    ("table", "kind"),
    [(TRANSFER_TRANSITIONS, TransferStatus), (BATCH_TRANSITIONS, BatchStatus), (ATTEMPT_TRANSITIONS, AttemptStatus)],
)
def test_every_status_has_its_transitions(table: dict[str, frozenset[str]], kind: type) -> None:
    assert set(table) == set(kind)
    first = next(iter(kind))
    reached, todo = {first}, [first]
    while todo:
        for after in table[todo.pop()] - reached:
            reached.add(after)
            todo.append(after)
    assert reached == set(kind)


def test_what_is_final_stays() -> None:
    assert {TransferStatus.COMPLETED, TransferStatus.CANCELED} == FINAL_TRANSFER_STATUSES
    assert {AttemptStatus.INTENDED, AttemptStatus.SUBMITTED} == LIVE_ATTEMPT_STATUSES
    assert BATCH_TRANSITIONS[BatchStatus.DONE] == frozenset()
    assert TransferStatus.TRANSFERRING in TRANSFER_TRANSITIONS[TransferStatus.FAILED]


def test_a_transition_is_allowed_as_the_table_says() -> None:
    for before in TransferStatus:
        for after in TransferStatus:
            allowed = before == after or after in TRANSFER_TRANSITIONS[before]
            assert (before in predecessors(TRANSFER_TRANSITIONS, after)) is allowed
            if allowed:
                check_transition(TRANSFER_TRANSITIONS, "it", before, after)
            else:
                with pytest.raises(InvalidTransitionError, match=f"it cannot go from {before} to {after}"):
                    check_transition(TRANSFER_TRANSITIONS, "it", before, after)


def test_each_status_is_glossed_in_the_source() -> None:
    with open(states.__file__, encoding="utf-8") as source:  # noqa: PTH123 - one line
        lines = [line for line in source if "    " in line and ' = "' in line and line.strip()[0].isupper()]
    assert len(lines) == len(TransferStatus) + len(BatchStatus) + len(AttemptStatus)
    assert all("  # " in line for line in lines)


# --- a batch


def test_a_new_batch_has_all_its_work_before_it() -> None:
    batch = cut()
    assert (batch.items, batch.size, batch.first_path, batch.last_path) == (5, 15, "a", "e")
    assert batch.ledger.remaining == batch.remaining == 5
    assert batch.left(ITEMS) == ITEMS
    assert batch.attempt is None


def test_intent_comes_before_the_task() -> None:
    submission, deadline = uuid4(), now()
    batch = cut().intend(submission, deadline)
    assert batch.status is BatchStatus.ACTIVE
    assert batch.attempt is not None
    assert (batch.attempt.number, batch.attempt.submission_id, batch.attempt.deadline) == (1, submission, deadline)
    assert batch.attempt.live
    assert batch.attempt.task_id is None


def test_a_live_attempt_excludes_another() -> None:
    for live in (cut().intend(uuid4(), None), sent(cut())):
        with pytest.raises(InvalidTransitionError):
            live.intend(uuid4(), None)


def test_a_batch_that_is_done_is_not_tried_again() -> None:
    done = sent(cut()).settle(ITEMS, Settlement(status=AttemptStatus.SUCCEEDED, moved=None))
    assert done.status is BatchStatus.DONE
    for call in (lambda: done.intend(uuid4(), None), done.give_up):
        with pytest.raises(InvalidTransitionError):
            call()


def test_an_attempt_ends_once() -> None:
    ended = sent(cut()).settle(ITEMS, Settlement(status=AttemptStatus.FAILED))
    with pytest.raises(InvalidTransitionError):
        ended.settle(ITEMS, Settlement(status=AttemptStatus.SUCCEEDED, moved=None))
    with pytest.raises(InvalidTransitionError):
        ended.submitted(uuid4())


def test_a_refused_submission_ends_an_attempt_that_was_only_intended() -> None:
    batch = cut().intend(uuid4(), None).settle(ITEMS, Settlement(status=AttemptStatus.FAILED, error="ClientError"))
    assert batch.remaining == 5
    assert batch.attempt is not None
    assert batch.attempt.error == "ClientError"
    assert batch.intend(uuid4(), None).attempts[1].number == 2


@pytest.mark.parametrize(
    ("settlement", "kind", "outcome"),
    [
        (Settlement(status=AttemptStatus.SUCCEEDED, moved={"a": 1}), ItemType.FILE, Outcome.TRANSFERRED),
        (Settlement(status=AttemptStatus.FAILED, moved={"a": 1}), ItemType.FILE, Outcome.TRANSFERRED),
        (Settlement(status=AttemptStatus.SUCCEEDED, moved=None), ItemType.FILE, Outcome.TRANSFERRED),
        (Settlement(status=AttemptStatus.SUCCEEDED, moved={}), ItemType.FILE, Outcome.UNCHANGED),
        (Settlement(status=AttemptStatus.SUCCEEDED, moved={}), ItemType.DIRECTORY, Outcome.TRANSFERRED),
        (Settlement(status=AttemptStatus.SUCCEEDED, moved=None, skipped={"a": "X"}), ItemType.FILE, Outcome.SKIPPED),
        (Settlement(status=AttemptStatus.FAILED, skipped={"a": "X"}), ItemType.FILE, Outcome.SKIPPED),
        (Settlement(status=AttemptStatus.FAILED, moved=None), ItemType.FILE, Outcome.REMAINING),
        (Settlement(status=AttemptStatus.CANCELED), ItemType.FILE, Outcome.REMAINING),
        (Settlement(status=AttemptStatus.LOST), ItemType.DIRECTORY, Outcome.REMAINING),
    ],
)
def test_what_a_task_says_of_an_item(settlement: Settlement, kind: ItemType, outcome: Outcome) -> None:
    assert outcome_of(Item("a", 1, 0, kind), settlement) is outcome


@given(st.lists(settlements(), min_size=1, max_size=6), st.data())
def test_a_ledger_always_balances_and_nothing_done_comes_back(lives: list[Settlement], data: st.DataObject) -> None:
    batch = cut()
    for settlement in lives:
        if batch.status is BatchStatus.DONE or not batch.remaining:
            break
        before = batch
        batch = sent(batch)
        if data.draw(st.booleans()):
            dead = data.draw(st.sets(st.sampled_from([item.path for item in batch.left(ITEMS)]), max_size=4))
            if len(dead) < batch.remaining:  # its task may end before the last of them is known to be dead
                batch = batch.set_aside(ITEMS, {path: fault(path) for path in dead})
        batch = batch.settle(ITEMS, settlement)
        assert batch.ledger.balances
        assert batch.ledger.items == 5
        for old, new in zip(before.outcomes, batch.outcomes, strict=True):
            assert old in (Outcome.REMAINING, new)
        moved = sum(item.size for item, out in zip(ITEMS, batch.outcomes, strict=True) if out == Outcome.TRANSFERRED)
        assert batch.bytes_transferred == batch.ledger.bytes_transferred == moved
        bad = [
            item.path for item, out in zip(ITEMS, batch.outcomes, strict=True) if out in (Outcome.SKIPPED, Outcome.DEAD)
        ]
        assert sorted(one.path for one in batch.faults) == bad
        assert (batch.remaining == 0) == (batch.status in (BatchStatus.DONE, BatchStatus.PARTIAL))
        assert (batch.status is BatchStatus.DONE) == batch.ledger.complete


def test_a_dead_item_makes_a_batch_partial() -> None:
    batch = cut().set_aside(ITEMS, {name: fault(name) for name in NAMES})
    assert (batch.status, batch.ledger.dead, len(batch.faults)) == (BatchStatus.PARTIAL, 5, 5)


def test_what_is_settled_is_not_set_aside() -> None:
    batch = sent(cut()).settle(ITEMS, Settlement(status=AttemptStatus.FAILED, moved={"a": 1}))
    again = batch.set_aside(ITEMS, {"a": fault("a"), "b": fault("b"), "unknown": fault("unknown")})
    assert (again.ledger.transferred, again.ledger.dead) == (1, 1)
    assert [one.path for one in again.faults] == ["b"]
    assert again.set_aside(ITEMS, {"b": fault("b")}) == again


def test_skipped_items_leave_a_batch_done() -> None:
    batch = cut().set_aside(ITEMS, {name: fault(name, Outcome.SKIPPED) for name in NAMES})
    assert (batch.status, batch.ledger.skipped, batch.ledger.complete) == (BatchStatus.DONE, 5, True)


def test_what_was_given_up_can_be_tried_again() -> None:
    batch = sent(cut()).settle(ITEMS, Settlement(status=AttemptStatus.FAILED, moved={"a": 1})).give_up()
    assert batch.status is BatchStatus.PARTIAL
    again = sent(batch)
    assert [item.path for item in again.left(ITEMS)] == ["b", "c", "d", "e"]
    done = again.settle(ITEMS, Settlement(status=AttemptStatus.SUCCEEDED, moved={"b": 2, "c": 3}))
    assert done.status is BatchStatus.DONE
    assert (done.ledger.transferred, done.ledger.unchanged, done.bytes_transferred) == (3, 2, 6)
