"""Deletions: asked for, and counted by the emulator's own record."""

from __future__ import annotations

from typing import Any

from prefect_globus import RemovalReport, delete_extra, delete_source
from support.world import World

FILES = {f"{n % 3}/{n % 2}/file {n}": f"content {n}" for n in range(20)} | {"top": "here", "z/z/z/z": "deep"}


def from_source(world: World, transfer_id: str = "test", **arguments: Any) -> RemovalReport:
    """Delete the source of a transfer, in this process."""
    report: RemovalReport = delete_source(
        transfer_id, credentials=world.credentials, checkpoints=world.store, **arguments
    )
    return report


def extra(world: World, transfer_id: str = "test", **arguments: Any) -> RemovalReport:
    """Delete what is extra at the destination of a transfer, in this process."""
    report: RemovalReport = delete_extra(
        transfer_id, credentials=world.credentials, checkpoints=world.store, **arguments
    )
    return report


def deletions(world: World) -> list[dict[str, Any]]:
    """Every delete task that the emulator has ever accepted."""
    return list(world.client.task_list(limit=1000, query_params={"filter": "type:DELETE"})["DATA"])
