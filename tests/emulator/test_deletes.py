"""Delete tasks: what they remove, what they leave, and how they end."""

from __future__ import annotations

import os
import resource
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import globus_sdk
import pytest

from prefect_globus.emulator.tasks.deletion import is_match
from prefect_globus.emulator.tasks.removal import Descent

if TYPE_CHECKING:
    from tests.emulator.conftest import Lab

Document = dict[str, Any]


def submit(lab: Lab, *names: str, **options: Any) -> str:
    data = globus_sdk.DeleteData(lab.source_id, **options)
    for name in names:
        data.add_item(lab.path(name))
    return str(lab.client.submit_delete(data)["task_id"])


def delete(lab: Lab, *names: str, **options: Any) -> Document:
    return lab.wait(submit(lab, *names, **options))


def left(lab: Lab, name: str = "") -> list[str]:
    return sorted(str(path.relative_to(lab.source / name)) for path in (lab.source / name).rglob("*"))


def counts(task: Document) -> tuple[int, ...]:
    return tuple(task[name] for name in ("files", "directories", "symlinks", "subtasks_total", "subtasks_succeeded"))


def test_a_file_is_deleted(lab: Lab) -> None:
    """One file is one subtask; the document is that of a deletion."""
    lab.put("deep/file")
    lab.put("deep/other")
    task = delete(lab, "deep/file", label="tidy")
    assert (task["status"], task["type"], task["label"]) == ("SUCCEEDED", "DELETE", "tidy")
    assert (task["source_endpoint_id"], task["destination_endpoint_id"]) == (lab.source_id, None)
    assert [task[f"destination_endpoint{end}"] for end in ("", "_display_name")] == [None, None]
    assert (task["recursive_symlinks"], task["faults"], task["fatal_error"]) == (None, 0, None)
    assert counts(task) == (1, 0, 0, 1, 1)
    assert left(lab) == ["deep", "deep/other"]
    assert lab.events(task["task_id"]) == ["SUCCEEDED", "STARTED"]
    assert list(lab.client.task_successful_transfers(task["task_id"])) == []


def test_the_answer(lab: Lab) -> None:
    """202 with a delete_result, and the same task for the same submission_id, whatever is sent with it."""
    lab.put("file")
    body = {
        "DATA_TYPE": "delete",
        "submission_id": str(uuid.uuid4()),
        "endpoint": lab.source_id,
        "DATA": [{"DATA_TYPE": "delete_item", "path": lab.path("file")}],
    }
    first = lab.raw("POST", "/v0.10/delete", json=body)
    assert (first.status_code, first.json()["code"], first.json()["DATA_TYPE"]) == (202, "Accepted", "delete_result")
    for path in ("/v0.10/delete", "/v0.10/transfer"):
        again = lab.raw("POST", path, json=body | {"DATA": []})
        assert (again.status_code, again.json()["code"]) == (200, "Duplicate")
        assert again.json()["task_id"] == first.json()["task_id"]
        assert again.json()["DATA_TYPE"] == "delete_result"


def test_a_directory_needs_recursive(lab: Lab) -> None:
    """Without it the task fails and nothing is gone; with it everything goes, symlinks themselves included."""
    lab.put("keep/precious")
    for name in ("tree/a", "tree/below/b", "tree/below/c"):
        lab.put(name)
    (lab.source / "tree/link").symlink_to("../keep")
    (lab.source / "tree/below/dangling").symlink_to("nowhere")
    task = delete(lab, "tree")
    assert (task["status"], task["fatal_error"]["code"], task["subtasks_failed"]) == ("FAILED", "IS_A_DIRECTORY", 1)
    assert (lab.source / "tree/below/c").exists()
    task = delete(lab, "tree", recursive=True)
    assert task["status"] == "SUCCEEDED"
    assert counts(task) == (3, 2, 2, 7, 7)
    assert left(lab) == ["keep", "keep/precious"]


