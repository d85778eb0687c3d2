"""The pages of the documentation as data: their fenced blocks, and what a comment before a block says of it.

A block runs unless the comment in front of it says otherwise:

    <!-- not run: REASON -->              nobody can, here
    <!-- run by tests/cli/test_x.py -->   another test does; at the top of a page, before its title, all of them
    <!-- exit status 1 -->                its last command ends with that
    <!-- file: NAME -->                   what it shows is a file of that name
    <!-- output varies -->                what its commands print is an example
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from markdown_it import MarkdownIt

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
RUNNABLE = frozenset({"console", "python", "bash", "yaml"})
FIRST = (
    "README.md",
    "docs/tutorial.md",
    "docs/schedule-it.md",
    "docs/testing-pipelines.md",
)  # in a test file of their own
SHOWN = frozenset({"", "text"})  # what is looked at only
_COMMENT = re.compile(r"<!--\s*(.*?)\s*-->", re.DOTALL)


@dataclass(frozen=True)
class Command:
    """What stands behind a ``$``, and what it prints below that."""

    line: str
    output: tuple[str, ...]


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    page: str
    line: int  # of its first line, counted from 1
    language: str
    text: str
    notes: tuple[str, ...]  # of the comments before it

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"

    def note(self, name: str) -> str | None:
        """What the note that begins with ``name`` goes on to say; None when there is none."""
        found = (note.removeprefix(name).lstrip(": ") for note in self.notes if note.startswith(name))
        return next(found, None)

    @property
    def elsewhere(self) -> str | None:
        """The test that runs it, as a path from the root."""
        return self.note("run by")

    @property
    def runs_here(self) -> bool:
        return self.language in RUNNABLE and self.elsewhere is None and self.note("not run") is None

    @cached_property
    def commands(self) -> list[Command]:
        """The commands of a console session."""
        found: list[tuple[str, list[str]]] = []
        for line in self.text.splitlines():
            if line.startswith("$ "):
                found.append((line[2:], []))
            elif found and found[-1][0].endswith("\\") and not found[-1][1]:
                found[-1] = (found[-1][0] + "\n" + line, [])
            elif found:
                found[-1][1].append(line)
            else:
                raise ValueError(f"{self}: a console session begins with a command")
        return [Command(line, tuple(output)) for line, output in found]


@dataclass(frozen=True)
class Page:
    """A page of Markdown."""

    path: Path

    def __str__(self) -> str:
        return self.name

    @property
    def name(self) -> str:
        return str(self.path.relative_to(ROOT))

    @cached_property
    def text(self) -> str:
        return self.path.read_text(encoding="utf-8")

    @cached_property
    def blocks(self) -> list[Block]:
        return list(self._blocks())

    def _blocks(self) -> Iterator[Block]:
        everywhere: tuple[str, ...] = ()
        notes: tuple[str, ...] = ()
        titled = False
        for token in MarkdownIt().parse(self.text):
            if token.type == "html_block":
                notes += tuple(" ".join(each.split()) for each in _COMMENT.findall(token.content))
            elif token.type == "fence":
                assert token.map is not None
                language = token.info.split()[0] if token.info.strip() else ""
                yield Block(self.name, token.map[0] + 1, language, token.content, everywhere + notes)
                notes = ()
            elif not titled:
                everywhere, notes, titled = notes, (), True
            elif token.type != "inline":
                notes = ()


def pages() -> list[Page]:
    """The README and every page of the site."""
    return [Page(ROOT / "README.md"), *(Page(path) for path in sorted(DOCS.glob("*.md")))]
