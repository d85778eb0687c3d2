"""The command `report`. Prefect is imported late, because it takes seconds."""

from __future__ import annotations

from typing import IO

import click

from prefect_globus.cli import local
from prefect_globus.cli.help import OUTPUT, Option, command
from prefect_globus.cli.ids import id_argument
from prefect_globus.cli.sessions import reading
from prefect_globus.cli.state import State, output_options, store_options
from prefect_globus.cli.terminal import width


@command(
    examples=[
        ("What it did, here", "prefect-globus report nightly"),
        ("As a page, for a browser or a mail", "prefect-globus report nightly --html nightly.html"),
        ("How many Globus tasks were tried again", "prefect-globus report nightly --json | jq .retries"),
    ]
)
@id_argument
@click.option(
    "--html",
    "page",
    cls=Option,
    section=OUTPUT,
    type=click.File("w", encoding="utf-8", atomic=True),
    metavar="FILE",
    help="Write one HTML file, which needs nothing else; - for standard output.",
)
@click.option(
    "--markdown", cls=Option, section=OUTPUT, is_flag=True, help="Write Markdown, as the Prefect UI shows it."
)
@store_options
@output_options
@click.pass_obj
def report(state: State, transfer_id: str, *, page: IO[str] | None, markdown: bool) -> None:
    """Tell what the transfer ID did, when, and how fast.

    What was moved, what was left out or lost and why, and who drove it.
    """
    if sum((page is not None, markdown, state.json)) > 1:
        raise click.UsageError("Choose one of --html, --markdown and --json.")
    with reading(state) as store:
        from prefect_globus.flows.reporting import transfer_report  # noqa: PLC0415
        from prefect_globus.transfers.telling.pages import as_html, as_markdown, as_text  # noqa: PLC0415

        local.remembered(transfer_id)  # so that its folders are shown
        has_links = False if local.is_local(transfer_id) else None
        found = transfer_report(transfer_id, store, has_links=has_links)
    if state.json:
        click.echo(found.to_json())
    elif page is not None:
        page.write(as_html(found))
        if page.name != "<stdout>":
            state.hint(f"The report is written to {page.name}")
    else:
        click.echo(as_markdown(found) if markdown else local.in_words(as_text(found, width())))
