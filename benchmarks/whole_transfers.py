"""Whole transfers of many sizes and shapes: time, memory and checkpoint against a bare script."""

from __future__ import annotations

import statistics
from collections.abc import Iterator

from arena import BARE, FLOW, Arena, Field, Run
from figures import Figure, Part
from given import Given

PER_DIRECTORY = 1000
MEMORY_MIB = 300.0
SHAPES = {  # where `--files` says a million: of some hundred thousand, in one directory or in thousands
    "flat": "synthetic:files={most}",
    "deep": "synthetic:files={files},dirs={hundreds},depth=10",
    "skewed": "synthetic:files={files},dirs={hundreds},largest={largest}",
    "many directories": "synthetic:files={files},dirs={tens}",
}


def sizes(arena: Arena, given: Given, part: Part) -> None:
    """Transfers of ever more files, without latency."""
    one = [_pair(arena, 1, part) for _ in range(given.rounds)]
    pairs = {files: list(_rounds(arena, files, given, part)) for files in given.sizes}
    start = statistics.median(flow.seconds for _, flow in one)
    part.add(Figure("fixed start: the flow with one file", [flow.seconds for _, flow in one], "s"))
    for files, rounds in pairs.items():
        target = 1.3 if files == given.files else None
        ratios = [flow.seconds / bare.seconds for bare, flow in rounds]
        note = f"bare script {statistics.median(bare.seconds for bare, _ in rounds):.1f} s"
        part.add(Figure(f"{files:,} files: whole transfer / bare script", ratios, target=target, note=note))
    memory = {files: [flow.memory for _, flow in rounds] for files, rounds in pairs.items()}
    part.add(Figure(f"{given.files:,} files: peak memory", memory[given.files], "MiB", MEMORY_MIB))
    if given.huge:
        more = [peak / statistics.median(memory[given.files]) for peak in memory[given.sizes[-1]]]
        part.add(Figure(f"{given.sizes[-1]:,} files: peak memory / that of {given.files:,}", more, target=1.2))
    _linearity(pairs, start, part)


def _rounds(arena: Arena, files: int, given: Given, part: Part) -> Iterator[tuple[Run, Run]]:
    for number in range(1 if files > given.files else given.rounds):
        last = files == given.files and number == 0
        yield _pair(arena, files, part, again=last)


def _pair(arena: Arena, files: int, part: Part, *, again: bool = False) -> tuple[Run, Run]:
    """The bare script and the flow in turn; with ``again``, the flow twice."""
    shape = f"synthetic:files={files},dirs={-(-files // PER_DIRECTORY)},size=1MiB"
    with arena.field(shape) as field:
        bare = part.keep(files, field.run(BARE))
    with arena.field(shape) as field:
        flow = part.keep(files, field.run(FLOW, "--id", "whole"), checkpoint=sum(field.checkpoint_bytes))
        _check(flow, files)
        if again:
            _at_rest(field, files, part)
    return bare, flow


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


def _linearity(pairs: dict[int, list[tuple[Run, Run]]], start: float, part: Part) -> None:
    """How the time an item changes with the number of files, the fixed start left out."""
    an_item = {
        files: statistics.median((flow.seconds - start) / files for _, flow in rounds)
        for files, rounds in pairs.items()
    }
    for files, seconds in an_item.items():
        part.add(Figure(f"{files:,} files: an item, beyond the fixed start", [seconds * 1e6], "us"))
    _, first, *more = list(an_item)
    for files in more:
        apart = max(an_item[files], an_item[first]) / min(an_item[files], an_item[first])
        if apart < 1:
            raise ValueError("the start takes longer than the transfers: take more files")
        part.add(Figure(f"linear: an item of {files:,} against one of {first:,}", [apart], target=1.15))


def trees(arena: Arena, given: Given, part: Part) -> None:
    """Transfers of trees of other shapes, with and without latency."""
    counts = {"files": given.files // 20, "most": given.files // 10, "largest": given.files // 11}
    counts |= {"hundreds": max(1, given.files // 2000), "tens": max(1, given.files // 200)}
    for name, text in SHAPES.items():
        shape = text.format(**counts) + ",size=1MiB"
        for latency in (0, given.latency):
            with arena.field(shape, latency=latency) as field:
                flow = field.run(FLOW)
            files = flow.facts["items_transferred"]
            part.keep(files, flow, shape=name, latency=latency)
            with arena.field(shape, latency=latency) as field:
                bare = part.keep(files, field.run(BARE), shape=name, latency=latency)
            note = f"bare script {bare.seconds:.1f} s for {files:,} files with {flow.requests['ls']:,} ls"
            ratio = [flow.seconds / bare.seconds]
            part.add(Figure(f"{name} tree at {latency} ms: whole transfer / bare script", ratio, note=note))
