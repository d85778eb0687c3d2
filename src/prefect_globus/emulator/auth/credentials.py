"""Whether a task may go on: a consent that is rescinded while it runs suspends it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from prefect_globus.emulator.auth.consents import MISSING_DATA_ACCESS, TIMER_PATHS, TRANSFER_PATHS
from prefect_globus.emulator.tasks.model import Code, Trouble

if TYPE_CHECKING:
    from collections.abc import Mapping

    from prefect_globus.emulator.auth.consents import ConsentStore
    from prefect_globus.emulator.collections.model import CollectionSpec
    from prefect_globus.emulator.tasks.model import Task


@dataclass(frozen=True, slots=True)
class TaskCredentials:
    """The consents behind tasks.

    A task does not remember which client has submitted it, or whether a timer has, so any consent of its owner counts.
    """

    consents: ConsentStore
    collections: Mapping[str, CollectionSpec]

    def __call__(self, task: Task) -> Trouble | None:
        """Return which consent a task lacks, or None."""
        endpoints = (task.source_endpoint, task.destination_endpoint)
        found = [self.collections[one] for one in endpoints if one is not None and one in self.collections]
        missing = self.consents.all_missing(task.owner_id, None, found, (*TRANSFER_PATHS, *TIMER_PATHS))
        return Trouble(Code.AUTH, f"{MISSING_DATA_ACCESS}: {' '.join(missing)}") if missing else None

    @property
    def may_be_lost(self) -> bool:
        """Whether there is a collection that needs a consent at all."""
        return any(one.data_access for one in self.collections.values())
