"""What the playground's Prefect knows: the blocks, a work pool, and deployments that can be run at once.

It imports Prefect, whose settings must be in the environment by then.
"""

from __future__ import annotations

import time
from contextlib import suppress
from typing import Any, cast
from uuid import UUID

from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.objects import DeploymentStatus
from prefect.deployments.runner import EntrypointType, RunnerDeployment  # type: ignore[attr-defined] # not listed
from prefect.exceptions import ObjectAlreadyExists
from prefect.flows import Flow
from prefect.schedules import Cron
from pydantic import SecretStr

from prefect_globus.blocks import GlobusCredentials, SqlCheckpointStore
from prefect_globus.cli.playground.services import POOL, Playground
from prefect_globus.deployments.recurring import deploy_recurring_transfer
from prefect_globus.flows.maintenance import resume_incomplete
from prefect_globus.flows.planning import plan_transfer
from prefect_globus.flows.preflight import preflight
from prefect_globus.flows.redriving import redrive_transfer
from prefect_globus.flows.resumable_transfer import resumable_transfer
from prefect_globus.flows.verify import verify_transfer
from prefect_globus.transfers.options import TransferOptions

_BLOCK = "playground"
_OPTIONS: dict[str, Any] = {"batch_size": 25, "poll_interval": 2, "fault_grace": 5, "retry_limit": 1, "retry_delay": 5}
_SWEEP_SECONDS = 120
_READY_SECONDS = 60.0
_LOOK_SECONDS = 0.3
_RUN_ME = "Choose **Run**, **Quick run**, and press **Run** below the form; if it says *Unknown error*, press it again."


def register(place: Playground) -> UUID:
    """Save the blocks and make the deployments; those that are there are brought up to date.

    Returns:
        The id of the deployment to begin with.
    """
    url = place.globus.url
    login = GlobusCredentials.from_environment(transfer_url=url, auth_url=url, timers_url=url)
    login.save(_BLOCK, overwrite=True)
    SqlCheckpointStore(url=SecretStr(place.database)).save(_BLOCK, overwrite=True)
    with get_client(sync_client=True) as client, suppress(ObjectAlreadyExists):
        client.create_work_pool(WorkPoolCreate(name=POOL, type="process"))
    return _deploy_all(place)


def wait_until_ready(deployment_id: UUID) -> None:
    """Return when the worker has asked for flow runs; or after a while, as whoever attends it sees why it has not."""
    give_up = time.monotonic() + _READY_SECONDS
    with get_client(sync_client=True) as client:
        while client.read_deployment(deployment_id).status != DeploymentStatus.READY and time.monotonic() < give_up:
            time.sleep(_LOOK_SECONDS)


def _deploy_all(place: Playground) -> UUID:
    survey, instrument = place.location("survey"), place.location("instrument")
    first = _deploy(
        resumable_transfer,
        "survey-to-archive",
        f"Transfer the 300 files of the collection `survey` to `archive`, in 12 batches. {_RUN_ME} Kill its process "
        "(`prefect-globus status ID` has its number under *Driven by*; `kill -9`), or end the playground: it goes on "
        "where it was. Cancel it, and that is final.",
        {"source": survey, "destination": place.location("archive", "/survey"), "options": _OPTIONS},
    )
    _deploy(
        resumable_transfer,
        "instrument-to-archive",
        f"A transfer with a file that cannot be read: it becomes a dead letter, the others arrive. {_RUN_ME} Mend it "
        f"with `chmod 644 {place.samples.locked}`, and run it again.",
        {
            "source": instrument,
            "destination": place.location("archive", "/instrument"),
            "options": _OPTIONS,
            "transfer_id": "instrument",
        },
    )
    _deploy(
        resumable_transfer,
        "on-demand",
        f"Transfer what you like: **Run**, **Custom run**. Source: `{survey}`, destination: "
        f"`{place.location('archive', '/my-copy')}`.",
    )
    deploy_recurring_transfer(
        "nightly-backup",
        survey,
        place.location("archive", "/backups/{scheduled:%Y%m%d}"),
        Cron("0 2 * * *", timezone="UTC"),
        work_pool=POOL,
        options=TransferOptions.model_validate(_OPTIONS),
        transfer_id="backup-{scheduled:%Y%m%d}",
        description=f"Each night at 2 o'clock UTC, each day into a directory of its own. {_RUN_ME}",
        credentials=_BLOCK,
        checkpoints=_BLOCK,
    )
    _deploy(
        plan_transfer,
        "plan",
        "Show what a transfer would do, and how long it may take, without doing any of it: its plan is an artifact of "
        f"the run. {_RUN_ME}",
        {"source": survey, "destination": place.location("archive", "/survey"), "options": _OPTIONS},
    )
    _deploy(preflight, "preflight", "Find all that is in the way of a transfer, before it begins.")
    _deploy(redrive_transfer, "redrive", "Try the files of a transfer again that failed for good, all or some.")
    _deploy(verify_transfer, "verify", "Compare the destination with what a transfer has delivered.")
    sweeper = _deploy(
        resume_incomplete,
        "resume-incomplete",
        "Resume, every two minutes, the transfers whose process is gone: what was killed goes on.",
        {"deployment": "resumable-transfer/on-demand"},
        interval=_SWEEP_SECONDS,
    )
    if place.has_transfers:
        with get_client(sync_client=True) as client:
            client.create_flow_run_from_deployment(sweeper)
    return first


def _deploy(
    flow: Flow[..., Any],
    name: str,
    description: str,
    parameters: dict[str, Any] | None = None,
    interval: float | None = None,
) -> UUID:
    deployment = flow.to_deployment(
        name,
        description=description,
        parameters={"credentials": _BLOCK, "checkpoints": _BLOCK, **(parameters or {})},
        tags=["globus"],
        entrypoint_type=EntrypointType.MODULE_PATH,
        _sync=True,  # type: ignore[call-arg] # Prefect's own switch for its sync form
        interval=interval,
    )
    return cast("UUID", cast("RunnerDeployment", deployment).apply(work_pool_name=POOL))
