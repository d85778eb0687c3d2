"""The parts of the reference that are made from the code when the site is built, so that they cannot go stale.

A page says ``<!-- made from the code: options -->`` where one belongs. Each is a function that returns Markdown.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from enum import StrEnum
from typing import Any

import click
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from pydantic.fields import FieldInfo

from prefect_globus import FileCheckpointStore, GlobusCredentials, SqlCheckpointStore
from prefect_globus.cli.main import cli
from prefect_globus.flows.events import EVENTS, PREFIX
from prefect_globus.telemetry.metrics import Metrics
from prefect_globus.transfers import errors as error_module
from prefect_globus.transfers.codes import MEANINGS
from prefect_globus.transfers.errors import InvalidInputError, TransferError
from prefect_globus.transfers.items import Outcome
from prefect_globus.transfers.options import WHAT_OPTIONS, TransferOptions
from prefect_globus.transfers.states import ATTEMPT_TRANSITIONS, BATCH_TRANSITIONS, TRANSFER_TRANSITIONS

_MARK = re.compile(r"<!-- made from the code: ([\w-]+) -->")
_FILE = re.compile(r"\[[\w-]+\.md\]\(")
_PROGRAM = "prefect-globus"
_COLUMNS = 80
_TRANSITIONS: tuple[Mapping[Any, frozenset[Any]], ...] = (TRANSFER_TRANSITIONS, BATCH_TRANSITIONS, ATTEMPT_TRANSITIONS)


def fill(text: str) -> str:
    """A page with what it asks for in the place of each mark; a link that shows the name of a file shows its title.

    Raises:
        KeyError: it asks for something that is not made here.
    """
    return _FILE.sub("[](", _MARK.sub(lambda found: PARTS[found[1]](), text))


# --- options ------------------------------------------------------------------------------------------------------


def options() -> str:
    """Each option of a transfer: its flag, its default, and what it does; in the groups of the form."""
    fields = {name: field for name, field in TransferOptions.model_fields.items() if not field.exclude}
    groups = {name: _group(field) for name, field in fields.items()}
    parts = []
    for group in dict.fromkeys(groups.values()):
        parts.append(f"## {group}\n")
        parts += [_option(name, field) for name, field in fields.items() if groups[name] == group]
    return "\n".join(parts)


def _group(field: FieldInfo) -> str:
    group, colon, _ = str(field.title).partition(":")
    return group if colon else "The common ones"


def _option(name: str, field: FieldInfo) -> str:
    flags = "`, `".join(_flags(name))
    stays = " It stays as it was when a transfer is resumed." if name in WHAT_OPTIONS else ""
    examples = ", ".join(f"`{each}`" for each in field.examples or ())
    shown = f" For example {examples}." if examples else ""
    return f"### {name}\n\n`{flags}`. {_default(name)}\n\n{field.description}{shown}{stays}\n"


def _flags(name: str) -> list[str]:
    for parameter in cli.commands["transfer"].params:
        if parameter.name == name:
            return [*parameter.opts, *parameter.secondary_opts]
    raise KeyError(name)


def _default(name: str) -> str:
    value = TransferOptions.model_json_schema()["properties"][name].get("default")  # as the form has it
    if value in (None, []):
        return "No default."
    if isinstance(value, bool):
        return f"By default {'on' if value else 'off'}."
    return f"By default `{value}`."


# --- the command line ---------------------------------------------------------------------------------------------


def commands() -> str:
    """The help of every command, as the terminal shows it."""
    return "\n".join(_helps(cli, click.Context(cli, info_name=_PROGRAM, terminal_width=_COLUMNS)))


def _helps(command: click.Command, context: click.Context) -> Iterator[str]:
    yield f"## {context.command_path}\n\n```text\n{click.unstyle(command.get_help(context))}\n```\n"
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            if inner is not None and not inner.hidden:
                yield from _helps(inner, click.Context(inner, info_name=name, parent=context))


# --- blocks -------------------------------------------------------------------------------------------------------


def blocks() -> str:
    """The fields of each block, and how it is used in code."""
    return "\n".join(map(_block, (GlobusCredentials, SqlCheckpointStore, FileCheckpointStore)))


def _block(block: Any) -> str:  # noqa: ANN401 - a class of Prefect's, by its class methods
    rows = []
    for name, field in block.model_json_schema()["properties"].items():
        shown = f"{field.get('title', name)}: {field.get('description', '')}"
        rows.append((f"`{name}`", shown.rstrip(": ")))
    code = block.get_code_example()
    example = f"```python\n{_unfenced(code)}\n```\n" if code else ""
    head = (
        f"## {block.get_block_type_name()}\n\n{block.get_description()}\n\nIts slug is `{block.get_block_type_slug()}`."
    )
    return f"{head}\n\n{_table(('field', 'what it is'), rows)}\n\n{example}"


def _unfenced(code: str) -> str:
    return "\n".join(line for line in code.splitlines() if not line.startswith("```")).strip()


# --- states -------------------------------------------------------------------------------------------------------


def states() -> str:
    """The states of transfers, batches and attempts, what each means, and what may follow."""
    return "\n".join(map(_machine, _TRANSITIONS))


def _machine(transitions: Mapping[StrEnum, frozenset[StrEnum]]) -> str:
    kind = type(next(iter(transitions)))
    meaning = _glosses(kind)
    rows = [
        (f"`{state}`", meaning[state.name], ", ".join(f"`{each}`" for each in sorted(after)) or "final")
        for state, after in transitions.items()
    ]
    title = kind.__name__.removesuffix("Status")
    return f"## {title}\n\n{inspect.getdoc(kind)}\n\n{_table(('state', 'meaning', 'may become'), rows)}\n"


def outcomes() -> str:
    """What becomes of an item."""
    meaning = _glosses(Outcome)
    rows = [(f"`{each.name}`", meaning[each.name]) for each in Outcome]
    return _table(("outcome", "meaning"), rows)


def _glosses(kind: type) -> dict[str, str]:
    """What is said of each member of an enum, in the comment behind it."""
    found = re.findall(r"^    (\w+) = [^#\n]+?(?:# (.*))?$", inspect.getsource(kind), re.MULTILINE)
    return {name: comment[:1].upper() + comment[1:] for name, comment in found}


# --- errors -------------------------------------------------------------------------------------------------------


def errors() -> str:
    """Every error: its message, which says what to do, and what becomes of a run that meets it."""
    classes = [
        each for each in vars(error_module).values() if isinstance(each, type) and issubclass(each, TransferError)
    ]
    return "\n".join(map(_error, classes))


def _error(kind: type[TransferError]) -> str:
    words = inspect.cleandoc(kind.template()).replace("\n", " ")
    message = re.sub(r"\{(\w+)(?:!r)?\}", r"*\1*", words)
    base = kind.__mro__[1].__name__
    facts = [f"A kind of `{base}`"] if base != "Exception" else []
    if issubclass(kind, InvalidInputError):
        facts.append("refused before anything has moved; exit status 2")
    if kind.retryable:
        facts.append("tried again by itself")
    if kind.needs_person:
        facts.append("a transfer under way is PAUSED until it is mended, and then goes on by itself")
    about = f"\n\n{'; '.join(facts)}." if facts else ""
    return f"### {kind.__name__}\n\n> {message}{about}\n"


def codes() -> str:
    """What each code means, and what to do."""
    return _table(("code", "what it means, and what to do"), [(f"`{code}`", words) for code, words in MEANINGS.items()])


# --- events -------------------------------------------------------------------------------------------------------


def events() -> str:
    """What Prefect hears of a transfer."""
    return _table(("event", "when"), [(f"`{PREFIX}.{name}`", when) for name, when in EVENTS.items()])


# --- metrics ------------------------------------------------------------------------------------------------------


def metrics() -> str:
    """Each metric, with its labels."""
    return _table(
        ("metric", "kind", "labels", "what it says"),
        [_metric(each) for each in vars(Metrics(CollectorRegistry())).values()],
    )


def _metric(made: Counter | Gauge | Histogram) -> tuple[str, ...]:
    (family,) = made.describe()
    name = f"{family.name}_total" if isinstance(made, Counter) else family.name
    labels = ", ".join(f"`{label}`" for label in made._labelnames)  # noqa: SLF001 - no other way to know
    return f"`{name}`", family.type, labels, family.documentation


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join(
        "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in row) + " |" for row in lines
    )


PARTS: dict[str, Callable[[], str]] = {
    each.__name__: each for each in (options, commands, blocks, states, outcomes, errors, codes, events, metrics)
}
