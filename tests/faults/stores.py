"""What becomes of a transfer whose checkpoint store fails, as data: tests hold it to this; the docs are made of it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class StoreFault:
    """One way for a store to fail while a transfer is under way.

    Args:
        name: in the docs, and of its test.
        becomes: what becomes of the transfer, in words.
    """

    name: str
    becomes: str


GOES_ON = "goes on when that is over"
LASTS = "the run ends with `StoreUnavailableError`; the transfer is resumable from what is on record"
STORE_FAULTS = (
    StoreFault("SQLite is locked for a while", GOES_ON),
    StoreFault("SQLite is locked for longer than `patience`", LASTS),
    StoreFault("SQLite may only be read for a while", GOES_ON),
    StoreFault("SQLite may only be read for longer than `patience`", LASTS),
    StoreFault("the disk of SQLite is full for a while", GOES_ON),
    StoreFault("the disk of SQLite is full for longer than `patience`", LASTS),
    StoreFault("PostgreSQL is gone for a while", GOES_ON),
    StoreFault("PostgreSQL is gone for longer than `patience`", LASTS),
    StoreFault("the folder of a file store is gone for a while", GOES_ON),
    StoreFault("the folder of a file store is gone for longer than `patience`", LASTS),
)
