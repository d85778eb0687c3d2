"""Going through a page of the documentation as its reader does: one block after the other, in a folder of their own."""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from prefect_globus.cli.main import main
from support.pages import Block, Command, Page

WRITE = "WRITE_PAGES"
PATIENCE = 240.0  # seconds that a command may take on a busy machine
HOME = "/home/you"  # how a page writes the folder that its reader is in
_PLAIN = re.compile(r"prefect-globus [^|&;<>$`\n]*")
_EXPORT = re.compile(r"export( [A-Z_]+=[^ ]*)+\s*(#.*)?")
_MOMENT = r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d(:\d\d(\.\d+)?)?( ?UTC|Z|[+-]\d\d:\d\d)?"
# what is another one each time, and what stands for it when two outputs are compared
_MASKS = tuple(
    (re.compile(pattern), mask)
    for pattern, mask in (
        (r"\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b", "UUID"),
        (_MOMENT, "MOMENT"),
        (r"\b[\d.,]+ (B|[KMGT]iB)/s", "RATE"),
        (r" \(\d:\d\d:\d\d\)$", ""),
        (r"\b\d+(\.\d+)? ?(ms|s|min|h)( \d+ ?(s|min))?\b", "SPAN"),
        (r"\bprocess \d+", "process PID"),
        (r"\b\w+ on \w[\w.-]*, process", "you on here, process"),
        (r"[ \t]+", " "),
    )
)


@dataclass
class Reader:
    """Somebody who does what a page says.

    Args:
        folder: where they are.
        replacements: what has to be another text here, such as a port that is free.
    """

    folder: Path
    replacements: dict[str, str] = field(default_factory=dict)
    names: dict[str, Any] = field(default_factory=lambda: {"__name__": "docs"})
    printed: str = ""
    rewritten: list[tuple[str, str]] = field(default_factory=list)
    _background: list[subprocess.Popen[str]] = field(default_factory=list)

    def follow(self, page: Page) -> int:
        """Run every block of ``page`` that runs here; return how many did.

        With WRITE_PAGES=1 in the environment, what a command prints is written into the page where it differs.

        Raises:
            AssertionError: a command has ended otherwise, or has printed something else, than the page says.
        """
        run = [block for block in page.blocks if self._follow(block)]
        text = page.text
        for before, after in self.rewritten:
            text = text.replace(before, after, 1)
        if self.rewritten:
            page.path.write_text(text, encoding="utf-8")
        return len(run)

    def end(self) -> None:
        """End what was begun in the background."""
        for process in self._background:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def _follow(self, block: Block) -> bool:
        if block.note("printed") is not None:
            _compare(str(block), block.text.splitlines(), self._told(self.printed))
        if not block.runs_here:
            return False
        text = self._here(block.text)
        name = block.note("file")
        if name is not None:
            (self.folder / name).write_text(text, encoding="utf-8")
        elif block.language == "python":
            self._python(str(block), text)
        elif block.language == "yaml":
            yaml.safe_load(text)
        elif block.language == "bash":
            self._bash(str(block), text, 0)
        else:
            self._session(block)
        return True

    def _python(self, where: str, text: str) -> None:
        said = io.StringIO()
        with contextlib.redirect_stdout(said):
            exec(compile(text, where, "exec"), self.names)
        self.printed = said.getvalue()

    def _session(self, block: Block) -> None:
        status = int((block.note("exit status") or "0").split()[0])
        for command in block.commands:
            last = command is block.commands[-1]
            said = self._told(self._command(f"{block}: {command.line}", command, status if last else 0))
            if command.output and block.note("output varies") is None:
                self._hold(f"{block}: {command.line}", command, said)

    def _hold(self, where: str, command: Command, said: str) -> None:
        try:
            _compare(where, command.output, said)
        except AssertionError:
            if not os.environ.get(WRITE) or "..." in command.output:
                raise
            before, after = "\n".join(command.output), said.rstrip("\n")
            self.rewritten.append((f"{command.line}\n{before}", f"{command.line}\n{after}"))

    def _command(self, where: str, command: Command, status: int) -> str:
        line = self._here(command.line)
        if _EXPORT.fullmatch(line):
            os.environ.update(word.split("=", 1) for word in shlex.split(line, comments=True)[1:])
            return ""
        if line.rstrip().endswith(" &"):
            self._begin(line.rstrip().removesuffix(" &"))
            return ""
        if _PLAIN.fullmatch(line):
            return _called(where, shlex.split(line, comments=True)[1:], status)
        return self._bash(where, line, status)

    def _begin(self, line: str) -> None:
        process = subprocess.Popen(
            ["bash", "-c", f"exec {line}"],
            cwd=self.folder,
            env=_environment(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )
        self._background.append(process)

    def _bash(self, where: str, text: str, status: int) -> str:
        if self._background:
            text = text.replace("$!", str(self._background[-1].pid))
        ended = subprocess.run(
            ["bash", "-eu", "-c", text],
            cwd=self.folder,
            env=_environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE,
        )
        assert ended.returncode == status, f"{where}: {ended.returncode}\n{ended.stdout}{ended.stderr}"
        return ended.stdout

    def _here(self, text: str) -> str:
        for there, here in self.replacements.items():
            text = text.replace(there, here)
        return text

    def _told(self, text: str) -> str:
        """What was said, as the page would say it."""
        text = text.replace(str(self.folder), HOME)
        for there, here in self.replacements.items():
            text = text.replace(here, there)
        return text


def _environment() -> dict[str, str]:
    return {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}


def _called(where: str, words: list[str], status: int) -> str:
    """Call our command here, where importing Prefect was paid for already."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), pytest.raises(SystemExit) as end:
        main(words)
    code = int(end.value.code or 0)
    assert code == status, f"{where}: {code}\n{out.getvalue()}{err.getvalue()}"
    return out.getvalue()


def _compare(where: str, expected: tuple[str, ...] | list[str], said: str) -> None:
    """Hold what was ``said`` against the page, in which ``...`` stands for anything, and alone for any lines."""
    lines = [_masked(line) for line in expected]
    patterns = [r"(?:.*\n)*?" if line == "..." else _pattern(line) + r"\n" for line in lines]
    text = "".join(f"{_masked(line)}\n" for line in said.rstrip("\n").splitlines())
    wanted = "\n".join(lines)
    assert re.fullmatch("".join(patterns), text), f"{where}\n--- the page ---\n{wanted}\n--- it says ---\n{said}"


def _masked(line: str) -> str:
    for pattern, mask in _MASKS:
        line = pattern.sub(mask, line)
    return line.rstrip()


def _pattern(line: str) -> str:
    return ".*".join(re.escape(part) for part in re.split(r"\.\.\.|…", line))
