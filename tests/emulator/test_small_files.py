"""Small files are copied by processes of their own, and nobody can tell but by the time."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from prefect_globus.emulator import FailFile, TaskFault
from prefect_globus.emulator.collections import copier
from prefect_globus.emulator.collections.copier import LARGEST, NOT_PLAIN, copy_group
from prefect_globus.emulator.collections.copying import Copier, Group

if TYPE_CHECKING:
    from tests.emulator.conftest import Lab

MANY = 400


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    found = tmp_path / "source", tmp_path / "destination"
    for folder in found:
        folder.mkdir()
    return found


@pytest.fixture
def copiers(folders: tuple[Path, Path]) -> Iterator[Copier]:
    found = Copier(str(folders[0]), str(folders[1]), ["one.part", "two.part"])
    yield found
    found.close()


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()] + [
        int(child)
        for task in Path(f"/proc/{pid}/task").iterdir()
        if task.name != str(pid)
        for child in (task / "children").read_text().split()
    ]


def fill(lab: Lab, files: int = MANY, directories: int = 8) -> dict[str, bytes]:
    contents = {f"t/d{number % directories}/f{number}": os.urandom(number % 50 * 40) for number in range(files)}
    for name, content in contents.items():
        lab.put(name, content)
    return contents


def arrived(lab: Lab) -> dict[str, bytes]:
    paths = [path for path in lab.destination.rglob("*") if path.is_file() or path.is_symlink()]
    return {str(path.relative_to(lab.destination)): path.read_bytes() for path in paths}


def test_a_tree_of_small_files_arrives(lab: Lab) -> None:
    """Contents, counters and the list of what was moved are as of any files, also when they replace others."""
    contents = fill(lab)
    for _ in range(2):
        task = lab.transfer("t")
        assert arrived(lab) == contents
        size = sum(map(len, contents.values()))
        assert (task["files"], task["files_transferred"], task["bytes_transferred"]) == (MANY, MANY, size)
        assert (task["subtasks_total"], task["subtasks_succeeded"], task["faults"]) == (MANY + 9, MANY + 9, 0)
        rows = list(lab.client.paginated.task_successful_transfers(task["task_id"]).items())
        told = {row["source_path"]: row["size"] for row in rows}
        assert told == {lab.path(name): len(content) for name, content in contents.items()}
        assert {(row["checksum"], row["dynamic"]) for row in rows} == {(None, False)}


def test_what_is_not_plain_is_moved_all_the_same(lab: Lab) -> None:
    """Large files, directories that are symlinks, and symlinks in the place of files, among many small ones."""
    contents = fill(lab)
    contents |= {"t/d0/large": os.urandom(LARGEST + 1), "t/d1/edge": os.urandom(LARGEST)}
    for name in ("t/d0/large", "t/d1/edge"):
        lab.put(name, contents[name])
    lab.put("elsewhere/x")
    (lab.destination / "elsewhere").mkdir()
    (lab.destination / "t").mkdir()
    (lab.destination / "t/d2").symlink_to("../elsewhere")
    (lab.destination / "t/d3").mkdir()
    (lab.destination / "t/d3/f3").symlink_to("../../elsewhere/linked")
    task = lab.transfer("t")
    assert (task["status"], task["faults"], task["files_transferred"]) == ("SUCCEEDED", 0, MANY + 2)
    assert all((lab.destination / name).read_bytes() == content for name, content in contents.items())
    assert (lab.destination / "t/d2").is_symlink()
    assert (lab.destination / "t/d3/f3").is_symlink()
    assert (lab.destination / "elsewhere/linked").read_bytes() == contents["t/d3/f3"]


def test_faults_among_many_files_are_told(lab: Lab) -> None:
    """One that cannot be written is an error of its own, and the others arrive."""
    contents = fill(lab)
    (lab.destination / "t/d1/f9").mkdir(parents=True)
    task_id = lab.submit("t")
    task = lab.wait(task_id, lambda task: task["faults"] > 0)
    assert (task["nice_status"], task["files_transferred"]) == ("IS_A_DIRECTORY", MANY - 1)
    (lab.destination / "t/d1/f9").rmdir()
    assert lab.wait(task_id)["files_transferred"] == MANY
    assert arrived(lab) == contents


def test_no_copier_is_left_behind(make_lab: Callable[..., Lab]) -> None:
    """They end with the round, or with the server, however it ends, and leave nothing unfinished."""
    lab = make_lab(time_scale=100)
    contents = fill(lab, 3000, 20)
    task_id = lab.submit("t")
    deadline = time.monotonic() + 20
    while not (found := children(lab.emulator.pid)) and time.monotonic() < deadline:
        time.sleep(0.001)
    assert found
    lab.emulator.kill()
    while any(Path(f"/proc/{pid}/cmdline").exists() for pid in found) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not any(Path(f"/proc/{pid}/cmdline").exists() for pid in found)
    lab.emulator.start()
    task = lab.wait(task_id)
    assert (task["files_transferred"], task["faults"]) == (3000, 0)
    assert arrived(lab) == contents
    assert children(lab.emulator.pid) == []


def test_a_task_is_canceled_among_small_files(lab: Lab) -> None:
    """What was copied until then is on record, and nothing else is."""
    fill(lab, 3000, 20)
    task_id = lab.submit("t")
    lab.wait(task_id, lambda task: task["files"] > 0)
    lab.client.cancel_task(task_id)
    task = lab.wait(task_id)
    assert task["fatal_error"]["code"] == "CANCELED"
    assert len(arrived(lab)) == task["files_transferred"] == len(lab.moved(task_id))


def test_a_copier_that_dies_is_done_without(folders: tuple[Path, Path], copiers: Copier) -> None:
    """Its files are left to the server, and those of the other one are copied."""
    source, destination = folders
    for number in range(100):
        (source / f"f{number}").write_bytes(b"x" * number)
    copiers._processes[0].kill()
    groups = [Group((), (), True, [f"f{10 * group + number}" for number in range(10)]) for group in range(10)]
    tickets = [copiers.send(group) for group in groups]
    sizes = [ticket.sizes() for ticket in tickets]
    assert sizes[0::2] == [[NOT_PLAIN] * 10] * 5
    assert [size for group in sizes[1::2] for size in group] == [
        number for number in range(100) if number // 10 % 2 == 1
    ]
    assert len(list(destination.iterdir())) == 50


def test_only_what_is_plain_is_copied(folders: tuple[Path, Path], tmp_path: Path) -> None:
    """Everything else is left as it is: links, pipes, large files, what is missing, what is in the way."""
    source, destination = folders
    (source / "plain").write_bytes(b"123")
    (source / "large").write_bytes(b"x" * (LARGEST + 1))
    (source / "link").symlink_to("plain")
    (source / "directory").mkdir()
    os.mkfifo(source / "fifo")
    (source / "taken").write_bytes(b"taken")
    (destination / "taken").symlink_to(tmp_path / "outside")
    names = ["plain", "large", "link", "directory", "fifo", "none", "taken"]
    sizes = copy_group(os.getppid(), "part", [str(source)], [str(destination)], names, True)
    assert sizes == [3] + [NOT_PLAIN] * 6
    assert sorted(path.name for path in destination.iterdir()) == ["plain", "taken"]
    assert (destination / "taken").is_symlink()


@pytest.mark.parametrize("end", ["source", "destination"])
@pytest.mark.parametrize("way", [["link"], ["inner", "link"], ["..", "outside"], ["none"]])
def test_no_way_leads_out(folders: tuple[Path, Path], tmp_path: Path, end: str, way: list[str]) -> None:
    """A directory is reached without following a symlink, or not at all."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "f").write_bytes(b"secret")
    for folder in folders:
        (folder / "f").write_bytes(b"public")
        (folder / "inner").mkdir()
        (folder / "link").symlink_to(outside)
        (folder / "inner/link").symlink_to(outside)
    ways = {side: [str(folder)] for side, folder in zip(("source", "destination"), folders, strict=True)}
    ways[end] += way
    assert copy_group(os.getppid(), "part", ways["source"], ways["destination"], ["f"], False) == [NOT_PLAIN]
    assert (outside / "f").read_bytes() == b"secret"
    assert [path.name for path in outside.iterdir()] == ["f"]


