"""What the examples have in common: Globus collections, a Prefect server and a worker, which end with them.

Globus is the emulator that comes with the package, so no account is needed. Prefect is the server that PREFECT_API_URL
names, or else one that lasts as long as the example.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.filters import WorkPoolFilter, WorkPoolFilterName

from prefect_globus.cli.logs import quiet_logging
from prefect_globus.cli.playground.services import running_worker
from prefect_globus.cli.server import prefect_api
from prefect_globus.emulator import Emulator, running_emulator


@dataclass(frozen=True)
class Playground:
    """What an example works with.

    Args:
        folder: a temporary one; the collections are its folders ``lab`` and ``archive``.
        globus: the emulator.
    """

    folder: Path
    globus: Emulator

    @property
    def source(self) -> str:
        """The location of the folder ``lab``, which has some files."""
        return f"{self.globus.collections['lab']}:/"

    @property
    def destination(self) -> str:
        """The location of the folder ``archive``, which is empty."""
        return f"{self.globus.collections['archive']}:/"


@contextmanager
def playground(files: int = 12, file_delay: float = 0.0) -> Iterator[Playground]:
    """Have a Globus and a Prefect server for as long as the block lasts.

    Args:
        files: how many there are at the source.
        file_delay: seconds that the emulator waits before each file, so that there is something to see.
    """
    with tempfile.TemporaryDirectory(prefix="prefect-globus-example-") as name, ExitStack() as stack:
        folder = Path(name)
        for side in ("lab", "archive"):
            (folder / side).mkdir()
        for number in range(files):
            (folder / "lab" / f"{number:02}.csv").write_text(f"{number}," * (number + 1))
        collections = {side: folder / side for side in ("lab", "archive")}
        globus = stack.enter_context(running_emulator(collections, file_delay=file_delay))
        os.environ |= globus.environment()
        os.environ |= {
            "GLOBUS_CLIENT_ID": "an-example",
            "GLOBUS_CLIENT_SECRET": "any-will-do",
            "PREFECT_GLOBUS_DATABASE_URL": f"sqlite:///{folder / 'checkpoints.db'}",
        }
        if "PREFECT_API_URL" not in os.environ:
            os.environ["PREFECT_HOME"] = str(folder / "prefect")
        quiet_logging()
        wait_until_ready = stack.enter_context(prefect_api(quiet=True))
        wait_until_ready()
        yield Playground(folder, globus)


@contextmanager
def working(folder: Path) -> Iterator[str]:
    """Have a Prefect worker for as long as the block lasts, and give the name of its work pool.

    What was deployed to the pool goes with it: a schedule must not stay behind on a server that lasts.
    """
    pool = f"example-{uuid4().hex[:8]}"
    with get_client(sync_client=True) as client:
        client.create_work_pool(WorkPoolCreate(name=pool, type="process"))
        try:
            with running_worker(pool, folder / "worker.log"):
                yield pool
        finally:
            of_pool = WorkPoolFilter(name=WorkPoolFilterName(any_=[pool]))
            for deployment in client.read_deployments(work_pool_filter=of_pool):
                client.delete_deployment(deployment.id)
            client.delete_work_pool(pool)
