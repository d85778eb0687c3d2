"""Reconcile a directory that was transferred as a whole, by what Globus has on record of its task.

That may be millions of rows: they are read page by page, and only counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from uuid import UUID

from prefect_globus.globus.service import Between, Page
from prefect_globus.tasks.driver import Driver
from prefect_globus.transfers.batches import Batch, Settlement
from prefect_globus.transfers.items import Outcome
from prefect_globus.transfers.states import AttemptStatus
from prefect_globus.transfers.watching import TaskView

_MOST_NAMED = 100  # of what Globus has skipped: all of it is counted


def whole_settlement(driver: Driver, batch: Batch, view: TaskView, status: AttemptStatus) -> Settlement:
    """What the ended task of ``batch``, which is one directory, says of it.

    It is transferred when nothing of it is missing: what Globus has skipped in it makes it skipped, or dead.

    Args:
        driver: whose batch it is.
        batch: with the attempt whose task has ended.
        view: of the task.
        status: how it went.
    """
    source, path = driver.transfer.source, batch.first_path
    files = size = 0
    if view.files_transferred:
        for row in _rows(driver, batch, driver.globus.moved_page, view.task_id):
            files, size = files + 1, size + row["size"]
    codes: Counter[str] = Counter()
    inside: dict[str, str] = {}
    if view.skipped_errors:
        for row in _rows(driver, batch, driver.globus.skipped_page, view.task_id):
            codes[row["error_code"]] += 1
            name = source.relative(row["source_path"].rstrip("/"))
            if name != path and len(inside) < _MOST_NAMED:
                inside[name] = row["error_code"]
    is_missing = bool(codes) and status is AttemptStatus.SUCCEEDED and not batch.attempts[-1].adopted
    return Settlement(
        status=status,
        moved=None,
        skipped={path: codes.most_common(1)[0][0]} if is_missing else {},
        skipped_as=Outcome.SKIPPED if driver.transfer.options.skip_source_errors else Outcome.DEAD,
        inside=inside if is_missing else {},
        exact=not batch.attempts[-1].adopted,
        error=view.fatal_code,
        files_transferred=files,
        bytes_transferred=size,
        skipped_errors=codes.total(),
        faults=view.faults,
    )


def _rows(
    driver: Driver, batch: Batch, read: Callable[[UUID, Between | None, str | None], Page], task_id: UUID
) -> Iterator[Mapping[str, Any]]:
    """The rows of a task's record; of an adopted one, which may have been sent something else, those that are right."""
    places = driver.transfer.source.child(batch.first_path), driver.transfer.destination.child(batch.first_path)
    between = places if batch.attempts[-1].adopted else None
    marker = None
    while True:
        page = driver.patiently(read, task_id, between, marker)
        yield from page.rows
        marker = page.next_marker
        if marker is None:
            return
