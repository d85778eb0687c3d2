"""A directory that is transferred as a whole: alone in its batch, and refused where it would be something else."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from prefect_globus import TransferOptions
from prefect_globus.globus.submission import submission_body
from prefect_globus.transfers.batches import Batch, Settlement
from prefect_globus.transfers.batching import cut_batches
from prefect_globus.transfers.comparing import Check, vanished
from prefect_globus.transfers.delivered import Delivery, merged
from prefect_globus.transfers.errors import DirectoryGrownError, NotAsAWholeError
from prefect_globus.transfers.incremental import Claim, Inspection, accounts
from prefect_globus.transfers.items import Item, ItemType, Outcome
from prefect_globus.transfers.location import Location
from prefect_globus.transfers.model import Transfer
from prefect_globus.transfers.states import AttemptStatus
from prefect_globus.transfers.wholes import check_whole

BIG = Item("big", 0, 1, ItemType.TREE)


def transfer(**facts: Any) -> Transfer:
    options = TransferOptions(**facts.pop("options", {}))
    source, destination = (Location(collection=uuid4(), path=path) for path in ("/from", "/to"))
    return Transfer(id="test", source=source, destination=destination, source_is_file=False, options=options, **facts)


def intended(attempts: int) -> Batch:
    """A batch that is one directory, whose latest attempt is that of this number."""
    batch = Batch.cut("test", 1, [BIG])
    for number in range(attempts):
        batch = batch.intend(uuid4(), None)
        if number < attempts - 1:
            batch = batch.submitted(uuid4()).settle([BIG], Settlement(status=AttemptStatus.FAILED))
    return batch


def test_it_is_alone_in_its_batch() -> None:
    items = [Item("a", 1, 1), BIG, BIG._replace(path="bigger"), Item("c", 1, 1), Item("d", 1, 1)]
    batches = [[item.path for item in cut.items] for cut in cut_batches(items, TransferOptions())]
    assert batches == [["a"], ["big"], ["bigger"], ["c", "d"]]
    assert [Batch.cut("test", 1, [item]).is_whole for item in items] == [False, True, True, False, False]


@pytest.mark.parametrize("path", ["big", "in/big"])
@pytest.mark.parametrize(
    ("pattern", "refused"),
    [
        *(("*.tmp", False), ("other/*", False), ("bigger/x", False), ("in/bigger/x", False)),
        *(("*/x", True), ("{}/x", True), ("{}/a/b/*.tmp", True), ("/{}/x", True), ("[bi]*/x", True)),
    ],
)
def test_a_pattern_is_refused_if_it_may_match_something_in_it(path: str, pattern: str, *, refused: bool) -> None:
    """And Globus, which knows names only, could not be told."""
    wanted = transfer(options={"exclude": [pattern.format(path)]})
    if not refused:
        check_whole(wanted, path, filtered=False)
        return
    with pytest.raises(NotAsAWholeError, match="exclude"):
        check_whole(wanted, path, filtered=False)


def test_a_filter_callback_is_refused_also_if_it_is_only_on_record() -> None:
    check_whole(transfer(), "big", filtered=False)
    with pytest.raises(NotAsAWholeError, match="filter_callback"):
        check_whole(transfer(), "big", filtered=True)


def test_what_is_in_the_manifest_already_is_not_sent_again() -> None:
    check_whole(transfer(cursor="big-"), "big", filtered=False)
    with pytest.raises(DirectoryGrownError):
        check_whole(transfer(cursor="big/a"), "big", filtered=False)


@pytest.mark.parametrize(
    ("options", "attempt", "level"),
    [
        ({}, 1, None),
        ({"sync_level": "mtime"}, 1, 2),
        ({}, 2, 3),
        ({"sync_level": "mtime"}, 2, 3),
        ({"mode": "incremental"}, 1, 3),
        ({"idempotency": "mtime"}, 1, 3),
    ],
)
def test_checksums_are_compared_where_something_may_be_half_written(
    options: dict[str, Any], attempt: int, level: int | None
) -> None:
    """By an earlier attempt, or by an earlier transfer."""
    body = submission_body(transfer(options=options), intended(attempt), [BIG])
    assert body.get("sync_level") == level
    assert [item["recursive"] for item in body["DATA"]] == [True]


def test_a_repair_compares_checksums_and_links_are_followed_if_that_is_asked_for() -> None:
    repair = transfer(repairs=Check(transfer_id="other"), options={"symlinks": "follow", "exclude": ["*.tmp", "x/y"]})
    body = submission_body(repair, intended(1), [BIG])
    assert (body["sync_level"], body["recursive_symlinks"]) == (3, "copy")
    assert [(rule["method"], rule["name"]) for rule in body["filter_rules"]] == [("exclude", "*.tmp")]
    plain = submission_body(transfer(), intended(1), [BIG])
    assert not {"recursive_symlinks", "filter_rules"} & plain.keys()


@pytest.mark.parametrize(
    ("before", "now", "gone"),
    [
        ([BIG], [BIG], []),
        ([Item("big/a", 1, 1), Item("big/b/c", 1, 1)], [BIG], []),
        ([BIG], [Item("big/a", 1, 1)], []),
        ([BIG], [Item("bigger", 1, 1)], ["big"]),
        ([Item("big/a", 1, 1), Item("bigger", 1, 1)], [BIG], ["bigger"]),
        ([BIG._replace(path="")], [Item("a", 1, 1)], []),
    ],
)
def test_what_nobody_sees_is_not_gone(before: list[Item], now: list[Item], gone: list[str]) -> None:
    assert [item.path for item in vanished(before, now)] == gone


IN_BIG = Item("big/a", 1, 1)
MORNING, NOON, EVENING = (datetime(2026, 11, 22, hour, tzinfo=UTC) for hour in (6, 12, 18))


def claim(item: Item, outcome: Outcome, begun_at: datetime) -> Claim:
    return Claim(Delivery(item, outcome), begun_at, begun_at + timedelta(hours=1))


@pytest.mark.parametrize(
    ("listed", "as_a_whole", "trusted"),
    [
        ((Outcome.TRANSFERRED, MORNING), (Outcome.REMAINING, NOON), False),
        ((Outcome.TRANSFERRED, EVENING), (Outcome.REMAINING, NOON), True),
        (None, (Outcome.REMAINING, NOON), False),
        (None, (Outcome.TRANSFERRED, NOON), True),
    ],
)
def test_what_a_whole_directory_was_cut_off_in_may_be_half_written(
    listed: tuple[Outcome, datetime] | None, as_a_whole: tuple[Outcome, datetime], *, trusted: bool
) -> None:
    """Each file in it, until it is delivered by name; nobody has them on record one by one."""
    told = [[claim(BIG, *as_a_whole)], [claim(IN_BIG, *listed)] if listed else []]
    record = accounts([(transfer(), claims) for claims in told])
    looked = Inspection(record, lambda path: Item(path, 1, 2), preserve_timestamp=False)
    items = [IN_BIG, Item("bigger", 1, 1)]
    assert looked.outcomes(items) == bytes([Outcome.UNCHANGED if trusted else Outcome.REMAINING, Outcome.UNCHANGED])


def test_what_was_sent_in_a_whole_directory_since_is_not_known_to_be_delivered() -> None:
    """Only what came after that is."""
    before = [Delivery(item, Outcome.TRANSFERRED) for item in (IN_BIG, Item("bigger", 1, 1))]
    whole = [Delivery(BIG, Outcome.REMAINING)]
    told = {each.path: each.outcome for each in merged([whole, before])}
    assert told == {"big": Outcome.REMAINING, "big/a": Outcome.REMAINING, "bigger": Outcome.TRANSFERRED}
    assert {each.path: each.outcome for each in merged([before, whole])}["big/a"] is Outcome.TRANSFERRED
