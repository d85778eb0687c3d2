"""A tree with 1 % of its files changed: an incremental run against a bare listing and a full run, in one run.

The listing is what cannot be spared: one `ls` a directory with bare globus-sdk. Prints seconds, requests to Globus, and
ratios.

    python benchmarks/incremental.py                      # 10,000 files
    python benchmarks/incremental.py --files 2000 --changed 5
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

import globus_sdk
import requests

CLIENT_ID, CLIENT_SECRET = "6b9a7bd2-1c4e-4f0b-9d38-2f3f36f0b9a1", os.urandom(8).hex()


class Run(NamedTuple):
    """Seconds, requests made, and files moved."""

    seconds: float
    requests: int
    moved: int


def main() -> None:
    """Make a tree, mirror it, change some of it, and mirror it again in each way."""
    arguments = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    arguments.add_argument("--files", type=int, default=10_000)
    arguments.add_argument("--directories", type=int, default=100)
    arguments.add_argument("--size", type=int, default=1024, help="bytes of each file")
    arguments.add_argument("--changed", type=float, default=1.0, help="percent of the files")
    given = arguments.parse_args()
    with tempfile.TemporaryDirectory(prefix="prefect-globus-bench-") as folder:
        home = Path(folder)
        os.environ |= {"HOME": folder, "PREFECT_HOME": str(home / "prefect"), "PREFECT_LOGGING_LEVEL": "WARNING"}
        os.environ["PREFECT_LOGGING_TO_API_ENABLED"] = "false"
        runs = _runs(home, given.files, given.directories, given.size, given.changed)
    print(f"{given.files:,} files in {given.directories:,} directories, {given.changed:g} % of them changed")
    _report(runs)


def _runs(home: Path, files: int, directories: int, size: int, percent: float) -> dict[str, Run]:
    from prefect_globus.cli.server import prefect_api  # noqa: PLC0415 - reads the environment that was just set
    from prefect_globus.emulator.process import running_emulator  # noqa: PLC0415

    paths = [home / "source" / f"{number % directories:05}" / f"{number:08}.dat" for number in range(files)]
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(os.urandom(size))
    (home / "mirror").mkdir()
    runs = {}
    with prefect_api(quiet=True) as ready:
        ready()
        with running_emulator({"source": home / "source", "mirror": home / "mirror"}) as emulator:
            os.environ |= emulator.environment()
            os.environ["PREFECT_GLOBUS_DATABASE_URL"] = f"sqlite:///{home / 'checkpoints.db'}"
            source, mirror = (f"{emulator.collections[side]}:/" for side in ("source", "mirror"))
            runs["full run, at first"] = _measured(lambda: _transferred(source, mirror))
            for path in paths[:: max(1, round(100 / percent))]:
                path.write_bytes(os.urandom(size + 1))
            runs["bare listing"] = _measured(lambda: _listed(emulator.collections["source"]))
            for compare_with in ("manifest", "destination"):
                how = {"mode": "incremental", "compare_with": compare_with}
                runs[f"incremental, by {compare_with}"] = _measured(partial(_transferred, source, mirror, **how))
                for path in paths[:: max(1, round(100 / percent))]:  # the same again for the next
                    path.write_bytes(os.urandom(path.stat().st_size + 1))
            runs["full run, again"] = _measured(lambda: _transferred(source, mirror))
    return runs


def _transferred(source: str, destination: str, **how: Any) -> int:  # noqa: ANN401 - any option
    from prefect_globus import GlobusCredentials, TransferOptions, resumable_transfer  # noqa: PLC0415

    options = TransferOptions(poll_interval=0.5, **how)
    credentials = GlobusCredentials(client_id=CLIENT_ID, client_secret=CLIENT_SECRET)
    return resumable_transfer(source, destination, options, credentials=credentials).items_transferred


def _listed(collection: str) -> int:
    login = globus_sdk.ConfidentialAppAuthClient(CLIENT_ID, CLIENT_SECRET)
    authorizer = globus_sdk.ClientCredentialsAuthorizer(login, globus_sdk.TransferClient.scopes.all)
    client = globus_sdk.TransferClient(authorizer=authorizer)
    waiting = ["/"]
    while waiting:
        folder = waiting.pop()
        answer = client.operation_ls(collection, path=folder)
        waiting += [f"{folder}{entry['name']}/" for entry in answer if entry["type"] == "dir"]
    return 0


def _measured(run: Callable[[], int]) -> Run:
    with _counted() as count:
        began = time.monotonic()
        moved = run()
        return Run(time.monotonic() - began, count(), moved)


@contextmanager
def _counted() -> Iterator[Callable[[], int]]:
    """Count the requests that globus-sdk makes, all of which go through requests."""
    made: list[None] = []
    send = requests.Session.send

    def counting(self: requests.Session, *given: Any, **named: Any) -> requests.Response:  # noqa: ANN401 - as it takes
        made.append(None)
        return send(self, *given, **named)

    with patch.object(requests.Session, "send", counting):
        yield lambda: len(made)


def _report(runs: dict[str, Run]) -> None:
    full, listing = runs["full run, again"], runs["bare listing"]
    print(f"{'':28}{'seconds':>9}{'requests':>10}{'files moved':>13}{'/ full run':>12}{'/ listing':>11}")
    for name, run in runs.items():
        ratios = f"{run.seconds / full.seconds:12.2f}{run.seconds / listing.seconds:11.1f}"
        print(f"{name:28}{run.seconds:9.1f}{run.requests:10,}{run.moved:13,}{ratios}")


if __name__ == "__main__":
    main()
