"""A run tells its story while it goes: names, tags, the log, and artifacts that move."""

from __future__ import annotations

import json
import threading
from typing import Any
from uuid import uuid4

import httpx
import pytest
from prefect import flow
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import (
    ArtifactFilter,
    ArtifactFilterKey,
    FlowRunFilter,
    FlowRunFilterId,
    FlowRunFilterTags,
)
from prefect.client.schemas.objects import Artifact, FlowRun
from prefect.client.schemas.sorting import ArtifactSort, FlowRunSort

from prefect_globus import TransferStatus, pause_transfer, resumable_transfer
from prefect_globus.emulator import FailFile, TaskFault
from prefect_globus.flows import storytelling
from prefect_globus.transfers.errors import TransferFailedError, TransferPausedError
from prefect_globus.transfers.naming import artifact_key
from support.background import running, wait_for
from support.world import World

OURS = "prefect_globus"
SLOW = [pytest.param({"file_delay": 0.15}, id="slow")]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tell it more often than a person could read."""
    monkeypatch.setattr(storytelling, "_TICK_SECONDS", 0.2)
    monkeypatch.setattr(storytelling, "_SHOW_SECONDS", 0.5)


@pytest.fixture
def transfer_id() -> str:
    """One that no other test has on the same server."""
    return f"test-{uuid4().hex}"


def runs_of(transfer_id: str) -> list[FlowRun]:
    """Its flow runs, by their tag, the oldest first."""
    chosen = FlowRunFilter(tags=FlowRunFilterTags(all_=[f"transfer:{transfer_id}"]))
    with get_client(sync_client=True) as client:
        return client.read_flow_runs(flow_run_filter=chosen, sort=FlowRunSort.START_TIME_ASC)


def artifacts(kind: str, transfer_id: str) -> list[Artifact]:
    """The versions of one of its artifacts, the oldest first."""
    chosen = ArtifactFilter(key=ArtifactFilterKey(any_=[artifact_key(kind, transfer_id)]))
    with get_client(sync_client=True) as client:
        return client.read_artifacts(artifact_filter=chosen, sort=ArtifactSort.CREATED_DESC)[::-1]


def task_names(run: FlowRun) -> list[str]:
    """The names of its task runs."""
    chosen = FlowRunFilter(id=FlowRunFilterId(any_=[run.id]))
    with get_client(sync_client=True) as client:
        return [each.name for each in client.read_task_runs(flow_run_filter=chosen, limit=200)]


def rows_of(table: Artifact) -> list[dict[str, str]]:
    """The rows of a table."""
    return list(json.loads(str(table.data)))


@pytest.mark.parametrize("emulator_options", SLOW)
def test_a_transfer_is_watched_in_prefect_while_it_goes_and_across_its_runs(
    world: World, transfer_id: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Its run says what it moves, the progress moves, the tasks are listed, and the next run goes on with it."""
    caplog.set_level("INFO", "prefect")
    world.write({f"{number:02}": "x" * 1024 for number in range(60)})
    with running(world, transfer_id, batch_size=10, max_concurrency=3) as run:
        wait_for(lambda: len(artifacts("progress", transfer_id)) == 1, "the progress artifact")
        seen: set[float] = set()
        wait_for(lambda: seen.add(artifacts("progress", transfer_id)[0].data) or len(seen) >= 3, "progress that moves")
        wait_for(lambda: [row for each in artifacts("tasks", transfer_id) for row in rows_of(each)], "the table")
        pause_transfer(transfer_id, now=True, credentials=world.credentials, checkpoints=world.store)
        assert isinstance(run.exception(), TransferPausedError)
    (page,) = artifacts("status", transfer_id)
    assert f"is {TransferStatus.PAUSED}" in page.data
    assert f"prefect-globus resume {transfer_id}" in page.data
    world.run(transfer_id, batch_size=10)

    first, second = runs_of(transfer_id)
    assert first.name == second.name == f"{transfer_id}: 60 files, 60.0 KiB"
    for kind in ("progress", "status", "tasks"):
        assert [each.flow_run_id for each in artifacts(kind, transfer_id)] == [first.id, second.id]
    before, after = artifacts("progress", transfer_id)
    assert before.data < after.data == 100
    assert after.description.startswith("60 of 60 files (100 %), 60.0 KiB of 60.0 KiB")
    assert len(rows_of(artifacts("tasks", transfer_id)[1])) == len(world.tasks())
    wait_for(lambda: "finish" in task_names(second), "the task runs")
    assert set(task_names(second)) == {"open", "finish"} | {
        f"batch {number} of 6: 10 files, 10.0 KiB" for number in range(1, 7)
    }
    log = caplog.text
    assert (
        f"{transfer_id} goes from source ({world.location('source')}) to destination ({world.location('destination')}"
        in log
    )
    assert "It goes on where it was: " in log
    assert "is on its way: 10 files, 10.0 KiB" in log
    assert f"{transfer_id} is COMPLETED: 60 files and 60.0 KiB moved" in log


