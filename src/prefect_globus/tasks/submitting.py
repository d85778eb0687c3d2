"""Submit an attempt: once, however often it is asked for, and around what is in its way."""

from __future__ import annotations

import random
import time
from collections.abc import Mapping, Sequence
from typing import Any

from prefect_globus.globus.submission import submission_body, task_label
from prefect_globus.tasks.driver import Driver
from prefect_globus.tasks.logs import run_logger
from prefect_globus.tasks.manifests import Manifest
from prefect_globus.transfers.batches import Batch, Settlement
from prefect_globus.transfers.errors import (
    BatchIncompleteError,
    GlobusConflictError,
    GlobusInvalidRequestError,
    GlobusNotFoundError,
    GlobusRefusedPathError,
    TaskInTheWayError,
)
from prefect_globus.transfers.items import Item
from prefect_globus.transfers.records import now
from prefect_globus.transfers.result import TASK_LINK
from prefect_globus.transfers.states import AttemptStatus
from prefect_globus.transfers.watching import TaskView

# A submission that was answered so has made no task and never will.
REFUSALS = (GlobusNotFoundError, GlobusRefusedPathError, GlobusInvalidRequestError)


def submitted(driver: Driver, batch: Batch, manifest: Manifest) -> Batch:
    """The batch with its intended attempt accepted by Globus, by a first submission or by the same one again.

    Where another unfinished task has the same paths, one of ours that was forgotten is adopted, and another's is waited
    for, up to ``conflict_wait``.

    Raises:
        TaskInTheWayError: it has not ended by then.
        BatchIncompleteError: its deadline has passed meanwhile; a new attempt has a new one.
        GlobusError: Globus refuses the submission for good, so that the attempt has failed.
    """
    if batch.attempts[-1].status is AttemptStatus.SUBMITTED:
        return batch
    items = manifest.items
    body = submission_body(driver.transfer, batch, batch.sent(items))
    began, known, waits = time.monotonic(), None, 0
    while True:
        try:
            return _submitted_once(driver, batch, items, body)
        except GlobusConflictError as error:
            others = _in_the_way(driver)
            if ours := [task for task in others if _is_ours(driver, batch, task)]:
                run_logger().warning("Globus task %s is taken for batch %s", ours[0].task_id, batch.number)
                return driver.save_batch(batch.submitted(ours[0].task_id, adopted=True))
            if time.monotonic() - began >= driver.options.conflict_wait:
                failed = Settlement(status=AttemptStatus.FAILED, error=error.code)
                driver.fail_attempt(batch, items, failed)
                raise _in_the_way_error(batch, others, driver.options.conflict_wait) from error
            if known != (known := {task.task_id for task in others}):
                run_logger().warning("%s", _in_the_way_error(batch, others, time.monotonic() - began))
        waits += 1
        with driver.progress.waiting(batch.number, "somebody else's Globus task with the same paths"):
            driver.stop.wait_before_new(driver.options.api_retry_wait(waits, random.random()))  # noqa: S311 - jitter


def submitted_if_possible(driver: Driver, batch: Batch, items: Sequence[Item]) -> Batch | None:
    """The same for an attempt that is only to be canceled: None when Globus refuses it, so that there is no task."""
    if batch.attempts[-1].status is AttemptStatus.SUBMITTED:
        return batch
    body = submission_body(driver.transfer, batch, batch.sent(items))
    try:
        return _submitted_once(driver, batch, items, body)
    except GlobusConflictError as error:
        driver.fail_attempt(batch, items, Settlement(status=AttemptStatus.FAILED, error=error.code))
    except (*REFUSALS, BatchIncompleteError):
        pass
    return None


def _submitted_once(driver: Driver, batch: Batch, items: Sequence[Item], body: Mapping[str, Any]) -> Batch:
    try:
        task_id = driver.act(driver.globus.submit, body)
    except REFUSALS as error:
        # this attempt is over: kept as intended, it would be posted and refused again for ever
        driver.fail_attempt(batch, items, Settlement(status=AttemptStatus.FAILED, error=error.code))
        attempt = batch.attempts[-1]
        if attempt.deadline is None or attempt.deadline > now():
            raise
        facts = {"transfer_id": batch.transfer_id, "number": batch.number, "items": batch.items}
        facts |= {"remaining": batch.remaining, "attempt": attempt.number, "outcome": AttemptStatus.FAILED}
        reason = "its deadline had passed before it could be submitted"
        raise BatchIncompleteError(**facts, reason=reason) from error
    return driver.save_batch(batch.submitted(task_id))


def _in_the_way(driver: Driver) -> list[TaskView]:
    """The unfinished tasks between the same collections that no batch of this transfer has on record."""
    transfer = driver.transfer
    tasks = driver.patiently(
        driver.globus.unfinished_tasks, transfer.source.collection, transfer.destination.collection
    )
    known = {attempt.task_id for batch in driver.batches() for attempt in batch.attempts}
    return [task for task in tasks if task.task_id not in known]


def _is_ours(driver: Driver, batch: Batch, task: TaskView) -> bool:
    """Whether ``task`` was submitted for this batch by somebody who could not record it.

    Only a label of ours tells, which has the transfer's id; one that a user has chosen may be another transfer's, too.
    """
    return driver.transfer.options.label is None and task.label == task_label(driver.transfer, batch)


def _in_the_way_error(batch: Batch, others: Sequence[TaskView], seconds: float) -> TaskInTheWayError:
    links = [f"{task.label or 'no label'} at {TASK_LINK.format(task_id=task.task_id)}" for task in others]
    return TaskInTheWayError(
        number=batch.number,
        transfer_id=batch.transfer_id,
        waited=f"{seconds:.0f} s",
        tasks=", ".join(links) or "none is shown to this login",
    )
