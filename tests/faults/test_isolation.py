"""Fail in seconds: what one file of a batch meets for ever is found, and the rest of the batch arrives."""

from __future__ import annotations

import math

import pytest

from faults.lab import Lab
from prefect_globus import TransferStatus
from prefect_globus.emulator import FailFile, TaskFault
from prefect_globus.transfers.errors import TransferFailedError
from prefect_globus.transfers.items import Outcome
from support.world import World, tree

NUMBER = 100
MOST = 2 * math.log2(NUMBER) + 3


def write(lab: Lab) -> list[str]:
    names = [f"{number:03}" for number in range(NUMBER)]
    lab.write(*names)
    return names


def check(lab: Lab, poisons: dict[str, str]) -> None:
    assert lab.codes() == poisons
    outcomes = lab.outcomes()
    assert {path for path, outcome in outcomes.items() if outcome is Outcome.DEAD} == set(poisons)
    assert list(outcomes.values()).count(Outcome.TRANSFERRED) == NUMBER - len(poisons)
    lab.check()


@pytest.mark.parametrize("code", ["PERMISSION_DENIED", "INVALID_PATH_NAME"])
@pytest.mark.parametrize("poison", [0, 61, 99])
def test_one_poison_in_a_batch_of_a_hundred(lab: Lab, code: str, poison: int) -> None:
    """One that Globus tries for ever, or one that ends its task at once: one dead letter in few attempts."""
    name = write(lab)[poison]
    lab.fail(FailFile(code, side="destination"), name)
    with pytest.raises(TransferFailedError, match="1 item failed for good"):
        lab.run()
    check(lab, {name: code})
    assert len(lab.attempts()) <= MOST


def test_several_poisons(lab: Lab) -> None:
    """Each with its own code; what Globus names at the source needs no search at all."""
    names = write(lab)
    poisons = {names[7]: "PERMISSION_DENIED", names[50]: "INVALID_PATH_NAME", names[51]: "NOT_A_DIRECTORY"}
    for name, code in poisons.items():
        lab.fail(FailFile(code, side="destination"), name)
    lab.fail(FailFile("FILE_NOT_FOUND"), names[90])
    with pytest.raises(TransferFailedError, match="4 items failed for good"):
        lab.run()
    check(lab, poisons | {names[90]: "FILE_NOT_FOUND"})
    assert len(lab.attempts()) <= 1 + len(poisons) * (math.log2(NUMBER) + 3)


def test_a_destination_that_refuses_everything_ends_the_search(lab: Lab) -> None:
    """At isolation_limit; then all that is under suspicion is dead, and the code says why."""
    names = write(lab)
    lab.fail(FailFile("PERMISSION_DENIED", side="destination"))
    with pytest.raises(TransferFailedError, match=f"{NUMBER} items failed for good"):
        lab.run(isolation_limit=3)
    check(lab, dict.fromkeys(names, "PERMISSION_DENIED"))
    assert len(lab.attempts()) <= 3 + math.log2(NUMBER) + 2


@pytest.mark.parametrize("emulator_options", [{"time_scale": 100}])
def test_the_flow_finds_it_too(world: World) -> None:
    """And when the directory is mended, a resume sends the dead letters alone."""
    world.write({f"{number:03}": str(number) for number in range(NUMBER)})
    with world.emulator.fault(TaskFault(FailFile("PERMISSION_DENIED", side="destination"), file="/061")):
        with pytest.raises(TransferFailedError, match="1 item failed for good"):
            world.run(fault_grace=0.2, poll_interval=0.1)
        assert len(tree(world.destination)) == NUMBER - 1
        assert len(world.tasks()) <= MOST
    before = len(world.tasks())
    assert world.run().status is TransferStatus.COMPLETED
    assert tree(world.source) == tree(world.destination)
    assert len(world.tasks()) == before + 1
    assert all(len(by) == 1 for by in world.moved().values())
