"""The fields of TransferOptions as flags, so that a new option is a flag by itself."""

from __future__ import annotations

import re
import types
from collections.abc import Callable, Iterable
from enum import Enum
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

import click
from pydantic import ValidationError
from pydantic.fields import FieldInfo

from prefect_globus.transfers.options import WHAT_OPTIONS, TransferOptions

_F = TypeVar("_F", bound=Callable[..., Any])

_ALIASES = {"max_lock_wait": ["--wait"]}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([KMGTP]?)(i?)B?", re.IGNORECASE)
_POWERS = {letter: power for power, letter in enumerate(" KMGTP")}

FIELDS = {name: field for name, field in TransferOptions.model_fields.items() if not field.exclude}
HOW_FIELDS = {name: field for name, field in FIELDS.items() if name not in WHAT_OPTIONS}


class BadOptionsError(click.ClickException):
    """Values that the options refuse, a line for each flag."""

    exit_code = 2


class Size(click.ParamType[int]):
    """A number of bytes, with a unit if wanted: 500MiB is 500 * 1024 ** 2 and 500MB is 500 * 1000 ** 2."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:  # noqa: ANN401
        """Read ``value``; see `click.ParamType.convert`."""
        found = _SIZE.fullmatch(str(value).strip())
        if found is None:
            self.fail(f"{value!r} is not a size. Write bytes, or a number with a unit such as 500MiB.", param, ctx)
        number, letter, binary = found.groups()
        return int(float(number) * (1024 if binary else 1000) ** _POWERS[letter.upper() or " "])


class NumberedChoice(click.Choice[str]):
    """A choice that also takes the number of a level, as the Transfer API counts them."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:  # noqa: ANN401
        """Read ``value``; see `click.ParamType.convert`."""
        names = list(self.choices)
        if str(value).isdecimal() and int(value) < len(names):
            return names[int(value)]
        return super().convert(value, param, ctx)


def option_flags(fields: Iterable[str]) -> Callable[[_F], _F]:
    """Decorate a command with a flag for each of ``fields``; it gets them as keywords, None where not given."""

    def decorate(command: _F) -> _F:
        for name in reversed(list(fields)):
            command = _flag(name, FIELDS[name])(command)
        return command

    return decorate


def given(values: dict[str, Any]) -> dict[str, Any]:
    """Those of the flags' ``values`` that were given."""
    return {name: value for name, value in values.items() if value is not None and value != ()}


def options_of(base: TransferOptions, values: dict[str, Any]) -> TransferOptions:
    """The options ``base`` with ``values`` in place of its own.

    Raises:
        BadOptionsError: a value is refused; the message has a line for each.
    """
    try:
        return TransferOptions.model_validate({**base.model_dump(), **values})
    except ValidationError as error:
        lines = [
            f"{_dashed(str(each['loc'][0]))}: {each['msg'][0].lower()}{each['msg'][1:]}, not {each['input']!r}"
            for each in error.errors()
        ]
        raise BadOptionsError("\n".join(lines)) from None


def _flag(name: str, field: FieldInfo) -> Callable[[_F], _F]:
    kind, flag = _bare(field.annotation), _dashed(name)
    settings: dict[str, Any] = {"default": None, "help": _help(field)}
    if kind is bool:
        return click.option(f"{flag}/--no-{flag[2:]}", name, **settings)
    if get_origin(kind) is tuple:
        return click.option(flag, name, multiple=True, metavar="PATTERN", help=f"{_help(field)} May be repeated.")
    settings["type"] = _click_type(kind, field)
    return click.option(flag, *_ALIASES.get(name, []), name, **settings)


def _click_type(kind: Any, field: FieldInfo) -> click.ParamType[Any] | type:  # noqa: ANN401 - an annotation
    if isinstance(kind, type) and issubclass(kind, Enum):
        return NumberedChoice([each.value for each in kind])
    if get_origin(kind) is Literal:
        return click.Choice(get_args(kind))
    if kind is int and "bytes" in (field.description or "").lower():
        return Size()
    return kind  # type: ignore[no-any-return] # int, float or str


def _bare(annotation: Any) -> Any:  # noqa: ANN401 - an annotation
    """``annotation`` without None and without what pydantic adds."""
    if get_origin(annotation) is Annotated:
        return _bare(get_args(annotation)[0])
    if get_origin(annotation) in (Union, types.UnionType):
        return _bare(next(each for each in get_args(annotation) if each is not type(None)))
    return annotation


def _help(field: FieldInfo) -> str:
    default = field.default
    shown = f"  [default: {default:g}]" if isinstance(default, (int, float)) and not isinstance(default, bool) else ""
    if isinstance(default, bool):
        shown = "  [default: on]" if default else "  [default: off]"
    elif isinstance(default, str):
        shown = f"  [default: {default}]"
    return f"{field.description}{shown}"


def _dashed(name: str) -> str:
    return "--" + name.replace("_", "-")
