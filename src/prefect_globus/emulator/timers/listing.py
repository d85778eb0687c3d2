"""Which timers are listed, in which order, and with how many results (contract section 7)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, Field, field_validator

from prefect_globus.emulator.timers.documents import moment
from prefect_globus.emulator.timers.model import Status, Timer
from prefect_globus.emulator.timers.reading import Moment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

DEFAULT_PAGE = 10  # [inferred], as the next one
LARGEST_PAGE = 100
Page = Annotated[int, Field(ge=1, le=LARGEST_PAGE)]

ACTIVE = frozenset({Status.NEW, Status.LOADED})
FILTER_STATUSES = ("active", "inactive", "ended")
ORDERS: dict[str, Callable[[Timer], Any]] = {
    "submitted_at": lambda timer: timer.submitted_at,
    "name": lambda timer: timer.spec.name or "",
    "status": lambda timer: timer.status,
    "start": lambda timer: timer.spec.schedule.start,
    "interval": lambda timer: timer.spec.interval or 0,
    "last_ran_at": lambda timer: timer.last_ran_at or 0.0,
    "next_run": lambda timer: timer.next_run or float("inf"),
    "n_runs": lambda timer: timer.number_of_runs,
    "n_errors": lambda timer: timer.number_of_errors,
}


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
    def _statuses(self) -> frozenset[str]:
        asked = {one.strip().lower() for one in self.filter_status.split(",")} - {""}
        asked |= ({"active"} if self.filter_active else set()) | ({"ended"} if self.filter_stopped else set())
        return frozenset(asked or FILTER_STATUSES)

    @field_validator("filter_status")
    @classmethod
    def _known(cls, value: str) -> str:
        if unknown := {one.strip().lower() for one in value.split(",")} - {"", *FILTER_STATUSES}:
            raise ValueError(f"Unknown status {min(unknown)[:80]!r}; there are active, inactive and ended")
        return value

    @field_validator("order")
    @classmethod
    def _orderable(cls, value: str) -> str:
        field, *direction = value.split() or [""]
        if field not in ORDERS or [one.lower() for one in direction] not in ([], ["asc"], ["desc"]):
            raise ValueError(f"The order must be FIELD [asc|desc], with a field of {', '.join(ORDERS)}")
        return value

    def choose(self, timers: Iterable[Timer]) -> list[Timer]:
        """Return the timers that are asked for, in the order that is asked for."""
        field, _, direction = " ".join(self.order.split()).partition(" ")
        chosen = [timer for timer in timers if self._matches(timer)]
        return sorted(chosen, key=ORDERS[field], reverse=direction.lower() == "desc")

    def _matches(self, timer: Timer) -> bool:
        status = "active" if timer.status in ACTIVE else timer.status
        after, before, submitted_at = self.submitted_after, self.submitted_before, moment(timer.submitted_at)
        return (
            status in self._statuses
            and self.filter_name.lower() in (timer.spec.name or "").lower()
            and (after is None or submitted_at > after)
            and (before is None or submitted_at < before)
        )


class ReadQuery(BaseModel):
    """The query of GET /jobs/ID: which results, and how many."""

    results_pt: Annotated[str, Field(pattern=r"^[0-9]{1,18}$")] | None = None
    page_size: Page = DEFAULT_PAGE
