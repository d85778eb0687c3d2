"""The state machine: engine and store, driven through everything that may happen to a transfer, in any order.

The engine is the real one, with a real store, against a real emulator over HTTP; only Prefect's wrapping of its tasks
is left out, so that a step takes milliseconds. A crash is a fuse that blows at a boundary. After every rule the
invariants of the design are held against the emulator's own record. What has really happened is counted, so that a test
can hold the machine itself to its depth.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import wraps
from itertools import count
from pathlib import Path
from random import Random
from typing import Any

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from prefect_globus import TransferOptions, TransferStatus
from prefect_globus.emulator import Answer, Drop, FailFile, PauseTask, RefusedError, RequestFault, TaskFault
from prefect_globus.flows.control import cancel_transfer, pause_transfer
from prefect_globus.flows.redriving import mark_for_redrive
from prefect_globus.tasks.driver import Driver
from prefect_globus.transfers.errors import LeaseHeldError, LeaseLostError, TransferError
from prefect_globus.transfers.items import ItemType, Outcome
from prefect_globus.transfers.location import Location
from prefect_globus.transfers.model import Request, Transfer
from prefect_globus.transfers.states import FINAL_TRANSFER_STATUSES
from support.by_hand import Ground, Process, presumed_dead
from support.fuse import Crash, Fuse, FusedStore
from support.invariants import Snapshot, check_always, check_fenced, contents, take_snapshot

TREE = ("a/1", "a/2", "b", "c/1", "c/d/1", "c/e", "f/1")
EMPTY = "c/empty"
QUICK = {
    "api_retry_delay": 0.01,
    "api_retry_max_delay": 0.05,
    "poll_interval": 0.02,
    "fault_grace": 0.05,
    "patience": 5,
    "pause_limit": 0,
}

BOUNDARIES = st.integers(0, 20)
PERMANENT = ["INVALID_PATH_NAME", "FILE_NOT_FOUND", "PERMISSION_DENIED"]
BAD_FILES = st.builds(FailFile, st.sampled_from(PERMANENT), st.sampled_from(["source", "destination"]))
BAD_ANSWERS = st.sampled_from([Answer(503, "ServiceUnavailable"), Drop(), Drop(after=True)])
PATHS = st.sampled_from(["/v0.10/transfer", "/v0.10/task/*", "/v0.10/operation/*", "/v0.10/submission_id"])

# What a run of the machine must have come to, or it is too shallow to show anything.
DEPTH = (
    *("start", "resume", "scan", "batch", "finish", "takeover", "redrive", "paused by a fault"),
    *("crash at a boundary", "crash between steps", "crash of a control"),
    *("driver stopped: TransferPausedError", "driver stopped: TransferCanceledError"),
    *("pause without driver", "cancel without driver", "file changed", "file vanished"),
    *("request met answer", "request met drop", "task met fail_file", "task met pause_task"),
    *("ended COMPLETED", "ended CANCELED"),
)
A_FEW = 2

CI = settings(
    max_examples=28,
    stateful_step_count=20,
    phases=[Phase.generate],  # to shrink an example of real requests and tasks takes too long
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
FEW = settings(CI, max_examples=12)
LONG = settings(CI, max_examples=300, stateful_step_count=50, derandomize=False)

_ALL = 99  # more steps than any transfer here has
_numbers = count(1)


def run_machine(ground: Ground, how: settings) -> None:
    """Run the machine; print what has happened, and hold it to its depth, but for a few examples."""
    run_state_machine_as_test(lambda: TransferMachine(ground), settings=how)
    print(dict(sorted(ground.counts.items())))
    if how is FEW:
        return
    rare = {what: ground.counts[what] for what in DEPTH if ground.counts[what] < A_FEW}
    assert not rare, f"the machine is too shallow: {rare}"


def _fail_a_file(machine: TransferMachine, chance: int, effect: FailFile | PauseTask) -> None:
    machine.inject(TaskFault(effect, file=f"/{machine.id}/{machine.next_file(chance)}", times=1))


def _fail_a_request(machine: TransferMachine, effect: Any, path: str) -> None:
    machine.inject(RequestFault(effect, path=path, times=1))


def _alter_a_file(machine: TransferMachine, chance: int, how: str) -> None:
    file = machine.next_file(chance)
    path = machine.source / file
    if not path.exists():
        machine.write(file, f"content of {file}, which is back")
    elif how == "vanish":
        path.unlink()
        machine.ground.count("file vanished")
    else:
        text = path.read_text()
        machine.write(file, text.swapcase() if how == "change" else f"{text}, and more")
        machine.ground.count("file changed")


CHANCES = st.integers(0, len(TREE) - 1)
TROUBLES = st.one_of(
    st.tuples(st.just(_fail_a_file), CHANCES, BAD_FILES | st.just(FailFile("ENDPOINT_ERROR"))),
    st.tuples(st.just(_fail_a_file), CHANCES, st.just(PauseTask())),
    st.tuples(st.just(_fail_a_request), BAD_ANSWERS, PATHS),
    st.tuples(st.just(_alter_a_file), CHANCES, st.sampled_from(["change", "grow", "vanish"])),
)


def where(holds: Callable[[TransferMachine], object]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Do a rule where that makes sense, and go on otherwise.

    It is no precondition: whether a task has ended in time is nothing that Hypothesis may see in what it draws.
    """

    def decorated(do: Callable[..., None]) -> Callable[..., None]:
        @wraps(do)
        def done(machine: TransferMachine, **drawn: Any) -> None:
            if holds(machine):
                do(machine, **drawn)
            else:
                machine.advance(2)

        return done

    return decorated


