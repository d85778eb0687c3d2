"""Python's garbage collector, while millions of items go by."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager

# Python's own are 700, 10, 10
_RARELY = (50_000, 20, 100)

_lock = threading.Lock()
_blocks = 0
_before = gc.get_threshold()


@contextmanager
def rare_collections() -> Iterator[None]:
    """Have Python look for reference cycles less often while the block lasts.

    An item is in no cycle, but Python would look through all those in memory again and again: that takes about as long
    as all else that is done with them.
    """
    global _blocks, _before  # noqa: PLW0603 - the collector is one for the whole process
    with _lock:
        if not _blocks:
            _before = gc.get_threshold()
            gc.set_threshold(*_RARELY)
        _blocks += 1
    try:
        yield
    finally:
        with _lock:
            _blocks -= 1
            if not _blocks:
                gc.set_threshold(*_before)
