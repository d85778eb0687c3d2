"""Reading what a client sends (contract section 7).

The service itself is built on pydantic, so that the errors of our models have the very shape of its own.
"""

from __future__ import annotations

import time
import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Literal, Self, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from prefect_globus.emulator.errors import ApiError, BadRequest
from prefect_globus.emulator.tasks.submission import read_transfer
from prefect_globus.emulator.timers.model import Document, TimerSpec
from prefect_globus.emulator.timers.schedule import (
    FURTHEST_START,
    LONGEST_INTERVAL,
    SHORTEST_INTERVAL,
    Schedule,
    real_moment,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

# Every address that the Transfer action has had; older clients know an older one.
TRANSFER_ACTIONS = (
    "https://transfer.actions.globus.org/transfer/run",
    "https://actions.automate.globus.org/transfer/transfer/run",
    "https://actions.globus.org/transfer/transfer/run",
)
# The names of the older action for the fields of a transfer document.
OLDER_NAMES = {
    "source_endpoint_id": "source_endpoint",
    "destination_endpoint_id": "destination_endpoint",
    "transfer_items": "DATA",
}


class InvalidRequest(ApiError):  # noqa: N818 -- named for what it is
    """The request says something that does not fit; the answer says where and why, one entry for each error."""

    def __init__(self, detail: Sequence[Document]) -> None:
        super().__init__(422, "InvalidRequest", "The request is invalid", {"detail": list(detail)})


Model = TypeVar("Model", bound=BaseModel)


def read(model: type[Model], document: Document, place: str) -> Model:
    """Return a document as a model. Raises InvalidRequest, whose locations begin with `place`: body or query."""
    try:
        return model.model_validate(document)
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=False, include_input=False)
        raise InvalidRequest([{**one, "loc": [place, *one["loc"]]} for one in found]) from error


def _utc(moment: datetime) -> datetime:
    """Return a moment in UTC, which it is taken to be in unless it says otherwise."""
    try:
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except OverflowError as error:
        raise ValueError("There is no such moment in UTC") from error


def _start(moment: datetime) -> datetime:
    seconds = moment.timestamp()
    if seconds <= 0 or seconds > time.time() + FURTHEST_START:
        raise ValueError("A timer must start after 1970-01-01 and within one year")
    return moment


Moment = Annotated[datetime, AfterValidator(_utc)]
Start = Annotated[Moment, AfterValidator(_start)]
Interval = Annotated[int, Field(ge=SHORTEST_INTERVAL, le=LONGEST_INTERVAL)]
Count = Annotated[int, Field(ge=1, le=2**31)]

DEFAULT_PAGE = 10  # [inferred], as the next one
LARGEST_PAGE = 100
Page = Annotated[int, Field(ge=1, le=LARGEST_PAGE)]

FILTER_STATUSES = ("active", "inactive", "ended")
ORDERS = ("submitted_at", "name", "status", "start", "interval", "last_ran_at", "next_run", "n_runs", "n_errors")


class TransferItem(BaseModel):
    """An item of a transfer document."""

    DATA_TYPE: Literal["transfer_item"] = "transfer_item"
    source_path: str
    destination_path: str
    recursive: bool | None = None
    external_checksum: str | None = None
    checksum_algorithm: str | None = None


class FilterRule(BaseModel):
    """A filter rule of a transfer document."""

    DATA_TYPE: Literal["filter_rule"] = "filter_rule"
    name: str
    method: Literal["include", "exclude"] = "exclude"
    type: Literal["file", "dir"] | None = None


class TransferDocument(BaseModel):
    """A transfer document without a submission_id. It is checked as a submission is, but for consents and paths."""

    DATA_TYPE: Literal["transfer"] = "transfer"
    source_endpoint: uuid.UUID
    destination_endpoint: uuid.UUID
    DATA: list[TransferItem] = Field(min_length=1)
    deadline: str | None = None
    delete_destination_extra: bool = False
    destination_local_user: str | None = None
    encrypt_data: bool = False
    fail_on_quota_errors: bool = False
    filter_rules: list[FilterRule] | None = None
    label: str | None = None
    notify_on_failed: bool = True
    notify_on_inactive: bool = True
    notify_on_succeeded: bool = True
    preserve_timestamp: bool = False
    recursive_symlinks: Literal["ignore", "keep", "copy"] | None = None
    skip_source_errors: bool = False
    source_local_user: str | None = None
    store_base_path_info: bool = False
    sync_level: Literal[0, 1, 2, 3] | None = None
    verify_checksum: bool = False

    @property
    def document(self) -> Document:
        """The document with its defaults filled in."""
        return self.model_dump(mode="json", exclude_none=True)

    @model_validator(mode="after")
    def _check(self) -> Self:
        try:
            read_transfer(self.document | {"submission_id": str(uuid.uuid4())})
        except BadRequest as error:
            raise ValueError(error.message) from error
        return self


