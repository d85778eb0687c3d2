"""Templates: what of a scheduled transfer differs from run to run, its id and its locations."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, tzinfo
from string import Formatter
from typing import TypeVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from prefect_globus.transfers.errors import InvalidInputError
from prefect_globus.transfers.location import Location, check_disjoint, check_transfer_id

TEMPLATE = "scheduled-{scheduled}"
"""The id of a scheduled transfer for which no other template was given."""

_T = TypeVar("_T")

_DEFAULT_FORMAT = "%Y%m%dT%H%M%S%z"
_EXAMPLE = datetime(2026, 11, 22, 2, 0, tzinfo=UTC)
_LATER_YEAR = 2054  # 28 years later every day of the month is the same day of the week
# strftime hands on in silence what it does not know: these are the directives that Python documents, and %F and %T.
_DIRECTIVES = frozenset("aAwdbBmyYHIpMSfzZjUWcxXGuVFT%")
_FIELDS = "{scheduled:%Y%m%d} for when the run was due, and {run} for its number"


def expand(template: str, scheduled: datetime, run: int) -> str:
    """``template`` for one run of a schedule.

    Args:
        template: text with ``{scheduled}``, perhaps with a format of strftime as in ``{scheduled:%Y%m%d}``, and
            ``{run}``, perhaps with a format for a number as in ``{run:03}``; ``{{`` and ``}}`` are braces.
        scheduled: when the run was due; aware, in the time zone in which it is to be written.
        run: the number of the run.

    Raises:
        InvalidInputError: the template is malformed; the message says what is wrong and how to write it.
    """
    try:
        parts = list(Formatter().parse(template))
    except ValueError as error:
        raise _invalid(template, f"{error}; a brace that stands for itself is written twice") from None
    return "".join(text + _value(template, (field, spec, form), scheduled, run) for text, field, spec, form in parts)


def uses_run(*templates: str) -> bool:
    """Whether one of the templates has the number of the run in it."""
    return any(field == "run" for template in templates for _, field, _, _ in Formatter().parse(template))


def _value(template: str, replaced: tuple[str | None, str | None, str | None], scheduled: datetime, run: int) -> str:
    field, spec, conversion = replaced
    if field is None:
        return ""
    if field not in ("scheduled", "run") or conversion is not None or "{" in (spec or ""):
        written = field + (f"!{conversion}" if conversion else "") + (f":{spec}" if spec else "")
        raise _invalid(template, f"{{{written}}} is not known; there are {_FIELDS}")
    if field == "scheduled":
        return _formatted(template, scheduled, spec or _DEFAULT_FORMAT)
    if not re.fullmatch(r"(\d{1,2}d?)?", spec or ""):
        raise _invalid(template, f"{{run:{spec}}} is not known; {{run:03}} is a number of three digits")
    return format(run, spec or "")


def _formatted(template: str, scheduled: datetime, spec: str) -> str:
    for directive in re.findall(r"%(.?)", spec, re.DOTALL):
        if directive not in _DIRECTIVES or not directive:
            reason = f"%{directive} is no directive of strftime; {{scheduled:%Y%m%d}} is a day, and %H%M a time"
            raise _invalid(template, reason)
    return scheduled.strftime(spec)


def _invalid(template: str, reason: str) -> InvalidInputError:
    return InvalidInputError(reason=f"The template {template!r} cannot be filled in: {reason}")


def find_zone(name: str) -> tzinfo:
    """The time zone of that name.

    Raises:
        InvalidInputError: this machine knows none.
    """
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        reason = f"There is no time zone {name!r}: name one as Europe/Berlin, America/Chicago or UTC"
        raise InvalidInputError(reason=reason) from None


def check_templates(source: str, destination: str, transfer_id: str, timezone: str = "UTC", *, repeats: bool) -> None:
    """Refuse templates of which no run could come, which is better known now than at night.

    Args:
        source: template of a location.
        destination: template of a location.
        transfer_id: template of an id.
        timezone: in which times are written.
        repeats: whether the schedule has more than one run.

    Raises:
        InvalidInputError: one of them will not do; the message shows what a run would make of it.
    """
    scheduled = _EXAMPLE.astimezone(find_zone(timezone))
    example_id = _checked(check_transfer_id, "transfer id", transfer_id, scheduled)
    locations = [
        _checked(Location.parse, what, template, scheduled)
        for what, template in (("source", source), ("destination", destination))
    ]
    check_disjoint(*locations)
    if repeats and example_id == expand(transfer_id, scheduled.replace(year=_LATER_YEAR), 2):
        reason = f"The transfer id {transfer_id!r} comes again in later runs, and what is complete is not run again"
        hint = f"{transfer_id.partition('{')[0].rstrip('-_.') or 'backup'}-{{scheduled:%Y%m%d}}"
        raise InvalidInputError(reason=f"{reason}: put the date with its year into it, as in {hint}, or {{run}}")


def _checked(check: Callable[[str], _T], what: str, template: str, scheduled: datetime) -> _T:
    example = expand(template, scheduled, 1)
    try:
        return check(example)
    except InvalidInputError as error:
        if example == template:
            raise
        reason = f"The {what} {template!r} becomes {example!r} in a run that is due on {scheduled:%Y-%m-%d at %H:%M}"
        raise InvalidInputError(reason=f"{reason}: {error}".rstrip(".")) from None
