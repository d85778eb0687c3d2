"""Faults in the state file, and in memory for those who ask on every request and every file."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

import orjson

from prefect_globus.emulator.injection.model import Delay, Fault, InjectedFault, RequestFault, TaskFault, fault_of

if TYPE_CHECKING:
    from prefect_globus.emulator.database import Database


class FaultStore:
    """The faults of a state file. What has matched and fired is committed before it has any effect."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = threading.Lock()
        rows = database.rows("SELECT * FROM injected_faults ORDER BY number")
        self._faults = {
            row["id"]: InjectedFault(
                row["id"], fault_of(orjson.loads(row["document"])), row["matched"], row["fired"], row["bytes"]
            )
            for row in rows
        }
        self.has_request_faults = False
        self.has_task_faults = False
        self.looks_into_bodies = False
        self._look()

    def add(self, fault: Fault) -> InjectedFault:
        """Put a fault in force."""
        added = InjectedFault(str(uuid.uuid4()), fault)
        with self._lock:
            with self._database.transaction() as connection:
                connection.execute(
                    "INSERT INTO injected_faults (id, document) VALUES (?, ?)",
                    (added.id, orjson.dumps(asdict(fault)).decode()),
                )
            self._faults[added.id] = added
            self._look()
        return added

    def all(self) -> list[InjectedFault]:
        """Return every fault, oldest first, the spent ones too."""
        with self._lock:
            return list(self._faults.values())

    def remove(self, fault_id: str) -> InjectedFault | None:
        """Lift a fault; return it as it ended, or None if there is none with this id."""
        with self._lock:
            with self._database.transaction() as connection:
                connection.execute("DELETE FROM injected_faults WHERE id = ?", (fault_id,))
            removed = self._faults.pop(fault_id, None)
            self._look()
        return removed

    def clear(self) -> list[InjectedFault]:
        """Lift every fault; return them as they ended."""
        with self._lock:
            with self._database.transaction() as connection:
                connection.execute("DELETE FROM injected_faults")
            removed = list(self._faults.values())
            self._faults.clear()
            self._look()
        return removed

    def meet(self, matches: Callable[[InjectedFault], bool]) -> list[InjectedFault]:
        """Return what one request or path meets: delays, and of all else the first that is due.

        Each fault that it comes by and that matches counts it; those behind the one that fires do not.
        """
        met: list[InjectedFault] = []
        changed: list[InjectedFault] = []
        with self._lock:
            for found in self._live():
                if not matches(found):
                    continue
                is_due = found.matched >= found.fault.after
                changed.append(replace(found, matched=found.matched + 1, fired=found.fired + is_due))
                if is_due:
                    met.append(found)
                    if not isinstance(found.fault.effect, Delay):
                        break
            self._save(changed)
        return met

    def wrote(self, matches: Callable[[InjectedFault], bool], count: int) -> None:
        """Count bytes that were written, for the faults that match."""
        with self._lock:
            self._save([replace(found, bytes=found.bytes + count) for found in self._live() if matches(found)])

    def _live(self) -> Iterator[InjectedFault]:
        return (found for found in self._faults.values() if not found.is_spent)

    def _save(self, changed: list[InjectedFault]) -> None:
        if not changed:
            return
        with self._database.transaction() as connection:
            connection.executemany(
                "UPDATE injected_faults SET matched = ?, fired = ?, bytes = ? WHERE id = ?",
                [(one.matched, one.fired, one.bytes, one.id) for one in changed],
            )
        self._faults |= {one.id: one for one in changed}
        self._look()

    def _look(self) -> None:
        """Note whether there is anything to meet, so that nobody pays for faults that are not there."""
        live = [found.fault for found in self._live()]
        requests = [fault for fault in live if isinstance(fault, RequestFault)]
        self.has_request_faults = bool(requests)
        self.looks_into_bodies = any(fault.collection or fault.file for fault in requests)
        self.has_task_faults = any(isinstance(fault, TaskFault) for fault in live)
