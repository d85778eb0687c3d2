"""What the command line says of itself, and of what it does not take: every text is one that somebody has read."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
import snapshots
from shells import COMMAND, call

from prefect_globus.blocks import SqlCheckpointStore
from prefect_globus.cli.help import Command
from prefect_globus.cli.main import cli
from prefect_globus.transfers.location import Location
from prefect_globus.transfers.model import Transfer

LAB, ARCHIVE = "6c54cade-bde5-45c1-bdea-f4bd71dba2cc", "31ce9ba0-176d-45a5-add3-f37d233ba47d"
STAND_INS = {"$LAB": LAB, "$ARCHIVE": ARCHIVE, "$CLIENT_ID": LAB, "$TIMER": LAB}
# The emulator stands alone, and knows nothing of this help.
WITHOUT_EXAMPLES = {"emulator serve"}


def _commands(group: click.Group = cli, path: str = "") -> Iterator[tuple[str, click.Command]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        yield f"{path}{name}", command
        if isinstance(command, click.Group):
            yield from _commands(command, f"{path}{name} ")


COMMANDS = dict(_commands())


def _help(path: str, columns: int, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("COLUMNS", str(columns))
    said = call(*path.split(), "--help")
    assert (said.code, said.err) == (0, "")
    return said.out


@pytest.mark.parametrize("path", ["", *COMMANDS])
def test_help_is_as_somebody_has_read_it(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """At 80 columns; in a terminal of 200 a line is still one that an eye can follow."""
    text = _help(path, 80, monkeypatch)
    assert max(map(len, text.splitlines())) <= 80
    snapshots.check("-".join(["help", *path.split()]), text)
    assert max(map(len, _help(path, 200, monkeypatch).splitlines())) <= 100


@pytest.mark.parametrize("path", ["", *(name for name, each in COMMANDS.items() if isinstance(each, click.Group))])
def test_no_summary_of_a_command_is_cut_short(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "..." not in _help(path, 80, monkeypatch).partition("Usage:")[2].partition("\n")[2]


@pytest.mark.parametrize("path", COMMANDS)
def test_each_example_is_a_command_that_parses(path: str) -> None:
    """And is one of the command whose help it is in."""
    found = COMMANDS[path]
    examples = found.examples if isinstance(found, Command) else []
    assert examples or isinstance(found, click.Group) or path in WITHOUT_EXAMPLES
    for example in examples:
        assert f"prefect-globus {path}" in example.line
        line = re.sub(r"\$\w+", lambda name: STAND_INS[name[0]], example.line)
        line = re.sub(r"^eval \"\$\((.*)\)\"$", r"\1", line)
        words = shlex.split(re.split(r" [|>] ", line)[0])[1:]
        command: Any = cli
        context = command.make_context("prefect-globus", words, resilient_parsing=False)
        while isinstance(command, click.Group):
            name, command, words = command.resolve_command(context, [*context._protected_args, *context.args])
            assert command is not None
            context = command.make_context(name, words, parent=context)


def test_help_needs_no_prefect() -> None:
    """Which takes seconds to import."""
    code = "import sys; from prefect_globus.cli.main import cli; cli.main(['--help'], standalone_mode=False)"
    heavy = "[name for name in ('prefect', 'sqlalchemy', 'globus_sdk', 'fastapi') if name in sys.modules]"
    said = subprocess.run([sys.executable, "-c", f"{code}; print({heavy})"], capture_output=True, text=True, check=True)
    assert said.stdout.splitlines()[-1] == "[]"


# --- errors

WRONG = [
    "statsu nightly",
    "status nightly --wacth",
    "status",
    "status nigthly",
    "status nothing-like-it",
    "items ../x",
    "transfer a",
    "transfer nowhere b",
    "transfer a a/b",
    f"transfer a {LAB}:/b",
    f"transfer {LAB}:/a {LAB}:b",
    f"transfer {LAB}:/a {LAB}:/a/b",
    f"transfer {LAB}:/a {ARCHIVE}:/b",
    f"transfer {LAB}:/a {ARCHIVE}:/other --id nightly",
    "transfer a b --id 'a b'",
    "transfer a b --max-size big --stall-seconds soon",
    "transfer a b --max-size 1KiB --min-size 1MiB --retry-limit -1",
    "transfer a b --sync-level newer",
    "resume nigthly",
    "redrive nightly",
    "pause nigthly",
    "verify nigthly",
    "delete-source nigthly --dry-run",
    "purge --older-than 3",
    "purge",
    "list --database sqlite:////no/such/file.db",
    "list --database mysql://there/db",
    f"schedule create {LAB}:/a {ARCHIVE}:/b --name nightly",
    f"schedule create {LAB}:/a {ARCHIVE}:/b --name nightly --cron never",
    "schedule list",
    f"timers create {LAB}:/a {ARCHIVE}:/b --every 1h --count 0",
    "timers show nightly",
    "completion tcsh",
    "whoami",
]


def test_each_error_is_a_line_that_says_what_to_do(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And what begins a transfer is refused before anything is begun, a Prefect server included."""
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    monkeypatch.setenv("PREFECT_HOME", str(here / "prefect"))
    store = SqlCheckpointStore()
    between = {"source": Location.parse(f"{LAB}:/a"), "destination": Location.parse(f"{ARCHIVE}:/b")}
    store.create_transfer(Transfer(id="nightly", **between))
    (here / "a").mkdir()
    texts = []
    for line in WRONG:
        said = call(*shlex.split(line))
        assert said.out == ""
        assert "Starting" not in said.err
        texts.append(f"$ prefect-globus {line}\n{said.err}[{said.code}]\n")
    assert not (here / "b").exists()
    snapshots.check("errors", "\n".join(texts).replace(str(here), "/home/me"))


@pytest.mark.parametrize("arguments", [["--help"], ["completion", "bash"]])
def test_a_reader_that_has_seen_enough_gets_no_error(arguments: list[str], tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "wb") as nobody:
        done = subprocess.run([*COMMAND, *arguments], stdout=nobody, stderr=subprocess.PIPE, cwd=tmp_path, check=False)
    assert (done.returncode, done.stderr) == (1, b"")
