"""The examples whose flows run on a worker do what they say."""

from __future__ import annotations

import re
from pathlib import Path

from support.examples import said_by


def test_a_flow_runs_the_deployment_of_a_transfer(prefect_api: str, tmp_path: Path) -> None:
    """And goes through its manifest."""
    result, largest = said_by("chained", prefect_api, tmp_path)
    assert re.fullmatch(r"chained(: 12 files, 179 B)? is Completed: 12 files, 179 bytes\.", result)
    assert largest == "The largest is 11.csv."


def test_a_day_is_backed_up_once(prefect_api: str, tmp_path: Path) -> None:
    """However often it is asked for."""
    first, second, *backups = said_by("nightly_backup", prefect_api, tmp_path)
    assert first == "The first run is Completed."
    if len(backups) == 1:  # at midnight the two runs may be of two days
        assert second == "The second run is AlreadyDone."
        assert re.fullmatch(r"backup-(\d{8}) is COMPLETED with 12 files, in \1\.", backups[0])


def test_automations_do_what_nobody_does(prefect_api: str, tmp_path: Path) -> None:
    """What has failed is tried again, and what has completed is verified."""
    assert said_by("automation", prefect_api, tmp_path) == [
        "watched is FAILED: 1 file was refused.",
        "Its permissions are mended, and nobody does anything about the transfer.",
        "The run that tries it again is Completed.",
        "The run that verifies it is Completed.",
        "watched is COMPLETED: 12 of 12 files.",
    ]
