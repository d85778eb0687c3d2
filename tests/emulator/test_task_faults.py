"""Faults that tasks meet on demand, on real files."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import globus_sdk
import pytest

from emulator.conftest import Lab
from prefect_globus.emulator import (
    AlterFile,
    ExpireTask,
    FailFile,
    FillDisk,
    FlipBit,
    InactivateTask,
    InjectedFault,
    PauseTask,
    RefusedError,
    TaskFault,
    running_emulator,
)

if TYPE_CHECKING:
    from prefect_globus.emulator import Emulator

LARGE = 9_000_000  # bytes: three chunks


def fault(lab: Lab, effect: Any, name: str = "*", **match: Any) -> Any:
    """A fault that only the paths of this lab meet."""
    return lab.emulator.fault(TaskFault(effect, file=lab.path(name), **match))


def found(lab: Lab, fault_id: str) -> InjectedFault:
    return next(one for one in lab.emulator.faults() if one.id == fault_id)


def is_ended(task: dict[str, Any]) -> bool:
    return task["status"] in ("SUCCEEDED", "FAILED")


def test_a_file_fails_twice_and_then_succeeds(lab: Lab) -> None:
    """An error of any other code backs the task off, and the file is tried again."""
    lab.put("file")
    with fault(lab, FailFile("CONNECTION_RESET", message="Gone"), times=2) as fault_id:
        task = lab.transfer("file")
        assert (found(lab, fault_id).matched, found(lab, fault_id).fired) == (2, 2)
    assert (task["status"], task["faults"]) == ("SUCCEEDED", 2)
    assert lab.events(task["task_id"]) == ["SUCCEEDED", "CONNECTION_RESET", "CONNECTION_RESET", "STARTED"]
    details = {
        event["details"] for event in lab.client.task_event_list(task["task_id"], query_params={"filter": "is_error:1"})
    }
    assert all(lab.source_id in one and lab.path("file") in one and "Gone" in one for one in details)


def test_a_source_error_is_skipped(lab: Lab) -> None:
    """With skip_source_errors, PERMISSION_DENIED on the source costs that file only."""
    for name in ("tree/good", "tree/bad"):
        lab.put(name)
    with fault(lab, FailFile("PERMISSION_DENIED"), "tree/bad"):
        task = lab.transfer("tree", skip_source_errors=True)
    assert (task["status"], task["subtasks_skipped_errors"], task["files_transferred"]) == ("SUCCEEDED", 1, 1)
    skipped = lab.client.task_skipped_errors(task["task_id"])["DATA"]
    assert [(one["error_code"], one["source_path"]) for one in skipped] == [("PERMISSION_DENIED", lab.path("tree/bad"))]


def test_an_error_of_the_destination_is_not_skipped(lab: Lab) -> None:
    """The task stays ACTIVE and tries again, until the fault is lifted."""
    lab.put("file")
    with fault(lab, FailFile("PERMISSION_DENIED", "destination")):
        task_id = lab.submit("file", skip_source_errors=True)
        task = lab.wait(task_id, lambda task: task["faults"] >= 2)
        assert (task["status"], task["nice_status"], task["is_ok"]) == ("ACTIVE", "PERMISSION_DENIED", False)
        event = next(iter(lab.client.task_event_list(task_id, query_params={"filter": "is_error:1"})))
        assert lab.destination_id in event["details"]
    assert lab.wait(task_id)["status"] == "SUCCEEDED"


@pytest.mark.parametrize(
    "code", ["AMBIGUOUS_PATH", "INVALID_PATH_NAME", "INVALID_SYMLINK", "EXTERNAL_CHECKSUM_MISMATCH"]
)
def test_a_fatal_code_ends_the_task(lab: Lab, code: str) -> None:
    """At once, as with the real thing."""
    lab.put("file")
    with fault(lab, FailFile(code)):
        task = lab.transfer("file")
    assert (task["status"], task["fatal_error"]["code"], task["faults"]) == ("FAILED", code, 1)


def test_a_directory_cannot_be_listed(lab: Lab) -> None:
    """A directory that was found is a path like any other."""
    for name in ("tree/a/file", "tree/b/file"):
        lab.put(name)
    with fault(lab, FailFile("PERMISSION_DENIED"), "tree/a"):
        task = lab.transfer("tree", skip_source_errors=True)
    assert (task["status"], lab.arrived("tree"), lab.arrived("tree/b")) == ("SUCCEEDED", ["b"], ["file"])


@pytest.mark.parametrize("match", ["label", "task", "collection", "after"])
def test_what_a_fault_is_for(lab: Lab, match: str) -> None:
    """The task is known by its id or its label, the collection by its name, the n-th path by counting."""
    for name in ("one", "two"):
        lab.put(name)
    with fault(lab, PauseTask(), times=1):
        first = lab.submit("one", label="First")
        lab.wait(first, lambda task: task["is_paused"])
    facts = {"label": "Fir*", "task": first, "collection": "destination", "after": 1}
    with fault(lab, FailFile("TIMEOUT"), times=1, **{match: facts[match]}):
        second = lab.transfer("two", label="Second")
        lab.emulator.resume_task(first)
        expected = (0, 1) if match != "collection" else (1, 0)
        assert (second["faults"], lab.wait(first)["faults"]) == expected


@pytest.mark.parametrize(
    ("how", "when", "codes", "size"),
    [
        ("grow", "opened", ["FILE_SIZE_CHANGED"], LARGE + 21),
        ("grow", "moving", ["FILE_SIZE_CHANGED"], LARGE + 21),
        ("shrink", "moving", ["FILE_SIZE_CHANGED"], LARGE // 2),
        ("grow", "found", [], LARGE + 21),
        ("vanish", "moving", [], LARGE),
    ],
)
def test_a_file_that_is_altered_on_the_way(lab: Lab, how: Any, when: Any, codes: list[str], size: int) -> None:
    """A change of its size is noticed, and what is there at last is what arrives; an open file cannot vanish."""
    source = lab.put("file", os.urandom(LARGE))
    with fault(lab, AlterFile(how, when), times=1) as fault_id:
        task = lab.transfer("file")
        assert found(lab, fault_id).fired == 1
    assert lab.events(task["task_id"]) == ["SUCCEEDED", *codes, "STARTED"]
    arrived = (lab.destination / "file").read_bytes()
    assert len(arrived) == size
    assert source.read_bytes() == arrived if how != "vanish" else not source.exists()


def test_a_file_that_vanishes_before_it_is_opened(lab: Lab) -> None:
    """It is not found: skipped, if the task may skip."""
    for name in ("tree/a", "tree/b"):
        lab.put(name)
    with fault(lab, AlterFile("vanish", "found"), "tree/a"):
        task = lab.transfer("tree", skip_source_errors=True)
    assert (task["status"], task["subtasks_skipped_errors"]) == ("SUCCEEDED", 1)
    assert "FILE_NOT_FOUND" in lab.events(task["task_id"])
    assert not (lab.source / "tree/a").exists()


@pytest.mark.parametrize("when", ["moving", "written"])
def test_a_changed_file_is_caught_by_its_checksum(lab: Lab, when: Any) -> None:
    """With verify_checksum what was written is compared with the source as it is then; without, it stays as it came."""
    source = lab.put("file", os.urandom(LARGE))
    with fault(lab, AlterFile("change", when), times=1):
        task = lab.transfer("file", verify_checksum=True)
    assert lab.events(task["task_id"]) == ["SUCCEEDED", "VERIFY_CHECKSUM", "STARTED"]
    assert (lab.destination / "file").read_bytes() == source.read_bytes()
    with fault(lab, AlterFile("change", when), times=1):
        assert lab.transfer("file")["faults"] == 0
    assert (lab.destination / "file").read_bytes() != source.read_bytes()


@pytest.mark.parametrize("size", [7, LARGE])
def test_a_flipped_bit(lab: Lab, size: int) -> None:
    """Only verify_checksum catches it, and then the file is sent again."""
    content = os.urandom(size)
    lab.put("file", content)
    with fault(lab, FlipBit(), times=1):
        task = lab.transfer("file")
    assert (task["status"], task["faults"]) == ("SUCCEEDED", 0)
    arrived = (lab.destination / "file").read_bytes()
    assert len(arrived) == size
    assert (int.from_bytes(content) ^ int.from_bytes(arrived)).bit_count() == 1
    with fault(lab, FlipBit(), times=2):
        task = lab.transfer("file", verify_checksum=True)
    assert lab.events(task["task_id"]) == ["SUCCEEDED", "VERIFY_CHECKSUM", "VERIFY_CHECKSUM", "STARTED"]
    assert (lab.destination / "file").read_bytes() == content


def test_an_empty_file_has_no_bit(lab: Lab) -> None:
    """The fault waits for one that has."""
    lab.put("empty", b"")
    with fault(lab, FlipBit()) as fault_id:
        lab.transfer("empty")
        assert found(lab, fault_id).matched == 0


def test_a_full_disk(lab: Lab) -> None:
    """So many bytes fit; then the task waits for somebody to make room, and goes on."""
    for name in ("a", "b", "c"):
        lab.put(name, b"x" * 1000)
    with fault(lab, FillDisk(2500), collection="destination") as fault_id:
        task_id = lab.submit("a", "b", "c")
        task = lab.wait(task_id, lambda task: task["faults"] >= 2)
        assert (task["nice_status"], task["files_transferred"], found(lab, fault_id).bytes) == (
            "QUOTA_EXCEEDED",
            2,
            2000,
        )
        assert lab.arrived() == ["a", "b"]
    assert lab.wait(task_id)["status"] == "SUCCEEDED"


def test_a_full_disk_is_fatal_if_asked_for(lab: Lab) -> None:
    """With fail_on_quota_errors nobody waits; and the source's disk may be as full as it likes."""
    lab.put("file", b"x" * LARGE)
    with fault(lab, FillDisk(), collection="source"):
        assert lab.transfer("file")["status"] == "SUCCEEDED"
    with fault(lab, FillDisk(LARGE - 1)):
        task = lab.transfer("file", fail_on_quota_errors=True)
    assert (task["status"], task["fatal_error"]["code"]) == ("FAILED", "QUOTA_EXCEEDED")