class TransferMachine(RuleBasedStateMachine):
    """Small transfers, one after the other, each from its beginning to its end."""

    def __init__(self, ground: Ground) -> None:
        super().__init__()
        self.ground = ground
        self.process: Process | None = None
        self.before: Snapshot | None = None
        self.faults: list[str] = []

    # --- what is there

    @initialize(seed=st.integers(0, 999))
    def begin(self, seed: int) -> None:
        """The first transfer; the others follow by the same seed."""
        self.dice = Random(seed)
        self._begin_another()

    def _begin_another(self) -> None:
        """A tree, a file of which may be one that cannot be moved, and how it is to be transferred."""
        self.id = f"m{next(_numbers)}"
        self.before = None
        self.contents: dict[str, set[bytes]] = {}
        for path in TREE:
            self.write(path, f"content of {path}")
        (self.source / EMPTY).mkdir()
        self.destination.mkdir()
        options = TransferOptions(
            sync_level=self.dice.choice([None, "size", "checksum"]),
            skip_source_errors=self.dice.choice([True, False, False, False]),
            batch_size=self.dice.randint(1, 4),
            **QUICK,
        )
        ids = self.ground.emulator.collections
        ends = [Location.parse(f"{ids[name]}:/{self.id}") for name in ("source", "destination")]
        self.wanted = Transfer(id=self.id, source=ends[0], destination=ends[1], options=options)
        for path in self.dice.sample(TREE, self.dice.randint(0, 2)):
            effect = FailFile(self.dice.choice(PERMANENT), self.dice.choice(["source", "destination"]))
            self.inject(TaskFault(effect, file=f"/{self.id}/{path}"))
        if self.dice.random() < 0.25:
            _fail_a_file(self, self.dice.randrange(len(TREE)), PauseTask())

    @property
    def source(self) -> Path:
        return self.ground.folder / "source" / self.id

    @property
    def destination(self) -> Path:
        return self.ground.folder / "destination" / self.id

    @property
    def status(self) -> TransferStatus | None:
        """As of the end of the last rule."""
        return self.before and self.before.transfer.status

    @property
    def is_over(self) -> bool:
        return self.status in FINAL_TRANSFER_STATUSES

    @property
    def is_unfinished(self) -> bool:
        """Whether it is on record and may go on."""
        return self.before is not None and not self.is_over

    def _lacking(self) -> set[str]:
        outcomes = self.before.outcomes if self.before is not None else {}
        return {path for path, outcome in outcomes.items() if outcome in (Outcome.DEAD, Outcome.REMAINING)}

    def next_file(self, chance: int) -> str:
        """A file that is still to be moved, if there is one."""
        files = sorted(self._lacking() & set(TREE)) or TREE
        return files[chance % len(files)]

    def write(self, path: str, text: str) -> None:
        file = self.source / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        self.contents.setdefault(path, set()).add(text.encode())

    # --- what a driver does

    @rule(steps=st.integers(1, 4), early=st.booleans(), last_try=st.booleans())
    def go_on(self, steps: int, early: bool, last_try: bool) -> None:
        """The next steps: open, scan, one batch after the other, finish; and then the next transfer."""
        self.advance(steps, early=early, last_try=last_try)

    @rule(troubles=st.lists(TROUBLES, max_size=2), crash=BOUNDARIES, early=st.booleans(), last_try=st.booleans())
    def go_on_and_crash_at_a_boundary(self, troubles: list[Any], crash: int, early: bool, last_try: bool) -> None:
        """The same in trouble, up to a boundary that may lie in any of the steps."""
        self._trouble(troubles)
        self.advance(4, early=early, last_try=last_try, crash=crash)

    @rule(troubles=st.lists(TROUBLES, min_size=2, max_size=4), steps=st.integers(1, 4), last_try=st.booleans())
    def go_on_in_trouble(self, troubles: list[Any], steps: int, last_try: bool) -> None:
        """The same, after something has happened to a file, to requests or to the task that has a file."""
        self._trouble(troubles)
        self.advance(steps, last_try=last_try)

    def _trouble(self, troubles: list[Any]) -> None:
        for happen, *facts in troubles if not self.is_over else ():
            happen(self, *facts)

    @rule()
    @where(lambda self: self.process is not None)
    def crash_between_steps(self) -> None:
        self._crash()

    def _crash(self) -> None:
        self.ground.count("crash between steps")
        self._end(killed=True)

    @rule()
    @where(lambda self: self.process is not None)
    def somebody_else_is_refused_and_then_takes_over(self) -> None:
        """While the driver lives; when it is taken for dead, it can write no more."""
        suspended = self.process
        refused = Driver(self.ground.store, suspended.globus, self.wanted, self.wanted.options)
        try:
            refused.take_over()
        except LeaseHeldError:
            pass
        else:
            raise AssertionError("two drivers at once")
        finally:
            refused.close()
        self.process = None
        self.advance(1)
        self.ground.count("takeover")
        check_fenced(self.ground.store, suspended.driver.lease, suspended.driver.transfer)
        batches = list(suspended.driver.batches())
        writes = [lambda: suspended.driver.update(error="mine"), lambda: suspended.driver.save_batch(batches[0])]
        for write in writes if batches else writes[:1]:
            with suppress(LeaseLostError):
                write()
                raise AssertionError("a driver that was taken over has written")
        suspended.close()

    # --- what people do

    @rule(request=st.sampled_from(list(Request)))
    @where(lambda self: self.process is not None)
    def request(self, request: Request) -> None:
        """The next heartbeat hears it."""
        self.ground.store.post_request(self.id, request)
        self.process.driver.stop.ask(self.ground.store.pending_request(self.id))

    @rule(crash=st.none() | st.none() | BOUNDARIES, now=st.booleans())
    @where(lambda self: self.is_unfinished and self.status is not TransferStatus.FAILED)
    def pause_without_driver(self, crash: int | None, now: bool) -> None:
        def pause(login: Fuse, store: Any) -> None:
            pause_transfer(self.id, now, login, store, wait=0)
            self.ground.count("pause without driver")

        self._control(pause, crash)

    @rule(crash=st.none() | st.none() | BOUNDARIES)
    @where(lambda self: self.is_unfinished and self.before.record)
    def cancel_without_driver(self, crash: int | None) -> None:
        def cancel(login: Fuse, store: Any) -> None:
            cancel_transfer(self.id, login, store, wait=0)
            self.ground.count("cancel without driver")

        self._control(cancel, crash)

    @rule(crash=st.none() | st.none() | BOUNDARIES, chance=st.none() | CHANCES)
    @where(lambda self: self.is_unfinished and Outcome.DEAD in self.before.outcomes.values())
    def redrive(self, crash: int | None, chance: int | None) -> None:
        """All dead letters or one; those of a batch that has a live attempt have to wait."""
        dead = sorted(path for path, outcome in self.before.outcomes.items() if outcome is Outcome.DEAD)

        def mark(_: Fuse, store: Any) -> None:
            mark_for_redrive(store, self.id, None if chance is None else dead[chance % len(dead)])
            self.ground.count("redrive")

        self._control(mark, crash)

    # --- what is wrong with the world

    @rule()
    @where(lambda self: self.faults)
    def mend(self) -> None:
        self._mend()

    def _mend(self) -> None:
        emulator = self.ground.emulator
        for fault in emulator.faults():
            if fault.fired and fault.id in self.faults:
                self.ground.count(f"{fault.fault.kind} met {fault.fault.effect.kind}")
            emulator.clear(fault.id)
        self.faults.clear()
        for task in self.before.record if self.before is not None else ():
            if not task.ended:
                with suppress(RefusedError):  # it has ended meanwhile
                    emulator.resume_task(task.task_id)

    def inject(self, fault: Any) -> None:
        self.faults.append(self.ground.emulator.inject(fault))

    # --- what must hold

    @invariant()
    def all_nine(self) -> None:
        now = take_snapshot(self.ground.store, self.id, self.ground.folder / "globus.db", f"/{self.id}")
        if now is not None:
            check_always(now, self.before)
            self.before = now
            self.ground.count("state checked")

    def teardown(self) -> None:
        """Whatever was done to it: once all is mended and it is resumed, it comes to its end."""
        try:
            if hasattr(self, "wanted"):
                self._conclude()
        finally:
            self._end(killed=True)
            for fault in self.faults:
                self.ground.emulator.clear(fault)

    def _conclude(self) -> None:
        self._end(killed=True)
        self._mend()
        for _ in range(6):
            if self.is_over or (self.status is TransferStatus.FAILED and self._lacks_only_what_is_gone()):
                break
            for request in (Request.PAUSE, Request.PAUSE_NOW):
                if self.before is not None:
                    self.ground.store.withdraw_request(self.id, request)
            self.advance(_ALL, last_try=True)
            self.all_nine()
        else:
            raise AssertionError(f"it does not come to its end: {self.before}")
        self.ground.count(f"ended {self.status}")
        self._check_files()

    def _lacks_only_what_is_gone(self) -> bool:
        lacking = self._lacking()
        return bool(lacking) and not any((self.source / path).exists() for path in lacking)

    def _check_files(self) -> None:
        """What is at the destination was at the source, at some moment; what was never altered is there as it is."""
        assert self.before is not None
        delivered = contents(self.destination)
        outcomes = self.before.outcomes
        for item in self.before.items:
            if outcomes[item.path] is Outcome.TRANSFERRED and item.type is ItemType.FILE:
                assert delivered[item.path] in self.contents[item.path]
        if self.status is TransferStatus.COMPLETED:
            assert delivered.keys() == {path for path, outcome in outcomes.items() if outcome is not Outcome.SKIPPED}

    # --- within

    def advance(self, steps: int, *, early: bool = False, last_try: bool = False, crash: int | None = None) -> None:
        """Do the next steps of the driver; the last one of a transfer is its end, and the next begins another."""
        if self.is_over and self.process is None:
            self._conclude()
            self._begin_another()
        if self.process is None:
            self.process = Process(self.ground, self.wanted)
        if crash is not None:
            self.process.fuse.blow_after(crash)
        try:
            for _ in range(steps):
                if not self.process.step(early=early, last_try=last_try):
                    self._end()
                    return
            self.process.fuse.hold()
        except Crash:
            self.ground.count("crash at a boundary")
            self._end(killed=True)

    def _end(self, *, killed: bool = False) -> None:
        process, self.process = self.process, None
        if process is not None:
            if killed:
                process.fuse.blow()
            process.close()

    def _control(self, what: Callable[[Fuse, Any], None], crash: int | None) -> None:
        if self.process is not None:  # while it lives it would do it, see `request`
            self._crash()
        fuse = Fuse(self.ground.credentials)
        if crash is not None:
            fuse.blow_after(crash)
        try:
            with presumed_dead():
                what(fuse, FusedStore(self.ground.store, fuse))
        except Crash:
            self.ground.count("crash of a control")
        except TransferError as error:
            self.ground.count(f"control met {type(error).__name__}")
