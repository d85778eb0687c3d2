"""Sizes and stretches of time as people write them."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from prefect_globus.transfers.options import TransferOptions
from prefect_globus.transfers.quantities import exact_span, read_size, read_span, size, span
from prefect_globus.transfers.schedules import TransferSchedule

_UNITS = {"B": 0, "KB": 1, "MB": 2, "GB": 3, "TB": 4, "PB": 5, "EB": 6}


@given(st.integers(0, 2**63))
def test_a_size_that_was_written_is_read_again(number: int) -> None:
    """As exactly as it was written: to a digit behind the point."""
    text = size(number)
    unit = text.split()[1]
    step = 1024 ** _UNITS[unit.replace("i", "")]
    assert abs(read_size(text) - number) <= step * 0.05 + 1


@given(st.floats(0, 3.2e9).filter(lambda seconds: seconds == 0 or seconds > 1e-9))
def test_an_exact_span_is_read_as_the_same_number(seconds: float) -> None:
    """So a default that a form shows in words is the default."""
    assert read_span(exact_span(seconds)) == seconds


@given(st.integers(1, 10**9))
def test_a_rounded_span_is_near(seconds: int) -> None:
    assert abs(read_span(span(seconds)) - seconds) <= seconds / 2


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("0", 0),
        ("500 MiB", 500 * 1024**2),
        ("500MB", 500 * 1000**2),
        ("3.1 TB", 3_100_000_000_000),
        ("10G", 10 * 1000**3),
        (" 1.5 kib ", 1536),
        ("2eib", 2 * 1024**6),
        ("9007199254740993", 9007199254740993),
    ],
)
def test_a_size_may_be_written_in_many_ways(text: str, number: int) -> None:
    assert read_size(text) == number
    assert TransferOptions(max_size=text).max_size == number  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30", 30),
        ("30s", 30),
        ("500 ms", 0.5),
        ("15 min", 900),
        ("1.5h", 5400),
        ("2 hours", 7200),
        ("1d 12h", 129_600),
        ("1D12H", 129_600),
        ("2 weeks", 1_209_600),
    ],
)
def test_a_span_may_be_written_in_many_ways(text: str, seconds: float) -> None:
    assert read_span(text) == seconds
    assert TransferOptions(pause_limit=text).pause_limit == seconds  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "text", ["", "MiB", "-1", "1,5 GB", "5 MB/s", "5 parsecs", "5iB", "1e3", "٣ MB", "nan", "5 \u212a"]
)
def test_what_is_no_size_is_refused_with_what_is(text: str) -> None:
    with pytest.raises(ValidationError, match=r"it is not a size: .*, as in 500 MiB or 3.1 TB"):
        TransferOptions(max_size=text)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "text", ["", "soon", "-1s", "1h30", "1:30", "3 months", "1e3", "inf", "h", "5\u017f", "5m\u017f"]
)
def test_what_is_no_span_is_refused_with_what_is(text: str) -> None:
    with pytest.raises(ValidationError, match=r"it is not a stretch of time: .*, as in 30s, 15 min, 2h or 1d 12h"):
        TransferOptions(pause_limit=text)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("pause_limit", "40000d", "longer than a hundred years"),
        ("stall_seconds", "0s", "greater than 0"),
        ("lock_stale_after", "100ms", "greater than or equal to 1"),
        ("deadline_seconds", "1.5s", "fractional part"),
        ("batch_bytes", "0 B", "greater than 0"),
        ("max_size", timedelta(days=1), "valid integer"),
    ],
)
def test_the_bounds_are_those_of_the_number(name: str, value: str, words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        TransferOptions.model_validate({name: value})


def test_a_record_keeps_numbers() -> None:
    """So one that was written with units is the same on disk."""
    written = TransferOptions.model_validate(
        {"max_size": "1 KiB", "stall_seconds": "1h", "deadline_seconds": "3d", "patience": timedelta(minutes=2)}
    )
    plain = TransferOptions(max_size=1024, stall_seconds=3600.0, deadline_seconds=259_200, patience=120.0)
    assert written.model_dump_json() == plain.model_dump_json()
    schedule = TransferSchedule.model_validate({"type": "recurring", "interval_seconds": "1h"})
    assert schedule == TransferSchedule.every(3600)
    assert schedule.to_timer() == {"type": "recurring", "interval_seconds": 3600}
