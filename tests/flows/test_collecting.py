"""Python's garbage collector while transfers are driven: looked after by whoever is the last."""

from __future__ import annotations

import gc
import threading

import pytest

from prefect_globus.tasks.collecting import rare_collections


def test_the_last_to_end_restores_what_was() -> None:
    """However transfers of one process overlap, and however they end."""
    before = gc.get_threshold()
    begun, may_end = threading.Event(), threading.Event()

    def drive() -> None:
        with rare_collections():
            begun.set()
            assert may_end.wait(60)

    other = threading.Thread(target=drive)

    def fail() -> None:
        with rare_collections():
            other.start()
            assert begun.wait(60)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert gc.get_threshold() != before, "the other one is still at work"
    may_end.set()
    other.join()
    assert gc.get_threshold() == before
