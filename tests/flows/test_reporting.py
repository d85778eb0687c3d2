"""The report of a run, in Prefect and from the checkpoint: the same words, however the run has ended."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Never

import httpx
import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey
from prefect.client.schemas.sorting import ArtifactSort

from prefect_globus import SqlCheckpointStore, TransferStatus, cancel_transfer, pause_transfer, transfer_report
from prefect_globus.emulator import FailFile, TaskFault
from prefect_globus.flows import reporting
from prefect_globus.transfers.errors import TransferFailedError, TransferNotFoundError, TransferPausedError
from prefect_globus.transfers.naming import artifact_key
from prefect_globus.transfers.states import AttemptStatus, BatchStatus
from prefect_globus.transfers.telling.pages import as_markdown
from prefect_globus.transfers.telling.report import Noted
from support.background import batches_of, running, wait_for
from support.world import World

DENIED = TaskFault(FailFile("PERMISSION_DENIED"), file="/b|c`d<script>")


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server of a busy machine has more time for its answer than anybody would wait for a report."""
    monkeypatch.setattr(reporting, "_ANSWER_SECONDS", 120.0)


class UnreadStore(SqlCheckpointStore):
    """One whose manifests nobody may read: of ten million items that would take minutes."""

    _block_type_slug = "unread-checkpoint-store"

    def load_manifest(self, transfer_id: str, number: int) -> Never:
        raise AssertionError(f"the manifest of batch {number} of {transfer_id} was read")


def shown(transfer_id: str) -> list[str]:
    """The reports of a transfer in Prefect, the oldest first."""
    chosen = ArtifactFilter(key=ArtifactFilterKey(any_=[artifact_key("report", transfer_id)]))
    with get_client(sync_client=True) as client:
        found = client.read_artifacts(artifact_filter=chosen, sort=ArtifactSort.CREATED_DESC)
    assert all(artifact.type == "markdown" and artifact.flow_run_id for artifact in found)
    return [str(artifact.data) for artifact in reversed(found)]


def test_a_run_leaves_its_report_in_prefect(world: World) -> None:
    """One of each run; it is what the checkpoint says, and says what was lost and how it is tried again."""
    world.write({"a": "1", "b|c`d<script>": "22", "empty": ""})
    with world.emulator.fault(DENIED), pytest.raises(TransferFailedError):
        world.run("Test_reporting", retry_limit=0, fault_grace=1)

    failed = transfer_report("Test_reporting", world.store, has_links=False)
    assert [(each.what, each.code, each.examples) for each in failed.troubles] == [
        (Noted.DEAD, "PERMISSION_DENIED", ("b|c`d<script>",))
    ]
    (page,) = shown("Test_reporting")
    assert page == as_markdown(failed)
    assert "# Test_reporting is FAILED" in page
    assert "prefect-globus redrive Test_reporting --code PERMISSION_DENIED" in page

    world.run("Test_reporting")

    report = transfer_report("Test_reporting", UnreadStore(url=world.database), has_links=False)
    assert shown("Test_reporting")[1:] == [as_markdown(report)]
    assert report.status is TransferStatus.COMPLETED
    assert report.troubles == ()
    assert [drive.number for drive in report.drives] == [1, 2]
    assert all(drive.flow_run and "process" in drive.holder for drive in report.drives)
    scan, tasks = report.phases
    assert None is not scan.ended_at <= (tasks.ended_at or scan.ended_at)
    assert report.throughput is not None
    assert sum(report.throughput.amounts) == pytest.approx(3)


@pytest.mark.parametrize("emulator_options", [{"file_delay": 0.2}])
def test_a_pause_and_a_cancel_are_reported_too(world: World) -> None:
    """What was moved by then, and what remains; the report of a transfer at work says that it is."""
    world.write({f"{number:03}": f"{number}" for number in range(400)})
    with running(world, "test-stopping", batch_size=4, max_concurrency=2) as run:
        wait_for(
            lambda: any(batch.status is BatchStatus.DONE for batch in batches_of(world, "test-stopping")), "a batch"
        )
        report = transfer_report("test-stopping", world.store)
        assert report.ended_at is None
        assert report.phases[-1].ended_at is None
        pause_transfer("test-stopping", credentials=world.credentials, checkpoints=world.store, now=True)
        assert isinstance(run.exception(), TransferPausedError)
    (page,) = shown("test-stopping")
    assert "is PAUSED" in page
    assert "prefect-globus resume test-stopping" in page

    cancel_transfer("test-stopping", credentials=world.credentials, checkpoints=world.store)
    report = transfer_report("test-stopping", world.store)
    assert report.status is TransferStatus.CANCELED
    assert report.ledger.balances
    assert report.tasks[AttemptStatus.SUCCEEDED] >= 1
    assert report.ledger.remaining > 0


def test_a_report_that_cannot_be_shown_hurts_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It is tried a few times, as Prefect's server may be busy, and said once; Prefect runs the flow meanwhile."""
    tries = []

    @contextmanager
    def unreachable(seconds: float) -> Iterator[Never]:
        tries.append(seconds)
        raise httpx.ConnectError("nobody there")
        yield

    monkeypatch.setattr(reporting, "impatient_client", unreachable)
    monkeypatch.setattr(reporting, "_BUSY_SECONDS", 0)
    world.write({"a": "1"})
    with caplog.at_level(logging.WARNING, reporting.__name__):
        assert world.run("test-unshown").status is TransferStatus.COMPLETED
    assert len(tries) == 3
    assert [record.message for record in caplog.records if "report" in record.message] == [
        "The report of transfer test-unshown is not shown in Prefect: nobody there"
    ]


def test_there_is_no_report_of_a_transfer_that_is_not_there(world: World) -> None:
    """The error says so."""
    with pytest.raises(TransferNotFoundError):
        transfer_report("test-nothing", world.store)
