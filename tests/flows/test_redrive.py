"""Dead letters are listed, tried again by choice, and keep their history."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from prefect_globus import TransferStatus, redrive_transfer, resume_transfer, transfer_history, transfer_items
from prefect_globus.emulator import FailFile, TaskFault
from prefect_globus.transfers.errors import (
    LeaseHeldError,
    NoDeadLettersError,
    NothingToRedriveError,
    TransferFailedError,
    TransferNotFoundError,
)
from prefect_globus.transfers.items import Outcome
from prefect_globus.transfers.model import Holder, Request
from prefect_globus.transfers.states import AttemptStatus
from support.world import World, tree

FILES = {f"{folder}/{n}.dat": f"{folder}{n}" for folder in ("a", "b", "secret") for n in range(6)}
DENIED = TaskFault(FailFile("PERMISSION_DENIED"), file="/secret/*")


@pytest.fixture
def emulator_options() -> dict[str, Any]:
    """Globus tries a file for a while before it skips it."""
    return {"time_scale": 20}


@pytest.fixture
def failed(world: World) -> Iterator[World]:
    """A FAILED transfer: six files were denied, and two links lead nowhere."""
    world.write(FILES)
    for name in ("one", "two"):
        (world.source / f"link-{name}").symlink_to(f"later-{name}")
    with world.emulator.fault(DENIED):
        with pytest.raises(TransferFailedError, match="8 not delivered"):
            world.run(symlinks="follow", batch_size=5, retry_limit=0)
        yield world


def mend(world: World) -> None:
    """Give what was missing, but for the second link."""
    world.emulator.clear()
    (world.source / "later-one").write_text("1")


def redrive(world: World, match: str | None = None, code: str | None = None) -> TransferStatus:
    """Redrive as a person would who looks at the status then."""
    try:
        result = redrive_transfer("test", match, code, credentials=world.credentials, checkpoints=world.store)
    except TransferFailedError:
        return world.store.load_transfer("test").status
    return TransferStatus(result.status)


def dead(world: World) -> list[tuple[str, str | None]]:
    return [(item.path, item.code) for item in transfer_items("test", failed=True, checkpoints=world.store)]


def test_items_are_chosen_by_outcome_path_and_code(failed: World) -> None:
    """All of them in scan order, or those that are asked for."""
    store = failed.store
    everything = list(transfer_items("test", checkpoints=store))
    assert [item.path for item in everything] == [item.path for item in store.iter_items("test")]
    assert {item.path for item in everything if item.outcome is Outcome.TRANSFERRED} == {
        path for path in FILES if not path.startswith("secret")
    }
    links = [("link-one", "INVALID_SYMLINK"), ("link-two", "INVALID_SYMLINK")]
    assert dead(failed) == links + [(f"secret/{n}.dat", "PERMISSION_DENIED") for n in range(6)]
    by_code = transfer_items("test", failed=True, code="INVALID_SYMLINK", checkpoints=store)
    assert [item.path for item in by_code] == ["link-one", "link-two"]
    by_name = transfer_items("test", match="2.dat", checkpoints=store)
    assert [item.path for item in by_name] == ["a/2.dat", "b/2.dat", "secret/2.dat"]
    by_both = transfer_items("test", match="*/[13].dat", code="PERMISSION_DENIED", checkpoints=store)
    assert [item.path for item in by_both] == ["secret/1.dat", "secret/3.dat"]
    assert list(transfer_items("test", skipped=True, remaining=True, changed=True, checkpoints=store)) == []
    with pytest.raises(TransferNotFoundError):
        transfer_items("nonsense", checkpoints=store)
    first = everything[0]
    assert (first.size, first.batch, first.code, first.at) == (2, 1, None, None)
    assert first.model_dump(mode="json")["outcome"] == "TRANSFERRED"


def test_a_redrive_tries_what_matches_and_leaves_the_others_dead(failed: World) -> None:
    """First one file, then what has one code, then the rest; nothing is moved twice."""
    mend(failed)
    assert redrive(failed, match="secret/3.dat") is TransferStatus.FAILED
    assert [path for path, _ in dead(failed)] == ["link-one", "link-two", *(f"secret/{n}.dat" for n in (0, 1, 2, 4, 5))]
    assert redrive(failed, code="PERMISSION_DENIED") is TransferStatus.FAILED
    assert [path for path, _ in dead(failed)] == ["link-one", "link-two"]
    assert redrive(failed, match="*-one") is TransferStatus.FAILED
    (failed.source / "later-two").write_text("2")
    assert redrive(failed) is TransferStatus.COMPLETED
    moved = failed.moved()
    assert all(len(tasks) == 1 for tasks in moved.values())
    assert tree(failed.destination).keys() >= {"secret/3.dat", "link-one", "link-two"}
    assert failed.store.ledger("test").complete


def test_the_history_of_a_dead_letter_stays(failed: World) -> None:
    """What was said of it, that it was tried again, and what was said then."""
    redrive(failed, match="secret/0.dat")
    mend(failed)
    redrive(failed, match="secret/0.dat")
    history = list(transfer_history("test", checkpoints=failed.store))
    told = [(fault.code, fault.outcome) for batch in history for fault in batch.faults if fault.path == "secret/0.dat"]
    assert told == [
        ("PERMISSION_DENIED", Outcome.DEAD),
        ("REDRIVEN", Outcome.REMAINING),
        ("PERMISSION_DENIED", Outcome.DEAD),
        ("REDRIVEN", Outcome.REMAINING),
    ]
    (item,) = transfer_items("test", match="secret/0.dat", checkpoints=failed.store)
    assert (item.outcome, item.code) == (Outcome.TRANSFERRED, None)
    batches = list(failed.store.list_batches("test"))
    assert [each.number for each in history] == [batch.number for batch in batches]
    assert [each.attempts for each in history] == [batch.attempts for batch in batches]
    attempts = [attempt for batch in history for attempt in batch.attempts]
    assert {task["task_id"] for task in failed.tasks()} == {str(attempt.task_id) for attempt in attempts}
    assert all(attempt.ended_at and attempt.status is AttemptStatus.SUCCEEDED for attempt in attempts)


@pytest.mark.parametrize(
    ("match", "code", "words"),
    [
        ("*.nc", None, "match '[*].nc'"),
        (None, "FILE_NOT_FOUND", "code 'FILE_NOT_FOUND'"),
        ("secret/*", "INVALID_SYMLINK", "6 with the code PERMISSION_DENIED"),
    ],
)
def test_a_redrive_of_nothing_says_what_there_is_and_runs_nothing(
    failed: World, match: str | None, code: str | None, words: str
) -> None:
    """The transfer is as before."""
    before = failed.store.load_transfer("test"), list(failed.store.list_batches("test"))
    with pytest.raises(NoDeadLettersError, match=words):
        redrive(failed, match, code)
    assert (failed.store.load_transfer("test"), list(failed.store.list_batches("test"))) == before


def test_a_plain_resume_tries_all_of_them(failed: World) -> None:
    """As whoever resumes a FAILED transfer has mended something."""
    mend(failed)
    (failed.source / "later-two").write_text("2")
    result = resume_transfer("test", credentials=failed.credentials, checkpoints=failed.store)
    assert (result.status, result.items_failed) == (TransferStatus.COMPLETED, 0)


def test_a_redrive_of_a_driven_transfer_is_refused(failed: World) -> None:
    """Nothing has changed then."""
    lease = failed.store.acquire_lease("test", Holder(description="somebody@elsewhere"), 60.0)
    with pytest.raises(LeaseHeldError, match="somebody@elsewhere"):
        redrive(failed)
    failed.store.release_lease(lease)
    assert len(dead(failed)) == 8


def test_a_redrive_takes_back_a_pause_that_nobody_has_obeyed(failed: World) -> None:
    """Whoever tries them again wants it to run."""
    mend(failed)
    failed.store.post_request("test", Request.PAUSE)
    assert redrive(failed, code="PERMISSION_DENIED") is TransferStatus.FAILED
    assert (len(dead(failed)), failed.store.pending_request("test")) == (2, None)


def test_what_is_complete_cannot_be_redriven(world: World) -> None:
    """It has no dead letters, and is final."""
    world.write({"a": "1"})
    world.run()
    with pytest.raises(NothingToRedriveError, match="COMPLETED"):
        redrive(world)


def test_a_name_that_globus_cannot_be_told_of(world: World) -> None:
    """A line break in it makes a dead letter of a file, and of a directory as a whole; the others arrive."""
    world.write({"a": "1", "new\nline": "2", "b\rc/d": "3", "z": "4"})
    with pytest.raises(TransferFailedError, match="2 not delivered"):
        world.run()
    dead = transfer_items("test", failed=True, checkpoints=world.store)
    assert [(each.path, each.code) for each in dead] == [(name, "INVALID_PATH_NAME") for name in ("b\rc", "new\nline")]
    assert set(tree(world.destination)) == {"a", "z"}
    (world.source / "new\nline").rename(world.source / "new line")
    assert redrive(world) is TransferStatus.FAILED
