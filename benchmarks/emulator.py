"""How fast the emulator is: against `cp -r` in moving files, and against its own parts in the rest.

Moving is timed from the submission until a client that polls every 10 ms sees SUCCEEDED. The emulator and `cp` take
turns in one run, in one process group, on one file system, each time into a folder that did not exist; each round gives
a ratio. Then requests and tasks are taken apart: how much of the time goes to the system, to SQLite, to JSON, to us.

    python benchmarks/emulator.py                  # about two minutes, 9 GiB of disk
    python benchmarks/emulator.py --rounds 3 --gib 0.5
    python benchmarks/emulator.py --only listing
"""

from __future__ import annotations

import argparse
import cProfile
import json
import os
import pstats
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import globus_sdk
import orjson
import requests

from prefect_globus.emulator.collections.folder import Folder
from prefect_globus.emulator.collections.model import CollectionSpec
from prefect_globus.emulator.collections.opening import open_storage
from prefect_globus.emulator.collections.storage import Storage
from prefect_globus.emulator.database import Database
from prefect_globus.emulator.queries import ordered
from prefect_globus.emulator.tasks.interference import Interference
from prefect_globus.emulator.tasks.model import Policy, Submission, Task
from prefect_globus.emulator.tasks.mover import Control
from prefect_globus.emulator.tasks.store import TaskStore
from prefect_globus.emulator.tasks.submission import read_transfer
from prefect_globus.emulator.tasks.transferring import TransferRound
from prefect_globus.emulator.transfer.file_documents import file_documents
from prefect_globus.emulator.transfer.operations import FILE_ORDERS

SMALL_FILES, SMALL_DIRECTORIES, SMALL_SIZE = 5_000, 50, 1024
ENTRIES = 100_000
ITEMS = 100_000
POLL_SECONDS = 0.01
SCOPE = "urn:globus:auth:scope:transfer.api.globus.org:all"
TREE = "synthetic:files=1000000,dirs=1000,size=1MiB"
WORK_PARTS = {  # by what is in the name of a built-in function
    "system calls": "built-in method posix.",
    "SQLite": "sqlite3.",
    "waiting for what copies": "_io.BufferedReader",
}
SETTLE_SECONDS = 6  # ext4 looks hard for an inode that was not freed in the last five seconds


T = TypeVar("T")


class Client(NamedTuple):
    """A client of a running emulator."""

    url: str
    collections: dict[str, str]
    sdk: globus_sdk.TransferClient
    http: requests.Session


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    arguments.add_argument("--rounds", type=int, default=5)
    arguments.add_argument("--gib", type=float, default=2.0, help="size of the large file")
    arguments.add_argument("--only", choices=["moving", "listing", "submitting", "records"])
    arguments.add_argument("--folder", type=Path, help="where to work; default: the folder for temporary files")
    given = arguments.parse_args()
    parts: dict[str, Callable[[Path], None]] = {
        "moving": lambda home: moving(home, given.rounds, round(given.gib * 1024**3)),
        "listing": listing,
        "submitting": submitting,
        "records": records,
    }
    for name, part in parts.items():
        if given.only in (None, name):
            with tempfile.TemporaryDirectory(prefix="globus-emulator-bench-", dir=given.folder) as folder:
                part(Path(folder))


@contextmanager
def serving(home: Path, **collections: str | Path) -> Iterator[Client]:
    """Run an emulator in our own process group, so that the system shares its time among equals."""
    command = [sys.executable, "-P", "-m", "prefect_globus.emulator", "serve", "--port", "0"]
    command += ["--state", str(home / "state"), "--until-stdin-closes"]
    command += [f"--collection={name}={content}" for name, content in collections.items()]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        url = process.stdout.readline().split()[-1]
        found = {line.split()[0]: line.split()[1] for line in (process.stdout.readline() for _ in collections)}
        login = globus_sdk.ConfidentialAppAuthClient(str(uuid.uuid4()), "secret", base_url=url)
        authorizer = globus_sdk.ClientCredentialsAuthorizer(login, SCOPE)
        http = requests.Session()
        http.headers["Authorization"] = str(authorizer.get_authorization_header())
        yield Client(url, found, globus_sdk.TransferClient(authorizer=authorizer, base_url=url), http)
        process.stdin.close()


def moving(home: Path, rounds: int, size: int) -> None:
    """Compare moving with `cp -r`."""
    (home / "source").mkdir()
    (home / "destination").mkdir()
    make_tree(home / "source/small", SMALL_FILES, SMALL_DIRECTORIES, os.urandom(SMALL_SIZE))
    make_file(home / "source/large/file", size)
    print(f"{'moving, best of each':30}{'cp -r':>9}{'emulator':>10}{'ratio':>7}   median and spread of {rounds} rounds")
    with serving(home, source=home / "source", destination=home / "destination") as client:
        for name, text in [
            ("small", f"{SMALL_FILES:,} files of {SMALL_SIZE:,} bytes"),
            ("large", f"1 file of {size / 1024**3:.2f} GiB"),
        ]:
            os.sync()
            time.sleep(SETTLE_SECONDS)
            compare(text, home, client, name, rounds)


