"""Nothing outside a collection's folder is read, written or even seen to exist, by whatever path, name or trick."""

from __future__ import annotations

import ctypes
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import globus_sdk
import pytest

from prefect_globus.emulator.collections.confinement import OutsideError, Root
from prefect_globus.emulator.collections.folder import Folder

if TYPE_CHECKING:
    from tests.emulator.conftest import Lab

AT_CURRENT, RENAME_EXCHANGE = -100, 2  # of renameat2
SECRET = b"secret"
DOTS = [
    "/..",
    "/../",
    "/../../etc/passwd",
    "/a/../../b",
    "/a/b/../..",
    "/./..",
    "//..//..",
    "/~/..",
    "/~/../~",
    "..",
    "../",
    "~/..",
]
NULLS = ["/a\0", "/\0/etc", "/a\0/../b", "/a\r", "/a\nb"]


def spellings(path: str) -> list[str]:
    """A path as it is, percent-encoded, and percent-encoded twice and three times."""
    found = [path]
    for _ in range(3):
        found.append(quote(found[-1], safe=""))
    return found


def answers(lab: Lab, path: str) -> Iterator[Any]:
    """What every operation that takes a path says to it."""
    collection = f"/v0.10/operation/endpoint/{lab.source_id}"
    yield lab.raw("POST", f"{collection}/mkdir", json={"path": path})
    yield lab.raw("POST", f"{collection}/rename", json={"old_path": path, "new_path": "/new"})
    yield lab.raw("POST", f"{collection}/rename", json={"old_path": lab.path("file"), "new_path": path})
    for source, destination in [(path, "/new"), (lab.path("file"), path)]:
        body = {
            "DATA_TYPE": "transfer",
            "submission_id": lab.client.get_submission_id()["value"],
            "source_endpoint": lab.source_id,
            "destination_endpoint": lab.destination_id,
            "DATA": [{"DATA_TYPE": "transfer_item", "source_path": source, "destination_path": destination}],
        }
        yield lab.raw("POST", "/v0.10/transfer", json=body)


@pytest.mark.parametrize("path", [*DOTS, *NULLS])
def test_paths_that_could_lead_out_are_bad_requests(lab: Lab, path: str) -> None:
    """Each operation refuses dots, null bytes and line breaks before it looks at anything."""
    lab.put("file")
    for answer in answers(lab, path):
        assert (answer.status_code, answer.json()["code"]) == (400, "ClientError.BadRequest"), answer.text
    assert (lab.source / "file").exists()


@pytest.mark.parametrize("path", [*DOTS, "/etc/passwd", "//etc//passwd", "/./etc", "/~//etc"])
def test_encoded_paths_lead_nowhere(lab: Lab, path: str) -> None:
    """However often it is percent-encoded, a path that is looked at is refused or not found."""
    for spelling in spellings(path):
        for operation in ("ls", "stat"):
            answer = lab.raw("GET", f"/v0.10/operation/endpoint/{lab.source_id}/{operation}?path={spelling}")
            assert answer.status_code in (400, 404), (spelling, answer.text)


@pytest.mark.parametrize("path", ["/v0.10/operation/endpoint/../../etc/passwd", "/../../etc/passwd", "/%2e%2e/%2e%2e"])
def test_the_url_leads_nowhere(lab: Lab, path: str) -> None:
    """Nothing is served from the path of the URL."""
    assert lab.raw("GET", path).status_code == 404


