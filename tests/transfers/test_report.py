"""What a report says, and that it says it whatever the names are, and however many."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from prefect_globus.transfers.batches import SOURCE_CHANGED, Batch, Settlement
from prefect_globus.transfers.items import Item, ItemType, Outcome
from prefect_globus.transfers.location import Location
from prefect_globus.transfers.model import Approval, PausedBy, Transfer
from prefect_globus.transfers.removals import Removal, RemovalKind
from prefect_globus.transfers.states import AttemptStatus, TransferStatus
from prefect_globus.transfers.telling.pages import as_html, as_markdown, as_text
from prefect_globus.transfers.telling.report import EXAMPLES, GROUPS, LISTED, OTHER_CODES, Noted, TransferReport
from prefect_globus.transfers.telling.throughput import BINS, Tally, picture

COLLECTION = "16d793ac-4d4a-5def-8fdb-bf474230a0d0"
BEGAN = datetime(2026, 11, 22, 20, 0, tzinfo=UTC)
HOSTILE = [
    "<script>alert(1)</script>",
    "</pre><img src=x onerror=alert(1)>",
    "a|b",
    "back\\|slash\\",
    "```",
    "`one` ``two``",
    "line\nbreak\r\n# title",
    "](javascript:alert(1))",
    "{{ 7 * 7 }}{% raw %}",
    "&lt;b&gt; &amp;",
    "\udcff\ud800",
    "\u202eright to left",
    "_under_ *star* ~~no~~",
    "http://evil.example www.evil.example a@b.example",
    "- item",
    "1. one",
    "    four spaces",
    "\x1b[31mred\x07",
]


def transfer(**changes: object) -> Transfer:
    """A transfer of five minutes."""
    source, destination = Location.parse(f"{COLLECTION}:/a"), Location.parse(f"{COLLECTION}:/b")
    made = Transfer(id="nightly", source=source, destination=destination, created_at=BEGAN)
    ended = {"updated_at": BEGAN + timedelta(minutes=5), "scan_complete": True, "status": TransferStatus.FAILED}
    return made.evolve(**(ended | changes))


def tried(batch: Batch, items: Sequence[Item], settlement: Settlement, *, at: float = 0, seconds: float = 10) -> Batch:
    """``batch`` after one more Globus task, a fifth of whose time was spent in the queue."""
    began = BEGAN + timedelta(seconds=at)
    batch = (
        batch.intend(UUID(int=batch.number), None).submitted(UUID(int=1000 + batch.number)).settle(items, settlement)
    )
    times = {"intended_at": began, "submitted_at": began, "began_at": began + timedelta(seconds=seconds / 5)}
    attempt = batch.attempts[-1].evolve(**times, ended_at=began + timedelta(seconds=seconds))
    return batch.evolve(attempts=(*batch.attempts[:-1], attempt))


def dead(number: int, paths: Sequence[str], code: str = "PERMISSION_DENIED") -> Batch:
    """A batch whose items have failed for good."""
    items = [Item(path, 7, 5) for path in paths]
    lost = Settlement(
        status=AttemptStatus.SUCCEEDED, skipped=dict.fromkeys(paths, code), skipped_as=Outcome.DEAD, faults=len(paths)
    )
    return tried(Batch.cut("nightly", number, items), items, lost)


def test_the_report_says_what_became_of_every_item() -> None:
    """The counts are those of the ledger, each exception is in one group, and retries, waits and reasons add up."""
    good = [Item("good", 1000, 5), Item("grew", 10, 5), Item("gone", 1, 5), Item("pipe", 0, 5, ItemType.OTHER)]
    stuck = Settlement(status=AttemptStatus.CANCELED, error="STALLED", faults=3)
    moved = Settlement(
        status=AttemptStatus.SUCCEEDED,
        moved={"good": 1000, "grew": 20},
        skipped={"gone": "FILE_NOT_FOUND", "pipe": "NOT_A_FILE"},
        files_transferred=2,
        bytes_transferred=1020,
    )
    first = tried(tried(Batch.cut("nightly", 1, good), good, stuck), good, moved, at=10, seconds=20)
    same = [Item("same", 5, 5)]
    unmoved = Settlement(status=AttemptStatus.SUCCEEDED, moved={})
    batches = [first, tried(Batch.cut("nightly", 2, same), same, unmoved), dead(3, ["a", "b"]), dead(4, ["c"], "AUTH")]

    report = TransferReport.of(transfer(scanned_at=BEGAN + timedelta(seconds=3)), iter(batches))

    ledger = report.ledger
    assert ledger.balances
    assert (ledger.transferred, ledger.unchanged, ledger.skipped, ledger.dead) == (2, 1, 2, 3)
    assert [(each.what, each.code, each.items, each.examples) for each in report.troubles] == [
        (Noted.DEAD, "PERMISSION_DENIED", 2, ("a", "b")),
        (Noted.DEAD, "AUTH", 1, ("c",)),
        (Noted.SKIPPED, "FILE_NOT_FOUND", 1, ("gone",)),
        (Noted.SKIPPED, "NOT_A_FILE", 1, ("pipe",)),
        (Noted.CHANGED, SOURCE_CHANGED, 1, ("grew",)),
    ]
    assert report.tasks == {AttemptStatus.CANCELED: 1, AttemptStatus.SUCCEEDED: 4}
    assert (report.retries, report.reasons) == (1, {"STALLED": 1})
    assert report.waits.queued == pytest.approx(2 + 4 + 3 * 2)
    assert report.waits.longest_queued == pytest.approx(4)
    assert report.waits.at_work == pytest.approx(8 + 16 + 3 * 8)
    assert [(each.number, each.seconds) for each in report.slowest][:2] == [(1, 30), (2, 10)]
    assert [(each.name, each.began_at, each.ended_at) for each in report.phases] == [
        ("scan", BEGAN, BEGAN + timedelta(seconds=3)),
        ("Globus tasks", BEGAN, BEGAN + timedelta(seconds=30)),
    ]
    assert report.throughput is not None
    assert sum(report.throughput.amounts) == pytest.approx(1020)

    words = as_text(report)
    assert words.startswith("nightly is FAILED\n2 items of 8 transferred, 1020 B in 5 min 00 s (3 B/s)\n")
    for line in (
        "prefect-globus resume nightly",
        "Failed for good: PERMISSION_DENIED, 2 items",
        "prefect-globus redrive nightly --code PERMISSION_DENIED",
        "prefect-globus items nightly --skipped --code NOT_A_FILE",
        "Ended for: STALLED 1",
    ):
        assert line in words
    assert json.loads(report.to_json())["ledger"]["dead"] == 3


def test_what_was_deleted_and_what_a_person_has_to_do_are_told() -> None:
    """The removals with why something stays; a pause with what it waits for."""
    removal = Removal(kind=RemovalKind.EXTRA, complete=True, deleted=3, size=2048, kept={"SOURCE_EMPTY": 2})
    asked = {"status": TransferStatus.PAUSED, "error": "Globus task 7 is paused", "removals": (removal,)}
    words = as_text(TransferReport.of(transfer(paused_by=PausedBy.FAULT, **asked), ()))
    assert "Globus task 7 is paused. It goes on by itself when a person has mended that." in words
    assert "3 things deleted, 2.0 KiB: what was not at the source." in words
    assert "SOURCE_EMPTY       2  Its directory is empty at the source" in words
    words = as_text(TransferReport.of(transfer(paused_by=PausedBy.REQUEST, **asked), ()))
    assert "prefect-globus resume nightly" in words
    decided = Approval(approved=True, by="Eve", comment="go on\nnow", decided_at=BEGAN)
    words = as_text(TransferReport.of(transfer(paused_by=PausedBy.APPROVAL, approval=decided, **asked), ()))
    assert "Nothing is submitted before." in words
    assert "approved by Eve, 2026-11-22 20:00:00 UTC: go on\\nnow" in words


class _Read(HTMLParser):
    """What a browser would make of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, tuple[str, ...]]] = []
        self.code: list[str] = []
        self._inside = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, tuple(name for name, _ in attrs)))
        self._inside = tag
        if tag in ("pre", "code"):
            self.code.append("")

    def handle_endtag(self, tag: str) -> None:  # noqa: ARG002 - HTMLParser's signature
        self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside in ("pre", "code"):
            self.code[-1] += data


