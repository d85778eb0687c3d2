"""Timers through the real SDK: made, run at their ticks, paused, resumed, and what they tell."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import globus_sdk
import pytest
from globus_sdk.gare import is_gare
from globus_sdk.scopes import GCSCollectionScopes, TimersScopes, TransferScopes

from prefect_globus.emulator.process import Emulator, running_emulator
from support.person import copy_code

if TYPE_CHECKING:
    from tests.emulator.conftest import Lab

SCALE = 400.0
TICK = 60 / SCALE  # real seconds of the shortest interval
PATIENCE = 30.0
OLD_ACTION = "https://actions.automate.globus.org/transfer/transfer/run"


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Emulator, Path, Path]]:
    """The emulator of this module, with a collection that needs the data_access consent."""
    root = tmp_path_factory.mktemp("timers")
    folders = {name: root / name for name in ("source", "destination", "guarded")}
    for folder in folders.values():
        folder.mkdir()
    with running_emulator(folders, time_scale=SCALE, data_access=["guarded"]) as running:
        yield running, folders["source"], folders["destination"]


class Timers:
    """The timers of a lab's client."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.login = globus_sdk.ConfidentialAppAuthClient(lab.client_id, "secret", base_url=lab.emulator.url)
        self.client = self.client_of(TimersScopes.timer)

    def client_of(self, scope: Any) -> globus_sdk.TimersClient:
        authorizer = globus_sdk.ClientCredentialsAuthorizer(self.login, str(scope))
        return globus_sdk.TimersClient(authorizer=authorizer, base_url=self.lab.emulator.url)

    def make(self, schedule: Any, data: Any, name: str | None = "a timer") -> str:
        timer = globus_sdk.TransferTimer(name=name, schedule=schedule, body=data)
        return str(self.client.create_timer(timer)["timer"]["job_id"])

    def every(self, data: Any, interval: int = 60, **options: Any) -> str:
        return self.make(globus_sdk.RecurringTimerSchedule(interval, **options), data)

    def once(self, data: Any, **options: Any) -> str:
        return self.make(globus_sdk.OnceTimerSchedule(**options), data)

    def show(self, job_id: str) -> dict[str, Any]:
        return dict(self.client.get_job(job_id).data)

    def wait(self, job_id: str, until: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            job = self.show(job_id)
            if until(job):
                return job
            time.sleep(0.02)
        raise AssertionError(f"Waited in vain, last seen {job}")

    def tasks(self) -> list[dict[str, Any]]:
        return list(self.lab.client.task_list(limit=1000, orderby="request_time ASC"))


@pytest.fixture
def timers(lab: Lab) -> Iterator[Timers]:
    """The timers of a client of its own; those that are not over are deleted at the end, before its tasks are."""
    found = Timers(lab)
    yield found
    for job in found.client.list_jobs()["jobs"]:
        found.client.delete_job(job["job_id"])


def is_over(job: dict[str, Any]) -> bool:
    return job["status"] == "ended" and job["activity"] is None


def moment(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def test_once_and_now(timers: Timers) -> None:
    """It is new, it runs, its task is labelled and done, and it has ended."""
    timers.lab.put("file")
    data = timers.lab.data("file", label="nightly", verify_checksum=True)
    timer = timers.client.create_timer(
        globus_sdk.TransferTimer(name="mine", schedule=globus_sdk.OnceTimerSchedule(), body=data)
    )
    assert timer.http_status == 201
    made = timer["timer"]
    assert (made["status"], made["number_of_runs"], made["last_ran_at"]) == ("new", 0, None)
    assert made["next_run"] == made["submitted_at"] == made["schedule"]["datetime"]
    assert made["activity"] == {"code": "awaiting_next_run", "next_run": made["next_run"]}
    job = timers.wait(made["job_id"], is_over)
    assert (job["n_runs"], job["n_errors"], job["next_run"]) == (1, 0, None)
    assert job["stop_after"] == {"date": None, "n_runs": 1}
    (result,) = job["results"]["data"]
    assert (result["status"], result["run_status"], result["errors"]) == (202, "SUCCEEDED", None)
    assert result["ran_at"] == job["last_ran_at"]
    task = timers.lab.task(result["data"]["details"]["task_id"])
    assert (task["label"], task["status"], task["files_transferred"]) == ("nightly, run 1", "SUCCEEDED", 1)
    assert task["owner_id"] == timers.lab.client_id
    assert timers.lab.arrived() == ["file"]


def test_again_and_again_until_it_has_run_so_often(timers: Timers) -> None:
    """Each run is a task of its own, none is before its tick, and a tick without a label has the timer's name."""
    timers.lab.put("file")
    job_id = timers.every(timers.lab.data("file"), end={"condition": "iterations", "count": 3})
    job = timers.wait(job_id, is_over)
    assert (job["n_runs"], job["n_errors"], job["stop_after"]["n_runs"]) == (3, 0, 3)
    tasks = timers.tasks()
    assert [task["label"] for task in tasks] == [f"a timer, run {number}" for number in (1, 2, 3)]
    start = moment(job["start"])
    for number, result in enumerate(reversed(job["results"]["data"])):
        assert moment(result["start_timestamp"]) >= start + number * TICK - 1e-5
        assert result["data"]["details"]["task_id"] == tasks[number]["task_id"]


def test_until_a_moment(timers: Timers) -> None:
    """It ends by itself, and no tick comes after the end."""
    timers.lab.put("file")
    now = datetime.now(UTC)
    end = now + timedelta(seconds=150)
    job_id = timers.every(timers.lab.data("file"), end={"condition": "time", "datetime": end})
    job = timers.wait(job_id, is_over)
    assert 1 <= job["n_runs"] <= 3
    assert moment(job["stop_after"]["date"]) == int(end.timestamp())
    assert timers.show(job_id)["n_runs"] == job["n_runs"]


def test_a_start_in_the_future_comes_with_the_time_scale(timers: Timers) -> None:
    """`next_run` tells when it really comes; the schedule is as it was asked for."""
    timers.lab.put("file")
    asked = datetime.now(UTC) + timedelta(seconds=100)
    job_id = timers.once(timers.lab.data("file"), datetime=asked)
    job = timers.show(job_id)
    assert moment(job["schedule"]["datetime"]) == int(asked.timestamp())
    seconds = moment(job["next_run"]) - moment(job["submitted_at"])
    assert 0 < seconds <= 100 / SCALE
    assert job["activity"]["code"] == "awaiting_next_run"
    done = timers.wait(job_id, is_over)
    assert moment(done["last_ran_at"]) >= moment(job["next_run"])


def test_a_tick_during_a_run_is_skipped_and_not_counted(timers: Timers) -> None:
    """The run before is not over, so that the timer waits for a later tick; then it still runs as often as asked."""
    job_id = timers.every(timers.lab.data("late"), end={"condition": "iterations", "count": 2})
    first = timers.wait(job_id, lambda job: job["n_runs"] == 1)
    later = moment(first["start"]) + 3 * TICK
    job = timers.wait(job_id, lambda job: moment(job["next_run"]) > later)
    assert (job["n_runs"], job["status"]) == (1, "loaded")
    assert job["activity"]["code"] == "run_in_progress"
    assert job["activity"]["duration_seconds"] > 0
    timers.lab.put("late")
    job = timers.wait(job_id, is_over)
    assert (job["n_runs"], job["n_errors"]) == (2, 0)
    assert [task["label"] for task in timers.tasks()] == ["a timer, run 1", "a timer, run 2"]


def test_paused_and_resumed(timers: Timers) -> None:
    """Nothing runs while it is paused; what was missed meanwhile runs once, at once."""
    timers.lab.put("file")
    job_id = timers.every(timers.lab.data("file"))
    timers.wait(job_id, lambda job: job["n_runs"] >= 1)
    assert timers.client.pause_job(job_id)["message"] == f"Successfully paused job {job_id}."
    paused = timers.show(job_id)
    assert (paused["status"], paused["inactive_reason"]) == ("inactive", {"cause": "user", "detail": None})
    assert paused["activity"] == {"code": "paused", "reason": "user"}
    time.sleep(4 * TICK)
    assert timers.show(job_id)["n_runs"] == paused["n_runs"]
    assert timers.client.pause_job(job_id)["message"] == f"Successfully paused job {job_id}."
    assert timers.client.resume_job(job_id)["message"] == f"Successfully resumed job {job_id}."
    resumed = timers.wait(job_id, lambda job: job["n_runs"] > paused["n_runs"])
    assert (resumed["status"], resumed["inactive_reason"]) == ("loaded", None)
    first, second = timers.wait(job_id, lambda job: job["n_runs"] > paused["n_runs"] + 1)["results"]["data"][:2]
    ticks = [(moment(one["start_timestamp"]) - moment(paused["start"])) / TICK for one in (second, first)]
    assert int(ticks[0]) < int(ticks[1])  # the missed run is one run, and the next one is at a tick of its own


def test_paused_before_it_has_run(timers: Timers) -> None:
    """A timer that runs once and has missed its run does so when it is resumed."""
    timers.lab.put("file")
    asked = datetime.now(UTC) + timedelta(seconds=60)
    job_id = timers.once(timers.lab.data("file"), datetime=asked)
    timers.client.pause_job(job_id)
    time.sleep(1.5 * TICK)
    assert timers.show(job_id)["n_runs"] == 0
    timers.client.resume_job(job_id)
    assert timers.wait(job_id, is_over)["n_runs"] == 1


def test_resumed_after_its_end(timers: Timers) -> None:
    """There is nothing left to run."""
    timers.lab.put("file")
    end = {"condition": "time", "datetime": datetime.now(UTC) + timedelta(seconds=100)}
    start = datetime.now(UTC) + timedelta(seconds=60)
    job_id = timers.every(timers.lab.data("file"), start=start, end=end)
    timers.client.pause_job(job_id)
    time.sleep(2 * TICK)
    timers.client.resume_job(job_id)
    job = timers.show(job_id)
    assert (job["status"], job["n_runs"], job["next_run"], job["activity"]) == ("ended", 0, None, None)


@pytest.mark.parametrize("verb", ["pause_job", "resume_job"])
def test_what_has_ended_is_neither_paused_nor_resumed(timers: Timers, verb: str) -> None:
    """And the error says so."""
    timers.lab.put("file")
    job_id = timers.once(timers.lab.data("file"))
    timers.wait(job_id, is_over)
    with pytest.raises(globus_sdk.TimersAPIError, match="has ended") as caught:
        getattr(timers.client, verb)(job_id)
    assert (caught.value.http_status, caught.value.code) == (400, "TIMER_ENDED")


def test_what_may_pass_is_retried(timers: Timers) -> None:
    """A task with the same paths hinders the run; once it has gone the run starts, and it is the first one."""
    stuck = timers.lab.submit("none")
    job_id = timers.once(timers.lab.data("none"))
    job = timers.wait(job_id, lambda job: job["activity"]["code"] == "retrying")
    (result,) = job["results"]["data"]
    assert (result["status"], result["errors"]["code"], result["run_status"]) == (409, "Conflict", "RETRYING")
    timers.lab.client.cancel_task(stuck)
    timers.lab.put("none")
    job = timers.wait(job_id, is_over)
    assert (job["n_runs"], job["n_errors"]) == (1, 0)
    assert timers.tasks()[-1]["label"] == "a timer, run 1"


def test_a_run_that_is_paused_while_it_is_retried(timers: Timers) -> None:
    """It is tried again when the timer is resumed."""
    stuck = timers.lab.submit("none")
    job_id = timers.once(timers.lab.data("none"))
    timers.wait(job_id, lambda job: job["activity"]["code"] == "retrying")
    timers.client.pause_job(job_id)
    timers.lab.client.cancel_task(stuck)
    timers.lab.put("none")
    timers.client.resume_job(job_id)
    job = timers.wait(job_id, is_over)
    assert (job["n_runs"], job["n_errors"]) == (1, 0)


def test_a_run_is_given_up_in_time_for_the_next(timers: Timers) -> None:
    """After half the interval, as an error, and it counts as a run."""
    timers.lab.submit("none")
    job_id = timers.every(timers.lab.data("none"), interval=120, end={"condition": "iterations", "count": 2})
    job = timers.wait(job_id, lambda job: job["status"] == "ended")
    assert (job["n_runs"], job["n_errors"], job["activity"]) == (2, 2, None)
    for result in job["results"]["data"]:
        assert (result["status"], result["run_status"], result["data"]) == (409, "FAILED", None)
        assert moment(result["end_timestamp"]) >= moment(result["start_timestamp"]) + 60 / SCALE


def test_what_does_not_pass_is_not_retried(timers: Timers) -> None:
    """No such collection: nobody has looked when the timer was made."""
    data = globus_sdk.TransferData(str(uuid.uuid4()), timers.lab.destination_id)
    data.add_item("/a", "/b")
    job = timers.wait(timers.once(data), is_over)
    assert (job["n_runs"], job["n_errors"]) == (1, 1)
    (result,) = job["results"]["data"]
    assert (result["status"], result["errors"]["code"]) == (404, "EndpointNotFound")
    assert moment(result["end_timestamp"]) < moment(result["start_timestamp"]) + 45 * 60 / SCALE


@pytest.mark.parametrize("update_credentials", [None, True])
def test_a_missing_consent_is_seen_when_the_timer_runs(timers: Timers, update_credentials: bool | None) -> None:
    """The timer becomes inactive and tells what it needs; once it has that and is resumed, it runs at once."""
    guarded = timers.lab.emulator.collections["guarded"]
    timers.lab.put("file")
    data = globus_sdk.TransferData(timers.lab.source_id, guarded)
    data.add_item(timers.lab.path("file"), timers.lab.path("file"))
    job_id = timers.every(data, end={"condition": "iterations", "count": 1})
    job = timers.wait(job_id, lambda job: job["status"] == "inactive")
    assert (job["n_runs"], job["n_errors"]) == (0, 1)
    assert job["activity"] == {"code": "paused", "reason": "globus_auth_requirements"}
    assert job["inactive_reason"]["cause"] == "globus_auth_requirements"
    (scope,) = job["inactive_reason"]["detail"]["authorization_parameters"]["required_scopes"]
    assert is_gare(job["inactive_reason"]["detail"])
    timers.client.resume_job(job_id)
    timers.wait(job_id, lambda job: job["n_errors"] == 2 and job["status"] == "inactive")
    data_access = TransferScopes.all.with_dependency(GCSCollectionScopes(guarded).data_access.with_optional(True))
    asked = TimersScopes.timer.with_dependency(data_access)
    assert scope == str(asked)
    timers.client_of(asked).resume_job(job_id, update_credentials=update_credentials)
    job = timers.wait(job_id, is_over)
    assert (job["n_runs"], job["n_errors"], job["inactive_reason"]) == (1, 2, None)
    assert timers.tasks()[-1]["label"] == "a timer, run 1"


def user_timers(emulator: Emulator, scope: Any) -> globus_sdk.TimersClient:
    """The timers of a user who has logged in with a client of its own."""
    with globus_sdk.NativeAppAuthClient(str(uuid.uuid4()), base_url=emulator.url) as login:
        login.oauth2_start_flow(scope)
        tokens = login.oauth2_exchange_code_for_tokens(copy_code(login.oauth2_get_authorize_url()))
    authorizer = globus_sdk.AccessTokenAuthorizer(
        tokens.by_resource_server[TimersScopes.resource_server]["access_token"]
    )
    return globus_sdk.TimersClient(authorizer=authorizer, base_url=emulator.url)


def test_resumed_with_the_consents_of_another_client(lab: Lab) -> None:
    """Those take the place of the ones that were missing, unless the caller says that they should not."""
    guarded = lab.emulator.collections["guarded"]
    lab.put("file")
    data = globus_sdk.TransferData(lab.source_id, guarded)
    data.add_item(lab.path("file"), lab.path("file"))
    data_access = TransferScopes.all.with_dependency(GCSCollectionScopes(guarded).data_access.with_optional(True))
    with (
        user_timers(lab.emulator, TimersScopes.timer) as poor,
        user_timers(lab.emulator, TimersScopes.timer.with_dependency(data_access)) as rich,
    ):
        timer = globus_sdk.TransferTimer(name="a timer", schedule=globus_sdk.OnceTimerSchedule(), body=data)
        job_id = poor.create_timer(timer)["timer"]["job_id"]

        def wait(errors: int, status: str) -> None:
            deadline = time.monotonic() + PATIENCE
            while (job := rich.get_job(job_id))["n_errors"] < errors or job["status"] != status:
                assert time.monotonic() < deadline, f"Waited in vain, last seen {job}"
                time.sleep(0.02)

        wait(1, "inactive")
        rich.resume_job(job_id, update_credentials=False)
        wait(2, "inactive")
        poor.resume_job(job_id, update_credentials=True)
        wait(3, "inactive")
        rich.resume_job(job_id)
        wait(3, "ended")
        assert rich.get_job(job_id)["n_runs"] == 1


def test_renamed_and_deleted(timers: Timers) -> None:
    """Only the name changes; what is deleted is not there any more, and runs no more."""
    job_id = timers.once(timers.lab.data("file"), datetime=datetime.now(UTC) + timedelta(days=1))
    before = timers.show(job_id)
    renamed = timers.client.update_job(job_id, {"name": "another", "interval": 5}).data
    status = {"status": renamed["status"]}  # it may become loaded meanwhile
    assert renamed == before | {"name": "another"} | status
    assert timers.client.update_job(job_id, {}).data | status == renamed
    deleted = timers.client.delete_job(job_id).data
    assert deleted == renamed | {"status": "delete_in_progress", "next_run": None, "activity": None}
    for call in (timers.client.get_job, timers.client.delete_job, timers.client.pause_job, timers.client.resume_job):
        with pytest.raises(globus_sdk.TimersAPIError, match="No timer found") as caught:
            call(job_id)
        assert (caught.value.http_status, caught.value.code) == (404, "NOT_FOUND")
    assert timers.client.list_jobs()["jobs"] == []


def test_lists_are_filtered_and_ordered(timers: Timers) -> None:
    """By name, status and time, and each client sees its own."""
    later = globus_sdk.OnceTimerSchedule(datetime=datetime.now(UTC) + timedelta(days=1))
    names = ["b second", "a third", "c FIRST"]
    ids = {name: timers.make(later, timers.lab.data("file"), name) for name in names}
    timers.lab.put("file")
    done = timers.make(globus_sdk.OnceTimerSchedule(), timers.lab.data("file"), "over")
    timers.wait(done, is_over)
    timers.client.pause_job(ids["b second"])

    def listed(**query: Any) -> list[str]:
        return [job["name"] for job in timers.client.list_jobs(query_params=query)["jobs"]]

    assert listed() == listed(order="submitted_at asc") == [*names, "over"]
    assert listed(order="name desc") == ["over", "c FIRST", "b second", "a third"]
    assert listed(filter_name="first") == ["c FIRST"]
    assert listed(filter_status="inactive,ended") == ["b second", "over"]
    assert listed(filter_status="active") == listed(filter_active="true") == ["a third", "c FIRST"]
    assert listed(filter_stopped="true") == ["over"]
    middle = timers.show(ids["a third"])["submitted_at"]
    assert listed(submitted_after=middle) == ["c FIRST", "over"]
    assert listed(submitted_before=middle) == ["b second"]
    other = Timers(type(timers.lab)(timers.lab.emulator, timers.lab.source, timers.lab.destination, str(uuid.uuid4())))
    assert other.client.list_jobs()["jobs"] == []
    with pytest.raises(globus_sdk.TimersAPIError, match="No timer found"):
        other.client.get_job(done)


def test_results_come_in_pages(timers: Timers) -> None:
    """Newest first; `page_next` leads on until there are no more."""
    timers.lab.put("file")
    job_id = timers.every(timers.lab.data("file"), end={"condition": "iterations", "count": 5})
    timers.wait(job_id, is_over)
    labels, query = [], {"page_size": 2}
    while True:
        page = timers.client.get_job(job_id, query_params=query)["results"]
        assert len(page["data"]) <= 2
        labels += [result["data"]["details"]["label"] for result in page["data"]]
        if page["page_next"] is None:
            break
        query["results_pt"] = page["page_next"]
    assert labels == [f"a timer, run {number}" for number in (5, 4, 3, 2, 1)]
    (job,) = timers.client.list_jobs(query_params={"result_count": 3})["jobs"]
    assert len(job["results"]["data"]) == 3


@pytest.mark.parametrize("older", [True, False])
def test_jobs_as_older_clients_make_them(timers: Timers, older: bool) -> None:
    """In the words of either version of the Transfer action; they are shown as they were sent."""
    timers.lab.put("file")
    path = timers.lab.path("file")
    item = {"source_path": path, "destination_path": path, "recursive": False}
    source, destination = timers.lab.source_id, timers.lab.destination_id
    if older:
        body = {"source_endpoint_id": source, "destination_endpoint_id": destination, "transfer_items": [item]}
    else:
        body = dict(timers.lab.data("file").items())
    body["label"] = "old"
    start = datetime.now(UTC)
    job = globus_sdk.TimerJob(OLD_ACTION, {"body": body}, start, 60, name="a job", stop_after_n=2)
    answer = timers.client.create_job(job)
    assert answer.http_status == 201
    assert (answer["callback_url"], answer["interval"], answer["status"]) == (OLD_ACTION, 60.0, "new")
    if older:
        assert answer["callback_body"] == {"body": body}
    done = timers.wait(answer["job_id"], is_over)
    assert done["n_runs"] == 2
    assert [task["label"] for task in timers.tasks()] == ["old, run 1", "old, run 2"]


def test_a_label_has_room_for_the_number(timers: Timers) -> None:
    """What is too long is cut; a timer without name and label has runs without label."""
    timers.lab.put("file")
    job = timers.wait(timers.once(timers.lab.data("file", label="x" * 128)), is_over)
    assert job["results"]["data"][0]["data"]["details"]["label"] == "x" * 121 + ", run 1"
    nameless = timers.make(globus_sdk.OnceTimerSchedule(), timers.lab.data("file"), None)
    job = timers.wait(nameless, is_over)
    assert (job["name"], job["results"]["data"][0]["data"]["details"]["label"]) == (None, None)


RECURRING = {"type": "recurring", "interval_seconds": 60}
ITERATIONS = {"condition": "iterations", "count": 1}
INVALID: list[tuple[str, Any, str]] = [
    ("schedule", RECURRING | {"interval_seconds": 59}, "interval_seconds"),
    ("schedule", RECURRING | {"interval_seconds": 365 * 86400 + 1}, "interval_seconds"),
    ("schedule", {"type": "recurring"}, "interval_seconds"),
    ("schedule", {"type": "never"}, "schedule"),
    ("schedule", RECURRING | {"start": "yesterday"}, "start"),
    ("schedule", RECURRING | {"start": "1969-12-31T00:00:00Z"}, "start"),
    ("schedule", RECURRING | {"start": "2999-12-31T00:00:00Z"}, "start"),
    ("schedule", {"type": "once", "datetime": "9999-12-31T23:59:59-12:00"}, "datetime"),
    ("schedule", RECURRING | {"end": {"condition": "iterations", "iterations": 10}}, "count"),
    ("schedule", RECURRING | {"end": {"condition": "iterations", "count": 0}}, "count"),
    ("schedule", RECURRING | {"end": {"condition": "time", "datetime": "2001-01-01T00:00:00Z"}}, "recurring"),
    ("schedule", None, "schedule"),
    ("timer_type", "flow", "timer_type"),
    ("timer_type", "generic", "timer_type"),
    ("name", ["a"], "name"),
    ("body", {}, "source_endpoint"),
    ("body.DATA", [], "DATA"),
    ("body.DATA", [{"source_path": "/a"}], "destination_path"),
    ("body.DATA", [{"source_path": "relative", "destination_path": "/a"}], "body"),
    ("body.source_endpoint", "nothing", "source_endpoint"),
    ("body.label", "x" * 129, "body"),
    ("body.sync_level", 4, "sync_level"),
    ("body.deadline", "2001-01-01", "body"),
]


@pytest.mark.parametrize(
    ("field", "value", "place"), INVALID, ids=[f"{field}-{n}" for n, (field, *_) in enumerate(INVALID)]
)
def test_what_is_invalid_is_told(timers: Timers, field: str, value: Any, place: str) -> None:
    """Where, and why, in the shape of the service's own errors."""
    timer: dict[str, Any] = {
        "timer_type": "transfer",
        "schedule": RECURRING,
        "body": dict(timers.lab.data("a").items()),
    }
    *parents, last = field.split(".")
    target = timer
    for name in parents:
        target = target[name]
    target[last] = value
    with pytest.raises(globus_sdk.TimersAPIError) as caught:
        timers.client.create_timer(timer)
    assert caught.value.http_status == 422
    detail = caught.value.raw_json["detail"]
    assert {"loc", "msg", "type"} == set(detail[0])
    assert detail[0]["loc"][:2] == ["body", "timer"]
    assert place in detail[0]["loc"]
    assert timers.client.list_jobs()["jobs"] == []


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"interval": None}, "body"),
        ({"stop_after_n": 1}, "body"),
        ({"stop_after": {"date": "2001-01-01T00:00:00Z"}}, "body"),
        ({"stop_after": "2999-01-01T00:00:00Z", "stop_after_n": 2}, "body"),
        ({"interval": 1}, "interval"),
        ({"interval": "1e999"}, "interval"),
        ({"start": None}, "start"),
        ({"callback_url": "https://example.org/run"}, "callback_url"),
        ({"callback_body": {}}, "callback_body"),
        ({"callback_body": {"body": []}}, "callback_body"),
    ],
)
def test_invalid_jobs_are_told(timers: Timers, change: dict[str, Any], place: str) -> None:
    """As invalid timers are."""
    body = {"body": dict(timers.lab.data("a").items())}
    job = {"callback_url": OLD_ACTION, "callback_body": body, "start": datetime.now(UTC).isoformat(), "interval": 60}
    with pytest.raises(globus_sdk.TimersAPIError) as caught:
        timers.client.create_job(job | change)
    assert caught.value.http_status == 422
    assert place in caught.value.raw_json["detail"][0]["loc"]


