"""docs/faults.md, made of the same data that the tests hold the engine to."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from faults.ends import ITEM_CASES, TASK_ENDS, Fate, ItemCase
from faults.matrix import ENDPOINTS, FAULTS, Endpoint, HttpFault, Kind, expected
from faults.stores import STORE_FAULTS

PAGE = Path(__file__).parents[2] / "docs" / "faults.md"

_MARKS = {Kind.PASSES: "goes on", Kind.PERSON: "PAUSED", Kind.FINAL: "FAILED", Kind.REFUSED: "refused"}

_HEAD = """\
# What goes wrong, and what becomes of it

The rows of these tables are tests in `tests/faults/`, and the page is made of their data. The tests run against the
emulator and real stores. After each of them nothing is lost and nothing was done twice, by the emulator's own record,
and what has ended as FAILED is resumed and completes.

## Requests to Globus

- **goes on**: the request is made again, for as long as `patience` says, and before the start for a minute. What had
  its effect although its answer was lost is not done again.
- **PAUSED**: a person has to mend it. The transfer says so, and goes on by itself when that is done; after
  `pause_limit` the run ends with `TransferPausedError`, and the transfer stays PAUSED.
- **FAILED**: trying again would not help. The error says what to do; resume the transfer then.
- **refused**: nothing is on record yet, and nothing has moved. Call it again.

"""

_ITEMS = """
## Items

What becomes of an item by the code of the event that its Globus task meets for it. "Skipping" is `skip_source_errors`.
A full quota that lasts ends the transfer as FAILED with `TaskFailedForGoodError`: at once with `fail_on_quota_errors`,
else after `patience`. `IS_A_DIRECTORY`, `NOT_A_DIRECTORY` and `QUOTA_EXCEEDED` are the emulator's names; what Globus
calls these is not public.

"""

_TASKS = """
## Globus tasks

"""

_STORES = """
## The checkpoint store

The driver reads and writes again what did not work, for as long as `patience` says; nothing is submitted that is not on
record first.

"""


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _requests() -> str:
    """Faults that every request answers alike share a row."""
    columns = [one for one in ENDPOINTS if not one.before]
    early = [one for one in ENDPOINTS if one.before]
    rows = [
        [fault.name, _alike(fault, early), _alike(fault, columns), _exceptions(fault, columns), _error(fault)]
        for fault in FAULTS
    ]
    names = ", ".join(one.name for one in columns)
    return f"Before the start: {', '.join(one.name for one in early)}. Under way: {names}.\n\n" + table(
        ["a request meets", "before the start", "under way", "but", "error"], rows
    )


def _alike(fault: HttpFault, endpoints: Sequence[Endpoint]) -> str:
    kinds = [_MARKS[expected(one, fault).kind] for one in endpoints]
    return max(dict.fromkeys(kinds), key=kinds.count)


def _exceptions(fault: HttpFault, endpoints: Sequence[Endpoint]) -> str:
    usual = _alike(fault, endpoints)
    others = [(one, expected(one, fault).kind) for one in endpoints]
    return "; ".join(f"{one.name}: {_MARKS[kind]}" for one, kind in others if _MARKS[kind] != usual)


def _error(fault: HttpFault) -> str:
    login = f" (login: `{fault.login[1].__name__}`)" if fault.login and fault.login[1] is not fault.error else ""
    return f"`{fault.error.__name__}`{login}"


def _items() -> str:
    sides = [("source", False), ("source", True), ("destination", False), ("destination", True)]
    rows: dict[tuple[Fate, ...], list[str]] = {}
    for code in dict.fromkeys(case.code for case in ITEM_CASES):
        fates = tuple(ItemCase(code, side, skip).fate for side, skip in sides)  # type: ignore[arg-type] # both are sides
        rows.setdefault(fates, []).append(f"`{code}`")
    head = ["code", "at the source", "at the source, skipping", "at the destination", "at the destination, skipping"]
    return table(head, [[", ".join(codes), *(fate.value for fate in fates)] for fates, codes in rows.items()])


def page() -> str:
    """The whole page."""
    tasks = table(["a task", "what becomes of the transfer"], [[f"{end.name}", end.becomes] for end in TASK_ENDS])
    stores = table(
        ["the store", "what becomes of the transfer"], [[fault.name, fault.becomes] for fault in STORE_FAULTS]
    )
    return _HEAD + _requests() + _ITEMS + _items() + _TASKS + tasks + _STORES + stores
