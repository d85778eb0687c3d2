"""When a transfer runs, as flags: ``--every 1h --count 3``, ``--once 2026-11-23T02:00:00Z``."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, TypeVar

import click
from pydantic import TypeAdapter, ValidationError

from prefect_globus.cli.spans import Span
from prefect_globus.transfers.schedules import Moment, TransferSchedule

_F = TypeVar("_F", bound=Callable[..., Any])
_NOW = "now"
_MOMENT: TypeAdapter[datetime] = TypeAdapter(Moment)


class MomentParam(click.ParamType[datetime | str]):
    """A moment with its time zone; or ``now``, where something may begin at once."""

    name = "time"

    def __init__(self, *, now: bool) -> None:
        self._now = now

    def convert(
        self, value: str | datetime, param: click.Parameter | None, ctx: click.Context | None
    ) -> datetime | str:
        """Read ``value``."""
        if self._now and isinstance(value, str) and value.strip().lower() == _NOW:
            return _NOW
        try:
            return _MOMENT.validate_python(value)
        except ValidationError as error:
            reason = _words(error)
            self.fail(reason if "zone" in reason else f"{value!r} is no time: write 2026-11-23T02:00:00Z", param, ctx)


_FLAGS = (
    click.option("--every", type=Span(), metavar="SPAN", help="From run to run, such as 1h, 90min or 1d."),
    click.option("--once", type=MomentParam(now=True), metavar="TIME", help="Run a single time, then; or 'now'."),
    click.option(
        "--start",
        type=MomentParam(now=True),
        metavar="TIME",
        help="Of --every: the first run, such as 2026-11-23T02:00:00Z or 2026-11-23T03:00:00+01:00.  [default: now]",
    ),
    click.option("--until", type=MomentParam(now=False), metavar="TIME", help="Of --every: no runs after that."),
    click.option("--count", type=click.IntRange(min=1), metavar="N", help="Of --every: no more than so many runs."),
)


def when_flags(command: _F) -> _F:
    """Decorate a command with the flags of a TransferSchedule; `schedule_of` takes them."""
    for flag in reversed(_FLAGS):
        command = flag(command)
    return command


def schedule_of(
    *,
    every: timedelta | None,
    once: datetime | str | None,
    start: datetime | str | None,
    until: datetime | None,
    count: int | None,
) -> TransferSchedule | None:
    """The schedule that the flags describe; None if they describe none.

    Raises:
        click.UsageError: they do not go together.
    """
    details = [name for name, value in (("start", start), ("until", until), ("count", count)) if value is not None]
    if details and every is None:
        raise click.UsageError(f"--{details[0]} goes with --every only")
    if every is not None and once is not None:
        raise click.UsageError("Give --every or --once, not both")
    try:
        if every is not None:
            return TransferSchedule.every(every, start=_moment(start), until=until, count=count)
    except ValidationError as error:
        raise click.UsageError(_words(error)) from None
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    return None if once is None else TransferSchedule.once(_moment(once))


def _moment(value: datetime | str | None) -> datetime | None:
    """None for now, as a schedule has it: when it is made is a matter of the one who makes it."""
    return value if isinstance(value, datetime) else None


def _words(error: ValidationError) -> str:
    first = error.errors()[0]
    field = ".".join(str(part) for part in first["loc"])
    return f"{field + ': ' if field else ''}{first['msg'].removeprefix('Value error, ')}"
