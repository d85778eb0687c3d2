"""How long is waited before something is tried again: exponential, longer at random, and capped; at both levels."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prefect_globus.transfers.options import TransferOptions

seconds = st.floats(0, 1e6)
chances = st.floats(0, 1)
retries = st.integers(1, 10_000)


@settings(deadline=None)  # a busy machine takes its time
@given(seconds, seconds, chances, retries, chances)
def test_a_wait_is_within_its_bounds(first: float, cap: float, jitter: float, retry: int, chance: float) -> None:
    """However often it was tried: never longer than the cap and its jitter, never shorter than the doubling asks."""
    batches = TransferOptions(retry_delay=first, retry_max_delay=cap, retry_jitter=jitter)
    requests = TransferOptions(api_retry_delay=first, api_retry_max_delay=cap, retry_jitter=jitter)
    wait = batches.retry_wait(retry, chance)
    assert wait == requests.api_retry_wait(retry, chance)
    least = min(cap, first * 2.0 ** min(retry - 1, 60))
    assert least <= wait <= least * (1 + jitter)


@settings(deadline=None)
@given(seconds, seconds, retries, chances)
def test_a_later_wait_is_no_shorter(first: float, cap: float, retry: int, chance: float) -> None:
    """With the same luck."""
    options = TransferOptions(retry_delay=first, retry_max_delay=cap)
    assert options.retry_wait(retry, chance) <= options.retry_wait(retry + 1, chance)


@pytest.mark.parametrize(
    ("retry", "chance", "wait"), [(1, 0, 2), (2, 0, 4), (3, 0, 8), (6, 0, 60), (3, 1, 12), (9, 1, 90)]
)
def test_the_waits_of_the_reference(retry: int, chance: float, wait: float) -> None:
    """2 s, doubled, up to 50 % more at random, at most 60 s before that."""
    options = TransferOptions(retry_delay=2, retry_max_delay=60, api_retry_delay=2, api_retry_max_delay=60)
    assert options.retry_wait(retry, chance) == options.api_retry_wait(retry, chance) == wait


def test_no_jitter_is_none() -> None:
    """Then a wait can be told in advance."""
    assert {TransferOptions(retry_jitter=0).retry_wait(2, chance / 10) for chance in range(11)} == {60.0}
