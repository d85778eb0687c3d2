"""Prefect hears how transfers begin and end, and automations act on it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any
from uuid import UUID, uuid4

import pytest
from prefect.automations import Automation
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterId
from prefect.events.actions import RunDeployment
from prefect.events.schemas.automations import EventTrigger, Posture
from prefect.logging import disable_run_logger

from prefect_globus import cancel_transfer, pause_transfer, verify_transfer
from prefect_globus.emulator import FailFile, TaskFault
from prefect_globus.flows import storytelling
from prefect_globus.transfers.errors import TransferCanceledError, TransferFailedError, TransferPausedError
from support.background import running, wait_for
from support.world import World

DENIED = TaskFault(FailFile("PERMISSION_DENIED"), file="/b")
EVENT = "prefect-globus.transfer"


@pytest.fixture
def transfer_id() -> str:
    """One that no other test has on the same server."""
    return f"test-{uuid4().hex}"


@pytest.fixture
def next_step(world: World, transfer_id: str) -> Iterator[UUID]:
    """A deployment that an automation starts with what the event tells, whichever way the transfer has ended."""
    deployment_id = verify_transfer.to_deployment(transfer_id, _sync=True).apply()
    template = {"template": "{{ event.payload.transfer_id }}", "__prefect_kind": "jinja"}
    automation = Automation(
        name=transfer_id,
        trigger=EventTrigger(
            expect={f"{EVENT}.completed", f"{EVENT}.failed"},
            match={"prefect-globus.destination": world.location("destination")},
            posture=Posture.Reactive,
            threshold=1,
        ),
        actions=[RunDeployment(source="selected", deployment_id=deployment_id, parameters={"transfer_id": template})],
    ).create()
    yield deployment_id
    automation.delete()


def runs_of(deployment_id: UUID) -> list[dict[str, Any]]:
    """The parameters of the flow runs of a deployment."""
    chosen = DeploymentFilter(id=DeploymentFilterId(any_=[deployment_id]))
    with get_client(sync_client=True) as client:
        return [run.parameters for run in client.read_flow_runs(deployment_filter=chosen)]


def events_of(transfer_id: str) -> list[dict[str, Any]]:
    """What Prefect's server has heard of a transfer, the oldest first."""
    query = {"filter": {"any_resource": {"id": [f"{EVENT}.{transfer_id}"]}, "order": "ASC"}, "limit": 50}
    with get_client(sync_client=True) as client:
        answer = client._client.post("/events/filter", json=query)
        return list(answer.json()["events"])


def names_of(transfer_id: str) -> list[str]:
    """Their names; without milestones, which a slow machine may have time for."""
    names = [event["event"].removeprefix(f"{EVENT}.") for event in events_of(transfer_id)]
    return [name for name in names if name != "progress"]


def last_event(transfer_id: str, name: str) -> dict[str, Any]:
    """The latest one of that name."""
    return [event for event in events_of(transfer_id) if event["event"] == f"{EVENT}.{name}"][-1]


def milestones_of(transfer_id: str) -> list[dict[str, Any]]:
    """The events of milestones."""
    return [event for event in events_of(transfer_id) if event["event"] == f"{EVENT}.progress"]


def at_work(world: World) -> list[str]:
    """The ids of the Globus tasks that are ACTIVE."""
    return [task["task_id"] for task in world.tasks() if task["status"] == "ACTIVE"]


def test_an_automation_starts_the_next_step_when_a_transfer_has_failed_or_completed(
    world: World, transfer_id: str, next_step: UUID
) -> None:
    """Once for each end, with the id of the transfer; the event has the counts and the flow run."""
    world.write({"a": "1", "b": "22"})
    with world.emulator.fault(DENIED), pytest.raises(TransferFailedError):
        world.run(transfer_id, retry_limit=0, fault_grace=1)
    wait_for(lambda: runs_of(next_step) == [{"transfer_id": transfer_id}], "the run after the failure")
    world.run(transfer_id)
    world.run(transfer_id)  # it is complete already, so nothing has happened
    wait_for(lambda: len(runs_of(next_step)) == 2, "the run after the completion")
    wait_for(lambda: names_of(transfer_id) == ["started", "failed", "started", "completed"], "the events")
    assert runs_of(next_step) == [{"transfer_id": transfer_id}] * 2
    failed, completed = (last_event(transfer_id, name) for name in ("failed", "completed"))
    assert (failed["payload"]["items_failed"], failed["payload"]["items_transferred"]) == (1, 1)
    assert "1 item failed for good" in failed["payload"]["error"]
    expected = {"status": "COMPLETED", "items_total": 2, "items_transferred": 2, "bytes_transferred": 3, "error": None}
    assert {name: completed["payload"][name] for name in expected} == expected
    assert completed["payload"]["source"] == world.location("source")
    assert "flow-run" in {related["prefect.resource.role"] for related in completed["related"]}


