"""A person with the real globus-cli: login, a consent that is missing, and logout."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from prefect_globus.emulator.process import Emulator, running_emulator
from support.person import copy_code

PATIENCE = 120
BROWSER = """
import sys
sys.path.insert(0, {tests!r})
import requests
from support.person import answer_login
requests.get(answer_login(sys.argv[1], "anna"), timeout=30)
"""


class Person:
    """Someone at a terminal, with a home and a browser of their own."""

    def __init__(self, emulator: Emulator, home: Path) -> None:
        browser = home / "browser.py"
        browser.write_text(BROWSER.format(tests=str(Path(__file__).parents[1])))
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("GLOBUS_", "SSH_"))}
        self._environment = {
            **inherited,
            **emulator.environment(),
            "HOME": str(home),
            "BROWSER": f"{sys.executable} {browser} %s",
            "PYTHONUNBUFFERED": "1",
        }

    def run(self, *arguments: str, status: int = 0) -> str:
        """Run a command that must end with `status`; return what it says."""
        command = [sys.executable, "-m", "globus_cli", *arguments]
        done = subprocess.run(
            command,
            env=self._environment,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=PATIENCE,
            check=False,
        )
        assert done.returncode == status, done.stdout + done.stderr
        return done.stdout + done.stderr

    def run_with_code(self, *arguments: str) -> str:
        """Run a command that shows a link; follow it, and paste the code that the page shows."""
        command = [sys.executable, "-m", "globus_cli", *arguments]
        with subprocess.Popen(
            command, env=self._environment, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as running:
            assert running.stdin is not None
            assert running.stdout is not None
            said = ""
            for line in running.stdout:
                said += line
                if line.startswith("http"):
                    running.stdin.write(copy_code(line.strip()) + "\n")
                    running.stdin.flush()
        assert running.returncode == 0, said
        return said


@pytest.fixture
def emulator(tmp_path: Path) -> Iterator[Emulator]:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "file.txt").write_text("content")
    with running_emulator({"secret": tmp_path / "folder"}, data_access=["secret"]) as running:
        yield running


@pytest.fixture
def person(emulator: Emulator, tmp_path: Path) -> Person:
    (tmp_path / "home").mkdir()
    return Person(emulator, tmp_path / "home")


def test_login_consent_and_logout(emulator: Emulator, person: Person) -> None:
    """As with Globus: through the browser, with a code to paste, and with the consent that the CLI asks for."""
    collection = emulator.collections["secret"]
    assert "You have successfully logged in" in person.run("login")
    assert "You are already logged in!" in person.run("login")
    assert person.run("whoami", "--linked-identities").split() == ["anna@localhost"]
    told = person.run("ls", f"{collection}:/", status=4)
    scope = told.partition("globus session consent '")[2].partition("'")[0]
    assert scope.endswith(f"[*https://auth.globus.org/scopes/{collection}/data_access]")
    assert "successfully updated" in person.run_with_code("session", "consent", "--no-local-server", scope)
    assert "file.txt" in person.run("ls", f"{collection}:/")
    assert "Logging out of Globus as anna@localhost" in person.run("logout", "--yes")
    assert "Missing login" in person.run("whoami", status=4)
