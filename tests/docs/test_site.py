"""The site of the documentation, as `make docs` makes it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import prefect_globus
from prefect_globus.cli.main import cli
from prefect_globus.flows.events import EVENTS
from prefect_globus.transfers import errors
from prefect_globus.transfers.codes import MEANINGS
from prefect_globus.transfers.errors import TransferError
from prefect_globus.transfers.options import TransferOptions
from prefect_globus.transfers.states import AttemptStatus, BatchStatus, TransferStatus
from support.pages import DOCS


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built anew, with every warning an error: a link to nowhere, a page in no menu, a docstring that breaks."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-d", str(folder / "trees")]
    environment = {**os.environ, "PREFECT_HOME": str(folder / "prefect")}
    built = subprocess.run(
        [*command, str(DOCS), str(folder / "html")], env=environment, capture_output=True, text=True, check=False
    )
    assert built.returncode == 0, built.stdout + built.stderr
    return folder / "html"


def _said(site: Path, page: str) -> str:
    return re.sub(r"<[^>]+>", "", (site / f"{page}.html").read_text())


def test_the_reference_has_all_that_the_code_has(site: Path) -> None:
    """Options, commands, events, states, errors, codes and public names, each on its page."""
    kinds = [each for each in vars(errors).values() if isinstance(each, type) and issubclass(each, TransferError)]
    wanted: dict[str, list[str]] = {
        "options": [name for name, field in TransferOptions.model_fields.items() if not field.exclude],
        "commands": [f"prefect-globus {name}" for name, command in cli.commands.items() if not command.hidden],
        "events": list(EVENTS),
        "states": [*TransferStatus, *BatchStatus, *AttemptStatus],
        "errors": [*(kind.__name__ for kind in kinds), *MEANINGS],
        "blocks": ["globus-credentials", "sql-checkpoint-store", "file-checkpoint-store"],
        "python": list(prefect_globus.__all__),
    }
    for page, names in wanted.items():
        said = _said(site, page)
        assert [name for name in names if name not in said] == [], page


def test_nothing_is_left_to_be_made(site: Path) -> None:
    """No mark stays, and no page is fetched from elsewhere."""
    for path in site.glob("*.html"):
        text = path.read_text()
        assert "made from the code:" not in text, path.name
        assert not re.search(r"<(?:script|link|img)[^>]+(?:src|href)=\"(?:https?:)?//", text), path.name
