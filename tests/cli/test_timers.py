"""The commands `timers ...`, and Globus Timers that become deployments of a real Prefect server."""

from __future__ import annotations

import asyncio
import json
import re
import shlex
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

import globus_sdk
import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.responses import DeploymentResponse
from prefect.server.schemas.schedules import SCHEDULE_TYPES
from prefect.settings import PREFECT_API_URL, temporary_settings
from pydantic import SecretStr, TypeAdapter
from shells import call

from prefect_globus import GlobusCredentials, Timer, TransferOptions, import_timer, pause_timer, show_timer
from prefect_globus.deployments.timers import remaining
from prefect_globus.emulator import Answer, RequestFault
from prefect_globus.emulator.process import Emulator, running_emulator
from prefect_globus.emulator.timers.schedule import Schedule
from prefect_globus.globus.timers import timer_of
from prefect_globus.transfers.errors import (
    InvalidInputError,
    NoPrefectServerError,
    TimerNotImportableError,
    TimerNotPausedError,
)

PATIENCE = 60.0
NEXT = 10
HOUR = 3_600
COLUMNS = 80
TRANSFER_ACTION = "https://transfer.actions.globus.org/transfer/run"


@pytest.fixture(scope="module")
def globus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    root = tmp_path_factory.mktemp("timers")
    folders = {name: root / name for name in ("in", "out", "secret")}
    for folder in folders.values():
        (folder / "data").mkdir(parents=True)
        (folder / "data" / "file").write_text("content")
    with running_emulator(folders, data_access=["secret"]) as emulator:
        yield emulator


@pytest.fixture
def login(globus: Emulator, prefect_api: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[GlobusCredentials]:
    """A client of its own in the environment, in front of the emulator, with a Prefect server that has a work pool."""
    client_id = str(uuid.uuid4())
    secrets = {"GLOBUS_CLIENT_ID": client_id, "GLOBUS_CLIENT_SECRET": "s"}
    for name, value in (globus.environment() | secrets).items():
        monkeypatch.setenv(name, value)
    with temporary_settings({PREFECT_API_URL: prefect_api}):
        with get_client(sync_client=True) as client:
            client.create_work_pool(WorkPoolCreate(name="timers", type="process"), overwrite=True)
        yield GlobusCredentials(client_id=client_id, client_secret=SecretStr("s"))


def at(globus: Emulator, collection: str, path: str = "/data") -> str:
    return f"{globus.collections[collection]}:{path}"


def until(timer: Timer, condition: Callable[[Timer], object]) -> Timer:
    deadline = time.monotonic() + PATIENCE
    while not condition(timer):
        assert time.monotonic() < deadline, timer
        time.sleep(0.1)
        timer = show_timer(timer.id)
    return timer


# --- the commands -------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("login", "here")
def test_the_life_of_a_timer(globus: Emulator) -> None:
    """Each command says what it has done, in lines that fit a terminal, and as JSON."""
    assert call("timers", "list").err == "There are no Timers.\n"
    start = (datetime.now(UTC) + timedelta(hours=3)).replace(microsecond=0)
    arguments = ["--every", "12h", "--start", start.isoformat(), "--count", "7", "--sync-level", "mtime"]
    arguments += ["--label", "nightly", "--exclude", "*.tmp", "--name", "a name that is longer than a line of a screen"]
    made = call("timers", "create", at(globus, "in"), at(globus, "out", "/life"), *arguments)
    assert (made.code, made.err) == (0, "")
    timer_id = made.out.split()[1]
    said = call("timers", "show", timer_id).out
    assert said == made.out
    for line in (
        f"When:         every 12 hours from {start:%Y-%m-%d %H:%M}",
        "Runs:         0 of 7\n",
        f"Source:       {at(globus, 'in')}\n",
        "Options:      filter_rules exclude '*.tmp', label 'nightly', sync_level mtime, verify_checksum\n",
    ):
        assert line in said

    listed = call("timers", "list").out.splitlines()
    assert listed[1].split() == [timer_id, "active", "0", "of", "7", *f"{start:%Y-%m-%d %H:%M}".split()]
    assert listed[2].startswith("  a name that")
    assert all(len(line) <= COLUMNS for line in listed)

    assert f"timers resume {timer_id}" in call("timers", "pause", timer_id).err
    assert (
        f"Somebody has paused it. Resume it with: prefect-globus timers resume {timer_id}"
        in call("timers", "show", timer_id).out
    )
    assert json.loads(call("timers", "list", "--json").out)[0]["status"] == "inactive"
    assert call("timers", "resume", timer_id).out.startswith(f"{timer_id} is active; its next run is due at {start:%Y}")
    shown = json.loads(call("timers", "show", timer_id, "--json").out)
    assert shown["schedule"]["end"] == {"condition": "iterations", "count": 7, "datetime": None}
    assert call("timers", "delete", timer_id).out == f"{timer_id} is deleted\n"
    gone = call("timers", "show", timer_id)
    assert (gone.code, gone.out) == (1, "")
    assert f"timer {timer_id}" in gone.err


@pytest.mark.usefixtures("here")
def test_a_timer_that_stands_still_says_how_to_mend_it(globus: Emulator, login: GlobusCredentials) -> None:
    """Another program has made it without the consent that its collection wants; `resume` gives that."""
    timer = made_by_another(globus, login, {"type": "once"}, source="secret")
    until(timer, lambda timer: timer.is_inactive)
    said = call("timers", "show", str(timer.id)).out
    assert f"prefect-globus login --collection {globus.collections['secret']}\n" in said
    assert f"as a client with a secret: prefect-globus timers resume {timer.id}\n" in said
    assert "Missing required data_access consent" in said
    assert call("timers", "resume", str(timer.id)).code == 0
    assert until(timer, lambda timer: any(run.status == "SUCCEEDED" for run in timer.results)).has_ended


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ((), "give --every or --once"),
        (("--every", "1h", "--batch-size", "5"), "batch_size (it is how this package drives a transfer"),
        (("--every", "30s"), "60 seconds"),
        (("--every", "1h", "--start", "2026-11-22T02:00:00"), "no time zone"),
        (("--once", "2020-01-01T00:00:00Z"), "is over"),
        (("--every", "1h", "--sync-level", "7"), "--sync-level"),
    ],
    ids=["no schedule", "an option of ours", "too often", "no zone", "in the past", "an unknown level"],
)
@pytest.mark.usefixtures("login", "here")
def test_bad_input_ends_with_2(globus: Emulator, flags: tuple[str, ...], words: str) -> None:
    said = call("timers", "create", at(globus, "in"), at(globus, "out", "/bad"), *flags)
    assert (said.code, said.out) == (2, "")
    assert words in said.err
    assert "Traceback" not in said.err
    assert call("timers", "show", "not-an-id").code == 2


