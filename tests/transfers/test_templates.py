"""Templates: the id and the locations of each run, and what is refused before any has run."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefect_globus.transfers.errors import InvalidInputError, InvalidLocationError, OverlappingLocationsError
from prefect_globus.transfers.templates import TEMPLATE, check_templates, expand, find_zone

HERE, THERE = "6c54cade-bde5-45c1-bdea-f4bd71dba2cc:/a", "31ce9ba0-176d-45a5-add3-f37d233ba47d:/b"
MOMENT = datetime(2026, 11, 22, 2, 5, 9, tzinfo=UTC)


@pytest.mark.parametrize(
    ("template", "expanded"),
    [
        ("backup-{scheduled:%Y%m%d}", "backup-20261122"),
        ("{scheduled}", "20261122T020509+0000"),
        ("{scheduled:%Y/%m/%d %H:%M}", "2026/11/22 02:05"),
        ("run {run} of {scheduled:%F}, {run:03}", "run 7 of 2026-11-22, 007"),
        ("{{run}} {scheduled:100%%}", "{run} 100%"),
        ("plain", "plain"),
        ("", ""),
    ],
)
def test_a_template_is_filled_in(template: str, expanded: str) -> None:
    """With when the run was due, and its number."""
    assert expand(template, MOMENT, 7) == expanded


@pytest.mark.parametrize(
    ("template", "hint"),
    [
        ("{day}", "{scheduled:%Y%m%d}"),
        ("{scheduled.year}", "{scheduled:%Y%m%d}"),
        ("{scheduled!r}", "{scheduled:%Y%m%d}"),
        ("{run.__class__}", "{run}"),
        ("{0}", "{run}"),
        ("{}", "{run}"),
        ("{scheduled:{run}}", "{run}"),
        ("{scheduled:%Q}", "%Q is no directive"),
        ("{scheduled:%}", "is no directive"),
        ("{scheduled:%-d}", "%- is no directive"),
        ("{run:x}", "{run:03}"),
        ("{run:999999999}", "{run:03}"),
        ("a{", "written twice"),
        ("}", "written twice"),
    ],
)
def test_a_malformed_template_is_refused(template: str, hint: str) -> None:
    """With a hint how to write it; no attribute of anything can be reached."""
    with pytest.raises(InvalidInputError) as refused:
        expand(template, MOMENT, 1)
    assert hint in str(refused.value)


@pytest.mark.parametrize(
    "transfer_id", [TEMPLATE, "b-{scheduled:%Y%m%d}", "b-{run}", "w-{scheduled:%G-%V}", "{scheduled:%Y}"]
)
def test_an_id_that_differs_from_run_to_run_is_accepted(transfer_id: str) -> None:
    """In whatever time zone, and with locations that are templates, too."""
    for zone in ("UTC", "Europe/Berlin", "Asia/Kathmandu"):
        check_templates(HERE, THERE + "/{scheduled:%Y/%m}/{run}", transfer_id, zone, repeats=True)


@pytest.mark.parametrize("transfer_id", ["mirror", "b-{scheduled:%m%d}", "b-{scheduled:%H%M}", "b-{scheduled:%A}"])
def test_an_id_that_comes_again_is_refused(transfer_id: str) -> None:
    """A transfer that is complete is not run again: the second run would move nothing. One run alone may have it."""
    with pytest.raises(InvalidInputError, match="comes again") as refused:
        check_templates(HERE, THERE, transfer_id, repeats=True)
    assert "-{scheduled:%Y%m%d}" in str(refused.value)
    check_templates(HERE, THERE, transfer_id, repeats=False)


def test_what_a_run_could_not_use_is_refused() -> None:
    """The message shows what the run would have."""
    with pytest.raises(InvalidInputError, match="'Sun Nov 22 02:00:00 2026'"):
        check_templates(HERE, THERE, "{scheduled:%c}", repeats=True)
    with pytest.raises(InvalidInputError, match=r"20261122/\.\.'.* has a '\.\.'"):
        check_templates(HERE, THERE + "/{scheduled:%Y%m%d}/..", TEMPLATE, repeats=True)
    with pytest.raises(InvalidLocationError):
        check_templates("somewhere", THERE, TEMPLATE, repeats=True)
    with pytest.raises(OverlappingLocationsError):
        check_templates(HERE, HERE + "/{run}", TEMPLATE, repeats=True)
    with pytest.raises(InvalidInputError, match="Europe/Berlin"):
        check_templates(HERE, THERE, TEMPLATE, "Mars/Base", repeats=True)


@given(st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1)), st.integers(1, 10**6))  # noqa: DTZ001 - UTC is added
def test_two_ticks_have_two_ids(moment: datetime, seconds: int) -> None:
    """Also in the hour that a clock on the wall shows twice."""
    first = moment.replace(microsecond=0, tzinfo=UTC)
    second = first + timedelta(seconds=seconds)
    zone = find_zone("Europe/Berlin")
    assert expand(TEMPLATE, first.astimezone(zone), 1) != expand(TEMPLATE, second.astimezone(zone), 1)


def test_a_time_is_written_in_its_zone() -> None:
    """The backup of a night has the date of that night where it is night."""
    tick = datetime(2026, 11, 22, 23, 30, tzinfo=UTC)
    assert expand("{scheduled:%Y%m%d}", tick.astimezone(ZoneInfo("Europe/Berlin")), 1) == "20261123"
