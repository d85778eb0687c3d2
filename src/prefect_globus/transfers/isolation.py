"""Isolation: finding the item that keeps its batch from going on, where Globus does not name it.

A task that met a fault of one path for good ends with the rest of its items moved or not, and only its code is known.
So what it left is sent again in halves, until one item alone meets the fault: that is a dead letter. Where the search
stands follows from the attempts on record, so that it goes on after a crash.
"""

from __future__ import annotations

from collections.abc import Sequence

from prefect_globus.transfers.batches import Attempt, Batch, ItemFault
from prefect_globus.transfers.faults import ends_an_item
from prefect_globus.transfers.items import Item, Outcome
from prefect_globus.transfers.states import AttemptStatus


def is_poisoned(attempt: Attempt) -> bool:
    """Whether ``attempt`` has ended for a fault that one of its items will meet for ever."""
    return not attempt.live and attempt.error is not None and ends_an_item(attempt.error)


def next_span(batch: Batch) -> tuple[int, int] | None:
    """What the next attempt of ``batch`` is to be sent, as positions in its manifest; None for all that remains."""
    suspects = _suspects(batch)
    if not suspects:
        return None
    middle = max(1, len(suspects) // 2)
    # where a passing fault has kept one half from telling anything, the other one may
    half = suspects[middle:] if _setbacks(batch) % 2 else suspects[:middle]
    return (half[0], half[-1] + 1) if half else (suspects[0], suspects[-1] + 1)


def goes_on(batch: Batch) -> bool:
    """Whether the next attempt of ``batch`` is to follow at once, as the latest one is a step of the search."""
    attempt = batch.attempts[-1]
    if is_poisoned(attempt) or (attempt.span is not None and attempt.status is AttemptStatus.SUCCEEDED):
        return True
    return _setbacks(batch) % 2 == 1 and next_span(batch) not in (None, attempt.span)


def isolated(batch: Batch, before: Batch, items: Sequence[Item], *, give_up: bool) -> Batch:
    """``batch`` with the item dead that was found out by its latest attempt.

    Args:
        batch: as that attempt has left it.
        before: as it was while the attempt was live.
        items: its manifest.
        give_up: whether the search has gone on for long enough: all that the attempt has left is dead.
    """
    attempt = batch.attempts[-1]
    if not is_poisoned(attempt):
        return batch
    left = batch.positions_left(attempt)
    if not give_up and len(before.positions_left(attempt)) > 1:
        return batch
    faults = {
        path: ItemFault(path=path, outcome=Outcome.DEAD, code=str(attempt.error), attempt=attempt.number)
        for path in (items[position].path for position in left)
    }
    return batch.set_aside(items, faults)


def _suspects(batch: Batch) -> list[int]:
    """The positions of the items of which one, at least, is known to keep the others from going on."""
    convicting = _convicting(batch)
    for attempt in reversed(batch.attempts):
        if not is_poisoned(attempt) or any(_explains(later, attempt) for later in convicting):
            continue
        if left := batch.positions_left(attempt):
            return left
    return []


def _setbacks(batch: Batch) -> int:
    """How many steps of the search, up to the latest, have ended for a fault that says nothing of their items."""
    setbacks = 0
    for attempt in reversed(batch.attempts):
        if attempt.live or attempt.span is None or is_poisoned(attempt) or attempt.status is AttemptStatus.SUCCEEDED:
            break
        setbacks += 1
    return setbacks


def _convicting(batch: Batch) -> list[Attempt]:
    """The attempts that have found out a dead item."""
    dead = [fault for fault in batch.faults if fault.outcome is Outcome.DEAD and fault.attempt > 0]
    found = {fault.attempt for fault in dead if fault.code == batch.attempts[fault.attempt - 1].error}
    return [batch.attempts[number - 1] for number in sorted(found)]


def _explains(later: Attempt, attempt: Attempt) -> bool:
    """Whether an item that ``later`` has found dead may be what ``attempt`` met."""
    if later.number < attempt.number:
        return False
    return attempt.span is None or (later.span is not None and attempt.covers(later.span[0]))
