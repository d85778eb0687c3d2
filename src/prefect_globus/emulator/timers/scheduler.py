"""What runs the timers: one thread, which sleeps until the next tick and is woken by whoever changes a timer.

Intent before effect: a run is noted with the submission_id of its task before it is submitted, in the same state. So a
kill at any moment submits no run twice and loses none; at the next start, a run that was only intended is submitted
with the same id. Ticks that came by while the emulator was down are a run that was missed, which runs once, at once, as
it does when a timer is resumed. This is our choice: what Globus does after a stop of its own is not told.
"""

from __future__ import annotations

import logging
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from prefect_globus.emulator.auth.consents import ConsentRequired
from prefect_globus.emulator.errors import ApiError
from prefect_globus.emulator.timers.model import Cause, Document, Run, Status, Timer, TimerSpec
from prefect_globus.emulator.timers.schedule import retry_window
from prefect_globus.emulator.timers.submitter import run_label

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prefect_globus.emulator.tasks.model import Policy
    from prefect_globus.emulator.timers.store import TimerStore
    from prefect_globus.emulator.timers.submitter import Submitter

logger = logging.getLogger(__name__)

LONGEST_SLEEP = 60.0  # real seconds; somebody may set the clock
AFTER_DEFECT = 1.0
ACCEPTED = 202  # HTTP status of a submission that was accepted
PASSING_STATUSES = frozenset({409, 429})  # and 500 and above: what hinders a submission now may not later [inferred]
PASSING_CODES = frozenset({"TooManyPendingJobs"})


class Scheduler:
    """Starts the runs of timers when they are due. Whoever changes a timer does it here."""

    def __init__(
        self,
        store: TimerStore,
        submitter: Submitter,
        policy: Policy,
    ) -> None:
        self._store = store
        self._submitter = submitter
        self._policy = policy
        self._changed = threading.Condition()
        self._stopping = False
        self._thread = threading.Thread(target=self._work, name="emulator-timers", daemon=True)

    def start(self) -> None:
        """Begin. The tasks' engine must have started before."""
        self._thread.start()

    def stop(self) -> None:
        """Start no more runs."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        self._thread.join()

    @contextmanager
    def at_rest(self) -> Iterator[None]:
        """Let nothing begin or change for as long as the block lasts, so that what is read in it fits together."""
        with self._changed:
            yield

    def create(self, owner_id: str, client_id: str, spec: TimerSpec, now: float) -> Timer:
        """Accept a timer."""
        with self._changed:
            timer = self._store.add(owner_id, client_id, spec, now)
            self._changed.notify_all()
            return timer

    def pause(self, timer: Timer) -> bool:
        """Make a timer inactive, unless it is; return False if it is over."""
        with self._changed:
            timer = self._store.get(timer.number)
            return timer.status is Status.INACTIVE or self._store.change_status(
                timer, Status.INACTIVE, inactive_cause=Cause.USER, inactive_detail=None
            )

    def resume(self, timer: Timer, client_id: str, *, update_credentials: bool | None) -> bool:
        """Make a timer active, unless it is; return False if it is over. A run that was missed is due at once.

        Args:
            timer: the timer.
            client_id: the client that asks for it.
            update_credentials: whether its runs need the consents of that client from now on. None: only if it was a
                consent that had been missing.
        """
        with self._changed:
            timer = self._store.get(timer.number)
            if timer.status is not Status.INACTIVE:
                return timer.status is not Status.ENDED
            if update_credentials is None:
                update_credentials = timer.inactive_cause is Cause.AUTH
            columns = {
                "inactive_cause": None,
                "inactive_detail": None,
                "client_id": client_id if update_credentials else timer.client_id,
            }
            now = time.time()
            ends_at = timer.spec.schedule.ends_at
            is_starting = self._store.starting_run(timer) is not None  # and so was due before the end
            if ends_at is not None and now > ends_at and not is_starting:
                return self._store.change_status(timer, Status.ENDED, next_run=None, **columns)
            next_run = now if is_starting or timer.next_run is None else max(timer.next_run, now)
            changed = self._store.change_status(timer, Status.LOADED, next_run=next_run, **columns)
            self._changed.notify_all()
            return changed

    def rename(self, timer: Timer, name: str | None) -> Timer:
        """Give a timer another name."""
        with self._changed:
            return self._store.rename(timer, name)

    def delete(self, timer: Timer) -> Timer:
        """Delete a timer; return it as it is on its way out. What it has submitted goes on."""
        with self._changed:
            self._store.change_status(timer, Status.DELETE_IN_PROGRESS, next_run=None)
            self._changed.notify_all()
            return self._store.get(timer.number)

    def run_in_progress(self, timer: Timer) -> Run | None:
        """Return the run whose task is not over, if there is one."""
        run = self._store.started_run(timer)
        return run if run is not None and self._submitter.is_unfinished(run) else None

    def _work(self) -> None:
        while not self._stopping:
            with self._changed:  # given up between two runs, so that a thousand due timers keep nobody waiting
                try:
                    seconds = self._step()
                except Exception:
                    logger.exception("The timers failed to be run")
                    seconds = AFTER_DEFECT
                if seconds > 0 and not self._stopping:
                    self._changed.wait(min(seconds, LONGEST_SLEEP))

    def _step(self) -> float:
        """Do what is due first; return for how many seconds there will be nothing to do."""
        self._store.settle()
        timer = self._store.first_due()
        if timer is None or timer.next_run is None:
            return LONGEST_SLEEP
        now = time.time()
        if timer.next_run <= now:
            self._run(timer, now)
            return 0.0
        return timer.next_run - now

    def _run(self, timer: Timer, now: float) -> None:
        run = self._store.starting_run(timer)
        if run is None:
            if self.run_in_progress(timer) is not None:
                self._store.skip(timer, now)
                return
            run = self._store.intend(timer, run_label(timer), now)
        try:
            task = self._submitter.submit(timer, run)
        except ConsentRequired as error:
            self._store.refused(timer, run, error.status, _error_document(error), time.time())
        except ApiError as error:
            self._not_started(timer, run, error)
        except Exception:
            # A defect of ours must not stop the other timers: it is an error that may pass, as any other.
            logger.exception("A run of timer %s could not be submitted", timer.job_id)
            self._not_started(timer, run, ApiError(500, "InternalError", "Internal error of the emulator"))
        else:
            self._store.started(timer, run, task.number, ACCEPTED, time.time())

    def _not_started(self, timer: Timer, run: Run, error: ApiError) -> None:
        """Try again later, if that may help and there is still time for it; else give the run up."""
        now = time.time()
        last_attempt = run.start_timestamp + self._policy.real(retry_window(timer.spec.interval))
        again = min(now + self._policy.real(self._policy.backoff(run.attempts + 1)), last_attempt)
        if _may_pass(error) and again > now:
            self._store.retry(timer, run, error.status, _error_document(error), again)
        else:
            self._store.failed(timer, run, error.status, _error_document(error), now)


def _may_pass(error: ApiError) -> bool:
    return error.status >= 500 or error.status in PASSING_STATUSES or error.code in PASSING_CODES  # noqa: PLR2004 -- HTTP


def _error_document(error: ApiError) -> Document:
    return {"code": error.code, "message": error.message, **error.facts}
