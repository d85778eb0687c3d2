"""All transfers with the same login share the requests that Globus allows it."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor

import pytest
from prefect.settings import PREFECT_API_URL, PREFECT_LOGGING_LEVEL, temporary_settings

from prefect_globus import GlobusCredentials, TransferOptions, TransferResult, TransferStatus, resumable_transfer
from support.world import QUICK, World

METERED = [{"requests_per_second": 5}]


def run(world: World, credentials: GlobusCredentials, name: str) -> TransferResult:
    """Run the flow in a thread of this process, from and to folders of that name."""
    with temporary_settings({PREFECT_API_URL: world.prefect_api, PREFECT_LOGGING_LEVEL: "WARNING"}):
        result: TransferResult = resumable_transfer(
            world.location("source", f"/{name}"),
            world.location("destination", f"/{name}"),
            options=TransferOptions.model_validate(QUICK | {"api_retry_delay": 0.1}),
            transfer_id=name,
            credentials=credentials,
            checkpoints=world.store,
        )
        return result


@pytest.mark.parametrize("paced", [True, False])
@pytest.mark.parametrize("emulator_options", METERED)
def test_requests_keep_the_pace_of_their_account(
    world: World, caplog: pytest.LogCaptureFixture, *, paced: bool
) -> None:
    """Two transfers at once make no request too many; and where nobody keeps the pace, they ride out the refusals."""
    credentials = world.credentials.model_copy(update={"requests_per_second": 5 if paced else None})
    for name in ("one", "two"):
        world.write({f"{name}/{n}/file": "1" for n in range(25 if paced else 60)})
    caplog.set_level(logging.DEBUG, "urllib3.connectionpool")
    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(lambda name: run(world, credentials, name), ("one", "two")))
    assert [result.status for result in results] == [TransferStatus.COMPLETED] * 2
    refused = [record for record in caplog.records if record.args and 429 in record.args]
    assert bool(refused) is not paced
