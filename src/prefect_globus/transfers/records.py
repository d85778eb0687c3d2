"""What all frozen records of the domain have in common."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Self

from pydantic import BaseModel, ConfigDict


class Record(BaseModel):
    """A frozen record: it never changes, it evolves into a new one."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def evolve(self, **changes: Any) -> Self:  # noqa: ANN401 - any field
        """Return a copy with the fields ``changes`` replaced, without validating the others again."""
        return self.model_copy(update=changes)


def now() -> datetime:
    """The time of this machine's clock, aware, in UTC."""
    return datetime.now(UTC)
