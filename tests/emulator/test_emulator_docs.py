"""What docs/emulator.md says can be done, done as it stands, but on a free port."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs/emulator.md").read_text()
PATIENCE = 60.0


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", TEXT, re.DOTALL)


def environment(home: Path) -> dict[str, str]:
    return os.environ | {"HOME": str(home), "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}


@pytest.fixture(scope="module")
def port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, port: int) -> Iterator[Path]:
    """A folder in which the first commands of the page were given."""
    folder = tmp_path_factory.mktemp("docs")
    make_folders, serve = re.findall(r"^\$ (.*(?:\n    .*)*)", blocks("console")[0], re.MULTILINE)
    subprocess.run(["bash", "-ec", make_folders], cwd=folder, check=True)
    serve = serve.replace("8911", str(port))
    with subprocess.Popen(
        ["bash", "-ec", f"exec {serve}"], cwd=folder, env=environment(folder), stdout=subprocess.DEVNULL
    ) as served:
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                requests.get(f"http://127.0.0.1:{port}/", timeout=10).raise_for_status()
                break
            except requests.ConnectionError:
                assert served.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.1)
        yield folder
        served.terminate()


def run(block: str, place: Path, port: int) -> str:
    command = ["bash", "-euo", "pipefail", "-c", block.replace("8911", str(port))]
    ended = subprocess.run(
        command, cwd=place, env=environment(place), check=False, capture_output=True, text=True, timeout=120
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


def test_the_real_cli_is_led_here(place: Path, port: int) -> None:
    """It lists, transfers, waits and shows."""
    assert re.search(r"Status:\s+SUCCEEDED", run(blocks("bash")[0], place, port))
    assert (place / "archive/measured").read_text() == "42\n"


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_faults_are_injected_with_curl(place: Path, port: int) -> None:
    """And listed, and lifted."""
    assert '"fired":0' in run(blocks("bash")[1], place, port)


def test_the_python_runs(place: Path, port: int) -> None:
    """All of it, one piece after the other."""
    program = "\n".join(blocks("python")).replace("8911", str(port))
    ended = subprocess.run(
        [sys.executable, "-c", program], cwd=place, check=False, capture_output=True, text=True, timeout=120
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout == "SUCCEEDED\nlab\n['archive', 'lab'] True\n2\n"
    assert (place / "archive/copy").read_text() == "42\n"
