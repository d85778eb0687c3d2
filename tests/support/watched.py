"""An emulator whose every word is watched, for tests that mistreat it."""

from __future__ import annotations

import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import uuid4

import requests

from prefect_globus.emulator.process import COLLECTION_LINE, READY

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SCOPES = {
    "transfer.api.globus.org": "urn:globus:auth:scope:transfer.api.globus.org:all",
    "524230d7-ea86-4a52-8312-86065a9e0417": (
        "https://auth.globus.org/scopes/524230d7-ea86-4a52-8312-86065a9e0417/timer"
    ),
    "auth.globus.org": "openid profile email urn:globus:auth:scope:auth.globus.org:view_identity_set",
}


@dataclass(frozen=True)
class Watched:
    """A running emulator; `errors` is where it writes what goes wrong inside, `client_id` who mistreats it."""

    url: str
    collections: dict[str, str]
    errors: Path
    client_id: str

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    def tokens(self) -> dict[str, str]:
        """Return the tokens of the client, by resource server."""
        answer = requests.post(
            f"{self.url}/v2/oauth2/token",
            auth=(self.client_id, "secret"),
            data={"grant_type": "client_credentials", "scope": " ".join(SCOPES.values())},
            timeout=30,
        )
        answer.raise_for_status()
        first = answer.json()
        return {token["resource_server"]: token["access_token"] for token in (first, *first["other_tokens"])}

    def complaints(self) -> list[str]:
        """Return what it has said so far, but for the server's word on what was not HTTP: nothing, if all was well."""
        lines = self.errors.read_text(errors="replace").splitlines()
        return [line for line in lines if not line.startswith("WARNING:")]


@contextmanager
def watched_emulator(root: Path, *options: str) -> Iterator[Watched]:
    """Run an emulator with the collections `source` and `destination` below `root`."""
    command = [sys.executable, "-P", "-m", "prefect_globus.emulator", "serve", "--port", "0", "--until-stdin-closes"]
    names = ("source", "destination")
    for name in names:
        (root / name).mkdir()
        command += ["--collection", f"{name}={root / name}"]
    errors = root / "errors"
    with errors.open("wb") as sink:
        process = subprocess.Popen(
            [*command, *options], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=sink, text=True
        )
        with process:
            assert process.stdin is not None
            assert process.stdout is not None
            ready = process.stdout.readline().strip()
            assert ready.startswith(READY), errors.read_text()
            found = [COLLECTION_LINE.match(process.stdout.readline()) for _ in names]
            yield Watched(ready.removeprefix(READY), {one[1]: one[2] for one in found if one}, errors, str(uuid4()))
            assert process.poll() is None, f"The emulator has ended: {errors.read_text()}"
            process.stdin.close()
            process.wait(30)
