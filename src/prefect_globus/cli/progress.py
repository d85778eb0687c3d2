"""Progress on stderr: a bar for people at a terminal, a line now and then for logs."""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import click

from prefect_globus.transfers.options import ProgressCallback
from prefect_globus.transfers.quantities import count, size, span

_LINE_SECONDS = 5.0
_LOOK_SECONDS = 1.0
_RATE_SECONDS = 30.0
_SHARE = 20  # a look takes no more than this part of the time


class Phase(NamedTuple):
    """What a transfer is at: whether its total still grows, whether it waits for a person, and what failed for good."""

    scanning: bool
    paused: bool
    dead: int = 0


@contextmanager
def shown_progress(look: Callable[[], Phase], *, quiet: bool, plain: bool) -> Iterator[ProgressCallback | None]:
    """Show progress for as long as the block lasts, through the callback that it gets.

    Args:
        look: what the transfer is at; asked once a second at most, and in the end.
        quiet: show nothing.
        plain: show lines even at a terminal, because others write there, too.
    """
    if quiet:
        yield None
    elif plain or not sys.stderr.isatty():
        yield _Lines(_Pace(look))
    else:
        with _bar(_Pace(look)) as callback:
            yield callback


class _Pace:
    """Turns the callback's counts into words, with the rate of the last half minute and the time left at that rate."""

    def __init__(self, look: Callable[[], Phase]) -> None:
        self._look = look
        self._next = 0.0
        self._past: deque[tuple[float, int, int]] = deque()
        self.phase = Phase(scanning=True, paused=False)

    def words(self, current: int, total: int, moved: int, *, done: bool) -> str:
        """The counts, and what follows from them."""
        moment = time.monotonic()
        if done or moment >= self._next:
            self.phase = self._look()
            looked = time.monotonic()
            self._next = looked + max(_LOOK_SECONDS, _SHARE * (looked - moment))
        if done:
            self.phase = self.phase._replace(scanning=False, paused=False)
        self._past.append((moment, current, moved))
        while moment - self._past[0][0] > _RATE_SECONDS:
            self._past.popleft()
        then, before, moved_before = self._past[0]
        seconds = moment - then
        arrived = current - self.phase.dead
        words = [f"{arrived:,} of {total:,}{'+' if self.phase.scanning else ''} items", size(moved)]
        if self.phase.dead:
            words.append(count(self.phase.dead, "dead letter"))
        if self.phase.paused:
            return ", ".join([*words, "paused"])
        if seconds > 0:
            words.append(f"{size(max(0, moved - moved_before) / seconds)}/s")
        if self.phase.scanning:
            words.append("still scanning")
        elif before < current < total:
            words.append(f"{span((total - current) * seconds / (current - before))} left")
        return ", ".join(words)


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

    # rich's own green is grey in a terminal of 16 colors, as is the bar that is still empty
    columns = BarColumn(bar_width=24, finished_style="green"), TextColumn("{task.description}")
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("starting", total=None)

        def show(current: int, total: int, moved: int, done: bool) -> None:
            words = pace.words(current, total, moved, done=done)
            progress.update(task, completed=current, total=None if pace.phase.scanning else total, description=words)

        yield show
