"""Watching a task: a fault for ever is ended in seconds, a passing one in hours, and a person is waited for."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prefect_globus.transfers.options import TransferOptions
from prefect_globus.transfers.watching import STALLED, Action, Beginning, TaskView, Verdict, Watch

TASK = UUID("7d2b1c84-2c5b-4c0e-9a52-0c6a3f1e0a01")
OPTIONS = TransferOptions(fault_grace=30, patience=3600, stall_seconds=21_600)
GO_ON = Verdict(Action.GO_ON)


def view(**facts: Any) -> TaskView:
    return TaskView(task_id=TASK, status="ACTIVE", **facts)


def watched(*looks: tuple[float, TaskView, Mapping[str, int] | None], options: TransferOptions = OPTIONS) -> Verdict:
    """The verdict on the last of some looks: the time, the task, and its codes if they were read."""
    watch = Watch(options, looks[0][0])
    return [watch.judge(seen, at, codes) for at, seen, codes in looks][-1]


@pytest.mark.parametrize("began", [0.0, 1e6])
@pytest.mark.parametrize("code", ["PERMISSION_DENIED", "FILE_NOT_FOUND", "NOT_A_DIRECTORY", "IS_A_DIRECTORY"])
def test_a_fault_for_ever_is_ended_after_its_grace(began: float, code: str) -> None:
    """Not before: the rest of the batch may still be moving."""
    faulty = view(faults=1, nice_status=code)
    first = (began, faulty, {code: 1})
    assert watched(first, (began + 29.0, faulty, None)) == GO_ON
    assert watched(first, (began + 30.0, faulty, None)) == Verdict(Action.END, code)


def test_the_grace_begins_with_the_last_progress() -> None:
    """As long as anything moves, the task is left alone."""
    code = {"PERMISSION_DENIED": 1}
    looks = [(0.0, view(faults=1), code)]
    looks += [(20.0 * n, view(faults=1, bytes_transferred=n), None) for n in range(1, 20)]
    assert watched(*looks) == GO_ON
    last = view(faults=1, bytes_transferred=19)
    assert watched(*looks, (409.0, last, None)) == GO_ON
    assert watched(*looks, (410.0, last, None)).action is Action.END


@pytest.mark.parametrize(
    "progress", ["files_transferred", "files_skipped", "skipped_errors", "bytes_transferred", "bytes_checksummed"]
)
def test_what_counts_as_progress(progress: str) -> None:
    """Checking checksums is work, too."""
    code = {"PERMISSION_DENIED": 1}
    looks = [(0.0, view(faults=1), code), (29.0, view(faults=1, **{progress: 5}), None)]
    assert watched(*looks, (31.0, view(faults=1, **{progress: 5}), None)) == GO_ON


def test_a_fault_that_comes_late_has_its_grace_too() -> None:
    """A task may have stood still before, for good reason."""
    looks = [(0.0, view(), None), (1000.0, view(), None), (1001.0, view(faults=1), {"PERMISSION_DENIED": 1})]
    assert watched(*looks) == GO_ON
    assert watched(*looks, (1030.0, view(faults=1), None)) == GO_ON
    assert watched(*looks, (1031.0, view(faults=1), None)).action is Action.END


def test_a_passing_fault_is_ended_after_patience() -> None:
    """With the code that the task shows."""
    busy = view(faults=3, nice_status="ENDPOINT_TOO_BUSY")
    first = (0.0, busy, {"ENDPOINT_TOO_BUSY": 3})
    assert watched(first, (3599.0, busy, None)) == GO_ON
    assert watched(first, (3600.0, busy, None)) == Verdict(Action.END, "ENDPOINT_TOO_BUSY")


@pytest.mark.parametrize("nice_status", [None, "OK"])
def test_a_task_that_stands_after_a_fault_has_a_code_when_it_is_ended(nice_status: str | None) -> None:
    """Globus shows an error only for a while."""
    stands = view(faults=1, nice_status=nice_status)
    assert watched((0.0, stands, {"TIMEOUT": 1}), (3600.0, stands, None)) == Verdict(Action.END, STALLED)


def test_a_task_that_stands_for_no_reason_is_ended_as_stalled() -> None:
    """After hours, as a large file may be listed or checked unseen."""
    looks = [(0.0, view(nice_status="OK"), None)]
    assert watched(*looks, (21_599.0, view(nice_status="OK"), None)) == GO_ON
    assert watched(*looks, (21_600.0, view(nice_status="OK"), None)) == Verdict(Action.END, STALLED)


def test_waiting_in_globus_queue_is_no_standstill() -> None:
    """However long it takes, with old faults or without."""
    queued = view(nice_status="Queued", faults=1)
    looks = [(0.0, queued, {"PERMISSION_DENIED": 1}), (1e6, queued, None)]
    assert watched(*looks) == GO_ON
    assert watched(*looks, (1e6 + 29, view(nice_status="OK", faults=1), None)) == GO_ON


@pytest.mark.parametrize(
    ("facts", "code"),
    [
        ({"status": "INACTIVE", "nice_status": "AUTH"}, "AUTH"),
        ({"status": "INACTIVE"}, "INACTIVE"),
        ({"status": "ACTIVE", "is_paused": True, "nice_status": "PAUSED_BY_ADMIN"}, "PAUSED_BY_ADMIN"),
        ({"status": "ACTIVE", "is_paused": True}, "ACTIVE"),
    ],
)
def test_a_person_is_waited_for_at_once_and_for_ever(facts: dict[str, Any], code: str) -> None:
    """That it stands is then no fault of the task."""
    held = TaskView(task_id=TASK, **facts)
    expected = Verdict(Action.WAIT_FOR_PERSON, code)
    assert watched((0.0, held, None)) == expected
    assert watched((0.0, held, None), (1e7, held, None)) == expected


def test_the_grace_begins_anew_when_a_person_has_mended_it() -> None:
    """Standing still while it was paused does not count."""
    looks = [
        (0.0, view(faults=1), {"PERMISSION_DENIED": 1}),
        (10.0, view(faults=2, is_paused=True), {"PERMISSION_DENIED": 1, "PAUSED": 1}),
        (9000.0, view(faults=2, is_paused=True), None),
        (9001.0, view(faults=2), None),
    ]
    assert watched(*looks) == GO_ON
    assert watched(*looks, (9031.0, view(faults=2), None)).action is Action.END


def test_an_old_error_that_is_still_shown_holds_nobody_up_while_things_move() -> None:
    """Globus shows it for a while after it was mended."""
    looks = [(float(n), view(nice_status="AUTH", bytes_transferred=n), None) for n in range(5)]
    assert watched(*looks) == GO_ON
    assert watched(*looks, (5.0, view(nice_status="AUTH", bytes_transferred=4), None)).action is Action.WAIT_FOR_PERSON


def test_what_was_skipped_is_no_reason_to_end_a_task() -> None:
    """It was named and left out; a further one of the same code was not."""
    skipped = view(faults=2, skipped_errors=2, nice_status="PERMISSION_DENIED")
    first = (0.0, skipped, {"PERMISSION_DENIED": 2})
    assert watched(first, (100.0, skipped, None)) == GO_ON
    third = (100.0, view(faults=3, skipped_errors=2), {"PERMISSION_DENIED": 3})
    assert watched(first, third, (130.0, view(faults=3, skipped_errors=2), None)).action is Action.END


def test_a_code_that_cannot_be_skipped_is_certain() -> None:
    """However many others were."""
    looks = [(0.0, view(faults=9, skipped_errors=8), {"PERMISSION_DENIED": 8, "NOT_A_DIRECTORY": 1})]
    assert watched(*looks, (30.0, view(faults=9, skipped_errors=8), None)) == Verdict(Action.END, "NOT_A_DIRECTORY")


def test_codes_are_read_when_there_are_new_faults() -> None:
    """And not at every look."""
    watch = Watch(OPTIONS, 0.0)
    assert not watch.wants_codes(view())
    assert watch.wants_codes(view(faults=1))
    watch.judge(view(faults=1), 1.0, {"TIMEOUT": 1})
    assert not watch.wants_codes(view(faults=1))
    assert watch.wants_codes(view(faults=2))


looks = st.builds(
    TaskView,
    task_id=st.just(TASK),
    status=st.sampled_from(["ACTIVE", "ACTIVE", "ACTIVE", "INACTIVE"]),
    nice_status=st.sampled_from([None, "OK", "Queued", "TIMEOUT", "AUTH", "PERMISSION_DENIED"]),
    is_paused=st.sampled_from([False, False, False, True]),
    files_transferred=st.integers(0, 2),
    skipped_errors=st.integers(0, 2),
    faults=st.integers(0, 3),
)
codes = st.none() | st.dictionaries(st.sampled_from(["TIMEOUT", "PERMISSION_DENIED", "AUTH", "X"]), st.integers(1, 3))


@settings(deadline=None)  # a busy machine takes its time
@given(st.lists(st.tuples(st.floats(0.001, 5000), looks, codes), min_size=1, max_size=12))
def test_a_task_is_ended_only_when_it_stands(seen: list[tuple[float, TaskView, dict[str, int] | None]]) -> None:
    """Never while it moves, waits in a queue or for a person, and never before the shortest of its times has passed."""
    watch, at, since = Watch(OPTIONS, 0.0), 0.0, 0.0
    before: tuple[int, ...] | None = None
    for seconds, now, read in seen:
        at += seconds
        verdict = watch.judge(now, at, read if now.faults else None)
        held = verdict.action is Action.WAIT_FOR_PERSON
        if now.progress != before or now.nice_status == "Queued" or held:
            since = at
        before = now.progress
        if now.status == "INACTIVE" or now.is_paused:
            assert held
        if verdict.action is Action.END:
            assert at - since >= OPTIONS.fault_grace
            assert verdict.code
        elif not held:
            assert at - since < OPTIONS.stall_seconds


@pytest.mark.parametrize(
    ("looks", "began"),
    [
        ([(0.2, "OK")], 0),
        ([(0.2, "Queued"), (30, "Queued"), (60, "OK"), (90, "OK")], 60),
        ([(600, "OK"), (630, "OK")], None),
        ([(600, "Queued"), (630, None)], 630),
        ([(0.2, "Queued"), (30, "Queued")], None),
    ],
    ids=["at once", "after a wait", "nobody has looked", "taken up in the queue", "still waits"],
)
def test_when_a_task_has_left_the_queue_is_known_only_where_it_was_seen(
    looks: list[tuple[float, str | None]], began: float | None
) -> None:
    """A driver that finds a task at work does not take the time before for a wait."""
    submitted = datetime(2026, 11, 22, tzinfo=UTC)
    beginning = Beginning(submitted)
    for seconds, nice_status in looks:
        view = TaskView(task_id=UUID(int=1), status="ACTIVE", nice_status=nice_status)
        beginning.see(view, submitted + timedelta(seconds=seconds))
    assert beginning.at == (None if began is None else submitted + timedelta(seconds=began))