def test_every_kind_of_symlink_out_is_denied(lab: Lab, tmp_path: Path) -> None:
    """Absolute, relative, chained and dangling ones, to files, to directories and to our own top's parent."""
    (tmp_path / "secret").write_bytes(SECRET)
    targets = {
        "absolute": str(tmp_path),
        "relative": os.path.relpath(tmp_path, lab.source),
        "chained": "absolute",
        "above": "../..",
        "root": "/",
        "proc": "/proc/self/root",
        "dangling": str(tmp_path / "new"),
    }
    for name, target in targets.items():
        (lab.source / name).symlink_to(target)
        (lab.destination / name).symlink_to(target)
    lab.put("file")
    for name in targets:
        with pytest.raises(globus_sdk.TransferAPIError) as caught:
            lab.client.operation_ls(lab.source_id, path=lab.path(name))
        assert caught.value.code in ("EndpointPermissionDenied", "ClientError.NotFound")
        with pytest.raises(globus_sdk.TransferAPIError):
            lab.client.operation_mkdir(lab.source_id, lab.path(f"{name}/made"))
    data = lab.data(skip_source_errors=True)
    for name in targets:
        data.add_item(lab.path(f"{name}/secret"), lab.path(f"taken-{name}"))
        data.add_item(lab.path(name), lab.path(f"all-{name}"))
    task = lab.wait(lab.client.submit_transfer(data)["task_id"])
    assert (task["subtasks_skipped_errors"], task["files_transferred"]) == (2 * len(targets), 0)
    data = lab.data()
    for name in targets:
        data.add_item(lab.path("file"), lab.path(f"{name}/planted"))
        data.add_item(lab.path("file"), lab.path(name))
    task = lab.wait(lab.client.submit_transfer(data)["task_id"], lambda task: task["faults"] >= 2 * len(targets))
    assert task["files_transferred"] == 0
    assert [path.name for path in tmp_path.iterdir()] == ["secret"]
    assert (tmp_path / "secret").read_bytes() == SECRET


@contextmanager
def swapping(path: Path, outside: Path) -> Iterator[list[int]]:
    """Keep changing a directory for a symlink that leads outside, and back, as fast as it goes; count how often."""
    link = path.with_name("link")
    link.symlink_to(outside)
    exchange = ctypes.CDLL(None, use_errno=True).renameat2
    names = os.fsencode(path), os.fsencode(link)
    stop = threading.Event()
    count = [0]

    def swap() -> None:
        while not stop.is_set() or count[0] % 2:
            assert exchange(AT_CURRENT, names[0], AT_CURRENT, names[1], RENAME_EXCHANGE) == 0
            count[0] += 1

    thread = threading.Thread(target=swap)
    thread.start()
    try:
        yield count
    finally:
        stop.set()
        thread.join()


