"""Recovery without a person: what nobody drives any more is found, and goes on."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.states import Pending, Running, Scheduled
from pydantic import SecretStr

from prefect_globus import (
    SqlCheckpointStore,
    Sweep,
    TransferStatus,
    pause_transfer,
    resume_incomplete,
    transfer_deployment,
    transfer_status,
)
from prefect_globus.emulator import Answer, RequestFault
from prefect_globus.flows.prefect_state import transfer_id_of
from prefect_globus.tasks.opening import open_transfer
from prefect_globus.transfers.errors import InvalidInputError, TransferPausedError
from prefect_globus.transfers.location import Location
from prefect_globus.transfers.model import Holder, PausedBy, Request, Transfer
from prefect_globus.transfers.options import TransferOptions
from prefect_globus.transfers.records import now
from prefect_globus.transfers.reports import Done
from prefect_globus.transfers.states import TransferStatus as Status
from support.world import QUICK, World, tree

SLOW = [{"file_delay": 0.2}]


def sweep(world: World, **parameters: Any) -> Sweep:
    """Look once for what nobody drives."""
    found: Sweep = resume_incomplete(checkpoints=world.store, credentials=world.credentials, **parameters)
    return found


def told(found: Sweep) -> dict[str, Done]:
    return {each.transfer_id: each.done for each in found.swept}


def create(world: World, transfer_id: str, path: str = "/", **changes: Any) -> Transfer:
    """A transfer that nobody drives, as far as it is on record."""
    source, destination = (Location.parse(world.location(side, path)) for side in ("source", "destination"))
    options = TransferOptions(**QUICK)
    transfer = Transfer(id=transfer_id, source=source, destination=destination, source_is_file=False, options=options)
    world.store.create_transfer(transfer.evolve(**changes))
    return transfer


def put(world: World, transfer_id: str, *statuses: Status, **changes: Any) -> None:
    """Have a transfer on record in the last of ``statuses``."""
    lease = world.store.acquire_lease(transfer_id, Holder(description="a test"), 60.0)
    for status in statuses:
        transfer = world.store.load_transfer(transfer_id)
        world.store.save_transfer(lease, transfer.evolve(status=status, **changes))
    world.store.release_lease(lease)


def in_thread(world: World, call: Callable[[], object]) -> threading.Thread:
    def run() -> None:
        with temporary_settings({PREFECT_API_URL: world.prefect_api}):
            call()

    thread = threading.Thread(target=run)
    thread.start()
    return thread


@pytest.mark.parametrize("emulator_options", SLOW)
def test_what_a_dead_driver_has_left_is_completed_by_two_sweeps_at_once(world: World) -> None:
    """Each transfer is resumed by one of them; nothing is done twice."""
    names = ["one", "two", "three"]
    for name in names:
        world.write({f"{name}/{n:02}": f"{name}{n}" for n in range(12)})
        create(world, name, f"/{name}")
    dead = world.drive("four", batch_size=6, lock_stale_after=3600)
    while len(world.tasks()) < 2:
        assert dead.poll() is None
    dead.kill()
    dead.communicate()
    sweeps: list[Sweep] = []
    threads = [in_thread(world, lambda: sweeps.append(sweep(world, at_once=2))) for _ in range(2)]
    for thread in threads:
        thread.join(180)
    assert len(sweeps) == 2
    done = [each for found in sweeps for each in found.of(Done.RESUMED)]
    assert {each.transfer_id for each in done} == {*names, "four"}, [str(found) for found in sweeps]
    assert not any(found.of(Done.FAILED) for found in sweeps), [str(found) for found in sweeps]
    assert {each.status for each in world.store.list_transfers()} == {TransferStatus.COMPLETED}
    assert tree(world.source).items() <= tree(world.destination).items()
    for name in (*names, "four"):
        attempts = [attempt for batch in world.store.list_batches(name) for attempt in batch.attempts]
        assert len({attempt.task_id for attempt in attempts}) == len(attempts)
    all_attempts = sum(len(batch.attempts) for name in (*names, "four") for batch in world.store.list_batches(name))
    assert all_attempts == len(world.tasks())
    assert str(sweep(world)) == "Nothing to resume"


def test_what_waits_for_somebody_is_left_alone(world: World) -> None:
    """A pause by a person, a failure, a living driver, and what is too old; each with the reason."""
    world.write({"a": "1"})
    for name in ("paused", "suspended", "failed", "driven"):
        create(world, name)
    pause_transfer("paused", checkpoints=world.store)
    put(world, "suspended", Status.SCANNING, Status.PAUSED, paused_by=PausedBy.PREFECT, error="suspended in Prefect")
    put(world, "failed", Status.FAILED, error="1 item failed for good")
    lease = world.store.acquire_lease("driven", Holder(description="somebody@elsewhere"), 60.0)
    found = sweep(world)
    assert told(found) == dict.fromkeys(("paused", "suspended", "failed", "driven"), Done.LEFT)
    for words in ("somebody has asked", "suspended in Prefect", "1 item failed", "somebody@elsewhere", "4 left alone"):
        assert words in str(found)
    assert world.tasks() == []
    world.store.release_lease(lease)
    assert told(sweep(world, max_age=0.0)) == dict.fromkeys(("paused", "suspended", "failed", "driven"), Done.LEFT)
    found = sweep(world, include_failed=True)
    assert {each.transfer_id for each in found.of(Done.RESUMED)} == {"failed", "driven"}


def test_one_that_cannot_start_is_reported_and_hinders_no_other(world: World) -> None:
    """It stays as it is: a login, a collection or a callback may come back."""
    world.write({"a": "1"})
    create(world, "good")
    create(world, "no-block", credentials="no-such-block")
    gone = Location(collection=uuid4(), path="/")
    create(world, "no-collection", source=gone)
    create(world, "no-callback", filtered=True)
    before = {each.id: each for each in world.store.list_transfers()}
    found = sweep(world)
    names = {"no-block": "no-such-block", "no-collection": str(gone.collection), "no-callback": "filter callback"}
    assert told(found) == {"good": Done.RESUMED} | dict.fromkeys(names, Done.FAILED)
    for each in found.of(Done.FAILED):
        assert names[each.transfer_id] in each.words
        assert world.store.load_transfer(each.transfer_id) == before[each.transfer_id]
    assert transfer_status("good", world.store).status is TransferStatus.COMPLETED


def test_what_a_fault_has_paused_goes_on_when_it_is_mended(world: World) -> None:
    """A run that has waited long enough for a person ends; the sweep looks again."""
    world.write({"a": "1"})
    refused = RequestFault(Answer(403, "ConsentRequired"), method="POST", path="/v0.10/transfer")
    with world.emulator.fault(refused):
        with pytest.raises(TransferPausedError, match="ConsentRequired"):
            world.run(pause_limit=0)
        assert told(sweep(world)) == {"test": Done.FAILED}
        stored = world.store.load_transfer("test")
        assert (stored.status, stored.paused_by) == (TransferStatus.PAUSED, PausedBy.FAULT)
    assert told(sweep(world)) == {"test": Done.RESUMED}
    assert transfer_status("test", world.store).status is TransferStatus.COMPLETED


@pytest.mark.parametrize("emulator_options", SLOW)
def test_what_was_asked_while_nobody_drove_is_done(world: World) -> None:
    """A cancel ends what runs at Globus; a pause pauses."""
    world.write({f"{n}": "" for n in range(100)})
    dead = world.drive("test", batch_size=50)
    while len(world.tasks()) < 2:
        assert dead.poll() is None
    dead.kill()
    dead.communicate()
    create(world, "to-pause")
    world.store.post_request("test", Request.CANCEL)
    world.store.post_request("to-pause", Request.PAUSE)
    found = sweep(world)
    assert told(found) == {"test": Done.OBEYED, "to-pause": Done.OBEYED}
    assert world.store.load_transfer("test").status is TransferStatus.CANCELED
    assert world.store.load_transfer("to-pause").paused_by is PausedBy.REQUEST
    assert "ACTIVE" not in {task["status"] for task in world.tasks()}
    assert told(sweep(world)) == {"to-pause": Done.LEFT}


@pytest.mark.parametrize("emulator_options", SLOW)
def test_a_sweep_that_is_told_to_end_leaves_what_it_drives_to_the_next_one(world: World) -> None:
    """Its threads give their leases back, in good time."""
    for name in ("one", "two"):
        world.write({f"{name}/{n:02}": "" for n in range(90)})
        create(world, name, f"/{name}")
    program = "from prefect_globus import resume_incomplete; resume_incomplete()"
    process = subprocess.Popen([sys.executable, "-c", program], env=world.environment, cwd=world.folder)
    world.drivers.append(process)
    while len(world.tasks()) < 2:
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    assert process.wait(60) != 0
    assert [world.store.current_lease(name) for name in ("one", "two")] == [None, None]
    assert {each.status for each in world.store.list_transfers()} == {Status.TRANSFERRING}
    assert told(sweep(world)) == {"one": Done.RESUMED, "two": Done.RESUMED}
    assert len(world.tasks()) == 2


def test_what_died_before_it_was_on_record_is_begun_again(world: World) -> None:
    """A worker takes up a flow run and is killed: the sweep schedules it anew, once, and leaves what is on record."""
    name = f"sweep-{uuid4().hex[:8]}"
    with get_client(sync_client=True) as client:
        client.create_work_pool(WorkPoolCreate(name=name, type="process"), overwrite=True)
        deployment = transfer_deployment(name, world.location("source"), world.location("destination"))
        deployment_id = deployment.apply(work_pool_name=name)
        world.credentials.save(name, overwrite=True)
        world.store.save(name, overwrite=True)
        create(world, "known", status=Status.CANCELED)
        ids = {}
        states = (
            ("dead", Pending()),
            (None, Running()),
            ("known", Running()),
            ("busy", Running()),
            ("new", Scheduled()),
        )
        for transfer_id, state in states:
            given = {"transfer_id": transfer_id} if transfer_id else {"checkpoints": name}
            run = client.create_flow_run_from_deployment(deployment_id, parameters=given)
            client.set_flow_run_state(run.id, state, force=True)
            ids[transfer_id or transfer_id_of(run.id)] = run.id
        lost = {"transfer_id": "lost", "checkpoints": "nonsense"}
        run = client.create_flow_run_from_deployment(deployment_id, parameters=lost)
        client.set_flow_run_state(run.id, Pending(), force=True)
        client.create_task_run(open_transfer, ids["busy"], "0", state=Running())  # on record elsewhere
        where = f"resumable-transfer/{name}"
        assert resume_incomplete(name, name, where).swept == ()
        found = resume_incomplete(name, name, where, begin_within=0)
        assert told(found) == dict.fromkeys(
            [each for each in ids if each not in ("known", "busy", "new")], Done.STARTED
        )
        assert "Begun again" in str(client.read_flow_run(ids["dead"]).state.message)
        waiting = client.get_scheduled_flow_runs_for_deployments([deployment_id], scheduled_before=now())
        assert {run.id for run in waiting} == {run_id for key, run_id in ids.items() if key not in ("known", "busy")}
        assert resume_incomplete(name, name, where, begin_within=0).swept == ()


def test_with_a_deployment_each_transfer_is_one_run_of_it(world: World) -> None:
    """The sweep does not wait for them, and asks once, however often it looks; it starts none that is sure to fail."""
    world.write({"a": "1"})
    create(world, "test")
    create(world, "no-collection", source=Location(collection=uuid4(), path="/"))
    name = f"sweep-{uuid4().hex[:8]}"
    with get_client(sync_client=True) as client:
        client.create_work_pool(WorkPoolCreate(name=name, type="process"), overwrite=True)
    transfer_deployment(name, world.location("source"), world.location("destination")).apply(work_pool_name=name)
    world.credentials.save(name, overwrite=True)
    SqlCheckpointStore(url=SecretStr(world.database)).save(name, overwrite=True)
    deployment = f"resumable-transfer/{name}"
    for unusable in (
        {"deployment": "resumable-transfer/nonsense", "credentials": name, "checkpoints": name},
        {"deployment": deployment, "credentials": world.credentials, "checkpoints": name},
    ):
        with pytest.raises(InvalidInputError, match=r"nonsense|not saved"):
            resume_incomplete(**unusable)
    first, second = (resume_incomplete(name, name, deployment) for _ in range(2))
    assert told(first) == {"test": Done.STARTED, "no-collection": Done.FAILED}
    assert told(second) == {"test": Done.LEFT, "no-collection": Done.FAILED}
    started = re.search(r"\((\S+)\) of", next(each.words for each in first.swept if each.transfer_id == "test"))
    assert started is not None
    with get_client(sync_client=True) as client:
        run = client.read_flow_run(UUID(started[1]))
    assert run.parameters == {
        "source": world.location("source"),
        "destination": world.location("destination"),
        "transfer_id": "test",
        "credentials": name,
        "checkpoints": name,
    }
