"""The differential test: random schedules make the same runs here as in Globus Timers, as the emulator has them."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple
from uuid import uuid4

import globus_sdk
import pytest
from globus_sdk.scopes import TimersScopes

from prefect_globus.emulator.process import Emulator, running_emulator
from prefect_globus.transfers.location import Location
from prefect_globus.transfers.model import Scheduled, Transfer
from prefect_globus.transfers.schedules import TransferSchedule
from prefect_globus.transfers.states import TransferStatus
from prefect_globus.transfers.ticks import Action, Run, Tick, decide

SEED, SCHEDULES = 20261122, 16
SCALE = 20.0
FILE_SECONDS = 0.75  # real, for each file of a run
# What lies closer together, in real seconds, may be seen in either order.
MARGIN = timedelta(seconds=0.45)
PATIENCE = 120.0
NOBODY = Location.parse("6c54cade-bde5-45c1-bdea-f4bd71dba2cc:/a")


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    folder: Path = tmp_path_factory.mktemp("timers")
    folders = {name: folder / name for name in ("source", "destination")}
    for each in folders.values():
        each.mkdir()
    for number in range(10):
        (folders["source"] / f"{number}").write_text("")
    with running_emulator(folders, time_scale=SCALE, file_delay=FILE_SECONDS) as running:
        yield running


class Case(NamedTuple):
    """A schedule of Globus time, and how many files its runs have, so that they outlast the interval or do not."""

    interval: int
    count: int | None
    ticks: int | None
    files: int


def random_case(draw: random.Random) -> Case:
    by_count = draw.random() < 0.5
    return Case(
        interval=draw.choice([60, 75, 90]),
        count=draw.randint(1, 4) if by_count else None,
        ticks=None if by_count else draw.randint(1, 8),
        files=draw.randint(1, 10),
    )


@dataclass
class Life:
    """What a timer did, in real time: when its schedule began, and when each run began and ended."""

    schedule: TransferSchedule
    began: datetime
    runs: list[tuple[datetime, datetime]]

    def real(self, tick: datetime) -> datetime:
        assert self.schedule.first is not None
        return self.began + (tick - self.schedule.first) / SCALE

    def begun_at(self, tick: datetime) -> list[int]:
        """The number of the run that was begun at ``tick``, if one was."""
        return [number for number, (begin, _) in enumerate(self.runs, 1) if abs(begin - self.real(tick)) < MARGIN]

    def is_uncertain(self, tick: datetime) -> bool:
        """Whether a run ended or a run was begun so near ``tick`` that it is not certain what the timer saw."""
        moment, interval = self.real(tick), timedelta(seconds=self.schedule.interval_seconds or 0) / SCALE
        ended = any(abs(end - moment) < MARGIN for _, end in self.runs)
        return ended or any(MARGIN <= begin - moment < interval - MARGIN for begin, _ in self.runs)

    def record(self, number: int, tick: datetime, at: datetime) -> Run:
        """Our run of that number as it stands ``at`` a tick: unfinished for as long as the timer's own was."""
        is_over = self.runs[number - 1][1] < self.real(at)
        status = TransferStatus.COMPLETED if is_over else TransferStatus.TRANSFERRING
        scheduled = Scheduled(schedule="scheduled-transfer/any", tick=tick, run=number)
        transfer = Transfer(id=f"t-{number}", source=NOBODY, destination=NOBODY, status=status, scheduled=scheduled)
        return Run.of(transfer, driven=True)


def live(emulator: Emulator, case: Case) -> Life:
    """Have a timer of a user of its own live its life."""
    client_id, url = str(uuid4()), emulator.url
    login = globus_sdk.ConfidentialAppAuthClient(client_id, "secret", base_url=url)
    authorizer = globus_sdk.ClientCredentialsAuthorizer(login, str(TimersScopes.timer))
    timers = globus_sdk.TimersClient(authorizer=authorizer, base_url=url)
    start = datetime.now(UTC) + timedelta(seconds=SCALE)
    interval = timedelta(seconds=case.interval)
    until = None if case.ticks is None else start + (case.ticks - 0.5) * interval
    schedule = TransferSchedule.every(interval, start=start, until=until, count=case.count)
    data = globus_sdk.TransferData(emulator.collections["source"], emulator.collections["destination"])
    for number in range(case.files):
        data.add_item(f"/{number}", f"/{client_id}/{number}")
    made = globus_sdk.TransferTimer(schedule=schedule.to_timer(), body=data)
    job_id = timers.create_timer(made)["timer"]["job_id"]
    give_up = time.monotonic() + PATIENCE
    while True:
        job = timers.get_job(job_id, query_params={"page_size": 50})
        if job["status"] == "ended" and job["activity"] is None:
            break
        assert time.monotonic() < give_up, job
        time.sleep(0.2)
    moments = [(_moment(each["start_timestamp"]), _moment(each["end_timestamp"])) for each in job["results"]["data"]]
    return Life(schedule, _moment(job["start"]), sorted(moments))


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


class Compared(NamedTuple):
    """Our series of runs and the timer's, and how many ticks were skipped."""

    ours: list[tuple[int, datetime]]
    theirs: list[tuple[int, datetime]]
    skipped: int


def decided(life: Life) -> Compared:
    """Decide at each tick with the runs as long as they really were, while it is certain what the timer saw."""
    ours: list[tuple[int, datetime]] = []
    theirs: list[tuple[int, datetime]] = []
    skipped = 0
    for tick in life.schedule.ticks():
        if life.is_uncertain(tick):
            break
        begun = life.begun_at(tick)
        looked_at = Tick(at=tick, now=tick, following=life.schedule.tick_after(tick))
        decision = decide(looked_at, [life.record(*run, at=tick) for run in ours], schedule=life.schedule)
        theirs += [(number, tick) for number in begun]
        skipped += decision.action is Action.SKIP
        if decision.action is Action.RUN:
            ours.append((len(ours) + 1, tick))
        if decision.action is Action.ENDED or ours != theirs:
            break
    return Compared(ours, theirs, skipped)


def test_the_same_schedule_makes_the_same_runs(emulator: Emulator) -> None:
    """Runs that outlast the interval are skipped over and not counted, and both end at the same run."""
    draw = random.Random(SEED)
    chosen = [random_case(draw) for _ in range(SCHEDULES)]
    with ThreadPoolExecutor(SCHEDULES) as pool:
        lives = list(pool.map(lambda case: live(emulator, case), chosen))
    compared = [decided(life) for life in lives]
    for life, (ours, theirs, _) in zip(lives, compared, strict=True):
        assert ours == theirs, life
    assert sum(len(ours) for ours, _, _ in compared) >= SCHEDULES
    assert sum(skipped for _, _, skipped in compared) > 0
