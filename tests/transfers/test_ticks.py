"""What is decided at a tick, for everything that may be on record."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefect_globus.transfers.location import Location
from prefect_globus.transfers.model import PausedBy, Scheduled, Transfer
from prefect_globus.transfers.schedules import TransferSchedule
from prefect_globus.transfers.states import TransferStatus
from prefect_globus.transfers.ticks import Action, Run, Standing, Tick, all_begun, counted, decide, ended

START = datetime(2026, 11, 22, 2, tzinfo=UTC)
HOUR = timedelta(hours=1)
HERE = Location.parse("6c54cade-bde5-45c1-bdea-f4bd71dba2cc:/a")
THERE = Location.parse("31ce9ba0-176d-45a5-add3-f37d233ba47d:/b")
OVER = (TransferStatus.COMPLETED, TransferStatus.CANCELED, TransferStatus.FAILED)


def run(
    number: int,
    status: TransferStatus = TransferStatus.COMPLETED,
    *,
    driven: bool = False,
    paused_by: PausedBy | None = None,
    hour: int | None = None,
) -> Run:
    tick = START + (number - 1 if hour is None else hour) * HOUR
    scheduled = Scheduled(schedule="scheduled-transfer/nightly", tick=tick, run=number)
    transfer = Transfer(
        id=f"t-{number}", source=HERE, destination=THERE, status=status, paused_by=paused_by, scheduled=scheduled
    )
    return Run.of(transfer, driven=driven)


def at(hour: int, *, late: timedelta = timedelta(0), following: int | None = None, automatic: bool = True) -> Tick:
    tick = START + hour * HOUR
    later = None if following is None else START + following * HOUR
    return Tick(at=tick, now=tick + late, automatic=automatic, following=later)


@pytest.mark.parametrize("status", TransferStatus)
@pytest.mark.parametrize("driven", [False, True])
def test_how_a_run_stands(status: TransferStatus, driven: bool) -> None:
    """A final one is over, whoever has its lease; what nobody drives is cut off, but for what somebody has paused."""
    stands = run(1, status, driven=driven).standing
    if status in (TransferStatus.COMPLETED, TransferStatus.CANCELED):
        assert stands is Standing.OVER
    elif driven:
        assert stands is Standing.UNDER_WAY
    else:
        expected = {TransferStatus.FAILED: Standing.OVER, TransferStatus.PAUSED: Standing.PAUSED}
        assert stands is expected.get(status, Standing.CUT_OFF)
    by_fault = run(1, TransferStatus.PAUSED, paused_by=PausedBy.FAULT)
    assert by_fault.standing is Standing.CUT_OFF


def test_a_tick_during_an_unfinished_run() -> None:
    """It is skipped, queues behind it, or has it canceled; and one that somebody has paused is unfinished, too."""
    under_way = run(1, TransferStatus.TRANSFERRING, driven=True)
    paused = run(1, TransferStatus.PAUSED, paused_by=PausedBy.REQUEST)
    for busy in (under_way, paused):
        skipped = decide(at(1), [busy], overlap="skip")
        assert (skipped.action, skipped.cancel) == (Action.SKIP, ())
        assert "run 1 (t-1, due 2026-11-22 02:00:00 UTC)" in skipped.why
        assert decide(at(1), [busy], overlap="queue").action is Action.RUN
        canceled = decide(at(1), [busy], overlap="cancel")
        assert (canceled.action, canceled.cancel) == (Action.RUN, ("t-1",))


def test_what_was_cut_off_is_in_nobodys_way() -> None:
    """It is taken up before; but where what is unfinished is canceled, it is canceled as well."""
    cut_off = run(1, TransferStatus.TRANSFERRING)
    for overlap in ("skip", "queue"):
        decision = decide(at(1), [cut_off], overlap=overlap)
        assert (decision.action, decision.cancel) == (Action.RUN, ())
    assert decide(at(1), [cut_off], overlap="cancel").cancel == ("t-1",)
    for status in OVER:
        assert decide(at(1), [run(1, status)], overlap="cancel").cancel == ()


def test_ticks_that_come_too_late() -> None:
    """None is run, the latest, or all, whatever is under way; half an interval is not late, as for Timers."""
    schedule = TransferSchedule.every(HOUR, start=START)
    busy = [run(1, TransferStatus.TRANSFERRING, driven=True)]
    newest, older = at(2, late=HOUR * 0.6, following=3), at(1, late=HOUR * 1.6, following=2)
    expected = {
        "skip": (Action.SKIP, Action.SKIP),
        "latest": (Action.RUN, Action.SKIP),
        "all": (Action.RUN, Action.RUN),
    }
    for catch_up, actions in expected.items():
        decided = tuple(decide(tick, [], schedule=schedule, catch_up=catch_up).action for tick in (newest, older))
        assert decided == actions, catch_up
        in_time = at(2, late=HOUR * 0.4, following=3)
        assert decide(in_time, [], schedule=schedule, catch_up=catch_up).action is Action.RUN
        asked_for = at(0, late=HOUR * 9, following=1, automatic=False)
        assert decide(asked_for, [], schedule=schedule, catch_up=catch_up).action is Action.RUN
    assert decide(newest, busy, schedule=schedule, catch_up="latest").action is Action.SKIP
    assert decide(newest, busy, schedule=schedule, catch_up="all", overlap="cancel").cancel == ()


def test_a_schedule_of_which_only_prefect_knows_the_ticks() -> None:
    """The tick that Prefect has next tells how long one is in time."""
    assert decide(at(0, late=HOUR * 0.4, following=1), [], catch_up="skip").action is Action.RUN
    assert decide(at(0, late=HOUR * 0.6, following=1), [], catch_up="skip").action is Action.SKIP
    assert decide(at(0, late=HOUR * 0.7), [], catch_up="skip").action is Action.RUN  # 45 minutes
    assert decide(at(0, late=HOUR * 0.8), [], catch_up="skip").action is Action.SKIP


@pytest.mark.parametrize(
    ("own", "action"),
    [
        (run(1), Action.ALREADY_DONE),
        (run(1, TransferStatus.CANCELED), Action.ALREADY_CANCELED),
        (run(1, TransferStatus.FAILED), Action.RESUME),
        (run(1, TransferStatus.TRANSFERRING), Action.RESUME),
        (run(1, TransferStatus.PAUSED, paused_by=PausedBy.PREFECT), Action.RESUME),
        (run(1, TransferStatus.PAUSED, paused_by=PausedBy.REQUEST), Action.SKIP),
        (run(1, TransferStatus.SCANNING, driven=True), Action.SKIP),
    ],
)
def test_what_is_on_record_for_the_tick_itself(own: Run, action: Action) -> None:
    """It is taken up if it can be, however late it is, and whether or not the schedule has ended meanwhile."""
    once = TransferSchedule.once(START)
    decision = decide(at(0, late=HOUR * 9), [own], own, schedule=once, catch_up="skip")
    assert decision.action is action
    assert "t-1" in decision.why


def test_an_end_by_count_counts_runs() -> None:
    """By the highest number on record, as others may have been purged; those before the start are of another one."""
    schedule = TransferSchedule.every(HOUR, start=START, count=3)
    runs = [run(1), run(2), run(3, TransferStatus.FAILED)]
    assert decide(at(9), runs[:2], schedule=schedule).action is Action.RUN
    for known in (runs, runs[2:]):
        decision = decide(at(9), known, schedule=schedule)
        assert (decision.action, decision.why) == (Action.ENDED, "3 of 3 runs were made")
        assert ended(schedule, known, START + 9 * HOUR) == all_begun(schedule, known) == "3 of 3 runs were made"
    assert all_begun(schedule, runs[:2]) is None
    earlier = [run(7, hour=-2), run(8, hour=-1)]
    assert counted(schedule, earlier) == 0
    assert decide(at(0), earlier, schedule=schedule).action is Action.RUN
    assert decide(at(1), [run(1)], schedule=TransferSchedule.once(START)).action is Action.ENDED


def test_an_end_by_time() -> None:
    """Its last tick is run; what comes later is not."""
    schedule = TransferSchedule.every(HOUR, start=START, until=START + 2 * HOUR)
    assert decide(at(2), [], schedule=schedule).action is Action.RUN
    assert decide(at(3), [], schedule=schedule).action is Action.ENDED
    assert ended(schedule, [], START + HOUR) is None
    assert ended(schedule, [], START + 2 * HOUR) == "its last tick has been"
    assert all_begun(schedule, []) is None


@given(st.lists(st.tuples(st.integers(1, 9), st.sampled_from(TransferStatus), st.booleans()), max_size=6))
def test_nothing_is_run_beside_what_is_unfinished(known: list[tuple[int, TransferStatus, bool]]) -> None:
    """Unless it is to queue behind it: then it waits. And no more runs are begun than were asked for."""
    runs = [run(number, status, driven=driven) for number, status, driven in known]
    schedule = TransferSchedule.every(HOUR, start=START, count=5)
    decision = decide(at(20), runs, schedule=schedule, overlap="skip")
    if decision.action is Action.RUN:
        assert not any(each.standing.in_the_way for each in runs)
        assert all(number < 5 for number, _, _ in known)
    canceling = decide(at(20), runs, schedule=schedule, overlap="cancel")
    if canceling.action is Action.RUN:
        assert set(canceling.cancel) == {each.transfer.id for each in runs if each.standing is not Standing.OVER}
