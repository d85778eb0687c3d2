"""A model of a transfer: what bounds its time, for trees that no machine here can try.

A discrete simulation. Directories are listed in order with a bounded look-ahead, cut into batches, submitted, moved by
a few tasks at once, and accounted for by the record of each task. Three things are scarce: requests (a limit a second,
and latency), the client's processor, and the service's. What is measured on one machine is put into it by
`scale.py --only model`, which also shows how far it is off; here it is asked about Globus:

    python benchmarks/model.py build/scale/record.json
"""

from __future__ import annotations

import argparse
import heapq
import random
import sys
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import count, product
from pathlib import Path
from typing import Any

from figures import Record, markdown

MIN_BATCH, MAX_BATCH, BATCH_SHARE = 100, 20_000, 50  # as `prefect_globus.transfers.batching` cuts
FIRST_LOOK, LOOK_GROWTH = 0.2, 1.5  # as a task is watched
# What is assumed of Globus. Its limits are 20 requests a second and 3 tasks at work; the others are guesses.
GLOBUS: Mapping[str, Any] = {"latency": 0.1, "per_second": 20.0, "an_entry": 0.0, "a_task": 10.0, "failing": 0.01}


@dataclass(frozen=True)
class Client:
    """What the driver of a transfer takes, in seconds of one processor.

    Args:
        start: of a transfer, whatever its size.
        an_entry: to list an entry and write it down.
        a_batch: for a batch, whatever its size.
        an_item: to submit an item and account for it.
        look_ahead: directories that are listed at once.
        concurrency: batches in flight.
        poll_interval: longest time between two looks at a task.
        batch_size: items of a batch; None has it grow with the tree.
    """

    start: float
    an_entry: float
    a_batch: float
    an_item: float
    look_ahead: int = 16
    concurrency: int = 6
    poll_interval: float = 10.0
    batch_size: int | None = None


@dataclass(frozen=True)
class Service:
    """What Globus, or what stands for it, takes.

    Args:
        latency: seconds of each request.
        per_second: requests allowed; None for no limit.
        an_entry: seconds of its one processor to list an entry; 0 for a service that has enough of them.
        a_file: seconds of a task to move a file.
        a_task: seconds that a task takes besides.
        tasks: at work at once.
        page: rows of a task's record in one answer.
        failing: the share of tasks that fail half-way, and are tried again.
        retry_delay: seconds until then.
        shared: whether listing and moving share one processor, as they do in the emulator.
    """

    latency: float
    per_second: float | None
    an_entry: float
    a_file: float
    a_task: float = 0.0
    tasks: int = 3
    page: int = 1000
    failing: float = 0.0
    retry_delay: float = 30.0
    shared: bool = False


@dataclass(frozen=True)
class Outcome:
    """What a simulated transfer took.

    Attributes:
        seconds: in all.
        busy: how much of that each scarce thing was used.
        requests: made.
        batches: cut.
    """

    seconds: float
    busy: dict[str, float]
    requests: int
    batches: int

    @property
    def bound(self) -> str:
        """What was used most."""
        return max(self.busy, key=lambda name: self.busy[name])


class Scarce:
    """Something of which there are a few, each serving one after the other, first come, first served."""

    def __init__(self, places: int) -> None:
        self._free = [0.0] * places
        self.used = 0.0

    def serve(self, now: float, seconds: float) -> float:
        """When it is done with something that takes so long."""
        end = max(now, heapq.heappop(self._free)) + seconds
        heapq.heappush(self._free, end)
        self.used += seconds
        return end


Process = Iterator[float]
"""Says when it goes on."""