def test_a_symlink_is_removed_not_followed(lab: Lab) -> None:
    """Neither to a directory nor to a file, and not with recursive."""
    lab.put("real/file")
    (lab.source / "to_directory").symlink_to("real")
    (lab.source / "to_file").symlink_to("real/file")
    task = delete(lab, "to_directory", "to_file", recursive=True)
    assert counts(task) == (0, 0, 2, 2, 2)
    assert left(lab) == ["real", "real/file"]


def test_a_missing_file_is_fatal(lab: Lab) -> None:
    """FAILED with FILE_NOT_FOUND and one fault, also for what would lie below a file."""
    lab.put("file")
    for name in ("none", "none/below", "file/below"):
        task = delete(lab, name)
        assert (task["status"], task["fatal_error"]["code"]) == ("FAILED", "FILE_NOT_FOUND")
        assert (task["faults"], task["subtasks_failed"], task["subtasks_pending"]) == (1, 1, 0)
        assert lab.events(task["task_id"]) == ["FILE_NOT_FOUND", "STARTED"]


def test_a_name_that_is_too_long_is_fatal(lab: Lab) -> None:
    """INVALID_PATH_NAME ends a deletion at once, as it does a transfer, and ignore_missing does not help."""
    task = delete(lab, "x" * 300, ignore_missing=True)
    assert (task["status"], task["fatal_error"]["code"]) == ("FAILED", "INVALID_PATH_NAME")


def test_ignore_missing(lab: Lab) -> None:
    """What is not there is no error then."""
    lab.put("file")
    task = delete(lab, "none", "none/below", "file", ignore_missing=True)
    assert (task["status"], task["faults"]) == ("SUCCEEDED", 0)
    assert counts(task) == (1, 0, 0, 3, 3)


def test_interpret_globs(lab: Lab) -> None:
    """Wildcards stand for names in the last component only; without the option they are letters."""
    for name in ("d/a.txt", "d/b.txt", "d/c.dat", "d/.hidden.txt", "d/*.txt", "e/a.txt"):
        lab.put(name)
    task = delete(lab, r"d/\*.txt", interpret_globs=True)
    assert (task["status"], counts(task)) == ("SUCCEEDED", (1, 0, 0, 2, 2))
    assert left(lab, "d") == [".hidden.txt", "a.txt", "b.txt", "c.dat"]
    assert delete(lab, "d/*.txt")["fatal_error"]["code"] == "FILE_NOT_FOUND"
    assert delete(lab, "*/a.txt", interpret_globs=True)["fatal_error"]["code"] == "FILE_NOT_FOUND"
    assert counts(delete(lab, "d/[ab].???", interpret_globs=True)) == (2, 0, 0, 3, 3)
    assert left(lab, "d") == [".hidden.txt", "c.dat"]
    assert delete(lab, "d/*.none", interpret_globs=True)["fatal_error"]["code"] == "FILE_NOT_FOUND"
    assert delete(lab, "d/*.none", interpret_globs=True, ignore_missing=True)["status"] == "SUCCEEDED"


def test_what_a_wildcard_has_found_is_taken_literally(lab: Lab) -> None:
    """A file whose name is a pattern does not match again."""
    lab.put("d/x*")
    lab.put("d/y")
    assert counts(delete(lab, "d/x?", interpret_globs=True)) == (1, 0, 0, 2, 2)
    assert left(lab, "d") == ["y"]


@pytest.mark.parametrize(
    ("name", "pattern", "expected"),
    [
        ("a", "?", True),
        ("a*", r"a\*", True),
        ("ab", r"a\*", False),
        ("[x]", r"\[x\]", True),
        ("x", "[x]", True),
        ("a\\b", r"a\\b", True),
        (".a", "*", False),
        (".a", ".*", True),
    ],
)
def test_patterns(name: str, pattern: str, expected: bool) -> None:
    """A backslash takes a wildcard for itself."""
    assert is_match(name, pattern) is expected


def test_the_top_is_not_deleted(lab: Lab) -> None:
    """A collection stays, whatever is asked."""
    data = globus_sdk.DeleteData(lab.source_id, recursive=True)
    data.add_item("/")
    task = lab.wait(lab.client.submit_delete(data)["task_id"], lambda task: task["faults"] > 0)
    assert task["nice_status"] == "PERMISSION_DENIED"
    assert lab.source.exists()