class EndAfterIterations(BaseModel):
    """The timer stops after so many runs."""

    condition: Literal["iterations"]
    count: Count


class EndAtTime(BaseModel):
    """The timer stops after a moment."""

    condition: Literal["time"]
    datetime: Moment


class OnceSchedule(BaseModel):
    """The timer runs once, now or at a moment."""

    type: Literal["once"]
    datetime: Start | None = None

    def document(self, now: float) -> Document:
        """Return it with its defaults filled in."""
        return {"type": "once", "datetime": _text(self.datetime, now)}

    def ticks(self, now: float, scale: float) -> Schedule:
        """Return its ticks in real time."""
        return Schedule(_real(self.datetime, now, scale), count=1)


class RecurringSchedule(BaseModel):
    """The timer runs again and again, until an end."""

    type: Literal["recurring"]
    interval_seconds: Interval
    start: Start | None = None
    end: Annotated[EndAfterIterations | EndAtTime, Field(discriminator="condition")] | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        _check_end(self.start, self.end.datetime if isinstance(self.end, EndAtTime) else None)
        return self

    def document(self, now: float) -> Document:
        """Return it with its defaults filled in."""
        return {
            "type": "recurring",
            "interval_seconds": self.interval_seconds,
            "start": _text(self.start, now),
            "end": self._end_document(now),
        }

    def _end_document(self, now: float) -> Document | None:
        match self.end:
            case EndAtTime():
                return {"condition": "time", "datetime": _text(self.end.datetime, now)}
            case EndAfterIterations():
                return {"condition": "iterations", "count": self.end.count}
            case None:
                return None

    def ticks(self, now: float, scale: float) -> Schedule:
        """Return its ticks in real time."""
        return Schedule(
            start=_real(self.start, now, scale),
            interval=self.interval_seconds / scale,
            ends_at=_real(self.end.datetime, now, scale) if isinstance(self.end, EndAtTime) else None,
            count=self.end.count if isinstance(self.end, EndAfterIterations) else None,
        )


class TransferTimer(BaseModel):
    """What POST /v2/timer asks for."""

    timer_type: Literal["transfer"]
    name: str | None = None
    schedule: Annotated[OnceSchedule | RecurringSchedule, Field(discriminator="type")]
    body: TransferDocument

    @field_validator("timer_type", mode="before")
    @classmethod
    def _no_flows(cls, value: object) -> object:
        if value == "flow":
            raise ValueError("This emulator has no Flows; only transfers can be timed")
        return value


class TimerCreate(BaseModel):
    """The body of POST /v2/timer."""

    timer: TransferTimer

    def spec(self, now: float, scale: float) -> TimerSpec:
        """Return the timer that is asked for."""
        asked = self.timer
        return _spec(asked.name, asked.schedule, asked.body, now, scale)


def _with_newer_names(body: object) -> object:
    return {OLDER_NAMES.get(name, name): value for name, value in body.items()} if isinstance(body, dict) else body


class CallbackBody(BaseModel):
    """What the Transfer action is called with, in the words of any of its versions."""

    body: Annotated[TransferDocument, BeforeValidator(_with_newer_names)]


class StopAfter(BaseModel):
    """When a job stops."""

    date: Moment | None = None
    n_runs: Count | None = None


