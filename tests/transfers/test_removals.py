"""What may be deleted: nothing that is not proven to be delivered, nothing that the source may have."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple
from uuid import UUID, uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from prefect_globus.transfers.batches import SOURCE_CHANGED, Attempt, Batch
from prefect_globus.transfers.comparing import ALTERED, MISSING, SOURCE_VANISHED, WRONG_TYPE
from prefect_globus.transfers.delivered import FORGOTTEN, Delivery
from prefect_globus.transfers.errors import InvalidInputError, InvalidTransitionError
from prefect_globus.transfers.extras import extras
from prefect_globus.transfers.items import Item, ItemType, Outcome, scan_order
from prefect_globus.transfers.location import Location
from prefect_globus.transfers.model import Transfer
from prefect_globus.transfers.options import TransferOptions
from prefect_globus.transfers.removals import (
    AT_SOURCE,
    SAME_NAME,
    SOURCE_EMPTY,
    SOURCE_UNKNOWN,
    SYMLINK,
    Plan,
    Removal,
    RemovalKind,
    Sight,
    check_may_delete,
    compared_outcomes,
    why_kept,
)
from prefect_globus.transfers.states import AttemptStatus

COLLECTIONS = UUID(int=1), UUID(int=2)
NAMES = st.sampled_from(["a", "A", "b", "a-", "a.b", "é", "e\u0301"])
PATHS = st.lists(NAMES, min_size=1, max_size=3).map("/".join)


class Node(NamedTuple):
    """A line of a listing."""

    name: str
    type: ItemType
    is_directory: bool = False
    size: int = 1
    mtime: int = 1
    link_target: str | None = None


class Tree:
    """Files, empty directories and links, by path, as a collection would list them."""

    def __init__(self, paths: dict[str, str]) -> None:
        self.leaves = paths
        self.directories = {""} | {path for path, kind in paths.items() if kind == "dir"}
        for path in paths:
            self.directories |= {path[:end] for end, letter in enumerate(path) if letter == "/"}

    def listing(self, directory: str) -> Sequence[Node] | None:
        if directory not in self.directories:
            return None
        names = {}
        for path in [*self.leaves, *self.directories]:
            above, _, name = path.rpartition("/")
            if path and above == directory:
                names[name] = self._node(path, name)
        return list(names.values())

    def _node(self, path: str, name: str) -> Node:
        if path in self.directories:
            return Node(name, ItemType.DIRECTORY, is_directory=True)
        return Node(name, ItemType.FILE, link_target="x" if self.leaves[path] == "link" else None)

    def manifest(self) -> list[Item]:
        """What a scan that ignores links has of it."""
        kinds = {"file": ItemType.FILE, "dir": ItemType.DIRECTORY}
        items = [Item(path, 1, 1, kinds[kind]) for path, kind in self.leaves.items() if kind in kinds]
        # a directory that has nothing but links in it is an item as an empty one is
        holding = [path for path in self.directories if path and not self._has_items(path)]
        items += [Item(path, 0, 1, ItemType.DIRECTORY) for path in holding if self.leaves.get(path) != "dir"]
        return sorted(items, key=lambda item: scan_order(item.path))

    def _has_items(self, directory: str) -> bool:
        prefix = f"{directory}/"
        listed = self.listing(directory) or ()
        return any(node.link_target is None for node in listed) and any(
            path.startswith(prefix) for path in [*self.leaves, *self.directories]
        )


@st.composite
def trees(draw: st.DrawFn) -> Tree:
    leaves: dict[str, str] = {}
    for path in sorted(draw(st.sets(PATHS, max_size=10))):
        if not any(f"{other}/".startswith(f"{path}/") or f"{path}/".startswith(f"{other}/") for other in leaves):
            leaves[path] = draw(st.sampled_from(["file", "file", "dir", "link"]))
    return Tree(leaves)


@given(scanned=trees(), source=trees(), there=trees(), emptied=st.booleans())
def test_nothing_is_extra_that_the_source_has_or_had(
    scanned: Tree, source: Tree, there: Tree, *, emptied: bool
) -> None:
    """Neither itself nor anything in it; and what nothing speaks for goes."""
    found = list(extras(scanned.manifest(), there.listing, source.listing, emptied=emptied))
    assert [each.item.path for each in found] == sorted((each.item.path for each in found), key=scan_order)
    gone = {each.item.path for each in found if each.code is None}
    kept = {item.path for item in scanned.manifest()} | set(source.leaves)
    for path in gone:
        assert not any(f"{each}/".startswith(f"{path}/") for each in kept), f"{path} is known"
        assert all(kind != "link" for each, kind in there.leaves.items() if f"{each}/".startswith(f"{path}/"))
    # the other way round: of what only the destination has, everything is accounted for
    named = gone | {each.item.path for each in found if each.code is not None}
    for path, kind in there.leaves.items():
        if not any(f"{path}/".startswith(f"{each}/") for each in named):
            assert path in kept or kind == "dir" or any(each.startswith(f"{path}/") for each in kept)


def extra(manifest: dict[str, str], source: dict[str, str], there: dict[str, str], **how: Any) -> dict[str, str | None]:
    found = extras(Tree(manifest).manifest(), Tree(there).listing, Tree(source).listing, **how)
    return {each.item.path: each.code for each in found}


def test_why_something_stays_at_the_destination() -> None:
    """Each reason there is, and what goes beside it."""
    source = {"f": "file", "d/x": "file", "empty": "dir", "link": "link", "Name": "file"}
    there = {
        "f/inside": "file",
        "d/x": "file",
        "d/old/1": "file",
        "d/old/2/3": "file",
        "d/odd/l": "link",
        "gone": "file",
        "empty/lost": "file",
        "link/in it": "file",
        "name": "file",
        "l": "link",
    }
    expected = {
        "d/odd": SYMLINK,
        "d/old": None,
        "empty/lost": SOURCE_EMPTY,
        "f": WRONG_TYPE,
        "gone": None,
        "l": SYMLINK,
        "link": AT_SOURCE,
        "name": AT_SOURCE,
    }
    assert extra(source, source, there) == expected
    assert extra(source, source, there, emptied=True) == expected | {"empty/lost": None}


def test_a_source_that_cannot_be_seen_any_more_protects_everything() -> None:
    """As when its disk was unmounted since; and an empty one is not believed."""
    there = {"a/1": "file", "a/2": "file", "b": "file"}
    nobody: Callable[[str], None] = lambda _: None  # noqa: E731 - shorter than a function
    found = extras(Tree({"a/1": "file"}).manifest(), Tree(there).listing, nobody, emptied=True)
    assert {each.item.path: each.code for each in found} == {"a/2": SOURCE_UNKNOWN, "b": SOURCE_UNKNOWN}
    assert extra({}, {}, there) == {"a": SOURCE_EMPTY, "b": SOURCE_EMPTY}
    assert extra({}, {}, there, emptied=True) == {"a": None, "b": None}


def test_what_could_not_be_read_at_the_source_is_not_known() -> None:
    """Nothing below it is extra, whatever is insisted on."""
    manifest = [Item("closed", 0, 1, ItemType.UNLISTABLE), Item("device", 0, 1, ItemType.OTHER)]
    there, source = Tree({"closed/x": "file", "device": "file", "z": "file"}), Tree({"closed": "dir", "device": "file"})
    found = extras(manifest, there.listing, source.listing, emptied=True)
    assert {each.item.path: each.code for each in found} == {"z": None}


def near(item: Item) -> st.SearchStrategy[Item]:
    """Mostly ``item`` itself, else one that differs in one thing."""
    others = [item._replace(size=item.size + by) for by in (-1, 1)]
    others += [item._replace(mtime=item.mtime + by) for by in (-1, 1)]
    others.append(item._replace(type=ItemType.DIRECTORY))
    return st.sampled_from([*[item] * 12, *others])


@st.composite
def cases(draw: st.DrawFn) -> tuple[Delivery, bool, Sight, Item | None]:
    """One item, and what is known of it; as it should be in most respects, and rarely in all."""
    scanned = Item("a", 2, 2)
    seldom = st.sampled_from([False] * 9 + [True])
    codes = frozenset({draw(st.sampled_from([SOURCE_CHANGED, FORGOTTEN]))}) if draw(seldom) else frozenset()
    outcome = draw(st.sampled_from([*Outcome, Outcome.TRANSFERRED, Outcome.UNCHANGED, Outcome.UNCHANGED]))
    delivery = Delivery(draw(near(scanned)), outcome, codes, size=scanned.size)
    there = None if draw(seldom) else draw(near(scanned))
    copy = None if draw(seldom) else draw(near(scanned))
    return delivery, draw(st.booleans()), Sight(there, draw(seldom), draw(seldom)), copy


@settings(max_examples=1000)
@given(cases())
def test_only_what_is_proven_goes(case: tuple[Delivery, bool, Sight, Item | None]) -> None:
    """Delivered, unchanged at the source, unmistakable, and compared by Globus or right at the destination."""
    delivery, compared, sight, copy = case
    item, outcome = delivery.item, delivery.outcome
    right = copy is not None and (copy.type, copy.size) == (ItemType.FILE, delivery.size)
    proven = (
        outcome in (Outcome.TRANSFERRED, Outcome.UNCHANGED)
        and not delivery.codes
        and item.type is ItemType.FILE
        and sight == Sight(item)
        and (
            compared or (right and (outcome is Outcome.TRANSFERRED or (copy is not None and copy.mtime >= item.mtime)))
        )
    )
    code = why_kept(delivery, compared=compared, source=lambda _: sight, destination=lambda _: copy)
    assert (code is None) is proven


def test_why_something_stays_at_the_source() -> None:
    """What is certain is not looked up at the destination; the first reason is given."""
    item = Item("a", 1, 1)
    delivery = Delivery(item, Outcome.TRANSFERRED, size=1)

    def why(sight: Sight, copy: Item | None = item, *, compared: bool = False) -> str | None:
        return why_kept(delivery, compared=compared, source=lambda _: sight, destination=lambda _: copy)

    assert why(Sight(item)) is None
    assert why(Sight(item), None) == MISSING
    assert why(Sight(item), None, compared=True) is None
    assert why(Sight(None)) == SOURCE_VANISHED
    assert why(Sight(item, linked=True), compared=True) == SYMLINK
    assert why(Sight(item, ambiguous=True), compared=True) == SAME_NAME
    unmoved = delivery._replace(outcome=Outcome.UNCHANGED)
    for mtime, code in ((0, ALTERED), (1, None), (2, None)):
        copies = {"a": item._replace(mtime=mtime)}
        assert why_kept(unmoved, compared=False, source=lambda _: Sight(item), destination=copies.get) == code
    for changed in (item._replace(mtime=2), item._replace(size=2), item._replace(type=ItemType.DIRECTORY)):
        assert why(Sight(changed), compared=True) == SOURCE_CHANGED


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, {Outcome.TRANSFERRED}),
        ({"verify_checksum": False}, set()),
        ({"sync_level": "checksum"}, {Outcome.TRANSFERRED, Outcome.UNCHANGED}),
        ({"idempotency": "checksum", "verify_checksum": False}, {Outcome.UNCHANGED}),
        ({"sync_level": "mtime"}, {Outcome.TRANSFERRED}),
        ({"sync_level": "checksum", "idempotency": "mtime"}, {Outcome.TRANSFERRED}),
        ({"sync_level": "checksum", "mode": "incremental"}, {Outcome.TRANSFERRED}),
    ],
    ids=["default", "not verified", "checksum", "idempotency", "mtime", "recalled", "incremental"],
)
def test_what_globus_has_compared(options: dict[str, Any], expected: set[Outcome]) -> None:
    """What our own records have left out is no proof, nor is anything about a task that was found, or about none."""
    batch = Batch.cut("t", 1, [Item("a", 1, 1)])
    attempt = Attempt(number=1, submission_id=uuid4(), status=AttemptStatus.SUCCEEDED)
    chosen = TransferOptions(**options)
    assert compared_outcomes(chosen, batch) == frozenset()
    assert compared_outcomes(chosen, batch.evolve(attempts=(attempt,))) == expected
    assert compared_outcomes(chosen, batch.evolve(attempts=(attempt.evolve(adopted=True), attempt))) == frozenset()


@pytest.mark.parametrize(
    "hiding",
    [
        *({"include": ["*.x"]}, {"exclude": ["*.x"]}, {"min_size": 1}, {"max_size": 0}, {"min_age_seconds": 1}),
        *({"max_age_seconds": 0}, {"filter_callback": bool}, {"skip_source_errors": True}, {"after": "delete_source"}),
    ],
    ids=lambda hiding: next(iter(hiding)),
)
def test_what_is_left_out_would_look_extra(hiding: dict[str, Any]) -> None:
    """So the options are refused together, by name; one that leaves out nothing is not."""
    with pytest.raises(ValidationError, match=next(iter(hiding))):
        TransferOptions(delete_destination_extra=True, **hiding)
    assert TransferOptions(**hiding)


def transfer(**facts: Any) -> Transfer:
    places = {
        name: Location(collection=c, path="/x") for name, c in zip(("source", "destination"), COLLECTIONS, strict=True)
    }
    return Transfer(**({"id": "t", "source_is_file": False} | places | facts))


def test_what_cannot_be_told_apart_is_not_deleted() -> None:
    """A source below the destination, one file, a transfer of a part."""
    inside = {"source": Location(collection=COLLECTIONS[1], path="/x/y")}
    for kind in RemovalKind:
        check_may_delete(transfer(), kind)
        with pytest.raises(InvalidInputError, match="inside"):
            check_may_delete(transfer(**inside), kind)
    check_may_delete(transfer(source_is_file=True), RemovalKind.SOURCE)
    for facts in ({"source_is_file": True}, {"filtered": True}, {"options": TransferOptions(exclude=["x"])}):
        with pytest.raises(InvalidInputError):
            check_may_delete(transfer(**facts), RemovalKind.EXTRA)


def test_a_removal_has_one_task_at_a_time_and_remembers_what_that_was_sent() -> None:
    """To the letter, in JSON and back, as a repeated submission has to have the same body."""
    items = [Item("a/\u00e9", 3, 1), Item("b", 4, 1)]
    one = Removal(kind=RemovalKind.SOURCE).intend(uuid4(), items)
    assert Removal.model_validate_json(one.model_dump_json()).items == items
    with pytest.raises(InvalidTransitionError):
        one.intend(uuid4(), items)
    task_id = uuid4()
    done = one.submitted(task_id).ended(AttemptStatus.SUCCEEDED, items)
    assert (done.deleted, done.size, done.chunk, done.live) == (2, 7, "", False)
    with pytest.raises(InvalidTransitionError):
        done.ended(AttemptStatus.FAILED)
    two = done.intend(uuid4(), items[:1]).submitted(uuid4()).ending("PERMISSION_DENIED")
    ended = two.ended(AttemptStatus.CANCELED, error="CANCELED")
    assert ended.attempt is not None
    assert (ended.attempt.error, ended.attempt.number, ended.task_ids[0]) == ("PERMISSION_DENIED", 2, task_id)
    assert Plan.of(TransferOptions()) is None
