"""A tree, and what a verification of it says."""

from __future__ import annotations

import os
import time
from typing import Any

from prefect_globus import Verification, verify_transfer
from support.world import World

FILES = {f"{n % 3}/{n % 2}/file {n}": f"content {n}" for n in range(40)} | {"top": "here", "z/z/z/z": "deep"}


def verify(world: World, transfer_id: str = "test", **arguments: Any) -> Verification:
    """Verify in this process."""
    result: Verification = verify_transfer(
        transfer_id, credentials=world.credentials, checkpoints=world.store, **arguments
    )
    return result


def codes(verification: Verification) -> dict[str, tuple[str, ...]]:
    return {difference.path: difference.codes for difference in verification.differences}


def prepare(world: World, **options: Any) -> None:
    world.write(FILES)
    (world.source / "empty" / "inside").mkdir(parents=True)
    past = time.time() - 86_400
    for path in FILES:
        os.utime(world.source / path, (past, past))
    world.run(batch_size=7, **options)
