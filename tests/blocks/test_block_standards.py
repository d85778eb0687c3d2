"""Our blocks are good citizens of Prefect."""

from __future__ import annotations

import pytest
from prefect.blocks.core import Block
from prefect.testing.standard_test_suites import BlockStandardTestSuite

from prefect_globus.blocks import FileCheckpointStore, GlobusCredentials, SqlCheckpointStore


@pytest.mark.parametrize("block", [GlobusCredentials, SqlCheckpointStore, FileCheckpointStore])
class TestStandards(BlockStandardTestSuite):
    @pytest.fixture
    def block(self) -> type[Block]:
        raise NotImplementedError("the parameter takes its place")

    def test_the_schema_can_be_registered(self, block: type[Block]) -> None:
        schema = block.model_json_schema()
        assert schema["block_type_slug"] == block.get_block_type_slug()
        assert block._calculate_schema_checksum().startswith("sha256:")


@pytest.mark.parametrize("block", [SqlCheckpointStore, FileCheckpointStore])
def test_a_store_can_be_result_storage(block: type[Block]) -> None:
    assert block.get_block_capabilities() >= {"read-path", "write-path"}
