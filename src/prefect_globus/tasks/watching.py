"""Watch a Globus task to its end, or end it, and reconcile what it did with the manifest."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import NamedTuple
from uuid import UUID

from prefect_globus.globus.service import Between
from prefect_globus.globus.submission import sync_level
from prefect_globus.tasks.driver import Driver
from prefect_globus.tasks.journal import tell_trouble
from prefect_globus.tasks.logs import run_logger
from prefect_globus.tasks.manifests import Manifest
from prefect_globus.tasks.wholes import whole_settlement
from prefect_globus.transfers.batches import Attempt, Batch, Settlement
from prefect_globus.transfers.errors import GlobusError, GlobusNotFoundError, TaskNotVisibleError
from prefect_globus.transfers.isolation import isolated
from prefect_globus.transfers.items import Item, Outcome
from prefect_globus.transfers.records import now
from prefect_globus.transfers.states import AttemptStatus
from prefect_globus.transfers.watching import Action, Beginning, TaskView, Verdict, Watch

_FIRST_LOOK = 0.2
_END_LOOK = 0.5
_CANCELED = "CANCELED"
# As long as Globus knows a task (contract, section 4): before that, one that cannot be found is somebody else's.
_RETENTION = timedelta(days=30)


def watched(driver: Driver, batch: Batch, manifest: Manifest, *, give_up: bool) -> Batch:
    """The batch after its Globus task has ended, and every item is recorded where it belongs.

    Args:
        driver: whose batch it is.
        batch: with a submitted attempt.
        manifest: its own; let go while its task is watched.
        give_up: see `isolated`.
    """
    manifest.let_go()
    beginning = Beginning(batch.attempts[-1].submitted_at)

    def tell(view: TaskView) -> None:
        beginning.see(view, now())
        driver.progress.report(batch.number, view)

    seen = seen_to_end(driver, batch.attempts[-1], tell)
    batch = batch.observed(beginning.at, seen.codes)
    if seen.code is not None:
        return ended(driver, _condemned(driver, batch, seen), manifest, give_up=give_up)
    return settled(driver, batch, manifest, seen.view, give_up=give_up)


class Seen(NamedTuple):
    """What became of a watched task.

    Args:
        view: as it was seen last; None when Globus has forgotten it.
        code: why it is to be ended; None when it has ended.
        codes: of its error events, as far as they were read.
    """

    view: TaskView | None
    code: str | None = None
    codes: Mapping[str, int] = {}


def seen_to_end(driver: Driver, attempt: Attempt, tell: Callable[[TaskView], None] = lambda _: None) -> Seen:
    """Watch the task of ``attempt`` until it has ended, or is to be ended.

    Args:
        driver: whose it is.
        attempt: one that was submitted.
        tell: is called with what it looks like from time to time.
    """
    watch = Watch(driver.options, time.monotonic())
    wait = _FIRST_LOOK
    nice_status = None
    view = look(driver, attempt)
    while view is not None and not view.ended:
        tell(view)
        codes = driver.patiently(driver.globus.error_codes, view.task_id) if watch.wants_codes(view) else None
        verdict = watch.judge(view, time.monotonic(), codes)
        if view.nice_status not in (nice_status, "OK", "Queued"):
            tell_trouble(driver, view)
        nice_status = view.nice_status
        if verdict.action is Action.END or attempt.error:  # or it was to be ended when its driver died
            return Seen(view, attempt.error or verdict.code, watch.codes)
        if verdict.action is Action.WAIT_FOR_PERSON:
            view = _mended(driver, attempt, watch, view, verdict)
            continue
        view = look(driver, attempt, wait)
        wait = min(driver.options.poll_interval, wait * 1.5)
    return Seen(view, codes=watch.codes)


def ended(driver: Driver, batch: Batch, manifest: Manifest, *, give_up: bool = False) -> Batch:
    """The batch after its Globus task was canceled, if it had not ended, and what it had done is recorded."""
    return settled(driver, batch, manifest, end_task(driver, batch.attempts[-1]), give_up=give_up)


def end_task(driver: Driver, attempt: Attempt) -> TaskView | None:
    """The task of ``attempt`` after it was canceled, if it had not ended; None when Globus has forgotten it."""
    view = look(driver, attempt)
    if view is not None and not view.ended:
        driver.act(driver.globus.cancel, view.task_id)
        view = look(driver, attempt)
    while view is not None and not view.ended:
        view = look(driver, attempt, _END_LOOK)
    return view


def look(driver: Driver, attempt: Attempt, seconds: float = 0.0) -> TaskView | None:
    """The task of ``attempt``, ``seconds`` from now at most; None when it is so old that Globus has forgotten it.

    Raises:
        TaskNotVisibleError: Globus does not show it, though it must still know it.
    """
    task_id, since = _task_id(attempt), attempt.submitted_at
    if (view := driver.polling.look(task_id, seconds)) is not None:
        return view
    try:
        return driver.patiently(driver.globus.task, task_id)
    except GlobusNotFoundError as error:
        if since is None or now() - since < _RETENTION:
            raise TaskNotVisibleError(transfer_id=driver.transfer.id, task_id=task_id) from error
        return None


def settled(driver: Driver, batch: Batch, manifest: Manifest, view: TaskView | None, *, give_up: bool = False) -> Batch:
    """Reconcile the ended task with the manifest, and record it."""
    after = driver.save_batch(_reconciled(driver, batch, manifest, view, give_up=give_up))
    driver.slots.free(batch.attempts[-1].slot)
    return after


def _reconciled(driver: Driver, batch: Batch, manifest: Manifest, view: TaskView | None, *, give_up: bool) -> Batch:
    if view is None:
        settlement = Settlement(status=AttemptStatus.LOST, error="NOT_FOUND")
    elif _all_at_once(driver, batch, view):
        return batch.settle_all(_told(driver, batch, view, {}, None))  # no item need be looked at
    else:
        settlement = _settlement(driver, batch, manifest.items, view)
    return isolated(batch.settle(manifest.items, settlement), batch, manifest.items, give_up=give_up)


def _all_at_once(driver: Driver, batch: Batch, view: TaskView) -> bool:
    """Whether the task was sent all items of ``batch`` and has moved them, as they were scanned."""
    if batch.is_whole or not batch.is_sent_all or view.skipped_errors:
        return False
    return _all_moved(driver, batch.attempts[-1], view, batch.size)


def _condemned(driver: Driver, batch: Batch, seen: Seen) -> Batch:
    """The batch with the end of its task on record, before that is asked for."""
    attempt = batch.attempts[-1]
    if attempt.error or seen.code is None:
        return batch
    facts = _task_id(attempt), seen.code
    run_logger().warning("Globus task %s makes no progress (%s) and is ended; the rest of its files goes on", *facts)
    return driver.save_batch(batch.ending(seen.code, seen.codes))


def _mended(driver: Driver, attempt: Attempt, watch: Watch, view: TaskView, verdict: Verdict) -> TaskView | None:
    """The task after a person has let it go on, or ended it."""
    says = _pause_message(driver, view) if view.is_paused else _what_is_missing(driver)
    reason = f"Globus task {view.task_id} is {'paused' if view.is_paused else view.status} ({verdict.code})"
    with driver.held(f"{reason}: {says}" if says else reason) as hold:
        looked: TaskView | None = view
        while looked is not None and not looked.ended and verdict.action is Action.WAIT_FOR_PERSON:
            hold.wait()
            looked = look(driver, attempt)
            if looked is not None:
                verdict = watch.judge(looked, time.monotonic())
        return looked


def _what_is_missing(driver: Driver) -> str | None:
    """What a person has to mend at one of the two ends; None when both can be looked at.

    Where a consent is missing, a client with a secret gives it again by this look.
    """
    for location in (driver.transfer.source, driver.transfer.destination):
        try:
            driver.globus.stat(location)
        except GlobusError as error:  # it only explains, as the message of a pause
            if error.needs_person:
                return str(error)
    return None


def _pause_message(driver: Driver, view: TaskView) -> str | None:
    try:
        return driver.patiently(driver.globus.pause_message, view.task_id)
    except GlobusError as error:  # it only explains, and is no reason to give up
        run_logger().warning("%s", error)
        return None


def _settlement(driver: Driver, batch: Batch, items: Sequence[Item], view: TaskView) -> Settlement:
    if batch.is_whole:
        return whole_settlement(driver, batch, view, status_of(view))
    source, globus = driver.transfer.source, driver.globus
    attempt = batch.attempts[-1]
    skipped: dict[str, str] = {}
    if view.skipped_errors:
        rows = driver.patiently(globus.skipped_paths, view.task_id, _between(driver, attempt))
        skipped = {source.relative(path): code for path, code in rows.items()}
    moved: dict[str, int] | None = None
    if not _all_moved(driver, attempt, view, _bytes(batch.sent(items), skipped)):
        moved = _moved(driver, batch, items, view)
    return _told(driver, batch, view, skipped, moved)


def _told(
    driver: Driver, batch: Batch, view: TaskView, skipped: Mapping[str, str], moved: Mapping[str, int] | None
) -> Settlement:
    return Settlement(
        status=status_of(view),
        moved=moved,
        skipped=skipped,
        skipped_as=Outcome.SKIPPED if driver.transfer.options.skip_source_errors else Outcome.DEAD,
        exact=not batch.attempts[-1].adopted,
        error=view.fatal_code,
        files_transferred=view.files_transferred,
        bytes_transferred=view.bytes_transferred,
        faults=view.faults,
    )


def _all_moved(driver: Driver, attempt: Attempt, view: TaskView, size: int) -> bool:
    """Whether the counters alone tell that the task has moved all it was sent, as it was scanned."""
    if attempt.adopted or view.status != "SUCCEEDED" or view.bytes_transferred != size:
        return False
    return sync_level(driver.transfer, attempt) is None or not view.files_skipped


def _moved(driver: Driver, batch: Batch, items: Sequence[Item], view: TaskView) -> dict[str, int]:
    """What the task has moved: relative paths with sizes in bytes."""
    if not view.files_transferred:
        return {}
    attempt = batch.attempts[-1]
    rows = driver.patiently(driver.globus.moved_paths, view.task_id, _between(driver, attempt))
    moved = {driver.transfer.source.relative(path): size for path, size in rows.items()}
    if not attempt.adopted:
        return moved
    # somebody else may have scanned what it was sent: only what is as it was scanned here is taken for delivered
    scanned = {item.path: item.size for item in items}
    return {path: size for path, size in moved.items() if scanned.get(path) == size}


def _between(driver: Driver, attempt: Attempt) -> Between | None:
    """Where the files of an adopted task have to have gone: its label alone tells nothing of that."""
    return (driver.transfer.source, driver.transfer.destination) if attempt.adopted else None


def _bytes(items: Sequence[Item], without: dict[str, str]) -> int:
    return sum(item.size for item in items if item.path not in without)


def status_of(view: TaskView) -> AttemptStatus:
    """How an ended task went."""
    if view.status == "SUCCEEDED":
        return AttemptStatus.SUCCEEDED
    return AttemptStatus.CANCELED if view.fatal_code == _CANCELED else AttemptStatus.FAILED


def _task_id(attempt: Attempt) -> UUID:
    if attempt.task_id is None:
        message = f"attempt {attempt.number} is watched before it was submitted"
        raise RuntimeError(message)
    return attempt.task_id
