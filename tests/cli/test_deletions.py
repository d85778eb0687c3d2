"""`prefect-globus deletions`, on plain folders."""

from __future__ import annotations

import json

from shells import Shell, call


def test_what_is_gone_is_listed(shell: Shell) -> None:
    """By what the copy has now, which is served for that."""
    source = shell.tree("source", 6)
    assert shell.run("transfer", "source", "copy", "--id", "one", "-q").returncode == 0
    (source / "0/3.dat").unlink()
    how = ("--mode", "incremental", "--compare-with", "destination")
    run = shell.run("transfer", "source", "copy", "--id", "two", "-q", *how)
    assert run.returncode == 0
    assert "5 unchanged" in run.stdout
    answer = shell.run("deletions", "two", "--json")
    assert (answer.returncode, answer.stderr) == (0, "")
    assert [(each["path"], each["type"]) for each in json.loads(answer.stdout)] == [("0/3.dat", "file")]
    refused = shell.run("deletions", "one")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr.startswith("Error: 'one' is not incremental")


def test_options_that_contradict_each_other(here: object) -> None:
    """Are refused in one line."""
    del here
    place = "6c54cade-bde5-45c1-bdea-f4bd71dba2cc:/x"
    refused = call("transfer", place, f"{place}y", "--mode", "incremental", "--sync-level", "mtime")
    assert (refused.code, refused.out) == (2, "")
    assert "drop it, or choose checksum" in refused.err
