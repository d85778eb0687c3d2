"""Whole transfers of many sizes and shapes: time, memory and checkpoint against a bare script."""

from __future__ import annotations

import statistics

from arena import BARE, FLOW, Arena, Field, Run
from figures import Figure, Part
from given import Given

PER_DIRECTORY = 1000
MEMORY_MIB = 300.0
SMALL_DIRECTORIES = "directories of ten"  # so many that the bare script would take hours where there is latency
SHAPES = {  # where `--files` says a million: of some hundred thousand, in one directory or in thousands
    "flat": "synthetic:files={most}",
    "deep": "synthetic:files={files},dirs={hundreds},depth=10",
    "skewed": "synthetic:files={files},dirs={hundreds},largest={largest}",
    "many directories": "synthetic:files={files},dirs={tens}",
    SMALL_DIRECTORIES: "synthetic:files={all},dirs={tenth}",
}


def sizes(arena: Arena, given: Given, part: Part) -> None:
    """Transfers of ever more files, without latency; of the most, the flow alone, and once."""
    start = statistics.median(_flow(arena, 1, part).seconds for _ in range(given.rounds))
    part.add(Figure("fixed start: the flow with one file", [start], "s"))
    flows: dict[int, list[Run]] = {}
    for files in given.sizes:
        if files > given.files:
            flows[files] = [_flow(arena, files, part)]
            continue
        pairs = [_pair(arena, files, part, again=files == given.files and not number) for number in range(given.rounds)]
        flows[files] = [flow for _, flow in pairs]
        target = 1.3 if files == given.files else None
        note = f"bare script {statistics.median(bare.seconds for bare, _ in pairs):.1f} s"
        ratios = [flow.seconds / bare.seconds for bare, flow in pairs]
        part.add(Figure(f"{files:,} files: whole transfer / bare script", ratios, target=target, note=note))
    memory = {files: [flow.memory for flow in runs] for files, runs in flows.items()}
    part.add(Figure(f"{given.files:,} files: peak memory", memory[given.files], "MiB", MEMORY_MIB))
    if given.huge:
        more = [peak / statistics.median(memory[given.files]) for peak in memory[given.sizes[-1]]]
        part.add(Figure(f"{given.sizes[-1]:,} files: peak memory / that of {given.files:,}", more, target=1.2))
    _linearity(flows, start, part)


def _pair(arena: Arena, files: int, part: Part, *, again: bool) -> tuple[Run, Run]:
    """The bare script and the flow in turn; with ``again``, the flow twice."""
    with arena.field(_shape(files)) as field:
        bare = part.keep(files, field.run(BARE))
    return bare, _flow(arena, files, part, again=again)


def _flow(arena: Arena, files: int, part: Part, *, again: bool = False) -> Run:
    with arena.field(_shape(files)) as field:
        flow = part.keep(files, field.run(FLOW, "--id", "whole"), checkpoint=sum(field.checkpoint_bytes))
        _check(flow, files)
        if again:
            _at_rest(field, files, part)
    return flow


def _shape(files: int) -> str:
    return f"synthetic:files={files},dirs={-(-files // PER_DIRECTORY)},size=1MiB"


def _check(flow: Run, files: int) -> None:
    if flow.facts["items_transferred"] != files:
        raise ValueError(f"{flow.facts} of {files:,} files: nothing to compare")


def _at_rest(field: Field, files: int, part: Part) -> None:
    """What is left of a transfer, and what a second run of it takes."""
    size, log = field.checkpoint_bytes
    name, note = f"{files:,} files: checkpoint on disk, an item", f"of which {log / files:.1f} B in SQLite's log"
    part.add(Figure(name, [(size + log) / files], "B", 20, note))
    empty = [field.run("empty_flow.py", 0, 1).seconds for _ in range(3)]
    again = [part.keep(files, field.run(FLOW, "--id", "whole"), again=True) for _ in range(3)]
    beyond = [run.seconds - statistics.median(empty) for run in again]
    note = f"an empty flow takes {statistics.median(empty):.2f} s"
    part.add(Figure(f"{files:,} files, all done: a second run, beyond an empty flow", beyond, "s", 2, note))


def _linearity(flows: dict[int, list[Run]], start: float, part: Part) -> None:
    """How the time an item changes with the number of files, the fixed start left out."""
    an_item = {
        files: statistics.median((flow.seconds - start) / files for flow in runs) for files, runs in flows.items()
    }
    for files, seconds in an_item.items():
        part.add(Figure(f"{files:,} files: an item, beyond the fixed start", [seconds * 1e6], "us"))
    _, first, *more = list(an_item)
    if an_item[first] <= 0:
        print("The start takes longer than the transfers: take more files to see whether time is linear.", flush=True)
        return
    for files in more:
        growth = an_item[files] / an_item[first]
        part.add(Figure(f"linear: an item of {files:,} / one of {first:,}", [growth], target=1.15))


def trees(arena: Arena, given: Given, part: Part) -> None:
    """Transfers of trees of other shapes, with and without latency."""
    counts = {"files": given.files // 20, "most": given.files // 10, "largest": given.files // 11}
    counts |= {"all": given.files, "tenth": max(1, given.files // 10)}
    counts |= {"hundreds": max(1, given.files // 2000), "tens": max(1, given.files // 200)}
    for name, text in SHAPES.items():
        shape = text.format(**counts) + ",size=1MiB"
        for latency in (0,) if name == SMALL_DIRECTORIES else (0, given.latency):
            with arena.field(shape, latency=latency) as field:
                flow = field.run(FLOW)
            files = flow.facts["items_transferred"]
            part.keep(files, flow, shape=name, latency=latency)
            with arena.field(shape, latency=latency) as field:
                bare = part.keep(files, field.run(BARE), shape=name, latency=latency)
            note = f"bare script {bare.seconds:.1f} s for {files:,} files with {flow.requests['ls']:,} ls"
            ratio = [flow.seconds / bare.seconds]
            part.add(Figure(f"{name} tree at {latency} ms: whole transfer / bare script", ratio, note=note))
