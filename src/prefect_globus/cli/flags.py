"""The fields of TransferOptions as flags, so that a new option is a flag by itself."""

from __future__ import annotations

import types
from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from types import MappingProxyType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

import click
from pydantic import ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from prefect_globus.cli.help import Option
from prefect_globus.transfers.options import WHAT_OPTIONS, TransferOptions
from prefect_globus.transfers.quantities import SIZE, SPAN, Written, exact_span

_F = TypeVar("_F", bound=Callable[..., Any])

_ALIASES = {"approval": ["--ask"], "max_lock_wait": ["--wait"]}

FIELDS = {name: field for name, field in TransferOptions.model_fields.items() if not field.exclude}
HOW_FIELDS = {name: field for name, field in FIELDS.items() if name not in WHAT_OPTIONS}


class BadOptionsError(click.ClickException):
    """Values that the options refuse, a line for each flag."""

    exit_code = 2


class Quantity(click.ParamType[float]):
    """A size or a stretch of time, with its unit if wanted: 500MiB, 15min."""

    def __init__(self, written: Written) -> None:
        self.name = "size" if written is SIZE else "span"
        self._written = written

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:  # noqa: ANN401
        """Read ``value``; see `click.ParamType.convert`."""
        try:
            return self._written.read(str(value))
        except ValueError as error:
            self.fail(f"{value!r}: {error}", param, ctx)


class NumberedChoice(click.Choice[str]):
    """A choice that also takes the number of a level, as the Transfer API counts them."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:  # noqa: ANN401
        """Read ``value``; see `click.ParamType.convert`."""
        names = list(self.choices)
        if str(value).isdecimal() and int(value) < len(names):
            return names[int(value)]
        return super().convert(value, param, ctx)


def option_flags(
    fields: Iterable[str], *, words: Mapping[str, str] = MappingProxyType({}), hidden: bool = False
) -> Callable[[_F], _F]:
    """Decorate a command with a flag for each of ``fields``; it gets them as keywords, None where not given.

    Args:
        fields: names of options.
        words: what the help says of some of them, where that is not what `TransferOptions` says.
        hidden: leave them out of the help, for a command that refuses them and says why.
    """

    def decorate(command: _F) -> _F:
        for name in reversed(list(fields)):
            command = _flag(name, FIELDS[name], words.get(name), hidden=hidden)(command)
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
        raise BadOptionsError("\n".join(map(_words, error.errors()))) from None


def _words(error: ErrorDetails) -> str:
    if not error["loc"]:  # it is about several options together
        return error["msg"].removeprefix("Value error, ")
    return f"{_dashed(str(error['loc'][0]))}: {error['msg'][0].lower()}{error['msg'][1:]}, not {error['input']!r}"


def _flag(name: str, field: FieldInfo, words: str | None, *, hidden: bool) -> Callable[[_F], _F]:
    kind, flag = _bare(field.annotation), _dashed(name)
    settings: dict[str, Any] = {"cls": Option, "section": _section(field), "default": None, "hidden": hidden}
    settings["help"] = _help(field, words)
    if kind is bool:
        return click.option(f"{flag}/--no-{flag[2:]}", *_ALIASES.get(name, []), name, **settings)
    if get_origin(kind) is tuple:
        settings |= {"multiple": True, "metavar": "PATTERN", "help": f"{settings['help']} May be repeated."}
        return click.option(flag, name, **settings)
    settings["type"] = _click_type(kind, field)
    return click.option(flag, *_ALIASES.get(name, []), name, **settings)


def _section(field: FieldInfo) -> str:
    """Of the help: what comes before the colon of the title, as in Prefect's form."""
    group, colon, _ = (field.title or "").partition(": ")
    return group if colon else "How"


def _click_type(kind: Any, field: FieldInfo) -> click.ParamType[Any] | type:  # noqa: ANN401 - an annotation
    if isinstance(kind, type) and issubclass(kind, Enum):
        return NumberedChoice([each.value for each in kind])
    if get_origin(kind) is Literal:
        return click.Choice(get_args(kind))
    if written := _written(field):
        return Quantity(written)
    return kind  # type: ignore[no-any-return] # int, float or str


def _written(field: FieldInfo) -> Written | None:
    """How people write the number in ``field``, if that is special."""
    kinds = (field.annotation, *get_args(field.annotation))
    marks = (*field.metadata, *(mark for kind in kinds for mark in getattr(kind, "__metadata__", ())))
    return next((mark for mark in marks if isinstance(mark, Written)), None)


def _bare(annotation: Any) -> Any:  # noqa: ANN401 - an annotation
    """``annotation`` without None and without what pydantic adds."""
    if get_origin(annotation) is Annotated:
        return _bare(get_args(annotation)[0])
    if get_origin(annotation) in (Union, types.UnionType):
        return _bare(next(each for each in get_args(annotation) if each is not type(None)))
    return annotation


def _help(field: FieldInfo, words: str | None) -> str:
    default, shown = field.default, ""
    if isinstance(default, bool):
        shown = "on" if default else "off"
    elif isinstance(default, (int, float)):
        shown = exact_span(default).replace(" ", "") if _written(field) is SPAN else f"{default:g}"
    elif isinstance(default, str):
        shown = default
    elif _written(field) and field.examples:  # how it is written
        return f"{words or field.description}  [such as {field.examples[0].replace(' ', '')}]"
    return f"{words or field.description}{f'  [default: {shown}]' if shown else ''}"


def _dashed(name: str) -> str:
    return "--" + name.replace("_", "-")