def test_nothing_outside_is_deleted(lab: Lab, tmp_path: Path) -> None:
    """A path through a symlink that leads out is PERMISSION_DENIED, and retried."""
    (tmp_path / "precious").write_text("x")
    (lab.source / "out").symlink_to(tmp_path)
    task = lab.wait(submit(lab, "out/precious", recursive=True), lambda task: task["faults"] > 0)
    assert (task["status"], task["nice_status"]) == ("ACTIVE", "PERMISSION_DENIED")
    assert (tmp_path / "precious").exists()


def test_a_symlink_swapped_in_leads_nowhere(lab: Lab, tmp_path: Path) -> None:
    """While trees are deleted, somebody keeps replacing a directory in them by a symlink to one outside."""
    outside = tmp_path / "outside"
    outside.mkdir()
    for number in range(200):
        (outside / f"f{number}").touch()
    stop = threading.Event()

    def swap() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            aside = lab.source / f"aside{number}"
            try:
                (lab.source / "t/d").rename(aside)
                (lab.source / "t/d").symlink_to(outside)
            except OSError:
                continue

    swapper = threading.Thread(target=swap)
    swapper.start()
    try:
        for _ in range(10):
            (lab.source / "t/d").unlink(missing_ok=True) if (lab.source / "t/d").is_symlink() else None
            try:
                for number in range(200):
                    lab.put(f"t/d/f{number}", b"")
            except OSError:
                pass
            task_id = submit(lab, "t", recursive=True, ignore_missing=True)
            lab.wait(task_id, lambda task: task["status"] != "ACTIVE" or task["faults"] > 0)
            lab.client.cancel_task(task_id)
    finally:
        stop.set()
        swapper.join()
    assert len(list(outside.iterdir())) == 200


@pytest.mark.skipif(os.geteuid() == 0, reason="root may remove anything")
def test_permission_denied_is_retried(lab: Lab) -> None:
    """What can be removed is, and the rest when it can be."""
    lab.put("t/locked/file")
    lab.put("t/free")
    (lab.source / "t/locked").chmod(0o500)
    task_id = submit(lab, "t", recursive=True)
    assert lab.wait(task_id, lambda task: task["faults"] > 0)["nice_status"] == "PERMISSION_DENIED"
    assert left(lab) == ["t", "t/locked", "t/locked/file"]
    (lab.source / "t/locked").chmod(0o700)
    assert lab.wait(task_id)["status"] == "SUCCEEDED"


def test_what_is_put_in_meanwhile_goes_at_the_next_try(make_lab: Callable[..., Lab]) -> None:
    """A directory that is not empty any more is an error that is retried; what was counted is counted once."""
    lab = make_lab(file_delay=0.03, time_scale=100)
    for number in range(20):
        lab.put(f"t/f{number}")
    task_id = submit(lab, "t", recursive=True)
    lab.wait(task_id, lambda _: len(left(lab, "t")) < 18)
    lab.put("t/late")
    task = lab.wait(task_id)
    assert (task["status"], task["faults"], counts(task)) == ("SUCCEEDED", 1, (20, 1, 0, 21, 21))
    assert left(lab) == []


def test_deletes_do_not_conflict(make_lab: Callable[..., Lab]) -> None:
    """Nothing is claimed by a deletion, neither from transfers nor from other deletions."""
    lab = make_lab(file_delay=0.5)
    lab.put("file")
    first = [submit(lab, "file", ignore_missing=True) for _ in range(2)]
    first.append(lab.submit("file", skip_source_errors=True))
    assert {lab.wait(task)["status"] for task in first} == {"SUCCEEDED"}


def test_three_deletes_next_to_three_transfers(make_lab: Callable[..., Lab]) -> None:
    """The places of transfers and of deletions are counted apart."""
    lab = make_lab(file_delay=1.0)
    for number in range(8):
        lab.put(f"f{number}")
    transfers = [lab.submit(f"f{number}") for number in range(4)]
    deletes = [submit(lab, f"f{number}") for number in range(4, 8)]
    lab.wait(deletes[3], lambda task: task["nice_status"] == "Queued")
    for tasks in (transfers, deletes):
        lab.wait(tasks[2], lambda task: task["nice_status"] == "OK")
        assert [lab.task(task)["nice_status"] for task in tasks] == ["OK"] * 3 + ["Queued"]
    assert {lab.wait(task)["status"] for task in transfers + deletes} == {"SUCCEEDED"}


