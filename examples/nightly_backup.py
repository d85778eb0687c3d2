"""Back up a folder each night, each day into a directory of its own, and never do a day twice.

The schedule is one deployment. Rather than wait for the night, this asks for two runs: the first makes the backup of
today, the second finds it complete. Run it with `python examples/nightly_backup.py`.
"""

from __future__ import annotations

from typing import cast

from playground import playground, working
from prefect.client.schemas.objects import FlowRun
from prefect.deployments import run_deployment
from prefect.schedules import Cron

from prefect_globus import TransferOptions, deploy_recurring_transfer, list_transfers

if __name__ == "__main__":
    with playground() as place, working(place.folder) as pool:
        deploy_recurring_transfer(
            pool,
            place.source,
            place.destination + "backups/{scheduled:%Y%m%d}",
            Cron("0 2 * * *", timezone="Europe/Berlin"),
            transfer_id="backup-{scheduled:%Y%m%d}",
            options=TransferOptions(preserve_timestamp=True),
            work_pool=pool,
        )
        for attempt in ("first", "second"):
            run = cast("FlowRun", run_deployment(f"scheduled-transfer/{pool}", poll_interval=1))
            print(f"The {attempt} run is {run.state_name}.", flush=True)
        for backup in list_transfers():
            arrived = sorted(path.name for path in (place.folder / "archive" / "backups").iterdir())
            print(f"{backup.id} is {backup.status} with {backup.items_transferred} files, in {', '.join(arrived)}.")
