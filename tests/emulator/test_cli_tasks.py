"""The real globus-cli, end to end: tasks, timers, and a collection that needs a consent."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import globus_sdk
import pytest

from prefect_globus.emulator.process import running_emulator
from support.cli import GlobusCli, record, table

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.emulator.conftest import Lab

MISSING = "nowhere"


def stuck(desk: Lab, **options: Any) -> str:
    """A task that stays ACTIVE: its file is missing, so it backs off until its deadline."""
    return desk.submit(MISSING, **options)


def test_task_list(cli: GlobusCli, desk: Lab) -> None:
    """Filtered by label, status and type, as a table."""
    desk.put("file")
    label = uuid.uuid4().hex
    done, active = desk.submit("file", label=f"{label} done"), stuck(desk, label=f"{label} active")
    desk.wait(done)
    rows = table(cli.run("task", "list", "--filter-label", f"{label.upper()}*"))
    assert {row["Task ID"]: (row["Status"], row["Type"], row["Label"]) for row in rows} == {
        done: ("SUCCEEDED", "TRANSFER", f"{label} done"),
        active: ("ACTIVE", "TRANSFER", f"{label} active"),
    }
    named = ("--filter-label", f"{label}*")
    assert [row["Task ID"] for row in table(cli.run("task", "list", *named, "--filter-status", "ACTIVE"))] == [active]
    exact = cli.json("task", "list", "--filter-label", f"{label} done", "--exact", "--filter-type", "TRANSFER")
    assert [task["task_id"] for task in exact["DATA"]] == [done]
    assert cli.json("task", "list", *named, "--filter-type", "DELETE")["DATA"] == []


def test_task_show_and_wait(cli: GlobusCli, desk: Lab) -> None:
    """The end of a task, its files, and its exit status."""
    desk.put("one", b"1")
    desk.put("two", b"22")
    task = desk.submit("one", "two", verify_checksum=True)
    assert record(cli.run("task", "wait", task, "--timeout", "30")) == {}
    shown = record(cli.run("task", "show", task))
    assert (shown["Status"], shown["Files"], shown["Bytes Transferred"]) == ("SUCCEEDED", "2", "3")
    assert (shown["Total Subtasks"], shown["Subtasks Succeeded"]) == ("4", "4")
    moved = {row["Destination Path"]: row for row in table(cli.run("task", "show", "-t", task))}
    assert set(moved) == {desk.path("one"), desk.path("two")}
    assert moved[desk.path("two")]["Size"] == "2"


def test_task_show_skipped_errors(cli: GlobusCli, desk: Lab) -> None:
    """What --skip-source-errors left out, by path and code."""
    desk.put("there")
    lines = "there there\nnowhere nowhere\n"
    command = ("transfer", desk.here(), desk.there(), "--batch", "-", "--skip-source-errors")
    task = cli.value("task_id", *command, stdin=lines)
    assert desk.wait(task)["status"] == "SUCCEEDED"
    assert table(cli.run("task", "show", "--skipped-errors", task)) == [
        {
            "Source Path": desk.path("nowhere"),
            "Destination Path": desk.path("nowhere"),
            "Error Code": "FILE_NOT_FOUND",
        }
    ]


def test_task_wait_runs_out(cli: GlobusCli, desk: Lab) -> None:
    """A task that does not end in time ends the command with the status that was asked for."""
    command = ("task", "wait", stuck(desk), "--timeout", "1", "--timeout-exit-code", "50", "--heartbeat")
    assert "Task has yet to complete after 1 seconds" in cli.run(*command, status=50)


def test_task_update_event_list_and_cancel(cli: GlobusCli, desk: Lab) -> None:
    """The life of a task that cannot go on."""
    task = stuck(desk)
    deadline = (datetime.now(UTC) + timedelta(days=2)).strftime("%Y-%m-%d %H:%M:%S")
    cli.run("task", "update", task, "--label", "renamed", "--deadline", deadline)
    desk.wait(task, lambda found: bool(found["faults"]))
    shown = record(cli.run("task", "show", task))
    assert (shown["Label"], shown["Status"], shown["Details"]) == ("renamed", "ACTIVE", "FILE_NOT_FOUND")
    assert shown["Deadline"].startswith(deadline.replace(" ", "T"))
    events = table(cli.run("task", "event-list", task, "--filter-errors"))
    assert {(event["Code"], event["Is Error"]) for event in events} == {("FILE_NOT_FOUND", "True")}
    assert table(cli.run("task", "event-list", task))[-1]["Code"] == "STARTED"
    assert "has been cancelled successfully" in cli.run("task", "cancel", task)
    assert cli.value("fatal_error.code", "task", "show", task) == "CANCELED"
    cli.run("task", "wait", task, status=1)


def test_task_cancel_all(cli: GlobusCli, desk: Lab) -> None:
    """Every unfinished task of the caller, and an error when there is none left."""
    tasks = {stuck(desk), desk.submit("nothing")}
    said = cli.run("task", "cancel", "--all")
    assert all(f"{task} (" in said for task in tasks)
    assert "You have no in-progress tasks." in cli.run("task", "cancel", "--all", status=1)


def test_task_pause_info(cli: GlobusCli, desk: Lab) -> None:
    """A task that is not paused, then the rule of an administrator that holds it."""
    task = stuck(desk)
    assert f"Task {task} is not paused." in cli.run("task", "pause-info", task)
    rule = {
        "DATA_TYPE": "pause_rule",
        "message": "Disk is being replaced",
        "endpoint_id": desk.source_id,
        "identity_id": desk.client_id,
        **dict.fromkeys(("pause_ls", "pause_mkdir", "pause_rename", "pause_symlink"), False),
        **dict.fromkeys(("pause_task_delete", "pause_task_transfer_write"), False),
        "pause_task_transfer_read": True,
    }
    made = desk.client.endpoint_manager_create_pause_rule(rule)
    desk.wait(task, lambda found: bool(found["is_paused"]))
    (row,) = table(cli.run("task", "pause-info", task).partition("effective on this task:\n")[2].lstrip())
    assert (row["Operations"], row["On Endpoint"], row["Message"]) == ("read", "source", "Disk is being replaced")
    desk.client.endpoint_manager_delete_pause_rule(made["id"])
    desk.wait(task, lambda found: not found["is_paused"])


def test_timer_that_runs_once(cli: GlobusCli, desk: Lab) -> None:
    """Created, run, shown; its file is on disk, and its task has a label."""
    desk.put("nightly", b"night")
    timer = record(
        cli.run(
            *("timer", "create", "transfer", desk.here("nightly"), desk.there("nightly")),
            *("--name", "one night", "--label", "nightly", "--stop-after-runs", "1"),
        )
    )
    identifier = timer["Timer ID"]
    over = "This timer is no longer active"
    shown = until(lambda: record(cli.run("timer", "show", identifier)), lambda found: found["Activity"] == over)
    assert (shown["Name"], shown["Type"], shown["Number of Runs"]) == ("one night", "Transfer", "1")
    assert shown["Status"] == "ended"
    (task,) = desk.client.task_list(filter="label:~nightly*")["DATA"]
    assert desk.wait(task["task_id"])["label"] == "nightly, run 1"
    assert (desk.destination / "nightly").read_bytes() == b"night"


@pytest.mark.parametrize("end", ["date", "runs"])
def test_timer_that_recurs(cli: GlobusCli, desk: Lab, end: str) -> None:
    """Every day, until a date or for so many runs: create, pause, resume, list, delete."""
    desk.put("file")
    start = datetime.now(UTC) + timedelta(days=10)
    stop = start + timedelta(days=30)
    stops = {"date": ("--stop-after-date", stop.strftime("%Y-%m-%dT%H:%M:%S+0000")), "runs": ("--stop-after-runs", "7")}
    schedule = ("--start", start.strftime("%Y-%m-%dT%H:%M:%S+0000"), "--interval", "1d", *stops[end])
    command = ("timer", "create", "transfer", desk.here("file"), desk.there("file"), "--name", f"until {end}")
    timer = cli.value("timer.job_id || job_id", *command, *schedule)
    shown = record(cli.run("timer", "show", timer))
    assert (shown["Interval"], shown["Number of Runs"]) == ("1 day, 0:00:00", "0")
    assert shown["Stop After Number of Runs"] == {"date": "None", "runs": "7"}[end]
    assert (shown["Stop After Date"] != "None") == (end == "date")
    assert shown["Activity"].startswith("Awaiting the next run, scheduled to occur at ")
    assert "Successfully paused" in cli.run("timer", "pause", timer)
    assert record(cli.run("timer", "show", timer))["Activity"] == "Paused, awaiting user action"
    assert "Successfully resumed" in cli.run("timer", "resume", timer)
    listed = {job["job_id"]: job for job in cli.json("timer", "list")}
    assert (listed[timer]["name"], listed[timer]["status"] != "inactive") == (f"until {end}", True)
    assert record(cli.run("timer", "delete", timer))["Name"] == f"until {end}"
    assert timer not in cli.run("timer", "list")
    assert "404" in cli.run("timer", "show", timer, status=1)


def test_consent_is_asked_for_by_the_cli_itself(tmp_path_factory: pytest.TempPathFactory) -> None:
    """A collection with data_access: the CLI answers ConsentRequired with a token request, and tries again."""
    root = tmp_path_factory.mktemp("consent")
    folders = {"private": root / "private", "open": root / "open"}
    for folder in folders.values():
        folder.mkdir()
    (folders["private"] / "secret.txt").write_bytes(b"secret")
    with running_emulator(folders, time_scale=200.0, data_access=["private"]) as emulator:
        home = root / "home"
        home.mkdir()
        private, other = emulator.collections["private"], emulator.collections["open"]
        cli = GlobusCli(emulator, str(uuid.uuid4()), home)
        login = globus_sdk.ConfidentialAppAuthClient(str(uuid.uuid4()), "secret", base_url=emulator.url)
        authorizer = globus_sdk.ClientCredentialsAuthorizer(login, globus_sdk.TransferClient.scopes.all)
        stranger = globus_sdk.TransferClient(authorizer=authorizer, base_url=emulator.url)
        with pytest.raises(globus_sdk.TransferAPIError) as refused:
            stranger.operation_ls(private)
        assert (refused.value.http_status, refused.value.code) == (403, "ConsentRequired")
        kinds = {row["id"]: row["entity_type"] for row in cli.json("endpoint", "search", "p")["DATA"]}
        assert kinds == {private: "GCSv5_mapped_collection", other: "GCP_mapped_collection"}
        assert cli.run("ls", f"{private}:/").split() == ["secret.txt"]
        timers = GlobusCli(emulator, str(uuid.uuid4()), root)
        timers.run(
            "timer", "create", "transfer", f"{private}:/secret.txt", f"{other}:/copy.txt", "--stop-after-runs", "1"
        )
        until((folders["open"] / "copy.txt").exists, bool)


def until(look: Callable[[], Any], test: Callable[[Any], bool]) -> Any:
    """Look until the test holds; return what was seen."""
    patience = datetime.now(UTC) + timedelta(seconds=30)
    while not test(found := look()):
        assert datetime.now(UTC) < patience, f"Waited in vain, last seen {found}"
    return found
