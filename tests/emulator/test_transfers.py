"""What a transfer moves, and what its documents then say."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import globus_sdk
import pytest

if TYPE_CHECKING:
    from tests.emulator.conftest import Lab

Document = dict[str, Any]


def counters(task: Document, *names: str) -> tuple[Any, ...]:
    return tuple(task[name] for name in names)


def subtasks(task: Document) -> tuple[int, ...]:
    kinds = ("total", "pending", "succeeded", "skipped_errors", "canceled", "expired", "failed")
    return tuple(task[f"subtasks_{kind}"] for kind in kinds)


def test_a_file_is_two_subtasks(lab: Lab) -> None:
    """A plain file item is examined and moved; its parents are made."""
    lab.put("deep/below/file", b"12345")
    task = lab.transfer("deep/below/file", label="one")
    assert (lab.destination / "deep/below/file").read_bytes() == b"12345"
    assert counters(task, "status", "label", "files", "files_transferred", "bytes_transferred", "directories") == (
        ("SUCCEEDED", "one", 1, 1, 5, 0)
    )
    assert subtasks(task) == (2, 0, 2, 0, 0, 0, 0)
    assert counters(task, "is_ok", "nice_status", "fatal_error", "faults") == (None, None, None, 0)
    assert lab.events(task["task_id"]) == ["SUCCEEDED", "STARTED"]
    assert task["completion_time"] >= task["request_time"]


def test_a_tree_is_walked(lab: Lab) -> None:
    """Directories are counted and made, also empty ones, and every file is listed once."""
    for name in ("tree/a", "tree/b/c", "tree/b/d"):
        lab.put(name)
    (lab.source / "tree/empty").mkdir()
    task = lab.transfer("tree")
    assert counters(task, "status", "files", "directories", "files_transferred") == ("SUCCEEDED", 3, 3, 3)
    assert subtasks(task) == (6, 0, 6, 0, 0, 0, 0)
    assert (lab.destination / "tree/empty").is_dir()
    assert sorted(lab.moved(task["task_id"])) == [lab.path(f"tree/{name}") for name in ("a", "b/c", "b/d")]


def test_large_and_empty_files_arrive_whole(lab: Lab) -> None:
    """Files of no chunk, of one, and of several."""
    contents = {"empty": b"", "one": os.urandom(65536), "several": os.urandom(9_000_001)}
    for name, content in contents.items():
        lab.put(name, content)
    for options in ({}, {"verify_checksum": True}):
        task = lab.transfer(*contents, **options)
        assert task["bytes_transferred"] == sum(map(len, contents.values()))
        assert all((lab.destination / name).read_bytes() == content for name, content in contents.items())


def test_a_verified_file_has_its_checksum(lab: Lab) -> None:
    """With verify_checksum the list of successes says what was verified, and without it nothing."""
    lab.put("file", b"123")
    for verify, expected in ((True, (hashlib.md5(b"123").hexdigest(), "MD5")), (False, (None, None))):
        task = lab.transfer("file", verify_checksum=verify)
        row = lab.client.task_successful_transfers(task["task_id"])["DATA"][0]
        assert (row["checksum"], row["checksum_algorithm"]) == expected
        assert (row["size"], row["dynamic"]) == (3, False)


@pytest.mark.parametrize("algorithm", [None, "SHA256", "sha-512"])
def test_external_checksum_that_matches(lab: Lab, algorithm: str | None) -> None:
    """An external checksum is MD5 unless said otherwise."""
    lab.put("file", b"123")
    checksum = hashlib.new((algorithm or "MD5").replace("-", ""), b"123").hexdigest().upper()
    item = {"external_checksum": checksum, "checksum_algorithm": algorithm}
    assert lab.transfer(("file", item))["status"] == "SUCCEEDED"


def test_external_checksum_that_differs_is_fatal(lab: Lab) -> None:
    """The task fails at once, and the destination is untouched."""
    lab.put("file", b"123")
    (lab.destination / "file").write_bytes(b"before")
    task = lab.transfer(("file", {"external_checksum": "0" * 32}))
    assert (task["status"], task["fatal_error"]["code"]) == ("FAILED", "EXTERNAL_CHECKSUM_MISMATCH")
    assert counters(task, "faults", "subtasks_failed", "subtasks_pending") == (1, 1, 0)
    assert lab.arrived() == ["file"]
    assert (lab.destination / "file").read_bytes() == b"before"


def test_preserve_timestamp(lab: Lab) -> None:
    """The modification time goes along only when asked for."""
    os.utime(lab.put("file"), (1000, 1000))
    lab.transfer("file")
    assert (lab.destination / "file").stat().st_mtime > 1000
    lab.transfer("file", preserve_timestamp=True)
    assert (lab.destination / "file").stat().st_mtime == 1000


def test_sync_levels(lab: Lab) -> None:
    """0 looks for existence, 1 for size, 2 for a newer source, 3 for content; what is left alone is only counted."""
    cases = {"absent": None, "same": b"same", "content": b"sAme", "size": b"s", "newer": b"same"}
    copied = {
        0: {"absent"},
        1: {"absent", "size"},
        2: {"absent", "newer"},
        3: {"absent", "size", "content"},
    }
    for level, expected in copied.items():
        for name, there in cases.items():
            os.utime(lab.put(f"{level}/{name}", b"same"), (5000, 5000))
            if there is not None:
                (lab.destination / str(level)).mkdir(exist_ok=True)
                (lab.destination / str(level) / name).write_bytes(there)
                when = 4000 if name == "newer" else 5000
                os.utime(lab.destination / str(level) / name, (when, when))
        task = lab.transfer(str(level), sync_level=level)
        assert {path.rpartition("/")[2] for path in lab.moved(task["task_id"])} == expected
        left = len(cases) - len(expected)
        assert counters(task, "files_skipped", "files_transferred", "files") == (left, len(expected), len(cases))
        assert task["bytes_checksummed"] == (12 if level == 3 else 0)
        assert subtasks(task)[1:3] == (0, task["subtasks_total"])


def test_filter_rules(lab: Lab) -> None:
    """The first rule that matches a name decides, and an excluded directory hides what is in it."""
    for name in ("t/keep.txt", "t/drop.tmp", "t/important.tmp", "t/cache/a.txt", "t/cache.txt"):
        lab.put(name)
    data = lab.data("t")
    data.add_filter_rule("important*", method="include")
    data.add_filter_rule("*.tmp")
    data.add_filter_rule("cache*", type="dir")
    task = lab.wait(lab.client.submit_transfer(data)["task_id"])
    assert lab.arrived("t") == ["cache.txt", "important.tmp", "keep.txt"]
    assert task["filter_rules"][0] == {
        "DATA_TYPE": "filter_rule", "method": "include", "name": "important*", "type": None
    }  # fmt: skip


@pytest.mark.parametrize(
    ("how", "expected"),
    [("ignore", {"file"}), ("keep", {"file", "link", "below"}), ("copy", {"file", "link", "below"})],
)
def test_recursive_symlinks(lab: Lab, how: str, expected: set[str]) -> None:
    """A walk leaves symlinks out, makes them again, or moves what they lead to."""
    lab.put("elsewhere/inner")
    lab.put("t/file", b"123")
    (lab.source / "t/link").symlink_to("file")
    (lab.source / "t/below").symlink_to("../elsewhere")
    data = lab.data("t")
    data["recursive_symlinks"] = how
    task = lab.wait(lab.client.submit_transfer(data)["task_id"])
    assert task["status"] == "SUCCEEDED"
    assert set(lab.arrived("t")) == expected
    assert (lab.destination / "t/link").is_symlink() is (how == "keep")
    assert task["symlinks"] == (2 if how == "keep" else 0)
    assert (lab.destination / "t/below/inner").exists() is (how == "copy")


@pytest.mark.parametrize("target", [".", "..", "loop"])
def test_a_symlink_loop_ends(lab: Lab, target: str) -> None:
    """Following symlinks that lead back up is fatal, not endless."""
    lab.put("t/file")
    (lab.source / "t/loop").symlink_to(target)
    data = lab.data("t")
    data["recursive_symlinks"] = "copy"
    task = lab.wait(lab.client.submit_transfer(data)["task_id"])
    assert (task["status"], task["fatal_error"]["code"]) == ("FAILED", "INVALID_SYMLINK")


def test_two_symlinks_that_lead_to_each_other(lab: Lab) -> None:
    """A loop through two directories is found as well."""
    lab.put("t/a/file")
    lab.put("t/b/file")
    (lab.source / "t/a/to_b").symlink_to("../b")
    (lab.source / "t/b/to_a").symlink_to("../a")
    data = lab.data("t")
    data["recursive_symlinks"] = "copy"
    assert lab.wait(lab.client.submit_transfer(data)["task_id"])["fatal_error"]["code"] == "INVALID_SYMLINK"


def test_a_symlink_item(lab: Lab) -> None:
    """A transfer_symlink_item makes the same symlink at the destination."""
    (lab.source / "link").symlink_to("wherever")
    data = lab.data()
    data["DATA"].append(
        {"DATA_TYPE": "transfer_symlink_item", "source_path": lab.path("link"), "destination_path": lab.path("link")}
    )
    task = lab.wait(lab.client.submit_transfer(data)["task_id"])
    assert (task["status"], task["symlinks"]) == ("SUCCEEDED", 1)
    assert str((lab.destination / "link").readlink()) == "wherever"


def test_plain_paths_follow_symlinks_inside(lab: Lab) -> None:
    """An item may lead through symlinks, at the source and at the destination."""
    lab.put("real/file", b"123")
    (lab.source / "through").symlink_to("real")
    (lab.source / "link").symlink_to("real/file")
    (lab.destination / "elsewhere").mkdir()
    (lab.destination / "through").symlink_to("elsewhere")
    (lab.destination / "link").symlink_to("elsewhere/linked")
    assert lab.transfer("through/file", "link")["status"] == "SUCCEEDED"
    assert (lab.destination / "elsewhere/file").read_bytes() == b"123"
    assert (lab.destination / "elsewhere/linked").read_bytes() == b"123"
    assert (lab.destination / "link").is_symlink()


def test_a_task_does_not_write_outside(lab: Lab, tmp_path: Path) -> None:
    """A destination that leads out of the folder is PERMISSION_DENIED, and nothing is written."""
    lab.put("out/file")
    lab.put("file")
    (lab.destination / "out").symlink_to(tmp_path)
    (lab.destination / "file").symlink_to(tmp_path / "file")
    for name in ("out/file", "file"):
        task = lab.wait(lab.submit(name), lambda task: task["faults"] > 0)
        assert (task["status"], task["nice_status"], task["is_ok"]) == ("ACTIVE", "PERMISSION_DENIED", False)
    assert list(tmp_path.iterdir()) == []


def test_a_task_does_not_read_outside(lab: Lab, tmp_path: Path) -> None:
    """A source that leads out of the folder is PERMISSION_DENIED, which skip_source_errors skips."""
    (tmp_path / "secret").write_text("secret")
    (lab.source / "out").symlink_to(tmp_path)
    (lab.source / "link").symlink_to(tmp_path / "secret")
    task = lab.transfer("out/secret", "out", "link", skip_source_errors=True)
    assert counters(task, "status", "subtasks_skipped_errors", "files_transferred") == ("SUCCEEDED", 3, 0)
    assert lab.arrived() == []


@pytest.mark.parametrize(
    ("recursive", "name", "code"), [(True, "file", "NOT_A_DIRECTORY"), (False, "tree", "IS_A_DIRECTORY")]
)
def test_recursive_must_fit(lab: Lab, recursive: bool, name: str, code: str) -> None:
    """`recursive` true wants a directory, false a file."""
    lab.put("file")
    lab.put("tree/file")
    task = lab.wait(lab.submit((name, {"recursive": recursive})), lambda task: task["faults"] > 0)
    assert task["nice_status"] == code


def test_a_file_does_not_replace_a_directory(lab: Lab) -> None:
    """A directory in the place of a file is an error that is retried, until somebody removes it."""
    lab.put("name")
    (lab.destination / "name").mkdir()
    task_id = lab.submit("name")
    assert lab.wait(task_id, lambda task: task["faults"] > 0)["nice_status"] == "IS_A_DIRECTORY"
    (lab.destination / "name").rmdir()
    assert lab.wait(task_id)["status"] == "SUCCEEDED"


def test_a_name_that_is_too_long_is_fatal(lab: Lab) -> None:
    """INVALID_PATH_NAME ends the task at once."""
    task = lab.transfer("x" * 256)
    assert (task["status"], task["fatal_error"]["code"]) == ("FAILED", "INVALID_PATH_NAME")


def test_a_destination_inside_the_source_is_refused(lab: Lab) -> None:
    """A directory cannot be moved into itself, for that would have no end."""
    lab.put("tree/file")
    data = globus_sdk.TransferData(lab.source_id, lab.source_id)
    data.add_item(lab.path("tree"), lab.path("tree/below"))
    task = lab.wait(lab.client.submit_transfer(data)["task_id"])
    assert (task["status"], task["fatal_error"]["code"]) == ("FAILED", "INVALID_PATH_NAME")


def test_a_fifo_does_not_block(lab: Lab) -> None:
    """What is not a regular file is an error of an item, and left out of a walk."""
    os.mkfifo(lab.source / "fifo")
    lab.put("file")
    assert lab.wait(lab.submit("fifo"), lambda task: task["faults"] > 0)["nice_status"] == "UNKNOWN"
    assert lab.transfer("")["files"] == 1


def test_unfinished_files_are_hidden(lab: Lab) -> None:
    """The file that a task writes before it renames it shows in no listing and in no walk."""
    lab.put("t/.globus-6ecd6e0e-e644-11f1-a49c-02fc00000001.part")
    lab.put("t/.globus-mine.part")
    assert [one["name"] for one in lab.client.operation_ls(lab.source_id, path=lab.path("t"))] == [".globus-mine.part"]
    assert lab.transfer("t")["files"] == 1
