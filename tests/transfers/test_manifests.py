"""Items, manifests, batches cut from a scan, and what is wanted of it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from itertools import chain, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from prefect_globus.transfers.batching import cut_batches
from prefect_globus.transfers.items import Item, ItemType, Outcome, decode_manifest, encode_manifest
from prefect_globus.transfers.ledger import Ledger
from prefect_globus.transfers.options import SyncLevel, TransferOptions
from prefect_globus.transfers.selecting import Selection

ANY_TEXT = st.text(st.characters(exclude_categories=()))  # lone surrogates too
ITEMS = st.builds(
    Item,
    path=ANY_TEXT,
    size=st.integers(0, 2**63 - 1),
    mtime=st.integers(-(2**40), 2**40),
    type=st.sampled_from(ItemType),
)
SIZES = st.lists(st.integers(0, 50), max_size=200)


def files(sizes: list[int]) -> list[Item]:
    return [Item(f"{index:06}", size, 0) for index, size in enumerate(sizes)]


# --- manifests


@given(st.lists(ITEMS, max_size=30))
def test_a_manifest_reads_what_it_wrote(items: list[Item]) -> None:
    decoded = decode_manifest(encode_manifest(items))
    assert decoded == items
    assert all(isinstance(item.type, ItemType) for item in decoded)


@given(st.data())
def test_a_truncated_manifest_is_a_value_error(data: st.DataObject) -> None:
    blob = encode_manifest(files([1, 2, 3]))
    with pytest.raises(ValueError, match="manifest"):
        decode_manifest(blob[: data.draw(st.integers(0, len(blob) - 1))])


@given(st.data())
def test_an_altered_manifest_is_never_read_as_another(data: st.DataObject) -> None:
    items = files([1, 2, 3])
    blob = bytearray(encode_manifest(items))
    blob[data.draw(st.integers(0, len(blob) - 1))] ^= data.draw(st.integers(1, 255))
    with suppress(ValueError):
        assert decode_manifest(bytes(blob)) == items  # a bit of zlib's header that says nothing


def test_a_manifest_is_compact() -> None:
    items = [
        Item(f"run/2026/day{n // 1000:03}/sample_{n:07}.nc", 1_000_000 + n * 37, 1_700_000_000 + n)
        for n in range(10_000)
    ]
    assert len(encode_manifest(items)) < 20 * len(items)


# --- batches


@given(SIZES, st.integers(1, 20), st.integers(1, 200))
def test_batches_are_the_scan_in_limits(sizes: list[int], batch_size: int, batch_bytes: int) -> None:
    items = files(sizes)
    options = TransferOptions(batch_size=batch_size, batch_bytes=batch_bytes)
    batches = [cut.items for cut in cut_batches(items, options)]
    assert list(chain.from_iterable(batches)) == items
    for batch in batches:
        assert 0 < len(batch) <= batch_size
        assert len(batch) == 1 or sum(item.size for item in batch) <= batch_bytes
    for batch, following in pairwise(batches):
        full = len(batch) == batch_size or sum(item.size for item in [*batch, following[0]]) > batch_bytes
        assert full


@given(st.integers(0, 3000), st.data())
def test_a_crash_between_batches_does_not_change_the_cut(count: int, data: st.DataObject) -> None:
    options = TransferOptions()
    items = [Item(str(n), 2**28 * (n % 7), 0) for n in range(count)]
    whole = list(cut_batches(items, options))
    done = data.draw(st.integers(0, len(whole)))
    before = list(chain.from_iterable(cut.items for cut in whole[:done]))
    rest = cut_batches(items[len(before) :], options, len(before), sum(item.size for item in before))
    assert whole[:done] + list(rest) == whole


@pytest.mark.parametrize(("count", "low", "high"), [(1, 1, 1), (100, 1, 1), (101, 2, 2), (10_000, 50, 150)])
def test_batches_grow_with_the_tree(count: int, low: int, high: int) -> None:
    assert low <= len(list(cut_batches(files([1] * count), TransferOptions()))) <= high


def test_a_million_items_are_some_hundred_batches() -> None:
    item = Item("x", 1, 0)
    sizes = [len(cut.items) for cut in cut_batches((item for _ in range(1_000_000)), TransferOptions())]
    assert 100 <= len(sizes) <= 999
    assert sum(sizes) == 1_000_000
    assert max(sizes) <= 20_000


def test_few_changes_make_few_batches() -> None:
    """Items that need not be moved fill a batch only when they are very many."""

    def outcomes(items: Sequence[Item]) -> bytes:
        return bytes(Outcome.UNCHANGED if int(item.path) % 1000 else Outcome.REMAINING for item in items)

    items = [Item(str(n), 1, 0) for n in range(100_000)]
    cuts = list(cut_batches(items, TransferOptions(), outcomes_of=outcomes))
    assert [item for cut in cuts for item in cut.items] == items
    assert b"".join(cut.outcomes for cut in cuts) == outcomes(items)
    assert [len(cut.items) for cut in cuts] == [20_000] * 5


def test_batches_are_cut_before_the_scan_ends() -> None:
    seen = []

    def scan() -> chain[Item]:
        for item in files([1] * 250):
            seen.append(item)
            yield item

    next(cut_batches(scan(), TransferOptions()))
    assert len(seen) == 100


def test_a_huge_file_is_a_batch_of_its_own() -> None:
    sizes = [1, 2**50, 1]
    assert [len(cut.items) for cut in cut_batches(files(sizes), TransferOptions())] == [1, 1, 1]


# --- ledger


LEDGERS = st.builds(Ledger, **{name: st.integers(0, 2**60) for name in Ledger.model_fields})


@given(st.lists(LEDGERS, max_size=5))
def test_a_total_is_the_sum(ledgers: list[Ledger]) -> None:
    total = Ledger()
    for ledger in ledgers:
        total = total + ledger
    assert Ledger.total(ledgers) == total


@pytest.mark.parametrize(
    ("columns", "balances", "complete"),
    [
        ({}, True, True),
        ({"items": 3, "transferred": 1, "unchanged": 1, "skipped": 1}, True, True),
        ({"items": 2, "transferred": 1, "dead": 1}, True, False),
        ({"items": 2, "transferred": 1, "remaining": 1}, True, False),
        ({"items": 2, "transferred": 1}, False, False),
    ],
)
def test_complete_means_that_nothing_is_missing(columns: dict[str, int], balances: bool, complete: bool) -> None:
    ledger = Ledger(**columns)
    assert (ledger.balances, ledger.complete) == (balances, complete)


# --- options


@pytest.mark.parametrize(
    ("given_as", "number"), [("exists", 0), ("0", 0), (1, 1), ("mtime", 2), (SyncLevel.CHECKSUM, 3)]
)
def test_sync_levels_are_names_or_numbers(given_as: object, number: int) -> None:
    level = TransferOptions.model_validate({"sync_level": given_as}).sync_level
    assert level is not None
    assert level.number == number


@pytest.mark.parametrize("wrong", ["4", 4, -1, "newest", ""])
def test_other_sync_levels_are_refused(wrong: object) -> None:
    with pytest.raises(ValidationError):
        TransferOptions.model_validate({"sync_level": wrong})


@pytest.mark.parametrize(
    "wrong",
    [
        {"label": "x" * 129},
        {"label": "a\nb"},
        {"batch_size": 0},
        {"max_concurrency": 0},
        {"unknown": 1},
        {"min_size": -1},
    ],
)
def test_options_out_of_range_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        TransferOptions.model_validate(wrong)


def test_callbacks_are_not_written_down() -> None:
    options = TransferOptions(filter_callback=lambda _: True, progress_callback=lambda *_: None)
    assert TransferOptions.model_validate_json(options.model_dump_json()) == TransferOptions()


@pytest.mark.parametrize(
    ("options", "path", "taken"),
    [
        ({}, "a/b.nc", True),
        ({"include": ["*.nc"]}, "a/b.nc", True),
        ({"include": ["*.nc"]}, "a/b.txt", False),
        ({"include": ["a/*"]}, "a/b.txt", True),
        ({"include": ["a/*"]}, "c/a/b.txt", False),
        ({"exclude": ["*.tmp"]}, "a/b.tmp", False),
        ({"include": ["*"], "exclude": ["b*"]}, "a/b.nc", False),
        ({"include": ["[ab].nc"]}, "x/b.nc", True),
        ({"include": ["*.NC"]}, "a/b.nc", False),
        ({"min_size": 10}, "a", True),
        ({"min_size": 11}, "a", False),
        ({"max_size": 9}, "a", False),
        ({"min_age_seconds": 100}, "a", True),
        ({"min_age_seconds": 101}, "a", False),
        ({"max_age_seconds": 99}, "a", False),
        ({"max_age_seconds": 100}, "a", True),
    ],
)
def test_a_selection_takes_what_is_wanted(options: dict[str, object], path: str, taken: bool) -> None:
    selection = Selection(TransferOptions.model_validate(options), began=1000.0)
    assert selection.takes(Item(path, 10, 900)) is taken


def test_a_selection_of_directories() -> None:
    selection = Selection(TransferOptions(exclude=("cache", "a/tmp"), min_size=5), began=0.0)
    assert [path for path in ("cache", "x/cache", "a/tmp", "b/tmp", "a") if selection.enters(path)] == ["b/tmp", "a"]
    assert selection.takes(Item("empty", 0, 0, ItemType.DIRECTORY))  # sizes and ages are asked of files only


def test_a_filter_callback_has_the_last_word() -> None:
    selection = Selection(TransferOptions(filter_callback=lambda item: item.size > 5), began=0.0)
    assert [item.size for item in files([4, 6]) if selection.takes(item)] == [6]