# --- import -------------------------------------------------------------------------------------------------------


def made_by_another(
    globus: Emulator, login: GlobusCredentials, schedule: dict[str, Any], *, source: str = "in", **settings: Any
) -> Timer:
    """A Timer as another program makes it: with globus-sdk, or globus-cli."""
    data = globus_sdk.TransferData(globus.collections[source], globus.collections["out"], **settings)
    data.add_item("/data", f"/imported-{uuid.uuid4()}", recursive=True)
    timer = globus_sdk.TransferTimer(name=f"Imported {uuid.uuid4()}", schedule=schedule, body=data)
    with login.get_timers_client() as client:
        return timer_of(client.create_timer(timer)["timer"])


def soon(seconds: float) -> str:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).replace(microsecond=0).isoformat()


def recurring(interval: int, **details: Any) -> dict[str, Any]:
    return {"type": "recurring", "interval_seconds": interval, **details}


KINDS: dict[str, Callable[[], dict[str, Any]]] = {
    "once": lambda: {"type": "once", "datetime": soon(2 * HOUR)},
    "at once, without an end": lambda: recurring(5_400),
    "from a moment on": lambda: recurring(86_400, start=soon(30 * HOUR)),
    "since long ago": lambda: recurring(977, start=soon(-300 * 86_400)),
    "until a moment": lambda: recurring(HOUR, start=soon(600), end={"condition": "time", "datetime": soon(5 * HOUR)}),
    "since long ago, until a moment": lambda: recurring(
        7_777, start=soon(-90 * 86_400), end={"condition": "time", "datetime": soon(6 * HOUR)}
    ),
    "so many runs": lambda: recurring(60, start=soon(HOUR), end={"condition": "iterations", "count": 4}),
    "so many runs, one made": lambda: recurring(HOUR, start=soon(-60), end={"condition": "iterations", "count": 4}),
}


def ticks_at_globus(timer: Timer, moment: datetime) -> list[datetime]:
    """The next runs of a Timer, by the arithmetic of the emulator's Timers, which is no part of the product."""
    assert timer.schedule is not None
    first, end = timer.schedule.first, timer.schedule.end
    assert first is not None
    rule = Schedule(
        first.timestamp(),
        timer.schedule.interval_seconds,
        end.datetime.timestamp() if end is not None and end.datetime is not None else None,
        timer.schedule.count,
    )
    found: list[float] = []
    at_least = rule.next_run(moment.timestamp(), timer.runs)
    while at_least is not None and len(found) < NEXT:
        found.append(at_least)
        at_least = rule.next_run(at_least, timer.runs + len(found))
    return [datetime.fromtimestamp(each, UTC) for each in found]


