"""How results look to people."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import timedelta

from prefect_globus.transfers.model import Lease
from prefect_globus.transfers.records import now
from prefect_globus.transfers.result import TransferResult

_UNITS = ("KiB", "MiB", "GiB", "TiB", "PiB", "EiB")
_STEP = 1024
_ROW = "{:<29} {:<12} {:>16} {:>10} {:>8}"
_ID_WIDTH = 29
_SPANS = ((86_400, "d"), (3_600, "h"), (60, "min"))


def size(count: float) -> str:
    """A number of bytes, such as ``1.5 GiB``."""
    if count < _STEP:
        return f"{count:.0f} B"
    for unit in _UNITS:
        count /= _STEP
        if count < _STEP or unit == _UNITS[-1]:
            break
    return f"{count:.1f} {unit}"


def span(seconds: float) -> str:
    """A stretch of time, such as ``3 min``; in its largest unit only."""
    for length, unit in _SPANS:
        if seconds >= length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"


def count(number: int, what: str) -> str:
    """A number of things, such as ``1 batch`` or ``2 batches``."""
    plural = f"{what}es" if what.endswith("ch") else f"{what}s"
    return f"{number} {what if number == 1 else plural}"


def summary(result: TransferResult, seconds: float | None) -> str:
    """How a run ended, in a few lines; ``seconds`` is how long it took, or None when there was nothing left to do."""
    took = ", as it was already" if seconds is None else f" in {seconds:.1f} s"
    items = f"{result.items_transferred} of {count(result.items_total, 'item')} transferred"
    batches = f"{result.batches_done} of {count(result.batches_total, 'batch')} done"
    lines = [
        f"{result.id} is {result.status}: {items}, {size(result.bytes_transferred)}{took}",
        f"  {batches} by {count(len(result.tasks), 'Globus task')}",
    ]
    if others := _others(result):
        lines.append(f"  {others}")
    return "\n".join(lines)


def block(result: TransferResult, lease: Lease | None) -> str:
    """Where one transfer stands, a line for each fact."""
    scanned = "" if result.scan_complete else " so far; the scan goes on"
    facts = {
        "Transfer": result.id,
        "Status": str(result.status),
        "Source": str(result.source),
        "Destination": str(result.destination),
        "Label": result.label,
        "Items": f"{result.items_transferred} of {result.items_total} transferred{scanned}",
        "": _others(result),
        "Bytes": f"{size(result.bytes_transferred)} of {size(result.bytes_total)}",
        "Batches": f"{result.batches_done} of {result.batches_total} done",
        "Globus tasks": f"{len(result.tasks)}, {len(result.current_tasks)} running",
        "Driven by": lease and lease.holder.description,
        "Error": result.error,
        "Created": f"{result.created_at:%Y-%m-%d %H:%M:%S} UTC",
        "Updated": f"{result.updated_at:%Y-%m-%d %H:%M:%S} UTC",
    }
    return "\n".join(f"{name + ':' if name else '':<14}{value}" for name, value in facts.items() if value)


def table(results: Iterable[TransferResult]) -> Iterator[str]:
    """One line for each transfer, in 80 columns."""
    yield _ROW.format("ID", "STATUS", "ITEMS", "BYTES", "CHANGED").rstrip()
    moment = now()
    for each in results:
        items = f"{each.items_total - each.items_remaining - each.items_failed}/{each.items_total}"
        age = span(max(moment - each.updated_at, timedelta()).total_seconds())
        yield _ROW.format(_elided(each.id), each.status, items, size(each.bytes_transferred), age)


def _elided(name: str) -> str:
    """A long id without its middle: its beginning and its end tell ids apart."""
    if len(name) <= _ID_WIDTH:
        return name
    half = (_ID_WIDTH - 1) // 2
    return f"{name[:half]}…{name[-half:]}"


def _others(result: TransferResult) -> str:
    counts = {
        "unchanged": result.items_unchanged,
        "skipped": result.items_skipped,
        "failed": result.items_failed,
        "remaining": result.items_remaining,
    }
    return ", ".join(f"{number} {what}" for what, number in counts.items() if number)
