"""A transfer is driven through everything that may happen to it, in any order; its checkpoint is in files."""

from __future__ import annotations

import pytest

from support.by_hand import Ground
from support.machine import FEW, LONG, run_machine

pytestmark = pytest.mark.timeout(3000)  # many runs in one test, on a machine that may be busy


@pytest.mark.parametrize("ground", ["files"], indirect=True)
def test_whatever_happens_nothing_is_lost_and_nothing_is_done_twice(ground: Ground) -> None:
    """The invariants hold after every step, and in the end the transfer comes to its end."""
    run_machine(ground, FEW)


@pytest.mark.soak
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("ground", ["files"], indirect=True)
def test_the_same_for_longer(ground: Ground) -> None:
    """With other examples each time."""
    run_machine(ground, LONG)
