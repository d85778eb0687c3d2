"""The rules of Task Behavior one by one, what is kept of ended tasks, and a crowd of submissions."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import globus_sdk
import pytest

from prefect_globus.emulator import FailFile, TaskFault
from prefect_globus.emulator.database import Database
from prefect_globus.emulator.tasks.faults import Fault
from prefect_globus.emulator.tasks.life import Life
from prefect_globus.emulator.tasks.model import (
    FATAL_CODES,
    HOUR,
    SKIPPABLE_CODES,
    Code,
    Event,
    Item,
    Kind,
    Options,
    Policy,
    Submission,
    TaskType,
)
from prefect_globus.emulator.tasks.store import TaskStore

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.emulator.conftest import Lab

Document = dict[str, Any]


def hours(task: Document) -> float:
    """From its request to its deadline."""
    asked, deadline = (datetime.fromisoformat(task[name]) for name in ("request_time", "deadline"))
    return (deadline - asked) / timedelta(hours=1)


def test_a_queued_task_shows_its_error_for_15_minutes(make_lab: Callable[..., Lab]) -> None:
    """Then it is queued like any other (2)."""
    lab = make_lab(time_scale=900, file_delay=3)
    poisoned = lab.submit("none")
    lab.wait(poisoned, lambda task: task["faults"] > 0)
    for number in range(3):
        lab.put(f"f{number}")
        lab.submit(f"f{number}")
    lab.wait(poisoned, lambda task: task["nice_status"] == "Queued")
    errors = [
        datetime.fromisoformat(event["time"]) for event in lab.client.task_event_list(poisoned) if event["is_error"]
    ]
    assert datetime.now(UTC) - max(errors) > timedelta(seconds=1)
    assert lab.task(poisoned)["status"] == "ACTIVE"


def test_a_task_that_waited_longer_is_taken_up_first(make_lab: Callable[..., Lab]) -> None:
    """First come, first served, also among those that were queued (2)."""
    lab = make_lab(file_delay=0.2)
    for number in range(6):
        lab.put(f"f{number}")
    tasks = [lab.submit(f"f{number}") for number in range(6)]
    for task in tasks:
        lab.wait(task)
    arrived = sorted(range(6), key=lambda number: (lab.destination / f"f{number}").stat().st_mtime_ns)
    assert set(arrived[:3]) == {0, 1, 2}


def test_a_queued_task_with_an_error_is_not_extended(make_lab: Callable[..., Lab]) -> None:
    """Its 24 hours end while it waits for its turn (3)."""
    lab = make_lab(time_scale=43_200, file_delay=0.5)
    poisoned = lab.submit("none")
    lab.wait(poisoned, lambda task: task["faults"] > 0)
    for task in range(3):
        names = [f"{task}-{number}" for number in range(8)]
        for name in names:
            lab.put(name)
        lab.submit(*names)
    task = lab.wait(poisoned)
    assert (task["fatal_error"]["code"], round(hours(task))) == ("EXPIRED", 24)


def test_a_deadline_of_the_user_is_not_extended(lab: Lab) -> None:
    """Whatever progress there is (3)."""
    lab.put("file")
    deadline = datetime.now(UTC) + timedelta(hours=5)
    task = lab.transfer("file", deadline=deadline)
    assert (task["status"], task["deadline"]) == ("SUCCEEDED", deadline.isoformat(timespec="seconds"))


def test_a_deadline_that_is_set_later_is_not_extended_either(lab: Lab) -> None:
    """Set between two rounds, it stands through the progress of the next."""
    task_id = lab.submit("late")
    lab.wait(task_id, lambda task: task["faults"] > 0)
    lab.client.update_task(task_id, {"deadline": "2999-01-01T00:00:00+00:00"})
    lab.put("late")
    task = lab.wait(task_id)
    assert (task["status"], task["deadline"]) == ("SUCCEEDED", "2999-01-01T00:00:00+00:00")


def test_a_paused_task_expires_after_90_days(make_lab: Callable[..., Lab]) -> None:
    """Its deadline is set once, and never extended (3); here 90 days are a second."""
    lab = make_lab(time_scale=90 * 86_400)
    rule = {"message": "wait", "endpoint_id": lab.source_id, "identity_id": None}
    lab.client.endpoint_manager_create_pause_rule(rule)
    lab.put("file")
    task = lab.wait(lab.submit("file", deadline=datetime.now(UTC) + timedelta(days=3650)))
    assert (task["fatal_error"]["code"], round(hours(task))) == ("EXPIRED", 90 * 24)
    assert lab.arrived() == []


@pytest.mark.parametrize("code", sorted(FATAL_CODES - {Code.AMBIGUOUS_PATH}))
def test_fatal_errors(lab: Lab, code: str) -> None:
    """The task fails at once, and skip_source_errors does not help (4.2)."""
    lab.put("file")
    with lab.emulator.fault(TaskFault(FailFile(code), file=lab.path("file"))):
        task = lab.transfer("file", skip_source_errors=True)
    assert (task["status"], task["fatal_error"]["code"], task["faults"]) == ("FAILED", code, 1)


@pytest.mark.parametrize("code", sorted(SKIPPABLE_CODES))
def test_skippable_errors(lab: Lab, code: str) -> None:
    """On the source they are skipped (4.1); AMBIGUOUS_PATH is fatal otherwise (4.2)."""
    lab.put("file")
    lab.put("other")
    with lab.emulator.fault(TaskFault(FailFile(code), file=lab.path("file"))):
        task = lab.transfer("file", "other", skip_source_errors=True)
        assert (task["status"], task["subtasks_skipped_errors"], task["files_transferred"]) == ("SUCCEEDED", 1, 1)
        assert lab.client.task_skipped_errors(task["task_id"])["DATA"][0]["error_code"] == code
        status = "FAILED" if code == Code.AMBIGUOUS_PATH else "ACTIVE"
        lab.wait(lab.submit("file"), lambda task: task["faults"] > 0 and task["status"] == status)


def test_quota_errors_are_retried_unless_they_shall_be_fatal(lab: Lab) -> None:
    """By fail_on_quota_errors (contract section 4)."""
    lab.put("file")
    with lab.emulator.fault(TaskFault(FailFile(Code.QUOTA_EXCEEDED, side="destination"), file=lab.path("file"))):
        task_id = lab.submit("file")
        task = lab.wait(task_id, lambda task: task["faults"] > 0)
        assert (task["status"], task["nice_status"]) == ("ACTIVE", "QUOTA_EXCEEDED")
        other = lab.data("file", fail_on_quota_errors=True)
        lab.client.cancel_task(task_id)
        task = lab.wait(lab.client.submit_transfer(other)["task_id"])
    assert (task["status"], task["fatal_error"]["code"]) == ("FAILED", "QUOTA_EXCEEDED")
    assert task["fail_on_quota_errors"] is True


@pytest.mark.parametrize("code", [Code.QUOTA_EXCEEDED, Code.PERMISSION_DENIED, Code.AMBIGUOUS_PATH])
def test_errors_of_the_destination_are_never_skipped(code: str) -> None:
    """skip_source_errors is for the source (4.1)."""
    assert not Fault(code, "").is_skippable(Options(skip_source_errors=True))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[TaskStore]:
    database = Database(tmp_path / "state.sqlite")
    yield TaskStore(database)
    database.close()


def accepted(store: TaskStore) -> Any:
    """A task of its own in the state."""
    items = (Item(Kind.ITEM, "/a", "/a"),)
    submission = Submission(TaskType.TRANSFER, str(uuid.uuid4()), "source", "destination", None, None, Options(), items)
    now = time.time()
    return store.add(str(uuid.uuid4()), submission, now=now, deadline=now + 1000, expires_at=now + 1000)


def waits(store: TaskStore, policy: Policy, ages: list[float]) -> float:
    """How long a task backs off that met errors so many seconds ago, in seconds of Globus time."""
    task = accepted(store)
    now = time.time()
    errors = [Event(now - age / policy.scale, "UNKNOWN", is_error=True, details="", backs_off=True) for age in ages]
    skips = [Event(now, "FILE_NOT_FOUND", is_error=True, details="")] * 3
    store.record(task.number, events=errors + skips)
    life = Life(store, policy)
    slot = life.slot(task)
    life.back_off(slot)
    return round((slot.ready_at - time.time()) * policy.scale / 30) * 30


@pytest.mark.parametrize("scale", [1.0, 60.0])
def test_backoff_goes_by_the_errors_of_the_last_two_hours(store: TaskStore, scale: float) -> None:
    """Older ones do not count, nor do skips (4.1, 4.3)."""
    policy = Policy(scale=scale)
    assert waits(store, policy, [1]) == 30
    assert waits(store, policy, [1, 60, 2 * HOUR - 60]) == 120
    assert waits(store, policy, [1, 2 * HOUR + 60, 3 * HOUR, 30 * HOUR]) == 30
    assert waits(store, policy, [float(age) for age in range(1, 40)]) == 300


def test_progress_leaves_a_deadline_alone_that_a_user_has_set_meanwhile(store: TaskStore) -> None:
    """Even if it was reckoned before."""
    task = accepted(store)
    reckoned = {"deadline": task.deadline + 500, "expires_at": task.expires_at + 500}
    store.record(task.number, columns=reckoned)
    assert store.get(task.number).deadline == task.deadline + 500
    store.update(task.number, deadline=task.deadline, expires_at=task.expires_at, deadline_fixed=True)
    store.record(task.number, columns=reckoned | {"error_code": "UNKNOWN"})
    found = store.get(task.number)
    assert (found.deadline, found.expires_at, found.error_code) == (task.deadline, task.expires_at, "UNKNOWN")


def test_history_is_deleted_after_30_days(make_lab: Callable[..., Lab]) -> None:
    """Events, files and skips are gone, the task and its counters stay; here 30 days are a second and a half."""
    lab = make_lab(time_scale=20 * 86_400)
    lab.put("file")
    soon = datetime.now(UTC) + timedelta(days=300)
    data = lab.data("file", "none", skip_source_errors=True, deadline=soon, label="old")
    task_id = lab.client.submit_transfer(data)["task_id"]
    before = lab.wait(task_id)
    assert (before["status"], before["subtasks_skipped_errors"]) == ("SUCCEEDED", 1)
    task = lab.wait(task_id, lambda task: task["history_deleted"])
    assert {name for name in task if task[name] != before[name]} == {"history_deleted"}
    events = lab.client.task_event_list(task_id)
    assert (list(events), events["total"]) == ([], 0)
    assert lab.moved(task_id) == []
    assert list(lab.client.task_skipped_errors(task_id)) == []
    assert lab.client.submit_transfer(data)["task_id"] == task_id
    lab.put("file2")
    second = lab.transfer("file2", deadline=soon)["task_id"]
    lab.emulator.stop()
    time.sleep(1.5)
    lab.emulator.start()
    assert lab.wait(second, lambda task: task["history_deleted"])["files_transferred"] == 1


def test_base_paths_are_stored_if_asked_for(lab: Lab) -> None:
    """The deepest directory that holds every item, at each end; otherwise null."""
    lab.put("t/a/x")
    lab.put("t/b/y")
    task = lab.transfer("t/a/x", ("t/b", {"recursive": True}), additional_fields={"store_base_path_info": True})
    assert (task["source_base_path"], task["destination_base_path"]) == (lab.path("t/"), lab.path("t/"))
    task = lab.transfer("t/a/x")
    assert (task["source_base_path"], task["destination_base_path"]) == (None, None)


def test_local_users_are_shown(lab: Lab) -> None:
    """Whom the submission names; all files are touched by the user of the emulator all the same."""
    lab.put("file")
    task = lab.transfer("file", source_local_user="alice", destination_local_user="bob")
    assert (task["source_local_user"], task["destination_local_user"]) == ("alice", "bob")
    managed = lab.client.endpoint_manager_get_task(task["task_id"])
    assert (managed["source_local_user"], managed["destination_local_user"]) == ("alice", "bob")


def test_a_crowd_of_submissions(make_lab: Callable[..., Lab]) -> None:
    """A hundred tasks of ten owners, submitted from many threads: each is done once, none is lost."""
    lab = make_lab(time_scale=100)
    for number in range(10):
        lab.put(f"f{number}", b"x")
    owners = [type(lab)(lab.emulator, lab.source, lab.destination, str(uuid.uuid4())) for _ in range(10)]

    def submit(number: int) -> tuple[Lab, str]:
        owner = owners[number % 10]
        data = globus_sdk.TransferData(owner.source_id, owner.destination_id)
        data.add_item(f"/f{number // 10}", f"/{owner.client_id}/f{number // 10}")
        return owner, str(owner.client.submit_transfer(data)["task_id"])

    with ThreadPoolExecutor(8) as pool:
        tasks = list(pool.map(submit, range(100)))
        assert len({task_id for _, task_id in tasks}) == 100
        ended = list(pool.map(lambda one: one[0].wait(one[1]), tasks))
    assert {task["status"] for task in ended} == {"SUCCEEDED"}
    for owner in owners:
        assert len(list((lab.destination / owner.client_id).iterdir())) == 10
        assert len(list(owner.client.paginated.task_list().items())) == 10