def test_a_copier_stops_when_its_server_is_gone(folders: tuple[Path, Path]) -> None:
    """It does not finish the file that it is at, as somebody else may have begun it again."""
    source, destination = folders
    (source / "f").write_bytes(b"123")
    with pytest.raises(copier.OrphanError):
        copy_group(1 if os.getppid() != 1 else 2, "part", [str(source)], [str(destination)], ["f"], False)
    assert list(destination.iterdir()) == []


def test_a_copier_ends_with_its_input() -> None:
    """With nothing to do, half a message, or no more of them."""
    command = [sys.executable, "-I", "-S", copier.__file__, str(os.getpid()), "part"]
    for given in (b"", b"\0\0", b"\0\0\0\5abc"):
        done = subprocess.run(command, input=given, capture_output=True, timeout=20, check=False)
        assert (done.stdout, b"Traceback" in done.stderr) == (b"", False)


def test_someone_elses_part_is_not_touched(folders: tuple[Path, Path]) -> None:
    """Two servers that should not be can at worst leave a file to one another."""
    source, destination = folders
    (source / "f").write_bytes(b"123")
    (destination / "part").write_bytes(b"not ours")
    assert copy_group(os.getppid(), "part", [str(source)], [str(destination)], ["f"], False) == [NOT_PLAIN]
    assert (destination / "part").read_bytes() == b"not ours"


def test_task_faults_are_met_file_by_file(lab: Lab) -> None:
    """With a fault on demand in wait, no file is copied past it."""
    fill(lab)
    label = uuid.uuid4().hex
    fault = TaskFault(effect=FailFile("PERMISSION_DENIED"), file="*/f7", label=label, times=1)
    with lab.emulator.fault(fault):
        task = lab.transfer("t", label=label)
    assert (task["faults"], task["files_transferred"]) == (1, MANY)
