"""The small languages of the API: times, name patterns, filter clauses, and orders."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, NamedTuple

from prefect_globus.emulator.errors import BadRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping


class Pattern(NamedTuple):
    """One pattern of a clause: `=exact`, `!not exact`, `~glob`, `!~not glob`."""

    negative: bool
    glob: bool
    text: str
    ignores_case: bool = False

    def matches(self, value: str) -> bool:
        """Tell whether a value matches, before negation."""
        if not self.glob:
            return value == self.text
        return fnmatchcase(value.lower(), self.text.lower()) if self.ignores_case else fnmatchcase(value, self.text)


def _pattern(text: str, *, ignores_case: bool) -> Pattern:
    negative = text.startswith("!")
    rest = text.removeprefix("!")
    if rest.startswith("~"):
        return Pattern(negative, True, rest[1:], ignores_case)
    return Pattern(negative, False, rest.removeprefix("="))


def label_test(text: str) -> Callable[[str | None], bool]:
    """Return a test as `pattern_test` does, but a glob ignores case, as globus-cli says of `task list --inexact`."""
    return pattern_test(text, ignores_case=True)


def pattern_test(text: str, *, ignores_case: bool = False) -> Callable[[str | None], bool]:
    """Return a test of patterns joined by commas: any of the positive ones, none of the negative ones."""
    patterns = [_pattern(one, ignores_case=ignores_case) for one in text.split(",")]
    wanted = [one for one in patterns if not one.negative]
    unwanted = [one for one in patterns if one.negative]

    def test(value: str | None) -> bool:
        value = value or ""
        return (not wanted or any(one.matches(value) for one in wanted)) and not any(
            one.matches(value) for one in unwanted
        )

    return test


def choice_test(text: str) -> Callable[[str], bool]:
    """Return a test for one of several words joined by commas, in any case."""
    words = {word.strip().lower() for word in text.split(",")}
    return lambda value: value.lower() in words


def time_test(text: str) -> Callable[[float | None], bool]:
    """Return a test for a range `from,to` in which either side may be empty; a single time is a beginning."""
    first, _, last = text.partition(",")
    beginning = parse_time(first) if first.strip() else float("-inf")
    end = parse_time(last) if last.strip() else float("inf")
    return lambda value: value is not None and beginning <= int(value) <= end


def parse_time(text: str) -> float:
    """Return the seconds since the epoch of an ISO time, which is UTC unless it says otherwise.

    Raises:
        BadRequest: if it is none.
    """
    try:
        moment = datetime.fromisoformat(text.strip())
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC).timestamp()
    except (ValueError, OverflowError) as error:
        raise BadRequest(f"Not a date and time: {text!r}") from error


def timestamp(seconds: float | None, separator: str = "T") -> str | None:
    """Return a time of the API, in whole seconds, UTC (contract section 1). Files have a space for the `T`."""
    if seconds is None:
        return None
    try:
        return datetime.fromtimestamp(int(seconds), UTC).isoformat(separator)
    except (ValueError, OverflowError, OSError):  # a file system can hold years that a date cannot
        return datetime.fromtimestamp(0, UTC).isoformat(separator)


def clauses(text: str) -> list[tuple[str, str]]:
    """Return the clauses `field:value` that are joined by `/`, empty ones left out.

    Raises:
        BadRequest: if one has no colon.
    """
    found = []
    for clause in filter(None, re.split(r"/(?=\w+:)", text)):
        name, colon, value = clause.partition(":")
        if not colon:
            raise BadRequest(f"Cannot filter by {clause!r}: write it as field:value")
        found.append((name, value))
    return found


def clauses_test(
    text: str, fields: Mapping[str, tuple[Callable[[Any], Any], Callable[[str], Callable[[Any], bool]]]]
) -> Callable[[Any], bool]:
    """Return a test of clauses `field:value` joined by `/`, all of which must hold.

    Args:
        text: the clauses; empty ones hold.
        fields: by name, how to read the value of a record and how to make a test of a clause's text.

    Raises:
        BadRequest: if a clause names no such field, or none.
    """
    tests = []
    for name, value in clauses(text):
        if name not in fields:
            raise BadRequest(f"Cannot filter by {name!r}; fields are {', '.join(sorted(fields))}")
        read, make = fields[name]
        tests.append((read, make(value)))
    return lambda record: all(test(read(record)) for read, test in tests)


def ordered(records: Iterable[Any], text: str, keys: Mapping[str, Callable[[Any], Any]]) -> list[Any]:
    """Return records in an order such as `type DESC,name`.

    Raises:
        BadRequest: if it names no such field or direction.
    """
    result = list(records)
    for one in reversed(text.split(",")):  # a stable sort by the last field first
        name, *direction = one.split() or [""]
        _check_order(one, name, direction, keys)
        result.sort(key=keys[name], reverse=direction[:1] in (["DESC"], ["desc"]))
    return result


def _check_order(text: str, name: str, direction: list[str], keys: Collection[str]) -> None:
    if name not in keys or [word.upper() for word in direction] not in ([], ["ASC"], ["DESC"]):
        raise BadRequest(f"Cannot order by {text!r}; fields are {', '.join(sorted(keys))}")
