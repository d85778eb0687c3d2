"""Numbers, sizes and stretches of time as people write them: written, read, and as fields of a record.

pydantic's ByteSize reads ``1,5 GB`` as a byte and ``5 MB/s`` as 5 MB, and its timedelta knows no ``1d 12h``; so they
are read here.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Annotated, Any

from pydantic import Field, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema
from pydantic_core.core_schema import no_info_before_validator_function

_UNITS = ("KiB", "MiB", "GiB", "TiB", "PiB", "EiB")
_STEP = 1024
_SPANS = ((86_400, "d"), (3_600, "h"), (60, "min"))

# Prefect's form says of what it refuses that it does not match the pattern: so the pattern begins with what would. Like
# Prefect's server, it is Python's.
_NUMBER = r"[0-9]{1,20}(?:\.[0-9]{1,30})?"
_SIZE = rf"(?#such as 500 MiB or 3.1 TB)^\s*({_NUMBER})\s*(?ai:(?:([KMGTPE])(i?))?B?)\s*$"
_SPAN_UNIT = r"(?ai:ms|s(?:ec(?:ond)?s?)?|m(?:in(?:ute)?s?)?|h(?:(?:ou)?rs?)?|d(?:ays?)?|w(?:eeks?)?)(?![A-Za-z])"
_SPAN = rf"(?#such as 30s, 15 min, 2h or 1d 12h)^\s*(?:{_NUMBER}|(?:{_NUMBER}\s*{_SPAN_UNIT}\s*){{1,6}})\s*$"
_SECONDS: dict[str, Fraction | int] = {
    "ms": Fraction(1, 1000),
    "s": 1,
    "m": 60,
    "h": 3_600,
    "d": 86_400,
    "w": 7 * 86_400,
}


def size(count: float) -> str:
    """A number of bytes, such as ``1.5 GiB``."""
    if count < _STEP:
        return f"{count:.0f} B"
    for unit in _UNITS:
        count /= _STEP
        if count < _STEP or unit == _UNITS[-1]:
            break
    return f"{count:.1f} {unit}"


def span(seconds: float) -> str:
    """A stretch of time, such as ``3 min``; in its largest unit only."""
    for length, unit in _SPANS:
        if seconds >= length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"


def exact_span(seconds: float) -> str:
    """A stretch of time to the last digit, such as ``1 d 12 h``; `read_span` reads it as ``seconds`` again."""
    rest, parts = Decimal(repr(seconds)), []
    for length, unit in _SPANS:
        number, rest = divmod(rest, length)
        if number:
            parts.append(f"{number:.0f} {unit}")
    if rest or not parts:
        parts.append(f"{_plain(rest)} s")
    return " ".join(parts)


def count(number: int, what: str) -> str:
    """A number of things, such as ``1 batch`` or ``12,480 files``."""
    plural = f"{what}es" if what.endswith("ch") else f"{what}s"
    return f"{number:,} {what if number == 1 else plural}"


def read_size(text: str) -> int:
    """The number of bytes that ``text`` says: ``500 MiB`` is 500 * 1024 ** 2, ``500 MB`` and ``500M`` 500 * 1000 ** 2.

    Raises:
        ValueError: it is no size; the message says how to write one.
    """
    found = re.search(_SIZE, text)
    if found is None:
        raise ValueError("it is not a size: write a number of bytes, or one with its unit, as in 500 MiB or 3.1 TB")
    number, letter, binary = found.groups()
    step = 1024 if binary else 1000
    return int(Fraction(number) * step ** " KMGTPE".index((letter or " ").upper()))


def read_span(text: str) -> float:
    """The seconds that ``text`` says: ``30s``, ``15 min``, ``1.5h``, ``1d 12h``, or ``30`` without a unit.

    Raises:
        ValueError: it is no stretch of time; the message says how to write one.
    """
    if re.search(_SPAN, text) is None:
        raise ValueError("it is not a stretch of time: write a number and its unit, as in 30s, 15 min, 2h or 1d 12h")
    parts = re.findall(rf"({_NUMBER})\s*({_SPAN_UNIT})", text) or [(text.strip(), "s")]
    return float(sum(Fraction(number) * _seconds(unit.lower()) for number, unit in parts))


def _seconds(unit: str) -> Fraction | int:
    return _SECONDS["ms" if unit == "ms" else unit[0]]


@dataclass(frozen=True)
class Written:
    """Of a number in a record: people may write it with its unit. The record keeps the number.

    Bounds belong before it, as in ``Annotated[float, Field(gt=0), SPAN]``: they are those of the number.

    Args:
        read: the number that a text says; raises ValueError.
        unit: of the number.
        pattern: of the texts that can be read, for forms.
    """

    read: Callable[[str], float]
    unit: str
    pattern: str

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:  # noqa: ANN401
        """Read first, then check as a number."""
        return no_info_before_validator_function(self._number, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Two faces in a form, the text and the number; what is wrong with it is said of the one that was chosen."""
        plain = handler(schema)
        faces = [{"type": "string", "title": "With its unit"}, {"type": plain["type"], "title": f"In {self.unit}"}]
        bounds = {key: value for key, value in plain.items() if key != "type"}
        return {"anyOf": faces, "pattern": self.pattern, **bounds}

    def _number(self, value: Any) -> Any:  # noqa: ANN401 - whatever a user writes; pydantic goes on from there
        if isinstance(value, bool):
            raise ValueError("it is not a number")  # noqa: TRY004 - pydantic tells this one
        if isinstance(value, timedelta) and self.unit == "seconds":
            return value.total_seconds()
        return self.read(value) if isinstance(value, str) else value


SIZE = Written(read_size, "bytes", _SIZE)
SPAN = Written(read_span, "seconds", _SPAN)

Size = Annotated[int, Field(ge=0), SIZE]
"""A number of bytes, from 0: ``500``, or ``500 MiB``."""

Duration = Annotated[float, Field(ge=0), SPAN]
"""A number of seconds, from 0: ``30``, or ``30s``."""


def _plain(number: Decimal) -> str:
    digits = f"{number:f}"
    return digits.rstrip("0").rstrip(".") if "." in digits else digits
