"""What one writes without us: list, submit, poll, with globus-sdk alone. No checkpoint, no Prefect, no resume."""

from __future__ import annotations

import argparse
import os
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import Any

import globus_sdk
from contestant import contend


def main() -> None:
    """Move one location to another."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("source")
    arguments.add_argument("destination")
    arguments.add_argument("--list", action="store_true", help="only list the source")
    arguments.add_argument("--items", type=int, help="of one task; by default one task has all")
    arguments.add_argument("--concurrency", type=int, default=1, help="tasks at once")
    given = arguments.parse_args()
    contend(lambda: run(given))


def run(given: argparse.Namespace) -> dict[str, Any]:
    source, destination = given.source.split(":", 1), given.destination.split(":", 1)
    files = listed(logged_in(), *source)
    if given.list:
        return {"files": sum(1 for _ in files)}
    if given.items is None:
        return {"status": moved(logged_in(), source, destination, files)}
    own = threading.local()  # a session is for one thread

    def move(batch: list[str]) -> str:
        own.client = getattr(own, "client", None) or logged_in()
        return moved(own.client, source, destination, iter(batch))

    batches = iter(lambda: list(islice(files, given.items)), [])
    with ThreadPoolExecutor(given.concurrency) as pool:
        return {"status": " ".join(sorted(set(pool.map(move, batches))))}


def logged_in() -> globus_sdk.TransferClient:
    login = globus_sdk.ConfidentialAppAuthClient("6b9a7bd2-1c4e-4f0b-9d38-2f3f36f0b9a1", os.urandom(8).hex())
    authorizer = globus_sdk.ClientCredentialsAuthorizer(login, globus_sdk.TransferClient.scopes.all)
    return globus_sdk.TransferClient(authorizer=authorizer)


def listed(client: globus_sdk.TransferClient, collection: str, top: str) -> Iterator[str]:
    waiting = [""]
    while waiting:
        folder = waiting.pop()
        for entry in client.operation_ls(collection, path=f"{top}{folder}"):
            path = f"{folder}{entry['name']}"
            if entry["type"] == "dir":
                waiting.append(f"{path}/")
            else:
                yield path


def moved(client: globus_sdk.TransferClient, source: list[str], destination: list[str], files: Iterator[str]) -> str:
    data = globus_sdk.TransferData(source[0], destination[0], verify_checksum=True)
    for path in files:
        data.add_item(f"{source[1]}{path}", f"{destination[1]}{path}")
    task = client.submit_transfer(data)["task_id"]
    wait = 0.2
    while (status := client.get_task(task)["status"]) == "ACTIVE":
        time.sleep(wait)
        wait = min(wait * 1.5, 0.5)
    return str(status)


if __name__ == "__main__":
    main()
