"""Plan: what a transfer would do, without doing any of it, or leaving anything on record."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Annotated
from uuid import uuid4

from prefect import flow, runtime
from prefect.artifacts import create_markdown_artifact
from prefect.logging import get_run_logger
from pydantic import Field

from prefect_globus.blocks import CheckpointStore, GlobusCredentials
from prefect_globus.flows.account import connected
from prefect_globus.flows.blocks import find_checkpoints, find_credentials
from prefect_globus.flows.dispatching import scanned
from prefect_globus.flows.parameters import Checkpoints, Credentials, Destination, Options, Source, titled
from prefect_globus.flows.prefect_state import watching_prefect
from prefect_globus.tasks.driver import Driver
from prefect_globus.tasks.opening import checked
from prefect_globus.tasks.planning import planned, rehearsing
from prefect_globus.tasks.scanning import scan_source
from prefect_globus.transfers.errors import OnRecordError, TransferNotFoundError
from prefect_globus.transfers.location import Location
from prefect_globus.transfers.model import Transfer
from prefect_globus.transfers.naming import artifact_key, between
from prefect_globus.transfers.options import TransferOptions
from prefect_globus.transfers.plan_words import in_short, markdown
from prefect_globus.transfers.planning import DryRun, TransferPlan
from prefect_globus.transfers.result import TransferResult
from prefect_globus.transfers.states import TransferStatus

_log = logging.getLogger(__name__)

FEW = 10  # items of a sort that a plan names
_KEY = "transfer-plan"


def _run_name() -> str:
    return f"plan {between(runtime.flow_run.get_parameters())}"


@flow(name="plan-transfer", flow_run_name=_run_name)
def plan_transfer(
    source: Source,
    destination: Destination,
    options: Options = None,
    limit: Annotated[int, Field(ge=0), titled("Items to name")] = FEW,
    compare: Annotated[bool, titled("Look at the destination")] = True,
    credentials: Credentials = None,
    checkpoints: Checkpoints = None,
) -> TransferPlan:
    """Find out what a transfer with these parameters would do now. Nothing is submitted, nothing goes on record.

    The source is scanned as the transfer would scan it, by the same code: what is moved, left alone or skipped is the
    same if nothing changes in between. What only Globus decides, when it comes to a file, is said to be a prediction.

    Args:
        source: What would be transferred, a file or a directory, as COLLECTION_UUID:/path.
            For example: 6c54cade-bde5-45c1-bdea-f4bd71dba2cc:/home/share/godata
        destination: Where to, as COLLECTION_UUID:/path.
            For example: 31ce9ba0-176d-45a5-add3-f37d233ba47d:/~/backup
        options: How it would be transferred.
        limit: How many items of a sort the plan names; it counts all of them. For example: 50
        compare: Look at the destination, by a request for each directory that both sides have. Without it, what is
            there already is not known.
        credentials: The login to Globus: a saved block or its name. When left out GLOBUS_CLIENT_ID and
            GLOBUS_CLIENT_SECRET where the run is, or else the login of prefect-globus login there.
            For example: globus-credentials/lab
        checkpoints: Where transfers are on record, which tells what was delivered before, and how long it took: a
            saved block or its name. When left out the default database where the run is.
            For example: sql-checkpoint-store/team

    Raises:
        InvalidInputError: the input will not do; the transfer would be refused, too.
        GlobusError: Globus refused, or was out of reach.
        StoreError: the checkpoints could not be read.
    """
    wanted = wanted_transfer(source, destination, options)
    plan = rehearsed(find_checkpoints(checkpoints), find_credentials(credentials), wanted, limit, compare=compare).plan
    publish(plan, _KEY)
    return plan


def plan_without_prefect(
    source: str,
    destination: str,
    options: TransferOptions | None = None,
    limit: int = FEW,
    compare: bool = True,
    credentials: GlobusCredentials | str | None = None,
    checkpoints: CheckpointStore | str | None = None,
) -> TransferPlan:
    """The same as `plan_transfer`, without a flow run, so that no Prefect server has to be there."""

    def scan(driver: Driver) -> None:
        scan_source.fn(driver.transfer.id)

    wanted = wanted_transfer(source, destination, options)
    store, login = find_checkpoints(checkpoints), find_credentials(credentials)
    return rehearsed(store, login, wanted, limit, compare=compare, scan=scan).plan


def dry_run_of(store: CheckpointStore, login: GlobusCredentials, wanted: Transfer) -> DryRun:
    """The result of a dry run of the transfer ``wanted``, whose plan is shown in Prefect.

    Raises:
        TransferExistsError: a transfer of its id is on record.
        TransferError: as `plan_transfer`.
    """
    try:
        store.load_transfer(wanted.id)
    except TransferNotFoundError:
        result = rehearsed(store, login, wanted)
        publish(result.plan, artifact_key("plan", wanted.id), wanted.id)
        return result
    raise OnRecordError(transfer_id=wanted.id)


def wanted_transfer(source: str, destination: str, options: TransferOptions | None) -> Transfer:
    """A transfer that will never be on record."""
    return Transfer(
        id=f"plan-{uuid4()}",
        source=Location.parse(source),
        destination=Location.parse(destination),
        options=options or TransferOptions(),
    )


def _scan_in_prefect(driver: Driver) -> None:
    with watching_prefect(driver):
        scanned(driver)


def rehearsed(
    store: CheckpointStore,
    login: GlobusCredentials,
    wanted: Transfer,
    limit: int = FEW,
    *,
    compare: bool = True,
    scan: Callable[[Driver], None] = _scan_in_prefect,
) -> DryRun:
    """What the transfer ``wanted`` would do, which is not on record."""
    with connected(login) as globus:
        new = checked(globus, wanted)
        with rehearsing(store, globus, new) as driver:
            scan(driver)
            plan = planned(driver, new.options, limit, compare=compare)
            transfer = driver.transfer.evolve(status=TransferStatus.CREATED)
            return DryRun(**dict(TransferResult.of(transfer, driver.ledger(), driver.batches())), plan=plan)


def publish(plan: TransferPlan, key: str, transfer_id: str | None = None) -> None:
    """Show ``plan`` in the log of the flow run, and as an artifact in Prefect."""
    get_run_logger().info("%s", in_short(plan))
    title = "Plan" if transfer_id is None else f"Plan of {transfer_id}"
    try:
        create_markdown_artifact(markdown(plan, title), key=key, description=in_short(plan))
    except Exception as error:  # noqa: BLE001 - whatever it is, the plan is none the worse for it
        _log.warning("The plan is not shown in Prefect: %s", error)