@pytest.mark.parametrize("files", [0, 2])
def test_a_task_is_paused_when_it_has_moved_so_many_files(lab: Lab, files: int) -> None:
    """And goes on where it was."""
    for name in "abcd":
        lab.put(name)
    with fault(lab, PauseTask(files, "Maintenance"), times=1):
        task_id = lab.submit(*"abcd")
        task = lab.wait(task_id, lambda task: task["is_paused"])
    assert (task["status"], task["files_transferred"], len(lab.arrived())) == ("ACTIVE", files, files)
    lab.emulator.resume_task(task_id)
    task = lab.wait(task_id)
    assert (task["status"], task["files_transferred"], task["faults"]) == ("SUCCEEDED", 4, 0)


def test_a_task_loses_its_credentials_on_the_way(lab: Lab) -> None:
    """It is INACTIVE until it has them back."""
    for name in "abc":
        lab.put(name)
    with fault(lab, InactivateTask(1), times=1):
        task_id = lab.submit(*"abc")
        task = lab.wait(task_id, lambda task: task["status"] == "INACTIVE")
    assert task["files_transferred"] == 1
    lab.emulator.reactivate_task(task_id)
    assert lab.wait(task_id, is_ended)["status"] == "SUCCEEDED"


def test_a_task_expires_on_the_way(lab: Lab) -> None:
    """What it has moved stays moved."""
    for name in "abc":
        lab.put(name)
    with fault(lab, ExpireTask(2)):
        task = lab.transfer(*"abc")
    assert (task["status"], task["fatal_error"]["code"], task["files_transferred"]) == ("FAILED", "EXPIRED", 2)
    assert lab.arrived() == ["a", "b"]