def ticks_at_prefect(deployment: DeploymentResponse, moment: datetime) -> list[datetime]:
    """The next runs of a deployment: the dates by Prefect's own scheduler, as many as the flow lets begin."""
    known: Any = TypeAdapter(SCHEDULE_TYPES).validate_python(deployment.schedules[0].schedule.model_dump())
    dates = asyncio.run(known.get_dates(NEXT, start=moment))
    count = (deployment.parameters["schedule"].get("end") or {}).get("count")
    return [date.astimezone(UTC) for date in islice(dates, count)]


def read(name: str) -> DeploymentResponse:
    with get_client(sync_client=True) as client:
        return client.read_deployment_by_name(f"scheduled-transfer/{name}")


@pytest.mark.parametrize(
    ("kind", "inactive"),
    [*((kind, False) for kind in KINDS), ("since long ago", True), ("so many runs, one made", True)],
)
def test_an_imported_timer_has_the_same_ticks(
    globus: Emulator, login: GlobusCredentials, kind: str, *, inactive: bool
) -> None:
    """For each kind of schedule the next ten, or as many as are left, and whether it runs at all."""
    timer = made_by_another(globus, login, KINDS[kind](), sync_level=2, verify_checksum=False, label="mine")
    assert timer.schedule is not None
    first = timer.schedule.first
    assert first is not None
    if first <= datetime.now(UTC):
        timer = until(timer, lambda timer: timer.runs == 1)
    if inactive:
        timer = pause_timer(timer.id)
    done = import_timer(timer.id, work_pool="timers")
    ((name, deployment_id),) = done.deployments.items()
    deployment = read(name)
    assert deployment.id == deployment_id
    moment = datetime.now(UTC)
    expected = ticks_at_globus(timer, moment)
    assert expected
    assert ticks_at_prefect(deployment, moment) == expected
    if not inactive:
        assert timer.next_run is not None
        assert expected[0] == timer.next_run.replace(microsecond=0)
    assert deployment.schedules[0].active is not inactive
    assert done.timer.is_inactive is inactive  # nobody has asked for it to be paused
    assert timer.transfer is not None
    item = timer.transfer.items[0]
    parameters = deployment.parameters
    assert parameters["source"] == f"{timer.transfer.source}:{item.source}"
    assert parameters["destination"] == f"{timer.transfer.destination}:{item.destination}"
    assert parameters["transfer_id"] == f"{name}-{{scheduled:%Y%m%dT%H%M%SZ}}"
    options = TransferOptions.model_validate(parameters["options"])
    wanted = TransferOptions(sync_level="mtime", verify_checksum=False, label="mine")
    assert options.differences(wanted) == []
    assert parameters["overlap"] == "skip"


@pytest.mark.usefixtures("here")
def test_import_pauses_the_timer_when_it_is_asked_to(globus: Emulator, login: GlobusCredentials) -> None:
    """Otherwise it says that both run; and it leaves alone what there is of that name."""
    timer = made_by_another(globus, login, recurring(HOUR, start=soon(HOUR)))
    name = f"import-{uuid.uuid4().hex}"
    arguments = ["timers", "import", str(timer.id), "--name", name, "--work-pool", "timers"]
    both = call(*arguments)
    assert both.code == 0, both.err
    assert f"Both run now. Pause the Timer with: prefect-globus timers pause {timer.id}" in both.out
    assert show_timer(timer.id).status == "active"
    again = call(*arguments)
    assert (again.code, again.out) == (2, "")
    assert f"schedule delete {name}" in again.err
    other = call(*arguments[:3], "--name", f"{name}-2", "--work-pool", "timers", "--pause-timer", "--json")
    done = json.loads(other.out)
    assert (done["timer"]["status"], list(done["deployments"])) == ("inactive", [f"{name}-2"])
    assert show_timer(timer.id).is_inactive
    assert read(f"{name}-2").schedules[0].active


def test_a_timer_that_cannot_be_paused_is_not_forgotten(globus: Emulator, login: GlobusCredentials) -> None:
    """The deployment is there by then, so whoever imports is told that both run."""
    timer = made_by_another(globus, login, recurring(HOUR, start=soon(HOUR)))
    down = RequestFault(Answer(403, "Forbidden"), path="/jobs/*/pause", client=login.client_id)
    with globus.fault(down), pytest.raises(TimerNotPausedError, match=f"timers pause {timer.id}$"):
        import_timer(timer.id, name="not paused", work_pool="timers", pause=True)
    assert read("not paused").parameters["transfer_id"].startswith("not-paused-{")


