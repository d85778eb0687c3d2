"""Planning: what a transfer whose scan is complete would do, and how long past runs took for as much."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import islice

from prefect_globus.blocks.checkpoints import CheckpointStore
from prefect_globus.blocks.scratch_store import scratch_in_front_of
from prefect_globus.globus.service import Entry, GlobusService
from prefect_globus.tasks.driver import Driver, driving
from prefect_globus.tasks.listing import DestinationView
from prefect_globus.tasks.recalling import manifest_behind
from prefect_globus.tasks.removing import verdicts_of
from prefect_globus.transfers.errors import (
    CorruptCheckpointError,
    DirectoryTooLargeError,
    GlobusRefusedPathError,
    InvalidInputError,
    first_line,
)
from prefect_globus.transfers.estimating import Estimate, PastRun
from prefect_globus.transfers.items import INVALID_PATH_NAME, UNTRANSFERABLE, ItemType
from prefect_globus.transfers.model import Transfer
from prefect_globus.transfers.options import TransferOptions
from prefect_globus.transfers.planning import Foresight, TransferPlan
from prefect_globus.transfers.quantities import count
from prefect_globus.transfers.removals import SOURCE_EMPTY, Plan, RemovalKind, RemovalReport, Tally
from prefect_globus.transfers.states import TransferStatus

_MOST_RUNS = 20  # the latest, by which the time is estimated
_MOST_PROBLEMS = 10


@contextmanager
def rehearsing(store: CheckpointStore, globus: GlobusService, wanted: Transfer) -> Iterator[Driver]:
    """The driver of a transfer that is not on record, whose scan can be run like any other's.

    What it writes goes into a scratch store that is deleted in the end. It goes on behind directories that cannot be
    listed, so that a plan names all of them at once.
    """
    options = wanted.options.evolve(skip_source_errors=True, delete_destination_extra=False)
    with scratch_in_front_of(store) as scratch:
        scratch.create_transfer(wanted.evolve(options=options))
        driver = Driver(scratch, globus, scratch.load_transfer(wanted.id), options)
        with driving(driver):
            driver.take_over()
            driver.update(status=TransferStatus.SCANNING)
            yield driver


def planned(driver: Driver, options: TransferOptions, limit: int, *, compare: bool = True) -> TransferPlan:
    """What the transfer of ``driver`` would do, whose scan is complete and of which nothing was submitted.

    Args:
        driver: who asks.
        options: of the transfer as it would be run.
        limit: how many items of a sort are named.
        compare: whether the destination is looked at. Without that, what Globus would leave alone there is not told.

    Raises:
        GlobusError: Globus refused, or was out of reach for longer than ``patience``.
        TransferStoppedError: the driver was told to stop.
    """
    transfer, problems = driver.transfer, _Problems()
    foresight = Foresight(options, limit)
    view = _ForgivingView(driver, problems) if compare else None
    for batch, items in manifest_behind(driver, transfer, None):
        driver.stop.check_new()
        foresight.add(items, batch.outcomes, None if view is None else view.look)
    for name, number in foresight.not_moved.items():
        problems.add(*_of_code(name, number, foresight, options))
    removal = _extra(driver, options, limit, problems) if options.delete_destination_extra else None
    directories, more = foresight.directories
    counted = foresight.counted
    return TransferPlan(
        source=transfer.source,
        destination=transfer.destination,
        total=foresight.total,
        to_move=foresight.to_move,
        new=foresight.new if compare else None,
        replacing=foresight.replacing if compare else None,
        undecided=foresight.undecided,
        left_alone=dict(foresight.left_alone),
        not_moved=dict(foresight.not_moved),
        first_not_moved=tuple(foresight.first_not_moved),
        wholes=foresight.wholes,
        first_wholes=tuple(foresight.first_wholes),
        largest=foresight.largest,
        directories=directories,
        directories_more=more,
        batches=foresight.batches,
        tasks=foresight.tasks,
        since=transfer.since,
        deleted=transfer.deleted,
        removal=removal,
        moved_away=foresight.delivered_files if options.after == "delete_source" else None,
        compared=compare,
        estimate=Estimate.of(counted.items, counted.bytes, past_runs(driver.store, transfer)),
        problems=problems.words,
    )


def past_runs(store: CheckpointStore, own: Transfer) -> list[PastRun]:
    """What the latest transfers between the two collections of ``own`` have moved, and how long they took."""
    return list(islice(_past_runs(store, own), _MOST_RUNS))


def _past_runs(store: CheckpointStore, own: Transfer) -> Iterator[PastRun]:
    ends = own.source.collection, own.destination.collection
    try:
        for each in store.list_transfers():
            if each.id != own.id and (each.source.collection, each.destination.collection) == ends:
                run = PastRun.of(store.list_batches(each.id))
                if run is not None:
                    yield run
    except CorruptCheckpointError:  # it comes last
        return


class _Problems:
    """What would go wrong; of many, the first."""

    def __init__(self) -> None:
        self._words: list[str] = []
        self._more = 0

    @property
    def words(self) -> tuple[str, ...]:
        more = (f"and {count(self._more, 'problem')} more of this sort",) if self._more else ()
        return (*self._words, *more)

    def add(self, *words: str) -> None:
        for each in words:
            if len(self._words) < _MOST_PROBLEMS:
                self._words.append(each)
            else:
                self._more += 1


class _ForgivingView(DestinationView):
    """What the destination has, as far as it can be listed; where it cannot, nothing is known to be there."""

    def __init__(self, driver: Driver, problems: _Problems) -> None:
        super().__init__(driver, driver.transfer)
        self._problems = problems

    def _listed(self, path: str) -> Mapping[str, Entry]:
        try:
            return super()._listed(path)
        except GlobusRefusedPathError as error:
            self._problems.add(f"The destination cannot be listed: {first_line(error)}")
            return {}

    def _unseen(self, error: DirectoryTooLargeError) -> Mapping[str, Entry]:
        raise error


def _of_code(code: str, number: int, foresight: Foresight, options: TransferOptions) -> Iterator[str]:
    """What is wrong with the items of one code, if that keeps the transfer from being COMPLETED."""
    first = next((each for each in foresight.first_not_moved if each.code == code), None)
    named = f", the first being {first.path!r}" if first is not None else ""
    if code == UNTRANSFERABLE[ItemType.INVALID_SYMLINK][1]:
        yield (
            f"{count(number, 'symbolic link')} would fail for good, as they lead nowhere{named}: mend them, or leave "
            "them out by exclude"
        )
    elif code == INVALID_PATH_NAME:
        yield (
            f"{count(number, 'name')} would fail for good, with a line break in it, which Globus does not take{named}: "
            "rename, or leave out by exclude"
        )
    elif code == UNTRANSFERABLE[ItemType.UNLISTABLE][1] and not options.skip_source_errors:
        word = "directory" if number == 1 else "directories"
        yield (
            f"{number:,} {word} of the source cannot be listed{named}: the scan would end there. Mend the permissions, "
            "or set skip_source_errors to go on without them"
        )


def _extra(driver: Driver, options: TransferOptions, limit: int, problems: _Problems) -> RemovalReport | None:
    """What is extra at the destination; None where it would not be deleted, as the problems say."""
    plan = Plan.of(options)
    if plan is None or plan.kind is not RemovalKind.EXTRA:
        return None
    tally = Tally(limit)
    try:
        for verdicts in verdicts_of(driver, plan):
            for verdict in verdicts:
                tally.add(verdict)
    except InvalidInputError as error:
        problems.add(first_line(error))
        return None
    report = tally.report(driver.transfer, plan.kind, dry_run=True)
    if not driver.ledger().items and report.kept.get(SOURCE_EMPTY):
        problems.add("The source is empty, so nothing at the destination would be deleted, and the transfer would fail")
    return report
