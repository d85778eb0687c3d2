"""Help that reads well: commands and options in sections, with examples. Each is data, for tests and docs to use."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import click

from prefect_globus.cli.colors import bold

# longer lines are hard to read, however wide the terminal is
CONTEXT: dict[str, Any] = {"help_option_names": ["-h", "--help"], "max_content_width": 100}
OUTPUT = "Output"
_SECTION = "Options"
_WORD = re.compile(r"(?:'[^']*'|[^\s'])+")


class Example(NamedTuple):
    """A line of the shell, and what it is for. $LAB and $ARCHIVE stand for the UUIDs of collections, and so on."""

    words: str
    line: str


class Option(click.Option):
    """An option that knows its section of the help."""

    def __init__(self, *names: Any, section: str = _SECTION, **settings: Any) -> None:  # noqa: ANN401 - as click's
        super().__init__(*names, **settings)
        self.section = section

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        """Name both ways of a switch at once, as --[no-]NAME."""
        record = super().get_help_record(ctx)
        if record is None or not self.secondary_opts:
            return record
        return f"--[no-]{self.opts[0].removeprefix('--')}", record[1]


class Command(click.Command):
    """A command whose help has its options in sections, and ends with examples.

    Args:
        settings: as click's.
        examples: what people do with it, the most frequent first.
    """

    def __init__(self, *names: Any, examples: Iterable[tuple[str, str]] = (), **settings: Any) -> None:  # noqa: ANN401
        super().__init__(*names, **settings)
        self.examples = [Example(*each) for each in examples]

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options, section by section."""
        _write_sections(formatter, _options(self, ctx))

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples, last, where the eye is when all has scrolled by."""
        super().format_epilog(ctx, formatter)
        if self.examples:
            with formatter.section(bold("Examples")):
                formatter.write("\n".join(_lines(self.examples, formatter)) + "\n")


class Group(click.Group):
    """A command of commands, in the order and the sections in which they were added.

    Args:
        settings: as click's.
        tables: what else the help tells: terms and words, by their section.
    """

    command_class = Command

    def __init__(self, *names: Any, tables: Mapping[str, Mapping[str, str]] | None = None, **settings: Any) -> None:  # noqa: ANN401
        super().__init__(*names, **settings)
        self.tables = tables or {}
        self._sections: dict[str, str] = {}

    def add_section(self, section: str, *commands: click.Command) -> None:
        """Add ``commands`` to a ``section`` of the help."""
        for each in commands:
            self.add_command(each)
            self._sections[str(each.name)] = section

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Name the commands, as they were added."""
        return list(self.commands)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands, and then the options, of which there are few."""
        self.format_commands(ctx, formatter)
        _write_sections(formatter, _options(self, ctx))
        tables = ((name, *row) for name, rows in self.tables.items() for row in rows.items())
        _write_sections(formatter, tables)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write a line for each command, section by section."""
        found = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        shown = {name: command for name, command in found if command is not None and not command.hidden}
        width = max(map(len, shown), default=0)
        limit = formatter.width - width - 4
        rows = (
            (self._sections.get(name, "Commands"), f"{name:<{width}}", command.get_short_help_str(limit))
            for name, command in shown.items()
        )
        _write_sections(formatter, rows)


def command(
    name: str | None = None,
    *,
    examples: Iterable[tuple[str, str]] = (),
    **settings: Any,  # noqa: ANN401 - as click's
) -> Callable[[Callable[..., Any]], Command]:
    """As `click.command`, with ``examples``: pairs of what it is for, and the line of the shell."""
    return click.command(name, Command, examples=examples, **settings)


def _options(of: click.Command, ctx: click.Context) -> Iterator[tuple[str, str, str]]:
    section = _SECTION
    for option in of.get_params(ctx):
        record = option.get_help_record(ctx)
        if record is not None:
            is_help = option is of.get_help_option(ctx)  # which is the last
            section = section if is_help else getattr(option, "section", _SECTION)
            yield section, *record


def _write_sections(formatter: click.HelpFormatter, rows: Iterable[tuple[str, str, str]]) -> None:
    """Write rows of (section, term, words), the sections as they come first, with all words in one column."""
    sections: dict[str, list[tuple[str, str]]] = {}
    for section, term, words in rows:
        sections.setdefault(section, []).append((term, words))
    for section, found in sections.items():
        with formatter.section(bold(section)):
            formatter.write_dl(found)


def _lines(examples: Iterable[Example], formatter: click.HelpFormatter) -> Iterator[str]:
    indent = " " * formatter.current_indent
    for example in examples:
        yield f"{indent}# {example.words}"
        yield from (f"{indent}{line}" for line in _folded(example.line, formatter.width - len(indent)))


def _folded(line: str, width: int) -> Iterator[str]:
    """A line of the shell in as many as it takes, which can be copied as they are."""
    current = "$"
    for word in _WORD.findall(line):
        if len(f"{current} {word} \\") > width:
            yield f"{current} \\"
            current = f"    {word}"
        else:
            current += f" {word}"
    yield current
