"""How a run becomes a task: submitted as its owner would do it, with a submission_id of its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from prefect_globus.emulator.auth.consents import TIMER_PATHS, ConsentRequired
from prefect_globus.emulator.errors import EndpointNotFound
from prefect_globus.emulator.tasks.model import UNFINISHED
from prefect_globus.emulator.tasks.submission import LONGEST_LABEL, read_transfer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from prefect_globus.emulator.auth.consents import ConsentStore
    from prefect_globus.emulator.collections.model import CollectionSpec
    from prefect_globus.emulator.tasks.engine import Engine
    from prefect_globus.emulator.tasks.model import Task
    from prefect_globus.emulator.tasks.store import TaskStore
    from prefect_globus.emulator.timers.model import Run, Timer


def run_label(timer: Timer) -> str | None:
    """Return the label of a timer's next run: "<label>, run N" (contract section 7).

    Without a label, the name of the timer stands for it [inferred]; without either, there is none. What is too long
    for a label is cut.
    """
    base = " ".join((timer.spec.body.get("label") or timer.spec.name or "").split())
    if not base:
        return None
    end = f", run {timer.number_of_runs + 1}"
    return base[: LONGEST_LABEL - len(end)].rstrip() + end


@dataclass(frozen=True, slots=True)
class Submitter:
    """Submits the runs of timers."""

    tasks: TaskStore
    engine: Engine
    consents: ConsentStore
    collections: Mapping[str, CollectionSpec]

    def is_unfinished(self, run: Run) -> bool:
        """Tell whether the task of a run goes on."""
        return run.task is not None and self.tasks.get(run.task).status in UNFINISHED

    def submit(self, timer: Timer, run: Run) -> Task:
        """Return the task of a run, which is submitted unless it was before. Raises ApiError."""
        known = self.tasks.find_submission(timer.owner_id, run.submission_id)
        if known is not None:
            return known
        submission = read_transfer(timer.spec.body | {"submission_id": run.submission_id, "label": run.label})
        endpoints = (submission.source_endpoint, submission.destination_endpoint)
        collections = [self._collection(endpoint) for endpoint in endpoints]
        missing = self.consents.all_missing(timer.owner_id, timer.client_id, collections, TIMER_PATHS)
        if missing:
            raise ConsentRequired(missing)
        task, _ = self.engine.submit(timer.owner_id, submission)
        return task

    def _collection(self, uuid: str | None) -> CollectionSpec:
        if uuid is None or uuid not in self.collections:
            raise EndpointNotFound(uuid)
        return self.collections[uuid]
