"""Recurring transfers as deployments of a real Prefect server: made, changed, paused, resumed, ended."""

from __future__ import annotations

import datetime as dt
import re
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import DeploymentUpdate, WorkPoolCreate
from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterId
from prefect.client.schemas.objects import FlowRun, WorkPoolStatus
from prefect.client.schemas.schedules import CronSchedule, IntervalSchedule, RRuleSchedule
from prefect.client.schemas.sorting import FlowRunSort
from prefect.schedules import Cron
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.states import Failed

from prefect_globus import (
    GlobusCredentials,
    Location,
    SqlCheckpointStore,
    TransferOptions,
    TransferSchedule,
    TransferStatus,
    delete_schedule,
    deploy_recurring_transfer,
    list_schedules,
    pause_schedule,
    resume_schedule,
    show_schedule,
)
from prefect_globus.cli.schedules import _table
from prefect_globus.deployments.schedule_reports import ScheduleStatus
from prefect_globus.transfers.errors import (
    InvalidInputError,
    NoPrefectServerError,
    NoScheduleError,
    NoWorkPoolError,
    PrefectServerError,
    ScheduleEndedError,
    ScheduleOverError,
)
from prefect_globus.transfers.model import Scheduled, Transfer
from prefect_globus.transfers.records import now

HERE, THERE = "6c54cade-bde5-45c1-bdea-f4bd71dba2cc:/a", "31ce9ba0-176d-45a5-add3-f37d233ba47d:/b"
LONG_AGO = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
OVER = "DTSTART:20200101T000000Z\nRRULE:FREQ=DAILY;COUNT=3"
HOURLY = TransferSchedule.every(3600, start=dt.datetime(2030, 1, 1, tzinfo=dt.UTC))


@pytest.fixture(scope="module")
def pool(prefect_api: str) -> Iterator[str]:
    """A work pool without a worker, on the server that this module uses."""
    with temporary_settings({PREFECT_API_URL: prefect_api}):
        name = f"recurring-{uuid4().hex}"
        with get_client(sync_client=True) as client:
            client.create_work_pool(WorkPoolCreate(name=name, type="process"))
        yield name


@pytest.fixture
def name(pool: str) -> Iterator[str]:  # noqa: ARG001 - it has the server
    """Of a schedule, which is deleted if the test leaves it."""
    made = f"schedule-{uuid4().hex}"
    yield made
    with suppress(NoScheduleError):
        delete_schedule(made)


@pytest.fixture
def client(pool: str) -> Iterator[SyncPrefectClient]:  # noqa: ARG001 - it has the server
    with get_client(sync_client=True) as made:
        yield made


@pytest.fixture
def store(tmp_path: Path, name: str) -> SqlCheckpointStore:
    """A checkpoint store, saved under the schedule's name."""
    made = SqlCheckpointStore(url=f"sqlite:///{tmp_path / 'checkpoints.db'}")
    made.save(name)
    return made


def runs_of(client: SyncPrefectClient, name: str) -> list[FlowRun]:
    deployment = client.read_deployment_by_name(f"scheduled-transfer/{name}")
    chosen = DeploymentFilter(id=DeploymentFilterId(any_=[deployment.id]))
    return client.read_flow_runs(deployment_filter=chosen, sort=FlowRunSort.EXPECTED_START_TIME_ASC)


def due(run: FlowRun) -> dt.datetime:
    """The tick that a flow run is, not of Prefect's own kind."""
    assert run.expected_start_time is not None
    return dt.datetime.fromtimestamp(run.expected_start_time.timestamp(), dt.UTC)


def ran(store: SqlCheckpointStore, name: str, tick: dt.datetime, run: int) -> Transfer:
    """A run of a schedule as the flow puts it on record."""
    scheduled = Scheduled(schedule=f"scheduled-transfer/{name}", tick=tick, run=run)
    transfer = Transfer(
        id=f"{name}-{run}",
        source=Location.parse(HERE),
        destination=Location.parse(THERE),
        status=TransferStatus.COMPLETED,
        scheduled=scheduled,
    )
    store.create_transfer(transfer)
    return transfer


