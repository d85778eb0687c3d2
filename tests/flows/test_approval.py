"""A transfer that wants an approval waits for a person in Prefect, and submits nothing before."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import FlowRun, State
from prefect.settings import PREFECT_API_URL, PREFECT_LOGGING_LEVEL, temporary_settings
from prefect.states import Failed, Running

from prefect_globus import (
    TransferOptions,
    TransferStatus,
    cancel_transfer,
    resume_incomplete,
    scheduled_transfer,
    transfer_status,
)
from prefect_globus.flows.verify import verify_transfer
from prefect_globus.tasks.opening import check_somebody_to_ask
from prefect_globus.transfers.errors import (
    DifferentTransferError,
    MoreToDeleteError,
    NobodyToAskError,
    NotApprovedError,
    TransferCanceledError,
    TransferRefusedError,
)
from prefect_globus.transfers.model import PausedBy, Transfer
from prefect_globus.transfers.planning import TransferPlan
from prefect_globus.transfers.reports import Done
from support.background import running, status_of, wait_for
from support.worker import cancel, state_of
from support.world import QUICK, World, tree

APPROVE = {"decision": "approve", "name": "Ada", "comment": "as agreed"}


def paused(world: World, transfer_id: str) -> Transfer:
    """The transfer, once its flow run waits for a person."""

    def waits() -> bool:
        return status_of(world, transfer_id) is TransferStatus.PAUSED and question(world, transfer_id) is not None

    wait_for(waits, "the question")
    return world.store.load_transfer(transfer_id)


def question(world: World, transfer_id: str) -> FlowRun | None:
    """The flow run that asks, while it waits."""
    approval = world.store.load_transfer(transfer_id).approval
    if approval is None or approval.flow_run is None:
        return None
    with get_client(sync_client=True) as client:
        run = client.read_flow_run(approval.flow_run)
    return run if run.state is not None and run.state.is_paused() else None


def asks(world: World, transfer_id: str) -> UUID:
    run = question(world, transfer_id)
    assert run is not None
    return run.id


def form_of(run_id: UUID) -> tuple[dict[str, Any], str]:
    """The form that Prefect's page shows, and what it says above it."""
    with get_client(sync_client=True) as client:
        keys = client.read_flow_run(run_id).state.state_details.run_input_keyset  # type: ignore[union-attr]
        assert keys is not None
        schema, description = (client.read_flow_run_input(run_id, keys[each]) for each in ("schema", "description"))
    return json.loads(schema), json.loads(description)


def set_state(run_id: UUID, state: State[Any]) -> None:
    """Change the state of a flow run by hand, as the UI can."""
    with get_client(sync_client=True) as client:
        client.set_flow_run_state(run_id, state, force=True)


def answer(run_id: UUID, **values: str) -> str:
    """Press the button of the form, as Prefect's page does; what the server makes of it."""
    with get_client(sync_client=True) as client:
        return str(client.resume_flow_run(run_id, values).status.value)


def test_nothing_is_submitted_before_somebody_has_approved_the_plan(world: World) -> None:
    """In a form that has the plan; who it was is on record, and nobody is asked again."""
    world.write({f"{n}": "x" for n in range(7)})
    with running(world, "approved", approval=True, batch_size=3) as run:
        waiting = paused(world, "approved")
        assert (waiting.paused_by, waiting.scan_complete) == (PausedBy.APPROVAL, True)
        assert "a person has to approve its plan, or to refuse it, in Prefect" in str(waiting.error)
        assert transfer_status("approved", world.store).paused_by is PausedBy.APPROVAL
        found = resume_incomplete(checkpoints=world.store, credentials=world.credentials)
        assert [each.words.partition(" ")[0] for each in found.of(Done.LEFT)]
        assert "drives it" in str(found)
        run_id = asks(world, "approved")
        schema, description = form_of(run_id)
        assert schema["required"] == ["decision"]
        assert list(schema["properties"]) == ["decision", "name", "comment"]
        assert "# Plan of approved" in description
        assert "7 items" in description
        assert answer(run_id) == "REJECT"
        assert world.tasks() == []
        assert answer(run_id, **APPROVE) == "ACCEPT"
        result = run.result()
    assert (result.status, len(result.tasks)) == (TransferStatus.COMPLETED, 3)
    assert tree(world.source) == tree(world.destination)
    approval = world.store.load_transfer("approved").approval
    assert approval is not None
    assert (approval.approved, approval.by, approval.comment) == (True, "Ada", "as agreed")
    assert world.run("approved", approval=True).status is TransferStatus.COMPLETED
    with pytest.raises(DifferentTransferError):
        world.run("approved")
    (world.destination / "3").unlink()
    repaired = verify_transfer("approved", repair=True, credentials=world.credentials, checkpoints=world.store)
    assert (repaired.ok, tree(world.source)) == (True, tree(world.destination))


