"""What a benchmark has found: figures with their targets, and the record that is kept of them."""

from __future__ import annotations

import json
import os
import platform
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from arena import Run


@dataclass(frozen=True)
class Figure:
    """One row of the table.

    Args:
        name: what it says.
        values: of each round.
        unit: of the values; empty for a ratio.
        target: the most that its median may be; None for one that is only told.
        note: what else there is to know.
    """

    name: str
    values: Sequence[float]
    unit: str = ""
    target: float | None = None
    note: str = ""

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    @property
    def is_met(self) -> bool | None:
        return None if self.target is None else self.median <= self.target

    @property
    def cells(self) -> list[str]:
        """Name, target, median, spread, verdict, note."""
        spread = f"{shown(min(self.values))} to {shown(max(self.values))}" if len(self.values) > 1 else ""
        target = "" if self.target is None else f"{shown(self.target)} {self.unit}".strip()
        verdict = {None: "", True: "met", False: "MISSED"}[self.is_met]
        return [self.name, target, f"{shown(self.median)} {self.unit}".strip(), spread, verdict, self.note]


HEADINGS = ["figure", "at most", "measured", "spread", "", "of what"]


@dataclass
class Part:
    """What came of one part of the benchmark.

    Attributes:
        figures: rows of the table.
        runs: of contestants, each with the number of files.
        facts: what else is to be kept.
        seconds: that it took.
        error: why it has no more figures, if it failed.
    """

    figures: list[Figure] = field(default_factory=list)
    runs: list[dict[str, Any]] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0
    error: str | None = None

    def add(self, *figures: Figure) -> None:
        for figure in figures:
            self.figures.append(figure)
            print(text_table([figure.cells]), flush=True)

    def keep(self, files: int, run: Run, **facts: Any) -> Run:  # noqa: ANN401 - whatever tells one from another
        """Put a run on record."""
        self.runs.append({"files": files, **facts, **run.document()})
        took = f"{run.seconds:.1f} s, {run.cpu:.1f} s CPU, {run.memory:.0f} MiB"
        print(f"    {run.script} of {files:,}: {took}", flush=True)
        return run


class Record:
    """A file with the latest outcome of each part: a part that is run again takes the place of what it was."""

    def __init__(self, path: Path, parts: dict[str, Part], taken: dict[str, Any]) -> None:
        self.path = path
        self.parts = parts
        self.taken = taken

    @classmethod
    def at(cls, path: Path) -> Self:
        """The record that is there, or an empty one."""
        if not path.exists():
            return cls(path, {}, {})
        document = json.loads(path.read_text())
        parts = {
            name: Part(**part | {"figures": [Figure(**figure) for figure in part["figures"]]})
            for name, part in document["parts"].items()
        }
        return cls(path, parts, document["taken"])

    def put(self, name: str, part: Part) -> None:
        """Write down what came of a part."""
        self.parts[name] = part
        self.taken[name] = {
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
            "cores": os.cpu_count(),
            "machine": f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
        }
        self.path.parent.mkdir(parents=True, exist_ok=True)
        document = {"parts": {name: asdict(part) for name, part in self.parts.items()}, "taken": self.taken}
        self.path.write_text(json.dumps(document, indent=1))

    @property
    def figures(self) -> list[Figure]:
        return [figure for part in self.parts.values() for figure in part.figures]

    @property
    def runs(self) -> list[dict[str, Any]]:
        """Each with the name of its part."""
        return [{"part": name, **run} for name, part in self.parts.items() for run in part.runs]


def text_table(rows: Iterable[Sequence[str]]) -> str:
    widths = (72, 8, 12, 18, 6)
    return "\n".join(
        " ".join([f"{cell:{width}}" for cell, width in zip(row, widths, strict=False)] + [row[-1]]).rstrip()
        for row in rows
    )


def markdown(rows: Sequence[Sequence[str]]) -> str:
    """A table whose first row are its headings."""
    head, *body = rows
    return "\n".join(f"| {' | '.join(row)} |" for row in [head, ["---"] * len(head), *body])


def shown(number: float) -> str:
    """Three digits that count, and no more than people read."""
    if number == int(number) or abs(number) >= 100:
        return f"{number:,.0f}"
    return f"{number:.3g}"
