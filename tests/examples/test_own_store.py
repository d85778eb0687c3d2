"""The worked example of a store of one's own keeps the contract of all stores."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import pytest

from prefect_globus.blocks.store_contract import CheckpointStoreContract
from support.examples import ROOT, said_by


def _document_store() -> Any:
    spec = importlib.util.spec_from_file_location("own_store", ROOT / "examples/own_store.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module.DocumentStore


STORE = _document_store()  # once, as Prefect knows a block type by its class


class TestDocumentStore(CheckpointStoreContract):
    """As docs/own-store.md says how."""

    @pytest.fixture
    def store(self, tmp_path: Path) -> Any:
        return STORE(path=tmp_path / "documents.db")


def test_a_transfer_runs_on_it(prefect_api: str, tmp_path: Path) -> None:
    """From its first write to its last."""
    assert said_by("own_store", prefect_api, tmp_path) == ["mine is COMPLETED: 12 files, from 00.csv to 11.csv."]
