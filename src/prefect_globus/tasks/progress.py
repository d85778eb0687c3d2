"""How far a transfer has come: what is on record, and what the running tasks report meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Iterable

from prefect_globus.transfers.ledger import Ledger
from prefect_globus.transfers.model import Batch


class Progress:
    """Counts of a transfer in progress; safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._recorded: dict[int, Ledger] = {}
        self._running: dict[int, tuple[int, int]] = {}

    def begin(self, batches: Iterable[Batch]) -> None:
        """Start from what the checkpoint has."""
        for batch in batches:
            self.note(batch)

    def note(self, batch: Batch) -> None:
        """Take in a batch as it was just written."""
        with self._lock:
            self._recorded[batch.number] = batch.ledger
            if not batch.live:
                self._running.pop(batch.number, None)

    def report(self, number: int, files: int, size: int) -> None:
        """Take in what the running Globus task of batch ``number`` says: files and bytes moved so far."""
        with self._lock:
            self._running[number] = (files, size)

    def ledger(self) -> Ledger:
        """What is on record."""
        with self._lock:
            return Ledger.total(self._recorded.values())

    def counts(self) -> tuple[int, int, int]:
        """Items accounted for, items known, and bytes transferred, with what is under way."""
        with self._lock:
            recorded = Ledger.total(self._recorded.values())
            files = sum(files for files, _ in self._running.values())
            size = sum(size for _, size in self._running.values())
        done = min(recorded.accounted + files, recorded.items)
        return done, recorded.items, min(recorded.bytes_transferred + size, recorded.bytes_total)
