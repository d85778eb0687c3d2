"""A schedule that is made on the command line, and run by a real worker between the emulator's collections."""

from __future__ import annotations

import json
from pathlib import Path
from uuid import uuid4

import pytest
from click.testing import CliRunner, Result
from prefect.settings import PREFECT_API_URL, temporary_settings

from prefect_globus.cli.main import cli
from prefect_globus.cli.state import State
from support.worker import running_worker, wait_for
from support.world import World, emulator_options, world

__all__ = ["emulator_options", "world"]


def run(*arguments: str) -> Result:
    """A command, called in this process."""
    return CliRunner().invoke(cli, ["schedule", *arguments], obj=State())


def said(*arguments: str) -> str:
    """What a command writes that ends well."""
    done = run(*arguments)
    assert done.exit_code == 0, f"{done.output} {done.exception!r}"
    return done.stdout


def test_a_schedule_runs_once_and_has_ended(world: World, prefect_api: str, tmp_path: Path) -> None:
    """Made twice, as Prefect writes another record then: a worker runs it at once, and it says that it was all."""
    name = f"once-{uuid4().hex[:8]}"
    world.write({"a": "1"})
    world.credentials.save(name)
    world.store.save(name)
    locations = world.location("source"), world.location("destination", "/day-{scheduled:%Y%m%d}")
    how = ["--credentials", name, "--checkpoints", name, "--poll-interval", "0.5"]
    with temporary_settings({PREFECT_API_URL: prefect_api}), running_worker(prefect_api, tmp_path, limit=2) as worker:
        pool = ["--work-pool", worker.pool]
        first = said("create", *locations, "--name", name, "--every", "1h", "--paused", *how, *pool)
        assert "Status:       paused" in first
        made = json.loads(said("create", *locations, "--name", name, "--once", "now", *how, *pool, "--json"))
        assert (made["status"], made["count"], made["words"][:8]) == ("active", 0, "once at ")
        wait_for(lambda: "ended" in said("show", name), what="the end of the schedule")
        wait_for(lambda: "COMPLETED" in said("show", name), what="the end of its transfer")
        shown = said("show", name).splitlines()
        assert shown[1] == "Status:       ended, 1 of 1 runs were made"
        row, last = _rows(said("list"), name)
        assert row.split() == [name, "ended", "once", "1/1", "-"]
        assert last.split()[2] == "COMPLETED"
        refused = run("resume", name)
        assert refused.exit_code == 1  # the exception, which main() explains and turns into status 2
        assert "has ended: 1 of 1 runs were made" in str(refused.exception)
        assert said("delete", name) == f"{name} is deleted\n"
    [copied] = world.destination.glob("day-*/a")
    assert copied.read_text() == "1"


def _rows(table: str, name: str) -> list[str]:
    lines = table.splitlines()
    assert all(len(line) <= 80 for line in lines)
    at = next(number for number, line in enumerate(lines) if line.startswith(name))
    return lines[at : at + 2]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "Say when it runs"),
        (["--every", "1h", "--cron", "0 2 * * *"], "Say when it runs"),
        (["--every", "1h", "--once", "now"], "not both"),
        (["--every", "1h", "--count", "3", "--until", "2030-01-01T00:00:00Z"], "give until or count, not both"),
        (["--every", "1"], "is no stretch of time"),
        (["--every", "1h", "--start", "2030-01-01T00:00:00"], "has no time zone: add its offset"),
        (["--every", "1h", "--start", "tomorrow"], "is no time: write 2026-11-23T02:00:00Z"),
        (["--every", "1h", "--start", "2031-01-01T00:00:00Z", "--until", "2030-01-01T00:00:00Z"], "before it starts"),
        (["--every", "400d"], "interval_seconds"),
        (["--cron", "0 2 * *"], "Invalid cron string"),
        (["--cron", "0 2 * * *", "--count", "3"], "--count goes with --every only"),
        (["--once", "now", "--start", "now"], "--start goes with --every only"),
        (["--every", "1h", "--max-concurrency", "0"], "--max-concurrency"),
    ],
    ids=lambda value: "" if isinstance(value, str) else "-".join(value).replace("--", "")[:40],
)
def test_flags_that_say_no_time_are_refused(arguments: list[str], words: str) -> None:
    """With what to write, and before a server is asked."""
    done = run("create", "source", "destination", "--name", "any", *arguments)
    assert done.exit_code != 0
    assert words in f"{done.output}{done.exception}"
