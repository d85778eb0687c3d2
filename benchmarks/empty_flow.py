"""A Prefect flow of empty tasks with the settings that our batches have: what is Prefect's own in a transfer."""

from __future__ import annotations

import sys
from threading import Semaphore
from typing import Any

from contestant import contend
from prefect import flow, task
from prefect.cache_policies import CacheKeyFnPolicy


@task(
    task_run_name="batch {number}",
    cache_policy=CacheKeyFnPolicy(cache_key_fn=lambda context, _: str(context.task_run.id)),
    persist_result=True,
    retries=3,
)
def nothing(number: int) -> int:
    return number


@flow
def empty(tasks: int, concurrency: int) -> None:
    places = Semaphore(concurrency)
    futures = []
    for number in range(tasks):
        places.acquire()
        futures.append(nothing.submit(number))
        futures[-1].add_done_callback(lambda _: places.release())
    for future in futures:
        future.wait()


def main() -> None:
    tasks, concurrency = (int(argument) for argument in sys.argv[1:])

    def run() -> dict[str, Any]:
        empty(tasks, concurrency)
        return {"tasks": tasks}

    contend(run)


if __name__ == "__main__":
    main()
