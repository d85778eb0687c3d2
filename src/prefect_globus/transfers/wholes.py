"""A directory with more entries than Globus lists is transferred as a whole: Globus itself walks it.

So what is to be left out of it has to be said to Globus, which leaves out by names alone (contract, section 3).
"""

from __future__ import annotations

import re

from prefect_globus.transfers.errors import DirectoryGrownError, NotAsAWholeError
from prefect_globus.transfers.location import Location
from prefect_globus.transfers.model import Transfer
from prefect_globus.transfers.options import TransferOptions

_SAYABLE = ("exclude", "skip_source_errors")
_LEAVE_IT_OUT = "Leave it out (exclude: {path}) in a new transfer, and give it one of its own without these options"
_WITHOUT = "Begin a new transfer without these options"
_WILDCARD = re.compile(r"[*?\[]")


def excluded_names(options: TransferOptions) -> list[str]:
    """The patterns for the names of files and directories that Globus is to leave out."""
    return [pattern for pattern in options.exclude if "/" not in pattern]


def check_whole(transfer: Transfer, path: str, *, filtered: bool) -> None:
    """Refuse to transfer the directory ``path`` as a whole where that would be something else than was asked for.

    Args:
        transfer: of which the directory is the next item.
        path: relative to the source.
        filtered: whether there is a filter callback.

    Raises:
        NotAsAWholeError: an option leaves out a part of it that Globus cannot be told of.
        DirectoryGrownError: a part of it is in the manifest already.
    """
    if transfer.cursor is not None and transfer.cursor.startswith(_prefix(path)):
        raise DirectoryGrownError(transfer_id=transfer.id, path=path)
    check_options(transfer.source, path, transfer.options, filtered=filtered)


def check_options(source: Location, path: str, options: TransferOptions, *, filtered: bool) -> None:
    """Refuse options by which the directory ``path`` of ``source`` cannot be transferred as a whole.

    Raises:
        NotAsAWholeError: one leaves out a part of it that Globus cannot be told of.
    """
    in_the_way = [name for name in options.hiding if name not in _SAYABLE]
    if any("/" in pattern and _may_match_in(path, pattern) for pattern in options.exclude):
        in_the_way.append("exclude with a pattern that has a /")
    if filtered and "filter_callback" not in in_the_way:
        in_the_way.append("filter_callback")
    if in_the_way:
        mend = _LEAVE_IT_OUT.format(path=path) if path else _WITHOUT
        raise NotAsAWholeError(directory=source.child(path), options=", ".join(in_the_way), mend=mend)


def _may_match_in(path: str, pattern: str) -> bool:
    """Whether ``pattern``, which is compared with whole paths, may match something in the directory ``path``."""
    literal = _WILDCARD.split(pattern.strip("/"))[0]
    return literal.startswith(_prefix(path)) or _prefix(path).startswith(literal)


def _prefix(path: str) -> str:
    return f"{path}/" if path else ""
