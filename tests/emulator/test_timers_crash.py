"""Killed at any moment: no run of a timer is submitted twice, and none is lost."""

from __future__ import annotations

import random
import sqlite3
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import globus_sdk
import pytest
from globus_sdk.scopes import TimersScopes

from prefect_globus.emulator.collections.model import CollectionSpec
from prefect_globus.emulator.database import Database
from prefect_globus.emulator.site import Site
from prefect_globus.emulator.tasks.model import Policy
from prefect_globus.emulator.timers.model import Status, TimerSpec
from prefect_globus.emulator.timers.schedule import Schedule

if TYPE_CHECKING:
    from tests.emulator.conftest import Lab

RUNS = 8
SCALE = 400.0
TICK = 60 / SCALE  # real seconds
PATIENCE = 60.0


def timers_of(lab: Lab) -> globus_sdk.TimersClient:
    login = globus_sdk.ConfidentialAppAuthClient(lab.client_id, "secret", base_url=lab.emulator.url)
    authorizer = globus_sdk.ClientCredentialsAuthorizer(login, str(TimersScopes.timer))
    return globus_sdk.TimersClient(authorizer=authorizer, base_url=lab.emulator.url)


def wait(timers: globus_sdk.TimersClient, job_id: str, until: Callable[[Any], bool]) -> dict[str, Any]:
    deadline = time.monotonic() + PATIENCE
    while not until(job := timers.get_job(job_id, query_params={"page_size": 100}).data):
        assert time.monotonic() < deadline, f"Waited in vain, last seen {job}"
        time.sleep(0.05)
    return dict(job)


def test_a_killed_emulator_runs_each_run_once(make_lab: Callable[..., Lab]) -> None:
    """Killed many times, it has submitted the runs 1 to n, each as one task, and counted them."""
    lab = make_lab(time_scale=SCALE)
    lab.put("file")
    timers = timers_of(lab)
    schedule = globus_sdk.RecurringTimerSchedule(60, end={"condition": "iterations", "count": RUNS})
    timer = globus_sdk.TransferTimer(name="mine", schedule=schedule, body=lab.data("file"))
    job_id = timers.create_timer(timer)["timer"]["job_id"]
    for _ in range(4):
        time.sleep(random.uniform(0, 1.5 * TICK))
        lab.emulator.kill()
        lab.emulator.start()
    job = wait(timers, job_id, lambda job: job["status"] == "ended" and job["activity"] is None)
    tasks = list(lab.client.task_list(limit=1000, orderby="request_time ASC"))
    assert [task["label"] for task in tasks] == [f"mine, run {number}" for number in range(1, RUNS + 1)]
    assert {task["status"] for task in tasks} == {"SUCCEEDED"}
    assert (job["n_runs"], job["n_errors"]) == (RUNS, 0)
    told = [result["data"]["details"]["task_id"] for result in job["results"]["data"]]
    assert told == [task["task_id"] for task in reversed(tasks)]


def test_what_was_missed_while_it_was_down_runs_once(make_lab: Callable[..., Lab]) -> None:
    """At once, and then the timer goes on at its ticks; what was paused stays so."""
    lab = make_lab(time_scale=SCALE)
    lab.put("file")
    timers = timers_of(lab)
    start = datetime.now(UTC) + timedelta(seconds=60)
    body = globus_sdk.TransferTimer(
        name="mine", schedule=globus_sdk.RecurringTimerSchedule(60, start=start), body=lab.data("file")
    )
    job_id, paused_id = (timers.create_timer(body)["timer"]["job_id"] for _ in range(2))
    timers.pause_job(paused_id)
    lab.emulator.kill()
    time.sleep(5 * TICK)
    lab.emulator.start()
    before = timers.get_job(paused_id)
    assert (before["status"], before["n_runs"], before["inactive_reason"]["cause"]) == ("inactive", 0, "user")
    job = wait(timers, job_id, lambda job: job["n_runs"] >= 3)
    timers.delete_job(job_id)
    starts = [datetime.fromisoformat(one["start_timestamp"]).timestamp() for one in job["results"]["data"]]
    ticks = [(moment - datetime.fromisoformat(job["start"]).timestamp()) / TICK for moment in sorted(starts)]
    assert ticks[0] > 3  # nothing ran while it was down
    assert len({int(tick) for tick in ticks}) == len(ticks)