def compare(text: str, home: Path, client: Client, name: str, rounds: int) -> None:
    pairs = []
    for number in range(rounds):
        contestants = [
            lambda: copy(home / "source" / name, home / "destination" / f"{name}-cp-{number}"),  # noqa: B023 -- called at once
            lambda: transfer(client, f"/{name}", f"/{name}-emulator-{number}"),  # noqa: B023
        ]
        turns = (0, 1) if number % 2 == 0 else (1, 0)
        seconds = {turn: timed(contestants[turn]) for turn in turns}
        pairs.append((seconds[0], seconds[1]))
        if name == "large":  # small ones stay until the end: to remove them would slow down whoever comes next
            for left in (home / "destination").iterdir():
                shutil.rmtree(left)
    ratios = [ours / theirs for theirs, ours in pairs]
    theirs, ours = (min(column) for column in zip(*pairs, strict=True))  # a noisy machine only ever adds to a time
    spread = f"{statistics.median(ratios):.2f}, {min(ratios):.2f} to {max(ratios):.2f}"
    print(f"{text:30}{theirs:8.3f}s{ours:9.3f}s{ours / theirs:7.2f}   {spread}")


def timed(run: Callable[[], object]) -> float:
    os.sync()
    began = time.perf_counter()
    run()
    return time.perf_counter() - began


def copy(source: Path, destination: Path) -> None:
    subprocess.run(["cp", "-r", str(source), str(destination)], check=True)


def transfer(client: Client, source: str, destination: str) -> None:
    data = globus_sdk.TransferData(client.collections["source"], client.collections["destination"])
    data.add_item(source, destination)
    task_id = client.sdk.submit_transfer(data)["task_id"]
    while (task := client.sdk.get_task(task_id))["status"] == "ACTIVE":
        time.sleep(POLL_SECONDS)
    if task["status"] != "SUCCEEDED":
        sys.exit(f"the transfer ended as {task['status']}: nothing to compare")


def make_tree(folder: Path, files: int, directories: int, content: bytes) -> None:
    for number in range(directories):
        (folder / f"{number:05}").mkdir(parents=True)
    for number in range(files):
        (folder / f"{number % directories:05}" / f"{number:08}").write_bytes(content)


