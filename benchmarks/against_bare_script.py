"""A tree of real files moved by a bare globus-sdk script and by the flow, in one run; prints ratios of time and memory.

What `scale.py` compares with synthetic trees, here with files that are really copied. Neither's start is counted.

    make bench                        # 10,000 files, 3 rounds
    python benchmarks/against_bare_script.py --files 2000 --rounds 1
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import sys
from pathlib import Path

from arena import BARE, FLOW, Arena, Run, arena


def main() -> None:
    """Run the contestants in turn and print what came out."""
    arguments = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    arguments.add_argument("--files", type=int, default=10_000)
    arguments.add_argument("--directories", type=int, default=100)
    arguments.add_argument("--size", type=int, default=1024, help="bytes of each file")
    arguments.add_argument("--rounds", type=int, default=3)
    given = arguments.parse_args()
    with arena() as ready:
        _make_tree(ready.home / "source", given.files, given.directories, given.size)
        print(f"{given.files:,} files of {given.size:,} bytes in {given.directories:,} directories")
        rounds = [{name: _run(ready, name) for name in (BARE, FLOW)} for _ in range(given.rounds)]
    _report({name: [each[name] for each in rounds] for name in (BARE, FLOW)})


def _make_tree(source: Path, files: int, directories: int, size: int) -> None:
    content = os.urandom(size)
    for number in range(files):
        path = source / f"{number % directories:05}" / f"{number:08}.dat"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def _run(ready: Arena, name: str) -> Run:
    source, destination = ready.home / "source", ready.home / "destination"
    destination.mkdir()
    with ready.field(source, destination) as field:
        run = field.run(name)
    if _tree(source) != _tree(destination):
        sys.exit("the trees differ: nothing to compare")
    shutil.rmtree(destination)
    return run


def _tree(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def _report(runs: dict[str, list[Run]]) -> None:
    print(f"{'':24}{'bare script':>14}{'flow':>10}{'ratio':>8}   spread of the ratio over the rounds")
    for field, title in (("seconds", "transfer, s"), ("process", "process, s"), ("memory", "memory, MiB")):
        ours, theirs = ([getattr(run, field) for run in runs[each]] for each in (FLOW, BARE))
        ratios = [one / other for one, other in zip(ours, theirs, strict=True)]
        print(
            f"{title:24}{statistics.median(theirs):14.1f}{statistics.median(ours):10.1f}"
            f"{statistics.median(ratios):8.2f}   {min(ratios):.2f} to {max(ratios):.2f}"
        )


if __name__ == "__main__":
    main()
