"""The records of a transfer as a whole: what a checkpoint store keeps of it besides its batches."""

from __future__ import annotations

from enum import StrEnum
from uuid import UUID

from pydantic import AwareDatetime, Field

from prefect_globus.transfers.comparing import Check
from prefect_globus.transfers.location import Location
from prefect_globus.transfers.options import TransferOptions
from prefect_globus.transfers.records import Record, now
from prefect_globus.transfers.removals import Removal
from prefect_globus.transfers.states import TransferStatus


class Request(StrEnum):
    """What a person asked of the driver of a transfer; it sees it at its next heartbeat."""

    PAUSE = "PAUSE"  # submit nothing new, and let what runs at Globus finish
    PAUSE_NOW = "PAUSE_NOW"  # submit nothing new, and cancel what runs at Globus
    CANCEL = "CANCEL"  # for good

    @property
    def pauses(self) -> bool:
        """Whether the transfer may go on some day."""
        return self is not Request.CANCEL


class PausedBy(StrEnum):
    """Who a PAUSED transfer waits for."""

    REQUEST = "REQUEST"  # whoever has asked for the pause, and will resume it
    FAULT = "FAULT"  # a person who mends what Globus has reported; then it goes on by itself
    PREFECT = "PREFECT"  # whoever resumes the suspended flow run in Prefect
    APPROVAL = "APPROVAL"  # whoever approves or refuses its plan


class Scheduled(Record):
    """Which run of a schedule a transfer is.

    Args:
        schedule: the Prefect deployment, as FLOW/DEPLOYMENT.
        tick: when the run was due; aware, UTC.
        run: 1 for the first that was started; a tick that was skipped is no run.
    """

    schedule: str
    tick: AwareDatetime
    run: int


class Drive(Record):
    """One process that has driven a transfer.

    Args:
        number: 1 for the first.
        holder: who, in terms that a person understands: user, host and process id.
        flow_run: the one that it was; None where that is not known.
        began_at: when it took over; aware, UTC.
    """

    number: int
    holder: str
    flow_run: UUID | None = None
    began_at: AwareDatetime = Field(default_factory=now)


DRIVES = 20  # of a transfer that are kept, the latest: one that is resumed for ever must not grow for ever


class Approval(Record):
    """What was asked about the plan of a transfer, and what was decided.

    Args:
        flow_run: the flow run in Prefect that asks, and whose resumption is the answer; None when nobody asks there.
        key: of the question in Prefect.
        approved: None as long as nothing was decided.
        by: who has decided, as they say; None where that is not known.
        comment: why, as they say.
        decided_at: aware, UTC.
        deletes: how much the plan deletes that is extra at the destination; None where nothing is to be.
    """

    flow_run: UUID | None = None
    key: str | None = None
    approved: bool | None = None
    by: str | None = None
    comment: str | None = None
    decided_at: AwareDatetime | None = None
    deletes: int | None = None


class Transfer(Record):
    """One resumable transfer, as its checkpoint has it.

    Args:
        id: unique in its store.
        source: what is transferred.
        destination: where to.
        options: how; callbacks are not kept.
        status: where it stands.
        source_is_file: whether the source is one file rather than a directory; None until it was looked at.
        batches: how many batches the manifest has.
        cursor: the path of the last item in the manifest, where the scan goes on.
        scan_complete: whether the manifest is the whole source.
        scanned_at: when the scan was complete; None where an older version had no place for it.
        filtered: whether a filter callback was used, so that a resumed scan needs it again.
        since: the completed transfer that it is compared with, if it is incremental; on record before its scan begins,
            so that one that was cut off decides as it would have. None when there was none: then everything is new.
        deleted: how many items of ``since`` the source has no more; None where nobody can tell.
        repairs: what is compared to find out what it moves, if it repairs what another transfer has delivered; then
            its manifest is what differs, rather than the whole source.
        scheduled: which run of which schedule it is; None if somebody has just asked for it.
        drives: who has driven it, the latest `DRIVES` of them, oldest first.
        approval: what was asked about its plan, if its options want that.
        removals: what was deleted at the source or the destination since it was delivered, at most one of a kind.
        credentials: name of the block that it was begun with, for whoever resumes it; None for the environment's.
        error: why it is FAILED or PAUSED.
        paused_by: whom it waits for while it is PAUSED.
        created_at: aware, UTC.
        updated_at: aware, UTC.
    """

    id: str
    source: Location
    destination: Location
    options: TransferOptions = TransferOptions()
    status: TransferStatus = TransferStatus.CREATED
    source_is_file: bool | None = None
    batches: int = 0
    cursor: str | None = None
    scan_complete: bool = False
    scanned_at: AwareDatetime | None = None
    filtered: bool = False
    since: str | None = None
    deleted: int | None = None
    repairs: Check | None = None
    scheduled: Scheduled | None = None
    drives: tuple[Drive, ...] = ()
    approval: Approval | None = None
    removals: tuple[Removal, ...] = ()
    credentials: str | None = None
    error: str | None = None
    paused_by: PausedBy | None = None
    created_at: AwareDatetime = Field(default_factory=now)
    updated_at: AwareDatetime = Field(default_factory=now)

    @property
    def is_approved(self) -> bool:
        """Whether somebody has approved its plan."""
        return self.approval is not None and self.approval.approved is True

    @property
    def waits_for_somebody(self) -> bool:
        """Whether it is PAUSED, and only somebody can have it go on.

        One that asks for an approval in Prefect does not count: when its process is gone, it has to be asked for again.
        """
        if self.status is not TransferStatus.PAUSED or self.paused_by is PausedBy.FAULT:
            return False
        asks = self.approval is not None and self.approval.flow_run is not None
        return not (self.paused_by is PausedBy.APPROVAL and asks)

    def driven_by(self, holder: str, flow_run: UUID | None) -> tuple[Drive, ...]:
        """Its drives with one more, which begins now."""
        number = self.drives[-1].number + 1 if self.drives else 1
        return (*self.drives, Drive(number=number, holder=holder, flow_run=flow_run))[-DRIVES:]


class Holder(Record):
    """Who drives a transfer, in terms that a person understands and a machine can check.

    Args:
        description: for people: user, host, process id and, in a flow, the run's name.
        process: identifies the process on its machine, or None where that is not known.
        nonce: of one attempt to take the lease, so that one whose answer was lost is known again.
    """

    description: str
    process: str | None = None
    nonce: str | None = None


class Lease(Record):
    """The exclusive, expiring right to drive one transfer.

    Args:
        transfer_id: which.
        token: grows with each new lease of the transfer; a write with an older one is refused.
        holder: who has it.
        expires_at: by the store's clock; aware, UTC.
    """

    transfer_id: str
    token: int
    holder: Holder
    expires_at: AwareDatetime
