"""Records as JSON text: what every checkpoint store writes down."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from prefect_globus.transfers.errors import CorruptCheckpointError, first_line
from prefect_globus.transfers.records import Record

R = TypeVar("R", bound=Record)


def to_text(record: Record, **dump: Any) -> str:  # noqa: ANN401 - what model_dump takes
    """``record`` as JSON in ASCII, so that names with lone surrogates survive; pydantic's own JSON refuses them."""
    return json.dumps(record.model_dump(mode="json", **dump), separators=(",", ":"))


def from_text(kind: type[R], text: str | bytes, **columns: Any) -> R:  # noqa: ANN401 - any field
    """The record that `to_text` wrote, completed by what was kept apart; ValueError when it is damaged."""
    return kind.model_validate({**json.loads(text), **columns})


@contextmanager
def corrupt_if_unreadable(store: str, what: str) -> Iterator[None]:
    """Raise CorruptCheckpointError where decoding fails; ``what`` names the transfer, batch or file for a person."""
    try:
        yield
    except (ValueError, TypeError, KeyError, zlib.error) as error:
        raise CorruptCheckpointError(store=store, reason=f"{what}: {first_line(error)}") from error
