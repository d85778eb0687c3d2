"""Listing a tree over a network with latency: against a bare script, and against the real globus-cli."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time

from arena import BARE, DESTINATION, FLOW, SOURCE, Arena, ContestantError, Field
from figures import Figure, Part
from given import Given

ALLOWED_RATE = 20  # requests a second; contract, section 10
PACED_DIRECTORIES = 600
CLI_DIRECTORIES, CLI_FILES = 200, 20


def listing(arena: Arena, given: Given, part: Part) -> None:
    """Many directories, each request late. The bare script takes minutes, and so has one round."""
    files = given.directories * 10
    shape = f"synthetic:files={files},dirs={given.directories},depth=2"
    with arena.field(shape, latency=given.latency) as field:
        bare = part.keep(files, field.run(BARE, "--list"), latency=given.latency)
    ours = []
    for _ in range(given.rounds):
        with arena.field(shape, latency=given.latency) as field:
            ours.append(part.keep(files, field.run(FLOW, "--list"), latency=given.latency))
    for run in ours:
        if run.facts["files"] != bare.facts["files"]:
            raise ValueError(f"{run.facts} and {bare.facts}: nothing to compare")
    ratios = [run.seconds / bare.seconds for run in ours]
    note = f"bare script {bare.seconds:.1f} s with {bare.requests['ls']:,} ls; ours {ours[0].requests['ls']:,}"
    name = f"{given.directories:,} directories at {given.latency} ms: listing / bare script"
    part.add(Figure(name, ratios, target=1 / 8, note=note))


def pace(arena: Arena, given: Given, part: Part) -> None:
    """The same where Globus' limit of requests is kept: by us, and by the emulator."""
    directories = min(PACED_DIRECTORIES, given.directories)
    paced = json.dumps({"requests_per_second": ALLOWED_RATE})
    shape = f"synthetic:files={directories},dirs={directories}"
    runs = []
    for _ in range(given.rounds):
        with arena.field(shape, latency=given.latency, requests_per_second=ALLOWED_RATE) as field:
            runs.append(part.keep(directories, field.run(FLOW, "--list", "--credentials", paced), paced=True))
    busiest = [run.busiest for run in runs]
    name = f"{directories} directories with the limiter: requests a second, in the busiest 10 s"
    refused = Figure("the same: requests refused with 429", [run.refused for run in runs], target=0)
    part.add(Figure(name, busiest, target=ALLOWED_RATE), refused)


def cli(arena: Arena, given: Given, part: Part) -> None:
    """The real globus-cli: `ls -r` sleeps a second after every 25 requests, and has a limit of depth."""
    files = CLI_DIRECTORIES * CLI_FILES
    shape, latency = f"synthetic:files={files},dirs={CLI_DIRECTORIES}", given.latency
    times: dict[str, list[float]] = {"globus ls -r": [], "globus transfer -r": [], "bare": [], "list": [], "flow": []}
    for _ in range(given.rounds):
        with arena.field(shape, latency=latency) as field:
            times["globus ls -r"].append(_globus(field, "ls", "-r", "--recursive-depth-limit", "9", f"{SOURCE}:/"))
            times["bare"].append(field.run(BARE, "--list").process)
            times["list"].append(field.run(FLOW, "--list").process)
            times["globus transfer -r"].append(_globus(field, "transfer", "-r", f"{SOURCE}:/", f"{DESTINATION}:/"))
            flow = field.run(FLOW)
            times["flow"].append((flow.first_task or flow.seconds) + flow.process - flow.seconds)
    known = {name: statistics.median(seconds) for name, seconds in times.items()}
    what = f"whole processes, {CLI_DIRECTORIES} directories of {CLI_FILES} files at {latency} ms"
    part.add(
        Figure("globus ls -r", times["globus ls -r"], "s", note=what),
        Figure("bare listing", times["bare"], "s", note=what),
        Figure("our listing: a plan", times["list"], "s", note=what),
        Figure("our listing / globus ls -r", [known["list"] / known["globus ls -r"]]),
        Figure("globus transfer -r, until submitted", times["globus transfer -r"], "s", note="Globus lists later"),
        Figure("our flow, until its first task is submitted", times["flow"], "s", note="listing goes on meanwhile"),
    )


def _globus(field: Field, *arguments: str) -> float:
    """Seconds that a command of globus-cli takes, logged in as a client."""
    login = {"GLOBUS_CLI_CLIENT_ID": "6b9a7bd2-1c4e-4f0b-9d38-2f3f36f0b9a1", "GLOBUS_CLI_CLIENT_SECRET": "any"}
    environment = os.environ | field.emulator.environment() | login
    command, began = [sys.executable, "-m", "globus_cli", *arguments], time.monotonic()
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ContestantError(f"globus {arguments[0]} ended with {done.returncode}: {done.stderr.strip()}")
    return time.monotonic() - began
