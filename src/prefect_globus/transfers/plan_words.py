"""A plan in words: lines for a terminal, and Markdown for the Prefect UI."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from prefect_globus.transfers.estimating import Estimate
from prefect_globus.transfers.markdown import plain, printable, table
from prefect_globus.transfers.planning import (
    ARRIVED,
    AT_DESTINATION,
    DELIVERED,
    NOT_OLDER,
    PRESENT,
    SAME_SIZE,
    Amount,
    PlannedItem,
    Share,
    TransferPlan,
)
from prefect_globus.transfers.quantities import count, size, span
from prefect_globus.transfers.removals import RemovalReport

_WHY = {
    DELIVERED: "an earlier transfer has delivered it",
    AT_DESTINATION: "the destination has it",
    ARRIVED: "this transfer has moved it already",
    PRESENT: "the destination has a file of that name; Globus decides",
    SAME_SIZE: "the destination has it in that size; Globus decides",
    NOT_OLDER: "the destination has it, and not older; Globus decides",
}
_NAME_WIDTH = 15
_FEW_NAMES = 3
_MANY = 10  # from which on nobody reads decimals

INDENT = 2 + _NAME_WIDTH
"""Where the words of a line begin."""


def amount(of: Amount) -> str:
    """Such as ``12,480 items, 3.1 TiB``."""
    return f"{count(of.items, 'item')}, {size(of.bytes)}"


def in_short(plan: TransferPlan) -> str:
    """A plan in one line, what it would do first, as a card may have room for no more."""
    parts = [f"Would move {amount(plan.to_move)} by {count(plan.tasks, 'Globus task')}"]
    if left := sum(each.items for each in plan.left_alone.values()):
        parts.append(f"leave {count(left, 'item')} alone")
    if plan.removal is not None:
        parts.append(f"delete {count(plan.removal.items_deleted, 'thing')} at the destination")
    if plan.moved_away is not None:
        parts.append("delete at the source what was delivered")
    if plan.estimate is not None:
        parts.append(f"take {about(plan.estimate)}{_but_for_wholes(plan)}")
    problems = f". {count(len(plan.problems), 'problem')}: {plan.problems[0]}" if plan.problems else ""
    return f"{', '.join(parts)}; from {plan.source} to {plan.destination}{problems}"


def about(estimate: Estimate) -> str:
    """Such as ``about 2 h (1 h to 3 h)``."""
    least, most, middle = span(estimate.least), span(estimate.most), span(estimate.seconds)
    return f"about {middle}" if least == most else f"about {middle} ({least} to {most})"


def facts(plan: TransferPlan) -> Iterator[tuple[str, str]]:
    """What a plan says, as names and words, in order."""
    yield "source", amount(plan.total)
    yield "to move", f"{amount(plan.to_move)}{_of_what(plan)}"
    if plan.undecided.items:
        yield (
            "perhaps not",
            f"{amount(plan.undecided)} of these: Globus compares checksums, and leaves what is the same",
        )
    for code, left in plan.left_alone.items():
        yield "left alone", f"{amount(left)}: {_WHY[code]}"
    for code, number in plan.not_moved.items():
        yield "cannot move", f"{count(number, 'item')}: {code}"
    yield from _of_wholes(plan)
    yield "batches", f"{plan.batches:,}, by {count(plan.tasks, 'Globus task')} if none has to be repeated"
    if plan.since is not None:
        yield "compared with", f"{plan.since}, the last complete transfer"
    if plan.deleted:
        yield "gone", f"{count(plan.deleted, 'item')} of that one are not at the source any more"
    if plan.removal is not None:
        yield "to delete", _of_removal(plan.removal)
    if plan.moved_away is not None:
        yield "to delete", f"at the source, at most {amount(plan.moved_away)}: files that are proven to be delivered"
    if plan.to_move.items:
        yield "time", _of_time(plan)
    if not plan.compared:
        yield "destination", "was not looked at"


def _of_wholes(plan: TransferPlan) -> Iterator[tuple[str, str]]:
    if not plan.wholes:
        return
    names = [printable(each.path or "the source itself") for each in plan.first_wholes[:_FEW_NAMES]]
    named = f": {', '.join(names)}{', ...' if plan.wholes > len(names) else ''}" if names else ""
    what = "1 directory has" if plan.wholes == 1 else f"{plan.wholes:,} directories have"
    yield "as a whole", f"{what} more entries than Globus lists; what is in there is not counted{named}"


def _of_what(plan: TransferPlan) -> str:
    if plan.new is None or plan.replacing is None or not plan.to_move.items:
        return ""
    if not plan.replacing.items:
        return ", nothing of which is at the destination" if plan.new == plan.to_move else ""
    return f": {plan.new.items:,} new, {plan.replacing.items:,} in the place of what is there"


def _of_removal(removal: RemovalReport) -> str:
    things = count(removal.items_deleted, "thing")
    words = f"{things} at the destination that the source has not, {size(removal.bytes_deleted)}"
    kept = ", ".join(f"{code} {number:,}" for code, number in removal.kept.items())
    return f"{words}; others stay ({kept})" if kept else words


def _but_for_wholes(plan: TransferPlan) -> str:
    return " without what is transferred as a whole" if plan.wholes else ""


def _of_time(plan: TransferPlan) -> str:
    if (estimate := plan.estimate) is None:
        if plan.wholes == plan.to_move.items:
            return "not known: nobody has counted what there is to move"
        return "not known: there is no past run between these collections"
    rate = f"{size(estimate.bytes_per_second)}/s and {_few(estimate.files_per_second)} files/s"
    runs = f"{count(estimate.runs, 'past run')} between these collections ({count(estimate.tasks, 'Globus task')})"
    rough = "" if estimate.alike else "; a rough guess, as their files were of quite another size"
    return f"{about(estimate)}{_but_for_wholes(plan)}, by the median of {runs}: {rate}, whichever is slower{rough}"


def _few(rate: float) -> str:
    return f"{rate:,.0f}" if rate >= _MANY else f"{rate:,.1f}"


def lines(plan: TransferPlan) -> Iterator[str]:
    """What a person reads in a terminal."""
    yield f"{plan.source} to {plan.destination}"
    for name, words in facts(plan):
        yield f"  {name:<{_NAME_WIDTH}}{words}"
    if plan.to_move.items > 1:
        yield from _section("largest", [f"{size(each.size):>10}  {_shown(each.path)}" for each in plan.largest])
        rows = [f"{size(each.bytes):>10}  {count(each.items, 'item'):>14}  {_top(each)}" for each in plan.directories]
        if rows and plan.directories_more:
            rows.append(f"{'':>10}  {'':>14}  and {plan.directories_more:,} more")
        yield from _section("by directory", rows)
    if plan.removal is not None:
        yield from _section("first to be deleted", [_shown(each.path) for each in plan.removal.deleted])
    yield from _section("cannot move", [f"{_shown(each.path)}  {each.code}" for each in plan.first_not_moved])
    yield from _section("problems", [f"{_shown(each)}." for each in plan.problems])


def _section(name: str, rows: Sequence[str]) -> Iterator[str]:
    if rows:
        yield f"{name}:"
        yield from (f"  {row}" for row in rows)


def _shown(path: str) -> str:
    """A path on one line; what is no text in it is escaped."""
    return printable(path or "(the file itself)")


def _top(share: Share) -> str:
    return f"{_shown(share.directory)}/" if share.directory else "(in no directory)"


def markdown(plan: TransferPlan, title: str = "Plan", *, brief: bool = False) -> str:
    """What a person reads in the Prefect UI; when it is ``brief``, with no more than is needed to decide on it."""
    rows = [(plain(name), plain(words)) for name, words in facts(plan)]
    parts = [
        f"# {plain(title)}",
        f"From {plain(plan.source)} to {plain(plan.destination)}, as of {plan.made_at:%Y-%m-%d %H:%M} UTC.",
        table(("What", ""), rows),
    ]
    if plan.problems:
        parts += ["## Problems", "\n".join(f"- {plain(each)}" for each in plan.problems)]
    if plan.to_move.items > 1 and not brief:
        if plan.largest:
            parts += ["## Largest", table(("Size", "Path"), map(_item_row, plan.largest))]
        if plan.directories:
            parts += ["## By directory", table(("Size", "Items", "Directory"), map(_share_row, plan.directories))]
    if plan.removal is not None and plan.removal.deleted:
        rows = [(size(each.size), plain(each.path)) for each in plan.removal.deleted]
        parts += ["## First to be deleted at the destination", table(("Size", "Path"), rows)]
    if plan.first_not_moved and not brief:
        rows = [(plain(each.code or ""), plain(each.path)) for each in plan.first_not_moved]
        parts += ["## Cannot be moved", table(("Code", "Path"), rows)]
    return "\n\n".join(parts)


def _item_row(item: PlannedItem) -> tuple[str, str]:
    return size(item.size), plain(_shown(item.path))


def _share_row(share: Share) -> tuple[str, str, str]:
    return size(share.bytes), f"{share.items:,}", plain(_top(share))
