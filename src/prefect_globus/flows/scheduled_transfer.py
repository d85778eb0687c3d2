"""The transfer that a schedule runs, again and again: what each flow run does at its tick."""

from __future__ import annotations

import logging
from typing import Annotated, Any

from prefect import flow, runtime
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterParentFlowRunId
from prefect.client.schemas.objects import FlowRun, State
from prefect.exceptions import ParameterTypeError
from prefect.flows import Flow
from prefect.logging import get_run_logger
from prefect.states import Cancelled, Completed

from prefect_globus.blocks import CheckpointStore
from prefect_globus.flows.blocks import find_checkpoints
from prefect_globus.flows.parameters import (
    Checkpoints,
    Credentials,
    DestinationTemplate,
    Options,
    Schedule,
    SourceTemplate,
    titled,
)
from prefect_globus.flows.prefect_state import cancel_if_left, parameters_of
from prefect_globus.flows.ticking import Plan, Ticking
from prefect_globus.flows.triggers import Trigger, end_schedule, name_flow_run, this_flow_run
from prefect_globus.transfers.errors import (
    InvalidInputError,
    LeaseHeldError,
    StoreError,
    TransferCanceledError,
    TransferError,
    first_line,
)
from prefect_globus.transfers.model import Scheduled
from prefect_globus.transfers.result import TransferResult
from prefect_globus.transfers.templates import TEMPLATE, check_templates, find_zone, uses_run
from prefect_globus.transfers.ticks import Action, CatchUp, Decision, Overlap, Run

_log = logging.getLogger(__name__)

# What a flow run is called that has nothing to do.
_NAMES = {
    Action.SKIP: "Skipped",
    Action.ENDED: "Ended",
    Action.ALREADY_DONE: "AlreadyDone",
    Action.ALREADY_CANCELED: "AlreadyCanceled",
}


def _run_name() -> str:
    """Before it is known which run of the schedule it is, if it is one."""
    parameters, run = runtime.flow_run.get_parameters(), this_flow_run()
    what = f"{parameters['source']} to {parameters['destination']}"
    return _name(Trigger.of(run), parameters.get("timezone", "UTC"), what)


def _name(trigger: Trigger, zone: str, what: str, scheduled: Scheduled | None = None, count: int | None = None) -> str:
    tick = scheduled.tick if scheduled is not None else trigger.tick
    try:
        when = f"{tick.astimezone(find_zone(zone)):%Y-%m-%d %H:%M}"
    except InvalidInputError:  # the flow will say so
        when = f"{tick:%Y-%m-%d %H:%M}"
    parts = [trigger.deployment or what]
    if scheduled is not None:
        parts.append(f"run {scheduled.run}" + (f" of {count}" if count is not None else ""))
    return ", ".join([*parts, when])


def _cancel_what_is_left(flow: Flow[..., Any], flow_run: FlowRun, state: State[Any]) -> None:  # noqa: ARG001 - by name
    """Hook for a canceled flow run: cancel what its process has left behind, its own run and those it has taken up."""
    try:
        parameters = parameters_of(flow, flow_run)
        checkpoints, credentials = parameters.get("checkpoints"), parameters.get("credentials")
        for transfer_id in {*_run_on_record(flow_run, checkpoints), *_taken_up(flow_run)}:
            cancel_if_left(checkpoints, transfer_id, credentials)
    except (ParameterTypeError, TransferError) as error:
        _log.warning("What flow run %s has left behind could not be canceled: %s", flow_run.id, error)
        return
    with get_client(sync_client=True) as client:
        client.set_flow_run_state(flow_run.id, Cancelled(), force=True)


def _run_on_record(flow_run: FlowRun, checkpoints: CheckpointStore | str | None) -> list[str]:
    trigger = Trigger.of(flow_run)
    runs = ((each.id, each.scheduled) for each in find_checkpoints(checkpoints).list_transfers())
    return [found for found, run in runs if run is not None and run == trigger.run(trigger.tick, run.run)]


def _taken_up(flow_run: FlowRun) -> list[str]:
    parts = FlowRunFilter(parent_flow_run_id=FlowRunFilterParentFlowRunId(any_=[flow_run.id]))
    with get_client(sync_client=True) as client:
        runs = client.read_flow_runs(flow_run_filter=parts)
    return [run.parameters["transfer_id"] for run in runs if "transfer_id" in run.parameters]


