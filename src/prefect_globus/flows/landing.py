"""The next step of a pipeline, begun on each batch as it lands, before the whole transfer is there."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from contextvars import copy_context

from prefect_globus.blocks import CheckpointStore, GlobusCredentials
from prefect_globus.flows.blocks import find_checkpoints
from prefect_globus.flows.prefect_state import heed
from prefect_globus.flows.resumable_transfer import resumable_transfer
from prefect_globus.tasks.driver import drivers_of
from prefect_globus.tasks.landing import ENDED_STATUSES, Landing
from prefect_globus.transfers.errors import (
    InvalidInputError,
    NothingLandedError,
    TransferCanceledError,
    TransferFailedError,
    TransferNotFoundError,
)
from prefect_globus.transfers.landed import LandedBatch
from prefect_globus.transfers.location import check_transfer_id
from prefect_globus.transfers.options import TransferOptions
from prefect_globus.transfers.result import TransferResult
from prefect_globus.transfers.states import TransferStatus

_LOOK_SECONDS = 0.5


def iter_batches(
    transfer_id: str,
    *,
    after: Iterable[int] = (),
    checkpoints: CheckpointStore | str | None = None,
    poll_interval: float = 2.0,
    timeout: float | None = None,
) -> Iterator[LandedBatch]:
    """The batches of a transfer, each as soon as it is done, from any process that reaches the checkpoint.

    It goes on until the transfer has ended, also while that is paused, or waits to be resumed. A batch with something
    that has failed for good is not done, until a resume or a redrive has mended that.

    Args:
        transfer_id: which; it must have begun.
        after: the numbers of the batches that were handled before, so that each is handled once across a restart.
        checkpoints: a block or its name; the default database when left out.
        poll_interval: time between two looks at the checkpoint, in seconds.
        timeout: how long to wait for the next batch, in seconds; for ever when left out.

    Returns:
        An iterator, in the order in which they land; one batch is in memory at a time.

    Raises:
        TransferNotFoundError: there is no such transfer.
        TransferFailedError: it has FAILED; first comes what has landed.
        TransferCanceledError: the same for CANCELED.
        NothingLandedError: the timeout is over.
    """
    if not poll_interval > 0:
        raise InvalidInputError(reason=f"poll_interval is {poll_interval}, but must be more than 0 seconds")
    store = find_checkpoints(checkpoints)
    store.load_transfer(transfer_id)  # now, rather than when the first batch is asked for
    return _until_it_ends(store, transfer_id, after, poll_interval, timeout)


@contextmanager
def landing(
    source: str,
    destination: str,
    transfer_id: str,
    options: TransferOptions | None = None,
    credentials: GlobusCredentials | str | None = None,
    checkpoints: CheckpointStore | str | None = None,
    *,
    after: Iterable[int] = (),
) -> Iterator[Iterator[LandedBatch]]:
    """Run `resumable_transfer` in a thread, as a part of the calling flow, and hand out its batches as they land.

    ``with landing(...) as batches: for batch in batches: ...`` ends when the transfer has ended. An error in the block
    stops the transfer, too, which stays resumable: the same id goes on, and hands out the batches that are done again
    unless ``after`` names them. A cancel of the flow run cancels it.

    Args:
        source: see `resumable_transfer`, as all that follow.
        destination: see there.
        transfer_id: required here, as it is what a restart goes on by.
        options: see there.
        credentials: see there.
        checkpoints: see there.
        after: the numbers of the batches that were handled before.

    Raises:
        TransferError: as `resumable_transfer`, when what has landed was handed out.
    """
    store = find_checkpoints(checkpoints)
    check_transfer_id(transfer_id)

    def run() -> TransferResult:
        result: TransferResult = resumable_transfer(
            source,
            destination,
            options=options,
            transfer_id=transfer_id,
            credentials=credentials,
            checkpoints=checkpoints,
        )
        return result

    with ThreadPoolExecutor(1, thread_name_prefix="landing") as pool:
        # in the context of this flow run, so that the transfer is shown as a part of it
        transfer = pool.submit(copy_context().run, run)
        try:
            yield _while_it_runs(transfer, Landing(store, transfer_id, after))
        except BaseException as error:
            _interrupt(transfer, transfer_id, error)
            raise
    transfer.result()


def _while_it_runs(transfer: Future[TransferResult], batches: Landing) -> Iterator[LandedBatch]:
    ended = False
    while not ended:
        ended = bool(wait([transfer], _LOOK_SECONDS).done)
        with suppress(TransferNotFoundError):  # it is not on record yet, or was refused
            yield from batches.look()
    transfer.result()


def _interrupt(transfer: Future[TransferResult], transfer_id: str, error: BaseException) -> None:
    """Tell the driver, which has a thread of its own, of ``error``: Prefect interrupts the main thread only."""
    while not transfer.done():
        if drivers := drivers_of(transfer_id):  # none as long as it is being opened
            for driver in drivers:
                heed(driver, error)
            return
        wait([transfer], _LOOK_SECONDS)


def _until_it_ends(
    store: CheckpointStore, transfer_id: str, after: Iterable[int], poll_interval: float, timeout: float | None
) -> Iterator[LandedBatch]:
    batches = Landing(store, transfer_id, after)
    last = time.monotonic()
    while True:
        transfer = batches.transfer()  # before the look, so that of one that has ended it sees everything
        for batch in batches.look():
            yield batch
            last = time.monotonic()  # what the caller does with it takes as long as it takes
        if transfer.status in ENDED_STATUSES:
            break
        if timeout is not None and time.monotonic() - last > timeout:
            raise NothingLandedError(transfer_id=transfer_id, seconds=f"{timeout:g}", status=transfer.status)
        time.sleep(poll_interval)
    if transfer.status is TransferStatus.COMPLETED:
        return
    ledger = store.ledger(transfer_id)
    counts = {"transfer_id": transfer_id, "transferred": ledger.transferred, "items": ledger.items}
    if transfer.status is TransferStatus.CANCELED:
        raise TransferCanceledError(**counts)
    raise TransferFailedError(**counts, missing=ledger.remaining + ledger.dead, reason=transfer.error)
