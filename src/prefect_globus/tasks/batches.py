"""Transfer one batch: intend -> submit -> watch -> reconcile -> record. Recovery calls the same functions."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from prefect import task
from prefect.cache_policies import CacheKeyFnPolicy
from prefect.client.schemas.objects import State, TaskRun
from prefect.context import TaskRunContext
from prefect.logging import get_run_logger
from prefect.tasks import Task

from prefect_globus.blocks.checkpoints import batch_result_key
from prefect_globus.globus.service import TaskView
from prefect_globus.globus.submission import submission_body, sync_level
from prefect_globus.tasks.driver import Driver, current_driver
from prefect_globus.transfers.errors import (
    BatchDeadLettersError,
    BatchIncompleteError,
    GlobusInvalidRequestError,
    GlobusNotFoundError,
    GlobusRefusedPathError,
    TaskNotVisibleError,
    TransferError,
)
from prefect_globus.transfers.items import Item, ItemType, Outcome
from prefect_globus.transfers.ledger import Ledger
from prefect_globus.transfers.location import Location
from prefect_globus.transfers.model import Attempt, Batch, ItemFault, Settlement
from prefect_globus.transfers.records import now
from prefect_globus.transfers.states import AttemptStatus, BatchStatus

_FIRST_LOOK = 0.2
_CANCELED = "CANCELED"

# What a listing already tells cannot be transferred: what becomes of it, and the code that says why.
_UNTRANSFERABLE = {
    ItemType.INVALID_SYMLINK: (Outcome.DEAD, "INVALID_SYMLINK"),
    ItemType.UNLISTABLE: (Outcome.SKIPPED, "PERMISSION_DENIED"),
    ItemType.OTHER: (Outcome.SKIPPED, "NOT_A_FILE"),
}
# As long as Globus knows a task (contract, section 4): before that, one that cannot be found is somebody else's.
_RETENTION = timedelta(days=30)
# A submission that was answered so has made no task and never will.
_REFUSALS = (GlobusNotFoundError, GlobusRefusedPathError, GlobusInvalidRequestError)


def _cache_key(_: TaskRunContext, parameters: dict[str, Any]) -> str:
    return batch_result_key(parameters["transfer_id"], parameters["number"])


def _worth_retrying(_task: Task[..., Any], _run: TaskRun, state: State[Any]) -> bool:
    error = state.data  # the exception itself: the state was made from it just now, in this process
    return isinstance(error, TransferError) and error.retryable


@task(
    name="transfer-batch",
    task_run_name="batch {number} of {transfer_id}",
    cache_policy=CacheKeyFnPolicy(cache_key_fn=_cache_key),
    persist_result=True,
    retry_condition_fn=_worth_retrying,
)
def transfer_batch(transfer_id: str, number: int) -> Ledger:  # noqa: ARG001 - the cache key has the id
    """Transfer what remains of one batch with one Globus task; return the batch's ledger.

    Raises:
        BatchIncompleteError: the Globus task ended and something remains; trying again may help.
        BatchDeadLettersError: some items failed for good.
        GlobusError: Globus refused, or was out of reach for longer than ``patience``.
        StoreError: the outcome could not be recorded.
        TransferStoppedError: the driver was told to stop.
    """
    driver = current_driver()
    context = TaskRunContext.get()
    retry = context.task_run.run_count - 1 if context is not None else 0
    if retry > 0:
        # Prefect's own wait is a sleep that no stop can interrupt
        driver.stop.wait(driver.options.retry_wait(retry, random.random()))  # noqa: S311 - jitter, no secret
    return drive_batch(driver, number)


def drive_batch(driver: Driver, number: int) -> Ledger:
    """The body of `transfer_batch`."""
    batch = driver.store.load_batch(driver.transfer.id, number)
    if batch.status is BatchStatus.DONE:  # Prefect's cache fails open: the checkpoint decides
        return batch.ledger
    items = driver.store.load_manifest(driver.transfer.id, number)
    if not batch.live:  # what a live attempt was sent may not change
        batch = _set_aside(driver, batch, items)
    if batch.remaining:
        batch = _intended(driver, batch)
        batch = submitted(driver, batch, items)
        batch = _watched(driver, batch, items)
    return _verdict(batch)


def _set_aside(driver: Driver, batch: Batch, items: Sequence[Item]) -> Batch:
    """Account for what cannot be transferred without asking Globus to try."""
    faults = {}
    for item in batch.left(items):
        if item.type in _UNTRANSFERABLE and not _is_mended(driver, item):
            outcome, code = _UNTRANSFERABLE[item.type]
            faults[item.path] = ItemFault(path=item.path, outcome=outcome, code=code, attempt=0)
    return driver.save_batch(batch.set_aside(items, faults)) if faults else batch


def _is_mended(driver: Driver, item: Item) -> bool:
    """Whether a link that led nowhere when it was listed leads somewhere now."""
    if item.type is not ItemType.INVALID_SYMLINK:
        return False
    entry = driver.patiently(driver.globus.stat, driver.transfer.source.child(item.path))
    return entry is not None and entry.type is not ItemType.INVALID_SYMLINK


def _intended(driver: Driver, batch: Batch) -> Batch:
    """The batch with an attempt on record that has not ended: the one that was cut off, or a new one."""
    if batch.live:
        return batch
    submission_id = driver.patiently(driver.globus.new_submission_id)
    seconds = driver.options.deadline_seconds
    deadline = None if seconds is None else now() + timedelta(seconds=seconds)
    return driver.save_batch(batch.intend(submission_id, deadline))


def submitted(driver: Driver, batch: Batch, items: Sequence[Item]) -> Batch:
    """The batch with its intended attempt accepted by Globus, by a first submission or by the same one again."""
    attempt = batch.attempts[-1]
    if attempt.status is AttemptStatus.SUBMITTED:
        return batch
    body = submission_body(driver.transfer, batch, batch.left(items))
    try:
        task_id = driver.patiently(driver.globus.submit, body)
    except _REFUSALS as error:
        # this attempt is over: kept as intended, it would be posted and refused again for ever
        driver.save_batch(batch.settle(items, Settlement(status=AttemptStatus.FAILED, error=error.code)))
        raise
    return driver.save_batch(batch.submitted(task_id))


def _watched(driver: Driver, batch: Batch, items: Sequence[Item]) -> Batch:
    """The batch after its Globus task has ended and every item is recorded where it belongs."""
    task_id = _task_id(batch)
    wait = _FIRST_LOOK
    nice_status = None
    while (view := look(driver, batch)) is not None and not view.ended:
        driver.progress.report(batch.number, view.files_transferred, view.bytes_transferred)
        if view.nice_status not in (nice_status, "OK", "Queued"):
            get_run_logger().warning("Globus task %s: %s (%s faults)", task_id, view.nice_status, view.faults)
        nice_status = view.nice_status
        driver.stop.wait(wait)
        wait = min(driver.options.poll_interval, wait * 1.5)
    return settled(driver, batch, items, view)


def look(driver: Driver, batch: Batch) -> TaskView | None:
    """The latest task of ``batch`` as Globus has it now; None when it is so old that Globus has forgotten it.

    Raises:
        TaskNotVisibleError: Globus does not show it, though it must still know it.
    """
    task_id, since = _task_id(batch), batch.attempts[-1].submitted_at
    try:
        return driver.patiently(driver.globus.task, task_id)
    except GlobusNotFoundError as error:
        if since is None or now() - since < _RETENTION:
            raise TaskNotVisibleError(transfer_id=batch.transfer_id, task_id=task_id) from error
        return None


def settled(driver: Driver, batch: Batch, items: Sequence[Item], view: TaskView | None) -> Batch:
    """Reconcile the ended task with the manifest, and record it."""
    if view is None:
        settlement = Settlement(status=AttemptStatus.LOST, error="NOT_FOUND")
    else:
        settlement = _settlement(driver, batch.attempts[-1], view)
    return driver.save_batch(batch.settle(items, settlement))


def _settlement(driver: Driver, attempt: Attempt, view: TaskView) -> Settlement:
    source, globus = driver.transfer.source, driver.globus
    skipped: dict[str, str] = {}
    if view.skipped_errors:
        rows = driver.patiently(globus.skipped_paths, view.task_id)
        skipped = {_relative(source, path): code for path, code in rows.items()}
    moved: frozenset[str] | None = None
    all_moved = view.status == "SUCCEEDED" and (sync_level(driver.transfer, attempt) is None or not view.files_skipped)
    if not all_moved:
        moved = frozenset(_relative(source, path) for path in _moved_paths(driver, view))
    return Settlement(
        status=_attempt_status(view),
        moved=moved,
        skipped=skipped,
        error=view.fatal_code,
        files_transferred=view.files_transferred,
        bytes_transferred=view.bytes_transferred,
        faults=view.faults,
    )


def _moved_paths(driver: Driver, view: TaskView) -> set[str]:
    if not view.files_transferred:
        return set()
    return driver.patiently(driver.globus.moved_paths, view.task_id)


def _attempt_status(view: TaskView) -> AttemptStatus:
    if view.status == "SUCCEEDED":
        return AttemptStatus.SUCCEEDED
    return AttemptStatus.CANCELED if view.fatal_code == _CANCELED else AttemptStatus.FAILED


def _relative(source: Location, path: str) -> str:
    return "" if path == source.path else path.removeprefix(source.path.rstrip("/") + "/")


def _task_id(batch: Batch) -> UUID:
    task_id = batch.attempts[-1].task_id
    if task_id is None:
        message = f"batch {batch.number} is watched before it was submitted"
        raise RuntimeError(message)
    return task_id


def _verdict(batch: Batch) -> Ledger:
    ledger, attempt = batch.ledger, batch.attempt
    if batch.remaining:
        raise BatchIncompleteError(
            transfer_id=batch.transfer_id,
            number=batch.number,
            items=batch.items,
            remaining=batch.remaining,
            attempt=attempt.number if attempt else 0,
            outcome=attempt.status if attempt else batch.status,
            reason=(attempt.error if attempt else None) or "no reason given",
        )
    if ledger.dead:
        dead = [fault for fault in batch.faults if fault.outcome is Outcome.DEAD]
        raise BatchDeadLettersError(
            transfer_id=batch.transfer_id,
            number=batch.number,
            items=batch.items,
            dead=ledger.dead,
            reason=f"{dead[0].code}, the first is {dead[0].path!r}",
        )
    return ledger
