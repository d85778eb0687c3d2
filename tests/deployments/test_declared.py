"""prefect.yaml: what `prefect deploy --all` registers from a fresh clone, on a real server."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import yaml
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.responses import DeploymentResponse
from prefect.client.schemas.schedules import CronSchedule, IntervalSchedule
from prefect.exceptions import ObjectAlreadyExists
from prefect.flows import load_flow_from_entrypoint
from prefect.settings import PREFECT_API_URL, temporary_settings

from prefect_globus import list_schedules, resume_schedule, show_schedule
from prefect_globus.deployments.schedule_reports import ScheduleStatus
from prefect_globus.transfers.errors import InvalidLocationError

ROOT = Path(__file__).parents[2]
EXPECTED = {
    "resumable-transfer/on-demand": (50, "ENQUEUE"),
    "plan-transfer/plan": (50, "ENQUEUE"),
    "preflight-transfer/preflight": (50, "ENQUEUE"),
    "redrive-transfer/redrive": (50, "ENQUEUE"),
    "scheduled-transfer/nightly-backup": (2, "ENQUEUE"),
    "scheduled-transfer/every-hour-for-three-days": (2, "ENQUEUE"),
    "transfer-and-catalogue/transfer-and-catalogue": (50, "ENQUEUE"),
    "resume-incomplete/resume-incomplete": (3, "CANCEL_NEW"),
    "purge-transfers/purge": (3, "CANCEL_NEW"),
}
NIGHTLY, TUTORIAL = "scheduled-transfer/nightly-backup", "scheduled-transfer/every-hour-for-three-days"


@pytest.fixture(scope="module")
def deployed(prefect_api: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, DeploymentResponse]]:
    """The deployments of a fresh clone, by their full names, as the server has them; they are deleted in the end."""
    clone = tmp_path_factory.mktemp("deploy") / "clone"
    subprocess.run(["git", "clone", "--quiet", "--depth", "1", f"file://{ROOT}", str(clone)], check=True)
    # a clone has what was committed; what is tested is what is here
    (clone / "prefect.yaml").write_bytes((ROOT / "prefect.yaml").read_bytes())
    with temporary_settings({PREFECT_API_URL: prefect_api}), get_client(sync_client=True) as client:
        with suppress(ObjectAlreadyExists):
            client.create_work_pool(WorkPoolCreate(name="globus", type="process"))
        command = [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all"]
        environment = {**os.environ, "PREFECT_API_URL": prefect_api}
        done = subprocess.run(command, cwd=clone, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        made = {name: client.read_deployment_by_name(name) for name in EXPECTED}
        yield made
        for each in made.values():
            client.delete_deployment(each.id)


def test_all_that_is_declared_is_registered(deployed: dict[str, DeploymentResponse]) -> None:
    """With a work pool, tags, a description, and a limit of runs at once with what becomes of more."""
    declared = yaml.safe_load((ROOT / "prefect.yaml").read_text())["deployments"]
    assert {each.name for each in deployed.values()} == {each["name"] for each in declared}
    for name, each in deployed.items():
        assert each.work_pool_name == "globus"
        assert "globus" in each.tags
        assert each.description
        assert not each.pull_steps, "the folder of this machine would be wanted"
        assert each.global_concurrency_limit is not None
        assert each.concurrency_options is not None
        assert (each.global_concurrency_limit.limit, each.concurrency_options.collision_strategy) == EXPECTED[name]


def test_each_entrypoint_leads_to_its_flow_with_these_parameters(deployed: dict[str, DeploymentResponse]) -> None:
    """Without a placeholder, behind which an import error would hide."""
    for name, each in deployed.items():
        assert each.entrypoint is not None
        flow = load_flow_from_entrypoint(each.entrypoint, use_placeholder_flow=False)
        assert name == f"{flow.name}/{each.name}"
        assert set(each.parameters) <= set(flow.parameters.properties)
        if set(flow.parameters.required or []) <= set(each.parameters):
            flow.validate_parameters(each.parameters)


def test_what_needs_nothing_runs_by_itself_and_the_rest_does_not(deployed: dict[str, DeploymentResponse]) -> None:
    """The sweeper and the purge are active; transfers wait for their user."""
    active = {name: [own.schedule for own in each.schedules if own.active] for name, each in deployed.items()}
    assert {name: schedules for name, schedules in active.items() if schedules} == {
        "resume-incomplete/resume-incomplete": [CronSchedule(cron="*/5 * * * *", timezone="UTC")],
        "purge-transfers/purge": [CronSchedule(cron="30 3 * * 0", timezone="UTC")],
    }
    assert [own.schedule for own in deployed[NIGHTLY].schedules] == [
        CronSchedule(cron="0 2 * * *", timezone="Europe/Berlin")
    ]
    [hourly] = [own.schedule for own in deployed[TUTORIAL].schedules]
    assert isinstance(hourly, IntervalSchedule)
    assert hourly.interval.total_seconds() == deployed[TUTORIAL].parameters["schedule"]["interval_seconds"]
    assert deployed["purge-transfers/purge"].parameters["dry_run"] is False
    assert deployed["resume-incomplete/resume-incomplete"].parameters["deployment"] in deployed


def test_the_backup_does_not_start_before_its_locations_are_filled_in(
    prefect_api: str,
    deployed: dict[str, DeploymentResponse],  # noqa: ARG001 - they are on the server
) -> None:
    """And says so."""
    with temporary_settings({PREFECT_API_URL: prefect_api}):
        with pytest.raises(InvalidLocationError, match="'YOUR-COLLECTION-UUID' is not a UUID"):
            resume_schedule("nightly-backup")
        assert show_schedule("nightly-backup").status is ScheduleStatus.PAUSED


def test_the_timer_of_the_tutorial_begins_when_it_is_resumed(
    prefect_api: str, deployed: dict[str, DeploymentResponse]
) -> None:
    """With a run at once, and 72 in all."""
    with temporary_settings({PREFECT_API_URL: prefect_api}), get_client(sync_client=True) as client:
        assert {"nightly-backup", "every-hour-for-three-days"} <= {each.name for each in list_schedules()}
        before = show_schedule("every-hour-for-three-days")
        assert (before.status, before.schedule and before.schedule.first) == (ScheduleStatus.PAUSED, None)
        report = resume_schedule("every-hour-for-three-days")
        assert report.schedule is not None
        assert (report.status, report.schedule.count) == (ScheduleStatus.ACTIVE, 72)
        made = client.read_deployment(deployed[TUTORIAL].id)
        assert made.parameters["schedule"]["start"] == report.schedule.model_dump(mode="json")["start"]
        [own] = made.schedules
        assert own.active
        assert isinstance(own.schedule, IntervalSchedule)
        assert own.schedule.anchor_date == report.schedule.start