@pytest.mark.parametrize("name", HOSTILE, ids=[str(number) for number in range(len(HOSTILE))])
def test_a_hostile_name_is_text_and_nothing_else(name: str) -> None:
    """The pages have the same structure as with a harmless one, and show the name, in one line."""
    shown = name if name.isprintable() else name.encode("unicode_escape").decode()

    def made(path: str) -> TransferReport:
        changes = {"error": f"no {path}", "options": transfer().options.evolve(include=(path,))}
        return TransferReport.of(transfer(**changes), [dead(1, [path])])

    hostile, harmless = _Read(as_html(made(name))), _Read(as_html(made("harmless")))
    assert hostile.tags == harmless.tags
    assert f"{shown}\n" in hostile.code

    def tokens(report: TransferReport) -> list[Token]:
        return list(_flat(MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(as_markdown(report))))

    parsed, expected = tokens(made(name)), tokens(made("harmless"))
    assert [token.type for token in parsed if token.type != "text_special"] == [token.type for token in expected]
    assert not [token for token in parsed if token.type.startswith("html")]
    (fence,) = [token.content for token in parsed if token.type == "fence" and "resume" not in token.content]
    assert fence == f"{shown}\n"
    assert f"    {shown}\n" in as_text(made(name))
    assert as_text(made(name)).replace("\n", "").isprintable()
    assert json.loads(made(name).to_json())["troubles"][0]["examples"] == [name]


