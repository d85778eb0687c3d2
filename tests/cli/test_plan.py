"""`prefect-globus plan`, dry runs, and the question at a terminal; on plain folders."""

from __future__ import annotations

import json
import os
import pty
import select
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager

from shells import COMMAND, PATIENCE, Shell, call, contents

from prefect_globus import SqlCheckpointStore, TransferStatus
from prefect_globus.blocks.sql_engine import DATABASE_URL_VARIABLE
from prefect_globus.transfers.model import PausedBy


def test_a_plan_says_what_a_transfer_would_do_and_does_nothing(shell: Shell) -> None:
    """In words and as JSON; the folder DST is not made, nothing is on record, and nothing is left behind."""
    source = shell.tree("source", 6)
    (source / "odd\x1b name").write_text("x")
    said = shell.run("plan", "source", "copy", "--limit", "1", "--batch-size", "3")
    assert (said.returncode, said.stderr) == (0, ""), said.stderr
    assert said.stdout.startswith(f"{source}/ to {shell.folder / 'copy'}/\n")
    assert "  to move        7 items, 5.9 KiB, nothing of which is at the destination\n" in said.stdout
    assert "  batches        3, by 3 Globus tasks if none has to be repeated\n" in said.stdout
    assert "not known: there is no past run between these collections" in said.stdout
    assert not (shell.folder / "copy").exists()
    assert not (shell.home / ".local/share/prefect-globus/local").exists()

    assert shell.run("transfer", "source", "copy", "--id", "one", "-q").returncode == 0
    (source / "0/0.dat").write_text("changed")
    how = ("--mode", "incremental", "--json")
    plan = json.loads(shell.run("transfer", "source", "copy", "--dry-run", *how).stdout)
    assert (plan["to_move"]["items"], plan["left_alone"]["DELIVERED"]["items"], plan["since"]) == (1, 6, "one")
    assert plan["estimate"]["runs"] == 1
    assert [each.id for each in store_of(shell).list_transfers()] == ["one"]


def test_what_cannot_be_planned_or_asked_is_told_in_a_line(here: object) -> None:
    """Nobody can be asked without a terminal, and without a server that somebody may look at."""
    del here
    for arguments, words in (
        (("plan", "./no-such-folder", "./copy"), "does not exist"),
        (("plan", ".", "./inside"), "lies inside the source"),
        (("plan", ".", "../copy", "--sync-level", "mtime", "--mode", "incremental"), "choose checksum"),
        (("transfer", ".", "../copy", "--approval"), "there is nobody to ask"),
        (("preflight", ".", "../copy"), "looks at Globus collections, written UUID:/path, and '.' is none."),
    ):
        refused = call(*arguments)
        assert (refused.code, refused.out) == (2, "")
        assert words in refused.err
        assert len(refused.err.splitlines()) == 1


def store_of(shell: Shell) -> SqlCheckpointStore:
    return SqlCheckpointStore(url=shell.environment[DATABASE_URL_VARIABLE])


@contextmanager
def at_a_terminal(shell: Shell, *arguments: str) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """A command whose standard input and error are a terminal, and the other end of that."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [*COMMAND, *arguments],
        cwd=shell.folder,
        env=shell.environment | {"TERM": "dumb"},
        stdin=theirs,
        stdout=subprocess.DEVNULL,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    try:
        yield process, ours
    finally:
        process.kill()
        process.wait()
        os.close(ours)


def read_until(terminal: int, words: str) -> str:
    """What stands on the terminal, once it has ``words``."""
    seen, give_up = "", time.monotonic() + PATIENCE
    while words not in seen:
        assert time.monotonic() < give_up, seen
        if select.select([terminal], [], [], 0.5)[0]:
            seen += os.read(terminal, 65536).decode(errors="replace")
    return seen


def test_a_person_at_the_terminal_is_asked_before_anything_moves(shell: Shell) -> None:
    """Ctrl-D leaves the question open; then it is asked again, in another process, and yes has it go on."""
    shell.tree("source", 3)
    with at_a_terminal(shell, "transfer", "source", "copy", "--id", "one", "--ask") as (process, terminal):
        assert "to move        3 items" in read_until(terminal, "Transfer this? [y/N]:")
        os.write(terminal, b"\x04")
        read_until(terminal, "prefect-globus resume one")
        assert process.wait(PATIENCE) == 130
    left = store_of(shell).load_transfer("one")
    assert (left.status, left.paused_by) == (TransferStatus.PAUSED, PausedBy.APPROVAL)
    assert list((shell.folder / "copy").iterdir()) == []
    with at_a_terminal(shell, "resume", "one") as (process, terminal):
        read_until(terminal, "Transfer this? [y/N]:")
        os.write(terminal, b"y\n")
        assert process.wait(PATIENCE) == 0
    assert contents(shell.folder / "copy") == contents(shell.folder / "source")
    assert store_of(shell).load_transfer("one").is_approved
