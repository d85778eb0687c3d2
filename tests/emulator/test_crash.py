"""Killed at any moment, and started again: no accepted task is lost, and each file is listed once."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import globus_sdk
import pytest

if TYPE_CHECKING:
    from tests.emulator.conftest import Lab

FILES = 2000


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"


@pytest.mark.parametrize("shape", ["tree", "items"])
@pytest.mark.parametrize("sync_level", [None, 3])
def test_a_killed_transfer_goes_on(make_lab: Callable[..., Lab], shape: str, sync_level: int | None) -> None:
    """Killed several times in the middle, it ends with exact counters and an exact list of what was moved."""
    lab = make_lab(time_scale=100)
    names = [f"t/d{number % 30}/f{number}" for number in range(FILES)]
    for name in names:
        lab.put(name, b"x" * random.randrange(100))
    size = sum((lab.source / name).stat().st_size for name in names)
    data = lab.data(*(["t"] if shape == "tree" else names), sync_level=sync_level)
    task_id = lab.client.submit_transfer(data)["task_id"]
    for _ in range(4):
        time.sleep(random.uniform(0, 0.15))
        lab.emulator.kill()
        lab.emulator.start()
    task = lab.wait(task_id)
    assert (task["status"], task["faults"]) == ("SUCCEEDED", 0)
    assert (task["files"], task["files_transferred"], task["bytes_transferred"]) == (FILES, FILES, size)
    assert task["files_skipped"] == 0
    directories = 31 if shape == "tree" else 0
    assert task["directories"] == directories
    subtasks = FILES + directories if shape == "tree" else 2 * FILES
    assert (task["subtasks_total"], task["subtasks_succeeded"], task["subtasks_pending"]) == (subtasks, subtasks, 0)
    assert sorted(lab.moved(task_id)) == sorted(f"/{name}" for name in names)
    there = [str(path.relative_to(lab.destination)) for path in lab.destination.rglob("*") if path.is_file()]
    assert sorted(there) == sorted(names)
    assert lab.events(task_id).count("STARTED") == 1
    answer = lab.client.submit_transfer(data)
    assert (answer["code"], answer["task_id"]) == ("Duplicate", task_id)


def test_killed_in_the_middle_of_a_file(make_lab: Callable[..., Lab]) -> None:
    """The unfinished part is removed, and the file is moved again."""
    lab = make_lab(rate=1_000_000)
    lab.put("big", os.urandom(1_500_000))
    task_id = lab.submit("big")
    lab.wait(task_id, lambda task: task["bytes_transferred"] > 0)
    assert [path.suffix for path in lab.destination.iterdir()] == [".part"]
    lab.emulator.kill()
    lab.emulator.start()
    task = lab.wait(task_id)
    assert (task["status"], task["bytes_transferred"], task["files"]) == ("SUCCEEDED", 1_500_000, 1)
    assert [path.name for path in lab.destination.iterdir()] == ["big"]
    assert (lab.destination / "big").read_bytes() == (lab.source / "big").read_bytes()


def test_parts_go_even_if_the_source_has_gone(make_lab: Callable[..., Lab]) -> None:
    """What a killed server left is removed although the file can not be moved any more."""
    lab = make_lab(rate=500_000)
    big = lab.put("big", b"x" * 5_000_000)
    task_id = lab.submit("big", skip_source_errors=True)
    lab.wait(task_id, lambda task: task["bytes_transferred"] > 0)
    lab.emulator.kill()
    big.unlink()
    lab.emulator.start()
    lab.wait(task_id, lambda task: task["subtasks_skipped_errors"] == 1)
    assert list(lab.destination.iterdir()) == []


def test_everything_survives_a_restart(make_lab: Callable[..., Lab]) -> None:
    """Tokens, tasks, events, claims and the queue are as they were, and a deadline goes on."""
    lab = make_lab(time_scale=10)
    lab.put("done")
    done = lab.transfer("done")["task_id"]
    stuck = lab.submit("none")
    lab.wait(stuck, lambda task: task["faults"] == 1)
    events = lab.events(done)
    before = lab.emulator.url, lab.emulator.collections, lab.task(done)
    lab.emulator.restart()
    assert (lab.emulator.url, lab.emulator.collections, lab.task(done)) == before
    assert lab.events(done) == events
    assert lab.moved(done) == ["/done"]
    with pytest.raises(globus_sdk.TransferAPIError, match="identical paths"):
        lab.submit("none")
    lab.put("none")
    assert lab.wait(stuck)["status"] == "SUCCEEDED"


def test_an_accepted_task_survives_a_kill_right_after(make_lab: Callable[..., Lab]) -> None:
    """It was committed before the answer."""
    lab = make_lab()
    lab.put("file")
    for number in range(3):
        task_id = lab.submit("file", label=f"{number}")
        lab.emulator.kill()
        lab.emulator.start()
        assert lab.wait(task_id)["status"] == "SUCCEEDED"


def test_the_emulator_ends_with_its_parent(tmp_path: Path) -> None:
    """Even if the parent is killed with SIGKILL and can clean up nothing."""
    program = (
        "import sys, time\n"
        "from prefect_globus.emulator.process import running_emulator\n"
        f"with running_emulator({{'a': {str(tmp_path)!r}}}) as emulator:\n"
        "    print(emulator.pid, flush=True)\n"
        "    time.sleep(60)\n"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", program], env=os.environ | {"TMPDIR": str(tmp_path)}, stdout=subprocess.PIPE, text=True
    )
    with parent, parent.stdout as output:
        child = int(output.readline())
        assert is_alive(child)
        parent.kill()
        parent.wait()
    deadline = time.monotonic() + 10
    while is_alive(child) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not is_alive(child)
