"""The fixtures that users import, in a test suite as a user would write it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SUITE = """
import globus_sdk
from globus_sdk import ClientApp, TransferClient, TransferData

def test_a_pipeline(globus_emulator, tmp_path):
    (tmp_path / "source" / "file").write_text("hello")
    app = ClientApp("tests", client_id="6b9a7bd2-1c4e-4f0b-9d38-2f3f36f0b9a1", client_secret="anything")
    client = TransferClient(app=app)
    data = TransferData(globus_emulator.collections["source"], globus_emulator.collections["destination"])
    data.add_item("/file", "/moved")
    task = client.submit_transfer(data)["task_id"]
    assert client.task_wait(task, timeout=30, polling_interval=1)
    assert client.get_task(task)["status"] == "SUCCEEDED"
    assert (tmp_path / "destination" / "moved").read_text() == "hello"
"""
OVERRIDE = """
import pytest

@pytest.fixture
def globus_collections(tmp_path):
    (tmp_path / "only").mkdir()
    return {"only": tmp_path / "only"}

@pytest.fixture
def globus_emulator_options():
    return {"time_scale": 7.0}

def test_what_is_served(globus_emulator):
    assert list(globus_emulator.collections) == ["only"]
"""
WAYS = {
    "plugin": 'pytest_plugins = ["prefect_globus.emulator.pytest_plugin"]\n',
    "import": "from prefect_globus.emulator.pytest_plugin import *  # noqa\n",
}


@pytest.mark.parametrize("way", WAYS)
def test_the_fixtures_work_in_a_suite_of_their_own(tmp_path: Path, way: str) -> None:
    """Loaded as a plugin or imported, with folders of the test's own, and overridden."""
    (tmp_path / "conftest.py").write_text(WAYS[way])
    (tmp_path / "test_mine.py").write_text(SUITE)
    (tmp_path / "test_other.py").write_text(OVERRIDE)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--basetemp", str(tmp_path / "base")]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "GLOBUS"))}
    ended = subprocess.run(
        command, check=False, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "2 passed" in ended.stdout
