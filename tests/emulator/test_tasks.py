"""The life of a task: queue, errors, skips, deadline, cancel, and what can be asked about it."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import globus_sdk
import pytest

from prefect_globus.emulator.tasks.model import Policy

if TYPE_CHECKING:
    from tests.emulator.conftest import Lab

Document = dict[str, Any]


def refused(call: Callable[..., Any], *args: Any, **options: Any) -> tuple[int, str]:
    with pytest.raises(globus_sdk.TransferAPIError) as caught:
        call(*args, **options)
    return caught.value.http_status, caught.value.code


def test_three_at_once_and_the_rest_queued(make_lab: Callable[..., Lab]) -> None:
    """First come, first served, and a task that ends makes room for the next."""
    lab = make_lab(file_delay=1.0)
    for number in range(5):
        lab.put(f"f{number}")
    tasks = [lab.submit(f"f{number}") for number in range(5)]
    lab.wait(tasks[2], lambda task: task["nice_status"] == "OK")
    states = [lab.task(task)["nice_status"] for task in tasks]
    assert states == ["OK"] * 3 + ["Queued"] * 2
    queued = lab.task(tasks[4])
    assert (queued["status"], queued["subtasks_total"], queued["subtasks_pending"]) == ("ACTIVE", 1, 1)
    assert (queued["is_ok"], queued["nice_status_expires_in"]) == (True, -1)
    ended = [lab.wait(task) for task in tasks]
    assert {task["status"] for task in ended} == {"SUCCEEDED"}


def test_a_task_that_backs_off_gives_up_its_place(lab: Lab) -> None:
    """Three poisoned tasks do not keep a fourth from running."""
    for number in range(3):
        lab.submit(f"none{number}")
    lab.put("good")
    assert lab.transfer("good")["status"] == "SUCCEEDED"


def test_an_error_is_retried_until_it_resolves(lab: Lab) -> None:
    """A missing file keeps the task ACTIVE; the rest of the batch goes on first."""
    lab.put("good")
    task_id = lab.submit("none", "good")
    task = lab.wait(task_id, lambda task: task["faults"] >= 2)
    assert (task["status"], task["nice_status"], task["is_ok"]) == ("ACTIVE", "FILE_NOT_FOUND", False)
    assert task["nice_status_short_description"] == "file not found"
    assert (task["files_transferred"], task["subtasks_pending"]) == (1, 1)
    lab.put("none")
    task = lab.wait(task_id)
    assert (task["status"], task["files_transferred"], task["subtasks_total"]) == ("SUCCEEDED", 2, 4)
    events = list(lab.client.task_event_list(task_id, query_params={"filter": "is_error:1"}))
    assert {event["code"] for event in events} == {"FILE_NOT_FOUND"}
    assert len(events) == task["faults"]
    assert "none" in events[0]["details"]


def test_backoff_doubles_up_to_five_minutes() -> None:
    """30 seconds after the first error, 300 at most."""
    policy = Policy(scale=10)
    assert [policy.backoff(errors) for errors in (1, 2, 3, 4, 5, 10_000)] == [30, 60, 120, 240, 300, 300]
    assert policy.real(policy.backoff(1)) == 3


def test_backoff_is_waited_for(make_lab: Callable[..., Lab]) -> None:
    """At a scale of 100, the first two waits take 0.3 and 0.6 seconds."""
    lab = make_lab(time_scale=100)
    began = time.monotonic()
    task_id = lab.submit("none")
    lab.wait(task_id, lambda task: task["faults"] == 1)
    lab.wait(task_id, lambda task: task["faults"] == 3)
    assert 0.85 < time.monotonic() - began < 5


def test_skip_source_errors(lab: Lab) -> None:
    """Skipped paths are listed with their reason, and the task succeeds without them."""
    lab.put("good")
    task = lab.transfer("none", "good", ("nodir", {"recursive": True}), skip_source_errors=True)
    assert (task["status"], task["subtasks_skipped_errors"], task["subtasks_total"]) == ("SUCCEEDED", 2, 4)
    assert (task["subtasks_succeeded"], task["subtasks_pending"], task["files_transferred"]) == (2, 0, 1)
    skipped = list(lab.client.task_skipped_errors(task["task_id"]))
    assert [one["source_path"] for one in skipped] == [lab.path("none"), lab.path("nodir")]
    assert [one["is_directory"] for one in skipped] == [False, True]
    assert {one["error_code"] for one in skipped} == {"FILE_NOT_FOUND"}
    assert lab.moved(task["task_id"]) == [lab.path("good")]


def test_skips_wait_ten_seconds(make_lab: Callable[..., Lab]) -> None:
    """The task starts again ten seconds after a batch that skipped, here a hundred times sooner."""
    lab = make_lab(time_scale=20)
    began = time.monotonic()
    assert lab.transfer("none", skip_source_errors=True)["status"] == "SUCCEEDED"
    assert time.monotonic() - began > 0.5


def test_skip_source_errors_is_not_for_the_destination(lab: Lab, tmp_path: Path) -> None:
    """An error at the destination is retried all the same."""
    lab.put("file")
    (lab.destination / "file").symlink_to(tmp_path / "outside")
    task = lab.wait(lab.submit("file", skip_source_errors=True), lambda task: task["faults"] > 0)
    assert (task["status"], task["nice_status"]) == ("ACTIVE", "PERMISSION_DENIED")


def test_deadline_of_a_user(lab: Lab) -> None:
    """At the deadline the task fails; what was left counts as expired."""
    lab.put("good")
    deadline = datetime.now(UTC) + timedelta(seconds=100)
    task = lab.transfer("none", "good", deadline=deadline)
    assert (task["status"], task["fatal_error"]["code"]) == ("FAILED", "EXPIRED")
    assert (task["subtasks_expired"], task["subtasks_succeeded"], task["subtasks_pending"]) == (1, 2, 0)
    assert task["deadline"] == deadline.isoformat(timespec="seconds")
    assert lab.events(task["task_id"])[0] == "EXPIRED"
    assert lab.moved(task["task_id"]) == [lab.path("good")]


def test_deadline_of_a_task_that_runs(make_lab: Callable[..., Lab]) -> None:
    """A task is stopped in the middle of a file, and leaves no part of it."""
    lab = make_lab(rate=100_000)
    lab.put("big", b"x" * 1_000_000)
    task = lab.transfer("big", deadline=datetime.now(UTC) + timedelta(seconds=1))
    assert (task["fatal_error"]["code"], task["bytes_transferred"]) == ("EXPIRED", 0)
    assert list(lab.destination.iterdir()) == []


def test_deadline_without_one(make_lab: Callable[..., Lab]) -> None:
    """24 hours after submission, 72 hours after the last progress, both shorter by the time scale."""
    lab = make_lab(time_scale=50_000)
    lab.put("good")

    def hours(task: Document) -> float:
        return (datetime.fromisoformat(task["deadline"]) - datetime.fromisoformat(task["request_time"])) / timedelta(
            hours=1
        )

    began = time.monotonic()
    task = lab.transfer("none")
    assert (task["fatal_error"]["code"], round(hours(task))) == ("EXPIRED", 24)
    assert time.monotonic() - began > 1.7
    assert round(hours(lab.transfer("good"))) == 72


def test_queued_tasks_do_not_expire(make_lab: Callable[..., Lab]) -> None:
    """The deadline of a task that waits for its turn is pushed again and again."""
    lab = make_lab(time_scale=28_800, file_delay=1.2)  # the deadline is 3 seconds away, the last task begins after 3.6
    for number in range(12):
        lab.put(f"f{number}")
    tasks = [lab.submit(f"f{number}") for number in range(12)]
    assert {lab.wait(task)["status"] for task in tasks} == {"SUCCEEDED"}


def test_cancel_while_running(make_lab: Callable[..., Lab]) -> None:
    """It takes effect within a chunk, and what was done stays listed."""
    lab = make_lab(rate=200_000)
    lab.put("small", b"x")
    lab.put("big", b"x" * 5_000_000)
    task_id = lab.submit("small", "big")
    lab.wait(task_id, lambda task: task["bytes_transferred"] > 1)
    began = time.monotonic()
    assert lab.client.cancel_task(task_id)["code"] == "Canceled"
    assert time.monotonic() - began < 2
    task = lab.task(task_id)
    assert (task["status"], task["fatal_error"]["code"]) == ("FAILED", "CANCELED")
    assert (task["subtasks_canceled"], task["subtasks_pending"], task["bytes_transferred"]) == (1, 0, 1)
    event = lab.client.task_event_list(task_id)["DATA"][0]
    assert (event["code"], event["is_error"]) == ("CANCELED", True)
    assert lab.moved(task_id) == ["/small"]
    assert [path.name for path in lab.destination.iterdir()] == ["small"]


def test_cancel_while_queued_and_while_waiting(make_lab: Callable[..., Lab]) -> None:
    """A task that holds no slot is canceled at once; a second cancel comes too late."""
    lab = make_lab(file_delay=5)
    for number in range(4):
        lab.put(f"f{number}")
    tasks = [lab.submit(f"f{number}") for number in range(4)]
    tasks.append(lab.submit("none"))
    for task in reversed(tasks):
        assert lab.client.cancel_task(task)["code"] == "Canceled"
        assert lab.client.cancel_task(task)["code"] == "TaskComplete"
    assert {lab.task(task)["fatal_error"]["code"] for task in tasks} == {"CANCELED"}
    assert list(lab.destination.iterdir()) == []


def test_update(lab: Lab) -> None:
    """Label and deadline of a task may change until it has ended."""
    task_id = lab.submit("none")
    update = lab.client.update_task
    assert update(task_id, {"DATA_TYPE": "task", "label": "new"})["code"] == "Updated"
    assert lab.task(task_id)["label"] == "new"
    assert refused(update, task_id, {"label": "x" * 200}) == (400, "ClientError.BadRequest")
    deadline = (datetime.now(UTC) + timedelta(seconds=60)).isoformat()
    assert update(task_id, {"DATA_TYPE": "task", "deadline": deadline})["code"] == "Updated"
    assert lab.wait(task_id)["fatal_error"]["code"] == "EXPIRED"
    assert refused(update, task_id, {"label": "late"}) == (400, "ClientError.BadRequest")


def test_unknown_tasks_are_404(lab: Lab) -> None:
    """Nobody's task, and what is no id at all."""
    for task_id in (str(uuid.uuid4()), "nonsense"):
        for call in (
            lab.client.get_task,
            lab.client.cancel_task,
            lab.client.task_event_list,
            lab.client.task_successful_transfers,
            lab.client.task_skipped_errors,
        ):
            assert refused(call, task_id) == (404, "ClientError.NotFound")


