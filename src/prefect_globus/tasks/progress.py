"""How far a transfer has come: what is on record, and what the running tasks report meanwhile."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from prefect_globus.transfers.batches import Batch
from prefect_globus.transfers.board import Board, TaskRow
from prefect_globus.transfers.ledger import Ledger
from prefect_globus.transfers.model import Transfer
from prefect_globus.transfers.standing import Standing
from prefect_globus.transfers.watching import TaskView


class Progress:
    """Counts of a transfer in progress; safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._recorded: dict[int, tuple[Ledger, int]] = {}
        self._total = Counter[str]()
        self._settled = 0
        self._views: dict[int, TaskView] = {}
        self._waits: dict[int, str] = {}
        self._wholes: frozenset[int] = frozenset()
        self._board = Board()

    def note(self, batch: Batch) -> None:
        """Take in a batch as it was just read or written."""
        ledger = batch.ledger
        settled = batch.size if not (ledger.remaining or ledger.dead) else ledger.bytes_transferred
        with self._lock:
            before, settled_before = self._recorded.get(batch.number, (_NONE, 0))
            self._recorded[batch.number] = (ledger, settled)
            self._total.update(dict(ledger))
            self._total.subtract(dict(before))
            self._settled += settled - settled_before
            self._board.note(batch)
            if batch.is_whole:
                self._wholes |= {batch.number}
            if not batch.live:
                self._views.pop(batch.number, None)

    def report(self, number: int, view: TaskView) -> None:
        """Take in what the running Globus task of batch ``number`` looks like."""
        with self._lock:
            self._views[number] = view

    @contextmanager
    def waiting(self, number: int, what: str) -> Iterator[None]:
        """Have it known, while the block lasts, that batch ``number`` waits for something."""
        with self._lock:
            self._waits[number] = what
        try:
            yield
        finally:
            with self._lock:
                self._waits.pop(number, None)

    def ledger(self) -> Ledger:
        """What is on record."""
        with self._lock:
            return Ledger(**self._total)

    def ledger_of(self, number: int) -> Ledger | None:
        """What is on record of one batch; None if that was not told."""
        with self._lock:
            ledger, _ = self._recorded.get(number, (None, 0))
            return ledger

    def done(self) -> list[int]:
        """The numbers of the batches that are done."""
        with self._lock:
            return [number for number, (ledger, _) in self._recorded.items() if ledger.batches_done]

    def counts(self) -> tuple[int, int, int]:
        """Items accounted for, items known, and bytes transferred, with what is under way."""
        with self._lock:
            recorded = Ledger(**self._total)
            views = [view for number, view in self._views.items() if number not in self._wholes]
        files = sum(view.files_transferred for view in views)
        size = sum(view.bytes_transferred for view in views)
        done = min(recorded.accounted + files, recorded.items)
        return done, recorded.items, min(recorded.bytes_transferred + size, recorded.bytes_total)

    def standing(self, transfer: Transfer) -> Standing:
        """How ``transfer`` stands, whose progress this is."""
        with self._lock:
            return Standing(
                transfer=transfer,
                ledger=Ledger(**self._total),
                settled=self._settled,
                views=dict(self._views),
                waits=Counter(self._waits.values()),
                wholes=self._wholes,
            )

    def tasks(self) -> tuple[list[TaskRow], int]:
        """The Globus tasks that are worth a look, and how many there are in all."""
        with self._lock:
            return self._board.rows(self._views), self._board.total


_NONE = Ledger()
