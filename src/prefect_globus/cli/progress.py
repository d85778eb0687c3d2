"""Progress on stderr: a bar for people at a terminal, a line now and then for logs."""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click

from prefect_globus.cli.text import size, span
from prefect_globus.transfers.options import ProgressCallback

_LINE_SECONDS = 5.0
_LOOK_SECONDS = 1.0
_RATE_SECONDS = 30.0


@contextmanager
def shown_progress(is_scanning: Callable[[], bool], *, quiet: bool, plain: bool) -> Iterator[ProgressCallback | None]:
    """Show progress for as long as the block lasts, through the callback that it gets.

    Args:
        is_scanning: whether the total still grows; asked once a second at most.
        quiet: show nothing.
        plain: show lines even at a terminal, because others write there, too.
    """
    if quiet:
        yield None
    elif plain or not sys.stderr.isatty():
        yield _Lines(_Pace(is_scanning))
    else:
        with _bar(_Pace(is_scanning)) as callback:
            yield callback


class _Pace:
    """Turns the callback's counts into words, with the rate of the last half minute and the time left at that rate."""

    def __init__(self, is_scanning: Callable[[], bool]) -> None:
        self._is_scanning = is_scanning
        self._looked = 0.0
        self._past: deque[tuple[float, int, int]] = deque()
        self.scanning = True

    def words(self, current: int, total: int, moved: int, *, done: bool) -> str:
        """The counts, and what follows from them."""
        moment = time.monotonic()
        if done:
            self.scanning = False
        self._look(moment)
        self._past.append((moment, current, moved))
        while moment - self._past[0][0] > _RATE_SECONDS:
            self._past.popleft()
        then, before, moved_before = self._past[0]
        seconds = moment - then
        words = [f"{current} of {total}{'+' if self.scanning else ''} items", size(moved)]
        if seconds > 0:
            words.append(f"{size(max(0, moved - moved_before) / seconds)}/s")
        if self.scanning:
            words.append("still scanning")
        elif before < current < total:
            words.append(f"{span((total - current) * seconds / (current - before))} left")
        return ", ".join(words)

    def _look(self, moment: float) -> None:
        if self.scanning and moment - self._looked >= _LOOK_SECONDS:
            self._looked = moment
            self.scanning = self._is_scanning()


class _Lines:
    """The first, the last, and one every few seconds."""

    def __init__(self, pace: _Pace) -> None:
        self._pace = pace
        self._next = 0.0

    def __call__(self, current: int, total: int, moved: int, done: bool) -> None:
        if done or time.monotonic() >= self._next:
            click.echo(self._pace.words(current, total, moved, done=done), err=True)
            self._next = time.monotonic() + _LINE_SECONDS


@contextmanager
def _bar(pace: _Pace) -> Iterator[ProgressCallback]:
    from rich.console import Console  # noqa: PLC0415 - only a terminal needs it
    from rich.progress import BarColumn, Progress, TextColumn  # noqa: PLC0415

    columns = BarColumn(bar_width=24), TextColumn("{task.description}")
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("starting", total=None)

        def show(current: int, total: int, moved: int, done: bool) -> None:
            words = pace.words(current, total, moved, done=done)
            progress.update(task, completed=current, total=None if pace.scanning else total, description=words)

        yield show