def test_tasks_belong_to_their_owner(lab: Lab) -> None:
    """Another client neither sees nor cancels them, and may move the same paths."""
    mine = lab.submit("none")
    other = type(lab)(lab.emulator, lab.source.parent, lab.destination.parent, str(uuid.uuid4()), lab.base)
    assert refused(other.client.get_task, mine) == (404, "ClientError.NotFound")
    assert refused(other.client.cancel_task, mine) == (404, "ClientError.NotFound")
    assert list(other.client.task_list()) == []
    theirs = other.submit("none")
    assert lab.task(mine)["owner_id"] == lab.client_id
    other.client.cancel_task(theirs)


def test_successful_transfers_only_when_over(lab: Lab) -> None:
    """While the task runs they are not yet available."""
    assert refused(lab.client.task_successful_transfers, lab.submit("none")) == (400, "ClientError.BadRequest")


def test_marker_paging_lists_each_file_once(lab: Lab) -> None:
    """More files than a page holds, and no marker is ever 0."""
    for number in range(10_001):
        (lab.source / f"{number:05}").touch()
    task = lab.transfer("")
    first = lab.client.task_successful_transfers(task["task_id"])
    assert (len(first["DATA"]), first["marker"]) == (10_000, 0)
    assert first["next_marker"] > 0
    moved = lab.moved(task["task_id"])
    assert len(moved) == len(set(moved)) == 10_001 == task["files_transferred"]