def test_pending_limits_are_apart(make_lab: Callable[..., Lab]) -> None:
    """Three are active and a hundred wait, of each type."""
    lab = make_lab(file_delay=60)
    lab.put("file")
    for number in range(103):
        submit(lab, "file", label=f"{number}")
    with pytest.raises(globus_sdk.TransferAPIError) as caught:
        submit(lab, "file")
    assert (caught.value.http_status, caught.value.code) == (400, "TooManyPendingJobs")
    assert lab.submit("file")


def test_cancel_in_the_middle(make_lab: Callable[..., Lab]) -> None:
    """It takes effect before the next file, and the rest stays."""
    lab = make_lab(file_delay=0.05)
    for number in range(100):
        lab.put(f"t/f{number}")
    task_id = submit(lab, "t", recursive=True)
    lab.wait(task_id, lambda _: len(left(lab, "t")) < 95)
    assert lab.client.cancel_task(task_id)["code"] == "Canceled"
    there = left(lab, "t")
    task = lab.task(task_id)
    assert (task["status"], task["fatal_error"]["code"]) == ("FAILED", "CANCELED")
    assert (task["files"], task["subtasks_canceled"], task["subtasks_pending"]) == (100, 101, 0)
    assert len(there) > 50
    time.sleep(0.2)
    assert left(lab, "t") == there


def test_the_deadline_is_24_hours_and_never_extended(make_lab: Callable[..., Lab]) -> None:
    """Not even by progress."""
    lab = make_lab(time_scale=43_200, file_delay=0.1)
    for number in range(100):
        lab.put(f"f{number}")
    task = delete(lab, *(f"f{number}" for number in range(100)))
    assert (task["status"], task["fatal_error"]["code"]) == ("FAILED", "EXPIRED")
    assert task["subtasks_succeeded"] > 5
    assert task["subtasks_succeeded"] + task["subtasks_expired"] == 100
    assert task["deadline"][:10] > task["request_time"][:10]


def test_a_killed_deletion_goes_on(make_lab: Callable[..., Lab]) -> None:
    """Killed twice in the middle, it ends with exact counters."""
    lab = make_lab(time_scale=100, file_delay=0.001)
    for number in range(200):
        lab.put(f"t/d{number % 20}/f{number}", b"")
        lab.put(f"items/f{number}", b"")
    task_id = submit(lab, "t", *(f"items/f{number}" for number in range(200)), recursive=True)
    for _ in range(2):
        time.sleep(0.15)
        lab.emulator.kill()
        lab.emulator.start()
    task = lab.wait(task_id)
    assert (task["status"], task["faults"]) == ("SUCCEEDED", 0)
    assert counts(task) == (400, 21, 0, 421, 421)
    assert left(lab) == ["items"]
    assert lab.events(task_id).count("STARTED") == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"DATA_TYPE": "transfer"},
        {"endpoint": None},
        {"endpoint": "x"},
        {"DATA": None},
        {"DATA": [1]},
        {"DATA": [{}]},
        {"DATA": [{"path": "relative"}]},
        {"DATA": [{"path": "/a/../b"}]},
        {"DATA": [{"path": "/a\0"}]},
        {"DATA": [{"DATA_TYPE": "transfer_item", "path": "/a"}]},
        {"recursive": "yes"},
        {"ignore_missing": 1},
        {"interpret_globs": "no"},
        {"notify_on_failed": 1},
        {"local_user": 7},
        {"label": " x"},
        {"deadline": "2001-01-01"},
        {"submission_id": None},
    ],
)
def test_bad_documents_are_400(lab: Lab, changes: Document) -> None:
    """Nothing is deleted for a document that is wrong."""
    good = {"submission_id": str(uuid.uuid4()), "endpoint": lab.source_id, "DATA": [{"path": lab.path("a")}]}
    answer = lab.raw("POST", "/v0.10/delete", json=good | changes)
    assert (answer.status_code, answer.json()["code"]) == (400, "ClientError.BadRequest")
    assert list(lab.client.task_list()) == []


