"""Approval: a person, or a callback, decides on the plan of a transfer before anything of it is submitted.

The question is Prefect's own (`prefect_globus.flows.asking`). The process goes on to drive the transfer meanwhile, so
that a cancel or a pause reaches it as ever.
"""

from __future__ import annotations

import time
from uuid import UUID

from prefect import runtime
from prefect.logging import get_run_logger
from prefect.utilities.urls import url_for

from prefect_globus.flows.asking import Question, UnanswerableError
from prefect_globus.flows.dispatching import scanned
from prefect_globus.flows.planning import FEW, publish
from prefect_globus.tasks.driver import Driver
from prefect_globus.tasks.planning import planned
from prefect_globus.tasks.prefect_client import has_ui
from prefect_globus.tasks.stopping import StopReason
from prefect_globus.transfers.errors import (
    NotApprovedError,
    TransferRefusedError,
    TransferStoppedError,
)
from prefect_globus.transfers.model import Approval, PausedBy
from prefect_globus.transfers.naming import artifact_key
from prefect_globus.transfers.plan_words import markdown
from prefect_globus.transfers.planning import TransferPlan
from prefect_globus.transfers.quantities import span
from prefect_globus.transfers.records import now
from prefect_globus.transfers.states import TransferStatus


def see_approved(driver: Driver) -> None:
    """Return when nothing of the transfer needs an approval any more; scan all of it and ask for one if it does.

    A manifest never changes, so what was approved is what is submitted, also by another run.

    Raises:
        TransferRefusedError: it was refused, and is CANCELED.
        NotApprovedError: nobody has decided within ``pause_limit``; it is PAUSED.
        TransferStoppedError: the driver was told to stop.
    """
    if not driver.transfer.options.approval or driver.transfer.is_approved:
        return
    if not driver.transfer.scan_complete:
        scanned(driver)
    plan = planned(driver, driver.options, FEW)
    publish(plan, artifact_key("plan", driver.transfer.id), driver.transfer.id)
    if plan.does_nothing:
        get_run_logger().info("There is nothing to approve, as nothing would be submitted")
        return
    try:
        approval = _given_meanwhile(driver) or _asked(driver, plan)
        driver.stop.check_new()
    except TransferStoppedError:
        if driver.stop.draining:
            driver.stop.request(StopReason.PAUSED)  # another reason comes first
        raise
    _carry_out(driver, approval)


def _carry_out(driver: Driver, approval: Approval) -> None:
    by, comment = approval.by or "somebody", f": {approval.comment}" if approval.comment else ""
    if not approval.approved:
        said = f"refused by {by}{comment}"
        driver.update(status=TransferStatus.CANCELED, paused_by=None, error=said, approval=approval)
        raise TransferRefusedError(transfer_id=driver.transfer.id, by=by, comment=comment)
    get_run_logger().info("The plan was approved by %s%s", by, comment)
    driver.update(status=driver.status_at_work(), paused_by=None, error=None, approval=approval)


def _asked(driver: Driver, plan: TransferPlan) -> Approval:
    """What was decided, when it is."""
    deletes = plan.removal.items_deleted if plan.removal is not None else None
    callback = driver.options.approval_callback
    if callback is not None:
        _wait_officially(driver, Approval(), "whoever runs it has to approve its plan first")
        by = "the one who runs it"
        return Approval(approved=bool(callback(plan)), by=by, decided_at=now(), deletes=deletes)
    give_up = time.monotonic() + driver.options.pause_limit
    while True:
        question = Question(UUID(str(runtime.flow_run.id)))
        _put(driver, plan, question, deletes)
        try:
            decided = question.answer(driver.stop, give_up)
        except UnanswerableError as error:
            why = str(error) or f"nobody has approved its plan within {span(driver.options.pause_limit)} (pause_limit)"
            driver.update(approval=None, error=why)
            raise NotApprovedError(transfer_id=driver.transfer.id, reason=why) from None
        if decided is not None:
            return decided.evolve(deletes=deletes)
        get_run_logger().warning("The flow run was resumed without a decision, so it asks again")


def _put(driver: Driver, plan: TransferPlan, question: Question, deletes: int | None) -> None:
    """Ask, and have that on record first."""
    page = url_for("flow-run", obj_id=question.flow_run)
    reason = f"a person has to approve its plan, or to refuse it, in Prefect{f' at {page}' if page else ''}"
    _wait_officially(driver, Approval(flow_run=question.flow_run, key=question.key, deletes=deletes), reason)
    get_run_logger().warning("Paused: %s. Until then nothing is submitted", reason)
    text = markdown(plan, f"Plan of {driver.transfer.id}", brief=True)
    question.put(driver.stop, text, driver.options.pause_limit, driver.options.patience)


def _wait_officially(driver: Driver, approval: Approval, reason: str) -> None:
    """Have it on record for whom the transfer waits."""
    status = TransferStatus.PAUSED
    driver.update(status=status, paused_by=PausedBy.APPROVAL, error=reason, approval=approval)


def _given_meanwhile(driver: Driver) -> Approval | None:
    """What was decided when the process that had asked was gone; its question is withdrawn if that is open.

    Raises:
        PrefectServerError: Prefect's server does not say so for longer than ``patience``. Nobody is asked anew then.
    """
    earlier = driver.transfer.approval
    if earlier is None or earlier.flow_run is None or earlier.key is None or not has_ui():
        return None
    why = f"Its process is gone. Flow run {runtime.flow_run.id} asks for the approval now."
    decided = Question(earlier.flow_run, earlier.key).withdraw(driver.stop, why, driver.options.patience)
    return None if decided is None else decided.evolve(deletes=earlier.deletes)
