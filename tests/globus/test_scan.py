"""The walk is ordered, complete, and goes on behind any path as if it had never stopped."""

from __future__ import annotations

import posixpath
import threading
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prefect_globus import TransferOptions
from prefect_globus.globus.lookahead import MOST_AT_ONCE, MOST_HELD
from prefect_globus.globus.scan import Ahead, Walk
from prefect_globus.globus.service import Entry
from prefect_globus.transfers.items import Item, ItemType
from prefect_globus.transfers.selecting import Selection

Tree = dict[str, Any]
TAKES_ALL = Selection(TransferOptions(), 0.0)
NAMES = st.text(st.sampled_from(list("ab-. /!~é\u0301")).filter(lambda letter: letter != "/"), min_size=1, max_size=3)
TREES: st.SearchStrategy[Tree] = st.recursive(
    st.integers(0, 9), lambda children: st.dictionaries(NAMES, children, max_size=4), max_leaves=25
).filter(lambda tree: isinstance(tree, dict))


def listing_of(tree: Tree, asked: list[str] | None = None) -> Any:
    def listing(path: str) -> list[Entry] | ItemType:
        if asked is not None:
            asked.append(path)
        folder: Any = tree
        for name in path.split("/") if path else []:
            folder = folder[name]
        if folder is None:
            return ItemType.UNLISTABLE
        if isinstance(folder, str):
            return [entry("beyond the link", 1)]
        return [entry(name, content) for name, content in reversed(folder.items())]

    return listing


def entry(name: str, content: Any) -> Entry:
    if isinstance(content, str):  # a link
        return Entry(name, ItemType.DIRECTORY, 0, 0, content)
    folder = content is None or isinstance(content, dict)
    return Entry(name, ItemType.DIRECTORY if folder else ItemType.FILE, 0 if folder else content, 0, None)


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


# --- listed ahead


FORESTS: st.SearchStrategy[Tree] = st.recursive(
    st.integers(0, 9) | st.none() | st.sampled_from(["..", ".", "a", "../b"]),  # files, unlistable directories, links
    lambda children: st.dictionaries(NAMES, children, max_size=4),
    max_leaves=40,
).filter(lambda tree: isinstance(tree, dict))


class UnreadableError(Exception):
    """A directory whose listing fails."""


class Site:
    """A tree whose listings are answered in an order, and fail in places, that a seed decides."""

    def __init__(self, tree: Tree, failing: frozenset[str] = frozenset(), seed: int = 0) -> None:
        self.asked: list[str] = []
        self._list = listing_of(tree)
        self._failing = failing
        self._random = Random(seed)
        self._lock = threading.Lock()
        self.at_work = self.most_at_work = 0

    def listing(self, path: str) -> list[Entry] | ItemType:
        with self._lock:
            self.asked.append(path)
            self.at_work += 1
            self.most_at_work = max(self.most_at_work, self.at_work)
            delay = self._random.choice((0, 0, 0, 0.001))
        try:
            time.sleep(delay)
            if path in self._failing:
                raise UnreadableError(path)
            found: list[Entry] | ItemType = self._list(path)
            return found
        finally:
            with self._lock:
                self.at_work -= 1

    def flaky(self, path: str, _most: int) -> list[Entry] | ItemType:
        """The same, but it fails now and then."""
        with self._lock:
            fails = self._random.random() < 0.1
        if fails:
            raise ConnectionError
        return self.listing(path)


def walked(walk: Walk) -> tuple[list[Item], str | None]:
    """The items of a walk up to its end, or up to the directory where it failed, and that."""
    items: deque[Item] = deque()
    try:
        items.extend(walk.items())
    except UnreadableError as error:
        return list(items), str(error)
    return list(items), None


def paths_of(items: list[Item]) -> list[str]:
    return ["", *(item.path for item in items), *(posixpath.dirname(item.path) for item in items)]


@settings(deadline=None, max_examples=60)
@given(FORESTS, st.integers(), st.booleans(), st.data())
def test_listing_ahead_changes_nothing_but_the_time(tree: Tree, seed: int, follow: bool, data: st.DataObject) -> None:
    """Whatever order answers come in and whatever fails, from any cursor on: the same items, then the same error."""
    selection = Selection(TransferOptions(exclude=("!*",)), 0.0)
    reached = paths_of(walked(Walk(Site(tree).listing, selection, follow=follow))[0])
    failing = frozenset(data.draw(st.lists(st.sampled_from(reached), max_size=2)))
    after = data.draw(st.none() | st.sampled_from(reached[1:])) if reached[1:] else None
    serial, parallel = Site(tree, failing), Site(tree, failing, seed)
    one_by_one = walked(Walk(serial.listing, selection, follow=follow, after=after))
    with ThreadPoolExecutor(4) as pool:
        ahead = Walk(parallel.listing, selection, follow=follow, after=after, ahead=Ahead(pool, parallel.flaky))
        assert walked(ahead) == one_by_one
    if one_by_one[1] is None:
        assert sorted(parallel.asked) == sorted(serial.asked)  # each once, and nothing that lies before the cursor