@pytest.mark.usefixtures("store")
def test_what_is_asked_for_is_deployed(client: SyncPrefectClient, pool: str, name: str) -> None:
    """By the module's name, for any worker of the pool; and what is asked for next takes its place."""
    GlobusCredentials(client_id="any", client_secret="any").save(name)
    deployment_id = deploy_recurring_transfer(
        name,
        HERE,
        THERE + "/{scheduled:%Y%m%d}",
        Cron("0 2 * * *", timezone="Europe/Berlin"),
        work_pool=pool,
        options=TransferOptions(sync_level="checksum", progress_callback=lambda *_: None),
        transfer_id="backup-{scheduled:%Y%m%d}",
        overlap="queue",
        catch_up="all",
        credentials=name,
        checkpoints=SqlCheckpointStore.load(name),
        tags=["night"],
    )
    made = client.read_deployment(deployment_id)
    assert made.entrypoint == "prefect_globus.flows.scheduled_transfer.scheduled_transfer"
    assert (made.path, made.pull_steps, made.work_pool_name) == (None, [], pool)
    assert made.tags == ["globus", "night"]
    assert made.description == f"Transfer {HERE} to {THERE}/{{scheduled:%Y%m%d}}: cron 0 2 * * * (Europe/Berlin)."
    assert made.parameters == {
        "source": HERE,
        "destination": THERE + "/{scheduled:%Y%m%d}",
        "options": {"sync_level": "checksum"},
        "transfer_id": "backup-{scheduled:%Y%m%d}",
        "overlap": "queue",
        "catch_up": "all",
        "timezone": "Europe/Berlin",
        "credentials": name,
        "checkpoints": f"{SqlCheckpointStore.get_block_type_slug()}/{name}",
    }
    assert made.global_concurrency_limit is not None
    assert made.global_concurrency_limit.limit == 2
    assert made.concurrency_options is not None
    assert made.concurrency_options.collision_strategy == "ENQUEUE"
    assert [each.schedule for each in made.schedules] == [CronSchedule(cron="0 2 * * *", timezone="Europe/Berlin")]
    first = runs_of(client, name)[0]
    assert due(first) == show_schedule(name).next_run, "a tick would be lost before the scheduler comes by"

    by_hand = CronSchedule(cron="0 0 1 1 *")
    client.create_deployment_schedules(deployment_id, [(by_hand, True)])
    assert deploy_recurring_transfer(name, HERE, THERE, HOURLY, work_pool=pool, active=False) == deployment_id
    again = client.read_deployment(deployment_id)
    assert again.parameters == {
        "source": HERE,
        "destination": THERE,
        "transfer_id": f"{name}-{{scheduled}}",
        "schedule": {"type": "recurring", "interval_seconds": 3600, "start": "2030-01-01T00:00:00Z"},
        "overlap": "skip",
        "catch_up": "latest",
        "timezone": "UTC",
    }
    assert [each.active for each in again.schedules] == [False]
    assert isinstance(again.schedules[0].schedule, RRuleSchedule)
    # Prefect's scheduler may still add the runs that it was about to make at that moment
    assert first.id not in {run.id for run in runs_of(client, name)}


def test_a_schedule_without_a_beginning_begins_at_once(client: SyncPrefectClient, pool: str, name: str) -> None:
    """With one run now, however late a worker comes, and the next when the interval has passed."""
    before = now().replace(microsecond=0)
    deploy_recurring_transfer(name, HERE, THERE, TransferSchedule.every(3600, count=3), work_pool=pool)
    first, second = runs_of(client, name)[:2]
    assert before <= due(first) <= now()
    assert due(second) - due(first) == dt.timedelta(hours=1)
    assert [first.auto_scheduled, second.auto_scheduled] == [False, True], "what is asked for is never late"
    report = show_schedule(name)
    assert report.schedule == TransferSchedule.every(3600, start=due(first), count=3)
    assert isinstance(
        client.read_deployment_by_name(f"scheduled-transfer/{name}").schedules[0].schedule, IntervalSchedule
    )


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"source": "somewhere"}, InvalidInputError, "there is no ':'"),
        ({"destination": HERE + "/below"}, InvalidInputError, "lies inside the source"),
        ({"destination": THERE + "/{day}"}, InvalidInputError, "{scheduled:%Y%m%d}"),
        ({"transfer_id": "always-the-same"}, InvalidInputError, "comes again"),
        ({"name": "a/b"}, InvalidInputError, "cannot name a schedule"),
        ({"name": " "}, InvalidInputError, "cannot name a schedule"),
        ({"timezone": "Europe/Berlim"}, InvalidInputError, "There is no time zone"),
        ({"schedule": Cron("0 2 * * *", active=False)}, InvalidInputError, "in the call itself"),
        ({"overlap": "sometimes"}, InvalidInputError, "overlap"),
        ({"work_pool": "none-such"}, NoWorkPoolError, "prefect work-pool create none-such --type process"),
        ({"credentials": "none-such"}, InvalidInputError, "no GlobusCredentials block named 'none-such'"),
        ({"checkpoints": "none-such"}, InvalidInputError, "block named 'none-such'"),
        ({"credentials": GlobusCredentials(client_id="any", client_secret="any")}, InvalidInputError, "must be saved"),
        ({"schedule": TransferSchedule.once(LONG_AGO)}, ScheduleOverError, "nothing would ever run"),
        ({"schedule": TransferSchedule.every(60, until=LONG_AGO)}, ScheduleOverError, "nothing would ever run"),
        ({"schedule": RRuleSchedule(rrule=OVER)}, ScheduleOverError, ""),
    ],
    ids=[
        "location", "overlap-of-trees", "template", "id", "name", "no-name", "zone", "inactive", "policy", "pool",
        "credentials", "checkpoints", "unsaved", "past", "ended", "rule-over",
    ],
)  # fmt: skip
def test_what_could_never_run_is_refused(
    pool: str, name: str, changes: dict[str, Any], error: type[Exception], words: str
) -> None:
    """When it is asked for, with what to do; nothing is deployed."""
    wanted = {"name": name, "source": HERE, "destination": THERE, "schedule": HOURLY, "work_pool": pool} | changes
    with pytest.raises(error) as raised:
        deploy_recurring_transfer(**wanted)
    assert words in str(raised.value)
    with pytest.raises(NoScheduleError):
        show_schedule(name)


