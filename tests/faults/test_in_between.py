"""What happens between two steps: a fault while another is dealt with, and what changes while nobody drives."""

from __future__ import annotations

import threading
from contextlib import closing, suppress
from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from faults.lab import QUICK, Lab
from prefect_globus import SqlCheckpointStore, TransferOptions, cancel_transfer
from prefect_globus.emulator import Answer
from prefect_globus.emulator.process import running_emulator
from prefect_globus.flows.verify import _stem
from prefect_globus.globus.service import GlobusService
from prefect_globus.globus.submission import submission_body
from prefect_globus.tasks.driver import Driver, driving
from prefect_globus.tasks.finishing import finish_transfer
from prefect_globus.tasks.holds import Holds
from prefect_globus.tasks.opening import find_or_create, open_transfer
from prefect_globus.tasks.patience import patiently
from prefect_globus.tasks.scanning import scan_source
from prefect_globus.tasks.stopping import Stop
from prefect_globus.transfers.errors import GlobusError, InvalidInputError, StoreUnavailableError, TransferPausedError
from prefect_globus.transfers.location import Location, check_transfer_id
from prefect_globus.transfers.model import Holder, PausedBy, Transfer
from prefect_globus.transfers.records import now
from prefect_globus.transfers.states import AttemptStatus, TransferStatus

HOLDER = Holder(description="a test")


def scanned(lab: Lab, **options: object) -> Transfer:
    """A transfer whose driver has died when all was scanned and nothing intended."""
    wanted = Transfer(
        id=lab.name,
        source=Location.parse(f"{lab.emulator.collections['source']}:/{lab.name}"),
        destination=Location.parse(f"{lab.emulator.collections['destination']}:/{lab.name}"),
        options=TransferOptions.model_validate(QUICK | options),
    )
    with closing(GlobusService(lab.connect)) as globus:
        transfer = find_or_create(lab.store, globus, wanted, wanted.options)
        driver = Driver(lab.store, globus, transfer, wanted.options)
        with driving(driver):
            open_transfer.fn(lab.name)
            scan_source.fn(lab.name)
            return driver.update(status=TransferStatus.TRANSFERRING)


def intended(lab: Lab, number: int, *, seconds_left: float | None = None) -> None:
    """A batch whose driver has died before it knew whether Globus had got the submission."""
    deadline = None if seconds_left is None else now() + timedelta(seconds=seconds_left)
    lease = lab.store.acquire_lease(lab.name, HOLDER, 60.0)
    lab.store.save_batch(lease, lab.store.load_batch(lab.name, number).intend(uuid4(), deadline))
    lab.store.release_lease(lease)


def submitted(lab: Lab, number: int, task_id: UUID | None = None, *, days_ago: float = 0.0) -> None:
    """A batch whose task is on record; a real one when no id is given."""
    intended(lab, number)
    batch = lab.store.load_batch(lab.name, number)
    if task_id is None:
        transfer, items = lab.store.load_transfer(lab.name), lab.store.load_manifest(lab.name, number)
        with closing(GlobusService(lab.connect)) as globus:
            task_id = globus.submit(submission_body(transfer, batch, items))
    batch = batch.submitted(task_id)
    attempt = batch.attempts[-1].evolve(submitted_at=now() - timedelta(days=days_ago))
    lease = lab.store.acquire_lease(lab.name, HOLDER, 60.0)
    lab.store.save_batch(lease, batch.evolve(attempts=(*batch.attempts[:-1], attempt)))
    lab.store.release_lease(lease)


@pytest.mark.parametrize("code", ["PermissionDenied", "ConsentRequired"])
def test_a_cancel_ends_what_runs_though_something_else_cannot_be_canceled(lab: Lab, code: str) -> None:
    """The request stays on record for what is left."""
    folders = {name: lab.root / name for name in ("source", "destination")}
    lab.write("a", "b")
    with running_emulator(folders, state=lab.root / f"{lab.name}.globus", file_delay=30.0) as slow:
        lab.emulator = slow
        scanned(lab, batch_size=1)
        intended(lab, 1)
        submitted(lab, 2)
        refused = lab.fault(Answer(403, code), method="POST", path="/v0.10/transfer")
        with refused, pytest.raises((GlobusError, TransferPausedError)):
            cancel_transfer(lab.name, credentials=lab.credentials, checkpoints=lab.store)
        assert [task["status"] for task in lab.tasks()] == ["FAILED"]
        assert lab.store.pending_request(lab.name) is not None
        result = cancel_transfer(lab.name, credentials=lab.credentials, checkpoints=lab.store)
        assert result.status is TransferStatus.CANCELED
        assert {task["status"] for task in lab.tasks()} == {"FAILED"}


