"""Ctrl-C and SIGTERM: the run stops in good order, and within seconds even when it does not."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import click

INTERRUPTED = 130
_PATIENCE_SECONDS = 10.0
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class InterruptedRunError(Exception):
    """The run was told to stop, and has said so."""


class Interruption:
    """Whether a signal has come, and what to tell the user then."""

    def __init__(self) -> None:
        self.transfer_id: str | None = None
        self._seen = threading.Event()
        self._unsaid = threading.Semaphore()

    @property
    def seen(self) -> bool:
        """Whether a signal has come."""
        return self._seen.is_set()

    def say(self) -> None:
        """Tell the user, once, whichever thread comes first."""
        if self._unsaid.acquire(blocking=False):
            known = self.transfer_id is not None
            hint = f" Resume with: prefect-globus resume {self.transfer_id}" if known else ""
            click.echo(f"Interrupted.{hint}", err=True)

    def watch(self, pipe: int) -> None:
        """Read the numbers of the signals that come from ``pipe``; leave when the run does not end by itself."""
        while number := os.read(pipe, 1):
            if self.seen and number[0] == signal.SIGINT:
                self._leave()
            if not self.seen and number[0] in _SIGNALS:
                self._seen.set()
                timer = threading.Timer(_PATIENCE_SECONDS, self._leave)
                timer.daemon = True
                timer.start()

    def _leave(self) -> None:
        # All that must last is in the store, and our children end with the pipes that we hold.
        self.say()
        sys.stdout.flush()
        os._exit(INTERRUPTED)


@contextmanager
def interruptible() -> Iterator[Interruption]:
    """Turn the first SIGINT or SIGTERM into the end of the block.

    Raises:
        InterruptedRunError: there was one.
    """
    interruption = Interruption()
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    # Prefect installs a handler of its own during a flow, but the interpreter tells this pipe of every signal.
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    for each in _SIGNALS:
        signal.signal(each, _stop)
    threading.Thread(target=interruption.watch, args=(reader,), daemon=True, name="signals").start()
    try:
        yield interruption
    except BaseException as error:
        if interruption.seen or not isinstance(error, Exception):
            interruption.say()
            raise InterruptedRunError from None
        raise


def _stop(_number: int, _frame: FrameType | None) -> None:
    for each in _SIGNALS:
        signal.signal(each, _ignore)  # what follows is clearing up, which must not be cut short
    raise KeyboardInterrupt


def _ignore(_number: int, _frame: FrameType | None) -> None:
    """Do nothing, unlike SIG_IGN, which children would inherit and which would not reach the pipe."""
