"""The story of a report: the same words for the terminal, the Prefect UI and a browser, as sections to be laid out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from prefect_globus.transfers.batches import Whole
from prefect_globus.transfers.codes import meaning
from prefect_globus.transfers.model import Approval, Drive, PausedBy, Scheduled
from prefect_globus.transfers.quantities import count, size
from prefect_globus.transfers.removals import RemovalKind
from prefect_globus.transfers.result import TASK_LINK
from prefect_globus.transfers.states import TransferStatus
from prefect_globus.transfers.telling.report import Noted, Phase, SlowBatch, TransferReport, Trouble
from prefect_globus.transfers.telling.throughput import Throughput


class Link(NamedTuple):
    """A text that leads somewhere."""

    text: str
    address: str


class Code(NamedTuple):
    """Something to be read to the letter: a path, an id, a command."""

    text: str


Cell = str | Link | Code


class Table(NamedTuple):
    """Rows under headings; those of ``numbers`` are numbers."""

    headings: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    numbers: Sequence[int] = ()


class Section(NamedTuple):
    """A part of a report. Whatever it does not have is left out.

    Args:
        title: over it.
        words: sentences.
        facts: names and what is to be said to them.
        lines: to be shown to the letter, one below the other: paths, or a command.
        table: rows.
        throughput: to be drawn.
        resumed_at: moments to be marked in that.
    """

    title: str
    words: str = ""
    facts: Sequence[tuple[str, Cell]] = ()
    lines: Sequence[str] = ()
    table: Table | None = None
    throughput: Throughput | None = None
    resumed_at: Sequence[datetime] = ()


class Story(NamedTuple):
    """A report in words.

    Args:
        title: the transfer.
        status: how it stands.
        headline: what came of it, in a sentence.
        sections: the rest.
    """

    title: str
    status: TransferStatus
    headline: str
    sections: Sequence[Section]


def story_of(report: TransferReport) -> Story:
    """What is told of ``report``."""
    return Story(report.id, report.status, headline(report), tuple(_sections(report)))


def headline(report: TransferReport) -> str:
    """What came of it, in a sentence."""
    ledger = report.ledger
    words = f"{count(ledger.transferred, 'item')} of {ledger.items:,} transferred, {size(ledger.bytes_transferred)}"
    if report.whole.directories:
        words += f" and {report.whole}"
    if report.seconds is not None:
        words += f" in {duration(report.seconds)}"
        if report.seconds > 0 and (moved := ledger.bytes_transferred + report.whole.size):
            words += f" ({size(moved / report.seconds)}/s)"
    if report.drives and report.drives[-1].number > 1:
        words += f", resumed {_times(report.drives[-1].number - 1)}"
    return words


def _times(number: int) -> str:
    return "once" if number == 1 else f"{number:,} times"


def duration(seconds: float) -> str:
    """A stretch of time to two units, such as ``1 h 05 min``."""
    if seconds < 60:  # noqa: PLR2004 - a minute
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:  # noqa: PLR2004 - an hour
        return f"{minutes} min {rest:02} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours < 24 else f"{hours // 24} d {hours % 24:02} h"  # noqa: PLR2004 - a day


def _sections(report: TransferReport) -> Iterator[Section]:
    if (next_step := _next_step(report)) is not None:
        yield next_step
    yield _overview(report)
    if report.throughput is not None:
        yield _throughput(report.throughput, [drive.began_at for drive in report.drives if drive.number > 1])
    yield _items(report)
    for trouble in report.troubles:
        yield _trouble(trouble, report.id)
    yield from _removed(report)
    yield _time(report)
    if report.tasks:
        yield _tasks(report)
    if report.failed_tasks:
        yield _failed(report)
    if report.slowest:
        yield _slowest(report)
    if report.drives:
        yield _drives(report)


def _next_step(report: TransferReport) -> Section | None:
    if report.status is TransferStatus.FAILED:
        command = f"prefect-globus resume {report.id}"
        return Section("What to do", f"{_sentence(report.error)} When it is mended, resume it:", lines=[command])
    if report.status is TransferStatus.PAUSED:
        words = _sentence(report.error)
        if report.paused_by is PausedBy.APPROVAL:
            return Section("What to do", f"{words} Nothing is submitted before.")
        if report.paused_by is PausedBy.FAULT:
            return Section("What to do", f"{words} It goes on by itself when a person has mended that.")
        return Section("What to do", f"{words} To let it go on:", lines=[f"prefect-globus resume {report.id}"])
    return None


def _overview(report: TransferReport) -> Section:
    facts: dict[str, Cell | None] = {
        "Source": Code(str(report.source)),
        "Destination": Code(str(report.destination)),
        "Label": report.label,
        "Options": Code(_listed(report.options)) if report.options else None,
        "Schedule": _schedule(report.scheduled) if report.scheduled else None,
        "Approval": _approval(report.approval) if report.approval else None,
        "Repairs": Code(report.repairs) if report.repairs else None,
        "Compared with": Code(report.since) if report.since else None,
        "Began": moment(report.created_at),
        "Ended": moment(report.ended_at) if report.ended_at else "still at work",
    }
    return Section("Transfer", facts=[(name, value) for name, value in facts.items() if value])


def _schedule(scheduled: Scheduled) -> str:
    return f"{scheduled.schedule}, run {scheduled.run}, due {moment(scheduled.tick)}"


def _approval(approval: Approval) -> str:
    if approval.approved is None:
        return "asked for"
    by = f" by {approval.by}" if approval.by else ""
    at = f", {moment(approval.decided_at)}" if approval.decided_at else ""
    comment = f": {approval.comment}" if approval.comment else ""
    return f"{'approved' if approval.approved else 'refused'}{by}{at}{comment}"


def _throughput(throughput: Throughput, resumed_at: Sequence[datetime]) -> Section:
    peak = throughput.rate(max(throughput.rates))
    words = f"At most {peak}. What a task moved is spread evenly over its time at work."
    return Section("Throughput", words, throughput=throughput, resumed_at=resumed_at)


def _items(report: TransferReport) -> Section:
    ledger = report.ledger
    changed = sum(trouble.items for trouble in report.troubles if trouble.what is Noted.CHANGED)
    numbers = {
        "transferred": (ledger.transferred, ""),
        "of these changed since the scan": (changed, ""),
        "unchanged": (ledger.unchanged, "at the destination already, so not moved"),
        "skipped": (ledger.skipped, "could not be read, or are not to be transferred"),
        "dead": (ledger.dead, "failed for good"),
        "remaining": (ledger.remaining, "still to be transferred"),
        "gone from the source": (report.gone or 0, f"since {report.since}"),
        "directories transferred as a whole": (report.whole.directories, _of_whole(report.whole)),
    }
    told = {name: entry for name, entry in numbers.items() if entry[0] or name == "transferred"}
    rows = [(name, f"{number:,}", words) for name, (number, words) in told.items()]
    scanned = "" if report.scan_complete else ", as far as the source was listed"
    total = f"{count(ledger.items, 'item')} in {count(ledger.batches, 'batch')}, {size(ledger.bytes_total)}{scanned}."
    return Section("What became of the items", total, table=Table(("", "items", ""), rows, numbers=(1,)))


def _of_whole(whole: Whole) -> str:
    moved = f"{count(whole.files, 'file')}, {size(whole.size)}"
    return f"with more entries than Globus lists; each is one item. Moved of them: {moved}"


_TITLES = {Noted.DEAD: "Failed for good", Noted.SKIPPED: "Skipped", Noted.CHANGED: "Changed since the scan"}
_COMMANDS = {
    Noted.DEAD: "prefect-globus redrive {id} --code {code}",
    Noted.SKIPPED: "prefect-globus items {id} --skipped --code {code}",
    Noted.CHANGED: "prefect-globus items {id} --changed",
}
_HINTS = {
    Noted.DEAD: "To try them again when it is mended",
    Noted.SKIPPED: "To see them all",
    Noted.CHANGED: "To see them all",
}


def _trouble(trouble: Trouble, transfer_id: str) -> Section:
    more = trouble.items - len(trouble.examples)
    lines = [*trouble.examples, *([f"... and {more:,} more"] if more > 0 else [])]
    command = _COMMANDS[trouble.what].format(id=transfer_id, code=trouble.code)
    title = f"{_TITLES[trouble.what]}: {trouble.code}, {count(trouble.items, 'item')}"
    return Section(title, meaning(trouble.code) or "", facts=[(_HINTS[trouble.what], Code(command))], lines=lines)


def _removed(report: TransferReport) -> Iterator[Section]:
    for removed in report.removed:
        at_source = removed.kind is RemovalKind.SOURCE
        what = "files that were delivered" if at_source else "what was not at the source"
        place = "source" if at_source else "destination"
        words = f"{count(removed.items_deleted, 'thing')} deleted, {size(removed.bytes_deleted)}: {what}."
        if not removed.complete:
            words += f" That is not finished: prefect-globus delete-{'source' if at_source else 'extra'} {report.id}"
        rows = [(code, f"{items:,}", meaning(code) or "") for code, items in removed.kept.items()]
        table = Table(("kept because", "things", ""), rows, numbers=(1,)) if rows else None
        yield Section(f"Deleted at the {place}", words, table=table)


def _time(report: TransferReport) -> Section:
    rows: list[Sequence[Cell]] = [(phase.name, moment(phase.began_at), _took(phase, report)) for phase in report.phases]
    waits, facts = report.waits, []
    if report.tasks:
        facts = [
            ("At work", f"{duration(waits.at_work)} in all Globus tasks together"),
            ("In Globus' queue", f"{duration(waits.queued)}, at most {duration(waits.longest_queued)} for one task"),
            ("Until accepted", duration(waits.submitting)),
        ]
    return Section("Time", facts=facts, table=Table(("phase", "began", "took"), rows))


def _tasks(report: TransferReport) -> Section:
    by_status = ", ".join(f"{number:,} {status}" for status, number in report.tasks.items())
    facts: list[tuple[str, Cell]] = [("Tasks", by_status)]
    if report.retries:
        facts.append(("Retries", count(report.retries, "task")))
    if report.reasons:
        facts.append(("Ended for", _counted(report.reasons)))
    if report.faults:
        facts.append(("Faults met", _counted(report.faults)))
    return Section("Globus tasks", facts=facts)


def _failed(report: TransferReport) -> Section:
    rows = [
        (str(task.batch), task.status.value, task.error or "", _task(report, task.task_id), str(task.attempt))
        for task in report.failed_tasks
    ]
    table = Table(("batch", "status", "reason", "Globus task", "try"), rows, numbers=(0, 4))
    return Section("The latest tasks that did not succeed", table=table)


def _slowest(report: TransferReport) -> Section:
    rows: list[Sequence[Cell]] = []
    for slow in report.slowest:
        moved = (f"{slow.items:,}", size(slow.bytes_transferred), _rate(slow))
        rows.append((str(slow.number), duration(slow.seconds), *moved, str(slow.attempts), _task(report, slow.task_id)))
    headings = ("batch", "took", "items", "moved", "rate", "tries", "the last of them")
    return Section("Slowest batches", table=Table(headings, rows, numbers=(0, 1, 2, 3, 4, 5)))


def _drives(report: TransferReport) -> Section:
    rows = [
        (str(drive.number), moment(drive.began_at), Code(drive.holder), _flow_run(drive)) for drive in report.drives
    ]
    return Section("Who drove it", table=Table(("", "from", "process", "flow run"), rows, numbers=(0,)))


def _flow_run(drive: Drive) -> Cell:
    return "" if drive.flow_run is None else Code(str(drive.flow_run))


def moment(at: datetime) -> str:
    """A moment for people."""
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"


def _took(phase: Phase, report: TransferReport) -> str:
    if phase.ended_at is None:
        return "goes on" if report.ended_at is None else "not completed"
    return duration(max(0.0, (phase.ended_at - phase.began_at).total_seconds()))


def _rate(slow: SlowBatch) -> str:
    return f"{size(slow.bytes_transferred / slow.seconds)}/s" if slow.seconds > 0 else ""


def _task(report: TransferReport, task_id: UUID | None) -> Cell:
    if task_id is None:
        return ""
    return Link(str(task_id), TASK_LINK.format(task_id=task_id)) if report.has_links else Code(str(task_id))


def _counted(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{code} {times:,}" for code, times in counts.items())


def _listed(options: Mapping[str, object]) -> str:
    return ", ".join(f"{name}={value}" for name, value in options.items())


def _sentence(text: str | None) -> str:
    return f"{text.rstrip('.')}." if text else ""
