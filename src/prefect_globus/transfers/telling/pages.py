"""Pages: a story as Markdown, as HTML and as text. Whatever it says is escaped: paths may be hostile."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from prefect_globus.transfers.markdown import code, code_cell, fenced, link, plain, printable, table
from prefect_globus.transfers.telling.report import TransferReport
from prefect_globus.transfers.telling.story import Cell, Code, Link, Section, Story, Table, story_of
from prefect_globus.transfers.telling.throughput import as_image, picture

_BLOCKS = 72
_INDENT, _GAP = "  ", "  "


# --- Markdown


def as_markdown(report: TransferReport) -> str:
    """``report`` in Markdown."""
    return "\n\n".join(_markdown(story_of(report))) + "\n"


def _markdown(story: Story) -> Iterator[str]:
    yield f"# {plain(story.title)} is {story.status}"
    yield plain(story.headline)
    for section in story.sections:
        yield f"## {plain(section.title)}"
        yield from _markdown_section(section)


def _markdown_section(section: Section) -> Iterator[str]:
    if section.words:
        yield plain(section.words)
    if section.throughput is not None:
        peak = section.throughput.rate(max(section.throughput.rates))
        yield f"![at most {peak}]({as_image(picture(section.throughput, section.resumed_at))})"
    if section.facts:
        yield "\n".join(f"- **{plain(name)}**: {_markdown_cell(value, code)}" for name, value in section.facts)
    if section.lines:
        yield fenced(section.lines)
    if section.table is not None:
        yield _markdown_table(section.table)


def _markdown_table(drawn: Table) -> str:
    rows = [[_markdown_cell(cell, code_cell) for cell in cells] for cells in drawn.rows]
    for row in rows:
        for number in drawn.numbers:
            row[number] = row[number].replace(" ", "\N{NO-BREAK SPACE}")  # Prefect's UI breaks them otherwise
    return table([plain(heading) for heading in drawn.headings], rows, drawn.numbers)


def _markdown_cell(cell: Cell, as_code: Callable[[str], str]) -> str:
    if isinstance(cell, Link):
        return link(cell.text, cell.address)
    return as_code(cell.text) if isinstance(cell, Code) else plain(cell)


# --- HTML: one file that needs nothing else


def as_html(report: TransferReport) -> str:
    """``report`` as one HTML file: no script, nothing loaded from elsewhere, for light and for dark screens."""
    return _environment().get_template("report.html").render(story=story_of(report))


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("prefect_globus.transfers", "telling"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["printable"] = printable
    environment.tests["link"] = lambda cell: isinstance(cell, Link)
    environment.tests["code"] = lambda cell: isinstance(cell, Code)
    environment.globals["picture"] = lambda *drawn: Markup(picture(*drawn))  # noqa: S704 - it escapes what it says
    return environment


# --- text: for a terminal


def as_text(report: TransferReport, width: int | None = None) -> str:
    """``report`` as text; in tables that are wider than ``width`` columns, the last of theirs are left out."""
    return "\n".join(_text(story_of(report), width))


def _text(story: Story, width: int | None) -> Iterator[str]:
    yield f"{story.title} is {story.status}"
    yield story.headline
    for section in story.sections:
        yield f"\n{printable(section.title)}"
        yield from (f"{_INDENT}{line}" for line in _text_section(section, width))


def _text_section(section: Section, room: int | None) -> Iterator[str]:
    if section.words:
        yield printable(section.words)
    if section.throughput is not None:
        drawn = section.throughput
        yield drawn.blocks(_BLOCKS)
        yield f"{drawn.began_at:%Y-%m-%d %H:%M:%S} to {drawn.ended_at:%Y-%m-%d %H:%M:%S} UTC"
    width = max((len(name) for name, _ in section.facts), default=0) + 1
    for name, value in section.facts:
        yield f"{name + ':':<{width}} {_text_cell(value)}"
    yield from (f"  {printable(line)}" for line in section.lines)
    if section.table is not None:
        yield from _text_table(section.table, room)


def _text_table(table: Table, room: int | None) -> Iterator[str]:
    rows = [list(table.headings), *([_text_cell(cell) for cell in cells] for cells in table.rows)]
    widths = [max(len(row[number]) for row in rows) for number in range(len(table.headings))]
    while room is not None and len(widths) > 1 and len(_INDENT) + sum(widths) + len(_GAP) * (len(widths) - 1) > room:
        widths.pop()
    for row in rows:
        cells = [
            f"{cell:>{width}}" if number in table.numbers else f"{cell:<{width}}"
            for number, (cell, width) in enumerate(zip(row, widths, strict=False))
        ]
        yield _GAP.join(cells).rstrip()


def _text_cell(cell: Cell) -> str:
    return printable(cell if isinstance(cell, str) else cell.text)