def _flat(tokens: Sequence[Token]) -> Iterator[Token]:
    for token in tokens:
        yield token
        # a text may be cut into several; how many says nothing
        kinds: list[str] = []
        for child in token.children or ():
            if child.type not in ("text", "text_special") or kinds[-1:] != ["text"]:
                kinds.append("text" if child.type == "text_special" else child.type)
                yield child


def test_a_report_stays_small_however_much_there_is_to_tell() -> None:
    """Codes, examples, batches and tasks are counted, and some are named; the batches are read once."""
    numbers = range(1, 2001)
    batches = (dead(number, [f"{number}/{item}" for item in range(10)], f"CODE_{number % 100}") for number in numbers)
    report = TransferReport.of(transfer(), batches)
    assert report.ledger.dead == sum(trouble.items for trouble in report.troubles) == 20_000
    assert len(report.troubles) == GROUPS + 1
    assert report.troubles[-1].code == OTHER_CODES
    assert all(len(trouble.examples) <= EXAMPLES for trouble in report.troubles)
    assert len(report.slowest) == LISTED
    assert len(as_html(report)) + len(as_markdown(report)) + len(report.to_json()) < 200_000


moments = st.tuples(st.floats(-100, 1e7), st.floats(0, 1e6), st.integers(1, 100), st.integers(0, 10**15))


@given(st.lists(moments, min_size=1, max_size=50))
def test_no_byte_is_lost_in_the_picture(attempts: list[tuple[float, float, int, int]]) -> None:
    """Whenever they were moved, for however long, and by whatever clock."""
    tally = Tally(BEGAN)
    for start, seconds, files, size in attempts:
        began = BEGAN + timedelta(seconds=start)
        tally.add(began, began + timedelta(seconds=seconds), files=files, size=size)
    throughput = tally.throughput()
    assert throughput is not None
    total = sum(size for *_, size in attempts)
    assert throughput.of_files is not any(size for *_, size in attempts)
    expected = sum(files for _, _, files, _ in attempts) if throughput.of_files else total
    assert sum(throughput.amounts) == pytest.approx(expected)
    assert len(throughput.amounts) <= BINS
    assert len(throughput.blocks(40)) <= 40
    drawn = picture(throughput, [BEGAN + timedelta(seconds=1)])
    assert _Read(drawn).tags[0][0] == "svg"
    assert "nan" not in drawn
    assert len(drawn) < 10_000


def test_what_moved_when_is_what_is_drawn() -> None:
    """Two tasks at once, then none, then one: the rates of each second."""
    tally = Tally(BEGAN)
    for start, end, size in ((0, 2, 200), (1, 2, 50), (5, 5, 30)):
        tally.add(BEGAN + timedelta(seconds=start), BEGAN + timedelta(seconds=end), files=1, size=size)
    throughput = tally.throughput()
    assert throughput is not None
    assert throughput.rates == pytest.approx([100, 150, 0, 0, 0, 30])
    assert throughput.blocks(6) == "▅█   ▂"
    assert Tally(BEGAN).throughput() is None
