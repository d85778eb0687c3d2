"""One tick of a schedule: decide, put the run on record, wait for its turn, and run it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, tzinfo
from typing import NamedTuple

from prefect.exceptions import Pause, TerminationSignal
from prefect.logging import get_run_logger

from prefect_globus.blocks import CheckpointStore, GlobusCredentials
from prefect_globus.flows.account import connected
from prefect_globus.flows.blocks import find_credentials, name_of
from prefect_globus.flows.control import cancel_transfer
from prefect_globus.flows.obeying import obeyed
from prefect_globus.flows.prefect_state import heed, is_canceled, watching_prefect
from prefect_globus.flows.resumable_transfer import resumable_transfer
from prefect_globus.flows.standing_in import obey_requests, standing_in
from prefect_globus.flows.triggers import (
    Trigger,
    earlier_ticks,
    has_due,
    heed_suspension,
    newest_tick,
    next_tick,
    one_at_a_time,
)
from prefect_globus.tasks.driver import Driver
from prefect_globus.tasks.opening import checked
from prefect_globus.tasks.patience import patiently
from prefect_globus.tasks.processes import is_gone
from prefect_globus.tasks.stopping import Stop
from prefect_globus.transfers.errors import (
    CorruptCheckpointError,
    DifferentTransferError,
    InvalidInputError,
    LeaseHeldError,
    TransferCanceledError,
    TransferError,
    TransferExistsError,
    TransferNotFoundError,
    TransferPausedError,
    TransferStoppedError,
    first_line,
)
from prefect_globus.transfers.location import Location, check_transfer_id
from prefect_globus.transfers.model import Transfer
from prefect_globus.transfers.options import TransferOptions
from prefect_globus.transfers.records import now
from prefect_globus.transfers.result import TransferResult
from prefect_globus.transfers.schedules import TransferSchedule, latest_start
from prefect_globus.transfers.states import FINAL_TRANSFER_STATUSES, TransferStatus
from prefect_globus.transfers.templates import expand, uses_run
from prefect_globus.transfers.ticks import (
    Action,
    CatchUp,
    Decision,
    Overlap,
    Run,
    Standing,
    Tick,
    all_begun,
    counted,
    decide,
    ended,
)

_LOOK_SECONDS = 2.0
_SECONDS_TO_BEGIN = 30.0
_INTERRUPTS = (TransferStoppedError, Pause, TerminationSignal, KeyboardInterrupt, SystemExit)


class Plan(NamedTuple):
    """What is transferred when: the parameters of the flow."""

    source: str
    destination: str
    transfer_id: str
    options: TransferOptions | None
    schedule: TransferSchedule | None
    overlap: Overlap
    catch_up: CatchUp
    zone: tzinfo
    credentials: GlobusCredentials | str | None
    checkpoints: CheckpointStore | str | None

    def transfer(self, trigger: Trigger, tick: datetime, number: int) -> Transfer:
        """The transfer that this run is."""
        options, local = self.options or TransferOptions(), tick.astimezone(self.zone)
        return Transfer(
            id=check_transfer_id(expand(self.transfer_id, local, number)),
            source=Location.parse(expand(self.source, local, number)),
            destination=Location.parse(expand(self.destination, local, number)),
            options=options,
            filtered=options.filter_callback is not None,
            scheduled=trigger.run(tick, number),
            credentials=name_of(self.credentials),
        )


class Ticking:
    """What one flow run does at its tick.

    Args:
        trigger: the flow run.
        plan: what it is to run.
        store: where the runs are on record.
    """

    def __init__(self, trigger: Trigger, plan: Plan, store: CheckpointStore) -> None:
        self.trigger = trigger
        self.plan = plan
        self.store = store
        self._begun: set[str] = set()

    # --- what is on record

    def runs(self) -> list[Run]:
        """The schedule's runs on record, in their order."""
        found: list[Transfer] = []
        try:
            found.extend(self.store.list_transfers())
        except CorruptCheckpointError as error:  # it comes last, and hinders no other
            get_run_logger().error("%s", error)
        ours = [
            each for each in found if each.scheduled is not None and each.scheduled.schedule == self.trigger.schedule
        ]
        return sorted((self._run(transfer) for transfer in ours), key=_order)

    def _run(self, transfer: Transfer) -> Run:
        if transfer.status in FINAL_TRANSFER_STATUSES:
            return Run.of(transfer, driven=False)
        lease = self.store.current_lease(transfer.id)
        driven = lease is not None and not is_gone(lease.holder)
        return Run.of(transfer, driven=driven or self._about_to_begin(transfer))

    def _about_to_begin(self, transfer: Transfer) -> bool:
        """Whether another process has put it on record just now, and will drive it when it has started its flow."""
        young = (now() - transfer.updated_at).total_seconds() < _SECONDS_TO_BEGIN
        return young and transfer.status is TransferStatus.CREATED and transfer.id not in self._begun

    def _schedule(self, runs: list[Run]) -> TransferSchedule | None:
        """The schedule; one that says no beginning has begun with its first run on record, or begins now."""
        ticks = [run.transfer.scheduled.tick for run in runs if run.transfer.scheduled is not None]
        first = min(ticks, default=self.trigger.tick)
        return self.plan.schedule and self.plan.schedule.beginning(first)

    def _own(self, tick: datetime, number: int, runs: list[Run]) -> Run | None:
        """What is on record for ``tick``, or under the id that its run would have.

        Raises:
            InvalidInputError: the id is that of a transfer which this tick's run cannot be.
        """
        for run in runs:
            if run.transfer.scheduled is not None and run.transfer.scheduled.tick == tick:
                return run
        wanted = self.plan.transfer(self.trigger, tick, number)
        try:
            found = self.store.load_transfer(wanted.id)
        except TransferNotFoundError:
            return None
        for what in ("source", "destination"):
            before, given = getattr(found, what), getattr(wanted, what)
            if before != given:
                raise DifferentTransferError(transfer_id=wanted.id, what=what, recorded=before, given=given)
        if found.scheduled is not None and uses_run(self.plan.transfer_id):
            reason = f"Transfer {found.id!r} is on record as {self._run(found)}, of an earlier schedule of this name"
            raise InvalidInputError(reason=f"{reason}: put {{scheduled}} into the template of the id, or delete it")
        return self._run(found)

    # --- the decision

    def decide(self, tick: datetime) -> tuple[Decision, Run | None, int]:
        """What is to be done at ``tick``, what is on record for it, and the number that a new run would have."""
        runs, plan = self.runs(), self.plan
        schedule = self._schedule(runs)
        number = counted(schedule, runs) + 1
        own = self._own(tick, number, runs)
        trigger = self.trigger.evolve(tick=tick)
        seen = Tick(at=tick, now=now(), automatic=trigger.automatic, following=next_tick(trigger))
        decision = decide(seen, runs, own, schedule=schedule, overlap=plan.overlap, catch_up=plan.catch_up)
        return decision, own, number

    def begin(self, tick: datetime) -> tuple[Decision, Run | None]:
        """Decide, and if there is to be a new run, put it on record; the decision, and the run that is on record.

        The locations are looked at before, as that may take long, and what was decided is then decided again.
        """
        asked: set[str] = set()
        while True:
            decision, own, number = self.decide(tick)
            if decision.action is not Action.RUN:
                return decision, own
            wanted = self._checked(self.plan.transfer(self.trigger, tick, number), tick)
            for transfer_id in decision.cancel:
                asked.add(transfer_id)
                self._cancel(transfer_id)
            with one_at_a_time(self.trigger):
                again, _, number_now = self.decide(tick)
                if again.action is Action.RUN and number_now == number and asked.issuperset(again.cancel):
                    self._begun.add(wanted.id)
                    try:
                        self.store.create_transfer(wanted)
                    except TransferExistsError:  # begun apart from the schedule, just now
                        continue
                    return decision, Run.of(wanted, driven=False)

    def begin_due(self) -> tuple[Decision, Run | None]:
        """Decide what this flow run is to do, its own tick or another that is due; the decision and the run.

        A night is not lost to a database that restarts: it is tried for as long as Timers would try.
        """
        options = (self.plan.options or TransferOptions()).evolve(patience=self._patience(self.trigger.tick))
        return patiently(options, Stop(str(self.trigger.flow_run_id)), self._begin_due)

    def _begin_due(self) -> tuple[Decision, Run | None]:
        if self.plan.catch_up == "all":
            self._begin_earlier()
        decision, own = self.begin(self.trigger.tick)
        if decision.action is Action.SKIP and self.plan.catch_up == "latest":
            newest = newest_tick(self.trigger)
            # its own flow run may come even later, when there is a newer one again, and so on
            if newest is not None and (instead := self.begin(newest))[0].action is Action.RUN:
                get_run_logger().info("%s; it is run now", decision.why)
                return instead
        return decision, own

    def _begin_earlier(self) -> None:
        """Put the runs of earlier ticks on record, whose flow runs have yet to do it, so that they come first."""
        for tick in earlier_ticks(self.trigger):
            decision, run = self.begin(tick)
            get_run_logger().info("The tick of %s: %s", tick, run or decision.why)

    def _checked(self, wanted: Transfer, tick: datetime) -> Transfer:
        """A transfer that may be created; while Globus is out of reach, it is tried for as long as Timers would try."""
        with connected(find_credentials(self.plan.credentials)) as globus:
            return checked(globus, wanted, self._patience(tick))

    def _patience(self, tick: datetime) -> float:
        """For how long what is out of reach is asked again, in seconds; a person would rather know it at once."""
        schedule = self.plan.schedule
        until = latest_start(tick, schedule.interval if schedule is not None else None)
        return max((until - now()).total_seconds(), 0.0) if self.trigger.automatic else 0.0

    def _cancel(self, transfer_id: str) -> None:
        get_run_logger().info("Transfer %s is canceled, as the next run is due", transfer_id)
        try:
            cancel_transfer(transfer_id, self.plan.credentials, self.plan.checkpoints)
        except TransferError as error:
            get_run_logger().warning("%s", first_line(error))

    # --- the run

    def run(self, own: Run) -> TransferResult:
        """Run what is on record as ``own``, when those before it are over.

        Raises:
            TransferError: as `resumable_transfer`.
        """
        with self._driving(own) as driver:
            self._wait_for_turn(own, driver)
        return self._transfer(own.transfer, self.plan.options)

    @contextmanager
    def _driving(self, own: Run) -> Iterator[Driver]:
        """Hold the lease while this run waits, so that others see it wait; and heed what is asked of it meanwhile."""
        with standing_in(self.store, own.transfer.id, self.plan.credentials) as driver, watching_prefect(driver):
            try:
                yield driver
                driver.update()  # so that it counts as about to begin
            except _INTERRUPTS as error:
                raise _heeded(driver, error) from None

    def _wait_for_turn(self, own: Run, driver: Driver) -> None:
        tried: set[str] = set()
        while True:
            driver.stop.check_new()
            before = [run for run in self.runs() if _order(run) < _order(own) and run.standing is not Standing.OVER]
            if busy := next((run for run in before if run.standing.in_the_way), None):
                get_run_logger().info("%s waits for %s, which is %s", own, busy, busy.standing)
                while self._is_in_the_way(busy.transfer.id):
                    heed_suspension(self.trigger)
                    driver.stop.wait_before_new(_LOOK_SECONDS)
            elif left := next((run for run in before if run.transfer.id not in tried), None):
                tried.add(left.transfer.id)
                self._take_up(left)
            else:
                return

    def _is_in_the_way(self, transfer_id: str) -> bool:
        try:
            return self._run(self.store.load_transfer(transfer_id)).standing.in_the_way
        except TransferNotFoundError:
            return False

    def take_up_cut_off(self) -> None:
        """Resume what an earlier run has left, where no other run is in the way."""
        runs = self.runs()
        if not any(run.standing.in_the_way for run in runs):
            for run in runs:
                if run.standing is Standing.CUT_OFF:
                    self._take_up(run)

    def _take_up(self, run: Run) -> None:
        get_run_logger().info("%s was cut off, and is taken up", run)
        try:
            self._transfer(run.transfer, None)
        except LeaseHeldError:  # somebody was faster
            return
        except TransferError as error:
            if is_canceled(self.trigger.flow_run_id):
                raise
            get_run_logger().warning("%s: %s", run, first_line(error))

    def _transfer(self, transfer: Transfer, options: TransferOptions | None) -> TransferResult:
        result: TransferResult = resumable_transfer(
            source=str(transfer.source),
            destination=str(transfer.destination),
            options=options,
            transfer_id=transfer.id,
            credentials=self.plan.credentials,
            checkpoints=self.plan.checkpoints,
        )
        return result

    def is_over(self) -> str | None:
        """Why the schedule has no more to do; None as long as it has."""
        runs = self.runs()
        if any(run.standing is not Standing.OVER for run in runs):
            return None
        schedule = self._schedule(runs)
        if why := all_begun(schedule, runs):  # a tick that is due has nothing to do, and there may always be one
            return why
        why = ended(schedule, runs, now())
        # Prefect deletes the flow runs of an inactive schedule, also those of ticks that are due and have yet to begin
        return None if why is None or has_due(self.trigger) else why


def _heeded(driver: Driver, error: BaseException) -> BaseException:
    """Do what a run that waits was interrupted for; what is to be raised then."""
    heed(driver, error)
    if isinstance(error, Pause):
        if driver.transfer.status is TransferStatus.CREATED:
            driver.update(status=TransferStatus.SCANNING)  # only from there it can be paused
        obeyed(driver)
        return error
    obey_requests(driver)
    if not isinstance(error, TransferStoppedError):
        return error
    transfer, ledger = driver.transfer, driver.ledger()
    if transfer.status is TransferStatus.CANCELED:
        return TransferCanceledError(transfer_id=transfer.id, transferred=ledger.transferred, items=ledger.items)
    if transfer.status is TransferStatus.PAUSED:
        return TransferPausedError(transfer_id=transfer.id, reason=transfer.error)
    return error


def _order(run: Run) -> tuple[datetime, int]:
    scheduled = run.transfer.scheduled
    return (scheduled.tick, scheduled.run) if scheduled is not None else (run.transfer.created_at, 0)