class Killed(BaseException):
    """Stands for the end of the process."""


def a_site(path: Path, folder: Path) -> Site:
    collections = [CollectionSpec("here", "6c54cade-bde5-45c1-bdea-f4bd71dba2cc", str(folder))]
    return Site.of(Database(path), collections, Policy(scale=SCALE))


def spec_of(site: Site) -> TimerSpec:
    (collection,) = site.collections
    item = {"DATA_TYPE": "transfer_item", "source_path": "/file", "destination_path": "/copy"}
    body = {"source_endpoint": collection, "destination_endpoint": collection, "DATA": [item]}
    now = time.time()
    return TimerSpec("mine", Schedule(now, count=1), {"type": "once"}, None, body, "url")


@pytest.mark.parametrize("step", ["intend", "submit", "started"])
@pytest.mark.parametrize("after", [False, True])
def test_killed_between_any_two_steps_of_a_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, after: bool
) -> None:
    """Before or after it is intended, submitted and noted: the next start makes it one task, with one submission_id."""
    (tmp_path / "file").write_bytes(b"content")
    site = a_site(tmp_path / "state.sqlite", tmp_path)
    owner = type(site.scheduler._submitter) if step == "submit" else type(site.timers)
    whole = getattr(owner, step)

    def cut(*args: Any) -> Any:
        if after:
            whole(*args)
        raise Killed

    site.scheduler.create("owner", "client", spec_of(site), time.time())
    with monkeypatch.context() as patch:
        patch.setattr(owner, step, cut)
        with pytest.raises(Killed):
            site.scheduler._step()
    assert len(site.tasks.of_owner("owner")) == (step == "started" or (step == "submit" and after))
    site.database.close()

    again = a_site(tmp_path / "state.sqlite", tmp_path)
    while again.scheduler._step() <= 0:
        pass
    (task,) = again.tasks.of_owner("owner")
    (timer,) = again.timers.of_owner("owner")
    (run,) = again.timers.runs(timer, before=None, limit=10, now=time.time())
    assert (run.task, run.submission_id) == (task.number, task.submission_id)
    assert (timer.status, timer.number_of_runs, task.label) == (Status.ENDED, 1, "mine, run 1")
    again.database.close()


def test_only_one_run_of_a_timer_can_be_starting(tmp_path: Path) -> None:
    """The state itself sees to it."""
    site = a_site(tmp_path / "state.sqlite", tmp_path)
    timer = site.timers.add("owner", "client", spec_of(site), time.time())
    site.timers.intend(timer, None, time.time())
    with pytest.raises(sqlite3.IntegrityError):
        site.timers.intend(timer, None, time.time())
    site.database.close()


def test_activity_is_kept_for_ninety_days(tmp_path: Path) -> None:
    """Of Globus time; the newest run stays, as it tells whether the next one may start."""
    site = a_site(tmp_path / "state.sqlite", tmp_path)
    timer = site.timers.add("owner", "client", spec_of(site), time.time())
    kept = 90 * 86_400 / SCALE
    now = time.time()
    for age in (2 * kept, 1.5 * kept, 0.5 * kept):
        run = site.timers.intend(timer, f"{age}", now - age)
        site.timers.failed(timer, run, 400, {}, now - age)
    assert [run.label for run in site.timers.runs(timer, before=None, limit=10, now=now)] == [f"{0.5 * kept}"]
    run = site.timers.intend(timer, "new", now)
    site.timers.failed(timer, run, 400, {}, now)
    assert len(site.database.rows("SELECT * FROM timer_runs")) == 2
    assert [run.label for run in site.timers.runs(timer, before=None, limit=10, now=now + 10 * kept)] == []
    site.database.close()
