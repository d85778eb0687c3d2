"""A sample of the crash matrix with the checkpoint in PostgreSQL and in files."""

from __future__ import annotations

import pytest

from support.crash_test import TRANSFER, transfer_boundaries
from support.crashing import Matrix

pytestmark = pytest.mark.timeout(3000)  # many runs in one test, on a machine that may be busy

_SAMPLE = 20


@pytest.mark.parametrize("kind", ["postgresql", "files"])
def test_kill_9_at_a_sample_of_the_boundaries(matrix: Matrix, kind: str, request: pytest.FixtureRequest) -> None:
    """Every twentieth of all that the uninterrupted transfer crosses, calls and writes."""
    if kind == "postgresql":
        store = request.getfixturevalue("postgresql_url").replace("{", "{{").replace("}", "}}")
    else:
        store = str(matrix.folder / "checkpoints" / "{}")
    TRANSFER.kill_at(matrix, transfer_boundaries(matrix, store)[::_SAMPLE], store)