def test_what_has_failed_is_not_called_done(world: World, transfer_id: str, caplog: pytest.LogCaptureFixture) -> None:
    """Neither in the percentage nor in the words; what to do about it is said."""
    world.write({f"{number}": "x" for number in range(10)})
    with (
        world.emulator.fault(TaskFault(FailFile("PERMISSION_DENIED"), file="/3")),
        pytest.raises(TransferFailedError),
    ):
        world.run(transfer_id, retry_limit=0, fault_grace=0.5)
    (progress,), (page,) = (artifacts(kind, transfer_id) for kind in ("progress", "status"))
    assert progress.data == 90
    assert "9 of 10 files (90 %)" in progress.description
    assert "1 failed" in progress.description
    assert "| failed | 1 |" in page.data
    assert f"prefect-globus items {transfer_id} --failed" in caplog.text


def test_a_name_and_tags_that_a_user_has_given_stay(world: World, transfer_id: str) -> None:
    """Ours are added to the tags; the name is left alone."""
    world.write({"a": "1"})
    named = resumable_transfer.with_options(flow_run_name=f"mine of {transfer_id}")

    @flow
    def pipeline() -> None:
        named(
            world.location("source"),
            world.location("destination"),
            transfer_id=transfer_id,
            credentials=world.credentials,
            checkpoints=world.store,
        )

    pipeline()
    (run,) = runs_of(transfer_id)
    assert run.name == f"mine of {transfer_id}"


@pytest.mark.parametrize("how", ["gone", "slow"])
def test_a_transfer_does_not_suffer_when_prefect_shows_nothing(
    world: World, transfer_id: str, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """It neither fails nor waits."""
    answer = threading.Event()

    def create(*_: Any, **__: Any) -> None:
        if how == "slow" and threading.current_thread().name == "story":  # the report does without an answer in time
            answer.wait()
        message = "no artifacts today"
        raise httpx.ConnectError(message)

    monkeypatch.setattr(SyncPrefectClient, "create_artifact", create)
    monkeypatch.setattr(storytelling, "_LAST_WORDS_SECONDS", 0.5)
    world.write({"a": "1"})
    try:
        assert world.run(transfer_id).status is TransferStatus.COMPLETED
    finally:
        answer.set()


def test_many_batches_leave_a_log_and_artifacts_that_a_person_can_read(
    world: World, transfer_id: str, caplog: pytest.LogCaptureFixture
) -> None:
    """However many there are: so many lines in a minute, and so many requests in a second."""
    caplog.set_level("INFO")
    world.write({f"{number:03}": "x" for number in range(50)})
    world.run(transfer_id, batch_size=1, max_concurrency=20)
    (run,) = runs_of(transfer_id)
    ours = [
        record for record in caplog.records if "flow_run_id" in vars(record) and "prefect_globus" in record.pathname
    ]
    seconds = run.total_run_time.total_seconds()
    assert len(ours) < 20 * (1 + seconds / 60) + 20
    asked = [record.getMessage() for record in caplog.records if record.name == "httpx"]
    shown = [each for each in asked if "/artifacts/" in each or "PATCH" in each]
    assert len(shown) < 10 + 3 * seconds / 0.5
    assert len(artifacts("tasks", transfer_id)) == 1
    (table,) = artifacts("tasks", transfer_id)
    assert len(rows_of(table)) <= 40
    assert "of 50 Globus tasks" in str(table.description)
    assert max(map(len, (each.getMessage() for each in ours))) < 300
