"""`prefect-globus delete-source` and `delete-extra`, on plain folders."""

from __future__ import annotations

import json

from shells import Shell, call, contents


def test_delete_what_was_moved_and_what_is_extra(shell: Shell) -> None:
    """A dry run shows it, without --yes it asks, and only then something is deleted."""
    source, copy = shell.tree("source", 6), shell.folder / "copy"
    assert shell.run("transfer", "source", "copy", "--id", "one", "-q").returncode == 0
    (copy / "1/4.dat").write_bytes(b"cut")
    (copy / "old").mkdir()
    (copy / "old/x").write_text("extra")
    files = contents(source)
    plan = shell.run("delete-source", "one", "--dry-run", "-q", "--limit", "1")
    assert plan.stderr == ""
    assert [line.partition(" from ")[0] for line in plan.stdout.splitlines()] == [
        "5 files, 4.9 KiB, would be deleted",
        "  0/0.dat",
        "  and 4 more (--limit)",
        "1 stay: 1 TRUNCATED",
        "  TRUNCATED        1/4.dat",
    ]
    asked = shell.run("delete-extra", "one", "-q")
    assert asked.returncode == 130
    assert "Delete 1 item for good?" in asked.stdout
    assert (contents(source), (copy / "old/x").exists()) == (files, True)
    extra = shell.run("delete-extra", "one", "--yes", "--json", "-q")
    assert json.loads(extra.stdout)["items_deleted"] == 1
    assert not (copy / "old").exists()
    done = shell.run("delete-source", "one", "--yes", "-q")
    assert done.stdout.startswith("5 files, 4.9 KiB, deleted from")
    assert set(contents(source)) == {"1/4.dat"}


def test_nobody_is_asked_in_json(here: object) -> None:
    """So it must be said beforehand."""
    del here
    refused = call("delete-source", "one", "--json")
    assert (refused.code, refused.out) == (2, "")
    assert "--dry-run or --yes" in refused.err


def test_a_limit_is_not_taken_for_one_of_what_is_deleted(here: object) -> None:
    """With --yes nothing is named, so whoever gives it means something else."""
    del here
    refused = call("delete-source", "one", "--yes", "--limit", "1")
    assert (refused.code, refused.out) == (2, "")
    assert "not of what is deleted" in refused.err