def test_delete_destination_extra(lab: Lab) -> None:
    """What the source does not have goes at the destination, but for what filter rules exclude."""
    for name in ("t/a", "t/below/b"):
        lab.put(name)
    for name in ("t/a", "t/extra", "t/keep.log", "t/below/more/x", "t/below/more/y", "other"):
        path = lab.destination / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"old")
    data = lab.data("t", delete_destination_extra=True)
    data.add_filter_rule("*.log")
    task = lab.wait(lab.client.submit_transfer(data)["task_id"])
    assert (task["status"], task["delete_destination_extra"]) == ("SUCCEEDED", True)
    there = sorted(str(path.relative_to(lab.destination)) for path in lab.destination.rglob("*"))
    assert there == ["other", "t", "t/a", "t/below", "t/below/b", "t/keep.log"]
    assert (task["files"], task["files_transferred"], task["directories"]) == (2, 2, 2)
    assert (task["subtasks_total"], task["subtasks_succeeded"]) == (6, 6)
    assert sorted(lab.moved(task["task_id"])) == [lab.path("t/a"), lab.path("t/below/b")]


def test_extras_stay_if_the_source_cannot_be_listed(lab: Lab) -> None:
    """A source that is gone does not empty the destination."""
    (lab.destination / "t").mkdir()
    (lab.destination / "t/file").write_bytes(b"old")
    task = lab.transfer("t", delete_destination_extra=True, skip_source_errors=True)
    assert (task["status"], task["subtasks_skipped_errors"]) == ("SUCCEEDED", 1)
    assert lab.arrived("t") == ["file"]
    row = lab.client.task_skipped_errors(task["task_id"])["DATA"][0]
    assert row["is_delete_destination_extra"] is False


def nest(folder: Path, depth: int) -> None:
    """Make directories in each other, deeper than any path may be long."""
    folder.mkdir()
    here = os.open(folder, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir("d" * 10, dir_fd=here)
        below = os.open("d" * 10, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(os.open("file", os.O_CREAT | os.O_WRONLY, dir_fd=here))
    os.close(here)


def test_however_deep_a_tree_is(make_lab: Callable[..., Lab]) -> None:
    """As a deletion or as an extra, with few descriptors and no recursion of ours."""
    lab = make_lab(time_scale=100)
    resource.prlimit(lab.emulator.pid, resource.RLIMIT_NOFILE, (256, 256))
    nest(lab.source / "deep", 1500)
    lab.put("t/file")
    (lab.destination / "t").mkdir()
    nest(lab.destination / "t/deep", 1500)
    task = delete(lab, "deep", recursive=True)
    assert (task["status"], task["faults"], counts(task)) == ("SUCCEEDED", 0, (1, 1501, 0, 1502, 1502))
    task = lab.transfer("t", delete_destination_extra=True)
    assert (task["status"], task["faults"], lab.arrived("t")) == ("SUCCEEDED", 0, ["file"])


def test_the_way_up_from_a_directory_that_was_moved(tmp_path: Path) -> None:
    """It leads to the directory that it came from, not to where the other one is now."""
    (tmp_path / "top/inner/low").mkdir(parents=True)
    (tmp_path / "outside").mkdir()
    top = os.open(tmp_path / "top", os.O_RDONLY)
    with Descent(top) as here:
        assert here.down("inner")
        assert here.down("low")
        (tmp_path / "top/inner/low").rename(tmp_path / "outside/low")
        assert here.up() == "low"
        assert os.path.samestat(os.fstat(here.descriptor), (tmp_path / "top/inner").stat())
        (tmp_path / "top/inner").rename(tmp_path / "outside/inner")
        assert here.up() == "inner"
        assert os.path.samestat(os.fstat(here.descriptor), os.fstat(top))
    os.close(top)
