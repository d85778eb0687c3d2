"""Run transfers: the library's flow, with what a local transfer needs around it. Imports Prefect, so import it late."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any, NamedTuple

from prefect_globus.cli import local
from prefect_globus.cli.flags import options_of
from prefect_globus.cli.interrupts import Interruption
from prefect_globus.cli.local import Places
from prefect_globus.cli.progress import shown_progress
from prefect_globus.cli.state import State
from prefect_globus.flows.blocks import find_checkpoints
from prefect_globus.flows.control import cancel_transfer, transfer_status
from prefect_globus.flows.resumable_transfer import resumable_transfer
from prefect_globus.transfers.errors import InvalidInputError, LeaseHeldError, TransferError, TransferNotFoundError
from prefect_globus.transfers.model import Request, Transfer
from prefect_globus.transfers.options import TransferOptions
from prefect_globus.transfers.result import TransferResult
from prefect_globus.transfers.states import FINAL_TRANSFER_STATUSES, TransferStatus

_CANCEL_SECONDS = 120.0


class Outcome(NamedTuple):
    """How a run ended: the result by the checkpoint, the error if there was one, and how long it took, if anything."""

    result: TransferResult
    error: TransferError | None
    seconds: float | None


class Runner:
    """Runs transfers, one after the other."""

    def __init__(self, state: State, interruption: Interruption, ready: Callable[[], None]) -> None:
        """Args: ``ready``: to be called before Prefect's API is used."""
        self._state = state
        self._interruption = interruption
        self._ready = ready
        if state.names_blocks:
            ready()
        self.store = find_checkpoints(state.checkpoints)

    @property
    def interrupted(self) -> bool:
        """Whether the run was told to stop."""
        return self._interruption.seen

    def transfer(
        self, source: str, destination: str, places: Places | None, transfer_id: str, values: dict[str, Any]
    ) -> Outcome:
        """Begin a transfer, or resume the one of this id; see `resumable_transfer`."""
        specs = None
        if places is not None:
            source, destination = str(places.source.location), str(places.destination.location)
            places.make_destination()
            specs = places.specs
        return self._run(source, destination, transfer_id, specs, values)

    def resume(self, transfer_id: str, values: dict[str, Any]) -> Outcome:
        """Resume the transfer of this id; see `resume_transfer`."""
        transfer = self.store.load_transfer(transfer_id)
        if transfer.status is TransferStatus.COMPLETED:  # and a local one has no state any more
            return Outcome(transfer_status(transfer_id, self.store), None, None)
        specs: list[str] | None = [] if local.is_local(transfer_id) else None
        return self._run(str(transfer.source), str(transfer.destination), transfer_id, specs, values)

    def _run(
        self, source: str, destination: str, transfer_id: str, specs: list[str] | None, values: dict[str, Any]
    ) -> Outcome:
        recorded = self._recorded(transfer_id)
        options = options_of(recorded.options if recorded else TransferOptions(), values)
        try:
            with ExitStack() as stack:
                if specs is not None:
                    delay = self._state.file_delay
                    wait = options.max_lock_wait
                    stack.enter_context(local.served(self.store, transfer_id, specs, wait=wait, file_delay=delay))
                self._ready()
                outcome = self._call(source, destination, transfer_id, options)
                done_before = recorded is not None and recorded.status is TransferStatus.COMPLETED
                return outcome._replace(seconds=None) if done_before else outcome
        finally:
            if specs is not None:
                self._clear_up(transfer_id)

    def _call(self, source: str, destination: str, transfer_id: str, options: TransferOptions) -> Outcome:
        state = self._state
        self._interruption.transfer_id = transfer_id
        began = time.monotonic()
        error = None
        with shown_progress(lambda: self._is_scanning(transfer_id), quiet=state.quiet, plain=state.verbose) as show:
            try:
                resumable_transfer(
                    source=source,
                    destination=destination,
                    options=options.evolve(progress_callback=show),
                    transfer_id=transfer_id,
                    credentials=state.credentials,
                    checkpoints=state.checkpoints,
                )
            except (InvalidInputError, LeaseHeldError):  # it did not begin
                raise
            except TransferError as caught:
                if self.interrupted:
                    raise
                error = caught
        if error is not None and self._recorded(transfer_id) is None:
            raise error
        return Outcome(transfer_status(transfer_id, self.store), error, time.monotonic() - began)

    def _recorded(self, transfer_id: str) -> Transfer | None:
        try:
            return self.store.load_transfer(transfer_id)
        except TransferNotFoundError:
            return None

    def _is_scanning(self, transfer_id: str) -> bool:
        try:
            return not self.store.load_transfer(transfer_id).scan_complete
        except TransferError:  # progress is not worth an error
            return True

    def _clear_up(self, transfer_id: str) -> None:
        """Delete the emulator's state when nothing will be resumed from it."""
        recorded = self._recorded(transfer_id)
        if recorded is None or recorded.status is TransferStatus.COMPLETED:
            local.forget(transfer_id)


def cancel(transfer_id: str, state: State) -> TransferResult:
    """Cancel a transfer; see `cancel_transfer`. A local one whose driver is gone is served for that."""
    store = find_checkpoints(state.checkpoints)
    with ExitStack() as stack:
        if local.is_local(transfer_id) and not _is_final(store.load_transfer(transfer_id)):
            store.post_request(transfer_id, Request.CANCEL)
            local.wait_until_free(store, transfer_id, _CANCEL_SECONDS)
            if not _is_final(store.load_transfer(transfer_id)):
                stack.enter_context(local.served(store, transfer_id, [], wait=0.0))
        return cancel_transfer(transfer_id, state.credentials, store)


def _is_final(transfer: Transfer) -> bool:
    return transfer.status in FINAL_TRANSFER_STATUSES