def test_the_python_of_the_page_of_schedules_runs(
    client: SyncPrefectClient, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """As it stands."""
    page = (Path(__file__).parents[2] / "docs" / "schedules.md").read_text()
    [code] = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    client.create_work_pool(WorkPoolCreate(name="globus", type="process"), overwrite=True)
    GlobusCredentials(client_id="any", client_secret="any").save("lab", overwrite=True)
    SqlCheckpointStore(url=f"sqlite:///{tmp_path}/unused.db").save("team", overwrite=True)
    exec(code, {})
    said = capsys.readouterr().out
    assert "nightly active cron 0 2 * * * (Europe/Berlin) " in said
    assert "raw active every hour from 2099-11-23 02:00 UTC, 72 runs 2099-11-23 02:00:00+00:00" in said
    for name in ("nightly", "raw"):
        delete_schedule(name)


def test_without_a_server_it_is_said_what_to_do() -> None:
    """None that is configured, and none that answers."""
    with temporary_settings({PREFECT_API_URL: None}), pytest.raises(NoPrefectServerError, match="prefect server start"):
        list_schedules()
    gone = "http://127.0.0.1:9/api"
    with temporary_settings({PREFECT_API_URL: gone}), pytest.raises(PrefectServerError, match=f"runs at {gone}"):
        list_schedules()


@pytest.mark.parametrize(
    "call", [show_schedule, pause_schedule, resume_schedule, delete_schedule], ids=lambda c: c.__name__
)
def test_a_schedule_that_is_not_there(pool: str, call: Callable[[str], object]) -> None:  # noqa: ARG001
    """Is not made up."""
    for unknown in ("none-such", "a/b", ""):
        with pytest.raises(NoScheduleError, match="schedule list"):
            call(unknown)


def test_a_pause_holds_back_and_a_resume_makes_up_for_one_run(client: SyncPrefectClient, pool: str, name: str) -> None:
    """As Globus Timers does: however many ticks were missed, one run begins at once; and none if none was."""
    start = now() - dt.timedelta(hours=1)
    deploy_recurring_transfer(name, HERE, THERE, TransferSchedule.every(2, start=start, count=10_000), work_pool=pool)
    assert pause_schedule(name).status is ScheduleStatus.PAUSED
    paused_at = now()
    left = {run.id for run in runs_of(client, name)}  # due before the pause
    assert show_schedule(name).next_run is None
    time.sleep(5)
    assert pause_schedule(name).status is ScheduleStatus.PAUSED  # a second time, which forgets nothing
    resumed = resume_schedule(name)
    made = [run for run in runs_of(client, name) if run.id not in left]
    [missed] = [run for run in made if not run.auto_scheduled]
    assert paused_at < due(missed) < now()
    assert (due(missed) - start.replace(microsecond=0)) % dt.timedelta(seconds=2) == dt.timedelta()
    assert resumed.status is ScheduleStatus.ACTIVE
    assert any(run.auto_scheduled for run in made)
    assert resume_schedule(name).status is ScheduleStatus.ACTIVE
    assert len([run for run in runs_of(client, name) if run.id not in left and not run.auto_scheduled]) == 1

    deployment_id = deploy_recurring_transfer(name, HERE, THERE, HOURLY, work_pool=pool)
    pause_schedule(name)
    assert resume_schedule(name).next_run == HOURLY.first
    assert len([run for run in runs_of(client, name) if not run.auto_scheduled]) == 1, "none was missed this time"
    client.delete_deployment_schedule(deployment_id, client.read_deployment(deployment_id).schedules[0].id)
    with pytest.raises(InvalidInputError, match="make it anew"):
        resume_schedule(name)


def test_a_schedule_says_how_far_it_is_and_that_it_has_ended(
    client: SyncPrefectClient, pool: str, name: str, store: SqlCheckpointStore
) -> None:
    """By what is on record: it counts the runs since its start, and ends with the last of them."""
    start = now().replace(microsecond=0) - dt.timedelta(hours=2)
    schedule = TransferSchedule.every(3600, start=start, count=3)
    ran(store, name, start - dt.timedelta(hours=1), 7)  # of a schedule in whose place this one was made
    deploy_recurring_transfer(name, HERE, THERE, schedule, work_pool=pool, checkpoints=name)
    assert show_schedule(name).count == 0
    for run in (1, 2):
        ran(store, name, start + run * dt.timedelta(minutes=59), run)
    report = show_schedule(f"scheduled-transfer/{name}")
    assert (report.status, report.count, report.reason) == (ScheduleStatus.ACTIVE, 2, None)
    assert report.runs is not None
    assert [run.run for run in report.runs] == [2, 1, 7]
    ran(store, name, start + dt.timedelta(hours=2), 3)
    assert name in {each.name for each in list_schedules() if each.status is ScheduleStatus.ENDED}
    assert show_schedule(name).reason == "3 of 3 runs were made"
    for call in (pause_schedule, resume_schedule):
        with pytest.raises(ScheduleEndedError, match=f"{name}.*has ended: 3 of 3 runs were made"):
            call(name)
    deployment = client.read_deployment_by_name(f"scheduled-transfer/{name}")
    gone = DeploymentUpdate(parameters=deployment.parameters | {"checkpoints": "deleted-since"})
    client.update_deployment(deployment.id, gone)
    assert show_schedule(name).runs is None, "one store that is gone does not hide the others"
    delete_schedule(name)
    with pytest.raises(NoScheduleError):
        show_schedule(name)
    assert len(list(store.list_transfers())) == 4


def test_a_schedule_says_what_keeps_it_from_running(client: SyncPrefectClient, pool: str, name: str) -> None:
    """That nobody works on its pool, and how a flow run has failed that has begun no transfer."""
    made = deploy_recurring_transfer(name, HERE, THERE, TransferSchedule.once(), work_pool=pool)
    report = show_schedule(name)
    assert (report.work_pool_status, report.last_flow_run) == (WorkPoolStatus.NOT_READY, None)
    run = client.create_flow_run_from_deployment(made)
    failed = Failed(message="Flow run encountered an exception: GlobusNotFoundError: No such endpoint")
    client.set_flow_run_state(run.id, failed, force=True)
    said = show_schedule(name).last_flow_run
    assert said is not None
    assert said.startswith("Failed at ")
    assert said.endswith(" UTC: GlobusNotFoundError: No such endpoint")
    (listed,) = (each for each in list_schedules() if each.name == name)
    troubles = " ".join(" ".join(_table([listed])).split()).split(" ! ")[1:]
    assert troubles[0].startswith(f"work pool {pool}, which has no worker. Start one with:")
    assert troubles[1].startswith("the last flow run: Failed at ")


def test_a_last_run_that_was_missed_in_a_pause_is_made_up_for(client: SyncPrefectClient, pool: str, name: str) -> None:
    """So the schedule has not ended before; when the flow has ended it, it has."""
    tick = now().replace(microsecond=0) + dt.timedelta(seconds=6)
    deploy_recurring_transfer(name, HERE, THERE, TransferSchedule.once(tick), work_pool=pool)
    pause_schedule(name)
    for run in runs_of(client, name):  # Prefect's scheduler has made it at that very moment
        client.delete_flow_run(run.id)
    while now() <= tick:
        time.sleep(0.2)
    assert show_schedule(name).status is ScheduleStatus.PAUSED
    resume_schedule(name)
    assert [due(run) for run in runs_of(client, name)] == [tick]
    deployment = client.read_deployment_by_name(f"scheduled-transfer/{name}")
    client.update_deployment_schedule(deployment.id, deployment.schedules[0].id, active=False)  # as the flow does
    report = show_schedule(name)
    assert (report.status, report.reason) == (ScheduleStatus.ENDED, "its last tick has been")