def test_task_list_filters_orders_and_pages(lab: Lab) -> None:
    """Newest first, ten of them; clauses are joined by AND."""
    lab.put("a")
    for number in range(11):
        lab.transfer("a", label=f"run {number}")
    active = lab.submit("none", label="stuck")

    def labels(**options: Any) -> list[str]:
        return [task["label"] for task in lab.client.task_list(**options)]

    assert labels() == ["stuck", *[f"run {number}" for number in range(10, 1, -1)]]
    assert lab.client.task_list()["total"] == 12
    assert labels(filter="status:ACTIVE/type:TRANSFER,DELETE") == ["stuck"]
    assert labels(filter="type:DELETE") == []
    assert labels(filter={"label": "=run 3"}) == ["run 3"]
    assert labels(filter="label:~run 1*,!run 1", orderby="request_time ASC") == ["run 10"]
    assert labels(filter=f"task_id:{active}") == ["stuck"]
    assert labels(filter="request_time:2000-01-01 00:00:00,2001-01-01 00:00:00") == []
    assert len(labels(filter="completion_time:2000-01-01 00:00:00,", limit=100)) == 11
    assert labels(orderby="label DESC", limit=1, offset=1) == ["run 9"]
    assert refused(lab.client.task_list, filter="colour:blue") == (400, "ClientError.BadRequest")
    assert refused(lab.client.task_list, orderby="colour") == (400, "ClientError.BadRequest")


