"""The model against the benchmark: what is measured of small transfers predicts larger ones."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from statistics import median

from arena import FLOW, Arena, Run
from figures import Figure, Part
from given import Given
from model import Client, Service, Simulation

PER_DIRECTORY = 1000
BATCHES = 100


def model(arena: Arena, given: Given, part: Part) -> None:
    """Measure the parts of a transfer, and predict the whole ones that the part `sizes` has on record."""
    whole = [] if given.record is None else [run for run in given.record.runs if run["part"] == "sizes"]
    flows = [run for run in whole if run["script"] == FLOW and "again" not in run]
    if not flows:
        raise ValueError("there are no whole transfers on record: run the part `sizes` first")
    client, service = _measured(arena, given, part)
    part.facts |= {"client": asdict(client), "service": asdict(service)}
    for files in sorted({run["files"] for run in flows} - {1}):
        taken = [run["seconds"] for run in flows if run["files"] == files]
        predicted = Simulation(files, PER_DIRECTORY, client, service).run()
        note = f"{predicted.seconds:.1f} s predicted, {median(taken):.1f} s measured; bound by the {predicted.bound}"
        ratios = [predicted.seconds / seconds for seconds in taken]
        part.add(Figure(f"the model: {files:,} files, predicted / measured", ratios, note=note))


def _measured(arena: Arena, given: Given, part: Part) -> tuple[Client, Service]:
    """What one more entry, batch and item takes of the client's processor and of the emulator's."""
    files = given.files // 10
    shape = f"synthetic:files={files},dirs={-(-files // PER_DIRECTORY)},size=1MiB"
    small = "synthetic:files=1,dirs=1,size=1MiB"
    single = json.dumps({"batch_size": 1})

    def run(shape: str, *arguments: str) -> list[Run]:
        found = []
        for _ in range(given.rounds):
            with arena.field(shape) as field:
                found.append(part.keep(files, field.run(FLOW, *arguments)))
        return found

    one, none_listed, listed, whole = run(small), run(small, "--list"), run(shape, "--list"), run(shape)
    many = run(f"synthetic:files={BATCHES},dirs=1,size=1MiB", "--options", single)
    batches = whole[0].facts["batches_total"]

    def each(what: Callable[[Run], float]) -> tuple[float, float, float]:
        """Of an entry, a batch and an item."""
        cost = {name: median(map(what, runs)) for name, runs in _named(one, none_listed, listed, whole, many).items()}
        entry = max(0.0, cost["listed"] - cost["none listed"]) / files
        batch = max(0.0, cost["many"] - cost["one"]) / (BATCHES - 1)
        item = max(0.0, cost["whole"] - cost["one"] - batches * batch) / files - entry
        return entry, batch, max(0.0, item)

    an_entry, a_batch, an_item = each(lambda run: run.cpu)
    listing, task, moving = each(lambda run: run.service)
    client = Client(median(run.seconds for run in one), an_entry, a_batch, an_item, poll_interval=0.5)
    return client, Service(0.0, None, listing, moving, task, shared=True)


def _named(*runs: list[Run]) -> dict[str, list[Run]]:
    return dict(zip(("one", "none listed", "listed", "whole", "many"), runs, strict=True))
