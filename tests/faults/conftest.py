"""Gives the tests of this folder their fixtures."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import uuid4

import pytest

from faults.lab import HTTP_TIMEOUT, Lab
from prefect_globus.blocks import authorizers
from prefect_globus.emulator.process import Emulator, running_emulator
from support.world import emulator_options, world

__all__ = ["emulator_options", "world"]


@pytest.fixture(scope="module")
def token_lifetime() -> int:
    """Seconds for which a token of the shared emulator is good; override it in a module."""
    return 172_800


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory, token_lifetime: int) -> Iterator[Emulator]:
    """One for all tests of a file."""
    root = tmp_path_factory.mktemp("lab")
    folders = {name: root / name for name in ("source", "destination")}
    for folder in folders.values():
        folder.mkdir()
    with running_emulator(folders, state=root / "globus.db", time_scale=100, token_lifetime=token_lifetime) as running:
        yield running


@pytest.fixture
def lab(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> Lab:
    """A transfer of its own in it."""
    monkeypatch.setattr(authorizers, "_TIMEOUT_SECONDS", HTTP_TIMEOUT)  # as the other requests of a lab have it
    return Lab(emulator, emulator.state.parent, f"t{uuid4().hex}")
