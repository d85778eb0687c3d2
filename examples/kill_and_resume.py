"""Move the Python standard library with Globus, kill the process in the middle, resume, and prove that nothing is lost.

Run it with `make demo`. Globus is the emulator that comes with the package; Prefect is a real server of its own.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

TRANSFER_ID = "demo"
LEFT_OUT = ("site-packages", "dist-packages", "__pycache__")
KILL_AFTER_BATCHES = 8
FILE_DELAY = 0.002  # seconds before each file, so that there is a middle to kill it in


def main() -> None:
    """Tell the story."""
    source = Path(sysconfig.get_path("stdlib"))
    with tempfile.TemporaryDirectory(prefix="prefect-globus-demo-") as folder:
        home = Path(folder)
        os.environ |= {
            "HOME": folder,
            "XDG_DATA_HOME": str(home / "data"),
            "PREFECT_HOME": str(home / "prefect"),
            "PREFECT_GLOBUS_DATABASE_URL": f"sqlite:///{home / 'checkpoints.db'}",
        }
        from prefect_globus.cli.server import prefect_api  # noqa: PLC0415 - reads the environment that was just set

        print("Starting a Prefect server ...", flush=True)
        with prefect_api(quiet=True) as wait_until_ready:
            wait_until_ready()
            _tell(source, home / "copy")


def _tell(source: Path, destination: Path) -> None:
    began = time.monotonic()
    exclude = [word for name in LEFT_OUT for word in ("--exclude", name)]
    command = ["transfer", str(source), str(destination), "--id", TRANSFER_ID, "--quiet", *exclude]
    command += ["--file-delay", str(FILE_DELAY)]
    print(f"\n$ prefect-globus transfer {source} {destination} --id {TRANSFER_ID}", flush=True)
    driver = subprocess.Popen(_cli(*command), stdout=subprocess.DEVNULL)  # noqa: S603 - our own program
    _wait_for_batches(driver, KILL_AFTER_BATCHES)
    driver.send_signal(signal.SIGKILL)
    driver.wait()
    before = _status()
    print(f"Process {driver.pid} was killed with SIGKILL after {_books(before)}{_scan(before)}.")

    print(f"\n$ prefect-globus resume {TRANSFER_ID}", flush=True)
    resumed = subprocess.run(_cli("resume", TRANSFER_ID, "--quiet"), stdout=subprocess.DEVNULL, check=False)  # noqa: S603
    after = _status()
    print(f"Exit status {resumed.returncode}, {after['status']} with {_books(after)}.")
    cached = _cached()
    print(
        f"{before['batches_done']} batches were done before the kill; Prefect shows {cached} of this run's as Cached."
    )
    tasks = Counter(task["task_id"] for task in after["tasks"])
    batches = Counter(task["batch"] for task in after["tasks"] if task["status"] == "SUCCEEDED")
    twice = sum(count > 1 for count in [*tasks.values(), *batches.values()])
    print(f"{len(tasks)} Globus tasks were started for {after['batches_total']} batches, {twice} of them twice.")

    digests = {path: _digest(path) for path in (source, destination)}
    for path, (digest, files) in digests.items():
        print(f"sha256 {digest}  {files:,} files  {path}")
    identical = len(set(digests.values())) == 1
    print(f"\nThe trees are {'identical' if identical else 'DIFFERENT'}. {time.monotonic() - began:.0f} s in all.")
    sys.exit(0 if identical and not twice and cached and after["status"] == "COMPLETED" else 1)


def _cli(*words: str) -> list[str]:
    return [str(Path(sys.executable).with_name("prefect-globus")), *words]


def _status() -> dict[str, Any]:
    answer = subprocess.run(_cli("status", TRANSFER_ID, "--json"), capture_output=True, text=True, check=True)  # noqa: S603
    status: dict[str, Any] = json.loads(answer.stdout)
    return status


def _cached() -> int:
    """How many tasks of the latest flow run Prefect calls Cached; its server writes them down a little later."""
    from prefect.client.orchestration import get_client  # noqa: PLC0415
    from prefect.client.schemas.filters import TaskRunFilter, TaskRunFilterState, TaskRunFilterStateName  # noqa: PLC0415

    state = TaskRunFilterState(name=TaskRunFilterStateName(any_=["Cached"]))
    count = -1
    with get_client(sync_client=True) as client:
        for _ in range(20):
            before, count = count, len(client.read_task_runs(task_run_filter=TaskRunFilter(state=state), limit=200))
            if count == before:
                break
            time.sleep(0.5)
    return count


def _books(status: dict[str, Any]) -> str:
    moved, size = status["items_transferred"], status["bytes_transferred"]
    batches = f"{status['batches_done']} of {status['batches_total']} batches"
    return f"{moved:,} of {status['items_total']:,} files and {size / 2**20:.1f} MiB in {batches}"


def _scan(status: dict[str, Any]) -> str:
    return "" if status["scan_complete"] else ", while the scan went on"


def _wait_for_batches(driver: subprocess.Popen[bytes], number: int) -> None:
    from prefect_globus import SqlCheckpointStore  # noqa: PLC0415
    from prefect_globus.transfers.errors import TransferNotFoundError  # noqa: PLC0415

    store = SqlCheckpointStore()
    while driver.poll() is None:
        try:
            if store.ledger(TRANSFER_ID).batches_done >= number:
                return
        except TransferNotFoundError:
            pass
        time.sleep(0.02)
    sys.exit("The transfer ended before it could be killed.")


def _digest(folder: Path) -> tuple[str, int]:
    """One digest over the paths and contents of all files and empty directories, as far as they are transferred."""
    whole = hashlib.sha256()
    files = 0
    for path in sorted(folder.rglob("*")):
        relative = path.relative_to(folder)
        if path.is_symlink() or any(part in LEFT_OUT for part in relative.parts):
            continue
        if path.is_file():
            whole.update(f"{relative}\0".encode() + hashlib.sha256(path.read_bytes()).digest())
            files += 1
    return whole.hexdigest(), files


if __name__ == "__main__":
    main()