@flow(name="scheduled-transfer", flow_run_name=_run_name, on_cancellation=[_cancel_what_is_left])
def scheduled_transfer(
    source: SourceTemplate,
    destination: DestinationTemplate,
    options: Options = None,
    transfer_id: Annotated[str, titled("Transfer id")] = TEMPLATE,
    schedule: Schedule = None,
    overlap: Annotated[Overlap, titled("Overlap")] = "skip",
    catch_up: Annotated[CatchUp, titled("Catching up")] = "latest",
    timezone: Annotated[str, titled("Time zone")] = "UTC",
    credentials: Credentials = None,
    checkpoints: Checkpoints = None,
) -> TransferResult | State[Any]:
    """Do what a schedule wants at one of its ticks: a transfer, or nothing. A flow run is a tick, a transfer is a run.

    Deployed with a schedule of Prefect, it counts, skips and ends as Globus Timers do: a tick that falls while a run is
    unfinished is skipped and is no run, and the end by count counts runs. A run that was cut off, by whatever, is
    finished by the next flow run, under its own id. Called without a deployment, it is one run, which is not counted.

    Args:
        source: What to transfer, a file or a directory, as COLLECTION_UUID:/path; a template, as the transfer id.
            For example: 6c54cade-bde5-45c1-bdea-f4bd71dba2cc:/home/share/godata
        destination: Where to, as COLLECTION_UUID:/path; a template, as the transfer id.
            For example: 31ce9ba0-176d-45a5-add3-f37d233ba47d:/~/backup/{scheduled:%Y%m%d}
        options: How it is transferred.
        transfer_id: Template of the ids: with {scheduled}, when the run was due, and {run}, its number. A run whose
            id is on record takes up that transfer, unless it is complete. For example: backup-{scheduled:%Y%m%d}
        schedule: When it begins and ends, for a schedule with a fixed interval; a cron schedule goes without.
        overlap: What to do at a tick while another run is unfinished: skip it, queue behind it, or cancel what is
            unfinished.
        catch_up: Which ticks are run that come too late, as after a night without a worker: none (skip), the latest,
            or all, one after the other.
        timezone: In which {scheduled} is written. For example: Europe/Berlin
        credentials: The login to Globus: a saved block or its name. When left out GLOBUS_CLIENT_ID and
            GLOBUS_CLIENT_SECRET where the run is, or else the login of prefect-globus login there.
            For example: globus-credentials/lab
        checkpoints: Where the transfer is kept on record: a saved block or its name. When left out the default
            database where the run is. For example: sql-checkpoint-store/team

    Returns:
        The result of the transfer; or a state that says why there was nothing to do.

    Raises:
        InvalidInputError: the input will not do; nothing has moved.
        TransferError: as `resumable_transfer`.
    """
    trigger = Trigger.of(this_flow_run())
    repeats = trigger.schedule is not None and (schedule is None or schedule.count != 1)
    check_templates(source, destination, transfer_id, timezone, repeats=repeats)
    if trigger.schedule is None and uses_run(source, destination, transfer_id):
        raise InvalidInputError(reason="{run} is the number of a run of a deployment's schedule, and this is none")
    plan = Plan(
        source,
        destination,
        transfer_id,
        options,
        schedule,
        overlap,
        catch_up,
        find_zone(timezone),
        credentials,
        checkpoints,
    )
    ticking = Ticking(trigger, plan, find_checkpoints(checkpoints))
    try:
        outcome = _at_tick(ticking, timezone)
    except TransferError:
        _end_if_over(ticking)
        raise
    _end_if_over(ticking)
    return outcome


def _at_tick(ticking: Ticking, timezone: str) -> TransferResult | State[Any]:
    decision, own = ticking.begin_due()
    if own is None or decision.action in _NAMES:
        ticking.take_up_cut_off()
        return _nothing_done(decision)
    schedule = ticking.plan.schedule
    if own.transfer.scheduled is not None:
        count = schedule.count if schedule is not None else None
        name_flow_run(ticking.trigger, _name(ticking.trigger, timezone, own.transfer.id, own.transfer.scheduled, count))
    get_run_logger().info("%s", decision.why or f"{own} begins")
    return _outcome(ticking, own)


def _nothing_done(decision: Decision) -> State[Any]:
    get_run_logger().info("Nothing is transferred: %s", decision.why)
    return Completed(name=_NAMES[decision.action], message=_sentence(decision.why))


def _outcome(ticking: Ticking, own: Run) -> TransferResult | State[Any]:
    try:
        return ticking.run(own)
    except TransferCanceledError as error:
        return Cancelled(message=str(error))
    except LeaseHeldError as error:  # another process was faster, such as one that resumes what is incomplete
        return _nothing_done(Decision(action=Action.SKIP, why=first_line(error)))


def _end_if_over(ticking: Ticking) -> None:
    try:
        why = ticking.is_over()
        if why is not None and end_schedule(ticking.trigger):
            get_run_logger().info("The schedule has ended: %s. It is inactive from now on", why)
    except StoreError as error:  # the transfer is what it is; another tick of an ended schedule does nothing but this
        get_run_logger().warning("Whether the schedule has ended is not known: %s", first_line(error))


def _sentence(words: str) -> str:
    return words[:1].upper() + words[1:]
