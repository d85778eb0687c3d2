"""How results look to people."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta

from prefect_globus.cli.colors import of_status
from prefect_globus.cli.local import in_words
from prefect_globus.cli.terminal import elided, wrapped
from prefect_globus.transfers.batches import Attempt
from prefect_globus.transfers.items import TOO_LARGE_TO_LIST, Outcome
from prefect_globus.transfers.markdown import printable
from prefect_globus.transfers.model import Lease, PausedBy
from prefect_globus.transfers.quantities import count, size, span
from prefect_globus.transfers.records import now
from prefect_globus.transfers.reports import BatchHistory, ItemReport
from prefect_globus.transfers.result import TASK_LINK, TransferResult
from prefect_globus.transfers.states import BatchStatus, TransferStatus
from prefect_globus.transfers.telling.story import duration

_HEADINGS = ("ID", "STATUS", "ITEMS", "BYTES", "CHANGED")
_GAP = "  "
_LEAST_ID = 12
_AT_WORK = (TransferStatus.CREATED, TransferStatus.SCANNING, TransferStatus.TRANSFERRING)


def delivered(result: TransferResult) -> str:
    """How much of a transfer is there."""
    return f"{result.items_transferred:,} of {count(result.items_total, 'item')} transferred"


def standing(result: TransferResult) -> str:
    """Where a transfer stands, in a line."""
    return f"{result.id} is {of_status(result.status)}: {delivered(result)}"


def watched(result: TransferResult) -> str:
    """The same while it changes."""
    others = f", {_others(result)}" if _others(result) else ""
    return f"{_moment(now())}  {standing(result)}, {size(result.bytes_transferred)}{others}"


def item_line(item: ItemReport, width: int | None) -> str:
    """One item, its outcome first; a name that is no text, or more than a line, is shown with escapes."""
    reason = f"  {item.code}" if item.code else ""
    start = f"{item.outcome.name:<11}  {size(item.size):>10}  "
    room = None if width is None else width - len(start) - len(reason)
    return f"{start}{elided(printable(item.path), room)}{reason}"


def history_lines(batch: BatchHistory, status: TransferStatus, width: int | None) -> Iterator[str]:
    """A batch, its attempts and what was noted of its items; ``status`` is that of the transfer."""
    for line in _history(batch, status):
        yield wrapped(line, 4 if line.startswith(" ") else 2, width)


def _history(batch: BatchHistory, status: TransferStatus) -> Iterator[str]:
    first, last = printable(batch.first_path), printable(batch.last_path)
    cut_off = status is TransferStatus.CANCELED and batch.status in (BatchStatus.PENDING, BatchStatus.ACTIVE)
    stands = "not done" if cut_off else batch.status  # as nothing will ever be done about it
    yield f"Batch {batch.number}, {stands}: {count(batch.items, 'item')}, {first} to {last}"
    for attempt in batch.attempts:
        yield f"  {_moment(attempt.intended_at)}  {', '.join(_of_attempt(attempt))}"
    for fault in batch.faults:
        by = f", by attempt {fault.attempt}" if fault.attempt else ""
        is_whole = fault.code == TOO_LARGE_TO_LIST and fault.outcome is Outcome.REMAINING  # which says what it is
        stands = "to be transferred as a whole," if is_whole else fault.outcome.name
        yield f"  {_moment(fault.at)}  {stands} {fault.code}{by}: {printable(fault.path)}"


def _of_attempt(attempt: Attempt) -> Iterator[str]:
    yield f"attempt {attempt.number} {attempt.status}"
    if attempt.error and attempt.error != attempt.status:
        yield attempt.error
    if attempt.ended_at is not None:
        yield f"after {span((attempt.ended_at - attempt.intended_at).total_seconds())}"
    if attempt.span is not None:
        yield f"positions {attempt.span[0]} to {attempt.span[1] - 1}"
    yield f"{count(attempt.files_transferred, 'file')}, {size(attempt.bytes_transferred)}"
    if attempt.faults:
        codes = ", ".join(f"{name} {times}" for name, times in attempt.codes.items())
        yield count(attempt.faults, "fault") + (f" ({codes})" if codes else "")
    if attempt.adopted:
        yield "found at Globus"
    yield f"task {attempt.task_id}" if attempt.task_id else f"submission {attempt.submission_id}"


def _moment(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S}" if moment is not None else f"{'at some time':<19}"


def summary(result: TransferResult, *, was_done: bool) -> str:
    """How a run ended, in a few lines, with how long the transfer has taken from its creation, as its report has it.

    It ``was_done`` when there was nothing left to do.
    """
    seconds = max(result.updated_at - result.created_at, timedelta()).total_seconds()
    took = ", as it was already" if was_done else f" in {duration(seconds)}"
    items = delivered(result)
    batches = f"{result.batches_done:,} of {count(result.batches_total, 'batch')} done"
    lines = [
        f"{result.id} is {of_status(result.status)}: {items}, {size(result.bytes_transferred)}{took}",
        f"  {batches} by {count(len(result.tasks), 'Globus task')}",
    ]
    if others := _others(result):
        lines.append(f"  {others}")
    return "\n".join(lines)


def block(result: TransferResult, lease: Lease | None, *, has_links: bool, width: int | None) -> str:
    """Where one transfer stands, a line for each fact, with links to what runs at Globus if it ``has_links``."""
    scans = "goes on" if result.status in _AT_WORK else "has not come to its end"
    scanned = "" if result.scan_complete else f" so far; the scan {scans}"
    facts = {
        "Transfer": result.id,
        "Status": of_status(result.status),
        "Source": in_words(str(result.source)),
        "Destination": in_words(str(result.destination)),
        "Label": result.label,
        "Items": f"{result.items_transferred:,} of {result.items_total:,} transferred{scanned}",
        "": _others(result),
        "Bytes": f"{size(result.bytes_transferred)} of {size(result.bytes_total)}",
        "Batches": f"{result.batches_done:,} of {result.batches_total:,} done",
        "Globus tasks": f"{len(result.tasks):,}, {len(result.current_tasks)} running",
        "Driven by": lease.holder.description if lease is not None else _nobody(result),
        "Paused" if result.status is TransferStatus.PAUSED else "Error": result.error and in_words(result.error),
        "Next": _next(result),
        "Created": f"{result.created_at:%Y-%m-%d %H:%M:%S} UTC",
        "Updated": f"{result.updated_at:%Y-%m-%d %H:%M:%S} UTC",
    }
    lines = [wrapped(f"{name + ':' if name else '':<14}{value}", 14, width) for name, value in facts.items() if value]
    if has_links:
        lines += [f"{'':<14}{TASK_LINK.format(task_id=task_id)}" for task_id in result.current_tasks]
    return "\n".join(lines)


def _nobody(result: TransferResult) -> str | None:
    """What to do about a transfer that should be driven and is not; None for one that has nothing to do."""
    return f"nobody; resume it with: prefect-globus resume {result.id}" if result.status in _AT_WORK else None


def table(results: Iterable[TransferResult], width: int | None) -> Iterator[str]:
    """One line for each transfer; ids give way where the terminal has no room for them."""
    moment = now()
    rows = [(each.status, _cells(each, moment)) for each in results]
    columns = list(zip(_HEADINGS, *(cells for _, cells in rows), strict=True))
    ids, statuses, *others = (max(map(len, column)) for column in columns)
    if width is not None:
        ids = max(_LEAST_ID, min(ids, width - statuses - sum(others) - len(_GAP) * len(columns[1:])))
    for status, (name, word, *counts) in [(None, _HEADINGS), *rows]:
        of_column = [f"{cell:>{room}}" for cell, room in zip(counts, others, strict=True)]
        shown = f"{word:<{statuses}}" if status is None else of_status(status, statuses)
        yield _GAP.join([f"{elided(name, ids):<{ids}}", shown, *of_column])


def _next(result: TransferResult) -> str | None:
    """What a person may do about a transfer that does not go on by itself."""
    resume = f"prefect-globus resume {result.id}"
    if result.status is TransferStatus.FAILED:
        return f"prefect-globus report {result.id}, to see why; {resume}, to try again"
    asked_for = result.status is TransferStatus.PAUSED and result.paused_by is PausedBy.REQUEST
    return resume if asked_for else None


def _cells(result: TransferResult, moment: datetime) -> tuple[str, ...]:
    accounted = result.items_total - result.items_remaining - result.items_failed
    age = f"{span(max(moment - result.updated_at, timedelta()).total_seconds())} ago"
    items = f"{accounted:,}/{result.items_total:,}"
    return result.id, str(result.status), items, size(result.bytes_transferred), age


def _others(result: TransferResult) -> str:
    counts = {
        "unchanged": result.items_unchanged,
        "skipped": result.items_skipped,
        "dead letter" + "s" * (result.items_failed != 1): result.items_failed,
        "remaining": result.items_remaining,
        "changed after the scan": result.items_changed,
        f"gone from the source since {result.since}": result.items_deleted,
        "deleted when all was there": result.items_removed,
    }
    others = [f"{number:,} {what}" for what, number in counts.items() if number]
    return ", ".join([*others, *([str(result.whole)] if result.whole.directories else [])])