def test_event_list_filters_and_pages(lab: Lab) -> None:
    """Newest first; errors and the rest can be asked for apart."""
    task_id = lab.submit("none")

    def events_of(**query: Any) -> list[Any]:
        return list(lab.client.task_event_list(task_id, query_params=query))

    lab.wait(task_id, lambda task: task["faults"] >= 2)
    lab.client.cancel_task(task_id)
    events = lab.client.task_event_list(task_id, limit=100)
    assert [events["DATA"][0]["code"], events["DATA"][-1]["code"]] == ["CANCELED", "STARTED"]
    assert events["total"] == events["length"] == len(events["DATA"])
    assert [one["code"] for one in events_of(filter="is_error:0")] == ["STARTED"]
    page = lab.client.task_event_list(task_id, limit=1, offset=1)
    assert ([one["code"] for one in page], page["total"]) == (["FILE_NOT_FOUND"], events["total"])
    assert len(events_of(filter="")) > 1
    assert refused(events_of, filter="x:1") == (400, "ClientError.BadRequest")


def test_task_wait_of_the_sdk(lab: Lab) -> None:
    """The SDK's own waiting works."""
    lab.put("a")
    assert lab.client.task_wait(lab.submit("a"), timeout=20, polling_interval=1)


def test_many_errors_in_a_round_are_told_by_a_hundred(lab: Lab) -> None:
    """A round tries every path but does not flood the events; skips are counted whatever is told."""
    names = [f"none{number}" for number in range(150)]
    task = lab.wait(lab.submit(*names), lambda task: task["faults"] >= 100)
    assert task["faults"] % 100 == 0
    lab.client.cancel_task(task["task_id"])
    task = lab.transfer(*names, skip_source_errors=True)
    assert (task["subtasks_skipped_errors"], task["faults"]) == (150, 100)
