"""A transfer as a deployment that runs when somebody, or something, asks for it."""

from __future__ import annotations

from typing import cast

from prefect.deployments.runner import EntrypointType, RunnerDeployment  # type: ignore[attr-defined] # defined there, not listed

from prefect_globus.flows.resumable_transfer import resumable_transfer
from prefect_globus.transfers.location import Location, check_disjoint, check_transfer_id
from prefect_globus.transfers.options import TransferOptions


def transfer_deployment(
    name: str,
    source: str,
    destination: str,
    options: TransferOptions | None = None,
    transfer_id: str | None = None,
    credentials: str | None = None,
    checkpoints: str | None = None,
) -> RunnerDeployment:
    """A deployment of `resumable_transfer` with these parameters.

    Hand it to `prefect.serve`, or call its `apply(work_pool_name=...)` for workers that have this package installed.

    Args:
        name: of the deployment.
        source: as COLLECTION_UUID:/path.
        destination: as COLLECTION_UUID:/path.
        options: how; callbacks cannot be deployed and are left out.
        transfer_id: the same for each run, so that a run resumes what the last one left; each run makes its own when
            left out.
        credentials: name of a GlobusCredentials block.
        checkpoints: name of a checkpoint store block.

    Raises:
        InvalidInputError: a location or the id will not do, which is better known now than when it runs.
    """
    check_disjoint(Location.parse(source), Location.parse(destination))
    parameters = {
        "source": source,
        "destination": destination,
        "options": options.model_dump(mode="json", exclude_unset=True) if options is not None else None,
        "transfer_id": check_transfer_id(transfer_id) if transfer_id is not None else None,
        "credentials": credentials,
        "checkpoints": checkpoints,
    }
    given = {key: value for key, value in parameters.items() if value is not None}
    deployment = resumable_transfer.to_deployment(
        name,
        parameters=given,
        # by the module's name, which a worker finds wherever the package is installed, not by a path of this machine
        entrypoint_type=EntrypointType.MODULE_PATH,
        _sync=True,  # type: ignore[call-arg] # Prefect's own switch for its sync form
    )
    return cast("RunnerDeployment", deployment)
