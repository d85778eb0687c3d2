"""What is promised of scale, measured: each row of the table with its target, and whether it is met.

Each contestant runs in a process of its own, in turn with the others, against an emulator with a fresh state; all
share one Prefect server. A part that fails is reported, and the others go on. What was measured is kept in a record,
in which a part that is run again takes the place of what it was.

    python benchmarks/scale.py                                # about half an hour on two cores, 2 GiB of disk
    python benchmarks/scale.py --huge                         # ten million files, too
    python benchmarks/scale.py --files 10000 --rounds 1       # whether it works; the targets are for a million
    python benchmarks/scale.py --only resume --only overhead
    python benchmarks/scale.py --markdown build/scale/record.json
"""

from __future__ import annotations

import argparse
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path

from arena import Arena, arena
from batches import overhead, polling
from checkpoints import checkpoint
from figures import HEADINGS, Part, Record, markdown, text_table
from given import Given
from going_on import incremental, resume
from listings import cli, listing, pace
from modelling import model
from plot import svg
from whole_transfers import sizes, trees

PARTS: dict[str, Callable[[Arena, Given, Part], None]] = {
    "sizes": sizes,
    "resume": resume,
    "incremental": incremental,
    "overhead": overhead,
    "polling": polling,
    "checkpoint": checkpoint,
    "pace": pace,
    "cli": cli,
    "trees": trees,
    "listing": listing,
    "model": model,
}


def main() -> None:
    given = _arguments().parse_args()
    if given.markdown is not None:
        if not given.markdown.exists():
            sys.exit(f"There is no record {given.markdown}: make one first, by `python benchmarks/scale.py`.")
        print(markdown([HEADINGS, *(figure.cells for figure in Record.at(given.markdown).figures)]))
        return
    record = Record.at(given.record)
    wanted = Given(given.files, given.rounds, given.huge, given.directories, given.latency, record)
    with arena() as ready:
        for name in given.only or PARTS:
            record.put(name, _measured(ready, name, wanted))
    print("\n" + text_table([HEADINGS, *(figure.cells for figure in record.figures)]))
    plot = given.record.with_suffix(".svg")
    plot.write_text(svg(record.runs))
    print(f"\nThe record is {given.record}, the plot {plot}.")
    failed = [name for name in given.only or PARTS if record.parts[name].error]
    sys.exit(f"Failed: {', '.join(failed)}" if failed else 0)


def _arguments() -> argparse.ArgumentParser:
    arguments = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    arguments.add_argument("--only", action="append", choices=list(PARTS), help="may be repeated")
    arguments.add_argument("--files", type=int, default=Given.files, help="of the larger transfers")
    arguments.add_argument("--directories", type=int, default=Given.directories, help="listed with latency")
    arguments.add_argument("--latency", type=int, default=Given.latency, help="in ms, where there is one")
    arguments.add_argument("--rounds", type=int, default=Given.rounds)
    arguments.add_argument("--huge", action="store_true", help="also ten times as many files, once")
    arguments.add_argument("--record", type=Path, default=Path("build/scale/record.json"))
    arguments.add_argument("--markdown", type=Path, metavar="RECORD", help="only print a record as a table")
    return arguments


def _measured(ready: Arena, name: str, given: Given) -> Part:
    part, began = Part(), time.monotonic()
    print(f"{name} ...", flush=True)
    try:
        PARTS[name](ready, given, part)
    except Exception as error:  # noqa: BLE001 - whatever it is, the other parts are none the worse for it
        traceback.print_exc()
        part.error = f"{type(error).__name__}: {error}"
    part.seconds = time.monotonic() - began
    return part


if __name__ == "__main__":
    main()
