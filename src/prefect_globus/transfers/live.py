"""The page of a transfer that is at work, and the table of its Globus tasks, as Prefect's UI shows them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from prefect_globus.transfers.board import TaskRow
from prefect_globus.transfers.markdown import link, plain, table
from prefect_globus.transfers.quantities import count, size, span
from prefect_globus.transfers.result import TASK_LINK
from prefect_globus.transfers.standing import Standing
from prefect_globus.transfers.states import TransferStatus

_WHAT_TO_DO = {
    TransferStatus.PAUSED: "It goes on when that is mended, or by",
    TransferStatus.FAILED: "When that is mended, it is tried again by",
}


def live_page(standing: Standing, at: datetime) -> str:
    """How a transfer stands ``at`` a moment, in Markdown."""
    transfer = standing.transfer
    lines = [
        f"# {plain(transfer.id)} is {transfer.status}",
        "",
        f"**{standing.percent} %** at {at:%Y-%m-%d %H:%M:%S} UTC",
    ]
    if transfer.error is not None and transfer.status in _WHAT_TO_DO:
        lines += [
            "",
            f"{plain(transfer.error)}",
            "",
            f"{_WHAT_TO_DO[transfer.status]} `prefect-globus resume {transfer.id}`.",
        ]
    lines += ["", table(("", ""), ((name, plain(words)) for name, words in _facts(standing, at)))]
    return "\n".join(lines) + "\n"


def _facts(standing: Standing, at: datetime) -> Iterator[tuple[str, str]]:
    transfer, ledger = standing.transfer, standing.ledger
    yield "from", str(transfer.source)
    yield "to", str(transfer.destination)
    yield "files", standing.files
    yield "data", standing.data
    yield "scan", "complete" if transfer.scan_complete else "goes on: there may be more than is shown here"
    rate, left = standing.speed
    if rate is not None:
        yield "rate", f"{size(rate)}/s"
    if left is not None and transfer.scan_complete:
        yield "time left", f"about {span(left)}"
    yield "batches", f"{ledger.batches_done:,} of {count(ledger.batches, 'batch')} done"
    if standing.work:
        yield "in flight", ", ".join(standing.work)
    if standing.waits:
        yield "waiting", standing.waiting_for or ""
    for what in ("unchanged", "skipped", "dead"):
        if number := getattr(ledger, what):
            yield "failed" if what == "dead" else what, f"{number:,}"
    yield (
        "began",
        f"{transfer.created_at:%Y-%m-%d %H:%M:%S} UTC, {span((at - transfer.created_at).total_seconds())} ago",
    )


def task_rows(rows: Sequence[TaskRow], at: datetime, *, has_links: bool) -> list[dict[str, str]]:
    """The rows of the table of Globus tasks.

    Args:
        rows: of the board.
        at: now.
        has_links: whether Globus' web app knows the tasks.
    """
    return [_cells(row, at, has_links=has_links) for row in rows]


def _cells(row: TaskRow, at: datetime, *, has_links: bool) -> dict[str, str]:
    seconds = row.seconds(at)
    task_id = str(row.task_id)
    return {
        "batch": f"{row.batch:,}",
        "try": str(row.attempt),
        "Globus task": link(task_id, TASK_LINK.format(task_id=task_id)) if has_links else task_id,
        "status": f"{row.status} ({row.code})" if row.code else row.status,
        "files": f"{row.files:,}",
        "data": size(row.size),
        "rate": f"{size(row.size / seconds)}/s" if seconds >= 1 else "",
        "faults": f"{row.faults:,}" if row.faults else "",
        "took": span(seconds),
    }


def tasks_caption(shown: int, total: int) -> str:
    """What the table shows of how many."""
    if shown == total:
        return (
            f"All {count(total, 'Globus task')} of this transfer." if total > 1 else "The Globus task of this transfer."
        )
    return f"{shown:,} of {count(total, 'Globus task')}: what runs, has failed, took longest, or has ended last."