class JobCreate(BaseModel):
    """The body of POST /jobs/: a timer as older clients ask for it."""

    name: str | None = None
    start: Start
    interval: Annotated[float, Field(ge=SHORTEST_INTERVAL, le=LONGEST_INTERVAL, allow_inf_nan=False)] | None = None
    stop_after: StopAfter | Moment | None = None
    stop_after_n: Count | None = None
    callback_url: str
    callback_body: CallbackBody
    scope: str | None = None

    @field_validator("callback_url")
    @classmethod
    def _only_transfers(cls, value: str) -> str:
        if value not in TRANSFER_ACTIONS:
            raise ValueError(f"This emulator runs only the Transfer action, {TRANSFER_ACTIONS[0]}")
        return value

    @model_validator(mode="after")
    def _check(self) -> Self:
        stop = self._stop
        if stop.date is not None and stop.n_runs is not None:
            raise ValueError("A job stops after a date or after a number of runs, not both")
        if (self.interval is None) != (stop.n_runs == 1):
            raise ValueError("A job that stops after exactly 1 run has no interval, any other has one")
        _check_end(self.start, stop.date)
        return self

    @property
    def _stop(self) -> StopAfter:
        stop = self.stop_after if isinstance(self.stop_after, StopAfter) else StopAfter(date=self.stop_after)
        return StopAfter(date=stop.date, n_runs=self.stop_after_n or stop.n_runs)

    @property
    def _schedule(self) -> OnceSchedule | RecurringSchedule:
        if self.interval is None:
            return OnceSchedule(type="once", datetime=self.start)
        end: EndAfterIterations | EndAtTime | None = None
        if self._stop.n_runs is not None:
            end = EndAfterIterations(condition="iterations", count=self._stop.n_runs)
        elif self._stop.date is not None:
            end = EndAtTime(condition="time", datetime=self._stop.date)
        return RecurringSchedule(type="recurring", interval_seconds=int(self.interval), start=self.start, end=end)

    def spec(self, now: float, scale: float, callback_body: Document) -> TimerSpec:
        """Return the timer that is asked for; `callback_body` is shown as the client has sent it."""
        made = _spec(self.name, self._schedule, self.callback_body.body, now, scale)
        return made._replace(callback_url=self.callback_url, callback_body=callback_body, scope=self.scope)


class JobUpdate(BaseModel):
    """The body of PATCH /jobs/ID; nothing but the name can be changed."""

    name: str | None = None


class ListQuery(BaseModel):
    """The query of GET /jobs/."""

    filter_name: str = ""
    submitted_after: Moment | None = None
    submitted_before: Moment | None = None
    filter_active: bool = False
    filter_stopped: bool = False
    filter_status: str = ""
    result_count: Page = DEFAULT_PAGE
    order: str = "submitted_at"

    @property
    def statuses(self) -> frozenset[str]:
        """The statuses that are asked for, out of those that a filter knows."""
        asked = {one.strip().lower() for one in self.filter_status.split(",")} - {""}
        asked |= ({"active"} if self.filter_active else set()) | ({"ended"} if self.filter_stopped else set())
        return frozenset(asked or FILTER_STATUSES)

    @field_validator("filter_status")
    @classmethod
    def _known(cls, value: str) -> str:
        if unknown := {one.strip().lower() for one in value.split(",")} - {"", *FILTER_STATUSES}:
            raise ValueError(f"Unknown status {min(unknown)[:80]!r}; there are active, inactive and ended")
        return value

    @property
    def ordering(self) -> tuple[str, bool]:
        """The field to order by, and whether the largest comes first."""
        field, _, direction = " ".join(self.order.split()).partition(" ")
        return field, direction.lower() == "desc"

    @field_validator("order")
    @classmethod
    def _orderable(cls, value: str) -> str:
        field, *direction = value.split() or [""]
        if field not in ORDERS or [one.lower() for one in direction] not in ([], ["asc"], ["desc"]):
            raise ValueError(f"The order must be FIELD [asc|desc], with a field of {', '.join(ORDERS)}")
        return value


class ReadQuery(BaseModel):
    """The query of GET /jobs/ID: which results, and how many."""

    results_pt: Annotated[str, Field(pattern=r"^[0-9]{1,18}$")] | None = None
    page_size: Page = DEFAULT_PAGE


class Resume(BaseModel):
    """The body or the query of POST /jobs/ID/resume."""

    update_credentials: bool | None = None


def _spec(
    name: str | None, schedule: OnceSchedule | RecurringSchedule, body: TransferDocument, now: float, scale: float
) -> TimerSpec:
    return TimerSpec(
        name=name,
        schedule=schedule.ticks(now, scale),
        schedule_document=schedule.document(now),
        interval=schedule.interval_seconds if isinstance(schedule, RecurringSchedule) else None,
        body=body.document,
        callback_url=TRANSFER_ACTIONS[0],
    )


def _real(moment: datetime | None, now: float, scale: float) -> float:
    return now if moment is None else real_moment(moment.timestamp(), now, scale)


def _text(moment: datetime | None, now: float) -> str:
    return (moment or datetime.fromtimestamp(now, UTC)).isoformat()


def _check_end(start: datetime | None, end: datetime | None) -> None:
    if end is not None and end.timestamp() < (start.timestamp() if start else time.time()):
        raise ValueError("The end is before the start")