@pytest.mark.parametrize("emulator_options", [{"file_delay": 0.3}], ids=["slow"])
def test_a_pause_and_a_cancel_are_told_too(world: World, transfer_id: str) -> None:
    """Each once for each run."""
    world.write({f"{n:02}": "x" for n in range(40)})
    for steer, error in ((pause_transfer, TransferPausedError), (cancel_transfer, TransferCanceledError)):
        before = len(world.tasks())
        with running(world, transfer_id, batch_size=5, max_concurrency=2) as run:
            wait_for(lambda before=before: len(world.tasks()) > before, "a task")
            arguments = {"now": True} if steer is pause_transfer else {}
            steer(transfer_id, credentials=world.credentials, checkpoints=world.store, **arguments)
            assert isinstance(run.exception(), error)
    wait_for(lambda: names_of(transfer_id) == ["started", "paused", "started", "canceled"], "the events")


@pytest.mark.parametrize("emulator_options", [{"file_delay": 0.3}], ids=["slow"])
def test_what_happens_on_the_way_is_told(world: World, transfer_id: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """How much is done, that it stands still, once, that it waits for somebody, and that it goes on."""
    monkeypatch.setattr(storytelling, "_TICK_SECONDS", 0.1)
    world.write({f"{n:02}": "x" for n in range(60)})
    with running(world, transfer_id, batch_size=10, max_concurrency=3) as run:
        wait_for(lambda: at_work(world), "a task at work")
        inactive = at_work(world)[0]
        world.emulator.inactivate_task(inactive)
        wait_for(lambda: "paused" in names_of(transfer_id), "the pause")
        wait_for(lambda: milestones_of(transfer_id), "a milestone of the others")
        world.emulator.reactivate_task(inactive)
        run.result()
    wait_for(lambda: names_of(transfer_id)[-1] == "completed", "the events")
    names = names_of(transfer_id)
    assert names[0] == "started"
    assert names.index("paused") < names.index("resumed")
    marks = milestones_of(transfer_id)
    percents = [event["payload"]["percent"] for event in marks]
    assert percents == sorted(set(percents))
    assert set(percents) <= {25, 50, 75}
    assert marks[0]["resource"]["prefect-globus.percent"] == str(percents[0])
    roles = {each["prefect.resource.role"]: each["prefect.resource.id"] for each in marks[0]["related"]}
    assert roles["source-collection"] == f"globus.collection.{world.emulator.collections['source']}"


@pytest.mark.parametrize("emulator_options", [{"time_scale": 50}], ids=["quick"])
def test_a_transfer_that_stands_still_is_told_once(
    world: World, transfer_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With how it stands; one that has skipped something is completed, and says so besides."""
    monkeypatch.setattr(storytelling, "_TICK_SECONDS", 0.1)
    monkeypatch.setattr(storytelling, "_STALLED_SECONDS", 1.0)
    world.write({"a": "1", "b": "22"})
    os.mkfifo(world.source / "pipe")
    world.emulator.inject(TaskFault(FailFile("ENDPOINT_TOO_BUSY"), file="/b"))
    with running(world, transfer_id) as run:
        wait_for(lambda: "stalled" in names_of(transfer_id), "the event")
        world.emulator.clear()
        run.result()
    wait_for(lambda: "completed-with-skips" in names_of(transfer_id), "the events")
    names = names_of(transfer_id)
    assert names[0] == "started"
    assert names[-2:] == ["completed", "completed-with-skips"]
    # a busy machine may find that it stands still before it has begun to move, and then again
    assert set(names[1:-2]) == {"stalled"}
    assert len(names) <= 6
    stalled, completed = (last_event(transfer_id, name) for name in ("stalled", "completed"))
    assert stalled["payload"]["seconds"] >= 1
    assert "ENDPOINT_TOO_BUSY" in stalled["payload"]["standing"]
    assert completed["resource"]["prefect-globus.items-skipped"] == "1"


def test_a_transfer_does_not_suffer_when_prefect_cannot_be_told(
    world: World, transfer_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is complete all the same."""

    def fail(*_: object, **__: object) -> None:
        message = "no events today"
        raise OSError(message)

    monkeypatch.setattr("prefect_globus.flows.events.emit_event", fail)
    world.write({"a": "1"})
    with disable_run_logger():
        assert world.run(transfer_id).items_transferred == 1
