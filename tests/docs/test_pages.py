"""What can be said of the pages of the documentation without running them."""

from __future__ import annotations

import re
import shlex
import subprocess
from collections import Counter
from typing import Any
from uuid import UUID

import click
import pytest
import yaml
from prefect.events import DeploymentEventTrigger

import prefect_globus
from prefect_globus.cli.main import cli
from prefect_globus.flows.events import EVENTS, PREFIX
from support.pages import DOCS, ROOT, RUNNABLE, SHOWN, Block, Page, pages

# Blocks that nobody can run here, and so the tests leave out: each has its reason in the page.
NOT_RUN = {
    "README.md": 1,
    "docs/blocks.md": 1,
    "docs/guarantees.md": 1,
    "docs/nightly-backup.md": 1,
    "docs/plan.md": 1,
    "docs/scale.md": 3,
    "docs/schedule-it.md": 1,
    "docs/team.md": 2,
    "docs/tutorial.md": 1,
}
PAGES = pages()
BLOCKS = [block for page in PAGES for block in page.blocks]
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
IMAGE = re.compile(r"!\[[^\]]*\]\(([^)\s]+)\)")


def _lines() -> list[str]:
    lines = [command.line for block in BLOCKS if block.language == "console" for command in block.commands]
    lines = [" ".join(line.replace("\\\n", " ").replace("$TIMER", str(UUID(int=0))).split()) for line in lines]
    return list(dict.fromkeys(line for line in lines if line.startswith("prefect-globus ")))


@pytest.mark.parametrize("line", _lines())
def test_each_command_parses(line: str) -> None:
    """Commands and flags exist under the names that the pages use, also where a block cannot run here."""
    words = shlex.split(re.split(r" [&|>]", line)[0], comments=True)[1:]
    command: Any = cli
    context = command.make_context("prefect-globus", list(words))
    while isinstance(command, click.Group):
        name, command, words = command.resolve_command(context, words)
        assert command is not None
        context = command.make_context(name, list(words), parent=context)


def test_a_block_that_is_not_run_has_its_reason() -> None:
    """And there are no more of them than are counted here; what another test runs is named in that test."""
    left_out: list[Block] = []
    for block in BLOCKS:
        if block.language.startswith("{"):
            continue  # a directive of Sphinx
        assert block.language in RUNNABLE | SHOWN, f"{block} is in a language that nobody runs: {block.language}"
        reason = block.note("not run")
        if reason is not None:
            assert len(reason.split()) > 3, f"{block}: why is it not run?"
            left_out.append(block)
        if block.elsewhere is not None:
            assert (ROOT / block.elsewhere).is_file(), f"{block} is run by nothing"
    assert Counter(block.page for block in left_out) == NOT_RUN


def test_every_link_leads_somewhere() -> None:
    """To a page, to a heading of it, to a file, to an image that is there."""
    for page in PAGES:
        for target in [*LINK.findall(page.text), *IMAGE.findall(page.text)]:
            if target.startswith(("http://", "https://")):
                continue
            name, _, anchor = target.partition("#")
            path = (page.path.parent / name).resolve() if name else page.path
            assert path.exists(), f"{page} leads to {target}, which is not there"
            if anchor:
                assert anchor in _anchors(Page(path)), f"{page} leads to {target}; there are {_anchors(Page(path))}"


def test_every_page_is_in_the_menu() -> None:
    """Once."""
    index = (DOCS / "index.md").read_text()
    entries = [line for tree in re.findall(r"```\{toctree\}\n(.*?)```", index, re.DOTALL) for line in tree.split()]
    listed = Counter(entry for entry in entries if (DOCS / f"{entry}.md").exists())
    assert listed == Counter(path.stem for path in DOCS.glob("*.md") if path.stem != "index")


def test_the_python_page_has_all_that_is_public() -> None:
    """Or says where else it is."""
    text = (DOCS / "python.md").read_text()
    missing = [name for name in prefect_globus.__all__ if not re.search(rf"\b{name}\b", text)]
    assert missing == []


def test_each_make_target_of_the_pages_exists() -> None:
    """`make up`, `make demo`, `make test` and the others."""
    targets = {target for page in PAGES for target in re.findall(r"[`$] ?make ([a-z]+)", page.text)}
    assert {"up", "demo", "test", "bench", "docs"} <= targets
    for target in targets:
        subprocess.run(["make", "--dry-run", target], cwd=ROOT, check=True, capture_output=True)


def test_the_triggers_are_triggers() -> None:
    """Prefect reads them, and they name our events."""
    triggers = [each for block in BLOCKS if block.language == "yaml" for each in yaml.safe_load(block.text)["triggers"]]
    assert triggers
    for each in triggers:
        assert DeploymentEventTrigger(**each).expect <= {f"{PREFIX}.{name}" for name in EVENTS}


def test_each_example_is_named_in_a_page() -> None:
    """So that it is found."""
    examples = {path.name for path in (ROOT / "examples").glob("*.py")} - {"playground.py", "kill_and_resume.py"}
    named = {name for page in PAGES for name in re.findall(r"\(\.\./examples/(\w+\.py)\)", page.text)}
    assert named == examples


def _anchors(page: Page) -> set[str]:
    """Those of the headings of a page, as GitHub and the site make them."""
    text = re.sub(r"```.*?```", "", page.text, flags=re.DOTALL)
    titles = re.findall(r"^#{1,4} (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-") for title in titles}
