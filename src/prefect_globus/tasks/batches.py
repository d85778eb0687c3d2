"""Transfer one batch: intend -> submit -> watch -> reconcile -> record. Recovery calls the same functions."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from prefect import task
from prefect.cache_policies import CacheKeyFnPolicy
from prefect.client.schemas.objects import State, TaskRun
from prefect.context import TaskRunContext
from prefect.tasks import Task

from prefect_globus.blocks.checkpoints import batch_result_key
from prefect_globus.tasks.driver import Driver, current_driver
from prefect_globus.tasks.journal import tell_retry, tell_set_aside, tell_settled, tell_submitted
from prefect_globus.tasks.manifests import Manifest
from prefect_globus.tasks.submitting import submitted
from prefect_globus.tasks.tracing import traced_batch, traced_task
from prefect_globus.tasks.watching import watched
from prefect_globus.transfers.batches import Batch, ItemFault
from prefect_globus.transfers.errors import (
    BatchDeadLettersError,
    BatchIncompleteError,
    TaskFailedForGoodError,
    TransferError,
)
from prefect_globus.transfers.faults import Fault, FaultClass, classify
from prefect_globus.transfers.isolation import goes_on, is_poisoned, next_span
from prefect_globus.transfers.items import Item, ItemType, Outcome, is_nameable, untransferable
from prefect_globus.transfers.ledger import Ledger
from prefect_globus.transfers.naming import batch_name
from prefect_globus.transfers.records import now
from prefect_globus.transfers.states import AttemptStatus, BatchStatus


def _cache_key(_: TaskRunContext, parameters: dict[str, Any]) -> str:
    return batch_result_key(parameters["transfer_id"], parameters["number"])


def _run_name(parameters: dict[str, Any]) -> str:
    try:
        driver = current_driver()
    except RuntimeError:  # the task itself says what is wrong
        return batch_name(parameters["number"], None, None)
    transfer, number = driver.transfer, parameters["number"]
    return batch_name(number, transfer.batches if transfer.scan_complete else None, driver.progress.ledger_of(number))


def _worth_retrying(_task: Task[..., Any], _run: TaskRun, state: State[Any]) -> bool:
    error = state.data  # the exception itself: the state was made from it just now, in this process
    return isinstance(error, TransferError) and error.retryable


@task(
    name="transfer-batch",
    task_run_name=_run_name,  # type: ignore[arg-type] # Prefect looks for the name of the argument
    cache_policy=CacheKeyFnPolicy(cache_key_fn=_cache_key),
    persist_result=True,
    retry_condition_fn=_worth_retrying,
)
def transfer_batch(transfer_id: str, number: int) -> Ledger:  # noqa: ARG001 - the cache key has the id
    """Transfer what remains of one batch; return the batch's ledger.

    One Globus task does it, unless an item fails for good that Globus does not name: then several find it out.

    Raises:
        BatchIncompleteError: the Globus task ended and something remains; trying again may help.
        BatchDeadLettersError: some items failed for good.
        TaskFailedForGoodError: the Globus task ended for a reason that concerns every other one, too.
        TaskInTheWayError: somebody else's task has the same paths, for longer than ``conflict_wait``.
        GlobusError: Globus refused, or was out of reach for longer than ``patience``.
        StoreError: the outcome could not be recorded.
        TransferPausedError: a person has to mend something, and has not done so within ``pause_limit``.
        TransferStoppedError: the driver was told to stop.
    """
    driver = current_driver()
    context = TaskRunContext.get()
    retry = context.task_run.run_count - 1 if context is not None else 0
    if retry > 0:
        seconds = driver.options.retry_wait(retry, random.random())  # noqa: S311 - jitter
        tell_retry(driver, number, retry, seconds)
        with driver.progress.waiting(number, "the next try"):
            # Prefect's own wait is a sleep that no stop can interrupt
            driver.stop.wait_before_new(seconds)
    return drive_batch(driver, number)


def drive_batch(driver: Driver, number: int) -> Ledger:
    """The body of `transfer_batch`."""
    batch = driver.load_batch(number)
    if batch.status is BatchStatus.DONE:  # Prefect's cache fails open: the checkpoint decides
        return batch.ledger
    with traced_batch(batch):
        return _transferred(driver, batch)


def _transferred(driver: Driver, batch: Batch) -> Ledger:
    manifest = Manifest(driver, batch.number)
    if not batch.live:  # what a live attempt was sent may not change
        batch = _set_aside(driver, batch, manifest.items)
    poisoned = 0
    while batch.remaining:
        batch = _intended(driver, batch)
        taken_up = batch.attempts[-1].status is AttemptStatus.SUBMITTED
        with traced_task(batch) as ended:
            batch = submitted(driver, batch, manifest)
            tell_submitted(driver, batch, taken_up=taken_up)
            batch = watched(driver, batch, manifest, give_up=poisoned >= driver.options.isolation_limit)
            ended(batch)
        tell_settled(driver, batch)
        poisoned += is_poisoned(batch.attempts[-1])
        if not goes_on(batch):
            break
    return _verdict(batch)


def _set_aside(driver: Driver, batch: Batch, items: Sequence[Item]) -> Batch:
    """Account for what cannot be transferred without asking Globus to try."""
    faults = {}
    for item in batch.left(items):
        found = untransferable(item)
        if found is not None and not _is_mended(driver, item):
            outcome, code = found
            faults[item.path] = ItemFault(path=item.path, outcome=outcome, code=code, attempt=0)
    if not faults:
        return batch
    tell_set_aside(driver, batch, faults)
    return driver.save_batch(batch.set_aside(items, faults))


def _is_mended(driver: Driver, item: Item) -> bool:
    """Whether a link that led nowhere when it was listed leads somewhere now."""
    if item.type is not ItemType.INVALID_SYMLINK or not is_nameable(item.path):
        return False
    entry = driver.patiently(driver.globus.stat, driver.transfer.source.child(item.path))
    return entry is not None and entry.type is not ItemType.INVALID_SYMLINK


def _intended(driver: Driver, batch: Batch) -> Batch:
    """The batch with an attempt on record that has not ended: the one that was cut off, or a new one."""
    if batch.live:
        return batch
    driver.wait_while_held()
    why = "a place among the Globus tasks of this login"
    with driver.progress.waiting(batch.number, why), driver.counting.waiting_for_place():
        slot = driver.slots.take(driver.stop)
    try:
        submission_id = driver.patiently(driver.globus.new_submission_id)
        seconds = driver.options.deadline_seconds
        deadline = None if seconds is None else now() + timedelta(seconds=seconds)
        return driver.save_batch(batch.intend(submission_id, deadline, next_span(batch), slot))
    except BaseException:
        driver.slots.free(slot)
        raise


def _verdict(batch: Batch) -> Ledger:
    ledger, attempt = batch.ledger, batch.attempt
    if batch.remaining:
        facts: dict[str, Any] = {
            "transfer_id": batch.transfer_id,
            "number": batch.number,
            "reason": (attempt.error if attempt else None) or "no reason given",
        }
        if attempt is not None and _is_hopeless(attempt.error):
            raise TaskFailedForGoodError(task_id=attempt.task_id, **facts)
        raise BatchIncompleteError(
            items=batch.items,
            remaining=batch.remaining,
            attempt=attempt.number if attempt else 0,
            outcome=attempt.status if attempt else batch.status,
            **facts,
        )
    if ledger.dead:
        dead = [fault for fault in batch.noted.values() if fault.outcome is Outcome.DEAD]
        raise BatchDeadLettersError(
            transfer_id=batch.transfer_id,
            number=batch.number,
            items=batch.items,
            dead=ledger.dead,
            reason=f"{dead[0].code}, the first is {dead[0].path!r}",
        )
    return ledger


def _is_hopeless(code: str | None) -> bool:
    return code is not None and classify(Fault(code=code, fatal=True)) is FaultClass.PERMANENT_ALL
