"""The real globus-cli, end to end: collections, files, and what is submitted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from support.cli import record, table

if TYPE_CHECKING:
    from pathlib import Path

    from tests.emulator.conftest import Lab

    from support.cli import GlobusCli


def submitted(text: str) -> str:
    """The task that a person is told of."""
    return record(text)["Task ID"]


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_ls_long(cli: GlobusCli, desk: Lab) -> None:
    """One row a file, with permissions, size, time and type."""
    desk.put("file.txt", b"12345").chmod(0o640)
    (desk.source / "folder").mkdir()
    rows = {row["Filename"]: row for row in table(cli.run("ls", "-l", desk.here()))}
    assert set(rows) == {"file.txt", "folder/"}
    assert {name: rows["file.txt"][name] for name in ("Permissions", "Size", "File Type")} == {
        "Permissions": "0640",
        "Size": "5",
        "File Type": "file",
    }
    assert rows["folder/"]["File Type"] == "dir"


def test_ls_recursive_and_filtered(cli: GlobusCli, desk: Lab) -> None:
    """The CLI walks by itself, one listing a directory."""
    for name in ("a.txt", "sub/b.txt", "sub/deep/c.dat"):
        desk.put(name)
    said = cli.run("ls", "-r", desk.here()).splitlines()
    assert sorted(said) == ["a.txt", "sub/", "sub/b.txt", "sub/deep/", "sub/deep/c.dat"]
    assert cli.run("ls", desk.here(), "--filter", "~*.txt").split() == ["a.txt"]
    found = cli.run("ls", "-r", desk.here(), "--filter", "~*.txt").splitlines()
    assert {name for name in found if not name.endswith("/")} == {"a.txt", "sub/b.txt"}


def test_ls_of_nothing(cli: GlobusCli, desk: Lab) -> None:
    """A missing directory is an error with Globus' status and code."""
    said = cli.run("ls", desk.here("none"), status=1)
    assert "404" in said
    assert "ClientError.NotFound" in said


def test_stat(cli: GlobusCli, desk: Lab) -> None:
    """As text, as JSON, and of nothing."""
    desk.put("file.txt", b"12345")
    assert record(cli.run("stat", desk.here("file.txt")))["Size"] == "5"
    assert cli.json("stat", desk.here("file.txt"))["type"] == "file"
    assert "Nothing found at" in cli.run("stat", desk.here("none"))


def test_mkdir_and_rename(cli: GlobusCli, desk: Lab) -> None:
    """Both do what they say, and say what went wrong."""
    assert "created successfully" in cli.run("mkdir", desk.here("new"))
    assert "ExternalError.MkdirFailed.Exists" in cli.run("mkdir", desk.here("new"), status=1)
    assert "renamed successfully" in cli.run("rename", desk.source_id, desk.path("new"), desk.path("newer"))
    assert [path.name for path in desk.source.iterdir()] == ["newer"]


def test_transfer_of_one_file(cli: GlobusCli, desk: Lab) -> None:
    """What a person sees, and what is on disk."""
    desk.put("one.txt", b"one")
    said = cli.run("transfer", desk.here("one.txt"), desk.there("to/one.txt"), "--label", "one file")
    assert "The transfer has been accepted and a task has been created" in said
    task = desk.wait(submitted(said))
    assert (task["status"], task["label"], task["verify_checksum"]) == ("SUCCEEDED", "one file", True)
    assert files(desk.destination) == {"to/one.txt": b"one"}


def test_paths_are_spelled_as_its_help_spells_them(cli: GlobusCli, desk: Lab) -> None:
    """`~/` is the top of a collection, also for the items of a batch."""
    desk.put("file.txt", b"12345")
    source, destination = f"{desk.source_id}:~/", f"{desk.destination_id}:~/"
    assert cli.run("ls", source + desk.base).split() == ["file.txt"]
    line = f"{desk.base}/file.txt {desk.base}/copy\n"
    task = cli.value("task_id", "transfer", source, destination, "--batch", "-", stdin=line)
    assert desk.wait(task)["status"] == "SUCCEEDED"
    assert files(desk.destination) == {"copy": b"12345"}


def test_transfer_of_a_folder_with_exclusions(cli: GlobusCli, desk: Lab) -> None:
    """`-r --include --exclude`: the first rule that matches a name decides."""
    for name in ("tree/a.txt", "tree/a.log", "tree/keep.log", "tree/sub/b.log", "tree/sub/c.txt"):
        desk.put(name, name.encode())
    rules = ("--include", "keep*", "--exclude", "*.log")
    task = cli.value("task_id", "transfer", "-r", desk.here("tree"), desk.there("tree"), *rules)
    assert desk.wait(task)["status"] == "SUCCEEDED"
    assert set(files(desk.destination / "tree")) == {"a.txt", "keep.log", "sub/c.txt"}


