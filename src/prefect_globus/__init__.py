"""Resumable Globus transfers for Prefect."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from prefect_globus.blocks import CheckpointStore, FileCheckpointStore, GlobusCredentials, SqlCheckpointStore
    from prefect_globus.deployments.on_demand import transfer_deployment
    from prefect_globus.flows.control import (
        cancel_transfer,
        delete_transfer,
        list_transfers,
        resume_transfer,
        transfer_status,
    )
    from prefect_globus.flows.resumable_transfer import resumable_transfer
    from prefect_globus.transfers.items import Item
    from prefect_globus.transfers.location import Location
    from prefect_globus.transfers.options import SyncLevel, TransferOptions
    from prefect_globus.transfers.result import TransferResult
    from prefect_globus.transfers.states import TransferStatus

__all__ = [
    "CheckpointStore",
    "FileCheckpointStore",
    "GlobusCredentials",
    "Item",
    "Location",
    "SqlCheckpointStore",
    "SyncLevel",
    "TransferOptions",
    "TransferResult",
    "TransferStatus",
    "cancel_transfer",
    "delete_transfer",
    "list_transfers",
    "resumable_transfer",
    "resume_transfer",
    "transfer_deployment",
    "transfer_status",
]

_HOMES = {
    "CheckpointStore": "blocks",
    "FileCheckpointStore": "blocks",
    "GlobusCredentials": "blocks",
    "Item": "transfers.items",
    "Location": "transfers.location",
    "SqlCheckpointStore": "blocks",
    "SyncLevel": "transfers.options",
    "TransferOptions": "transfers.options",
    "TransferResult": "transfers.result",
    "TransferStatus": "transfers.states",
    "cancel_transfer": "flows.control",
    "delete_transfer": "flows.control",
    "list_transfers": "flows.control",
    "resumable_transfer": "flows.resumable_transfer",
    "resume_transfer": "flows.control",
    "transfer_deployment": "deployments.on_demand",
    "transfer_status": "flows.control",
}


def __getattr__(name: str) -> Any:  # noqa: ANN401 - whatever has that name
    """Import a public name when it is first used; Prefect takes seconds, which the emulator can do without."""
    if name not in _HOMES:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
