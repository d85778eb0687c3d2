"""A repair is a transfer of its own, of what differs; it can be killed, and goes on."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable

import pytest

from prefect_globus import TransferStatus
from prefect_globus.emulator import Delay, RequestFault
from prefect_globus.transfers.errors import InvalidInputError, TransferNotFoundError
from support.verifying import FILES, codes, prepare, verify
from support.world import World, tree

COMMAND = [sys.executable, "-P", "-c", "from prefect_globus.cli.main import main; main()"]


def test_checksums_find_what_size_and_time_do_not(world: World) -> None:
    """Globus' record of both times tells whether the destination was altered or the source has changed."""
    prepare(world)
    for folder, path in ((world.destination, "1/0/file 4"), (world.source, "top")):
        stamp = (folder / path).stat()
        (folder / path).write_bytes((folder / path).read_bytes().swapcase())
        os.utime(folder / path, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    (world.destination / "0/0/file 0").unlink()
    assert codes(verify(world, source=True)) == {"0/0/file 0": ("MISSING",)}
    with pytest.raises(InvalidInputError, match="--repair"):
        verify(world, checksum=True)
    moved = world.moved()

    verification = verify(world, checksum=True, repair=True)
    assert codes(verification) == {"0/0/file 0": ("MISSING",), "1/0/file 4": ("ALTERED",), "top": ("SOURCE_CHANGED",)}
    assert verification.ok
    assert tree(world.destination) == tree(world.source)
    again = {path for path, by in world.moved().items() if len(by) > len(moved[path])}
    assert again == {"/0/0/file 0", "/1/0/file 4", "/top"}
    assert verify(world, checksum=True, repair=True).items_differing == 0


def test_a_repair_that_cannot_be_made_says_so(world: World) -> None:
    """What vanished at the source cannot be moved again, and is not called repaired; the next repair tries again."""
    prepare(world)
    for folder in (world.source, world.destination):
        (folder / "top").unlink()
    (world.destination / "z/z/z/z").unlink()
    verification = verify(world, repair=True)
    assert not verification.ok
    assert {each.path: each.repaired for each in verification.differences} == {"top": False, "z/z/z/z": True}
    assert verification.repair is not None
    assert verification.repair.status is TransferStatus.FAILED
    assert codes(verify(world)) == {"top": ("MISSING",)}
    world.write({"top": "here"})
    again = verify(world, repair=True)
    assert again.ok
    assert again.repair is not None
    assert again.repair.id == "test+repair-2"


def test_a_destination_that_is_gone(world: World) -> None:
    """All is missing, and all is brought back."""
    world.write(FILES)
    world.run(destination="/here", batch_size=10)
    shutil.rmtree(world.destination / "here")
    limited = verify(world, limit=3)
    assert (limited.items_differing, len(limited.differences)) == (len(FILES), 3)
    assert verify(world, repair=True).ok
    assert tree(world.destination / "here") == tree(world.source)


@pytest.mark.parametrize("folder", ["2", "4", "7"])
def test_a_repair_that_was_killed_goes_on(world: World, folder: str) -> None:
    """In the middle of the comparison: what it has found already is not looked for, nor moved, again."""
    world.write({f"{n}/{m}": f"{n} {m}" for n in range(8) for m in range(4)})
    world.run(batch_size=3)
    for path in world.destination.glob("*/*"):
        path.unlink()
    hangs = RequestFault(Delay(120), path="*/ls", file=f"/{folder}", collection="destination")
    with world.emulator.fault(hangs):
        process = subprocess.Popen(
            [*COMMAND, "verify", "test", "--repair", "-q"], env=world.environment, cwd=world.folder, text=True
        )
        wait_for(lambda: scanned(world) > 0 and world.emulator.faults()[0].fired > 0)
        process.kill()
        process.wait()
    found = scanned(world)
    assert 0 < found < 32
    assert not world.store.load_transfer("test+repair-1").scan_complete
    verification = verify(world, repair=True)
    assert (verification.ok, verification.items_differing) == (True, 32)
    assert tree(world.destination) == tree(world.source)
    assert {each.id for each in world.store.list_transfers()} == {"test", "test+repair-1"}
    assert {len(by) for by in world.moved().values()} == {2}, "once by the transfer, once by the repair"


def scanned(world: World) -> int:
    try:
        return world.store.ledger("test+repair-1").items
    except TransferNotFoundError:
        return 0


def wait_for(condition: Callable[[], bool], seconds: float = 120.0) -> None:
    give_up = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < give_up, "it never happened"
        time.sleep(0.05)
