"""What Prefect's runs are called."""

from __future__ import annotations

import pytest

from prefect_globus.transfers.naming import first_run_name

LAB, ARCHIVE = "6c54cade-bde5-45c1-bdea-f4bd71dba2cc", "31CE9BA0-176D-45A5-ADD3-F37D233BA47D"


@pytest.mark.parametrize(
    ("parameters", "name"),
    [
        ({"source": f"{LAB}:/raw", "destination": f"{ARCHIVE}:/~/raw"}, "6c54cade…:/raw to 31CE9BA0…:/~/raw"),
        ({"source": f"{LAB.replace('-', '')}:/", "destination": f"{ARCHIVE}:/"}, "6c54cade…:/ to 31CE9BA0…:/"),
        ({"source": "", "destination": "what is no location"}, " to what is no location"),
        ({"source": f"{LAB}:/", "destination": f"{ARCHIVE}:/", "transfer_id": LAB}, LAB),
    ],
)
def test_a_run_whose_size_is_not_known_is_told_by_its_paths(parameters: dict[str, str], name: str) -> None:
    """Of collections by as much of their ids as tells them apart; an id that somebody has chosen stays whole."""
    assert first_run_name(parameters) == name
