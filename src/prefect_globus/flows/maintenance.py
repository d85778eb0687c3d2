"""Recovery without a person: find the transfers whose driver is gone, and start them again."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from contextvars import copy_context
from typing import Annotated, Any

from prefect import flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterState, FlowRunFilterStateType, FlowRunFilterTags
from prefect.client.schemas.objects import StateType
from prefect.deployments import run_deployment
from prefect.exceptions import ObjectNotFound
from prefect.logging import get_run_logger
from pydantic import Field

from prefect_globus.blocks import CheckpointStore, GlobusCredentials
from prefect_globus.flows.abandoned import begin_again
from prefect_globus.flows.account import connected
from prefect_globus.flows.blocks import find_checkpoints, find_credentials, name_of
from prefect_globus.flows.parameters import Checkpoints, Credentials, OrNone, titled
from prefect_globus.flows.resumable_transfer import resumable_transfer
from prefect_globus.flows.standing_in import obey_requests, standing_in
from prefect_globus.tasks.driver import interrupt_drivers
from prefect_globus.tasks.processes import is_gone
from prefect_globus.tasks.standing import result_of
from prefect_globus.transfers.errors import (
    CorruptCheckpointError,
    GlobusAuthError,
    GlobusConsentError,
    GlobusTransientError,
    InvalidInputError,
    LeaseHeldError,
    MissingCredentialsError,
    TransferNotFoundError,
    first_line,
)
from prefect_globus.transfers.model import Transfer
from prefect_globus.transfers.quantities import Duration
from prefect_globus.transfers.records import now
from prefect_globus.transfers.reports import Done, Sweep, Swept
from prefect_globus.transfers.result import TransferResult
from prefect_globus.transfers.states import FINAL_TRANSFER_STATUSES, TransferStatus

# A run of a deployment is asked for once in so many seconds for each transfer, however many sweeps there are: it may
# take as long to begin.
_WINDOW_SECONDS = 600

# What is wrong here need not be wrong where a run of a deployment has its environment.
_PERHAPS_NOT_THERE = (MissingCredentialsError, GlobusAuthError, GlobusConsentError, GlobusTransientError)


@flow(name="resume-incomplete")
def resume_incomplete(
    checkpoints: Checkpoints = None,
    credentials: Credentials = None,
    deployment: Annotated[str | None, OrNone("None: as parts of this run", "This one"), titled("Deployment")] = None,
    include_failed: Annotated[bool, titled("Also what has failed")] = False,
    max_age: Annotated[Duration | None, OrNone("However old", "Changed within"), titled("Changed within")] = None,
    at_once: Annotated[int, Field(ge=1, le=20), titled("How many at once")] = 3,
    begin_within: Annotated[Duration, titled("Begin within")] = 600.0,
) -> Sweep:
    """Resume the transfers that nobody drives any more, because their process, worker or machine is gone.

    What somebody has asked of them meanwhile, a cancel or a pause, is done. Left alone are those that a living process
    drives, that somebody has paused, and that are FAILED. Meant to run on a schedule; it does no harm when two of it
    run at once. One that cannot be resumed is reported, and hinders no other.

    Args:
        checkpoints: Where transfers are kept on record: a saved block or its name. When left out the default
            database where the run is. For example: sql-checkpoint-store/team
        credentials: The login for transfers that were not begun with a saved one: a saved block or its name. When left
            out as for a transfer. For example: globus-credentials/lab
        deployment: Of the flow resumable-transfer: each transfer is started as a run of it, and this flow does not wait
            for them. Without it they run as parts of this flow run, until each has ended; canceling this flow run
            cancels them, too. For example: resumable-transfer/on-demand
        include_failed: Resume also what is FAILED, with its dead letters.
        max_age: Leave alone what has not changed for longer than this, in seconds or with a unit. For example: 7d
        at_once: How many to resume at the same time. For example: 5
        begin_within: How long a flow run of the deployment may take to put its transfer on record, in seconds or with a
            unit. After that it counts as dead, as a worker may have died that had taken it up, and is scheduled anew.
            One that names a store of its own is looked for there. For example: 20 min

    Returns:
        What was done about each transfer that is not final; ``str()`` of it is for people.

    Raises:
        InvalidInputError: there is no such block or deployment, or a block has no name that the deployment's runs could
            find it by.
        StoreError: the checkpoints cannot be listed.
    """
    sweeper = _Sweeper(checkpoints, credentials, deployment, include_failed=include_failed, max_age=max_age)
    left, taken = [], []
    for transfer in sweeper.unfinished():
        if swept := sweeper.left_alone(transfer):
            left.append(swept)
        else:
            taken.append(transfer)
    begun = () if deployment is None else begin_again(deployment, sweeper.store, begin_within)
    sweep = Sweep(swept=(*_taken_up(sweeper, taken, at_once), *begun, *left))
    get_run_logger().info("%s", sweep)
    return sweep


def _taken_up(sweeper: _Sweeper, transfers: Sequence[Transfer], at_once: int) -> list[Swept]:
    with ThreadPoolExecutor(at_once, thread_name_prefix="resume") as pool:
        # each with the context of this flow run, so that theirs are shown as parts of it
        futures = [pool.submit(copy_context().run, sweeper.take_up, transfer) for transfer in transfers]
        try:
            return [future.result() for future in futures]
        except BaseException:
            # Prefect interrupts this thread only
            pool.shutdown(wait=False, cancel_futures=True)
            interrupt_drivers()
            raise


class _Sweeper:
    """What one sweep goes by."""

    def __init__(
        self,
        checkpoints: CheckpointStore | str | None,
        credentials: GlobusCredentials | str | None,
        deployment: str | None,
        *,
        include_failed: bool,
        max_age: float | None,
    ) -> None:
        self.checkpoints = checkpoints
        self.credentials = credentials
        self.deployment = deployment
        self.include_failed = include_failed
        self.max_age = max_age
        self.store = find_checkpoints(checkpoints)
        if deployment is not None:
            _check_deployment(deployment)
            for block in (checkpoints, credentials):
                if block is not None and name_of(block) is None:
                    reason = f"The runs of deployment {deployment} cannot find a {type(block).__name__} block that was"
                    raise InvalidInputError(reason=f"{reason} not saved: save it, and give its name")

    def unfinished(self) -> list[Transfer]:
        """The transfers that are not final, the oldest first; in the end those that have to wait for a person."""
        found: list[Transfer] = []
        try:
            found.extend(self.store.list_transfers())
        except CorruptCheckpointError as error:  # it comes last, and hinders no other
            get_run_logger().error("%s", error)
        unfinished = [each for each in found if each.status not in FINAL_TRANSFER_STATUSES][::-1]
        return sorted(unfinished, key=lambda each: each.options.approval and not each.is_approved)

    def left_alone(self, transfer: Transfer) -> Swept | None:
        """What is told of a transfer that is not to be resumed; None of one that is."""
        try:
            reason, done = self._reason_to_leave(transfer), Done.LEFT
        except (CorruptCheckpointError, TransferNotFoundError) as error:
            reason, done = first_line(error), Done.FAILED
        return None if reason is None else Swept(transfer_id=transfer.id, done=done, words=reason)

    def _reason_to_leave(self, transfer: Transfer) -> str | None:
        lease = self.store.current_lease(transfer.id)
        if lease is not None and not is_gone(lease.holder):
            return f"{lease.holder.description} drives it"
        if self.store.pending_request(transfer.id) is not None:
            return None
        if transfer.waits_for_somebody:
            return f"it is paused: {transfer.error}"
        if transfer.status is TransferStatus.FAILED and not self.include_failed:
            return f"it is FAILED: {transfer.error}"
        if self.max_age is not None:
            age = (now() - result_of(self.store, transfer.id).updated_at).total_seconds()
            if age > self.max_age:
                return f"its last change was {age:.0f} s ago"
        return None

    def take_up(self, transfer: Transfer) -> Swept:
        """Do what is to be done about a transfer that nobody drives; an error is reported."""
        try:
            return self._take_up(transfer)
        except LeaseHeldError as error:  # another sweep, or a person, was faster
            return Swept(transfer_id=transfer.id, done=Done.LEFT, words=first_line(error))
        except Exception as error:  # noqa: BLE001 - whatever it is, it hinders no other transfer
            get_run_logger().error("Transfer %s: %s", transfer.id, first_line(error))
            return Swept(transfer_id=transfer.id, done=Done.FAILED, words=first_line(error))

    def _take_up(self, transfer: Transfer) -> Swept:
        if self.store.pending_request(transfer.id) is not None:
            return self._obey(transfer)
        return self._resume(transfer) if self.deployment is None else self._start(transfer, self.deployment)

    def _obey(self, transfer: Transfer) -> Swept:
        request = self.store.pending_request(transfer.id)
        with standing_in(self.store, transfer.id, self._credentials_of(transfer)) as driver:
            obey_requests(driver)
            words = f"somebody has asked for {request}, and it is {driver.transfer.status}"
        return Swept(transfer_id=transfer.id, done=Done.OBEYED, words=words)

    def _resume(self, transfer: Transfer) -> Swept:
        self._check_access(transfer)
        result: TransferResult = resumable_transfer(**self._parameters(transfer))
        words = f"{result.status} with {result.items_transferred} of {result.items_total} items transferred"
        return Swept(transfer_id=transfer.id, done=Done.RESUMED, words=words)

    def _check_access(self, transfer: Transfer) -> None:
        """Leave a transfer as it is whose collections cannot be reached from here, rather than have it fail."""
        credentials = find_credentials(self._credentials_of(transfer))
        with connected(credentials) as globus:
            for location in (transfer.source, transfer.destination):
                globus.check_collection(location.collection)

    def _start(self, transfer: Transfer, deployment: str) -> Swept:
        # other stores, whose transfers may have the same ids, may have their runs on the same server
        tag = f"resume {transfer.id}, begun {transfer.created_at.isoformat()}"
        if waiting := _scheduled_runs(tag):
            words = f"flow run {waiting[0]} waits for a worker"
            return Swept(transfer_id=transfer.id, done=Done.LEFT, words=words)
        with suppress(*_PERHAPS_NOT_THERE):
            self._check_access(transfer)
        # two sweeps at once ask for the same run, and a later one for another, in case this one comes to nothing
        key = f"{tag}, as of {transfer.updated_at.isoformat()}, {time.time() // _WINDOW_SECONDS:.0f}"
        run = run_deployment(
            deployment,
            parameters=self._parameters(transfer),
            timeout=0,
            tags=[tag],
            idempotency_key=key,
            as_subflow=False,
        )
        words = f"flow run {run.name} ({run.id}) of {deployment}"  # type: ignore[union-attr] # called in a sync flow
        return Swept(transfer_id=transfer.id, done=Done.STARTED, words=words)

    def _parameters(self, transfer: Transfer) -> dict[str, Any]:
        parameters: dict[str, Any] = {
            "source": str(transfer.source),
            "destination": str(transfer.destination),
            "transfer_id": transfer.id,
        }
        credentials, checkpoints = self._credentials_of(transfer), self.checkpoints
        if self.deployment is None:
            return parameters | {"credentials": credentials, "checkpoints": checkpoints}
        # the run is another process, which finds blocks by name only
        return parameters | {"credentials": name_of(credentials), "checkpoints": name_of(checkpoints)}

    def _credentials_of(self, transfer: Transfer) -> GlobusCredentials | str | None:
        return transfer.credentials or self.credentials


def _check_deployment(name: str) -> None:
    with get_client(sync_client=True) as client:
        try:
            client.read_deployment_by_name(name)
        except (ObjectNotFound, ValueError) as error:
            reason = f"There is no deployment {name!r}: deploy it, or name one as FLOW/DEPLOYMENT"
            raise InvalidInputError(reason=reason) from error


def _scheduled_runs(tag: str) -> list[str]:
    """The names of the flow runs with this tag that nobody has begun yet."""
    scheduled = FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.SCHEDULED]))
    chosen = FlowRunFilter(tags=FlowRunFilterTags(all_=[tag]), state=scheduled)
    with get_client(sync_client=True) as client:
        return [run.name for run in client.read_flow_runs(flow_run_filter=chosen, limit=1)]