def test_a_task_is_told_by_its_id(lab: Lab) -> None:
    """Held, suspended and ended from outside; one that has ended cannot be told anything."""
    lab.put("file")
    with fault(lab, FailFile("TIMEOUT")):
        task_id = lab.submit("file")
        lab.emulator.pause_task(task_id, "Wait")
        assert lab.task(task_id)["is_paused"]
        assert lab.client.task_pause_info(task_id)["source_pause_message"] == "Wait"
        lab.emulator.resume_task(task_id)
        assert not lab.task(task_id)["is_paused"]
        lab.emulator.inactivate_task(task_id)
        assert lab.task(task_id)["status"] == "INACTIVE"
        lab.emulator.reactivate_task(task_id)
        lab.wait(task_id, lambda task: task["status"] == "ACTIVE")
        lab.emulator.expire_task(task_id)
    task = lab.wait(task_id)
    assert (task["status"], task["fatal_error"]["code"]) == ("FAILED", "EXPIRED")
    for tell in (lab.emulator.pause_task, lab.emulator.reactivate_task, lab.emulator.expire_task):
        with pytest.raises(RefusedError, match="has ended"):
            tell(task_id)
        with pytest.raises(RefusedError, match="No task found"):
            tell(str(uuid.uuid4()))
    answer = lab.raw("POST", f"/emulator/tasks/{task_id}/explode", json={})
    assert (answer.status_code, "pause" in answer.json()["message"]) == (404, True)


