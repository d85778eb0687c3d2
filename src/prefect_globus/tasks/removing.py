"""Remove: delete at the source what was delivered, or at the destination what is extra, by Globus delete tasks.

intend -> submit -> watch -> record, as for batches: a deletion that was cut off is submitted again under its own id, to
the letter. One task at a time, and what it is sent was looked at right before.
"""

from __future__ import annotations

import logging
from collections.abc import Generator, Iterator, Sequence
from functools import partial
from itertools import islice
from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE

from prefect_globus.globus.service import Entry
from prefect_globus.globus.submission import place_of, removal_body, removal_label
from prefect_globus.tasks.driver import Driver, current_driver
from prefect_globus.tasks.listing import View, listing_if_there
from prefect_globus.tasks.logs import run_logger
from prefect_globus.tasks.recalling import batches_behind
from prefect_globus.tasks.submitting import REFUSALS
from prefect_globus.tasks.watching import end_task, seen_to_end, status_of
from prefect_globus.transfers.batches import Attempt
from prefect_globus.transfers.comparing import SOURCE_VANISHED
from prefect_globus.transfers.delivered import deliveries_of
from prefect_globus.transfers.errors import (
    CorruptCheckpointError,
    DirectoryTooLargeError,
    GlobusConflictError,
    GlobusRefusedPathError,
    InvalidInputError,
    MoreToDeleteError,
    RemovalFailedError,
    SameStorageError,
)
from prefect_globus.transfers.extras import extras
from prefect_globus.transfers.items import Item, Outcome, scan_order
from prefect_globus.transfers.location import Location
from prefect_globus.transfers.quantities import count, size
from prefect_globus.transfers.removals import (
    Plan,
    Removal,
    RemovalKind,
    RemovalReport,
    Tally,
    Verdict,
    compared_outcomes,
    of_kind,
    why_kept,
)
from prefect_globus.transfers.states import AttemptStatus, TransferStatus
from prefect_globus.transfers.watching import TaskView

# What one task deletes: so many that a million take some 200 tasks, so few that the look at them was just before.
_MOST = 5_000


def _run_name(parameters: dict[str, Any]) -> str:
    what = {
        RemovalKind.SOURCE: "what was delivered at the source",
        RemovalKind.EXTRA: "what is extra at the destination",
    }
    return f"delete {what[parameters['plan'].kind]}"


@task(
    name="delete-leftovers",
    task_run_name=_run_name,  # type: ignore[arg-type] # Prefect looks for the name of the argument
    cache_policy=NO_CACHE,
)
def remove(transfer_id: str, plan: Plan, limit: int = 0) -> RemovalReport:  # noqa: ARG001 - Prefect shows the id
    """Delete what ``plan`` says; the report names the first ``limit`` items of a sort.

    Raises:
        RemovalFailedError: something is still there.
        MoreToDeleteError: more is extra than somebody has approved to be deleted.
        SameStorageError: the destination is the source under another name; one file is lost.
        GlobusError: Globus refused, or was out of reach for longer than ``patience``.
        TransferStoppedError: the driver was told to stop; what it has begun is on record.
    """
    return removed(current_driver(), plan, limit)


def removed(driver: Driver, plan: Plan, limit: int = 0) -> RemovalReport:
    """The body of `remove`."""
    before = removal = of_kind(driver.transfer.removals, plan.kind)
    if removal.live:  # the driver died meanwhile
        removal = _taken_up(driver, plan, removal)
    tally, left = Tally(limit), 0
    for verdicts in verdicts_of(driver, plan):
        for verdict in verdicts:
            tally.add(verdict)
        if chosen := [verdict.item for verdict in verdicts if verdict.code is None]:
            _check_approved(driver, plan, removal.deleted + len(chosen))
            deleted = removal.deleted
            removal = _finished(driver, _intended(driver, removal, chosen))
            left += len(chosen) - (removal.deleted - deleted)
            if removal.deleted == deleted:  # nor would another one delete anything
                break
    if left:
        raise _failed(driver, removal, left)
    removal = _saved(driver, removal.evolve(complete=True, kept=dict(tally.kept)))
    report = tally.report(
        driver.transfer,
        plan.kind,
        dry_run=False,
        items_deleted=removal.deleted - before.deleted,
        bytes_deleted=removal.size - before.size,
        task_ids=removal.task_ids,
    )
    kept = ", ".join(f"{number:,} stay ({code})" for code, number in sorted(tally.kept.items())) or "nothing stays"
    facts = count(report.items_deleted, "item"), size(report.bytes_deleted), report.location, kept
    run_logger().log(logging.WARNING if tally.kept else logging.INFO, "%s, %s, deleted from %s; %s", *facts)
    return report


