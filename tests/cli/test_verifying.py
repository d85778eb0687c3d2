"""`prefect-globus verify` and `forget`, on plain folders."""

from __future__ import annotations

import json

from shells import Shell, call, contents


def test_verify_and_repair(shell: Shell) -> None:
    """The exit status says whether something is wrong still; the folders are known though the transfer is complete."""
    source, copy = shell.tree("source", 12), shell.folder / "copy"
    assert shell.run("transfer", "source", "copy", "--id", "one", "-q").returncode == 0
    fine = shell.run("verify", "one", "-q", "--source")
    assert (fine.returncode, fine.stdout, fine.stderr) == (0, "one: nothing differs, in 12 items\n", "")
    (copy / "0/3.dat").unlink()
    (copy / "1/4.dat").write_bytes(b"cut")
    found = shell.run("verify", "one", "-q")
    assert found.returncode == 1
    assert found.stdout.splitlines() == [
        "one: 2 differ, in 12 items",
        "  MISSING          0/3.dat",
        "  TRUNCATED        1/4.dat",
        "Repair with: prefect-globus verify one --repair",
    ]
    assert found.stderr == ""
    repaired = shell.run("verify", "one", "-q", "--repair", "--json")
    assert repaired.returncode == 0
    said = json.loads(repaired.stdout)
    assert (said["items_repaired"], said["repair"]["id"]) == (2, "one+repair-1")
    assert contents(copy) == contents(source)
    assert shell.run("verify", "one", "-q").returncode == 0


def test_forget_what_was_delivered(shell: Shell) -> None:
    """One file, for the next transfer."""
    shell.tree("source", 6)
    for number, expected in ((1, 6), (2, 0), (3, 1)):
        run = shell.run("transfer", "source", "copy", "--id", f"n{number}", "-q", "--json", "--idempotency", "mtime")
        assert json.loads(run.stdout)["items_transferred"] == expected
        if number == 2:
            forgotten = shell.run("forget", "source", "copy", "1/4.dat")
            assert forgotten.stdout == "'1/4.dat' is forgotten; n2 had it last\n"


def test_what_cannot_be_verified_or_forgotten(here: object) -> None:
    """Is said in one line."""
    del here
    place = "6c54cade-bde5-45c1-bdea-f4bd71dba2cc:/x"
    nothing = call("forget", place, place, "a")
    assert (nothing.code, nothing.out) == (2, "")
    assert "\nError: No transfer from" in nothing.err
    assert call("forget", place, "plain", "a").code == 2
    assert call("verify", "one", "--clock-skew", "-1").code == 2
