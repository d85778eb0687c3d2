"""What the README says can be done."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.settings import PREFECT_API_URL, temporary_settings

from prefect_globus.cli.main import cli
from prefect_globus.emulator.process import running_emulator

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
COLLECTIONS = {
    "source": "6c54cade-bde5-45c1-bdea-f4bd71dba2cc",
    "destination": "31ce9ba0-176d-45a5-add3-f37d233ba47d",
}


def _commands() -> list[list[str]]:
    lines = re.findall(r"^\$ (prefect-globus .*)$", README, re.MULTILINE)
    return [shlex.split(line, comments=True)[1:] for line in lines]


@pytest.mark.parametrize("words", _commands(), ids=" ".join)
def test_each_command_of_the_readme_parses(words: list[str]) -> None:
    """Commands and flags exist under the names that the README uses."""
    command: Any = cli
    context = command.make_context("prefect-globus", list(words))
    while hasattr(command, "get_command"):
        name, command, words = command.resolve_command(context, words)
        context = command.make_context(name, list(words), parent=context)


def test_each_make_target_of_the_readme_exists() -> None:
    """`make demo`, `make test` and `make bench`."""
    targets = set(re.findall(r"make ([a-z]+)", README))
    assert targets == {"demo", "test", "bench"}
    for target in targets:
        subprocess.run(["make", "--dry-run", target], cwd=ROOT, check=True, capture_output=True)


def test_the_python_of_the_readme_runs(prefect_api: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As it stands, with an emulator in the place of Globus."""
    flow_code, blocks_code, deployment_code, emulator_code = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    raw = tmp_path / "source/instrument/raw"
    raw.mkdir(parents=True)
    (raw / "measured").write_text("42")
    (raw / "scratch.tmp").write_text("")
    (tmp_path / "destination").mkdir()
    specs = [f"{name}@{uuid}={tmp_path / name}" for name, uuid in COLLECTIONS.items()]
    with running_emulator(specs) as globus, temporary_settings({PREFECT_API_URL: prefect_api}):
        for name, value in (globus.environment() | {"GLOBUS_CLIENT_ID": "any", "GLOBUS_CLIENT_SECRET": "any"}).items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("PREFECT_GLOBUS_DATABASE_URL", f"sqlite:///{tmp_path / 'checkpoints.db'}")
        names: dict[str, Any] = {"__name__": "readme"}
        exec(flow_code, names)
        names["nightly"]("20261122")
        exec(blocks_code, names)
        with get_client(sync_client=True) as client:
            client.create_work_pool(WorkPoolCreate(name="globus", type="process"), overwrite=True)
        exec(deployment_code, names)
    arrived = tmp_path / "destination/archive/20261122"
    assert [path.name for path in arrived.iterdir()] == ["measured"]

    for folder in ("lab", "archive"):
        (tmp_path / folder).mkdir()
    answer = subprocess.run(
        [sys.executable, "-c", emulator_code], cwd=tmp_path, check=True, capture_output=True, text=True, env=os.environ
    )
    assert answer.stdout.startswith("http://127.0.0.1:")


def test_the_demo() -> None:
    """It proves what it says, and prints no traceback and no warning."""
    answer = subprocess.run(
        [sys.executable, "examples/kill_and_resume.py"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert answer.stderr == ""
    assert "The trees are identical." in answer.stdout
    assert "0 of them twice" in answer.stdout