def _check_approved(driver: Driver, plan: Plan, number: int) -> None:
    """Refuse to delete more than somebody has approved, and have the next run ask again.

    Raises:
        MoreToDeleteError: it would be more.
    """
    approval = driver.transfer.approval
    if plan.kind is not RemovalKind.EXTRA or approval is None or driver.transfer.status is TransferStatus.COMPLETED:
        return
    if approval.deletes is not None and number > approval.deletes:
        driver.update(approval=None)
        raise MoreToDeleteError(transfer_id=driver.transfer.id, approved=approval.deletes)


def end_removals(driver: Driver) -> None:
    """Cancel every deletion that may still run, wait for its end, and record what it had done (invariant 7)."""
    for removal in driver.transfer.removals:
        if removal.live and (known := _submitted_before(driver, removal)) is not None:
            _settled(driver, known, end_task(driver, _attempt(known)))


# --- what is to be deleted


def verdicts_of(driver: Driver, plan: Plan) -> Iterator[list[Verdict]]:
    """What is to be done about all there is, so many at a time; they are looked at when they are asked for."""
    most = min(_MOST, driver.transfer.options.batch_size or _MOST)
    if plan.kind is RemovalKind.SOURCE:
        yield from _verdicts_at_source(driver, plan, most)
        return
    source = partial(_listing, driver, driver.transfer.source, None)
    destination = partial(_listing, driver, driver.transfer.destination, ())
    others = driver.patiently(_others_places, driver)
    found = extras(_manifest(driver), destination, source, emptied=plan.emptied, others=others)
    while verdicts := list(islice(found, most)):
        yield verdicts


def _others_places(driver: Driver) -> set[str]:
    """Where below the destination other transfers on record deliver to.

    Raises:
        InvalidInputError: one has moved files to the destination itself: they are not at any source.
    """
    place, found = driver.transfer.destination, set()
    try:
        for each in driver.store.list_transfers():
            moved = each.id != driver.transfer.id and of_kind(each.removals, RemovalKind.SOURCE).deleted
            if moved and each.destination.contains(place):
                reason = f"Transfer {each.id!r} has moved {moved} files to {each.destination}, and deleted them at"
                reason += f" {each.source}: what is extra there may be the only copy, so nothing is deleted"
                raise InvalidInputError(reason=reason)
            if place.contains(each.destination) and each.destination != place:
                found.add(place.relative(each.destination.path))
    except CorruptCheckpointError as error:  # it comes last, and hinders no other
        run_logger().error("%s", error)
    return found


def _verdicts_at_source(driver: Driver, plan: Plan, most: int) -> Iterator[list[Verdict]]:
    transfer, is_file = driver.transfer, driver.transfer.source_is_file
    is_apart = False
    for batch in batches_behind(driver, transfer, None):
        items = driver.patiently(driver.store.load_manifest, transfer.id, batch.number)
        preserve = transfer.options.preserve_timestamp
        delivered = list(deliveries_of(batch, items, {}, preserve_timestamp=preserve))
        compared = compared_outcomes(transfer.options, batch) if plan.trusting else frozenset()
        for first in range(0, len(delivered), most):
            # new views, because what was listed before the last deletion is old
            source = View(driver, transfer.source, is_file=is_file)
            destination = View(driver, transfer.destination, is_file=is_file)
            look = partial(why_kept, source=source.sight, destination=destination.look)
            some = delivered[first : first + most]
            verdicts = [Verdict(each.item, look(each, compared=each.outcome in compared)) for each in some]
            # Globus cannot have given a file a time of its own where the source is: it would have changed
            is_apart = is_apart or any(
                verdict.code is None and each.outcome is Outcome.TRANSFERRED and not each.keeps_mtime
                for each, verdict in zip(some, verdicts, strict=True)
            )
            if not is_apart:
                is_apart = yield from _one_before(driver, verdicts)
            yield verdicts


def _one_before(driver: Driver, verdicts: list[Verdict]) -> Generator[list[Verdict], None, bool]:
    """One of ``verdicts`` that is taken out of them, whose copy has to outlive it; whether there was one.

    Under two names, as a link or a second collection gives them, the source may be taken for its own copy.
    """
    transfer = driver.transfer
    view = View(driver, transfer.destination, is_file=transfer.source_is_file)
    chosen = (each for each in verdicts if each.code is None and view.look(each.item.path) is not None)
    if (first := next(chosen, None)) is None:
        return False
    verdicts.remove(first)
    yield [first]
    if View(driver, transfer.destination, is_file=transfer.source_is_file).look(first.item.path) is None:
        facts = {"source": transfer.source, "destination": transfer.destination}
        raise SameStorageError(transfer_id=transfer.id, path=first.item.path or transfer.source.name, **facts)
    return True


def _manifest(driver: Driver) -> Iterator[Item]:
    for batch in batches_behind(driver, driver.transfer, None):
        yield from driver.patiently(driver.store.load_manifest, batch.transfer_id, batch.number)