def test_a_task_that_globus_has_forgotten_does_not_keep_its_transfer_from_being_canceled(lab: Lab) -> None:
    """It cannot be running any more."""
    lab.write("a")
    scanned(lab)
    submitted(lab, 1, uuid4(), days_ago=31)
    result = cancel_transfer(lab.name, credentials=lab.credentials, checkpoints=lab.store)
    assert result.status is TransferStatus.CANCELED
    assert lab.attempts()[0].status is AttemptStatus.LOST


def test_a_deadline_that_passed_while_nobody_drove_is_no_end(lab: Lab) -> None:
    """A new attempt has a new one."""
    lab.write("a")
    scanned(lab, deadline_seconds=3600)
    intended(lab, 1, seconds_left=-5.0)
    assert lab.run(deadline_seconds=3600).status is TransferStatus.COMPLETED
    assert [attempt.status for attempt in lab.attempts()] == [AttemptStatus.FAILED, AttemptStatus.SUCCEEDED]


def test_a_file_that_became_a_directory_is_refused(lab: Lab) -> None:
    """What it contains would be lost in silence."""
    lab.write("one")
    places = {side: f"{lab.emulator.collections[side]}:/{lab.name}" for side in ("source", "destination")}
    wanted = Transfer(
        id=lab.name,
        source=Location.parse(f"{places['source']}/one"),
        destination=Location.parse(f"{places['destination']}-one"),
        options=TransferOptions.model_validate(QUICK),
    )
    with closing(GlobusService(lab.connect)) as globus:
        transfer = find_or_create(lab.store, globus, wanted, wanted.options)
        (lab.source / "one").unlink()
        lab.write("one/x")
        driver = Driver(lab.store, globus, transfer, wanted.options)
        with driving(driver):
            open_transfer.fn(lab.name)
            with pytest.raises(InvalidInputError, match="is a directory now"):
                scan_source.fn(lab.name)


def test_a_hold_that_could_not_be_put_on_record_holds_nobody() -> None:
    """Nobody would ever end it."""

    def write(_: str | None) -> None:
        raise StoreUnavailableError(store="the store", reason="gone")

    holds = Holds(Stop("t"), write)
    with pytest.raises(StoreUnavailableError), holds.hold("a consent is missing", TransferOptions()):
        pass
    holds.wait_until_free()


def test_a_pause_whose_end_could_not_be_put_on_record_is_no_failure(lab: Lab) -> None:
    """All has arrived, so it is COMPLETED."""
    lab.write("a")
    transfer = scanned(lab)
    assert lab.run().status is TransferStatus.COMPLETED
    lab.name = f"{lab.name}-again"
    lab.store.create_transfer(transfer.evolve(id=lab.name, batches=0, cursor=None, status=TransferStatus.CREATED))
    with closing(GlobusService(lab.connect)) as globus:
        driver = Driver(lab.store, globus, lab.store.load_transfer(lab.name), transfer.options)
        with driving(driver):
            open_transfer.fn(lab.name)
            driver.pause(PausedBy.FAULT, "a consent is missing")
            assert finish_transfer.fn(lab.name).complete
    assert lab.status is TransferStatus.COMPLETED


def test_a_writer_of_postgresql_that_sleeps_does_not_hold_up_the_next_for_ever(postgresql_url: str) -> None:
    """It is out of reach for a while, which a driver waits out, and then its transaction is ended."""
    store = SqlCheckpointStore(url=postgresql_url)
    source, destination = (Location(collection=uuid4(), path=f"/{side}") for side in ("a", "b"))
    store.create_transfer(Transfer(id="t", source=source, destination=destination))
    lease = store.acquire_lease("t", HOLDER, 0.1)
    asleep, woken = threading.Event(), threading.Event()

    def sleeps() -> None:
        # its transaction may be ended meanwhile
        with suppress(StoreUnavailableError), store._transaction(writes=True) as connection:
            store._fenced(connection, lease, "t")
            asleep.set()
            woken.wait(120)

    sleeper = threading.Thread(target=sleeps)
    sleeper.start()
    asleep.wait(30)
    try:
        options = TransferOptions(patience=100.0, api_retry_delay=0.1)
        new = patiently(options, Stop("t"), store.acquire_lease, "t", Holder(description="another"), 60.0)
        assert new.token > lease.token
    finally:
        woken.set()
        sleeper.join()


def test_a_long_id_can_be_repaired() -> None:
    """The id of its repair is cut, and is still an id of its own."""
    for length in (1, 110, 111, 128):
        ids = {check_transfer_id(f"{_stem('x' * (length - 1) + letter)}+repair-1000") for letter in "ab"}
        assert len(ids) == 2