def test_what_is_refused_is_canceled(world: World) -> None:
    """With nothing submitted, for good; and a transfer of nothing is not asked about."""
    world.write({"a": "1"})
    with running(world, "refused", approval=True) as run:
        paused(world, "refused")
        assert answer(asks(world, "refused"), decision="refuse", comment="not tonight") == "ACCEPT"
        assert isinstance(run.exception(), TransferRefusedError)
    refused = world.store.load_transfer("refused")
    assert (refused.status, refused.error) == (TransferStatus.CANCELED, "refused by somebody: not tonight")
    assert world.store.current_lease("refused") is None
    with pytest.raises(TransferCanceledError):
        world.run("refused", approval=True)
    assert world.tasks() == []
    nothing = world.run("nothing", approval=True, include=("no such file",))
    assert (nothing.status, nothing.items_total) == (TransferStatus.COMPLETED, 0)


def test_without_an_answer_it_stays_paused_and_a_resume_asks_again(world: World) -> None:
    """A sweep does not: whoever has time for it resumes it."""
    world.write({"a": "1"})
    with pytest.raises(NotApprovedError, match="prefect-globus resume late"):
        world.run("late", approval=True, pause_limit=0.5)
    late = world.store.load_transfer("late")
    assert (late.status, late.paused_by) == (TransferStatus.PAUSED, PausedBy.APPROVAL)
    assert "nobody has approved its plan within" in str(late.error)
    assert resume_incomplete(checkpoints=world.store, credentials=world.credentials).of(Done.LEFT)
    with running(world, "late", approval=True) as run:
        paused(world, "late")
        assert world.tasks() == []
        answer(asks(world, "late"), **APPROVE)
        assert run.result().status is TransferStatus.COMPLETED


def test_a_question_that_is_lost_in_prefect(world: World) -> None:
    """Resumed past the form, it is asked again; where nobody can answer any more, the run ends at once."""
    world.write({"a": "1"})
    with running(world, "lost", approval=True) as run:
        first = paused(world, "lost").approval
        set_state(asks(world, "lost"), Running())

        def asked_again() -> bool:
            return question(world, "lost") is not None and world.store.load_transfer("lost").approval != first

        wait_for(asked_again, "another question")
        set_state(asks(world, "lost"), Failed())
        error = run.exception()
        assert isinstance(error, NotApprovedError)
        assert "its flow run was set to Failed" in str(error)
    lost = world.store.load_transfer("lost")
    assert (lost.status, lost.approval, world.tasks()) == (TransferStatus.PAUSED, None, [])


def test_no_more_is_deleted_than_was_approved(world: World) -> None:
    """What has become extra since the plan was made stays, and the next run asks anew."""
    world.write({"a": "1"})
    (world.destination / "old").write_text("")
    options = {"approval": True, "delete_destination_extra": True}
    with running(world, "mirror", **options) as run:
        paused(world, "mirror")
        for number in range(3):
            (world.destination / f"new {number}").write_text("")
        answer(asks(world, "mirror"), **APPROVE | {"name": "Ada\nLovelace\x1b[2J"})
        assert isinstance(run.exception(), MoreToDeleteError)
    approved = world.store.load_transfer("mirror")
    assert (approved.status, approved.approval) == (TransferStatus.FAILED, None)
    assert len(tree(world.destination)) == 5
    with running(world, "mirror", **options) as run:
        paused(world, "mirror")
        _, description = form_of(asks(world, "mirror"))
        assert "4 things at the destination" in description
        assert "this transfer has moved it already" in description
        answer(asks(world, "mirror"), **APPROVE | {"name": "Ada\nLovelace\x1b[2J"})
        assert run.result().status is TransferStatus.COMPLETED
    assert tree(world.source) == tree(world.destination)
    done = world.store.load_transfer("mirror").approval
    assert done is not None
    assert (done.by, done.deletes) == ("Ada Lovelace\\x1b[2J", 4)