def _listing(driver: Driver, place: Location, of_nothing: Sequence[Entry] | None, path: str) -> Sequence[Entry] | None:
    """The entries of a directory; ``of_nothing`` where there is none, and None where it cannot be listed."""
    try:
        listed = listing_if_there(driver, place, path)
    except GlobusRefusedPathError as error:
        if not path and not isinstance(error, DirectoryTooLargeError):
            raise
        run_logger().warning("%s What is in it stays.", error)
        return None
    return of_nothing if listed is None else listed


# --- one task


def _intended(driver: Driver, removal: Removal, chosen: Sequence[Item]) -> Removal:
    driver.wait_while_held()
    return _saved(driver, removal.intend(driver.patiently(driver.globus.new_submission_id), chosen))


def _taken_up(driver: Driver, plan: Plan, removal: Removal) -> Removal:
    """The removal after the live attempt of a driver that died has ended.

    One that need not have reached Globus was decided on long ago, perhaps: it is only submitted again if all that it is
    sent would be chosen today. Otherwise it is over, unless Globus is at work on it.
    """
    if _attempt(removal).status is not AttemptStatus.SUBMITTED and not _still_meant(driver, plan, removal):
        run_logger().warning("%s: what was to be deleted has changed since, and is looked at anew", driver.transfer.id)
        known = _submitted_before(driver, removal)
        if known is None:
            return of_kind(driver.transfer.removals, plan.kind)
        removal = known
    return _finished(driver, removal)


def _still_meant(driver: Driver, plan: Plan, removal: Removal) -> bool:
    """Whether nothing of what the latest attempt is sent has to stay by now."""
    sent = {item.path for item in removal.items}
    verdicts = (verdict for some in verdicts_of(driver, plan) for verdict in some)
    return all(item.path not in sent or code in (None, SOURCE_VANISHED) for item, code in verdicts)


def _finished(driver: Driver, removal: Removal) -> Removal:
    """The removal after its live attempt has ended."""
    removal = _submitted(driver, removal)
    seen = seen_to_end(driver, _attempt(removal))
    if seen.code is None:
        return _settled(driver, removal, seen.view)
    if not _attempt(removal).error:
        run_logger().warning("Globus task %s makes no progress (%s) and is ended", _attempt(removal).task_id, seen.code)
        removal = _saved(driver, removal.ending(seen.code))
    return _settled(driver, removal, end_task(driver, _attempt(removal)))


def _submitted(driver: Driver, removal: Removal) -> Removal:
    if _attempt(removal).status is AttemptStatus.SUBMITTED:
        return removal
    try:
        task_id = driver.act(driver.globus.delete, removal_body(driver.transfer, removal))
    except (*REFUSALS, GlobusConflictError) as error:
        # this attempt is over: kept as intended, it would be posted and refused again for ever
        _saved(driver, removal.ended(AttemptStatus.FAILED, error=error.code))
        raise
    return _saved(driver, removal.submitted(task_id))


def _submitted_before(driver: Driver, removal: Removal) -> Removal | None:
    """The removal with its task, if it has reached Globus; it is not submitted only to be canceled."""
    if _attempt(removal).status is AttemptStatus.SUBMITTED:
        return removal
    place, label = place_of(driver.transfer, removal.kind), removal_label(driver.transfer, removal)
    task_id = driver.patiently(driver.globus.unfinished_deletion, place.collection, label)
    if task_id is not None:
        return _saved(driver, removal.submitted(task_id))
    _saved(driver, removal.ended(AttemptStatus.CANCELED, _gone(driver, removal)))
    return None


def _settled(driver: Driver, removal: Removal, view: TaskView | None) -> Removal:
    """Record how the task of a removal has ended."""
    status = AttemptStatus.LOST if view is None else status_of(view)
    gone = removal.items if status is AttemptStatus.SUCCEEDED else _gone(driver, removal)
    return _saved(driver, removal.ended(status, gone, view.fatal_code if view is not None else "NOT_FOUND"))


def _gone(driver: Driver, removal: Removal) -> list[Item]:
    """What is not there any more of what an attempt was sent."""
    view = View(driver, place_of(driver.transfer, removal.kind), is_file=driver.transfer.source_is_file)
    return [
        item for item in sorted(removal.items, key=lambda item: scan_order(item.path)) if view.look(item.path) is None
    ]


def _saved(driver: Driver, removal: Removal) -> Removal:
    others = (each for each in driver.transfer.removals if each.kind is not removal.kind)
    driver.update(removals=(*others, removal))
    return removal


def _attempt(removal: Removal) -> Attempt:
    if removal.attempt is None:
        message = "a removal is watched before it was intended"
        raise RuntimeError(message)
    return removal.attempt


def _failed(driver: Driver, removal: Removal, left: int) -> RemovalFailedError:
    transfer = driver.transfer
    is_final = transfer.status is TransferStatus.COMPLETED
    return RemovalFailedError(
        transfer_id=transfer.id,
        left=left,
        location=place_of(transfer, removal.kind),
        reason=_attempt(removal).error or _attempt(removal).status,
        command=f"delete-{removal.kind} {transfer.id}" if is_final else f"resume {transfer.id}",
    )