class Simulation:
    """One transfer of ``files`` files, ``each`` in a directory."""

    def __init__(self, files: int, each: int, client: Client, service: Service) -> None:
        self._client, self._service = client, service
        self._files, self._each, self._directories = files, each, -(-files // each)
        self._processor, self._gate = Scarce(1), Scarce(1)
        self._tasks = Scarce(1 if service.shared else service.tasks)
        self._lister = self._tasks if service.shared else Scarce(client.look_ahead)
        self._arrived: set[int] = set()  # directories that were listed before their turn
        self._turn, self._walking = 0, False
        self._cut, self._uncut, self._batches, self._requests = 0, 0, 0, 0
        self._waiting: deque[int] = deque()
        self._in_flight = 0
        self._now = client.start
        self._events: list[tuple[float, int, Process]] = []
        self._numbers = count()
        self._chance = random.Random(0)

    def run(self) -> Outcome:
        for directory in range(self._client.look_ahead):
            self._list(directory)
        while self._events:
            self._now, _, process = heapq.heappop(self._events)
            self._go_on(process)
        allowed = self._service.per_second
        busy = {
            "requests": self._requests / (allowed * self._now) if allowed else 0.0,
            "client": self._processor.used / self._now,
            "service": self._tasks.used / self._now / (1 if self._service.shared else self._service.tasks),
        }
        return Outcome(self._now, busy, self._requests, self._batches)

    def _go_on(self, process: Process) -> None:
        at = next(process, None)
        if at is not None:
            heapq.heappush(self._events, (at, next(self._numbers), process))

    def _request(self) -> float:
        """When a request that is made now is answered."""
        self._requests += 1
        allowed = self._service.per_second
        return (self._gate.serve(self._now, 1 / allowed) if allowed else self._now) + self._service.latency

    def _list(self, directory: int) -> None:
        if directory < self._directories:
            self._go_on(self._listing(directory))

    def _listing(self, directory: int) -> Process:
        yield self._request()
        yield self._lister.serve(self._now, self._entries(directory) * self._service.an_entry)
        self._arrived.add(directory)
        if not self._walking:
            yield from self._walk()

    def _walk(self) -> Process:
        """Take over what was listed, in order; each directory makes room for another in the look-ahead."""
        self._walking = True
        while self._turn in self._arrived:
            self._arrived.remove(self._turn)
            entries = self._entries(self._turn)
            yield self._processor.serve(self._now, entries * self._client.an_entry)
            self._list(self._turn + self._client.look_ahead)
            self._turn += 1
            self._take(entries)
        self._walking = False

    def _entries(self, directory: int) -> int:
        return min(self._each, self._files - directory * self._each)

    def _take(self, entries: int) -> None:
        """Cut what was scanned into batches, and begin those that may be."""
        self._uncut += entries
        while self._uncut >= self._size:
            self._cut_off(self._size)
        if self._uncut and self._turn == self._directories:
            self._cut_off(self._uncut)
        self._begin()

    @property
    def _size(self) -> int:
        return self._client.batch_size or min(MAX_BATCH, max(MIN_BATCH, self._cut // BATCH_SHARE))

    def _cut_off(self, items: int) -> None:
        self._waiting.append(items)
        self._batches += 1
        self._cut += items
        self._uncut -= items

    def _begin(self) -> None:
        while self._waiting and self._in_flight < self._client.concurrency:
            self._in_flight += 1
            self._go_on(self._batch(self._waiting.popleft()))

    def _batch(self, items: int) -> Process:
        client, service = self._client, self._service
        yield self._processor.serve(self._now, client.a_batch)
        while items:
            moved = -(-items // 2) if self._chance.random() < service.failing else items
            yield self._processor.serve(self._now, items * client.an_item / 2)
            for _ in ("submission id", "submission"):
                yield self._request()
            yield self._seen(self._tasks.serve(self._now, service.a_task + moved * service.a_file))
            pages = -(-moved // service.page) if moved < items else 0  # its record tells what of it was moved
            for _ in range(1 + pages):
                yield self._request()
            yield self._processor.serve(self._now, moved * client.an_item / 2)
            items -= moved
            if items:
                yield self._now + service.retry_delay
        self._in_flight -= 1
        self._begin()

    def _seen(self, end: float) -> float:
        """When a look finds that a task has ended which was submitted now and ends then."""
        look, wait = self._now, FIRST_LOOK
        while look < end:
            look += wait
            wait = min(wait * LOOK_GROWTH, self._client.poll_interval)
        return look


def table(client: Client, files: int) -> list[list[str]]:
    """Transfers with Globus as it is assumed to be: by its speed, the shape of the tree and the size of batches."""
    rows = [["files a second of a task", "of a directory", "of a batch", "time", "tasks", "requests", "bound by"]]
    for rate, each, size in product((30, 300, 3000), (1000, 100), (None, 100_000)):
        globus = Service(a_file=1 / rate, **GLOBUS)
        found = Simulation(files, each, replace(client, batch_size=size), globus).run()
        asked = [f"{rate:,}", f"{each:,}", f"{size or MAX_BATCH:,}"]
        bound = f"{found.bound}, {found.busy[found.bound]:.0%}"
        time = f"{found.seconds / 3600:,.1f} h"
        rows.append([*asked, time, f"{found.batches:,}", f"{found.requests:,}", bound])
    return rows


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    arguments.add_argument("record", type=Path, help="in which `scale.py --only model` has put what it measured")
    arguments.add_argument("--files", type=int, default=100_000_000)
    given = arguments.parse_args()
    part = Record.at(given.record).parts.get("model")
    if part is None or "client" not in part.facts:
        sys.exit(f"{given.record} does not have the part `model`: run benchmarks/scale.py --only model")
    print(markdown(table(Client(**part.facts["client"] | {"poll_interval": 10.0}), given.files)))


if __name__ == "__main__":
    main()