def make_file(path: Path, size: int) -> None:
    path.parent.mkdir()
    block = os.urandom(1024**2)
    with path.open("wb") as file:
        for _ in range(size // len(block)):
            file.write(block)


def listing(home: Path) -> None:
    """Take `ls` apart: of one large directory, and of a synthetic tree of a million files."""
    (home / "large").mkdir()
    for number in range(ENTRIES):
        os.close(os.open(home / "large" / f"file-{number:06}.dat", os.O_CREAT | os.O_WRONLY))
    with serving(home, large=home / "large", tree=TREE) as client:
        show_listing(f"ls of {ENTRIES:,} files", Folder(str(home / "large")), [()], client, "large")
        tree = open_storage(CollectionSpec("tree", "", TREE))
        directories = [(child.name,) for child in tree.children(())]
        show_listing("walk of 1,000,000 synthetic files", tree, directories, client, "tree")


def show_listing(
    text: str, storage: Storage, directories: Sequence[tuple[str, ...]], client: Client, name: str
) -> None:
    """Print the parts of a listing; the rest of the request is HTTP: the server's, the network's and the client's."""
    watch = Stopwatch()
    for parts in directories:
        if isinstance(storage, Folder):
            watch.add("scandir and stat alone", partial(scan_only, storage, parts))
        entries = watch.add("our scan", partial(storage.scan, parts))
        entries = watch.add("sort", partial(ordered, entries, "name", FILE_ORDERS))
        documents = watch.add("documents as JSON", partial(file_documents, entries))
        watch.add("documents as JSON", partial(orjson.dumps, {"DATA": documents}))
    watch.seconds["our scan"] -= watch.seconds.get("scandir and stat alone", 0.0)
    inside = watch.total
    began = time.perf_counter()
    for parts in directories:
        url = f"{client.url}/v0.10/operation/endpoint/{client.collections[name]}/ls?path=/{'/'.join(parts)}"
        content = client.http.get(url).content
        watch.add("client: json.loads", partial(json.loads, content))
    whole = time.perf_counter() - began
    watch.seconds["HTTP, both sides"] = whole - inside - watch.seconds["client: json.loads"]
    watch.show(text, whole)


def scan_only(storage: Folder, parts: tuple[str, ...]) -> None:
    with storage.directory(parts) as directory, os.scandir(directory) as found:
        for entry in found:
            entry.stat(follow_symlinks=False)


def submitting(home: Path) -> None:
    """Take a submission of many items apart."""
    watch = Stopwatch()
    body = transfer_body(
        [(f"/source/directory/file-{number:06}", f"/there/file-{number:06}") for number in range(ITEMS)]
    )
    raw = json.dumps(body).encode()
    with closing(Database(home / "parts")) as database:
        document = watch.add("JSON", lambda: orjson.loads(raw))
        submission = watch.add("check of each item", lambda: read_transfer(document))
        watch.add("SQLite: claims and work", lambda: add(TaskStore(database), submission))
    inside = watch.total
    with serving(home, source=TREE) as client:
        fresh = {"submission_id": str(uuid.uuid4())} | dict.fromkeys(
            ("source_endpoint", "destination_endpoint"), client.collections["source"]
        )
        raw = json.dumps(body | fresh).encode()
        began = time.perf_counter()
        client.http.post(f"{client.url}/v0.10/transfer", data=raw).raise_for_status()
        whole = time.perf_counter() - began
    watch.seconds["HTTP, both sides"] = whole - inside
    watch.show(f"POST of {ITEMS:,} items", whole)


def records(home: Path) -> None:
    """Take the work of a task apart: a folder to a folder, and a synthetic tree to one that swallows."""
    make_tree(home / "small", SMALL_FILES, SMALL_DIRECTORIES, os.urandom(SMALL_SIZE))
    (home / "there").mkdir()
    os.sync()
    time.sleep(SETTLE_SECONDS)
    shape, sink = "synthetic:files=100000,dirs=100,size=1MiB", "synthetic:files=0"
    show_work(f"a task of {SMALL_FILES:,} small files", home, str(home / "small"), str(home / "there"))
    show_work("a task of 100,000 synthetic files", home, shape, sink)


def show_work(text: str, home: Path, source: str, destination: str) -> None:
    storages = [open_storage(CollectionSpec("", "", content)) for content in (source, destination)]
    whole = min(work(home, storages)[0] for _ in range(2))
    _, profile = work(home, storages, cProfile.Profile())
    watch = Stopwatch()
    for (_, _, function), (_, _, seconds, _, _) in pstats.Stats(profile).stats.items():  # type: ignore[attr-defined]
        for name, mark in WORK_PARTS.items():
            if mark in function:
                watch.seconds[name] = watch.seconds.get(name, 0.0) + seconds
    watch.seconds["our Python"] = whole - watch.total
    watch.show(text, whole)


def work(home: Path, storages: Sequence[Storage], profile: cProfile.Profile | None = None) -> tuple[float, Any]:
    """Work on one task in this process; return its seconds."""
    with closing(Database(home / f"work-{uuid.uuid4()}")) as database:
        store = TaskStore(database)
        task = add(store, read_transfer(transfer_body([("/", f"/{uuid.uuid4()}")])))
        control = Control(Policy(), task.expires_at, deadline_fixed=True)
        source, destination = storages
        one = TransferRound(store, task, source, destination, control, Interference())
        began = time.perf_counter()
        if profile is not None:
            profile.runcall(one.run)
        else:
            one.run()
        return time.perf_counter() - began, profile


def add(store: TaskStore, submission: Submission) -> Task:
    now = time.time()
    return store.add(str(uuid.uuid4()), submission, now=now, deadline=now + 86400, expires_at=now + 86400)


def transfer_body(items: list[tuple[str, str]]) -> dict[str, Any]:
    return {
        "DATA_TYPE": "transfer",
        "submission_id": str(uuid.uuid4()),
        "source_endpoint": str(uuid.uuid4()),
        "destination_endpoint": str(uuid.uuid4()),
        "DATA": [
            {"DATA_TYPE": "transfer_item", "source_path": source, "destination_path": destination}
            for source, destination in items
        ],
    }


class Stopwatch:
    """Seconds by part."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @property
    def total(self) -> float:
        return sum(self.seconds.values())

    def add(self, part: str, run: Callable[[], T]) -> T:
        began = time.perf_counter()
        result = run()
        self.seconds[part] = self.seconds.get(part, 0.0) + time.perf_counter() - began
        return result

    def show(self, text: str, whole: float) -> None:
        print(f"\n{text}: {whole:.2f} s")
        for part, seconds in self.seconds.items():
            print(f"    {part:30}{seconds:8.3f} s {seconds / whole:7.0%}")


if __name__ == "__main__":
    main()
