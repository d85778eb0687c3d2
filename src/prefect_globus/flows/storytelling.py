"""Storytelling: the log, Prefect's UI and its events tell how a transfer goes, while it goes."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import copy_context

from prefect.context import FlowRunContext

from prefect_globus.flows.events import Announcer
from prefect_globus.flows.gallery import Gallery, is_open
from prefect_globus.tasks.driver import Driver
from prefect_globus.tasks.logs import run_logger
from prefect_globus.tasks.prefect_client import impatient_client
from prefect_globus.tasks.stopping import StopReason
from prefect_globus.transfers.board import TaskRow
from prefect_globus.transfers.errors import TransferError
from prefect_globus.transfers.live import live_page, task_rows, tasks_caption
from prefect_globus.transfers.naming import artifact_key, first_run_name, run_name, tags_of
from prefect_globus.transfers.quantities import span
from prefect_globus.transfers.records import now
from prefect_globus.transfers.standing import Milestones, Speedometer, Standing, Stillness
from prefect_globus.transfers.states import TransferStatus

_log = logging.getLogger(__name__)

_TICK_SECONDS = 1.0
_SHOW_SECONDS = 5.0  # between two changes of what Prefect shows: each costs its server some 50 ms
_TABLE_SECONDS = 30.0
_ANSWER_SECONDS = 5.0
_SILENT_SECONDS = 30.0  # before Prefect is asked again, after it has not answered
_LAST_WORDS_SECONDS = 15.0
# Before the first line about the whole; then each pause is twice as long as the one before it, up to the longest.
_FIRST_WORD_SECONDS, _LONGEST_PAUSE_SECONDS = 10.0, 300.0
_QUEUE_SECONDS = 60.0
_STALLED_SECONDS = 600.0
_UNDER_WAY = (TransferStatus.SCANNING, TransferStatus.TRANSFERRING, TransferStatus.PAUSED)


@contextmanager
def storytelling(driver: Driver, announcer: Announcer) -> Iterator[None]:
    """Have it told how the transfer of ``driver`` goes, while the block lasts; the last word comes at its end.

    It is told from a thread of its own, so that whatever Prefect does, the transfer neither waits for it nor fails.
    """
    ended = threading.Event()
    storyteller = Storyteller(driver, announcer)
    context = copy_context()  # it has the flow run, and Prefect's settings
    thread = threading.Thread(target=context.run, args=(storyteller.work, ended), name="story", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(_LAST_WORDS_SECONDS)


class Storyteller:
    """Tells how one transfer goes; one thread calls it.

    Args:
        driver: of the transfer.
        announcer: of its events.
    """

    def __init__(self, driver: Driver, announcer: Announcer) -> None:
        self._driver = driver
        self._announcer = announcer
        self._speedometer = Speedometer()
        self._milestones = Milestones()
        self._stillness = Stillness(min(_STALLED_SECONDS, driver.options.stall_seconds / 2))
        self._queue = _Queue(driver)
        self._next_word = time.monotonic() + _FIRST_WORD_SECONDS
        self._pause = _FIRST_WORD_SECONDS

    def work(self, ended: threading.Event) -> None:
        """Tell it until it has ended."""
        try:
            with _display() as display:
                while not ended.wait(_TICK_SECONDS):
                    self._tell(display)
                self._tell(display, last=True)
        except Exception as error:  # noqa: BLE001 - whatever it is, the transfer is none the worse for it
            _log.warning("How transfer %s goes is not told any more: %s", self._driver.transfer.id, error)

    def _tell(self, display: _Display | None, *, last: bool = False) -> None:
        driver = self._driver
        if not driver.drives or driver.transfer.status is TransferStatus.CREATED:
            return
        at = time.monotonic()
        standing = driver.progress.standing(driver.transfer)
        standing = standing._replace(speed=self._speedometer.read(standing, at))
        if not last and standing.transfer.status in _UNDER_WAY:
            standing = standing._replace(others=self._queue.others(standing, at))
            self._tell_events(standing, at)
            self._tell_log(standing, at)
        if display is not None and driver.stop.why is not StopReason.LEASE_LOST:  # who has it now shows it
            display.show(driver, standing, last=last)

    def _tell_events(self, standing: Standing, at: float) -> None:
        percent = self._milestones.passed(standing)
        if percent is not None:
            self._announcer.tell("progress", standing.transfer, percent=percent)
        still = self._stillness.lasts(standing, at)
        if still is not None:
            run_logger().warning("Nothing has moved for %s: %s", span(still), standing.headline)
            self._announcer.tell("stalled", standing.transfer, seconds=round(still), standing=standing.headline)

    def _tell_log(self, standing: Standing, at: float) -> None:
        if at >= self._next_word:
            run_logger().info("%s", standing.headline)
            self._pause = min(_LONGEST_PAUSE_SECONDS, self._pause * 2)
            self._next_word = at + self._pause


class _Queue:
    """Finds out what keeps Globus busy while all tasks of a transfer are queued there."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        self._next: float | None = None
        self._others: int | None = None

    def others(self, standing: Standing, at: float) -> int | None:
        """How many other unfinished tasks the login has; None while that is of no interest, or not known."""
        if not standing.is_queued:
            self._next = self._others = None
        elif self._next is None:
            self._next = at + _QUEUE_SECONDS
        elif at >= self._next:
            self._next = at + _QUEUE_SECONDS
            try:
                self._others = max(0, self._driver.globus.unfinished() - len(standing.views))
            except TransferError as error:  # it only explains
                _log.debug("How many tasks Globus has is not known: %s", error)
        return self._others