def test_transfer_of_a_batch(cli: GlobusCli, desk: Lab) -> None:
    """`--batch -`: lines of pairs, quoted as in a shell, below the paths of the command."""
    for name in ("plain", "with blank", "folder/inside"):
        desk.put(name, name.encode())
    lines = 'plain plain\n"with blank" "with blank"\n# a comment\n\n--recursive folder folder\n'
    task = cli.value("task_id", "transfer", desk.here(), desk.there(), "--batch", "-", stdin=lines)
    assert desk.wait(task)["status"] == "SUCCEEDED"
    assert files(desk.destination) == files(desk.source)


def test_transfer_of_what_differs(cli: GlobusCli, desk: Lab) -> None:
    """`--sync-level checksum --preserve-mtime`: equal files stay, others are moved."""
    desk.put("tree/same", b"same")
    desk.put("tree/other", b"right")
    (desk.destination / "tree").mkdir()
    (desk.destination / "tree/same").write_bytes(b"same")
    (desk.destination / "tree/other").write_bytes(b"wrong")
    options = ("--sync-level", "checksum", "--preserve-mtime")
    task = desk.wait(cli.value("task_id", "transfer", "-r", desk.here("tree"), desk.there("tree"), *options))
    assert (task["files_transferred"], task["files_skipped"], task["sync_level"]) == (1, 1, 3)
    assert files(desk.destination / "tree") == {"same": b"same", "other": b"right"}
    assert int((desk.destination / "tree/other").stat().st_mtime) == int((desk.source / "tree/other").stat().st_mtime)


def test_transfer_that_mirrors(cli: GlobusCli, desk: Lab) -> None:
    """`--delete-destination-extra` removes what the source does not have."""
    desk.put("tree/file", b"file")
    (desk.destination / "tree/extra").mkdir(parents=True)
    (desk.destination / "tree/extra/old").write_bytes(b"old")
    command = ("transfer", "-r", desk.here("tree"), desk.there("tree"), "--delete-destination-extra")
    assert desk.wait(cli.value("task_id", *command))["status"] == "SUCCEEDED"
    assert [path.name for path in (desk.destination / "tree").iterdir()] == ["file"]


def test_one_submission_id_twice_is_one_task(cli: GlobusCli, desk: Lab) -> None:
    """The second is answered with the first one's task, while it runs or afterwards."""
    desk.put("once")
    submission = cli.run("task", "generate-submission-id").strip()
    command = ("transfer", desk.here("once"), desk.there("once"), "--submission-id", submission)
    first, second = cli.json(*command), cli.json(*command)
    assert (first["code"], second["code"]) == ("Accepted", "Duplicate")
    assert first["task_id"] == second["task_id"]
    assert second["submission_id"] == submission


def test_delete(cli: GlobusCli, desk: Lab) -> None:
    """A file, a folder with `-r`, and what is not there with `--ignore-missing`."""
    for name in ("file", "folder/deep/inside", "kept"):
        desk.put(name)
    lines = "file\nfolder\nnone\n"
    said = cli.run("delete", "-r", "--ignore-missing", desk.here(), "--batch", "-", stdin=lines)
    assert "The delete has been accepted and a task has been created" in said
    task = desk.wait(submitted(said))
    assert (task["status"], task["type"], task["destination_endpoint_id"]) == ("SUCCEEDED", "DELETE", None)
    assert list(files(desk.source)) == ["kept"]
    assert not (desk.source / "folder").exists()


def test_rm_waits_for_the_end(cli: GlobusCli, desk: Lab) -> None:
    """`globus rm` is a delete task that is waited for; without --ignore-missing a missing file makes it fail."""
    desk.put("file")
    cli.run("rm", desk.here("file"))
    assert files(desk.source) == {}
    cli.run("rm", desk.here("file"), status=1)
    newest = desk.client.task_list(limit=1)["DATA"][0]
    assert (newest["type"], newest["status"]) == ("DELETE", "FAILED")
    assert newest["fatal_error"]["code"] == "FILE_NOT_FOUND"


def test_endpoint_search_and_show(cli: GlobusCli, desk: Lab) -> None:
    """A collection is found by its name and shown by its id."""
    assert table(cli.run("endpoint", "search", "destin")) == [
        {"ID": desk.destination_id, "Owner": "emulator@localhost", "Display Name": "destination", "Domain": "None"}
    ]
    shown = record(cli.run("endpoint", "show", desk.source_id))
    assert (shown["Display Name"], shown["ID"], shown["GCP Connected"]) == ("source", desk.source_id, "True")
    assert "EndpointNotFound" in cli.run("endpoint", "show", cli.client_id, status=1)


def test_whoami(cli: GlobusCli) -> None:
    """A client is its own identity."""
    shown = cli.json("whoami")
    assert shown["sub"] == cli.client_id
    assert cli.run("whoami").strip() == shown["preferred_username"]
    assert cli.client_id in cli.run("whoami", "--verbose")


def test_get_identities(cli: GlobusCli) -> None:
    """An id has a name, and a name an id."""
    name = cli.run("get-identities", cli.client_id).strip()
    assert cli.run("get-identities", name).strip() == cli.client_id
