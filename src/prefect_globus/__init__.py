"""Resumable Globus transfers for Prefect."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from prefect_globus.blocks import CheckpointStore, FileCheckpointStore, GlobusCredentials, SqlCheckpointStore
    from prefect_globus.deployments.managing import delete_schedule, pause_schedule, resume_schedule
    from prefect_globus.deployments.on_demand import transfer_deployment
    from prefect_globus.deployments.recurring import deploy_recurring_transfer
    from prefect_globus.deployments.schedule_reports import ScheduleReport, list_schedules, show_schedule
    from prefect_globus.deployments.timers import ImportedTimer, import_timer
    from prefect_globus.flows.catalogue import transfer_and_catalogue
    from prefect_globus.flows.control import cancel_transfer, delete_transfer, pause_transfer, resume_transfer
    from prefect_globus.flows.deletions import transfer_deletions
    from prefect_globus.flows.landing import iter_batches, landing
    from prefect_globus.flows.login import log_in, log_out
    from prefect_globus.flows.login_status import login_status
    from prefect_globus.flows.maintenance import resume_incomplete
    from prefect_globus.flows.planning import plan_transfer
    from prefect_globus.flows.preflight import preflight_transfer
    from prefect_globus.flows.purging import purge_transfers
    from prefect_globus.flows.reading import list_transfers, transfer_history, transfer_items, transfer_status
    from prefect_globus.flows.redriving import redrive_transfer
    from prefect_globus.flows.removing import delete_extra, delete_source
    from prefect_globus.flows.reporting import transfer_report
    from prefect_globus.flows.resumable_transfer import resumable_transfer
    from prefect_globus.flows.scheduled_transfer import scheduled_transfer
    from prefect_globus.flows.timers import (
        create_timer,
        delete_timer,
        list_timers,
        pause_timer,
        resume_timer,
        show_timer,
    )
    from prefect_globus.flows.verify import forget_delivery, verify_transfer
    from prefect_globus.transfers.items import Item
    from prefect_globus.transfers.landed import LandedBatch, LandedItem
    from prefect_globus.transfers.location import Location
    from prefect_globus.transfers.logins import LoginStatus, ServiceLogin
    from prefect_globus.transfers.options import SyncLevel, TransferOptions
    from prefect_globus.transfers.planning import DryRun, TransferPlan
    from prefect_globus.transfers.preflight import Finding, Preflight
    from prefect_globus.transfers.purging import Purged
    from prefect_globus.transfers.removals import RemovalReport
    from prefect_globus.transfers.reports import BatchHistory, ItemReport, Sweep
    from prefect_globus.transfers.result import TransferResult
    from prefect_globus.transfers.schedules import TransferSchedule
    from prefect_globus.transfers.states import TransferStatus
    from prefect_globus.transfers.telling.report import TransferReport
    from prefect_globus.transfers.timers import Timer
    from prefect_globus.transfers.verification import Difference, Verification

__all__ = [
    "BatchHistory",
    "CheckpointStore",
    "Difference",
    "DryRun",
    "FileCheckpointStore",
    "Finding",
    "GlobusCredentials",
    "ImportedTimer",
    "Item",
    "ItemReport",
    "LandedBatch",
    "LandedItem",
    "Location",
    "LoginStatus",
    "Preflight",
    "Purged",
    "RemovalReport",
    "ScheduleReport",
    "ServiceLogin",
    "SqlCheckpointStore",
    "Sweep",
    "SyncLevel",
    "Timer",
    "TransferOptions",
    "TransferPlan",
    "TransferReport",
    "TransferResult",
    "TransferSchedule",
    "TransferStatus",
    "Verification",
    "cancel_transfer",
    "create_timer",
    "delete_extra",
    "delete_schedule",
    "delete_source",
    "delete_timer",
    "delete_transfer",
    "deploy_recurring_transfer",
    "forget_delivery",
    "import_timer",
    "iter_batches",
    "landing",
    "list_schedules",
    "list_timers",
    "list_transfers",
    "log_in",
    "log_out",
    "login_status",
    "pause_schedule",
    "pause_timer",
    "pause_transfer",
    "plan_transfer",
    "preflight_transfer",
    "purge_transfers",
    "redrive_transfer",
    "resumable_transfer",
    "resume_incomplete",
    "resume_schedule",
    "resume_timer",
    "resume_transfer",
    "scheduled_transfer",
    "show_schedule",
    "show_timer",
    "transfer_and_catalogue",
    "transfer_deletions",
    "transfer_deployment",
    "transfer_history",
    "transfer_items",
    "transfer_report",
    "transfer_status",
    "verify_transfer",
]

_HOMES = {
    "BatchHistory": "transfers.reports",
    "CheckpointStore": "blocks",
    "Difference": "transfers.verification",
    "DryRun": "transfers.planning",
    "FileCheckpointStore": "blocks",
    "Finding": "transfers.preflight",
    "GlobusCredentials": "blocks",
    "ImportedTimer": "deployments.timers",
    "Item": "transfers.items",
    "ItemReport": "transfers.reports",
    "LandedBatch": "transfers.landed",
    "LandedItem": "transfers.landed",
    "Location": "transfers.location",
    "LoginStatus": "transfers.logins",
    "Preflight": "transfers.preflight",
    "Purged": "transfers.purging",
    "RemovalReport": "transfers.removals",
    "ScheduleReport": "deployments.schedule_reports",
    "ServiceLogin": "transfers.logins",
    "SqlCheckpointStore": "blocks",
    "Sweep": "transfers.reports",
    "SyncLevel": "transfers.options",
    "Timer": "transfers.timers",
    "TransferOptions": "transfers.options",
    "TransferPlan": "transfers.planning",
    "TransferReport": "transfers.telling.report",
    "TransferResult": "transfers.result",
    "TransferSchedule": "transfers.schedules",
    "TransferStatus": "transfers.states",
    "Verification": "transfers.verification",
    "cancel_transfer": "flows.control",
    "create_timer": "flows.timers",
    "delete_extra": "flows.removing",
    "delete_schedule": "deployments.managing",
    "delete_source": "flows.removing",
    "delete_timer": "flows.timers",
    "delete_transfer": "flows.control",
    "deploy_recurring_transfer": "deployments.recurring",
    "forget_delivery": "flows.verify",
    "import_timer": "deployments.timers",
    "iter_batches": "flows.landing",
    "landing": "flows.landing",
    "list_schedules": "deployments.schedule_reports",
    "list_timers": "flows.timers",
    "list_transfers": "flows.reading",
    "log_in": "flows.login",
    "log_out": "flows.login",
    "login_status": "flows.login_status",
    "pause_schedule": "deployments.managing",
    "pause_timer": "flows.timers",
    "pause_transfer": "flows.control",
    "plan_transfer": "flows.planning",
    "preflight_transfer": "flows.preflight",
    "purge_transfers": "flows.purging",
    "redrive_transfer": "flows.redriving",
    "resumable_transfer": "flows.resumable_transfer",
    "resume_incomplete": "flows.maintenance",
    "resume_schedule": "deployments.managing",
    "resume_timer": "flows.timers",
    "resume_transfer": "flows.control",
    "scheduled_transfer": "flows.scheduled_transfer",
    "show_schedule": "deployments.schedule_reports",
    "show_timer": "flows.timers",
    "transfer_and_catalogue": "flows.catalogue",
    "transfer_deletions": "flows.deletions",
    "transfer_deployment": "deployments.on_demand",
    "transfer_history": "flows.reading",
    "transfer_items": "flows.reading",
    "transfer_report": "flows.reporting",
    "transfer_status": "flows.reading",
    "verify_transfer": "flows.verify",
}


def __getattr__(name: str) -> Any:  # noqa: ANN401 - whatever has that name
    """Import a public name when it is first used; Prefect takes seconds, which the emulator can do without."""
    if name not in _HOMES:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
