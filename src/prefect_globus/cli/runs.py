"""Run transfers: the library's flow, with what a local transfer needs around it. Imports Prefect, so import it late."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any, NamedTuple

from prefect_globus.cli import local
from prefect_globus.cli.flags import options_of
from prefect_globus.cli.interrupts import Interruption
from prefect_globus.cli.local import Places
from prefect_globus.cli.planning import asking
from prefect_globus.cli.progress import Phase, shown_progress
from prefect_globus.cli.state import State
from prefect_globus.flows.blocks import find_checkpoints
from prefect_globus.flows.control import cancel_transfer, pause_transfer, withdraw_pause
from prefect_globus.flows.reading import transfer_status
from prefect_globus.flows.resumable_transfer import resumable_transfer
from prefect_globus.tasks.opening import check_somebody_to_ask
from prefect_globus.transfers.errors import InvalidInputError, LeaseHeldError, TransferError, TransferNotFoundError
from prefect_globus.transfers.model import Request, Transfer
from prefect_globus.transfers.options import TransferOptions
from prefect_globus.transfers.result import TransferResult
from prefect_globus.transfers.states import FINAL_TRANSFER_STATUSES, TransferStatus

_OBEY_SECONDS = 120.0
_DRAIN_SECONDS = 6.0  # what runs at Globus may take hours


class Outcome(NamedTuple):
    """How a run ended: the result by the checkpoint, the error if there was one, and whether it was complete before."""

    result: TransferResult
    error: TransferError | None
    was_done: bool


class Runner:
    """Runs transfers, one after the other."""

    def __init__(self, state: State, interruption: Interruption, ready: Callable[[], None]) -> None:
        """Args: ``ready``: to be called before Prefect's API is used; whoever uses it in another way calls it, too."""
        self._state = state
        self._interruption = interruption
        self.ready = ready
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
            local.remember(transfer_id, specs)
        return self._run(source, destination, transfer_id, specs, values)

    def resume(self, transfer_id: str, values: dict[str, Any], *, by_name: bool = True) -> Outcome:
        """Resume the transfer of this id; who names it wants no pause any more. See `resume_transfer`."""
        transfer = self.store.load_transfer(transfer_id)
        if transfer.status is TransferStatus.COMPLETED:  # and a local one has no state any more
            return Outcome(transfer_status(transfer_id, self.store), None, was_done=True)
        if by_name:
            withdraw_pause(self.store, transfer_id)
        specs: list[str] | None = [] if local.is_local(transfer_id) else None
        return self._run(str(transfer.source), str(transfer.destination), transfer_id, specs, values)

    def _run(
        self, source: str, destination: str, transfer_id: str, specs: list[str] | None, values: dict[str, Any]
    ) -> Outcome:
        recorded = self._recorded(transfer_id)
        options = options_of(recorded.options if recorded else TransferOptions(), values)
        options = options.evolve(approval_callback=asking(options))
        check_somebody_to_ask(options, is_approved=recorded is not None and recorded.is_approved)
        try:
            with ExitStack() as stack:
                if specs is not None:
                    delay = self._state.file_delay
                    wait = options.max_lock_wait
                    stack.enter_context(local.served(self.store, transfer_id, specs, wait=wait, file_delay=delay))
                self.ready()
                # whoever resumes a transfer has the login that it was begun with, unless another is named
                credentials = self._state.credentials or (recorded.credentials if recorded else None)
                error = self._call(source, destination, transfer_id, options, credentials)
                was_done = recorded is not None and recorded.status is TransferStatus.COMPLETED
                return Outcome(transfer_status(transfer_id, self.store), error, was_done)
        finally:
            if specs is not None:
                self._clear_up(transfer_id)

    def _call(
        self, source: str, destination: str, transfer_id: str, options: TransferOptions, credentials: str | None
    ) -> TransferError | None:
        """Run it; the error with which it ended."""
        state = self._state
        self._interruption.transfer_id = transfer_id
        error = None
        plain = state.verbose or options.approval_callback is not None  # a question does not go into a bar
        with shown_progress(lambda: self._phase(transfer_id), quiet=state.quiet, plain=plain) as show:
            try:
                resumable_transfer(
                    source=source,
                    destination=destination,
                    options=options.evolve(progress_callback=show),
                    transfer_id=transfer_id,
                    credentials=credentials,
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
        return error

    def _recorded(self, transfer_id: str) -> Transfer | None:
        try:
            return self.store.load_transfer(transfer_id)
        except TransferNotFoundError:
            return None

    def _phase(self, transfer_id: str) -> Phase:
        try:
            transfer = self.store.load_transfer(transfer_id)
            dead = self.store.ledger(transfer_id).dead
        except TransferError:  # progress is not worth an error
            return Phase(scanning=True, paused=False)
        return Phase(not transfer.scan_complete, transfer.status is TransferStatus.PAUSED, dead)

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
            local.wait_until_free(store, transfer_id, _OBEY_SECONDS)
            if not _is_final(store.load_transfer(transfer_id)):
                stack.enter_context(local.served(store, transfer_id, [], wait=0.0))
        return cancel_transfer(transfer_id, state.credentials, store)


def pause(transfer_id: str, state: State, *, now: bool) -> TransferResult:
    """Pause a transfer; see `pause_transfer`. A local one whose driver is gone is served to cancel tasks."""
    store = find_checkpoints(state.checkpoints)
    with ExitStack() as stack:
        if now and local.is_local(transfer_id) and local.live_lease(store, transfer_id) is None:
            stack.enter_context(local.served(store, transfer_id, [], wait=0.0))
        wait = _OBEY_SECONDS if now else _DRAIN_SECONDS
        return pause_transfer(transfer_id, now, state.credentials, store, wait)


def _is_final(transfer: Transfer) -> bool:
    return transfer.status in FINAL_TRANSFER_STATUSES
