"""The walk is ordered, complete, and goes on behind any path as if it had never stopped."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefect_globus import TransferOptions
from prefect_globus.globus.scan import Walk
from prefect_globus.globus.service import Entry
from prefect_globus.transfers.items import Item, ItemType
from prefect_globus.transfers.selecting import Selection

Tree = dict[str, Any]
NAMES = st.text(st.sampled_from(list("ab-. /!~é\u0301")).filter(lambda letter: letter != "/"), min_size=1, max_size=3)
TREES: st.SearchStrategy[Tree] = st.recursive(
    st.integers(0, 9), lambda children: st.dictionaries(NAMES, children, max_size=4), max_leaves=25
).filter(lambda tree: isinstance(tree, dict))


def listing_of(tree: Tree, asked: list[str] | None = None) -> Any:
    def listing(path: str) -> list[Entry] | None:
        if asked is not None:
            asked.append(path)
        folder: Any = tree
        for name in path.split("/") if path else []:
            folder = folder[name]
        if folder is None:
            return None
        return [entry(name, content) for name, content in reversed(folder.items())]

    return listing


def entry(name: str, content: Any) -> Entry:
    if isinstance(content, str):  # a link
        return Entry(name, ItemType.DIRECTORY, True, 0, 0, content)
    folder = content is None or isinstance(content, dict)
    return Entry(name, ItemType.DIRECTORY if folder else ItemType.FILE, folder, 0 if folder else content, 0, None)


def walk(tree: Tree, after: str | None = None, **options: Any) -> list[Item]:
    selection = Selection(TransferOptions(**options), 0.0)
    return list(Walk(listing_of(tree), selection, after=after).items())


def leaves(tree: Tree, prefix: str = "") -> set[str]:
    """The files and empty directories of a tree."""
    found = set()
    for name, content in tree.items():
        if isinstance(content, dict) and content:
            found |= leaves(content, f"{prefix}{name}/")
        else:
            found.add(prefix + name)
    return found


@given(TREES)
def test_the_walk_is_complete_and_in_order(tree: Tree) -> None:
    """Each file and empty directory once, sorted level by level."""
    paths = [item.path for item in walk(tree)]
    assert len(paths) == len(set(paths))
    assert set(paths) == leaves(tree)
    assert paths == sorted(paths, key=lambda path: path.split("/"))


@given(TREES)
def test_the_walk_goes_on_behind_any_path(tree: Tree) -> None:
    """Cut off anywhere, the rest is the rest."""
    whole = walk(tree)
    for number, item in enumerate(whole, start=1):
        assert walk(tree, after=item.path) == whole[number:]


@given(TREES, st.lists(NAMES, min_size=1, max_size=3))
def test_the_walk_goes_on_behind_a_path_that_is_gone(tree: Tree, gone: list[str]) -> None:
    """What lies behind it in order comes; nothing before it comes again, nor what has appeared in it meanwhile."""
    cursor = "/".join(gone)
    paths = [(item, item.path.split("/")) for item in walk(tree)]
    behind = [item for item, path in paths if path > gone and path[: len(gone)] != gone]
    assert walk(tree, after=cursor) == behind


def test_what_lies_before_the_cursor_is_not_listed_again() -> None:
    """Only the directories on the way to the cursor, and those behind it."""
    tree = {"a": {"x": 1}, "b": {"c": {"x": 1, "y": 2}, "d": {"z": 1}}, "e": {"x": 1}}
    asked: list[str] = []
    selection = Selection(TransferOptions(), 0.0)
    items = list(Walk(listing_of(tree, asked), selection, after="b/c/x").items())
    assert [item.path for item in items] == ["b/c/y", "b/d/z", "e/x"]
    assert asked == ["", "b", "b/c", "b/d", "e"]


def test_excluded_directories_are_not_listed() -> None:
    """A pattern that names a directory spares its listing."""
    asked: list[str] = []
    selection = Selection(TransferOptions(exclude=("skip",)), 0.0)
    assert [item.path for item in Walk(listing_of({"skip": {"a": 1}, "b": 1}, asked), selection).items()] == ["b"]
    assert asked == [""]


def test_a_directory_that_cannot_be_listed_is_an_item_to_be_accounted_for() -> None:
    """It is no empty directory, and what lies beside it goes on."""
    items = walk({"a": None, "b": 1})
    assert [(item.path, item.type) for item in items] == [("a", ItemType.UNLISTABLE), ("b", ItemType.FILE)]


@pytest.mark.parametrize("target", ["..", "../..", ".", "/", "../../a", "../../a/b"])
def test_links_that_lead_back_up_are_not_entered(target: str) -> None:
    """Else the walk would never end."""
    tree = {"a": {"b": {"loop": target, "x": 1}}}
    items = list(Walk(listing_of(tree), Selection(TransferOptions(), 0.0), follow=True).items())
    assert [item.path for item in items] == ["a/b/x"]
