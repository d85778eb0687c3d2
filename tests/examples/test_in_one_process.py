"""The examples that need no worker do what they say."""

from __future__ import annotations

from pathlib import Path

from support.examples import said_by


def test_the_next_step_begins_on_each_batch_as_it_lands(prefect_api: str, tmp_path: Path) -> None:
    """In the order of the batches, and the first before all is there."""
    *batches, last = said_by("fan_out", prefect_api, tmp_path)
    assert sorted(line.partition(":")[0] for line in batches) == [f"Batch {n} has landed" for n in range(1, 5)]
    assert any(line.startswith("Batch 1 ") and not line.endswith(" 16 files are there so far.") for line in batches)
    assert last == "All is there: 136 numbers in 16 files."


def test_a_catalogue_is_loaded_and_loaded_again(prefect_api: str, tmp_path: Path) -> None:
    """With the same rows."""
    assert said_by("etl_catalogue", prefect_api, tmp_path) == [
        "nightly is COMPLETED; 12 rows loaded.",
        "nightly is COMPLETED; 12 rows loaded again.",
        "The catalogue has 12 files of 179 bytes, in 1 batch by 1 Globus task.",
    ]