@pytest.mark.parametrize("by", ["the store", "Prefect"])
def test_a_cancel_while_it_waits(world: World, by: str) -> None:
    """Is heard, from wherever it comes."""
    world.write({"a": "1"})
    transfer_id = f"canceled by {by}".replace(" ", "-")
    with running(world, transfer_id, approval=True) as run:
        paused(world, transfer_id)
        if by == "Prefect":
            cancel(asks(world, transfer_id))
        else:
            cancel_transfer(transfer_id, world.credentials, world.store)
        assert isinstance(run.exception(), TransferCanceledError)
    assert world.store.load_transfer(transfer_id).status is TransferStatus.CANCELED
    assert world.tasks() == []


@pytest.mark.parametrize("answered", [True, False], ids=["answered meanwhile", "not answered"])
def test_killed_while_it_waits(world: World, answered: bool) -> None:
    """The sweep takes it up: with the answer that came when nobody listened, or it asks anew."""
    world.write({"a": "1", "b": "2"})
    driver = world.drive("killed", approval=True, batch_size=1)
    first = asks(world, paused(world, "killed").id)
    driver.kill()
    driver.communicate()
    if answered:
        assert answer(first, **APPROVE) == "ACCEPT"
    with ThreadPoolExecutor(1) as pool, temporary_settings({PREFECT_API_URL: world.prefect_api}):
        sweep = pool.submit(_swept, world)
        if not answered:
            wait_for(lambda: (run := question(world, "killed")) is not None and run.id != first, "another question")
            assert state_of(first).is_crashed()
            assert world.tasks() == []
            assert answer(asks(world, "killed"), **APPROVE) == "ACCEPT"
        assert sweep.result() == ["killed"]
    done = world.store.load_transfer("killed")
    assert (done.status, done.is_approved) == (TransferStatus.COMPLETED, True)
    assert len(world.tasks()) == 2
    assert all(len(by) == 1 for by in world.moved().values())


def _swept(world: World) -> list[str]:
    with temporary_settings({PREFECT_API_URL: world.prefect_api, PREFECT_LOGGING_LEVEL: "WARNING"}):
        found = resume_incomplete(checkpoints=world.store, credentials=world.credentials)
    return [each.transfer_id for each in found.of(Done.RESUMED)]


def test_a_scheduled_transfer_waits_for_its_approval_as_a_part_of_its_flow_run(world: World) -> None:
    world.write({"a": "1"})

    def run() -> Any:
        with temporary_settings({PREFECT_API_URL: world.prefect_api, PREFECT_LOGGING_LEVEL: "WARNING"}):
            return scheduled_transfer(
                world.location("source"),
                world.location("destination"),
                options=TransferOptions(**QUICK, approval=True),
                transfer_id="nightly",
                credentials=world.credentials,
                checkpoints=world.store,
            )

    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(run)
        paused(world, "nightly")
        assert answer(asks(world, "nightly"), **APPROVE) == "ACCEPT"
        assert running.result().status is TransferStatus.COMPLETED


def test_a_callback_decides_where_there_is_one(world: World) -> None:
    """By the plan; nobody has to be there, nor a Prefect server that others can see."""
    world.write({"a": "1", "b": "22"})
    plans: list[TransferPlan] = []

    def small(plan: TransferPlan) -> bool:
        plans.append(plan)
        return plan.to_move.bytes < 3

    with pytest.raises(TransferRefusedError):
        world.run("large", approval=True, approval_callback=small)
    assert world.run("small", approval=True, approval_callback=small, include=("a",)).items_transferred == 1
    assert [plan.to_move.items for plan in plans] == [2, 1]
    with temporary_settings({PREFECT_API_URL: None}):
        check_somebody_to_ask(TransferOptions(approval=True), is_approved=True)
        check_somebody_to_ask(TransferOptions(approval=True, approval_callback=small))
        with pytest.raises(NobodyToAskError, match="Set PREFECT_API_URL"):
            check_somebody_to_ask(TransferOptions(approval=True))
    with pytest.raises(ValueError, match="set approval=True"):
        TransferOptions(approval_callback=small)