def test_a_symlink_swapped_in_leads_nowhere(lab: Lab, tmp_path: Path) -> None:
    """While a directory is changed for a symlink over and over, transfers in both directions stay inside."""
    names = [f"f{number}" for number in range(120)]  # enough for the copiers of small files
    for name in names:
        (tmp_path / name).write_bytes(SECRET)
    for side in (lab.source, lab.destination):
        (side / "d").mkdir()
        for name in names:
            (side / "d" / name).write_bytes(b"public")
    before = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    began = time.monotonic()
    rounds = 0
    with swapping(lab.source / "d", tmp_path) as reads, swapping(lab.destination / "d", tmp_path) as writes:
        while rounds < 10 and time.monotonic() - began < 10:
            tasks = [lab.submit(*(f"d/{name}" for name in names), skip_source_errors=True), lab.submit("d")]
            for task_id in tasks:
                lab.wait(task_id, lambda task: task["status"] != "ACTIVE" or task["faults"] > 0)
                with suppress(globus_sdk.TransferAPIError):
                    lab.client.cancel_task(task_id)
            for operation in (lab.client.operation_ls, lab.client.operation_stat):
                with suppress(globus_sdk.TransferAPIError):
                    operation(lab.source_id, path=lab.path("d"))
            with suppress(globus_sdk.TransferAPIError):
                lab.client.operation_mkdir(lab.destination_id, lab.path(f"d/new{rounds}"))
            rounds += 1
    assert min(reads[0], writes[0]) > 1000
    assert {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == before
    assert all(path.read_bytes() == SECRET for path in tmp_path.iterdir())
    assert {path.read_bytes() for path in (lab.destination / "d").rglob("*") if path.is_file()} == {b"public"}


def test_the_check_is_not_what_confines(tmp_path: Path) -> None:
    """A symlink put in place after the path was resolved makes the opening fail."""
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    for folder in (inside / "a", inside / "b", outside):
        folder.mkdir(parents=True)
    (inside / "through").symlink_to("a")

    class Swapped(Root):
        def real_parts(self, parts: tuple[str, ...]) -> tuple[str, ...]:
            found = super().real_parts(parts)
            (inside / "a").rmdir()
            (inside / "a").symlink_to(outside)
            return found

    with pytest.raises(OSError, match="Not a directory"):
        Swapped(str(inside)).open_directory(("through",))


def test_dots_that_came_past_the_door_are_refused(tmp_path: Path) -> None:
    """Even if no request was checked."""
    (tmp_path / "inside").mkdir()
    (tmp_path / "outside").mkdir()
    folder = Folder(str(tmp_path / "inside"))
    for call in (folder.scan, folder.children, folder.make_directory, folder.stat):
        with pytest.raises(OutsideError):
            call(("..", "outside"))


def test_very_long_names_and_paths(lab: Lab) -> None:
    """They are errors of the system, said in an error document, and fatal to a task."""
    lab.put("file")
    for path in (lab.path("x" * 256), lab.path("/".join(["y" * 200] * 50))):
        for operation in ("ls", "stat"):
            answer = lab.raw("GET", f"/v0.10/operation/endpoint/{lab.source_id}/{operation}", params={"path": path})
            assert answer.status_code in (404, 502)
            assert answer.json()["message"]
    task = lab.wait(lab.submit("file", "x" * 256))
    assert (task["status"], task["fatal_error"]["code"]) == ("FAILED", "INVALID_PATH_NAME")
    deep = "/".join(["z" * 250] * 20)  # longer than a path may be in one system call
    data = lab.data()
    data.add_item(lab.path("file"), lab.path(f"{deep}/file"))
    assert lab.wait(lab.client.submit_transfer(data)["task_id"])["status"] == "SUCCEEDED"


def test_names_with_line_breaks_are_told_and_not_moved(lab: Lab) -> None:
    """A walk that meets one is fatal, as Globus has no such names (contract section 5)."""
    lab.put("t/a\nb")
    listing = lab.client.operation_ls(lab.source_id, path=lab.path("t"))
    assert [one["name"] for one in listing] == ["a\nb"]
    task = lab.transfer("t")
    assert (task["status"], task["fatal_error"]["code"]) == ("FAILED", "INVALID_PATH_NAME")


def test_names_that_are_not_utf8_stay_where_they_are(lab: Lab) -> None:
    """They are neither listed nor walked, and the directory that holds them is moved without them."""
    (lab.source / "t").mkdir()
    (lab.source / os.fsdecode(b"t/\xff\xfe")).write_bytes(SECRET)
    (lab.source / os.fsdecode(b"t/dir\xff")).mkdir()
    lab.put("t/good")
    assert [one["name"] for one in lab.client.operation_ls(lab.source_id, path=lab.path("t"))] == ["good"]
    assert lab.transfer("t")["status"] == "SUCCEEDED"
    assert lab.arrived("t") == ["good"]
    answer = lab.raw("GET", f"/v0.10/operation/endpoint/{lab.source_id}/stat?path={lab.path('t')}/%ff%fe")
    assert answer.status_code in (400, 404)


def test_a_body_has_a_limit(lab: Lab) -> None:
    """One that is too large is refused before it is all in memory, and the next request is answered."""

    def endless() -> Iterator[bytes]:
        chunk = b" " * 1024 * 1024
        for _ in range(2000):
            yield chunk

    with suppress(ConnectionError, OSError):  # the server may hang up rather than read on
        answer = lab.raw("POST", "/v0.10/transfer", data=endless())
        assert (answer.status_code, answer.json()["code"]) == (413, "RequestEntityTooLarge")
    status = Path(f"/proc/{lab.emulator.pid}/status").read_text()
    assert int(status.split("VmHWM:")[1].split()[0]) < 600 * 1024
    assert lab.raw("GET", "/v0.10/task_list").status_code == 200