@pytest.mark.parametrize(
    "query",
    [
        {"filter_status": "new"},
        {"order": "nothing"},
        {"order": "name up"},
        {"order": "name asc desc"},
        {"result_count": 0},
        {"submitted_after": "x"},
        {"filter_active": "perhaps"},
    ],
)
def test_invalid_queries_are_told(timers: Timers, query: dict[str, Any]) -> None:
    """In the shape of the service's own errors."""
    with pytest.raises(globus_sdk.TimersAPIError) as caught:
        timers.client.list_jobs(query_params=query)
    assert (caught.value.http_status, caught.value.raw_json["detail"][0]["loc"][0]) == (422, "query")


def test_errors_have_the_shape_of_the_service(timers: Timers) -> None:
    """Without a token, with one of another service, with a broken body, and for what is no UUID."""
    url = timers.lab.emulator.url
    plain = timers.lab.raw("GET", "/jobs/")
    assert (plain.status_code, set(plain.json()["error"])) == (401, {"code", "detail", "status"})
    headers = {"Authorization": timers.client.authorizer.get_authorization_header()}
    broken = timers.lab.raw("POST", "/v2/timer", headers=headers, data="{")
    assert (broken.status_code, broken.json()["error"]["status"]) == (400, 400)
    deep = '{"callback_body": ' + '{"a": ' * 500 + "1" + "}" * 501
    assert timers.lab.raw("POST", "/jobs/", headers=headers, data=deep).status_code == 422
    odd = timers.lab.raw("GET", "/jobs/no-uuid", headers=headers)
    assert (odd.status_code, odd.json()["detail"][0]["loc"]) == (422, ["path", "job_id"])
    assert url.startswith("http://127.0.0.1:")