def test_a_timer_of_several_items_and_an_older_one(globus: Emulator, login: GlobusCredentials) -> None:
    """Each item is a deployment; braces in a path are no template. globus-sdk's older call has made it."""
    items = [
        {"source_path": "/data", "destination_path": "/several/{a}", "recursive": True},
        {"source_path": "/data/file", "destination_path": "/several/b"},
    ]
    body = {
        "source_endpoint_id": globus.collections["in"],
        "destination_endpoint_id": globus.collections["out"],
        "transfer_items": items,
    }
    start = datetime.now(UTC) + timedelta(hours=1)
    job = globus_sdk.TimerJob(TRANSFER_ACTION, {"body": body}, start, timedelta(hours=2), stop_after_n=3)
    with login.get_timers_client() as client:
        timer = timer_of(client.create_job(job).data)
    done = import_timer(timer.id, work_pool="timers", transfer_id="mine-{run}")
    assert list(done.deployments) == [f"timer-{str(timer.id)[:8]}-{number}" for number in (1, 2)]
    first, second = (read(name).parameters for name in done.deployments)
    assert first["destination"] == f"{globus.collections['out']}:/several/{{{{a}}}}"
    assert second["source"] == at(globus, "in", "/data/file")
    assert (first["transfer_id"], second["transfer_id"]) == ("mine-{run}-1", "mine-{run}-2")
    assert first["schedule"]["end"]["count"] == 3
    assert TransferOptions.model_validate(first["options"]).verify_checksum is False  # as the Transfer API takes it


def test_what_cannot_be_imported_is_refused(globus: Emulator, login: GlobusCredentials) -> None:
    """A Timer that has ended, one with nothing left to do, one that is not ours to do; and without a server."""
    ended = until(made_by_another(globus, login, {"type": "once"}), lambda timer: timer.has_ended)
    missed = pause_timer(made_by_another(globus, login, {"type": "once", "datetime": soon(HOUR)}).id)
    filtered = globus_sdk.TransferData(globus.collections["in"], globus.collections["out"])
    filtered.add_item("/data", "/filtered")
    filtered.add_filter_rule("*.nc", method="include", type="file")
    timer = globus_sdk.TransferTimer(schedule=recurring(HOUR), body=filtered)
    with login.get_timers_client() as client:
        strange = timer_of(client.create_timer(timer)["timer"])
    cases: list[tuple[Timer, type[InvalidInputError], str]] = [
        (ended, TimerNotImportableError, "has ended, and has run once"),
        (strange, TimerNotImportableError, "includes '\\*.nc' of type file"),
    ]
    for each, kind, words in cases:
        with pytest.raises(kind, match=words):
            import_timer(each.id, work_pool="timers")
    with pytest.raises(TimerNotImportableError, match="no run of it is to come"):
        remaining(missed, datetime.now(UTC) + timedelta(hours=2))
    with temporary_settings({PREFECT_API_URL: None}), pytest.raises(NoPrefectServerError):
        import_timer(strange.id)


# --- docs/timers.md -----------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("here")
def test_what_the_docs_show_runs(
    tmp_path: Path, prefect_api: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each command and the Python, as they stand, in front of an emulator that has the collections of the docs."""
    docs = (Path(__file__).parents[2] / "docs" / "timers.md").read_text()
    (tmp_path / "source" / "instrument" / "raw").mkdir(parents=True)
    (tmp_path / "destination").mkdir()
    ends = zip(("source", "destination"), re.findall(r"([0-9a-f-]{36}):/", docs), strict=False)
    specs = [f"{name}@{collection}={tmp_path / name}" for name, collection in ends]
    with running_emulator(specs) as emulator, temporary_settings({PREFECT_API_URL: prefect_api}):
        for name, value in (emulator.environment() | {"GLOBUS_CLIENT_ID": "a", "GLOBUS_CLIENT_SECRET": "b"}).items():
            monkeypatch.setenv(name, value)
        with get_client(sync_client=True) as client:
            client.create_work_pool(WorkPoolCreate(name="globus", type="process"), overwrite=True)
        commands = re.findall(r"^\$ prefect-globus (.*)$", docs, re.MULTILINE)
        importing = commands.pop()  # the Timer is deleted before that
        timer_id = ""
        for command in [*commands, commands[0], importing]:
            said = call(*shlex.split(command.replace("$TIMER", timer_id)))
            assert said.code == 0, said.err
            timer_id = said.out.split()[1] if " create " in command else timer_id
        (code,) = re.findall(r"```python\n(.*?)```", docs, re.DOTALL)
        exec(code, {"__name__": "docs"})
        assert "every hour from" in capsys.readouterr().out
        with get_client(sync_client=True) as client:
            client.delete_deployment(read("raw-hourly").id)
