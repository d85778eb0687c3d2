"""What a batch costs beside what it moves, and what watching many of them costs."""

from __future__ import annotations

import json
import statistics
import time

from arena import BARE, FLOW, Arena
from figures import Figure, Part
from given import Given

BATCHES, CONCURRENCY = 300, 6
OVERHEAD_MS = 40.0
IN_FLIGHT, INTERVAL_SECONDS, INTERVALS = 100, 5.0, 12
QUEUE_SECONDS = 60.0  # between two questions of how many other tasks the login has, which are no looks
LONG_SECONDS = 600.0  # that a task is at work, by the delay of its file
START_SECONDS = 120.0
POLLS = ("GET /v0.10/task_list", "GET /v0.10/task/{task}")


def overhead(arena: Arena, given: Given, part: Part) -> None:
    """Many batches of one file, against a bare script that submits the same tasks, and against empty Prefect tasks."""
    ours: dict[int, list[float]] = {1: [], BATCHES: []}
    bare: dict[int, list[float]] = {1: [], BATCHES: []}
    empty: dict[int, list[float]] = {1: [], BATCHES: []}
    options = json.dumps({"batch_size": 1, "max_concurrency": CONCURRENCY})
    for _ in range(given.rounds):
        for tasks in (1, BATCHES):
            with arena.field(f"synthetic:files={tasks},dirs=1") as field:
                alike = field.run(BARE, "--items", 1, "--concurrency", CONCURRENCY)
                bare[tasks].append(part.keep(tasks, alike, batches=tasks).seconds)
            with arena.field(f"synthetic:files={tasks},dirs=1") as field:
                ours[tasks].append(part.keep(tasks, field.run(FLOW, "--options", options), batches=tasks).seconds)
                empty[tasks].append(part.keep(tasks, field.run("empty_flow.py", tasks, CONCURRENCY)).seconds)
    each = {name: _each(seconds) for name, seconds in (("ours", ours), ("bare", bare), ("empty", empty))}
    beyond = [one - other for one, other in zip(each["ours"], each["bare"], strict=True)]
    note = f"{BATCHES} batches of one file, {CONCURRENCY} at once; bare script {statistics.median(each['bare']):.0f} ms"
    part.add(
        Figure("a batch, beyond the bare script", beyond, "ms", OVERHEAD_MS, note),
        Figure("of which Prefect's own: an empty task", each["empty"], "ms"),
    )


def _each(seconds: dict[int, list[float]]) -> list[float]:
    """Milliseconds that one more batch takes, of each round."""
    return [(many - one) / (BATCHES - 1) * 1000 for one, many in zip(seconds[1], seconds[BATCHES], strict=True)]


def polling(arena: Arena, given: Given, part: Part) -> None:
    """Requests an interval with 100 tasks in flight, by the emulator's own count."""
    options = {"batch_size": 1, "max_concurrency": IN_FLIGHT, "poll_interval": INTERVAL_SECONDS}
    credentials = {"max_tasks": IN_FLIGHT}
    asked = []
    for _ in range(given.rounds):
        with arena.field(f"synthetic:files={IN_FLIGHT},dirs=1", file_delay=LONG_SECONDS) as field:
            process = field.start(FLOW, "--options", json.dumps(options), "--credentials", json.dumps(credentials))
            try:
                give_up = time.monotonic() + START_SECONDS
                while field.emulator.requests()["POST /v0.10/transfer"] < IN_FLIGHT:
                    if process.poll() is not None or time.monotonic() > give_up:
                        raise RuntimeError(f"not {IN_FLIGHT} tasks in flight: {dict(field.emulator.requests())}")
                    time.sleep(1)
                time.sleep(4 * INTERVAL_SECONDS)  # until the youngest task, too, is looked at as rarely as the others
                before, began = field.emulator.requests(), time.monotonic()
                time.sleep(INTERVALS * INTERVAL_SECONDS)
                made, seconds = field.emulator.requests() - before, time.monotonic() - began
            finally:
                process.kill()
                process.wait()
        looks = sum(made[poll] for poll in POLLS) - round(seconds / QUEUE_SECONDS)
        asked.append(looks / (seconds / INTERVAL_SECONDS))
    name = f"polling {IN_FLIGHT} tasks in flight: requests an interval"
    part.add(Figure(name, asked, target=1.0, note=f"over {INTERVALS} intervals of {INTERVAL_SECONDS:.0f} s"))
