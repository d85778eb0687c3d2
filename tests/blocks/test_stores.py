"""The contract of a checkpoint store, kept by each of them."""

from __future__ import annotations

from pathlib import Path

import pytest
from prefect_sqlalchemy import SqlAlchemyConnector
from pydantic import SecretStr

from prefect_globus.blocks import CheckpointStore, FileCheckpointStore, SqlCheckpointStore
from prefect_globus.blocks.store_contract import CheckpointStoreContract


class TestSqlite(CheckpointStoreContract):
    @pytest.fixture
    def store(self, tmp_path: Path) -> CheckpointStore:
        return SqlCheckpointStore(url=SecretStr(f"sqlite:///{tmp_path}/checkpoints.db"))


class TestSqliteByConnector(CheckpointStoreContract):
    @pytest.fixture
    def store(self, tmp_path: Path) -> CheckpointStore:
        return SqlCheckpointStore(connector=SqlAlchemyConnector(connection_info=f"sqlite:///{tmp_path}/checkpoints.db"))


class TestFiles(CheckpointStoreContract):
    @pytest.fixture
    def store(self, tmp_path: Path) -> CheckpointStore:
        return FileCheckpointStore(basepath=tmp_path / "checkpoints")


class TestPostgresql(CheckpointStoreContract):
    @pytest.fixture
    def store(self, postgresql_url: str) -> CheckpointStore:
        return SqlCheckpointStore(url=SecretStr(postgresql_url))