def test_a_delete_task_meets_faults_too(lab: Lab) -> None:
    """Its path fails for as long as the fault is there."""
    path = lab.put("file")
    data = globus_sdk.DeleteData(endpoint=lab.source_id)
    data.add_item(lab.path("file"))
    with fault(lab, FailFile("ENDPOINT_TOO_BUSY")):
        task_id = lab.client.submit_delete(data)["task_id"]
        assert lab.wait(task_id, lambda task: task["faults"] >= 1)["nice_status"] == "ENDPOINT_TOO_BUSY"
        assert path.exists()
    assert lab.wait(task_id)["status"] == "SUCCEEDED"
    assert not path.exists()


def test_a_symlink_leads_to_no_file_outside(lab: Lab, tmp_path: Path) -> None:
    """What is altered lies in the collection: through a symlink that leads out nothing is touched."""
    outside = tmp_path / "outside"
    outside.write_bytes(b"precious")
    (lab.source / "link").symlink_to(outside)
    with fault(lab, AlterFile("vanish", "found")) as fault_id:
        task = lab.wait(lab.submit("link"), lambda task: task["faults"] >= 1)
        assert (task["nice_status"], found(lab, fault_id).matched) == ("PERMISSION_DENIED", 0)
    assert outside.read_bytes() == b"precious"


def test_counts_survive_a_kill(make_lab: Callable[..., Lab]) -> None:
    """A file that is to fail three times fails three times, though the emulator is killed after the first."""
    lab = make_lab(time_scale=100)
    lab.put("file")
    fault_id = lab.emulator.inject(TaskFault(FailFile("TIMEOUT"), times=3))
    task_id = lab.submit("file")
    lab.wait(task_id, lambda task: task["faults"] >= 1)
    lab.emulator.kill()
    lab.emulator.start()
    assert lab.wait(task_id)["status"] == "SUCCEEDED"
    assert (found(lab, fault_id).fired, lab.events(task_id).count("TIMEOUT")) == (3, 3)


@pytest.fixture
def synthetic(tmp_path: Path) -> Iterator[Emulator]:
    destination = tmp_path / "destination"
    destination.mkdir()
    collections = {"source": "synthetic:files=3,dirs=1,size=100", "destination": destination}
    with running_emulator(collections, time_scale=200) as emulator:
        yield emulator


def test_a_synthetic_file_meets_faults(synthetic: Emulator, tmp_path: Path) -> None:
    """It fails and has its bits flipped as any other, but there is nothing of it on disk to alter."""
    lab = Lab(synthetic, tmp_path, tmp_path, str(uuid.uuid4()))
    altered = synthetic.inject(TaskFault(AlterFile("grow")))
    flipped = synthetic.inject(TaskFault(FlipBit(), times=1))
    failed = synthetic.inject(TaskFault(FailFile("TIMEOUT"), times=1, after=1))
    task = lab.transfer("", verify_checksum=True)
    assert (task["status"], task["files_transferred"]) == ("SUCCEEDED", 3)
    assert sorted(lab.events(task["task_id"])) == ["STARTED", "SUCCEEDED", "TIMEOUT", "VERIFY_CHECKSUM"]
    assert [found(lab, one).fired for one in (altered, flipped, failed)] == [0, 1, 1]
