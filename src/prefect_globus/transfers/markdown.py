"""Markdown that says what it is given, whatever is in it: in GitHub's dialect, which Prefect's UI shows."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence

# What could mean something; an underscore inside of a word does not, nor do most signs inside of a line
_SPECIAL = re.compile(r"([\\`*\[\]<>|~&@#]|(?<!\w)_|_(?!\w)|:(?=//)|^[-+=]|(?<=^\d)[.)](?=\s))")
_BACKTICKS = re.compile(r"`+")


def printable(text: str) -> str:
    """A text for one line: what would break that, or is no text, is escaped."""
    return text if text.isprintable() else text.encode("unicode_escape").decode("ascii")


def plain(text: object) -> str:
    """``text`` as it is, on one line: nothing in it is taken for Markdown or HTML."""
    return _SPECIAL.sub(r"\\\1", printable(str(text)))


def link(text: object, address: str) -> str:
    """A link; ``address`` is one of our own making."""
    return f"[{plain(text)}]({address})"


def code(text: str) -> str:
    """``text`` to the letter, on one line; not for a table."""
    text = printable(text)
    fence = "`" * (_longest_fence(text) + 1)
    # the spaces are taken off again; of text between others one pair is, too
    pad = " " if text[:1] in ("`", " ") or text[-1:] in ("`", " ") else ""
    return f"{fence}{pad}{text}{pad}{fence}" if text else ""


def code_cell(text: str) -> str:
    """The same for a table, which ends a cell at each pipe that has no backslash before it."""
    # not all renderers read a backslash before that alike
    return plain(text) if "\\|" in text else code(text).replace("|", "\\|")


def fenced(lines: Iterable[str]) -> str:
    """``lines`` to the letter, one below the other."""
    text = "\n".join(map(printable, lines))
    fence = "`" * max(3, _longest_fence(text) + 1)
    return f"{fence}text\n{text}\n{fence}"


def table(head: Sequence[str], rows: Iterable[Sequence[str]], numbers: Collection[int] = ()) -> str:
    """A table, of cells that are Markdown; the columns of ``numbers`` are aligned as such."""
    rules = ["---:" if column in numbers else "---" for column in range(len(head))]
    return "\n".join(f"| {' | '.join(line)} |" for line in (head, rules, *rows))


def _longest_fence(text: str) -> int:
    return max(map(len, _BACKTICKS.findall(text)), default=0)
