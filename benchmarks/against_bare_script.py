"""The same tree moved by a bare globus-sdk script and by the flow, in one run; prints ratios of time and peak memory.

The bare script lists with one `ls` a directory, submits one task and polls it: no checkpoint, no Prefect, no resume.
Both talk to one emulator, and the flow to one Prefect server; neither's start is counted. Each run is a process of its
own, in turn; its peak memory is what the operating system accounts for it.

    make bench                        # 10,000 files, 3 rounds
    python benchmarks/against_bare_script.py --files 2000 --rounds 1
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).parent
CONTESTANTS = ("bare_script.py", "flow_script.py")


class Run(NamedTuple):
    """One run of a contestant: seconds of the whole process and of the transfer in it, peak memory in MiB."""

    process: float
    transfer: float
    memory: float


def main() -> None:
    """Run the contestants in turn and print what came out."""
    arguments = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    arguments.add_argument("--files", type=int, default=10_000)
    arguments.add_argument("--directories", type=int, default=100)
    arguments.add_argument("--size", type=int, default=1024, help="bytes of each file")
    arguments.add_argument("--rounds", type=int, default=3)
    given = arguments.parse_args()
    with tempfile.TemporaryDirectory(prefix="prefect-globus-bench-") as folder:
        home = Path(folder)
        os.environ |= {"HOME": folder, "PREFECT_HOME": str(home / "prefect"), "PREFECT_LOGGING_LEVEL": "WARNING"}
        _make_tree(home / "source", given.files, given.directories, given.size)
        print(f"{given.files:,} files of {given.size:,} bytes in {given.directories:,} directories")
        _report(_rounds(home, given.rounds))


def _make_tree(source: Path, files: int, directories: int, size: int) -> None:
    content = os.urandom(size)
    for number in range(files):
        path = source / f"{number % directories:05}" / f"{number:08}.dat"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def _rounds(home: Path, rounds: int) -> dict[str, list[Run]]:
    from prefect_globus.cli.server import prefect_api  # noqa: PLC0415 - reads the environment that was just set
    from prefect_globus.emulator.process import running_emulator  # noqa: PLC0415

    runs: dict[str, list[Run]] = {name: [] for name in CONTESTANTS}
    (home / "destination").mkdir()
    with prefect_api(quiet=True) as ready:
        ready()
        for number in range(rounds):
            for name in CONTESTANTS:
                shutil.rmtree(home / "destination")
                (home / "destination").mkdir()
                with running_emulator({"source": home / "source", "destination": home / "destination"}) as emulator:
                    os.environ |= emulator.environment()
                    os.environ["PREFECT_GLOBUS_DATABASE_URL"] = f"sqlite:///{home / f'{number}.db'}"
                    locations = [f"{emulator.collections[side]}:/" for side in ("source", "destination")]
                    runs[name].append(_run(name, *locations))
                _check(home)
    return runs


def _run(name: str, source: str, destination: str) -> Run:
    began = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, str(HERE / name), source, destination], stdout=subprocess.PIPE, text=True
    )
    output = process.communicate()[0] if process.stdout is None else process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"{name} failed with exit status {process.returncode}")
    return Run(time.monotonic() - began, float(output.split()[-1]), usage.ru_maxrss / 1024)


def _check(home: Path) -> None:
    sent, arrived = (
        sorted(str(path.relative_to(home / side)) for path in (home / side).rglob("*") if path.is_file())
        for side in ("source", "destination")
    )
    if sent != arrived:
        sys.exit("the trees differ: nothing to compare")


def _report(runs: dict[str, list[Run]]) -> None:
    bare, flow = (runs[name] for name in CONTESTANTS)
    print(f"{'':24}{'bare script':>14}{'flow':>10}{'ratio':>8}   spread of the ratio over the rounds")
    for field, unit in (("transfer", "s"), ("process", "s"), ("memory", "MiB")):
        ours, theirs = ([getattr(run, field) for run in each] for each in (flow, bare))
        ratios = [one / other for one, other in zip(ours, theirs, strict=True)]
        print(
            f"{field + ', ' + unit:24}{statistics.median(theirs):14.1f}{statistics.median(ours):10.1f}"
            f"{statistics.median(ratios):8.2f}   {min(ratios):.2f} to {max(ratios):.2f}"
        )


if __name__ == "__main__":
    main()
