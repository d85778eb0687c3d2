"""The runs of a record as a picture: time and memory by the number of files, as SVG made by hand."""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from arena import BARE, FLOW

WIDTH, HEIGHT, MARGIN = 460, 340, 64
LINES = {FLOW: ("prefect-globus", "#2563eb"), BARE: ("bare script", "#b45309")}

Run = Mapping[str, Any]
Points = Sequence[tuple[float, float]]


class Panel(NamedTuple):
    """One diagram, both of whose axes are logarithmic."""

    title: str
    unit: str
    lines: Mapping[str, Points]

    def svg(self, left: int) -> Iterator[str]:
        points = [point for line in self.lines.values() for point in line]
        xs, ys = _decades([x for x, _ in points]), _decades([y for _, y in points])

        def place(x: float, y: float) -> tuple[float, float]:
            across = (math.log10(x) - xs[0]) / (xs[-1] - xs[0])
            up = (math.log10(y) - ys[0]) / (ys[-1] - ys[0])
            return left + MARGIN + across * (WIDTH - MARGIN - 20), HEIGHT - 48 - up * (HEIGHT - 110)

        yield f'<text class="title" x="{left + MARGIN}" y="28">{self.title}</text>'
        for power in xs:
            (x, bottom), (_, top) = place(10.0**power, 10.0 ** ys[0]), place(10.0**power, 10.0 ** ys[-1])
            yield f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{bottom:.1f}" y2="{top:.1f}"/>'
            yield f'<text text-anchor="middle" x="{x:.1f}" y="{bottom + 20:.1f}">{_short(power)}</text>'
        for power in ys:
            (start, y), (end, _) = place(10.0 ** xs[0], 10.0**power), place(10.0 ** xs[-1], 10.0**power)
            yield f'<line class="grid" x1="{start:.1f}" x2="{end:.1f}" y1="{y:.1f}" y2="{y:.1f}"/>'
            yield f'<text text-anchor="end" x="{start - 8:.1f}" y="{y + 4:.1f}">{_short(power)} {self.unit}</text>'
        yield f'<text text-anchor="end" x="{left + WIDTH - 20}" y="{HEIGHT - 8}">files</text>'
        for number, (script, line) in enumerate(self.lines.items()):
            name, color = LINES[script]
            spots = [place(*point) for point in line]
            path = " ".join(f"{x:.1f},{y:.1f}" for x, y in spots)
            yield f'<polyline fill="none" stroke="{color}" stroke-width="2" points="{path}"/>'
            yield from (f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{color}"/>' for x, y in spots)
            x = left + MARGIN + 140 * number
            yield f'<circle cx="{x + 5}" cy="44" r="4" fill="{color}"/><text x="{x + 15}" y="48">{name}</text>'


def svg(runs: Sequence[Run]) -> str:
    """The picture of whole transfers, but for those of one file, which are all start; empty where none is on record."""
    whole = [run for run in runs if run["part"] == "sizes" and "again" not in run and run["files"] > 1]
    panels = [
        Panel("Time of a whole transfer", "s", _lines(whole, "seconds")),
        Panel("Peak memory of the process", "MiB", _lines(whole, "memory")),
    ]
    style = (
        "text{font:12px system-ui,sans-serif;fill:#374151}.title{font-size:15px;font-weight:600;fill:#111827}"
        ".grid{stroke:#e5e7eb}"
    )
    width = WIDTH * len(panels)
    body = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {HEIGHT}" width="{width}" height="{HEIGHT}">'
    ]
    body += [f"<style>{style}</style>"]
    body += [f'<rect width="{width}" height="{HEIGHT}" fill="#fff"/>']
    for number, panel in enumerate(panels if whole else ()):
        body += panel.svg(number * WIDTH)
    return "\n".join([*body, "</svg>\n"])


def _lines(runs: Sequence[Run], what: str) -> dict[str, Points]:
    """Medians by the number of files, for each contestant."""
    values: dict[str, dict[int, list[float]]] = defaultdict(lambda: defaultdict(list))
    for run in runs:
        values[run["script"]][run["files"]].append(run[what])
    return {
        script: [(files, statistics.median(found)) for files, found in sorted(values[script].items())]
        for script in LINES
        if script in values
    }


def _decades(values: Sequence[float]) -> range:
    """The powers of ten from below the least value to above the greatest; two at least."""
    low = math.floor(math.log10(min(values)))
    return range(low, max(math.ceil(math.log10(max(values))), low + 1) + 1)


def _short(power: int) -> str:
    """A power of ten as people write it."""
    thousands, rest = divmod(power, 3)
    number = 10**rest if power >= 0 else 10.0**power
    return f"{number:g}{('', ' k', ' M', ' G')[thousands]}" if power >= 0 else f"{number:g}"