class Gated:
    """A tree of directories with so many files each, which all know of each other at once; counts what is held."""

    def __init__(self, directories: int, files: int) -> None:
        self.names = [f"d{number:03}" for number in range(directories)]
        self.files = [Entry(f"f{number:06}", ItemType.FILE, 1, 1, None) for number in range(files)]
        self.asked: list[str] = []
        self.answered: dict[str, int] = {}
        self.open = threading.Event()
        self.is_waited_for = threading.Semaphore(0)

    def listing(self, path: str) -> list[Entry]:
        if not path:
            return [Entry(name, ItemType.DIRECTORY, 0, 0, None) for name in self.names]
        self.asked.append(path)
        return self.files

    def gated(self, path: str, most: int) -> list[Entry]:
        if path < "d010":  # by then it is known how large directories are
            return self.listing(path)[:most]
        self.is_waited_for.release()
        assert self.open.wait(60)
        return self.listing(path)[:most]

    def suddenly_large(self, path: str, most: int | None = None) -> list[Entry]:
        """One file in each of the first directories, and as many as there are in those behind them."""
        found = self.listing(path)
        found = found[: 1 if "" < path < "d020" else most]
        self.answered[path] = len(found)
        return found


def test_no_more_listings_at_once_than_agreed() -> None:
    """The slots fill up, and a new one is asked for only when another has been answered."""
    tree = Gated(3 * MOST_AT_ONCE, 1)
    with ThreadPoolExecutor(3 * MOST_AT_ONCE) as pool:
        items = Walk(tree.listing, TAKES_ALL, ahead=Ahead(pool, tree.gated)).items()
        walked = pool.submit(list, items)
        for _ in range(MOST_AT_ONCE):
            assert tree.is_waited_for.acquire(timeout=60)
        assert not tree.is_waited_for.acquire(blocking=False)
        tree.open.set()
        assert [item.path for item in walked.result(60)] == [f"{name}/f000000" for name in tree.names]


@pytest.mark.parametrize("files", [5_000, MOST_HELD])
def test_what_is_listed_ahead_is_bounded(files: int) -> None:
    """However long nobody takes what was found: not by the number of directories, but by that of what they hold."""
    tree = Gated(100, files)
    tree.open.set()
    with ThreadPoolExecutor(MOST_AT_ONCE) as pool:
        items = Walk(tree.listing, TAKES_ALL, ahead=Ahead(pool, tree.gated)).items()
        for name in tree.names[: 1 + 100_000 // files]:
            assert next(items).path == f"{name}/f000000"
            assert len(list(islice(items, files - 1))) == files - 1
            assert len(tree.asked) - int(name[1:]) - 1 <= max(1, 2 * MOST_HELD // files)
        items.close()
    assert len(tree.asked) < len(tree.names)


def test_large_directories_behind_small_ones_are_listed_ahead_in_no_more_memory() -> None:
    """How large an answer is shows when it is in memory: so what is on its way at once is asked for up to a limit."""
    tree = Gated(60, MOST_HELD)
    with ThreadPoolExecutor(MOST_AT_ONCE) as pool:
        items = Walk(tree.suddenly_large, TAKES_ALL, ahead=Ahead(pool, tree.suddenly_large)).items()
        assert len(list(islice(items, 10))) == 10
        give_up = time.monotonic() + 60
        while "d020" not in tree.answered:
            assert time.monotonic() < give_up
            time.sleep(0.01)
        assert sum(tree.answered.values()) <= MOST_HELD
        assert [item.path for item in islice(items, 11)][-1] == "d020/f000000"
        assert sum(1 for _ in items) == 40 * MOST_HELD - 1  # those that were too large are complete all the same
    assert len(tree.asked) <= len(tree.names) + MOST_AT_ONCE + 5, "and the next ones are not asked for in vain"


def test_a_walk_that_is_left_asks_for_nothing_more() -> None:
    """What is on its way comes to its end; what was not begun never begins."""
    tree = Gated(100, 1)
    with ThreadPoolExecutor(2) as pool:
        items = Walk(tree.listing, TAKES_ALL, ahead=Ahead(pool, tree.gated)).items()
        assert next(items).path == "d000/f000000"
        for _ in range(2):
            assert tree.is_waited_for.acquire(timeout=60)
        items.close()
        tree.open.set()
    assert sorted(tree.asked) == tree.names[:12]