@contextmanager
def _display() -> Iterator[_Display | None]:
    """What Prefect shows of this flow run; None where nobody can see it."""
    context = FlowRunContext.get()
    if context is None or context.flow_run is None or not is_open():
        yield None
        return
    may_name = context.flow_run.name == first_run_name(context.parameters or {})
    with impatient_client(_ANSWER_SECONDS) as client:
        yield _Display(Gallery(client, context.flow_run, may_name=may_name))


class _Display:
    """Changes what Prefect shows every few seconds, and lets it be for a while when that does not answer."""

    def __init__(self, gallery: Gallery) -> None:
        self._gallery = gallery
        self._status: TransferStatus | None = None
        self._next = self._next_table = 0.0

    def show(self, driver: Driver, standing: Standing, *, last: bool) -> None:
        """Show it if it is time to; the last one is, always."""
        at = time.monotonic()
        status = standing.transfer.status
        if not last and (status not in _UNDER_WAY or (at < self._next and status is self._status)):
            return
        try:
            self._show(standing)
            rows, total = driver.progress.tasks()
            if rows and (last or at >= self._next_table):
                self._show_tasks(driver, rows, total)
                self._next_table = at + _TABLE_SECONDS
        except Exception as error:  # noqa: BLE001 - whatever it is, the transfer is none the worse for it
            _log.debug("Prefect does not show how %s goes: %s", standing.transfer.id, error)
            self._next = at + _SILENT_SECONDS
            return
        self._status, self._next = status, at + _SHOW_SECONDS

    def _show(self, standing: Standing) -> None:
        transfer = standing.transfer
        name = run_name(transfer, standing.ledger) if transfer.scan_complete else None
        self._gallery.call(name, tags_of(transfer))
        page = live_page(standing, now())
        self._gallery.show(artifact_key("progress", transfer.id), "progress", standing.percent, standing.headline)
        self._gallery.show(artifact_key("status", transfer.id), "markdown", page, f"Transfer {transfer.id}")

    def _show_tasks(self, driver: Driver, rows: Sequence[TaskRow], total: int) -> None:
        table = task_rows(rows, now(), has_links=driver.globus.is_at_globus)
        key, caption = artifact_key("tasks", driver.transfer.id), tasks_caption(len(rows), total)
        self._gallery.show(key, "table", json.dumps(table), caption)
